"""Local programs that are certain to end: bounded time, own process group, killed when this process dies.

FFmpeg and ffprobe are found here too. What their output means is not decided here.
"""

import asyncio
import contextlib
import functools
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fleet.errors import ConfigError, DeadlineError, FleetError

INSTALL_FFMPEG = (
    "install a full FFmpeg: `apt install ffmpeg` (Debian, Ubuntu), `dnf install ffmpeg` from RPM Fusion "
    "(Fedora), `pacman -S ffmpeg` (Arch), `apk add ffmpeg` (Alpine), `brew install ffmpeg` (macOS)"
)
# Enough for FFmpeg's last words; a broken input can make it say the same thing a million times.
STDERR_TAIL_BYTES = 4096
_DISK_CAUSES = ("No space left on device", "Permission denied", "Read-only file system", "Disk quota exceeded")
# ffprobe says up to 20 bytes for each packet of a file: more than a day of frames.
STDOUT_LIMIT_BYTES = 64 * 1024 * 1024
# Runs the program with PR_SET_PDEATHSIG where util-linux' setpriv is missing. A preexec_fn would do the same in this
# process, but Python runs it between fork and exec, where a lock of another thread can hang it.
_TRAMPOLINE = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); "
    "os.getppid() == int(sys.argv[1]) or sys.exit(1); os.execv(sys.argv[2], sys.argv[2:])"
)


@dataclass(frozen=True, slots=True)
class FFmpeg:
    """Absolute paths of the two programs."""

    ffmpeg: str
    ffprobe: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a program ended; negative `code` is a signal."""

    argv: tuple[str, ...]
    code: int
    stdout: bytes
    stderr: str  # its tail

    def require(self, what: str) -> None:
        """Raises the error that says `what` failed, if it did."""
        if self.code:
            raise self.error(what)

    def error(self, what: str) -> FleetError:
        """The error that says `what` failed, with command line and last words."""
        said = self.stderr.strip() or ("no message" if self.code >= 0 else f"killed by {_signal_name(-self.code)}")
        message = f"{what}: {Path(self.argv[0]).name} ended with {self.code}: {said}"
        if any(cause in self.stderr for cause in _DISK_CAUSES):
            return ConfigError(message, remedy="mend or free that disk, or choose another output with `--output`")
        if "Unknown encoder" in self.stderr:
            return ConfigError(message, remedy=INSTALL_FFMPEG)
        return FleetError(message, remedy="run again with `--resume`; the command was: " + " ".join(self.argv))


def find_ffmpeg() -> FFmpeg:
    """Where FFmpeg and ffprobe are; ConfigError says how to install them."""
    found = {name: shutil.which(name) for name in ("ffmpeg", "ffprobe")}
    if missing := [name for name, path in found.items() if path is None]:
        raise ConfigError(f"not on PATH: {', '.join(missing)}", remedy=INSTALL_FFMPEG)
    return FFmpeg(str(found["ffmpeg"]), str(found["ffprobe"]))


async def require_encoders(wanted: Iterable[str]) -> None:
    """ConfigError unless FFmpeg was built with all that are `wanted`; Fedora's own package lacks libx264."""
    ended = await run((find_ffmpeg().ffmpeg, "-hide_banner", "-encoders"), timeout_s=30)
    ended.require("asking FFmpeg for its encoders")
    listed = encoders(ended.stdout.decode(errors="replace"))
    if missing := [encoder for encoder in wanted if encoder not in listed]:
        raise ConfigError(f"{ended.argv[0]} was built without {', '.join(missing)}", remedy=INSTALL_FFMPEG)


def encoders(listing: str) -> frozenset[str]:
    """The names in what `ffmpeg -encoders` says: the second word of each line."""
    return frozenset(words[1] for line in listing.splitlines() if (words := line.split())[1:])


async def run(argv: Sequence[str], *, timeout_s: float, feed: AsyncIterable[bytes] | None = None) -> Ended:
    """Runs `argv` to its end, writing `feed` to its input as fast as it reads.

    DeadlineError when that takes `timeout_s`; not counted is what it waits for `feed`. An error of `feed` ends the
    program and is raised. Call it in the main thread's event loop: the kernel ties the program's life to the thread
    that started it.
    """
    process = await asyncio.create_subprocess_exec(
        *_tether(), *argv,
        stdin=asyncio.subprocess.DEVNULL if feed is None else asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(timeout_s) as deadline:
            stdout, stderr = await _converse(process, None if feed is None else _unhurried(feed, deadline))
            code = await process.wait()
    except TimeoutError as error:
        raise DeadlineError(
            f"{argv[0]} gave no result within {timeout_s:g} s", remedy="run again with `--resume`"
        ) from error
    finally:
        await _end(process)
    return Ended(argv=tuple(argv), code=code, stdout=stdout, stderr=stderr)


async def _unhurried(feed: AsyncIterable[bytes], deadline: asyncio.Timeout) -> AsyncIterator[bytes]:
    """`feed`, while whose next piece is not there the `deadline` does not come nearer."""
    clock = asyncio.get_running_loop().time
    pieces = aiter(feed)
    while True:
        due_s, asked_s = deadline.when() or clock(), clock()
        deadline.reschedule(None)
        try:
            piece = await anext(pieces, None)
        finally:
            deadline.reschedule(due_s + clock() - asked_s)
        if piece is None:
            return
        yield piece


async def _converse(process: asyncio.subprocess.Process, feed: AsyncIterable[bytes] | None) -> tuple[bytes, str]:
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with asyncio.TaskGroup() as group:
            stdout = group.create_task(_tail(process.stdout, STDOUT_LIMIT_BYTES))
            stderr = group.create_task(_tail(process.stderr, STDERR_TAIL_BYTES))
            if feed is not None:
                await _pump(process, feed)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return stdout.result(), stderr.result().decode(errors="replace")


async def _pump(process: asyncio.subprocess.Process, feed: AsyncIterable[bytes]) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it ended early; its exit code says why
        async for data in feed:
            process.stdin.write(data)
            await process.stdin.drain()
    process.stdin.close()


async def _tail(stream: asyncio.StreamReader, limit_bytes: int) -> bytes:
    tail = b""
    while data := await stream.read(65536):
        tail = (tail + data)[-limit_bytes:]
    return tail


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        # Reaped by asyncio's watcher thread, and the news not here yet.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        # Reads the pipes to their end, too: a transport left open is a leak.
        await process.communicate()
    if process.stdin is not None:
        process.stdin.close()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            await process.stdin.wait_closed()


@functools.cache
def _tether() -> tuple[str, ...]:
    if sys.platform != "linux":
        return ()
    if setpriv := shutil.which("setpriv"):
        return (setpriv, "--pdeathsig", "KILL", "--")
    return (sys.executable, "-I", "-S", "-c", _TRAMPOLINE, str(os.getpid()))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
