"""Asks a running render, from another process, to let go of a host: a request file in the run's directory.

The coordinator looks at its own directory once a second and takes requests out. Whoever asked sees by that that
somebody is there.
"""

import time
from collections.abc import Collection
from pathlib import Path

from fleet import errors

# A coordinator looks every second; one that is busy hashing frames may need a few.
ANSWER_S = 15.0
PREFIX = "drain."
LINE_BYTES_MAX = 64 * 1024  # the last line of a run is a short one


def ask(root: Path, host: str, *, wait_s: float = ANSWER_S) -> None:
    """Asks the run under `root` that uses `host`, and returns when it took the request. ConfigError when none did."""
    asked = [_request(directory, host) for directory in _unfinished(root)] if Path(host).name == host else []
    deadline = time.monotonic() + wait_s
    while asked and all(path.exists() for path in asked) and time.monotonic() < deadline:
        time.sleep(0.1)
    ignored = [path for path in asked if path.exists()]
    for path in ignored:
        path.unlink(missing_ok=True)
    if len(ignored) == len(asked):
        raise errors.ConfigError(
            f"{host}: no run on this machine uses such a host",
            remedy="type the host's name as the run shows it, on the machine where the run was started",
        )


def taken(directory: Path, hosts: Collection[str]) -> list[str]:
    """Those of `hosts` that the run of `directory` was asked to let go of since the last call."""
    found = {path.name.removeprefix(PREFIX): path for path in directory.glob(f"{PREFIX}*")}
    names = sorted(found.keys() & set(hosts))
    for name in names:
        found[name].unlink(missing_ok=True)
    return names


def _request(directory: Path, host: str) -> Path:
    part = directory / f".{PREFIX}{host}.part"
    part.touch(mode=0o600)
    return part.replace(directory / f"{PREFIX}{host}")


def _unfinished(root: Path) -> list[Path]:
    """Directories of runs that have not said how they ended: those that go on, and those that crashed."""
    return [log.parent for log in (root / "runs").glob("*/events.jsonl") if b'"run.finished"' not in _last_line(log)]


def _last_line(log: Path) -> bytes:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LINE_BYTES_MAX))
        return file.read().rstrip(b"\n").rpartition(b"\n")[2]
