"""Renders on three real SSH hosts: the video is right, and stays the same whatever happens to a host."""

import json
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import barcode
import pytest
import sshd
from fleet_support import (
    BARCODE,
    FRAMES,
    check_left,
    hosts_toml,
    kill_agent,
    kill_browser,
    logged,
    run_directory,
    start,
    wait_until_empty,
)
from fleetrender_support import RENDER_TIMEOUT_S, fleetrender
from sshd import Sshd

pytestmark = [
    pytest.mark.sshd,
    pytest.mark.browser,
    pytest.mark.ffmpeg,
    pytest.mark.skipif(not sshd.IS_AVAILABLE, reason=sshd.WHY_NOT),
]


@pytest.fixture(scope="module")
def servers() -> Iterator[list[Sshd]]:
    with sshd.start(number=4) as first, sshd.start(number=5) as second, sshd.start(number=6) as third:
        yield [first, second, third]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> str:
    """sha256 of the video that this machine renders alone, with one worker."""
    home = tmp_path_factory.mktemp("reference")
    ended = fleetrender(home, "run", BARCODE, "--workers", "1", "--json")
    assert ended.code == 0, ended.stderr
    return str(ended.result["sha256"])


def test_three_hosts_make_the_video_that_one_worker_makes(tmp_path: Path, servers: list[Sshd], reference: str) -> None:
    hosts = hosts_toml(tmp_path, servers)
    ended = fleetrender(tmp_path, "run", BARCODE, "--hosts", hosts, "-o", "out.mp4", "--keep", "--json")
    assert ended.code == 0, ended.stderr
    assert barcode.read_file(tmp_path / "out.mp4") == list(range(FRAMES))
    assert ended.result["sha256"] == reference
    assert {event["host"] for event in logged(tmp_path, "chunk.verified")} == {"r4", "r5", "r6"}
    assert {event["host"] for event in logged(tmp_path, "cores.used")} == {"r4", "r5", "r6", ""}
    starts = {event["chunk"]: event["frames"]["start"] for event in logged(tmp_path, "chunk.ordered")}
    for chunk in (run_directory(tmp_path) / "chunks").iterdir():
        names = sorted(file.name for file in chunk.iterdir())
        assert names == [f"frame_{number:06d}.jpg" for number in range(len(names))]
        shown = barcode.read_file(chunk / "frame_%06d.jpg")
        assert shown == list(range(starts[chunk.name], starts[chunk.name] + len(names)))
    assert (run_directory(tmp_path) / "chunks" / "c0001" / "frame_000000.jpg").exists()


def test_a_second_run_of_a_composition_pushes_nothing(tmp_path: Path, servers: list[Sshd]) -> None:
    hosts = hosts_toml(tmp_path, servers[:1])
    for run in ("first", "second"):
        home = tmp_path / run
        home.mkdir()
        assert fleetrender(home, "run", BARCODE, "--hosts", hosts, "--frames", "0:30").code == 0
    assert [event["blobs"] for event in logged(tmp_path / "second", "bundle.pushed")] == [0]


def test_one_host_and_two_local_workers_make_the_same_video(
    tmp_path: Path, servers: list[Sshd], reference: str
) -> None:
    hosts = hosts_toml(tmp_path, servers[:1])
    over_ssh = fleetrender(tmp_path, "run", BARCODE, "--hosts", hosts, "-o", "ssh.mp4", "--json")
    here = fleetrender(tmp_path, "run", BARCODE, "--workers", "2", "-o", "here.mp4", "--json")
    assert (over_ssh.code, here.code) == (0, 0), over_ssh.stderr + here.stderr
    assert over_ssh.result["sha256"] == here.result["sha256"] == reference


@pytest.mark.parametrize("harm", [Sshd.kill_sessions, kill_agent, kill_browser], ids=["session", "agent", "browser"])
def test_a_host_that_loses_something_mid_chunk_changes_nothing(
    tmp_path: Path, servers: list[Sshd], reference: str, harm: Callable[[Sshd], None]
) -> None:
    hosts = hosts_toml(tmp_path, servers)
    running = start(tmp_path, BARCODE, "--hosts", hosts, "-o", "out.mp4", "--workers", "1", "--json")
    host = running.wait_for("", "chunk.captured")  # which one that is, the schedule decides
    harm(next(server for server in servers if server.name == host))
    stdout, stderr = running.process.communicate(timeout=RENDER_TIMEOUT_S)
    assert running.process.returncode == 0, stderr
    assert json.loads(stdout)["sha256"] == reference
    check_left(tmp_path, servers)


def test_an_interrupted_run_leaves_no_process_and_goes_on_with_resume(
    tmp_path: Path, servers: list[Sshd], reference: str
) -> None:
    hosts = hosts_toml(tmp_path, servers[:2])
    arguments = (BARCODE, "--hosts", hosts, "-o", "out.mp4", "--workers", "1")
    running = start(tmp_path, *arguments)
    running.wait_for("", "chunk.verified")
    running.process.send_signal(signal.SIGINT)
    _, stderr = running.process.communicate(timeout=60)
    assert running.process.returncode == 130, stderr
    assert "--resume" in stderr
    assert stderr.count("Ctrl+C again ends it at once") == 1
    check_left(tmp_path, servers[:2])
    kept = sum(len(event["frames"]) for event in logged(tmp_path, "chunk.verified"))
    assert kept == sum(event["count"] for event in logged(tmp_path, "chunk.captured"))
    assert kept < FRAMES
    ended = fleetrender(tmp_path, "run", *arguments, "--resume", "--json")
    assert ended.code == 0, ended.stderr
    assert ended.result["sha256"] == reference
    assert sum(len(event["frames"]) for event in logged(tmp_path, "chunk.verified")) == FRAMES
    assert kept > 0


def test_a_killed_coordinator_leaves_no_process_and_goes_on_with_resume(
    tmp_path: Path, servers: list[Sshd], reference: str
) -> None:
    hosts = hosts_toml(tmp_path, servers[:1])
    arguments = (BARCODE, "--hosts", hosts, "-o", "out.mp4")
    running = start(tmp_path, *arguments)
    running.wait_for("r4", "chunk.verified")
    running.process.kill()
    running.process.communicate(timeout=60)
    assert wait_until_empty(servers[0]) == []
    ended = fleetrender(tmp_path, "run", *arguments, "--resume", "--json")
    assert ended.code == 0, ended.stderr
    assert ended.result["sha256"] == reference
    check_left(tmp_path, servers[:1])


def test_a_host_that_comes_back_within_its_time_goes_on(tmp_path: Path, servers: list[Sshd], reference: str) -> None:
    running = start(tmp_path, BARCODE, "--hosts", hosts_toml(tmp_path, servers[:1]), "-o", "out.mp4", "--json")
    running.wait_for("r4", "chunk.verified")
    servers[0].stop()
    running.wait_for("r4", "host.lost")
    servers[0].launch()
    stdout, stderr = running.process.communicate(timeout=RENDER_TIMEOUT_S)
    assert running.process.returncode == 0, stderr
    assert json.loads(stdout)["sha256"] == reference
    check_left(tmp_path, servers[:1])


def test_when_all_hosts_are_lost_the_run_can_be_resumed(tmp_path: Path, servers: list[Sshd], reference: str) -> None:
    hosts = hosts_toml(tmp_path, servers[:1])
    arguments = (BARCODE, "--hosts", hosts, "-o", "out.mp4")
    running = start(tmp_path, *arguments)
    running.wait_for("r4", "chunk.verified")
    identity = servers[0].identity.read_bytes()
    servers[0].identity.write_bytes(servers[1].identity.read_bytes())  # no way back in: refused, so not tried again
    try:
        servers[0].kill_sessions()
        _, stderr = running.process.communicate(timeout=RENDER_TIMEOUT_S)
    finally:
        servers[0].identity.write_bytes(identity)
    assert running.process.returncode == 5, stderr
    assert "--resume" in stderr
    assert wait_until_empty(servers[0]) == []
    ended = fleetrender(tmp_path, "run", *arguments, "--resume", "--json")
    assert ended.code == 0, ended.stderr
    assert ended.result["sha256"] == reference
    check_left(tmp_path, servers[:1])


def test_a_failed_run_leaves_the_earlier_output(tmp_path: Path, servers: list[Sshd]) -> None:
    hosts = hosts_toml(tmp_path, servers[:1], chromium='"/nonexistent/chromium"')
    (tmp_path / "out.mp4").write_bytes(b"earlier")
    ended = fleetrender(tmp_path, "run", BARCODE, "--hosts", hosts, "-o", "out.mp4")
    assert ended.code == 5
    assert "correct `chromium`" in ended.stderr
    assert (tmp_path / "out.mp4").read_bytes() == b"earlier"
    check_left(tmp_path, servers[:1])


def refused(tmp_path: Path, hosts: Path) -> tuple[int, str]:
    ended = fleetrender(tmp_path, "run", BARCODE, "--hosts", hosts, "--frames", "0:10", "-o", "out.mp4")
    assert not (tmp_path / "out.mp4").exists()
    assert "Traceback" not in ended.stderr
    return ended.code, ended.stderr


def test_an_unknown_host_key_is_refused_and_says_how_to_trust_it(tmp_path: Path, servers: list[Sshd]) -> None:
    hosts = hosts_toml(tmp_path, servers[:1])
    (tmp_path / "hosts.known_hosts").unlink()
    code, said = refused(tmp_path, hosts)
    assert code == 5
    assert "hosts trust" in said


def test_a_changed_host_key_is_refused_and_shows_both_fingerprints(tmp_path: Path, servers: list[Sshd]) -> None:
    hosts = hosts_toml(tmp_path, servers[:1])
    known = tmp_path / "hosts.known_hosts"
    other = servers[1].known_hosts_line.split(maxsplit=1)[1]
    known.write_text(f"{servers[0].known_hosts_line.split()[0]} {other}\n")
    code, said = refused(tmp_path, hosts)
    assert code == 5
    assert len(set(re.findall(r"SHA256:\S+", said))) == 2
    assert "--replace" in said


def test_a_wrong_user_key_is_refused_and_names_user_and_key(tmp_path: Path, servers: list[Sshd]) -> None:
    hosts = hosts_toml(tmp_path, servers[:1])
    hosts.write_text(hosts.read_text().replace(str(servers[0].identity), str(servers[1].identity)))
    code, said = refused(tmp_path, hosts)
    assert code == 5
    assert servers[0].user in said
    assert str(servers[1].identity) in said


def test_a_host_that_is_down_is_worth_trying_later(tmp_path: Path, servers: list[Sshd]) -> None:
    hosts = hosts_toml(tmp_path, servers[:1])
    hosts.write_text(hosts.read_text().replace(f"port = {servers[0].port}", "port = 1"))
    code, said = refused(tmp_path, hosts)
    assert code == 75
    assert "refused" in said


def test_a_host_without_rsync_is_named(tmp_path: Path, servers: list[Sshd]) -> None:
    code, said = refused(tmp_path, hosts_toml(tmp_path, servers[:1], rsync='"/nonexistent/rsync"'))
    assert code == 5
    assert "rsync" in said


def test_a_host_with_an_old_python_is_told_which_version_is_needed(tmp_path: Path, servers: list[Sshd]) -> None:
    old = servers[0].home / "python3.7"
    old.write_text("#!/bin/sh\necho 'Python 3.7.3'; echo 'SyntaxError: invalid syntax' >&2; exit 1\n")
    old.chmod(0o755)
    code, said = refused(tmp_path, hosts_toml(tmp_path, servers[:1], python=f'"{old}"'))
    assert code == 5
    assert "3.11" in said


def test_a_noisy_bashrc_disturbs_nothing(tmp_path: Path, servers: list[Sshd]) -> None:
    bashrc = servers[0].home / ".bashrc"
    bashrc.write_text('echo welcome; echo \'{"t":"granted"}\'; echo more >&2\n')
    try:
        ended = fleetrender(
            tmp_path, "run", BARCODE, "-H", hosts_toml(tmp_path, servers[:1]), "--frames", "40:70", "-o", "out.mp4"
        )
    finally:
        bashrc.write_text("")
    assert ended.code == 0, ended.stderr
    assert barcode.read_file(tmp_path / "out.mp4") == list(range(40, 70))


def test_two_runs_do_not_share_a_host_silently(tmp_path: Path, servers: list[Sshd]) -> None:
    hosts = hosts_toml(tmp_path, servers[:1])
    first = tmp_path / "first"
    second = tmp_path / "second"
    first.mkdir()
    second.mkdir()
    running = start(first, BARCODE, "--hosts", hosts, "-o", "out.mp4", "--workers", "1")
    running.wait_for("r4", "chunk.started")
    running.process.send_signal(signal.SIGSTOP)  # it holds its host until the lease ends, and cannot be done meanwhile
    ended = fleetrender(second, "run", BARCODE, "--hosts", hosts, "-o", "out.mp4")
    running.process.send_signal(signal.SIGCONT)
    running.process.send_signal(signal.SIGTERM)
    running.process.communicate(timeout=60)
    assert running.process.returncode == 143
    assert ended.code == 5
    assert "is rendering for" in ended.stderr
    assert wait_until_empty(servers[0]) == []
