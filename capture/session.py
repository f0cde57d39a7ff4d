"""One composition open in one tab: inject, wait until ready, settle, seek, shoot.

A session captures in ascending order and never goes back; gaps are fine. Reads no clock but for deadlines.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

from capture import cdp, replies, shutter, stuck
from capture.console import Console, clean
from capture.faults import CaptureError, FaultCode
from capture.protocol import PAGE_LIMIT_S, CaptureMode, Note, RenderSpec, Stage
from capture.repeats import Repeats
from capture.serve import Files, Server

COMMAND_TIMEOUT_S = 30.0  # commands that change no page; a loaded host has needed 3 s
EVIDENCE_TIMEOUT_S = 5.0
PARSED = "the document is parsed"
DEPARTURE_SHARE = 4  # of its time, a page that tried to leave gets this part to be parsed all the same
CRASH_NEWS_S = 0.5  # a killed page still "draws" a frame, without a picture, a moment before its death is told
# Two equal pictures in a row are wanted; with <video> stills the first one after a jump was stale once.
SETTLE_PICTURES_MAX = 6
WARNING_CHARS = 40  # a code is a word
NOTES_MAX = 100  # a page that asks for a tracker in every frame would fill the log

# What a composition paints behind everything is taken away, whatever its author said: that is what alpha is for.
_TRANSPARENT = """
if (window === window.top) {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync("html, body, [data-composition-id] { background: transparent none !important }");
  document.adoptedStyleSheets.push(sheet);
}
"""


class Session:
    """A composition that is loaded and ready. `frame` is the absolute frame being captured."""

    def __init__(
        self,
        connection: cdp.Connection,
        spec: RenderSpec,
        *,
        bundle: Path,
        note: Callable[[Note], None],
        blobs: Path | None = None,
        limit_s: float = PAGE_LIMIT_S,
        watches_scripts: bool = False,
    ) -> None:
        """`limit_s` is for getting ready, and for a frame; a jump to it may take as long once more."""
        self.frame: int | None = None
        self.last: int | None = None  # the last frame captured
        self.warnings: tuple[str, ...] = ()  # codes that the page gave while it got ready, sorted, each once
        self._connection = connection
        self._spec = spec
        self._limit_s = limit_s
        self._watches_scripts = watches_scripts
        self._watch: stuck.Watch | None = None
        self._notes = _Notes(note)
        self._console = Console(connection, lambda text: self._notes.add(Note("warning", "page", text)))
        files = Files(bundle, blobs)
        self._server = Server(connection, files=files, document=spec.document, note=self._notes.add)
        self._reached: int | None = None  # the last frame captured or stepped through
        self._tab = ""
        self._session = ""
        self._shutter: shutter.Shutter | None = None
        self._has_document = False
        self._repeats: Repeats | None = None
        self._shown = b""  # the last picture

    def attach(self, runtime: str) -> None:
        """Makes the tab, with all that needs no document yet; `open` does it where nobody has. Raises as `open`."""
        if self._shutter is None:
            with self._page_errors():
                self._attach()
                self._prepare(runtime)

    def open(self, runtime: str) -> dict[str, Any]:
        """Loads the document with `runtime` injected before its scripts, and waits until it is ready.

        Returns what the page says of itself, its `duration_s` and `adapters` among it.
        Raises CaptureError: PAGE_NOT_READY, SCRIPT_ENDLESS, BROWSER_CRASHED, or the code that the page gave.
        """
        self.attach(runtime)
        deadline = time.monotonic() + self._limit_s
        with self._page_errors():
            self._command("Page.navigate", {"url": self._server.document_url})
            self._await_document(deadline)
            reply = self._camera.reply(self._evaluate("__fleet.ready()"), deadline)
            told = replies.value(reply, FaultCode.PAGE_NOT_READY)
            # Layers remember where they were first drawn. A page that took its time was drawn while it got ready.
            self._camera.commit(deadline)
        ready: dict[str, Any] = told if isinstance(told, dict) else {}
        warnings = ready.get("warnings", [])
        for warning in warnings:
            self._notes.add(Note("warning", "page", clean(f"{warning.get('code')}: {warning.get('message')}")))
        self.warnings = tuple(sorted({clean(str(warning.get("code")))[:WARNING_CHARS] for warning in warnings}))
        return ready

    def ask(self, call: str, *, timeout_s: float) -> Any:
        """What a promise of the page resolves to, once it is ready. Raises as `open`."""
        with self._page_errors():
            return replies.value(
                self._camera.reply(self._evaluate(call), time.monotonic() + timeout_s), FaultCode.SEEK_FAILED
            )

    def capture(self, frames: Iterable[int], *, repeats: bool = False) -> Iterator[tuple[int, bytes]]:
        """Absolute frames, ascending and after `last`, each with its picture.

        With `repeats`, a frame in which the browser sees no change comes with the very object of the frame before it.
        The page already works on the next frame while the caller deals with a picture. Raises CaptureError:
        FRAME_TIMEOUT, SCRIPT_ENDLESS, SEEK_FAILED, FRAME_DAMAGED, BROWSER_CRASHED, or the code that the page gave;
        and RepeatIsWrong when repeats since the last new picture cannot be trusted.
        """
        # What a sequential page shows next may depend on having been presented.
        can_repeat = repeats and self._camera.TELLS_CHANGES and not self._spec.sequential
        self._repeats = (self._repeats or Repeats()) if can_repeat else None
        steps = pairwise(chain(frames, (None,)))  # each frame, and the one after it
        seek = self._begin_seek(*next(steps, (None, None)))
        while seek is not None:
            finished, following = seek, next(steps, (None, None))
            self._finish(finished, is_last=following[0] is None)
            seek = self._begin_seek(*following)
            yield finished.frame, self._shown

    def step(self, frames: Iterable[int]) -> Iterator[int]:
        """Goes through absolute frames without pictures, each as far as capturing it would go, so that a page which
        keeps state between frames comes to what follows as if it had been captured from there on. Raises as `capture`.
        """
        for frame in frames:
            seek = self._begin_seek(frame)
            assert seek is not None
            with self._frame_errors(frame):
                replies.value(self._camera.reply(seek.message_id, seek.deadline), FaultCode.SEEK_FAILED)
                self._camera.step(seek.deadline)
            self._reached = frame
            yield frame

    def missing(self, frame: int) -> range:
        """The frames that the page has not been at and that come before `frame`."""
        return range(0 if self._reached is None else self._reached + 1, frame)

    def console(self) -> tuple[str, ...]:
        """The last lines that the page wrote."""
        return self._console.tail()

    def evidence(self) -> bytes | None:
        """A PNG of the page as it is, for a failure's report; None when the browser cannot give one any more."""
        try:
            return self._camera.evidence(time.monotonic() + EVIDENCE_TIMEOUT_S) or None
        except (cdp.Closed, cdp.TimedOut, cdp.Refused, CaptureError):
            return None

    def _await_document(self, deadline: float) -> None:
        """Until it is parsed; on the way the parser may wait for fonts, and does not go on by itself."""
        self._await_parser(lambda: self._has_document or self._server.is_waiting, deadline)
        if self._server.is_waiting:
            self._camera.reply(self._evaluate("__fleet.fonts()"), deadline)
            self._server.open_gate()
            self._await_parser(lambda: self._has_document, deadline)

    def _await_parser(self, is_there: Callable[[], bool], deadline: float) -> None:
        connection, server = self._connection, self._server
        connection.wait_until(lambda: is_there() or bool(server.departure), deadline, PARSED)
        # Some ways to leave stop the parser for good, although they come to nothing.
        patience = time.monotonic() + self._limit_s / DEPARTURE_SHARE
        with suppress(cdp.TimedOut):
            connection.wait_until(is_there, min(deadline, patience), PARSED)
            return
        if server.departure and time.monotonic() < deadline:
            text = f"the page stopped loading when it tried to leave for {server.departure}"
            raise CaptureError(FaultCode.PAGE_NOT_READY, text)
        connection.wait_until(is_there, deadline, PARSED)

    @property
    def _camera(self) -> shutter.Shutter:
        assert self._shutter is not None
        return self._shutter

    def _attach(self) -> None:
        size = {"width": self._spec.width, "height": self._spec.height}
        is_begin_frame = self._spec.mode is CaptureMode.BEGIN_FRAME
        # A size is for windows alone, says Chromium; its headless shell knows nothing else.
        control = {"enableBeginFrameControl" if is_begin_frame else "newWindow": True}
        for event in ("Target.targetCrashed", "Inspector.targetCrashed"):
            self._connection.on(event, self._crashed)
        self._connection.on("Page.javascriptDialogOpening", self._dismiss)
        self._connection.on("Page.domContentEventFired", self._parsed)
        self._browser_command("Target.setDiscoverTargets", {"discover": True})
        self._browser_command("Browser.setDownloadBehavior", {"behavior": "deny"})
        created = self._browser_command("Target.createTarget", {"url": "about:blank", **size, **control})
        self._tab = str(created["targetId"])
        attached = self._browser_command("Target.attachToTarget", {"targetId": self._tab, "flatten": True})
        self._session = str(attached["sessionId"])
        self._shutter = shutter.SHUTTERS[self._spec.mode](self._connection, self._session, self._spec)

    def _prepare(self, runtime: str) -> None:
        size = {"width": self._spec.width, "height": self._spec.height}
        self._server.serve(self._tab, timeout_s=COMMAND_TIMEOUT_S)
        for domain in ("Inspector", "Page", "Runtime", "Log"):
            self._command(f"{domain}.enable")
        self._command(
            "Emulation.setDeviceMetricsOverride", {**size, "deviceScaleFactor": self._spec.scale, "mobile": False}
        )
        self._command("Emulation.setTimezoneOverride", {"timezoneId": "UTC"})
        self._command("Emulation.setLocaleOverride", {"locale": "en-US"})
        if self._spec.is_transparent:
            self._command("Emulation.setDefaultBackgroundColorOverride", {"color": {"r": 0, "g": 0, "b": 0, "a": 0}})
            self._command("Page.addScriptToEvaluateOnNewDocument", {"source": _TRANSPARENT})
        self._command("Page.addScriptToEvaluateOnNewDocument", {"source": runtime})
        if self._watches_scripts:
            self._watch = stuck.Watch(self._connection, self._session, timeout_s=COMMAND_TIMEOUT_S)

    def _command(self, method: str, params: cdp.Params | None = None) -> cdp.Params:
        return self._connection.call(method, params, self._session, timeout_s=COMMAND_TIMEOUT_S)

    def _browser_command(self, method: str, params: cdp.Params) -> cdp.Params:
        return self._connection.call(method, params, timeout_s=COMMAND_TIMEOUT_S)

    def _evaluate(self, call: str) -> int:
        return self._connection.send("Runtime.evaluate", replies.question(call), self._session)

    def _begin_seek(self, frame: int | None, following: int | None = None) -> "_Seek | None":
        if frame is None:
            return None
        if self._reached is not None and frame <= self._reached:
            raise ValueError(f"a session never goes back: frame {frame} after {self._reached}")
        is_jump = bool(self.missing(frame))
        self.frame = frame
        self._camera.enter(frame)
        with self._frame_errors(frame):
            # A jump goes through everything that begins or ends on the way.
            deadline = time.monotonic() + (2 * self._limit_s if is_jump else self._limit_s)
            requests = self._server.requests
            call = f"__fleet.seek({frame})" if following is None else f"__fleet.seek({frame}, {following})"
            return _Seek(frame, self._evaluate(call), deadline, is_jump=is_jump, requests=requests)

    def _finish(self, seek: "_Seek", *, is_last: bool) -> None:
        with self._frame_errors(seek.frame):
            found = replies.value(self._camera.reply(seek.message_id, seek.deadline), FaultCode.SEEK_FAILED)
            told = found if isinstance(found, dict) else {}
            if told.get("needsPaint"):
                self._draw(seek.deadline)
            if self.last is None:
                self._show(self._settle(seek), seek.deadline)
            else:
                has_loaded = told.get("hasLoaded", True) or self._server.requests > seek.requests
                if seek.is_jump and has_loaded:
                    self._camera.commit(seek.deadline)  # what a jump made the page decode gets a frame to arrive in
                if not self._stands_still(seek, is_last=is_last):
                    self._show(self._shoot(seek.deadline), seek.deadline)
        self.last = self._reached = seek.frame

    def _show(self, picture: bytes, deadline: float) -> None:
        is_same = picture == self._shown
        if not is_same:
            self._shown = picture
        if self._repeats and self._repeats.drew(is_same=is_same):
            self._camera.watch(deadline)

    def _stands_still(self, seek: "_Seek", *, is_last: bool) -> bool:
        """Whether nothing has changed since the last picture: so says the browser and, now and then, a picture."""
        if self._repeats is None or not self._repeats.is_watched:
            return False
        if self._camera.has_moved(seek.deadline):
            self._repeats.moved()
            return False
        if self._repeats.stood_still(is_last=is_last):
            if self._shoot(seek.deadline) != self._shown:
                raise RepeatIsWrong(seek.frame)
            self._camera.watch(seek.deadline)
        return True

    def _draw(self, deadline: float) -> None:
        self._camera.paint(deadline)
        replies.value(self._camera.reply(self._evaluate("__fleet.draw()"), deadline), FaultCode.SEEK_FAILED)

    def _settle(self, seek: "_Seek") -> bytes:
        self._camera.commit(seek.deadline)
        before = self._shoot(seek.deadline, is_last=False)
        for _ in range(SETTLE_PICTURES_MAX - 2):
            picture = self._shoot(seek.deadline, is_last=False)
            if picture == before:
                break
            before = picture
        else:
            text = f"frame {seek.frame} still changes after {SETTLE_PICTURES_MAX} pictures of it"
            self._notes.add(Note("warning", "page", text))
        return self._shoot(seek.deadline)

    def _shoot(self, deadline: float, *, is_last: bool = True) -> bytes:
        if picture := self._camera.shoot(deadline, is_last=is_last):
            return picture
        self._connection.linger(CRASH_NEWS_S)
        # A page that lives has failed to give one, too: once in some 3,800 starts, eight at a time.
        if picture := self._camera.shoot(deadline, is_last=False):
            return picture
        raise CaptureError(FaultCode.FRAME_DAMAGED, "the browser drew a frame and returned no picture of it")

    @contextmanager
    def _page_errors(self) -> Iterator[None]:
        message = f"the page was not ready after {self._limit_s:.0f} s"
        with replies.translated(FaultCode.PAGE_NOT_READY), self._lateness(FaultCode.PAGE_NOT_READY, message):
            yield

    @contextmanager
    def _frame_errors(self, frame: int) -> Iterator[None]:
        message = f"frame {frame} was not captured within its time"
        with (
            self._connection.meter.at(Stage.SEEK),
            replies.translated(FaultCode.SEEK_FAILED),
            self._lateness(FaultCode.FRAME_TIMEOUT, message),
        ):
            yield

    @contextmanager
    def _lateness(self, code: FaultCode, message: str) -> Iterator[None]:
        """Why something is late: a script that does not end, or else what was awaited."""
        try:
            yield
        except cdp.TimedOut as error:
            place = None
            if self._session:
                with suppress(cdp.TimedOut, cdp.Refused):
                    place = stuck.endless(self._connection, self._session, self._watch)
            if place is None:
                raise CaptureError(code, f"{message} ({error})") from error
            text = f"{message}: a script of the page does not end{f': {place}' if place else ''}"
            raise CaptureError(FaultCode.SCRIPT_ENDLESS, text) from error

    def _crashed(self, params: cdp.Params, _session: str | None) -> None:
        status = str(params.get("status", "crashed"))
        code = FaultCode.OUT_OF_MEMORY if status == "oom" else FaultCode.BROWSER_CRASHED
        raise CaptureError(code, f"the page's process ended: {status}")

    def _dismiss(self, params: cdp.Params, session: str | None) -> None:
        kind, text = params.get("type"), clean(str(params.get("message", "")))
        self._notes.add(Note("warning", "page", f"dismissed the dialog {kind}({text!r})"))
        self._connection.notify("Page.handleJavaScriptDialog", {"accept": False}, session)

    def _parsed(self, _params: cdp.Params, session: str | None) -> None:
        self._has_document = self._has_document or session == self._session


class RepeatIsWrong(Exception):
    """The browser saw no change up to this frame, and a picture of it shows one."""

    def __init__(self, frame: int) -> None:
        super().__init__(f"frame {frame} has changed although the browser told of no change")
        self.frame = frame


@dataclass(frozen=True, slots=True)
class _Seek:
    """A seek that the page is working on, and the monotonic time by which its picture is wanted."""

    frame: int
    message_id: int
    deadline: float
    is_jump: bool
    requests: int  # the page's before it


class _Notes:
    """Passes notes on, each text once and not too many."""

    def __init__(self, note: Callable[[Note], None]) -> None:
        self._note = note
        self._texts: set[str] = set()

    def add(self, note: Note) -> None:
        if note.text in self._texts or len(self._texts) > NOTES_MAX:
            return
        self._texts.add(note.text)
        is_last = len(self._texts) > NOTES_MAX
        self._note(Note("warning", note.source, "more notes follow and are left out") if is_last else note)
