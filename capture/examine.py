"""Frames drawn for their digests alone: to see if they depend on those before them, and if hosts draw them alike.

For the first, one page jumps to each sampled frame, another comes to it through the frames before it. Where their
pictures differ, a second page comes the same way: only if it draws the same again does stepping help.
"""

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from capture import browser, page
from capture.protocol import Canaried, Examined, FrameFile, FrameRange, Note, Setup
from capture.session import Session

# Of capturing, for each page; samples that a slow page does not come to in this time are left out.
BUDGET_S = 5.0


def examine(setup: Setup, ranges: Sequence[FrameRange]) -> Examined:
    """Draws the last frame of each range both ways; CaptureError when the page or the browser fails."""
    approach = sorted({frame for part in ranges for frame in part})
    frames = [part.stop - 1 for part in ranges]
    stepped = _digests(setup, approach)
    jumped = _digests(setup, [frame for frame in frames if frame in stepped])
    frame = next((frame for frame, digest in jumped.items() if digest != stepped[frame]), None)
    if frame is None:
        compared = ", ".join(map(str, jumped)) or "none"
        return Examined(sequential=False, why=f"frames that look the same after a jump: {compared}")
    again = _digests(setup, [visited for visited in approach if visited <= frame])
    if again.get(frame, stepped[frame]) != stepped[frame]:
        why = f"frame {frame} differs from one load of the page to the next"
        return Examined(sequential=False, why=why, is_repeatable=False)
    return Examined(sequential=True, why=f"frame {frame} looks different after a jump than after the frames before it")


def canary(setup: Setup, frames: Sequence[int]) -> Canaried:
    """Draws `frames`, each with its digest and how long it took; CaptureError when the page or the browser fails."""
    return Canaried(
        tuple(
            FrameFile(frame, len(picture), hashlib.sha256(picture).hexdigest(), max(1, round(took_s * 1000)))
            for frame, picture, took_s in _drawn(setup, frames)
        )
    )


def _digests(setup: Setup, frames: Sequence[int]) -> dict[int, str]:
    return {frame: hashlib.sha256(picture).hexdigest() for frame, picture, _ in _drawn(setup, frames)}


def _drawn(setup: Setup, frames: Sequence[int]) -> Iterator[tuple[int, bytes, float]]:
    """The pictures of `frames` in one fresh page and the seconds each took: at least one, then while there is time.

    The browser ends with the iteration.
    """
    with started(setup) as chromium:
        yield from _within_budget(page_in(chromium, setup), frames)


def started(setup: Setup) -> AbstractContextManager[browser.Browser]:
    """A browser for the page of `setup`; CaptureError as `browser.start`."""
    return browser.start(
        setup.chromium,
        mode=setup.spec.mode,
        size=(setup.spec.width, setup.spec.height),
        profile=Path(setup.profile_directory),
        sandbox=setup.sandbox,
        gl=setup.spec.gl,
        extra=setup.chromium_args,
        version=setup.browser_version,
    )


def page_in(chromium: browser.Browser, setup: Setup) -> Session:
    """The page of `setup` in its browser, ready to be captured; CaptureError as `Session.open`."""
    spec, limit_s = setup.spec, setup.page_limit_s
    bundle, blobs = Path(setup.bundle_directory), setup.blobs_directory and Path(setup.blobs_directory)
    session = Session(chromium.connection, spec, bundle=bundle, blobs=blobs or None, note=_ignore, limit_s=limit_s)
    session.open(page.source(page.config(spec, limit_s=limit_s)))
    return session


def _within_budget(session: Session, frames: Sequence[int]) -> Iterator[tuple[int, bytes, float]]:
    since_s = time.monotonic()
    deadline = since_s + BUDGET_S
    for frame, picture in session.capture(frames):
        now_s = time.monotonic()
        yield frame, picture, now_s - since_s
        if now_s > deadline:
            return
        since_s = now_s


def _ignore(_: Note) -> None:
    """What the page says now it says again to the workers that capture it."""
