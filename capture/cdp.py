"""DevTools over a pipe: CBOR on two file descriptors. Blocking, one thread, a deadline on every wait.

Knows neither Chromium nor pages. While one reply is awaited, events are handled and other commands may be sent.
"""

import os
import selectors
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

from capture import cbor
from capture.meter import Meter
from capture.protocol import Stage

T = TypeVar("T")
Params = dict[str, Any]
Handler = Callable[[Params, str | None], None]

READ_BYTES = 1 << 20  # the default pipe holds 64 KiB; enlarged pipes and a late reader can have more waiting
# A 4K PNG is below 40 MiB. Chromium itself gives up at 100 MiB in the other direction.
MESSAGE_LIMIT_BYTES = 256 << 20
SEND_TIMEOUT_S = 30.0  # Chromium's reader is a thread of its own: this long without a byte taken means it is gone


class Closed(Exception):
    """The other end closed the pipe: the browser is gone."""


class TimedOut(Exception):
    """A reply or event did not come before its deadline."""


class Refused(Exception):
    """The browser answered a command with an error."""

    def __init__(self, method: str, message: str) -> None:
        super().__init__(f"{method}: {message}")
        self.method = method
        self.message = message


class Connection:
    """One DevTools pipe. Owns both file descriptors; whatever a handler raises surfaces in the call that waits."""

    def __init__(self, *, read_fd: int, write_fd: int) -> None:
        self.meter = Meter()
        self._read_fd, self._write_fd = read_fd, write_fd
        os.set_blocking(read_fd, False)
        os.set_blocking(write_fd, False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(read_fd, selectors.EVENT_READ, self._receive)
        self._handlers: dict[str, Handler] = {}
        self._replies: dict[int, Params] = {}
        self._awaited: dict[int, str] = {}
        self._buffer = bytearray()
        self._last_id = 0

    def on(self, event: str, handler: Handler) -> None:
        """Calls `handler(params, session)` for every `event` from now on; the last handler wins."""
        self._handlers[event] = handler

    def watch(self, fd: int, callback: Callable[[], None]) -> None:
        """Calls `callback` whenever `fd` is readable while somebody waits here."""
        self._selector.register(fd, selectors.EVENT_READ, callback)

    def notify(self, method: str, params: Params | None = None, session: str | None = None) -> None:
        """Sends a command whose reply nobody wants."""
        self._last_id += 1
        self.meter.sent()
        message: Params = {"id": self._last_id, "method": method, "params": params or {}}
        if session is not None:
            message["sessionId"] = session
        self._write(cbor.encode(message))

    def send(self, method: str, params: Params | None = None, session: str | None = None) -> int:
        """Sends a command and returns its id for `reply` or `poll`."""
        self._awaited[self._last_id + 1] = method
        self.notify(method, params, session)
        return self._last_id

    def call(
        self, method: str, params: Params | None = None, session: str | None = None, *, timeout_s: float
    ) -> Params:
        """The result of one command; Refused, TimedOut or Closed otherwise."""
        return self.reply(self.send(method, params, session), time.monotonic() + timeout_s)

    def reply(self, message_id: int, deadline: float) -> Params:
        """The result of the command `message_id`, awaited until the monotonic time `deadline`."""
        return self._await(lambda: self.poll(message_id), deadline, self._awaited[message_id])

    def reply_within(self, message_id: int, timeout_s: float) -> Params | None:
        """Like `reply`, but None when the time has passed; the command may still be awaited."""
        try:
            return self.reply(message_id, time.monotonic() + timeout_s)
        except TimedOut:
            return None

    def poll(self, message_id: int) -> Params | None:
        """The result of the command `message_id` if it has arrived."""
        message = self._replies.pop(message_id, None)
        if message is None:
            return None
        method = self._awaited.pop(message_id)
        if "error" in message:
            raise Refused(method, str(message["error"].get("message", message["error"])))
        result: Params = message.get("result", {})
        return result

    def wait_until(self, is_met: Callable[[], bool], deadline: float, what: str) -> None:
        """Handles events until `is_met`; TimedOut with `what` in its message."""
        self._await(lambda: is_met() or None, deadline, what)

    def linger(self, timeout_s: float) -> None:
        """Handles the events of the next `timeout_s`: an answer can be ahead of the event that explains it."""
        with suppress(TimedOut):
            self.wait_until(lambda: False, time.monotonic() + timeout_s, "")

    def close(self) -> None:
        """Closes both ends, which is Chromium's order to exit. May be called twice."""
        self._selector.close()
        for fd in {self._read_fd, self._write_fd} - {-1}:
            os.close(fd)
        self._read_fd = self._write_fd = -1

    def _await(self, attempt: Callable[[], T | None], deadline: float, what: str) -> T:
        result = attempt()
        while result is None:
            left_s = deadline - time.monotonic()
            for key, _ in self._selector.select(max(0.0, left_s)):
                key.data()
            result = attempt()
            # Late only after a look at what had come by then; chatter of events does not put the end off.
            if result is None and left_s <= 0:
                raise TimedOut(f"no answer in time: {what}")
        return result

    def _receive(self) -> None:
        with self.meter.at(Stage.TRANSFER):
            messages = self._read()
        for message in messages:
            self._dispatch(message)

    def _read(self) -> list[Params]:
        """The messages that are complete now."""
        try:
            data = os.read(self._read_fd, READ_BYTES)
        except BlockingIOError:
            return []
        except OSError as error:
            raise Closed(f"the pipe broke: {error}") from error
        if not data:
            raise Closed("the browser closed its pipe")
        self._buffer += data
        try:
            return list(self._whole_messages())
        except cbor.Malformed as error:
            raise Closed(f"it does not speak DevTools' CBOR: {error}") from error

    def _whole_messages(self) -> Iterator[Params]:
        while 0 < (size := cbor.size(self._buffer)) <= len(self._buffer):
            message = bytes(self._buffer[:size])
            del self._buffer[:size]
            yield cbor.decode(message)
        if size > MESSAGE_LIMIT_BYTES:
            raise Closed(f"a message exceeds {MESSAGE_LIMIT_BYTES} bytes")

    def _dispatch(self, message: Params) -> None:
        if "id" in message:
            if message["id"] in self._awaited:
                self._replies[message["id"]] = message
        elif (handler := self._handlers.get(message.get("method", ""))) is not None:
            handler(message.get("params", {}), message.get("sessionId"))

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        deadline = time.monotonic() + SEND_TIMEOUT_S
        while view:
            try:
                view = view[os.write(self._write_fd, view) :]
                deadline = time.monotonic() + SEND_TIMEOUT_S
            except BlockingIOError:
                self._wait_writable(deadline)
            except OSError as error:
                raise Closed(f"the pipe broke: {error}") from error

    def _wait_writable(self, deadline: float) -> None:
        # Only writing is awaited: handling what comes in meanwhile would send from inside a half-sent message.
        with selectors.DefaultSelector() as selector:
            selector.register(self._write_fd, selectors.EVENT_WRITE)
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise TimedOut(f"the browser has taken no byte for {SEND_TIMEOUT_S:.0f} s")
