"""How pixels leave the browser: one class per capture mode, same methods, so that a session need not know which.

Begin-frame mode owns the browser's frame clock. Its ticks depend on the absolute frame alone, never on which frames
were captured before; what runs between two frames takes ticks of its own, strictly between theirs.
"""

import time
from fractions import Fraction
from typing import Any

from capture import cdp
from capture.protocol import CaptureMode, ImageFormat, RenderSpec, Stage

# Later than every tick that a page can use up while it gets ready, and the same on every host.
FIRST_FRAME_MS = 100_000
READY_STEP_MS = 10
# 60 s of waiting need 1,240 ticks by the pace below; at 240 fps they still lie 2 microseconds apart.
TICKS_PER_FRAME = 2048
# A page that waits for a frame gets one soon; a page that waits for something else is not kept busy, and one whose
# scripts take their time is not asked about it in every frame.
QUICK_PUMPS = 40
QUICK_PUMP_S = 0.005
SLOW_PUMP_S = 0.05
# Each time it was only slow it gets so much longer, up to what a page that waits for a frame after all may lose once.
PATIENCE_GROWTH = 4
PATIENCE_MAX_S = 0.2
# Doubling pauses, 1.55 s in all: the browser may still be at a frame of its own, e.g. after a page was attached.
PENDING_RETRIES = 5
PENDING_PAUSE_S = 0.05
PENDING_TEXT = "frame is pending"
# Answered when no script runs any more: whether the page knows that it waits for nothing but files.
WAITS_FOR_FILES = {"expression": "globalThis.__fleet?.waitsForFiles?.() ?? false", "returnByValue": True}


class BeginFrames:
    """Every frame of the browser is one that we ask for."""

    TELLS_CHANGES = True

    def __init__(self, connection: cdp.Connection, session: str, spec: RenderSpec) -> None:
        self._connection, self._session = connection, session
        self._interval_ms = Fraction(1000) / spec.fps
        self._screenshot = _image_options(spec)
        self._frame: int | None = None
        self._tick_ms = Fraction(0)
        self._has_moved = True
        self._patience_s = QUICK_PUMP_S  # with a page that does not answer at once

    def enter(self, frame: int) -> None:
        """From now on the clock stands just before `frame`, until its picture is taken."""
        self._frame = frame
        self._tick_ms = max(self._tick_ms, self._time_of(frame - 1))

    def reply(self, message_id: int, deadline: float) -> cdp.Params:
        """The reply to a command that may itself wait for frames: they are given to it."""
        pumps = 0
        while True:
            pause_s = SLOW_PUMP_S if pumps >= QUICK_PUMPS else QUICK_PUMP_S if pumps else self._patience_s
            found = self._connection.reply_within(message_id, min(pause_s, max(0.0, deadline - time.monotonic())))
            if found is not None:
                return found
            # A page that is only slow needs no frame, and would lay out and paint what it is about to change.
            asked = self._connection.send("Runtime.evaluate", WAITS_FOR_FILES, self._session)
            waits_for_files = self._connection.reply(asked, deadline)["result"].get("value")
            found = self._connection.poll(message_id)
            if found is not None:
                if pumps == 0:  # it was only slow, and will be
                    self._patience_s = min(PATIENCE_GROWTH * self._patience_s, PATIENCE_MAX_S)
                return found
            if not waits_for_files:
                self._patience_s = QUICK_PUMP_S
                self.commit(deadline)
            pumps += 1

    def commit(self, deadline: float) -> None:
        """Lays out, paints and draws once, without taking a picture."""
        with self._connection.meter.at(Stage.PAINT):
            self._begin({}, self._between(), deadline)

    def paint(self, deadline: float) -> None:
        """Paints the page as it is, for scripts that draw from what is painted."""
        self.commit(deadline)

    def watch(self, deadline: float) -> None:
        """From now on `has_moved` tells of changes."""
        self.commit(deadline)  # the first frame after a picture always counts as changed
        self._has_moved = False

    def has_moved(self, deadline: float) -> bool:
        """Whether anything on screen has changed since `watch`, the page as it is now included."""
        if not self._has_moved:
            self.commit(deadline)
        return self._has_moved

    def step(self, deadline: float) -> None:
        """Draws the frame at its own tick without a picture: presenting a canvas may clear what its page reads next.

        At 1080p, on two busy cores, it took 17 ms where a picture took 162.
        """
        assert self._frame is not None
        with self._connection.meter.at(Stage.PAINT):
            self._begin({}, self._time_of(self._frame), deadline)

    def shoot(self, deadline: float, *, is_last: bool = True) -> bytes:
        """One picture, or nothing; at the frame's own tick when it `is_last`, before it otherwise."""
        assert self._frame is not None
        tick = self._time_of(self._frame) if is_last else self._between()
        with self._connection.meter.at(Stage.SCREENSHOT):
            return bytes(self._begin({"screenshot": self._screenshot}, tick, deadline).get("screenshotData", b""))

    def evidence(self, deadline: float) -> bytes:
        """A PNG of whatever is there, for a person to look at."""
        tick = self._between()
        return bytes(self._begin({"screenshot": {"format": "png"}}, tick, deadline).get("screenshotData", b""))

    def _time_of(self, frame: int) -> Fraction:
        return FIRST_FRAME_MS + frame * self._interval_ms

    def _between(self) -> Fraction:
        is_ready = self._frame is not None
        return self._tick_ms + (self._interval_ms / TICKS_PER_FRAME if is_ready else READY_STEP_MS)

    def _begin(self, options: dict[str, Any], tick_ms: Fraction, deadline: float) -> cdp.Params:
        self._tick_ms = tick_ms
        params = {"frameTimeTicks": float(tick_ms), "interval": float(self._interval_ms), **options}
        for retry in range(PENDING_RETRIES + 1):
            message_id = self._connection.send("HeadlessExperimental.beginFrame", params, self._session)
            try:
                drawn = self._connection.reply(message_id, deadline)
            except cdp.Refused as refusal:
                if PENDING_TEXT not in refusal.message or retry == PENDING_RETRIES:
                    raise
            else:
                self._has_moved |= bool(drawn.get("hasDamage", True))
                return drawn
            time.sleep(PENDING_PAUSE_S * 2**retry)
        raise AssertionError("the last retry raises")


class Screenshots:
    """The browser draws when it likes; a picture is asked for when the page says that it is ready."""

    TELLS_CHANGES = False

    def __init__(self, connection: cdp.Connection, session: str, spec: RenderSpec) -> None:
        self._connection, self._session = connection, session
        self._clip = {"x": 0, "y": 0, "width": spec.width, "height": spec.height, "scale": 1}
        self._screenshot = _image_options(spec)

    def enter(self, frame: int) -> None:
        """Nothing to prepare: there is no frame clock."""

    def reply(self, message_id: int, deadline: float) -> cdp.Params:
        """The reply to a command; the browser gives the page its frames by itself."""
        return self._connection.reply(message_id, deadline)

    def commit(self, deadline: float) -> None:
        """Nothing to do: a screenshot forces a frame before it is taken."""

    def paint(self, deadline: float) -> None:
        """Paints the page as it is, for scripts that draw from what is painted."""
        clip = {**self._clip, "width": 1, "height": 1}
        with self._connection.meter.at(Stage.PAINT):
            self._connection.reply(self._request({"format": "jpeg", "quality": 1}, clip), deadline)

    def watch(self, deadline: float) -> None:
        """Nothing to do: see `has_moved`."""

    def has_moved(self, deadline: float) -> bool:  # noqa: ARG002
        """Always: what the browser drew in the meantime is not known."""
        return True

    def step(self, deadline: float) -> None:
        """Has the frame drawn: nothing else makes the browser do so, and the smallest picture is the cheapest."""
        self.paint(deadline)

    def shoot(self, deadline: float, *, is_last: bool = True) -> bytes:  # noqa: ARG002
        """One picture."""
        with self._connection.meter.at(Stage.SCREENSHOT):
            return self._take(self._screenshot, deadline)

    def evidence(self, deadline: float) -> bytes:
        """A PNG of whatever is there, for a person to look at."""
        return self._take({"format": "png"}, deadline)

    def _take(self, options: dict[str, Any], deadline: float) -> bytes:
        return bytes(self._connection.reply(self._request(options, self._clip), deadline)["data"])

    def _request(self, options: dict[str, Any], clip: dict[str, int]) -> int:
        params = {**options, "clip": clip, "fromSurface": True}
        return self._connection.send("Page.captureScreenshot", params, self._session)


Shutter = BeginFrames | Screenshots
SHUTTERS: dict[CaptureMode, type[Shutter]] = {
    CaptureMode.BEGIN_FRAME: BeginFrames,
    CaptureMode.SCREENSHOT: Screenshots,
}


def _image_options(spec: RenderSpec) -> dict[str, Any]:
    if spec.image is ImageFormat.JPEG:
        return {"format": "jpeg", "quality": spec.jpeg_quality}
    # The fast path crushes partial alpha; a page that is not transparent is opaque, over Chromium's white.
    return {"format": "png", "optimizeForSpeed": not spec.is_transparent}
