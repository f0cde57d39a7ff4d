"""Renders on real SSH hosts, from outside: starts them, follows their events, and looks at what they leave."""

import fcntl
import json
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sshd
from fleetrender_support import EXAMPLES, RENDER_TIMEOUT_S, ROOT, command, environment
from sshd import Sshd

FRAMES = 300
BARCODE = EXAMPLES / "barcode"
# What a host may take to notice that its coordinator, or its connection, is gone.
DEATH_S = 5.0


def hosts_toml(directory: Path, servers: list[Sshd], **values: str) -> Path:
    """A hosts.toml with the servers' keys trusted; `values` are more keys of each host, as TOML."""
    more = "".join(f"{key} = {value}\n" for key, value in values.items())
    tables = [
        f'[[host]]\nname = "{server.name}"\naddress = "{server.address}"\nport = {server.port}\n'
        f'user = "{server.user}"\nidentity = "{server.identity}"\n{more}'
        for server in servers
    ]
    path = directory / "hosts.toml"
    path.write_text("version = 1\n" + "\n".join(tables))
    path.with_name("hosts.known_hosts").write_text("".join(f"{server.known_hosts_line}\n" for server in servers))
    return path


def run_directory(home: Path) -> Path:
    """The only run's; a render that was killed before it logged anything has left nothing to resume."""
    (log,) = (log for log in (home / "state" / "runs").glob("*/events.jsonl") if log.stat().st_size)
    return log.parent


def logged(home: Path, kind: str) -> list[dict[str, Any]]:
    lines = (run_directory(home) / "events.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["type"] == kind]


@dataclass(frozen=True, slots=True)
class Running:
    """A render under way, followed by its events."""

    process: "subprocess.Popen[str]"
    events: Path

    def seen(self) -> list[dict[str, Any]]:
        """All events so far."""
        lines = self.events.read_text().splitlines(keepends=True) if self.events.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def wait_for(self, host: str, kind: str) -> str:
        """Returns when the event has been logged for the host; "" is any, or none. The host that it was logged for."""
        deadline = time.monotonic() + RENDER_TIMEOUT_S
        while time.monotonic() < deadline:
            has_ended = self.process.poll() is not None  # asked first: the last events come before the end
            for event in self.seen():
                if event["type"] == kind and host in ("", event.get("host")):
                    return str(event.get("host", ""))
            assert not has_ended, self.process.communicate()[1]
            time.sleep(0.02)
        raise AssertionError(f"{kind} of {host} never came")


def start(home: Path, *arguments: str | Path) -> Running:
    events = home / "followed.jsonl"
    events.unlink(missing_ok=True)
    process = subprocess.Popen(
        command("run", *arguments, "--events", events),
        cwd=home,
        env=environment(home) | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return Running(process, events)


def cmdline(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def kill_agent(server: Sshd) -> None:
    for pid in server.processes():
        if " agent" in cmdline(pid):
            sshd.kill(pid)


def kill_local_agent(workspace: Path) -> None:
    """Kills the agent of a host that is this machine, by where it works."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    agents = [pid for pid in pids if f" agent --workspace {workspace} " in f"{cmdline(pid)} "]
    assert agents
    sshd.kill(agents[0])


def kill_browser(server: Sshd) -> None:
    browsers = _browsers(server.processes())
    assert browsers
    sshd.kill(browsers[0])


def freeze_browsers(home: Path) -> None:
    """Stops every browser of the local renders whose home is `home`: what is under way does not end by itself."""
    browsers = _browsers(_of(home))
    assert browsers
    for pid in browsers:
        sshd.kill(pid, signal.SIGSTOP)


def _browsers(pids: Iterable[int]) -> list[int]:
    """The main process of each browser; the others have a type."""
    lines = {pid: cmdline(pid) for pid in pids}
    return [pid for pid, line in lines.items() if "--remote-debugging-pipe" in line and "--type=" not in line]


def wait_until_empty(server: Sshd) -> list[str]:
    """What the host's user still runs after the time that it may take to die."""
    deadline = time.monotonic() + DEATH_S
    while server.processes() and time.monotonic() < deadline:
        time.sleep(0.05)
    return [cmdline(pid) for pid in server.processes()]


def check_left(home: Path, servers: Sequence[Sshd]) -> None:
    """Of the renders whose home is `home`, no process is left anywhere, no lock held, and no file half written."""
    assert [wait_until_empty(server) for server in servers] == [[] for _ in servers]
    assert left_of(home) == []
    assert half_written(home) == []
    for server in servers:
        for lock in server.home.glob(".cache/fleetrender/*/host.lock"):
            with lock.open() as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def half_written(home: Path) -> list[str]:
    """Files that a render made for a while, next to its output and in its run directory."""
    patterns = ("out.mp4?*", "state/**/*.part*", "state/**/rsh-*", "state/**/push-*", "state/**/quarantine/*")
    return [str(path.relative_to(home)) for pattern in patterns for path in home.glob(pattern)]


def left_of(home: Path) -> list[str]:
    """What still runs here of the renders whose home is `home`, after the time that it may take to die."""
    deadline = time.monotonic() + DEATH_S
    while (pids := _of(home)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return [cmdline(pid) for pid in pids]


def _of(home: Path) -> list[int]:
    """Processes whose home this is, or who were started with a path below it."""
    mark = f"HOME={home}".encode()
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if mark in _environment(pid) or f"{home}/" in cmdline(pid)]


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []
