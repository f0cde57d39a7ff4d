"""This machine as a host: the agent is a subprocess, files are linked or copied. Needs no ssh and no rsync."""

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import stat
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from fleet import agentzip, errors, model
from fleet.transports import channel

logger = logging.getLogger(__name__)

PIPES_S = 5.0


@dataclass(frozen=True, slots=True)
class LocalProcess:
    """A subprocess with all three streams, as a channel wants it."""

    process: asyncio.subprocess.Process
    stdin: asyncio.StreamWriter
    stdout: asyncio.StreamReader
    stderr: asyncio.StreamReader

    async def wait(self) -> int | None:
        """Its exit status."""
        return await self.process.wait()


@dataclass(frozen=True, slots=True)
class LocalTransport:
    """The transport of a host that is this machine."""

    host: model.Host
    agent: agentzip.AgentZip

    @asynccontextmanager
    async def start_agent(self) -> AsyncIterator[channel.MessageChannel]:
        """The agent in a session of its own; its tree is gone on exit."""
        async with _started(self.host, self.agent) as process:
            tail = channel.Tail(self.host.name)
            following = asyncio.create_task(tail.follow(process.stderr))
            try:
                async with channel.converse(self.host.name, process, tail) as messages:
                    yield messages
            finally:
                following.cancel()
                await asyncio.wait([following])

    async def push(self, blobs: Sequence[model.Blob], directory: str) -> None:
        """Copies each blob: a link would let an edit of the user's file change what its digest promises."""
        for blob in blobs:
            try:
                await asyncio.to_thread(_copy, Path(blob.file), Path(directory, blob.sha256))
            except OSError as error:
                raise errors.HostUnfit(
                    self.host.name, f"cannot store {blob.path}: {error}", remedy="check the work directory's disk"
                ) from error

    async def pull(self, directory: str, names: Sequence[str], destination: Path, *, limit_bytes: int) -> None:
        """Links the named regular files into `destination`, or copies them from another file system."""
        left_bytes = limit_bytes
        for name in names:
            try:
                left_bytes -= await asyncio.to_thread(_take, Path(directory, name), destination / name, left_bytes)
            except _OverLimit as error:
                raise errors.HostUnfit(
                    self.host.name,
                    f"its files are larger than the {limit_bytes} bytes that were agreed",
                    remedy="its files are larger than it announced: report this",
                ) from error
            except OSError as error:
                raise errors.ConfigError(
                    f"cannot store frames here: {error}",
                    remedy="free some space, or choose another directory, then resume",
                ) from error


class LocalDialer:
    """Opens local transports; they share nothing."""

    def __init__(self, agent: agentzip.AgentZip) -> None:
        self._agent = agent

    @asynccontextmanager
    async def open(self, host: model.Host) -> AsyncIterator[LocalTransport]:
        """The transport of `host`, which must be this machine."""
        yield LocalTransport(host, self._agent)


@asynccontextmanager
async def dialer(_run_directory: Path, agent: agentzip.AgentZip) -> AsyncIterator[LocalDialer]:
    """The dialer of local hosts."""
    yield LocalDialer(agent)


@asynccontextmanager
async def _started(host: model.Host, agent: agentzip.AgentZip) -> AsyncIterator[LocalProcess]:
    # -I and -E keep the caller's Python settings out, as on a remote host. When we are killed, the end of its input
    # tells the agent.
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-ISE",
        str(agent.path),
        "agent",
        "--workspace",
        host.workdir,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | dict(host.env),
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        yield LocalProcess(process, process.stdin, process.stdout, process.stderr)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await _ended(process)


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Waits for a killed process, reading what it still had to say: asyncio's own wait lasts until its pipes end."""
    streams = [stream for stream in (process.stdout, process.stderr) if stream is not None]
    dropping = [asyncio.create_task(_drop(stream)) for stream in streams]
    try:
        # Bounded, because whatever has left the process group may hold the pipes open for ever.
        async with asyncio.timeout(PIPES_S):
            await process.wait()
    except TimeoutError:
        logger.warning("something that the local agent started still holds its output")
    finally:
        for task in dropping:
            task.cancel()
        await asyncio.gather(*dropping, return_exceptions=True)


async def _drop(stream: asyncio.StreamReader) -> None:
    while await stream.read(channel.CHUNK_BYTES):
        pass


class _OverLimit(Exception):
    pass


def _copy(source: Path, target: Path) -> None:
    part = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        shutil.copyfile(source, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _take(source: Path, target: Path, limit_bytes: int) -> int:
    """Size of the file taken; 0 when it is absent or no regular file."""
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return 0
    info = os.fstat(descriptor)
    if not stat.S_ISREG(info.st_mode):  # asked before Python opens it, which fails for a folder
        os.close(descriptor)
        return 0
    with os.fdopen(descriptor, "rb") as file:
        if info.st_size > limit_bytes:
            raise _OverLimit
        try:
            # By descriptor: the name may mean something else by now.
            os.link(f"/proc/self/fd/{descriptor}", target, follow_symlinks=True)
        except OSError:
            with target.open("xb") as copy:
                shutil.copyfileobj(file, copy)
        target.chmod(0o600)
        return info.st_size
