"""Whether frames of a composition depend on those before them: a few are drawn both ways and compared.

One page jumps to each sampled frame, another comes to it through the frames before it. Where their pictures differ, a
second page comes the same way: only if it draws the same again does stepping help.
"""

import hashlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from capture import browser, page
from capture.protocol import Examined, FrameRange, Note, Setup
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


def _digests(setup: Setup, frames: Sequence[int]) -> dict[int, str]:
    """sha256 of the pictures of `frames` in one fresh page, as many as there is time for, at least one."""
    spec = setup.spec
    with browser.start(
        setup.chromium,
        mode=spec.mode,
        size=(spec.width, spec.height),
        profile=Path(setup.profile_directory),
        sandbox=setup.sandbox,
        extra=setup.chromium_args,
    ) as started:
        bundle, blobs = Path(setup.bundle_directory), setup.blobs_directory and Path(setup.blobs_directory)
        limit_s = setup.page_limit_s
        session = Session(started.connection, spec, bundle=bundle, blobs=blobs or None, note=_ignore, limit_s=limit_s)
        session.open(page.source(page.config(spec, limit_s=setup.page_limit_s)))
        return {frame: hashlib.sha256(picture).hexdigest() for frame, picture in _within_budget(session, frames)}


def _within_budget(session: Session, frames: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    deadline = time.monotonic() + BUDGET_S
    for captured in session.capture(frames):
        yield captured
        if time.monotonic() > deadline:
            return


def _ignore(_: Note) -> None:
    """What the page says now it says again to the workers that capture it."""
