"""The processes below this one: how they die with it, and how those that an earlier run left behind are found.

Linux only. Works without privileges, cgroups or process groups, because a browser's helpers leave their group.
"""

import contextlib
import ctypes
import os
import signal
import time
from pathlib import Path
from typing import NoReturn

# In the environment of every process that an agent starts; the sweep of the next run looks for them.
RUN_VARIABLE = "FLEETRENDER_RUN"
WORKSPACE_VARIABLE = "FLEETRENDER_WORKSPACE"

TERM_GRACE_S = 1.0  # lets a browser close its profile; nothing of ours needs the time
KILL_LIMIT_S = 3.0  # a process in uninterruptible sleep outlives SIGKILL: report it rather than wait for it
_POLL_S = 0.02
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> None:
    """Makes orphaned descendants children of this process instead of init's, so that no daemon can escape."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int, death_signal: signal.Signals = signal.SIGKILL) -> None:
    """Sends `death_signal` to this process when `parent`, its parent, dies; exits now if it has died already."""
    _prctl(_PR_SET_PDEATHSIG, death_signal)
    if os.getppid() != parent:
        os._exit(1)


def guard() -> None:
    """Continues in a child; the parent outlives it, kills all it left behind and exits with its status.

    So a killed agent (OOM killer, SIGKILL) takes its browsers along, daemons included. Call before any thread starts.
    """
    become_subreaper()
    parent = os.getpid()
    child = os.fork()
    if child:
        _stand_guard(child)
    os.setsid()  # Ctrl-C in a terminal is for the coordinator, which decides what happens to the work
    become_subreaper()
    die_with_parent(parent, signal.SIGTERM)


def _stand_guard(child: int) -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # The wire belongs to the child alone: its end must be visible as end of file at the other side.
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)
    _, status = os.waitpid(child, 0)
    kill_all()
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def descendants(pid: int) -> list[int]:
    """Living processes below `pid`, parents before children."""
    children: dict[int, list[int]] = {}
    for child, (parent, state) in _processes().items():
        if state != "Z":
            children.setdefault(parent, []).append(child)
    found = [pid]
    for parent in found:
        found.extend(children.get(parent, ()))
    return found[1:]


def kill(pid: int) -> None:
    """SIGKILL for `pid` and everything below it, at once; whoever started `pid` reaps it."""
    below = descendants(pid)
    _send(pid, signal.SIGKILL)
    for child in below:
        _send(child, signal.SIGKILL)


def kill_all() -> list[int]:
    """Ends every descendant of this process: SIGTERM, then SIGKILL. Returns those that would not die in time.

    Reaps children that others might be waiting for, so it is only for a process that is about to exit.
    """
    deadline = time.monotonic() + TERM_GRACE_S
    for pid in descendants(os.getpid()):
        _send(pid, signal.SIGTERM)
    _reap_until_alone(deadline)
    deadline = time.monotonic() + KILL_LIMIT_S
    while (left := descendants(os.getpid())) and time.monotonic() < deadline:
        for pid in left:
            _send(pid, signal.SIGKILL)
        _reap_until_alone(min(deadline, time.monotonic() + 0.2))
    return left


def kill_adopted(known: set[int]) -> None:
    """Kills and reaps children of this process that are not in `known`: orphans that a dead worker left to us."""
    for pid, (parent, _) in _processes().items():
        if parent == os.getpid() and pid not in known:
            kill(pid)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def sweep(workspace: str) -> list[int]:
    """Kills what earlier agents of `workspace` left running; only for the holder of the workspace's lock."""
    mark = f"{WORKSPACE_VARIABLE}={workspace}".encode()
    ours = {os.getpid(), *descendants(os.getpid())}
    stale = [pid for pid in _processes() if pid not in ours and mark in _environment(pid)]
    for pid in stale:
        kill(pid)
    return stale


def _reap_until_alone(deadline: float) -> None:
    while True:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        if not descendants(os.getpid()) or time.monotonic() >= deadline:
            return
        time.sleep(_POLL_S)


def _processes() -> dict[int, tuple[int, str]]:
    """Every process that can be seen: pid to parent and state."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name in parentheses may hold spaces and parentheses itself.
            fields = stat.read_bytes().rpartition(b")")[2].split()
            found[int(stat.parent.name)] = (int(fields[1]), fields[0].decode())
    return found


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # gone, another user's, or a sandboxed renderer, whose parent is readable
        return []


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")
