"""The wire between agent and coordinator: JSON lines on descriptors that nothing else can write to or inherit.

Two threads, so that neither a slow reader on the other side nor a busy agent can stop the other direction.
"""

import fcntl
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator

from capture import protocol
from capture.protocol import LINE_LIMIT_BYTES, FromAgent, Note, ProtocolError

# Some minutes of messages at the agreed rate. A coordinator that is further behind is not coming back.
QUEUE_MAX = 1000
# Notes stop here, so that a chatty page cannot crowd out answers; frames wait with the chunk.
CONGESTED = 100
NOTES_PER_S = 20
_NOTE_CHARS = 2000
_DESCRIPTOR_MIN = 10  # above 3 and 4, which Chromium's DevTools pipe occupies in children
_READ_BYTES = 64 * 1024


def take_over_stdio() -> tuple[int, int]:
    """Moves standard input and output to private descriptors; from now on a stray print goes to standard error."""
    private = (
        fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, _DESCRIPTOR_MIN),
        fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, _DESCRIPTOR_MIN),
    )
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.close(null)
    return private


class Incoming:
    """Lines from the coordinator, and when it was last heard."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.heard_s = time.monotonic()

    def lines(self) -> Iterator[bytes]:
        """Lines until end of file, where a cut-off last line is none; ProtocolError when one is too long."""
        held = b""
        while data := os.read(self._descriptor, _READ_BYTES):
            self.heard_s = time.monotonic()
            *lines, held = (held + data).split(b"\n")
            yield from lines
            if len(held) > LINE_LIMIT_BYTES:
                raise ProtocolError(f"line of more than {LINE_LIMIT_BYTES} bytes: {held[:80]!r}")


class Outbox:
    """Messages to the coordinator. `send` never waits."""

    def __init__(self, descriptor: int, on_broken: Callable[[str], None]) -> None:
        """`on_broken` is called, from any thread, when nobody reads any more."""
        self._descriptor = descriptor
        self._on_broken = on_broken
        self._queue: queue.Queue[bytes | None] = queue.Queue(QUEUE_MAX)
        self._notes = NoteBudget()
        self._writer = threading.Thread(target=self._write, name="outbox", daemon=True)
        self._writer.start()

    @property
    def is_congested(self) -> bool:
        """Whether what can wait should wait."""
        return self._queue.qsize() > CONGESTED

    def send(self, message: FromAgent) -> None:
        """Puts a message in line; notes above their rate are counted instead, and the count is said later."""
        if isinstance(message, Note):
            kept = None if self.is_congested else self._notes.admit(message, time.monotonic())
            if kept is None:
                return
            message = kept
        try:
            self._queue.put_nowait(protocol.encode(message))
        except queue.Full:
            self._on_broken("the coordinator does not read")

    def close(self, timeout_s: float) -> None:
        """Writes what is left, for at most about `timeout_s`."""
        if threading.current_thread() is self._writer:
            return
        try:
            self._queue.put(None, timeout=timeout_s)
        except queue.Full:
            return
        self._writer.join(timeout_s)

    def _write(self) -> None:
        while line := self._queue.get():
            try:
                while line:
                    line = line[os.write(self._descriptor, line) :]
            except OSError as error:
                self._on_broken(f"cannot write to the coordinator: {error.strerror}")
                return


class NoteBudget:
    """At most NOTES_PER_S notes in any second, each of bounded length."""

    def __init__(self) -> None:
        self._second = 0
        self._count = 0
        self._suppressed = 0

    def admit(self, note: Note, now_s: float) -> Note | None:
        """The note to send, if any; the first of a second tells how many were left out before."""
        if int(now_s) != self._second:
            self._second, self._count = int(now_s), 0
        self._count += 1
        if self._count > NOTES_PER_S:
            self._suppressed += 1
            return None
        left_out = f" ({self._suppressed} notes before this one were left out)" if self._suppressed else ""
        self._suppressed = 0
        return Note(note.level, note.source, note.text[:_NOTE_CHARS] + left_out)
