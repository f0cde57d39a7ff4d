"""This machine as a host: the agent is a subprocess, files are linked or copied. Needs no ssh and no rsync."""

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import stat
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from capture import protocol
from fleet import agentzip, errors, model
from fleet.transports import channel

logger = logging.getLogger(__name__)

PIPES_S = 5.0
# What an agent makes of the end of its input takes some 50 ms; without a word for longer than its lease it dies itself.
LEAVE_S = 3.0
EARLY_S = 20.0


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


@dataclass(eq=False, slots=True)
class Early:
    """An agent that runs and was greeted already, for the first connection to its host."""

    host: str
    process: LocalProcess
    said: protocol.Hello
    begun_s: float
    is_taken: bool = False

    def take(self, host: str) -> bool:
        """Whether it is there for a connection to `host`: once, and soon enough to be alive and well."""
        is_well = self.process.process.returncode is None and time.monotonic() - self.begun_s < EARLY_S
        is_wanted = self.host == host and is_well and not self.is_taken
        self.is_taken = self.is_taken or is_wanted
        return is_wanted


@dataclass(frozen=True, slots=True)
class LocalTransport:
    """The transport of a host that is this machine."""

    pull_age_s: ClassVar[float] = 0.0

    host: model.Host
    agent: agentzip.AgentZip
    early: Early | None = None

    @asynccontextmanager
    async def start_agent(self) -> AsyncIterator[channel.MessageChannel]:
        """The agent in a session of its own; its tree is gone on exit."""
        async with self._process() as (process, said):
            tail = channel.Tail(self.host.name)
            following = asyncio.create_task(tail.follow(process.stderr))
            try:
                async with channel.converse(self.host.name, process, tail, said=said) as messages:
                    yield messages
            finally:
                following.cancel()
                await asyncio.wait([following])

    @asynccontextmanager
    async def _process(self) -> AsyncIterator[tuple[LocalProcess, protocol.Hello | None]]:
        if self.early is None or not self.early.take(self.host.name):
            async with _started(self.host, self.agent) as process:
                yield process, None
            return
        try:
            yield self.early.process, self.early.said
        finally:
            await _end(self.early.process)

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

    def __init__(self, agent: agentzip.AgentZip, early: Early | None) -> None:
        self._agent = agent
        self._early = early

    @asynccontextmanager
    async def open(self, host: model.Host) -> AsyncIterator[LocalTransport]:
        """The transport of `host`, which must be this machine."""
        yield LocalTransport(host, self._agent, self._early)


@asynccontextmanager
async def dialer(_run_directory: Path, agent: agentzip.AgentZip, early: Early | None) -> AsyncIterator[LocalDialer]:
    """The dialer of local hosts."""
    yield LocalDialer(agent, early)


@asynccontextmanager
async def begun(host: model.Host, agent: agentzip.AgentZip, hello: protocol.Hello) -> AsyncIterator[Early]:
    """An agent that is greeted and gathers its facts, also while this loop stands still; it ends with the context."""
    async with _started(host, agent) as process:
        process.stdin.write(protocol.encode(hello))
        try:
            yield Early(host.name, process, hello, time.monotonic())
        finally:
            process.stdin.close()  # it ends all that it has started
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LEAVE_S):
                    await process.wait()


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
    started = LocalProcess(process, process.stdin, process.stdout, process.stderr)
    try:
        yield started
    finally:
        await _end(started)


async def _end(started: LocalProcess) -> None:
    """May be called twice."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(started.process.pid, signal.SIGKILL)
    await _ended(started.process)


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
