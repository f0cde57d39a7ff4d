"""The agent's standard input and output as messages, over whatever carries the bytes: a pipe or an SSH channel.

Splits lines itself, because `readline` of asyncssh returns pieces of lines longer than its window. Keeps the agent's
lease alive, and takes a long silence for death. What comes out is bounded in size and number, and fit to be shown.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from capture import protocol
from fleet import errors, untrusted

logger = logging.getLogger(__name__)

SEND_S = 30.0  # an agent that takes nothing for so long reads no more
PING_S = 10.0  # several fit into the lease, so one lost second costs nothing
SILENCE_S = 60.0
FAREWELL_S = 8.0  # the agent itself takes up to 6 s to end a tree that does not want to
SETTLE_S = 1.0
TAIL_BYTES = 64 * 1024
CHUNK_BYTES = 64 * 1024
# An honest agent says a few things a second, 20 notes at the very most; a flood would fill our logs and our time.
FLOOD_S = 10.0
FLOOD_MESSAGES = 3000
FLOOD_BYTES = 16 << 20
UNTRUSTED_REMEDY = "its agent is broken or not ours: look at the host before you use it again"


class Reader(Protocol):
    """What asyncio's and asyncssh's readers have in common."""

    async def read(self, n: int = -1, /) -> bytes:
        """At most `n` bytes; none at the end."""
        ...


class Writer(Protocol):
    """What asyncio's and asyncssh's writers have in common."""

    def write(self, data: bytes, /) -> None:
        """Queues `data`."""

    async def drain(self) -> None:
        """Waits until the peer has taken most of it."""

    def write_eof(self) -> None:
        """Ends the stream: the agent dies of it."""


class Process(Protocol):
    """A started process, here or on a host."""

    @property
    def stdin(self) -> Writer:
        """Its standard input."""
        ...

    @property
    def stdout(self) -> Reader:
        """Its standard output."""
        ...

    @property
    def stderr(self) -> Reader:
        """Its standard error."""
        ...

    async def wait(self) -> int | None:
        """Its exit status; None when the connection went away before we knew."""
        ...


class Tail:
    """The last 64 KiB of a stream, for the log and for error messages; read on without pause, or the sender stalls."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._bytes = b""
        self._is_settled = asyncio.Event()

    def __str__(self) -> str:
        return clean(self._bytes[-2000:].decode(errors="replace")).strip()

    async def follow(self, stream: Reader) -> None:
        """Reads `stream` to its end."""
        with contextlib.suppress(OSError):
            while data := await stream.read(CHUNK_BYTES):
                self._bytes = (self._bytes + data)[-TAIL_BYTES:]
                if logger.isEnabledFor(logging.DEBUG):  # cleaning a flood costs more than reading it
                    logger.debug("%s: stderr: %s", self._name, clean(data.decode(errors="replace")).rstrip())
        self._is_settled.set()

    async def settled(self) -> None:
        """Waits a moment for the end of the stream, when the process is known to have ended."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_S):
                await self._is_settled.wait()


def clean(text: str) -> str:
    """`text` without control characters: what a host prints must not command a terminal."""
    return "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in text)


class MessageChannel:
    """The channel of one running agent; made by `converse`."""

    def __init__(self, host: str, process: Process, tail: Tail, begun: bytes, said: protocol.Hello | None) -> None:
        self._host = host
        self._process = process
        self._tail = tail
        self._buffer = bytearray(begun)
        self._said = said
        self._is_leaving = False
        self._is_greeted = asyncio.Event()
        self._last_words = ""
        self._flood_began_s = time.monotonic()
        self._flood_messages = self._flood_bytes = 0

    async def send(self, message: protocol.ToAgent) -> None:
        """Sends one message; HostLost when the agent is gone."""
        self._is_leaving = self._is_leaving or isinstance(message, protocol.Bye)
        try:
            if message != self._said:  # else its answer is on the way, or here
                await self._write(message)
        except TimeoutError:
            raise self._lost(f"the agent has taken no message for {SEND_S:g} s") from None
        except OSError as error:
            raise await self._ended(error) from error
        self._is_greeted.set()

    async def _write(self, message: protocol.ToAgent) -> None:
        async with asyncio.timeout(SEND_S):
            self._process.stdin.write(protocol.encode(message))
            await self._process.stdin.drain()

    def receive(self) -> AsyncIterator[protocol.FromAgent]:
        """Messages until the agent ends after Bye; HostLost when it ends otherwise or breaks the protocol."""
        return _Messages(self)

    async def next_message(self) -> protocol.FromAgent | None:
        """The next message; None when the agent has ended after Bye. May be cancelled and called again."""
        while (line := await self._line()) is not None:
            message = self._decoded(line)
            if isinstance(message, protocol.Stopping):
                self._last_words = message.reason
            if not (isinstance(message, protocol.Pong) and message.sequence < 0):
                return message
        if not self._is_leaving:
            raise await self._ended(None)
        return None

    def _decoded(self, line: bytes) -> protocol.FromAgent:
        try:
            message = protocol.decode(line)
        except protocol.ProtocolError as error:
            raise self._untrusted(str(error)) from error
        if not isinstance(message, protocol.FromAgent):
            raise self._untrusted(f"it sent {type(message).__name__}")
        self._count(len(line))
        return untrusted.cleaned(message)

    def _count(self, size_bytes: int) -> None:
        now_s = time.monotonic()
        if now_s - self._flood_began_s > FLOOD_S:
            self._flood_began_s, self._flood_messages, self._flood_bytes = now_s, 0, 0
        self._flood_messages += 1
        self._flood_bytes += size_bytes
        if self._flood_messages > FLOOD_MESSAGES or self._flood_bytes > FLOOD_BYTES:
            raise self._untrusted(f"{self._flood_messages} messages within {FLOOD_S:g} s, {self._flood_bytes} bytes")

    async def ping(self) -> None:
        """Says that we are alive, for as long as the conversation lasts; negative numbers are these pings' own."""
        await self._is_greeted.wait()
        sequence = 0
        with contextlib.suppress(errors.HostLost):
            while not self._is_leaving:
                sequence -= 1
                await self.send(protocol.Ping(sequence))
                await asyncio.sleep(PING_S)

    async def leave(self) -> None:
        """Says Bye if that is still possible, and ends the agent's input."""
        with contextlib.suppress(errors.HostLost):
            if self._is_greeted.is_set() and not self._is_leaving:
                await self.send(protocol.Bye())
        with contextlib.suppress(OSError):
            self._process.stdin.write_eof()

    async def _line(self) -> bytes | None:
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) >= protocol.LINE_LIMIT_BYTES:
                raise self._untrusted(f"a line over {protocol.LINE_LIMIT_BYTES} bytes")
            data = await self._read()
            if not data:
                return None
            self._buffer += data
        line = bytes(self._buffer[: end + 1])
        del self._buffer[: end + 1]
        return line

    async def _read(self) -> bytes:
        try:
            async with asyncio.timeout(SILENCE_S):
                return await self._process.stdout.read(CHUNK_BYTES)
        except TimeoutError:
            raise self._lost(f"no sign of life for {SILENCE_S:g} s") from None
        except OSError as error:
            raise await self._ended(error) from error

    async def _ended(self, cause: Exception | None) -> errors.HostLost:
        status: int | None = None
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(FAREWELL_S):
                status = await self._process.wait()
        await self._tail.settled()
        # No status means no goodbye from sshd: the connection broke, whatever asyncssh says of success.
        what = f"the agent ended with status {status}" if status is not None else "the connection broke"
        said = self._last_words or str(self._tail) or (clean(str(cause)) if cause else "")
        return self._lost(f"{what}: {said}" if said else what)

    def _untrusted(self, message: str) -> errors.HostUntrusted:
        return errors.HostUntrusted(self._host, f"the agent broke the protocol: {message}", remedy=UNTRUSTED_REMEDY)

    def _lost(self, message: str) -> errors.HostLost:
        return errors.HostLost(
            self._host, message, remedy="its frames go to other hosts; see this host's log in the run directory"
        )


class _Messages:
    """No generator: that would be over once a caller's timeout cancelled it, and this goes on."""

    def __init__(self, channel: MessageChannel) -> None:
        self._channel = channel

    def __aiter__(self) -> "_Messages":
        return self

    async def __anext__(self) -> protocol.FromAgent:
        message = await self._channel.next_message()
        if message is None:
            raise StopAsyncIteration
        return message


@asynccontextmanager
async def converse(
    host: str, process: Process, tail: Tail, begun: bytes = b"", *, said: protocol.Hello | None = None
) -> AsyncIterator[MessageChannel]:
    """Messages with the agent in `process`; on exit it is told to leave and given a moment to do so.

    `begun` is what was read of its output already, `said` how it was greeted, if it was: that is not said again.
    Whoever started the process ends it if it does not.
    """
    channel = MessageChannel(host, process, tail, begun, said)
    pinging = asyncio.create_task(channel.ping())
    try:
        yield channel
    finally:
        pinging.cancel()
        await asyncio.wait([pinging])
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(FAREWELL_S):
                await channel.leave()
                await _drop(process.stdout)
                await process.wait()


async def _drop(stream: Reader) -> None:
    """Reads what the agent still says: a full pipe must not keep it from ending."""
    while await stream.read(CHUNK_BYTES):
        pass
