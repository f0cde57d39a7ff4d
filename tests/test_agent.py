"""The agent's conversation: what it answers, what it refuses, and that nothing of it outlives the connection."""

import contextlib
import dataclasses
import json
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import agent_support as support
import pytest

from capture import protocol
from capture.faults import FaultCode
from capture.protocol import LINE_LIMIT_BYTES, Facts, Granted, Limits, Missing, Note, Ping, Pong, Prepared, Stopping


def test_an_agent_answers_hello_with_the_facts_of_its_host_and_leaves_after_bye(tmp_path: Path) -> None:
    with support.agent(tmp_path) as coordinator:
        said = coordinator.ask(support.hello(), Facts)
        assert said.version == protocol.VERSION
        assert said.facts.cores >= 1
        workspace = Path(said.facts.workspace)
        assert workspace.parent == tmp_path
        assert stat.S_IMODE(workspace.stat().st_mode) == 0o700
        assert coordinator.ask(Ping(7), Pong) == Pong(7)
        coordinator.ask(protocol.Acquire(), Granted)
        assert (workspace / "runs" / "r1").is_dir()
        coordinator.say(protocol.Bye())
        assert coordinator.wait() == 0
        assert not (workspace / "runs" / "r1").exists()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b'{"t":"hello","version":2,"run":"r","news":1}\n', "this agent speaks protocol 1, not 2"),
        (b'{"t":"ping","sequence":1}\n', "ping came before hello"),
        (b"rubbish\n", "not a JSON line"),
        (b"x" * (LINE_LIMIT_BYTES + 1), "line of more than"),
        (b'{"t":"pong","sequence":1}\n', "not for an agent"),
        (protocol.encode(support.hello()) * 2, "hello came twice"),
        (protocol.encode(support.hello()) + b'{"t":"prepare","bundle":"b"}\n', "prepare came before acquire"),
        (protocol.encode(support.hello(run="../up")) + b'{"t":"acquire"}\n', "refused name"),
    ],
    ids=["version", "order", "rubbish", "endless line", "direction", "twice", "lock", "run name"],
)
def test_an_agent_says_why_it_stops_and_exits_2(tmp_path: Path, said: bytes, reason: str) -> None:
    with support.agent(tmp_path) as coordinator:
        coordinator.say_bytes(said)
        assert reason in coordinator.hear(Stopping).reason
        assert coordinator.wait() == 2


def test_a_workspace_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    with support.agent(tmp_path) as coordinator:
        workspace = Path(coordinator.ask(support.hello(), Facts).facts.workspace)
    workspace.chmod(0o777)
    with support.agent(tmp_path) as coordinator:
        assert "chmod go-w" in coordinator.ask(support.hello(), Stopping).reason


def test_a_stray_print_cannot_corrupt_the_stream(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from capture import agent\n"
        "import capture.probe as p; real = p.facts\n"
        "def facts(*a): print('noise', flush=True); import os; os.system('echo noise'); return real(*a)\n"
        f"p.facts = facts; agent.run(Path({str(tmp_path)!r}))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code],
        input=protocol.encode(support.hello()) + b'{"t":"bye"}\n',
        cwd=support.REPOSITORY,
        capture_output=True,
        timeout=30,
    )
    assert b"noise" not in said.stdout
    assert said.stderr.count(b"noise") == 2
    assert isinstance(protocol.decode(said.stdout), Facts)


def test_the_lock_names_its_owner_and_is_free_once_the_owner_is_killed(tmp_path: Path) -> None:
    with support.agent(tmp_path) as first, support.agent(tmp_path) as second:
        support.open_workspace(first, run="first")
        second.ask(support.hello(run="second"), Facts)
        denied = second.ask(protocol.Acquire(), protocol.Denied)
        assert denied.owner.startswith("run first from this machine since ")
        support.kill(first.process.pid)
        first.wait()
        deadline = time.monotonic() + 5
        second.say(protocol.Acquire())
        while not isinstance(message := second.hear(protocol.Granted | protocol.Denied), Granted):  # type: ignore[arg-type]
            assert time.monotonic() < deadline, message
            time.sleep(0.05)
            second.say(protocol.Acquire())


def test_cleaning_needs_the_lock_and_a_trial_deletes_nothing(tmp_path: Path) -> None:
    order = protocol.Clean(older_than_s=0.0, max_bytes=None, is_trial=True)
    with support.agent(tmp_path) as first, support.agent(tmp_path) as second:
        workspace = support.open_workspace(first, run="first")
        support.push_bundle(first, workspace, {"index.html": b"<html>"})
        second.ask(support.hello(run="second"), Facts)
        trial = second.ask(order, protocol.Cleaned)
        assert (trial.runs, trial.bundles, trial.blobs) == (1, 1, 2)
        assert "run first" in second.ask(dataclasses.replace(order, is_trial=False), protocol.Denied).owner
        assert (workspace / "runs" / "first").is_dir()
    with support.agent(tmp_path) as coordinator:
        coordinator.ask(support.hello(run="third"), Facts)
        done = coordinator.ask(dataclasses.replace(order, is_trial=False), protocol.Cleaned)
        assert (done.runs, done.bundles, done.blobs, done.size_bytes) == (1, 1, 2, trial.size_bytes)
        assert [list((workspace / name).iterdir()) for name in ("runs", "bundles", "blobs")] == [[], [], []]


def test_a_bundle_is_pushed_once_and_verified_blob_by_blob(tmp_path: Path) -> None:
    files = {"index.html": b"<html>", "assets/a b.js": b"//", "assets/copy.js": b"//"}
    with support.agent(tmp_path) as coordinator:
        workspace = support.open_workspace(coordinator)
        listing = support.manifest(files)
        digest = support.push(workspace, listing)
        (workspace / "incoming" / digest).unlink()
        assert coordinator.ask(protocol.Prepare(digest), Missing) == Missing(digest, (digest,))
        support.push(workspace, listing)
        wanted = coordinator.ask(protocol.Prepare(digest), Missing).digests
        assert len(wanted) == 2
        damaged = support.push(workspace, b"<html>")
        (workspace / "incoming" / damaged).write_bytes(b"<HTML>")
        support.push(workspace, b"//")
        assert coordinator.ask(protocol.Prepare(digest), Missing).digests == (damaged,)
        assert list((workspace / "incoming").iterdir()) == []
        support.push(workspace, b"<html>")
        assert coordinator.ask(protocol.Prepare(digest), Prepared) == Prepared(digest)
        bundle = workspace / "bundles" / digest
        assert {path: (bundle / path).read_bytes() for path in files} == files
        assert not any(file.stat().st_mode & 0o222 for file in bundle.rglob("*"))
    with support.agent(tmp_path) as coordinator:
        support.open_workspace(coordinator, run="r2")
        coordinator.ask(protocol.Prepare(digest), Prepared)


def test_a_bundle_that_reaches_out_of_its_directory_is_refused(tmp_path: Path) -> None:
    with support.agent(tmp_path) as coordinator:
        workspace = support.open_workspace(coordinator)
        support.push(workspace, b"evil")
        digest = support.push(workspace, support.manifest({"../evil": b"evil"}))
        failed = coordinator.ask(protocol.Prepare(digest), protocol.Failed)
        assert (failed.chunk, failed.fault.code) == ("", FaultCode.INTERNAL)
        assert "'../evil'" in failed.fault.message


def test_a_probe_needs_no_lock_and_leaves_nothing(tmp_path: Path) -> None:
    with support.agent(tmp_path) as holder, support.agent(tmp_path) as coordinator:
        workspace = support.open_workspace(holder, run="r1")
        coordinator.ask(support.hello(run="check", chromium="/nowhere/chromium"), Facts)
        coordinator.ask(protocol.Probe(), protocol.Failed)
        coordinator.say(protocol.Bye())
        assert coordinator.wait() == 0
        assert [entry.name for entry in (workspace / "runs").iterdir()] == ["r1"]


def test_a_probe_without_a_browser_fails_with_its_name(tmp_path: Path) -> None:
    with support.agent(tmp_path) as coordinator:
        support.open_workspace(coordinator, chromium="/nowhere/chromium")
        coordinator.say(protocol.Probe(), protocol.Probe())
        answers = [coordinator.hear(protocol.Failed) for _ in range(2)]
        assert answers[0] == answers[1]
        assert answers[0].fault.code is FaultCode.BROWSER_MISSING
        assert "/nowhere/chromium" in answers[0].fault.message


def test_end_of_file_ends_the_whole_tree(tmp_path: Path) -> None:
    daemons = tmp_path / "daemons"
    with support.agent(tmp_path, {"frame_s": 0.05, "daemon": str(daemons)}) as coordinator:
        workspace = _start_long_chunk(coordinator)
        daemon = int(daemons.read_text().split()[0])
        assert support.is_alive(daemon)
        coordinator.hang_up()
        assert coordinator.wait(5) == 3
        assert support.processes_of(workspace) == set()
        assert not support.is_alive(daemon)


def test_silence_beyond_the_lease_ends_the_whole_tree(tmp_path: Path) -> None:
    daemons = tmp_path / "daemons"
    with support.agent(tmp_path, {"frame_s": 0.05, "daemon": str(daemons)}) as coordinator:
        workspace = _start_long_chunk(coordinator, lease_s=2.0)
        assert "said nothing" in coordinator.hear(Stopping).reason
        assert coordinator.wait(5) == 3
        assert support.processes_of(workspace) == set()


@pytest.mark.parametrize("who", ["guard", "agent"])
def test_a_killed_agent_takes_its_tree_along(tmp_path: Path, who: str) -> None:
    daemons = tmp_path / "daemons"
    with support.agent(tmp_path, {"frame_s": 0.05, "daemon": str(daemons)}) as coordinator:
        workspace = _start_long_chunk(coordinator)
        guard = coordinator.process.pid
        agent = int(Path(f"/proc/{guard}/task/{guard}/children").read_text().split()[0])
        support.kill({"guard": guard, "agent": agent}[who])
        support.eventually(lambda: not support.is_alive(agent), "the agent is dead")
        support.eventually(lambda: support.processes_of(workspace) == set(), "nothing is left")


def test_what_a_killed_host_left_behind_is_killed_by_the_next_run(tmp_path: Path) -> None:
    daemons = tmp_path / "daemons"
    with support.agent(tmp_path, {"frame_s": 0.05, "daemon": str(daemons)}) as coordinator:
        workspace = _start_long_chunk(coordinator)
        guard = coordinator.process.pid
        support.kill(guard, signal.SIGSTOP)  # so that it cannot do its work
        agent = int(Path(f"/proc/{guard}/task/{guard}/children").read_text().split()[0])
        support.kill(agent)
        support.kill(guard)
        coordinator.wait()
        assert support.is_alive(int(daemons.read_text().split()[0]))
    with support.agent(tmp_path) as coordinator:
        support.open_workspace(coordinator, run="r2")
        assert any("killed" in note.text for note in coordinator.of(Note))
        support.eventually(lambda: support.processes_of(workspace) == set(), "nothing is left")


def test_a_worker_is_nice_first_in_line_for_the_oom_killer_and_in_a_neutral_locale(tmp_path: Path) -> None:
    with support.agent(tmp_path, {"frame_s": 0.05}) as coordinator:
        workspace = _start_long_chunk(coordinator, limits=Limits(nice=7, workers=1))
        (worker,) = support.processes_of(workspace)
        place = Path(f"/proc/{worker}")
        assert place.joinpath("oom_score_adj").read_text() == "500\n"
        assert place.joinpath("stat").read_text().rpartition(")")[2].split()[16] == "7"
        environment = place.joinpath("environ").read_bytes().split(b"\0")
        assert {b"LC_ALL=C.UTF-8", b"TZ=UTC", b"FLEETRENDER_RUN=r1"} <= set(environment)


def test_an_agent_ends_although_nobody_reads_what_it_says(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "capture", "agent", "--workspace", str(tmp_path)]
    pings = b"".join(protocol.encode(Ping(number)) for number in range(10_000))
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=support.REPOSITORY) as process:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it may end before it has read them all
            process.stdin.write(protocol.encode(support.hello()) + pings)
            process.stdin.flush()
        assert process.wait(20) == 3
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()


def test_probe_prints_the_facts_as_json(tmp_path: Path) -> None:
    argv = [sys.executable, "-ISE", str(support.REPOSITORY / "capture"), "probe", "--workspace", str(tmp_path)]
    said = subprocess.run(argv, capture_output=True, timeout=30, check=True, cwd="/")
    assert json.loads(said.stdout)["workspace"].startswith(str(tmp_path))


def _start_long_chunk(coordinator: support.Coordinator, **changes: object) -> Path:
    workspace = support.open_workspace(coordinator, **changes)
    bundle = support.push_bundle(coordinator, workspace, {"index.html": b"<html>"})
    coordinator.say(support.order(bundle, 0, 1000))
    coordinator.hear(protocol.Captured)
    assert support.processes_of(workspace)
    return workspace


def test_an_offer_is_answered_with_what_the_host_lacks_and_takes_in_what_was_pushed(tmp_path: Path) -> None:
    with support.agent(tmp_path) as coordinator:
        workspace = support.open_workspace(coordinator)
        here, damaged = support.push(workspace, b"a still"), support.push(workspace, b"another")
        (workspace / "incoming" / damaged).write_bytes(b"half")
        offer = protocol.Offer((here, damaged, "0" * 64))
        assert coordinator.ask(offer, Missing) == Missing("", (damaged, "0" * 64))
        assert (workspace / "blobs" / here).read_bytes() == b"a still"
        assert list((workspace / "incoming").iterdir()) == []
        coordinator.say(protocol.Offer(("../up",)))
        assert coordinator.hear(protocol.Failed).fault.code is FaultCode.INTERNAL
