"""Blocks in, frames out: one process with one browser. Ends when its standard input does.

Any failure is said once as BlockFailed and ends the worker; what happens next is the agent's decision.
"""

import dataclasses
import fcntl
import os
import selectors
import signal
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from capture import browser, cdp, footprint, frames, images, page, protocol
from capture.faults import CaptureError, Fault, FaultCode
from capture.footprint import Footprint
from capture.protocol import (
    Block,
    BlockDone,
    BlockFailed,
    FrameFile,
    FrameWritten,
    FromWorker,
    Misjudged,
    Note,
    Open,
    Ready,
    SeamDrawn,
    Setup,
    Stage,
    Stepped,
    ToWorker,
)
from capture.recorder import Recorder
from capture.session import RepeatIsWrong, Session

IDLE_LIMIT_S = 3600.0  # an agent that wants nothing for an hour has forgotten us
# A renderer's memory grows with the frames it has drawn: 1.4 GB after 1,500 of them in a long run of HyperFrames.
FRAMES_PER_BROWSER = 1500
STEP_NEWS_S = 1.0  # how often a worker that steps through frames says that it is alive
READ_BYTES = 1 << 16
FD_MIN = 10
EVIDENCE_NAME = "failure.png"


class HungUp(Exception):
    """The agent closed our standard input or output: it is gone, or done with us."""


def main() -> int:
    """Serves one agent over standard input and output; the exit code is 1 after a failure."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches us too, but it is meant for others
    inbox, outbox = _claim_stdio()
    try:
        setup = inbox.next()
        if not isinstance(setup, Setup):
            raise protocol.ProtocolError(f"expected setup, got {type(setup).__name__}")
        return Worker(setup, inbox, outbox.send).run()
    except (HungUp, BrokenPipeError):
        return 0


class Inbox:
    """The agent's messages. End of file raises HungUp wherever the worker happens to wait."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._buffer = b""
        self._lines: deque[bytes] = deque()
        os.set_blocking(fd, False)

    def has_line(self) -> bool:
        """Whether `take` has something to return."""
        return bool(self._lines)

    def take(self) -> ToWorker:
        """The next message that has arrived."""
        message = protocol.decode(self._lines.popleft())
        if not isinstance(message, ToWorker):
            raise protocol.ProtocolError(f"not for a worker: {type(message).__name__}")
        return message

    def receive(self) -> None:
        """Takes in what can be read now."""
        try:
            data = os.read(self.fd, READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            raise HungUp
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        self._lines.extend(lines)
        if len(self._buffer) > protocol.LINE_LIMIT_BYTES:
            raise protocol.ProtocolError(f"line is over the limit of {protocol.LINE_LIMIT_BYTES} bytes")

    def next(self) -> ToWorker:
        """The next message, awaited without a browser."""
        deadline = time.monotonic() + IDLE_LIMIT_S
        with selectors.DefaultSelector() as selector:
            selector.register(self.fd, selectors.EVENT_READ)
            while not self.has_line():
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise HungUp
                self.receive()
        return self.take()


class Outbox:
    """Our messages, each written whole."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def send(self, message: FromWorker) -> None:
        """Writes one line; waits when the agent is slow to read."""
        view = memoryview(protocol.encode(message))
        while view:
            view = view[os.write(self._fd, view) :]


class Worker:
    """Captures the blocks of one composition, in as many browsers as it takes one after another."""

    def __init__(self, setup: Setup, inbox: Inbox, send: Callable[[FromWorker], None]) -> None:
        self._setup = setup
        self._inbox = inbox
        self._send = send
        self._is_open = setup.is_open
        self._is_ready = False
        self._block: Block | None = None
        self._frame = 0  # of the block, the first that is not on disk
        self._recorder = Recorder(setup.spec.image, self._written)
        self._console: tuple[str, ...] = ()
        self._screenshot: str | None = None

    def run(self) -> int:
        """Until the agent hangs up (raises HungUp) or something fails (returns 1)."""
        try:
            while True:
                self._use_one_browser()
        except CaptureError as error:
            self._send(BlockFailed(self._fault(error)))
            return 1

    def _use_one_browser(self) -> None:
        """Captures until a block needs a fresh page."""
        setup = self._setup
        with browser.start(
            setup.chromium,
            mode=setup.spec.mode,
            size=(setup.spec.width, setup.spec.height),
            profile=Path(setup.profile_directory),
            sandbox=setup.sandbox,
            gl=setup.spec.gl,
            extra=setup.chromium_args,
            version=setup.browser_version,
        ) as chromium:
            chromium.connection.watch(self._inbox.fd, self._inbox.receive)
            bundle, blobs = Path(setup.bundle_directory), setup.blobs_directory and Path(setup.blobs_directory)
            session = Session(
                chromium.connection,
                setup.spec,
                bundle=bundle,
                blobs=blobs or None,
                note=self._send,
                limit_s=setup.page_limit_s,
                watches_scripts=setup.watches_scripts,
            )
            try:
                self._work(chromium, session)
            except CaptureError as error:
                self._console = session.console()
                if error.code is FaultCode.BROWSER_CRASHED:
                    raise CaptureError(error.code, f"{error.message}; {chromium.ending()}") from error
                self._screenshot = self._evidence(session)
                raise

    def _work(self, chromium: browser.Browser, session: Session) -> None:
        spec = self._setup.spec
        runtime = page.source(page.config(spec, limit_s=self._setup.page_limit_s))
        session.attach(runtime)
        self._await_composition(chromium.connection)
        session.open(runtime)
        if not self._is_ready:
            self._is_ready = True
            self._send(Ready(session.warnings))
        captured = 0
        watched = Footprint(chromium.pid, limit_bytes=self._setup.browser_bytes, may_go=self._may_start_over)
        while True:
            self._block = self._block or self._next_block(chromium.connection)
            if needs_fresh_page(self._block, last=session.last, captured=captured):
                return
            if self._setup.browser_bytes and session.last is not None and watched.has_outgrown(time.monotonic()):
                self._send(Note("info", "worker", "a fresh browser takes over: this one has come to hold much memory"))
                return
            chromium.find_graphics()
            drawn = wanted(self._block, last=session.last)
            self._step(chromium, session, drawn.start)
            chromium.connection.meter.take(0)  # getting ready is not the frames' own time
            try:
                self._capture(chromium, session, self._block, drawn)
            except RepeatIsWrong as error:
                self._distrust(self._block, error.frame)
                return
            # A page that had to be stepped here is worth more than the memory that a fresh one would save.
            captured += 0 if spec.sequential else len(self._block.frames)
            self._block = None

    def _await_composition(self, connection: cdp.Connection) -> None:
        if self._is_open:
            return
        message = self._next(connection)
        if not isinstance(message, Open):
            raise protocol.ProtocolError(f"expected open, got {type(message).__name__}")
        self._is_open = True

    def _may_start_over(self) -> bool:
        """A page that had to be stepped to where it is stays, unless the host runs out of memory."""
        return not self._setup.spec.sequential or footprint.memory_is_short()

    def _next_block(self, connection: cdp.Connection) -> Block:
        message = self._next(connection)
        if not isinstance(message, Block):
            raise protocol.ProtocolError(f"expected block, got {type(message).__name__}")
        return message

    def _next(self, connection: cdp.Connection) -> ToWorker:
        try:
            connection.wait_until(self._inbox.has_line, time.monotonic() + IDLE_LIMIT_S, "a message of the agent")
        except cdp.TimedOut:
            raise HungUp from None
        except cdp.Closed as error:
            raise CaptureError(FaultCode.BROWSER_CRASHED, f"the browser went away while idle: {error}") from error
        return self._inbox.take()

    def _step(self, chromium: browser.Browser, session: Session, start: int) -> None:
        """Takes the page of a sequential composition through every frame before `start`."""
        if not self._setup.spec.sequential:
            return
        said_s = time.monotonic()
        for frame in session.step(session.missing(start)):
            if chromium.has_lost_graphics():
                raise CaptureError(FaultCode.BROWSER_CRASHED, f"the GPU process ended at frame {frame}")
            if time.monotonic() - said_s > STEP_NEWS_S:
                said_s = time.monotonic()
                self._send(Stepped(frame))

    def _capture(self, chromium: browser.Browser, session: Session, block: Block, drawn: range) -> None:
        meter = chromium.connection.meter
        self._frame = block.frames.start
        since_s = time.monotonic()
        for frame, picture in session.capture(drawn, repeats=block.repeats):
            if chromium.has_lost_graphics():
                raise CaptureError(FaultCode.BROWSER_CRASHED, f"the GPU process ended at frame {frame}")
            now_s = time.monotonic()
            took_ms, since_s = max(1, round((now_s - since_s) * 1000)), now_s
            with meter.at(Stage.WRITE):
                self._keep(block, frame, picture, took_ms=took_ms)
        with meter.at(Stage.WRITE):
            self._recorder.settle()
        self._send(BlockDone(block.frames, meter.take(len(drawn))))

    def _keep(self, block: Block, frame: int, picture: bytes, *, took_ms: int) -> None:
        spec = self._setup.spec
        if damage := images.fault(picture, spec.image, width=spec.image_width, height=spec.image_height):
            raise CaptureError(FaultCode.FRAME_DAMAGED, f"the browser's picture of frame {frame} is {damage}")
        if frame == block.seam:
            self._send(SeamDrawn(frames.described(picture, frame)))
        else:
            self._recorder.add(block, frame, picture, took_ms=took_ms)

    def _written(self, frame: FrameFile) -> None:
        self._send(FrameWritten(frame))
        self._frame = frame.index + 1

    def _distrust(self, block: Block, frame: int) -> None:
        """All of `block` is captured again, in a fresh page and without repeats."""
        self._recorder.forget()
        self._send(Misjudged(frame))
        self._block = dataclasses.replace(block, repeats=False)

    def _fault(self, error: CaptureError) -> Fault:
        has_frame = self._block is not None and self._frame in self._block.frames
        return Fault(
            code=error.code,
            message=error.message,
            frame=self._frame if has_frame else None,
            local_frame=self._frame - self._block.offset if has_frame and self._block else None,
            console=self._console,
            screenshot=self._screenshot,
        )

    def _evidence(self, session: Session) -> str | None:
        picture = session.evidence() if self._block else None
        if picture is None or self._block is None:
            return None
        try:
            frames.publish(picture, Path(self._block.directory) / EVIDENCE_NAME)
        except CaptureError:  # the disk may be what failed
            return None
        return EVIDENCE_NAME


def wanted(block: Block, *, last: int | None) -> range:
    """The frames to draw for `block`, in a page that has captured up to `last`: its seam first, unless it was here."""
    if block.seam is None or (last is not None and last >= block.seam):
        return range(block.frames.start, block.frames.stop)
    return range(block.seam, block.frames.stop)


def needs_fresh_page(block: Block, *, last: int | None, captured: int) -> bool:
    """Whether `block` must not be captured in a page that has captured `captured` frames up to `last`."""
    return last is not None and (block.frames.start <= last or captured >= FRAMES_PER_BROWSER)


def _claim_stdio() -> tuple[Inbox, Outbox]:
    """Moves the protocol away from 0 and 1, so that no stray print or child can write into it or read from it."""
    inbox, outbox = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, FD_MIN) for fd in (0, 1))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return Inbox(inbox), Outbox(outbox)
