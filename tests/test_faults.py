"""What can befall a fleet in mid-run, on real SSH hosts: the run completes, or ends in time with the right exit code.

docs/reliability.md lists all faults with their tests; here are those that no other module has. Some take long or need
control groups: `FLEETRENDER_FAULTS=all` runs them, too.
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import agent_support
import barcode
import hostile_support as hostile
import pytest
import relay
import sshd
from fleet_support import (
    BARCODE,
    Running,
    check_left,
    cmdline,
    hosts_toml,
    left_of,
    run_directory,
    start,
    wait_until_empty,
)
from fleetrender_support import RENDER_TIMEOUT_S, fleetrender
from sshd import Sshd

from fleet import render, request
from fleet.stealing import STEAL_COST_S

pytestmark = [
    pytest.mark.sshd,
    pytest.mark.browser,
    pytest.mark.ffmpeg,
    pytest.mark.skipif(not sshd.IS_AVAILABLE, reason=sshd.WHY_NOT),
]

by_hand = pytest.mark.skipif(os.environ.get("FLEETRENDER_FAULTS") != "all", reason="run with FLEETRENDER_FAULTS=all")
FRAMES = 240
# A silent connection is given up after three of these.
KEEPALIVE = {"keepalive": '"1s x 3"'}


@pytest.fixture(scope="module")
def servers() -> Iterator[list[Sshd]]:
    with sshd.start(number=14) as first, sshd.start(number=15) as second:
        yield [first, second]


def begin(home: Path, hosts: Path, frames: int = FRAMES) -> Running:
    return start(
        home, BARCODE, "--hosts", hosts, "--frames", f"0:{frames}", "-o", "out.mp4", "--workers", "1", "--json"
    )


def check(home: Path, running: Running, servers: Sequence[Sshd], frames: int = FRAMES) -> list[str]:
    """The run ends well, its frames are right, and nothing is left of it anywhere; the kinds of its events."""
    _, stderr = running.process.communicate(timeout=RENDER_TIMEOUT_S)
    assert running.process.returncode == 0, stderr
    assert barcode.read_file(home / "out.mp4") == list(range(frames))
    check_left(home, servers)
    return [event["type"] for event in running.seen()]


def trust(home: Path, server: Sshd, name: str) -> None:
    """Makes the server's key known under another name, too."""
    with (home / "hosts.known_hosts").open("a") as file:
        file.write(server.known_hosts_line.replace(f"fleet-{server.name}", f"fleet-{name}") + "\n")


def harm(server: Sshd, number: int) -> None:
    harmed: set[int] = set()
    while found := set(server.processes()) - harmed:  # one may have begun another meanwhile
        for pid in found:
            sshd.kill(pid, number)
        harmed |= found


def first(running: Running, kind: str, servers: Sequence[Sshd]) -> Sshd:
    """The host that is first to do something: it may have done all before another has begun."""
    name = running.wait_for("", kind)
    return next(server for server in servers if server.name == name)


def test_a_host_that_freezes_is_replaced_and_thaws_without_harm(tmp_path: Path, servers: list[Sshd]) -> None:
    running = begin(tmp_path, hosts_toml(tmp_path, servers, **KEEPALIVE))
    frozen = first(running, "chunk.captured", servers)
    harm(frozen, signal.SIGSTOP)
    frozen.kill_sessions(signal.SIGSTOP)
    try:
        running.wait_for(frozen.name, "host.lost")
    finally:
        frozen.kill_sessions(signal.SIGCONT)
        harm(frozen, signal.SIGCONT)
    assert "host.lost" in check(tmp_path, running, servers)


def test_a_host_without_power_is_replaced(tmp_path: Path, servers: list[Sshd]) -> None:
    running = begin(tmp_path, hosts_toml(tmp_path, servers))
    dead = first(running, "chunk.captured", servers)
    try:
        dead.stop()
        harm(dead, signal.SIGKILL)
        assert "host.lost" in check(tmp_path, running, servers)
    finally:
        dead.launch()


def test_a_link_that_falls_silent_and_comes_back_ends_the_same_chunk(tmp_path: Path, servers: list[Sshd]) -> None:
    with relay.opened(servers[0]) as link:
        running = begin(tmp_path, hosts_toml(tmp_path, [link.host], **KEEPALIVE))
        running.wait_for("r14", "chunk.captured")
        link.silence()
        running.wait_for("r14", "host.lost")
        link.heal()
        check(tmp_path, running, servers[:1])
    ordered = [(event["chunk"], event["attempt"]) for event in running.seen() if event["type"] == "chunk.ordered"]
    assert ordered == [("c0001", 1), ("c0001", 2)]


def test_a_slow_link_that_loses_packets_is_no_fault(tmp_path: Path, servers: list[Sshd]) -> None:
    frames = 40  # a journey is what takes long here
    with relay.opened(servers[0], delay_s=0.15, loss=0.01) as link:
        running = begin(tmp_path, hosts_toml(tmp_path, [link.host]), frames)
        kinds = check(tmp_path, running, servers[:1], frames)
    assert not {"host.lost", "chunk.failed"} & set(kinds)


def test_a_jump_host_that_dies_is_dialled_again(tmp_path: Path, servers: list[Sshd]) -> None:
    jump, inner = servers
    hosts = hosts_toml(tmp_path, [inner], jump='"bastion"')
    hosts.write_text(
        hosts.read_text() + f'\n[jump.bastion]\naddress = "{jump.address}"\nport = {jump.port}\nuser = "{jump.user}"\n'
        f'identity = "{jump.identity}"\n'
    )
    trust(tmp_path, jump, "bastion")
    running = begin(tmp_path, hosts)
    running.wait_for("r15", "chunk.captured")
    jump.kill_sessions()
    assert "host.lost" in check(tmp_path, running, servers)


@contextlib.contextmanager
def small_disk(server: Sshd) -> Iterator[Path]:
    """A file system of its own for the host's work directory."""
    path = server.directory / "disk"
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8g,mode=700", "none", path], capture_output=True).returncode:
        pytest.skip("cannot mount a file system here")
    try:
        shutil.chown(path, server.user, server.user)
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


def shrink(disk: Path) -> None:
    """Leaves room for less than a frame; what is written until every process stands still needs another look."""

    def try_to() -> bool:
        size_kib = shutil.disk_usage(disk).used // 1024 + 4
        return subprocess.run(["mount", "-o", f"remount,size={size_kib}k", disk], capture_output=True).returncode == 0

    agent_support.eventually(try_to, "the disk could be shrunk")


def test_a_host_whose_disk_fills_up_leaves_its_frames_to_others(tmp_path: Path, servers: list[Sshd]) -> None:
    frames = 300  # or the host has captured its own before anybody sees the first of them
    hosts = hosts_toml(tmp_path, servers)
    with contextlib.ExitStack() as stack:
        disks = {server.name: stack.enter_context(small_disk(server)) for server in servers}
        for name, disk in disks.items():
            hosts.write_text(hosts.read_text().replace(f'name = "{name}"', f'name = "{name}"\nworkdir = "{disk}"'))
        running = begin(tmp_path, hosts, frames)
        victim = first(running, "chunk.started", servers)
        harm(victim, signal.SIGSTOP)  # or it may have all its frames before the disk is full
        try:
            shrink(disks[victim.name])
        finally:
            harm(victim, signal.SIGCONT)
        check(tmp_path, running, servers, frames)
    failed = [event["fault"]["code"] for event in running.seen() if event["type"] == "chunk.failed"]
    assert "disk_full" in failed


def test_strict_servers_slow_shells_and_a_host_named_twice_are_put_up_with(tmp_path: Path, servers: list[Sshd]) -> None:
    settings = ["MaxSessions 1", "PermitTTY no", "DisableForwarding yes"]
    (servers[1].home / ".bashrc").write_text("sleep 2\n")
    try:
        with sshd.start(number=16, settings=settings) as strict:
            hosts = hosts_toml(tmp_path, [servers[1], strict, strict])
            hosts.write_text('name = "twin"'.join(hosts.read_text().rsplit('name = "r16"', 1)))
            trust(tmp_path, strict, "twin")
            running = begin(tmp_path, hosts)
            check(tmp_path, running, [servers[1], strict])
            verified = {event["host"] for event in running.seen() if event["type"] == "chunk.verified"}
            refused = [event["message"] for event in running.seen() if event["type"] == "host.refused"]
    finally:
        (servers[1].home / ".bashrc").write_text("")
    assert len(verified) == 2
    assert "r15" in verified
    assert any("is rendering for" in message for message in refused)


def test_two_machines_with_one_home_keep_apart(tmp_path: Path, servers: list[Sshd]) -> None:
    with sshd.start(number=16, beside=servers[0]) as second:
        running = begin(tmp_path, hosts_toml(tmp_path, [servers[0], second]))
        check(tmp_path, running, [servers[0], second])
        assert len(list(second.home.glob(".cache/fleetrender/*/host.lock"))) == 2
    assert {event["host"] for event in running.seen() if event["type"] == "chunk.verified"} == {"r14", "r16"}


def test_an_expired_certificate_is_a_refused_key(tmp_path: Path) -> None:
    ca = tmp_path / "ca"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", ca], check=True)
    with sshd.start(number=16, settings=[f"TrustedUserCAKeys {ca}.pub"]) as server:
        (server.directory / "authorized_keys").write_text("")
        public = server.identity.with_name("identity.pub")
        public.write_text(subprocess.check_output(["ssh-keygen", "-y", "-f", server.identity], text=True))
        sign = ["ssh-keygen", "-q", "-s", str(ca), "-I", "t", "-n", server.user, "-V", "-10m:-5m", str(public)]
        subprocess.run(sign, check=True)
        ended = fleetrender(
            tmp_path, "run", BARCODE, "-H", hosts_toml(tmp_path, [server]), "--frames", "0:10", "-o", "out.mp4"
        )
        check_left(tmp_path, [server])
    assert ended.code == 5
    assert server.user in ended.stderr
    assert not (tmp_path / "out.mp4").exists()


def fan_out(home: Path, count: int) -> None:
    with pytest.MonkeyPatch.context() as patch, hostile.agent(home) as agent:
        patch.setenv("FLEETRENDER_STATE", str(home / "state"))
        patch.setenv("FLEETRENDER_CACHE", str(home / "cache"))
        asked = request.Request(composition=hostile.composition(home / "c"), output=home / "out.mp4")
        prepared = render.prepare(asked)
        hosts = [hostile.local(home, f"h{number}") for number in range(count)]
        ended = asyncio.run(hostile.render_with(home, prepared, agent, hosts))
    assert ended.error is None
    assert ended.report["exit_code"] == 0
    assert left_of(home) == []


@pytest.mark.parametrize("count", [16, pytest.param(64, marks=by_hand)])
def test_many_hosts_with_tiny_chunks_end_together(tmp_path: Path, count: int) -> None:
    fan_out(tmp_path, count)


@contextlib.contextmanager
def cgroup(server: Sshd, controller: str, **limits: int) -> Iterator[Path]:
    """The server and all that it starts, in a control group (version 1) of their own."""
    group = Path("/sys/fs/cgroup", controller, f"frt-{server.user}")
    try:
        group.mkdir()
        for name, value in limits.items():
            (group / f"{controller}.{name}").write_text(str(value))
    except OSError as error:
        pytest.skip(f"no control group: {error}")
    assert server.process is not None
    (group / "cgroup.procs").write_text(str(server.process.pid))
    try:
        yield group
    finally:
        parent = group.parent / "cgroup.procs"
        for pid in (group / "cgroup.procs").read_text().split():
            parent.write_text(pid)
        group.rmdir()


def say(capsys: pytest.CaptureFixture[str], text: str) -> None:
    """Shows a measurement whatever pytest captures."""
    with capsys.disabled():
        print(f"\n{text}")


def frames_by(running: Running, host: str) -> int:
    verified = [event for event in running.seen() if event["type"] == "chunk.verified" and event["host"] == host]
    return sum(len(event["frames"]) for event in verified)


def wall_s(running: Running) -> float:
    return max(float(event["elapsed_s"]) for event in running.seen())


@by_hand
def test_a_host_with_a_tenth_of_a_core_holds_nobody_up(
    tmp_path: Path, servers: list[Sshd], capsys: pytest.CaptureFixture[str]
) -> None:
    with cgroup(servers[0], "cpu", cfs_quota_us=10_000):
        running = begin(tmp_path, hosts_toml(tmp_path, servers), 300)
        check(tmp_path, running, servers, 300)
    slow, fast = (frames_by(running, server.name) for server in servers)
    assert slow < fast
    say(capsys, f"a tenth of a core captured {slow} frames, a free host {fast}, in {wall_s(running):.1f} s")


@by_hand
def test_a_frozen_host_costs_the_time_to_notice_and_one_steal(
    tmp_path: Path, servers: list[Sshd], capsys: pytest.CaptureFixture[str]
) -> None:
    usual, frozen = tmp_path / "usual", tmp_path / "frozen"
    usual.mkdir()
    frozen.mkdir()
    undisturbed = begin(usual, hosts_toml(usual, servers, **KEEPALIVE), 300)
    check(usual, undisturbed, servers, 300)
    running = begin(frozen, hosts_toml(frozen, servers, **KEEPALIVE), 300)
    victim = first(running, "chunk.captured", servers)
    (other,) = (server.name for server in servers if server is not victim)
    harm(victim, signal.SIGSTOP)
    victim.kill_sessions(signal.SIGSTOP)
    began_s = time.monotonic()
    try:
        running.wait_for(victim.name, "host.lost")
        noticed_s = time.monotonic() - began_s
        running.process.wait(RENDER_TIMEOUT_S)
    finally:
        victim.kill_sessions(signal.SIGCONT)
        harm(victim, signal.SIGCONT)
    check(frozen, running, servers, 300)
    seen = running.seen()
    lost_at = next(place for place, event in enumerate(seen) if event["type"] == "host.lost")
    begun_s = next(event["elapsed_s"] for event in seen if event["type"] == "chunk.started" and event["host"] == other)
    after = sum(len(event["frames"]) for event in seen[lost_at:] if event["type"] == "chunk.verified")
    ended_s = max(event["elapsed_s"] for event in seen if event["type"] == "chunk.verified")
    captured_s = frames_by(running, other) / (ended_s - begun_s)
    cost_s, steal_s = wall_s(running) - wall_s(undisturbed), STEAL_COST_S + after / captured_s
    say(
        capsys,
        f"undisturbed {wall_s(undisturbed):.1f} s, with a frozen host {wall_s(running):.1f} s: {cost_s:.1f} s more; "
        f"noticed after {noticed_s:.1f} s; {after} frames at {captured_s:.0f}/s and one steal are {steal_s:.1f} s",
    )
    assert cost_s <= noticed_s + steal_s


@by_hand
def test_a_host_without_memory_for_a_browser_leaves_its_frames_to_others(tmp_path: Path, servers: list[Sshd]) -> None:
    with cgroup(servers[0], "memory", limit_in_bytes=120 << 20):
        check(tmp_path, begin(tmp_path, hosts_toml(tmp_path, servers)), servers)


def tighten(group: Path) -> None:
    """Leaves a control group next to no memory beyond what it uses."""
    for _ in range(100):
        used_bytes = int((group / "memory.usage_in_bytes").read_text())
        with contextlib.suppress(OSError):  # it has grown meanwhile
            (group / "memory.limit_in_bytes").write_text(str(used_bytes + (1 << 20)))
            return
    raise AssertionError("the limit could not be set")


@by_hand
def test_a_host_whose_memory_runs_out_in_mid_chunk_starts_what_was_killed_anew(
    tmp_path: Path, servers: list[Sshd], capsys: pytest.CaptureFixture[str]
) -> None:
    with cgroup(servers[0], "memory") as group:
        running = begin(tmp_path, hosts_toml(tmp_path, servers), 300)
        running.wait_for("r14", "chunk.captured")
        harm(servers[0], signal.SIGSTOP)
        tighten(group)
        harm(servers[0], signal.SIGCONT)
        check(tmp_path, running, servers, 300)
        (killed,) = re.findall(r"^oom_kill (\d+)$", (group / "memory.oom_control").read_text(), re.MULTILINE)
    assert int(killed) > 0
    say(
        capsys, f"the kernel killed {killed} processes for memory; the host captured {frames_by(running, 'r14')} frames"
    )


@by_hand
def test_a_host_cut_off_for_ever_ends_its_processes_within_the_lease(tmp_path: Path, servers: list[Sshd]) -> None:
    with relay.opened(servers[0]) as link:
        running = begin(tmp_path, hosts_toml(tmp_path, [link.host, servers[1]], **KEEPALIVE))
        running.wait_for("r14", "chunk.captured")
        link.silence()
        _, stderr = running.process.communicate(timeout=RENDER_TIMEOUT_S)
        assert running.process.returncode == 0, stderr
        for _ in range(12):  # the lease is 45 s
            if not wait_until_empty(servers[0]):
                break
        assert [cmdline(pid) for pid in servers[0].processes()] == []
    assert json.loads((run_directory(tmp_path) / "report.json").read_text())
