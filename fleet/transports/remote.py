"""A command on a host as a channel wants it: whatever asyncssh says of a broken connection is an OSError here.

So that a channel need not know asyncssh, whose import takes as long as everything else that a local render needs.
"""

import contextlib
from collections.abc import Iterator

import asyncssh


class RemoteReader:
    """A stream that comes from a host."""

    def __init__(self, stream: "asyncssh.SSHReader[bytes]") -> None:
        self._stream = stream

    async def read(self, n: int = -1, /) -> bytes:
        """At most `n` bytes; none at the end."""
        with _translated():
            return await self._stream.read(n)


class RemoteWriter:
    """A stream that goes to a host."""

    def __init__(self, stream: "asyncssh.SSHWriter[bytes]") -> None:
        self._stream = stream

    def write(self, data: bytes, /) -> None:
        """Queues `data`."""
        with _translated():
            self._stream.write(data)

    async def drain(self) -> None:
        """Waits until the host has taken most of it."""
        with _translated():
            await self._stream.drain()

    def write_eof(self) -> None:
        """Ends the stream."""
        with _translated():
            self._stream.write_eof()


class RemoteProcess:
    """A remote command with its three streams."""

    def __init__(self, session: "asyncssh.SSHClientProcess[bytes]") -> None:
        self._session = session
        self.stdin = RemoteWriter(session.stdin)
        self.stdout = RemoteReader(session.stdout)
        self.stderr = RemoteReader(session.stderr)

    async def wait(self) -> int | None:
        """Its exit status; None when the connection broke, which asyncssh itself takes for success."""
        with _translated():
            await self._session.wait_closed()
        return self._session.returncode


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except asyncssh.Error as error:
        raise ConnectionError(str(error)) from error
