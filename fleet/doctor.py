"""This machine as the coordinator: which tools are here, and what of them is missing.

`gather` looks, `judge` is pure. What this machine is as a host is asked of its agent, like any other host's.
"""

import os
import platform
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fleet import checks, hosts, programs, rundir
from fleet.formats import FORMATS
from fleet.model import Finding, Severity

TOOL_S = 10.0  # `--version` is immediate; a tool on a dead network mount must not hang the doctor
NEEDED = FORMATS["mp4"].encoders
ENCODERS = tuple(dict.fromkeys(encoder for row in FORMATS.values() for encoder in row.encoders))
FFMPEG_MIN = (4, 3)  # the oldest with everything our command lines say; Debian 11 has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A program of this machine; `said` is the first line about its version."""

    path: str
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Coordinator:
    """What is here; None is not found."""

    python: str
    ffmpeg: Tool | None
    ffprobe: Tool | None
    encoders: tuple[str, ...]  # those of ENCODERS that FFmpeg has
    rsync: Tool | None
    npm: Tool | None
    state_directory: str
    state_problem: str = ""  # why nothing can be written there
    known_hosts: str | None = None  # of the hosts file, when there is one
    known_hosts_mode: int | None = None  # None: not there yet


def gather(known_hosts: str | None = None, state_directory: Path | None = None) -> Coordinator:
    """Looks around on this machine; starts a few programs and ends them."""
    state = state_directory or rundir.state_root()
    ffmpeg = _tool("ffmpeg", "-version")
    return Coordinator(
        python=platform.python_version(),
        ffmpeg=ffmpeg,
        ffprobe=_tool("ffprobe", "-version"),
        encoders=_encoders(ffmpeg.path) if ffmpeg else (),
        rsync=_tool("rsync", "--version"),
        npm=_tool("npm", "--version"),
        state_directory=str(state),
        state_problem=_state_problem(state),
        known_hosts=known_hosts,
        known_hosts_mode=_mode(known_hosts) if known_hosts else None,
    )


def judge(found: Coordinator) -> tuple[Finding, ...]:
    """What is wrong with this machine as a coordinator. Pure."""
    return (*_judge_ffmpeg(found), *_judge_tools(found), *_judge_files(found))


def _judge_ffmpeg(found: Coordinator) -> Iterator[Finding]:
    install = "apt-get install ffmpeg"
    if found.ffmpeg is None:
        yield _finding(Severity.ERROR, "ffmpeg-missing", "no ffmpeg: frames cannot become a video", install)
        return
    if found.ffprobe is None:
        yield _finding(Severity.ERROR, "ffprobe-missing", "no ffprobe: a video cannot be verified", install)
    if checks.version(found.ffmpeg.said) < FFMPEG_MIN and checks.version(found.ffmpeg.said):
        message = f"{found.ffmpeg.said}: older than 4.3, the oldest that is tried"
        yield _finding(Severity.WARNING, "ffmpeg-old", message, install)
    for encoder in ENCODERS:
        if encoder not in found.encoders:
            message = f"{found.ffmpeg.path} has no encoder {encoder}"
            remedy = "install a full build: apt-get install ffmpeg (on Fedora the one from RPM Fusion)"
            severity = Severity.ERROR if encoder in NEEDED else Severity.WARNING
            lost = ", ".join(name for name, row in FORMATS.items() if encoder in row.encoders)
            yield _finding(severity, "encoder-missing", f"{message}: no {lost}", remedy)


def _judge_tools(found: Coordinator) -> Iterator[Finding]:
    if found.rsync is None:
        message = "no rsync: only this machine itself can render"
        yield _finding(Severity.WARNING, "rsync-missing", message, "apt-get install rsync")
    elif checks.version(found.rsync.said) < checks.RSYNC_MIN:
        message = f"{found.rsync.said or found.rsync.path}: before 3.4.0 it has known security holes"
        remedy = "upgrade it, unless the distribution has patched it: apt-get install --only-upgrade rsync"
        yield _finding(Severity.WARNING, "rsync-old", message, remedy)
    if found.npm is None:
        message = "no npm: scripts from CDNs come by direct download only"
        yield _finding(Severity.NOTE, "npm-missing", message, "apt-get install npm")


def _judge_files(found: Coordinator) -> Iterator[Finding]:
    if found.state_problem:
        message = f"runs cannot be kept in {found.state_directory}: {found.state_problem}"
        remedy = "make it writable, or set FLEETRENDER_STATE to another directory"
        yield _finding(Severity.ERROR, "state-unwritable", message, remedy)
    if found.known_hosts is None:
        return
    if found.known_hosts_mode is None:
        message = f"no host is trusted yet: {found.known_hosts} is not there"
        yield _finding(Severity.WARNING, "known-hosts-missing", message, "fleetrender hosts trust")
    elif found.known_hosts_mode & (stat.S_IWGRP | stat.S_IWOTH):
        message = f"others may write {found.known_hosts}, which says whom we trust"
        yield _finding(Severity.ERROR, "known-hosts-open", message, f"chmod go-w {found.known_hosts}")


def _finding(severity: Severity, code: str, message: str, remedy: str) -> Finding:
    return Finding(severity=severity, code=code, message=message, remedy=remedy, where=hosts.LOCAL.name)


def _tool(name: str, question: str) -> Tool | None:
    path = shutil.which(name)
    if path is None:
        return None
    lines = _output(path, question).splitlines()
    return Tool(path=path, said=lines[0].strip() if lines else "")


def _encoders(ffmpeg: str) -> tuple[str, ...]:
    listed = programs.encoders(_output(ffmpeg, "-hide_banner", "-encoders"))
    return tuple(encoder for encoder in ENCODERS if encoder in listed)


def _output(*argv: str) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, stdin=subprocess.DEVNULL, timeout=TOOL_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode(errors="replace")


def _state_problem(directory: Path) -> str:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(b"\0")
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return ""


def _mode(path: str) -> int | None:
    try:
        return stat.S_IMODE(os.stat(path).st_mode)  # noqa: PTH116  # a name, not a path we work on
    except OSError:
        return None
