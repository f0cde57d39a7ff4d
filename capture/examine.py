"""Frames drawn for their digests alone: to see if they depend on those before them, and if hosts draw them alike.

For the first, one page jumps to each sampled frame, another comes to it through the frames before it. Where their
pictures differ, a second page comes the same way: only if it draws the same again does stepping help.
"""

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
    with opened(setup) as (_, session):
        yield from _within_budget(session, frames)


@contextmanager
def opened(setup: Setup) -> Iterator[tuple[browser.Browser, Session]]:
    """A browser of its own with the page of `setup`, ready to be captured."""
    spec, limit_s = setup.spec, setup.page_limit_s
    with browser.start(
        setup.chromium,
        mode=spec.mode,
        size=(spec.width, spec.height),
        profile=Path(setup.profile_directory),
        sandbox=setup.sandbox,
        gl=spec.gl,
        extra=setup.chromium_args,
        version=setup.browser_version,
    ) as started:
        bundle, blobs = Path(setup.bundle_directory), setup.blobs_directory and Path(setup.blobs_directory)
        session = Session(started.connection, spec, bundle=bundle, blobs=blobs or None, note=_ignore, limit_s=limit_s)
        session.open(page.source(page.config(spec, limit_s=limit_s)))
        yield started, session


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
