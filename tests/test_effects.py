"""Pages that need more than a seek: captured by a real session, frame by frame, and again from mid-film."""

from collections.abc import Sequence
from pathlib import Path

import browser_support as support
import pytest
from page_support import CONFIG, PAGES, npm

from capture import page as page_runtime
from capture import png
from capture.protocol import CaptureMode

pytestmark = pytest.mark.browser


def capture(bundle: Path, frames: Sequence[int], mode: CaptureMode = CaptureMode.BEGIN_FRAME) -> dict[int, bytes]:
    """Each frame's picture, in one new session."""
    with support.session(bundle, mode) as opened:
        opened.open(page_runtime.source(CONFIG))
        return dict(opened.capture(frames))


def bundle(folder: Path, fixture: str, **files: bytes) -> Path:
    gsap = (npm("gsap") / "dist/gsap.min.js").read_bytes()
    return support.bundle(folder, (PAGES / f"{fixture}.html").read_text(), gsap_js=gsap, **files)


def left_edge(picture: bytes, *, line: int, start: int) -> int:
    """Where, from `start` on, something green or white begins."""
    row = png.rows(picture)[line]
    return next(x for x in range(160) if row[start + x][1] > 150)


@pytest.mark.parametrize("mode", CaptureMode)
def test_elements_drawn_into_a_canvas_are_those_of_the_same_frame(tmp_path: Path, mode: CaptureMode) -> None:
    folder = bundle(tmp_path / "bundle", "elements")
    pictures = capture(folder, (0, 1, 17, 45, 59), mode)
    for frame, picture in pictures.items():
        assert left_edge(picture, line=45 + 90, start=0) == pytest.approx(2 * frame, abs=1)
    assert capture(folder, (17, 59), mode) == {frame: pictures[frame] for frame in (17, 59)}


def test_a_shader_transition_blends_both_scenes_as_they_are_in_that_frame(tmp_path: Path) -> None:
    package = npm("@hyperframes/shader-transitions") / "dist/index.global.js"
    folder = bundle(tmp_path / "bundle", "shader", transitions_js=package.read_bytes())
    pictures = capture(folder, (0, 17, 30, 59))
    red, green = (225, 29, 72), (34, 197, 94)
    assert {frame: scenes(picture, red, green) for frame, picture in pictures.items()} == {
        0: {red}, 17: {red}, 30: {red, green}, 59: {green}
    }  # fmt: skip
    assert left_edge(pictures[17], line=70, start=0) == pytest.approx(40 + 100 * 17 / 60, abs=3)
    assert capture(folder, (30,)) == {30: pictures[30]}


def scenes(picture: bytes, *colours: tuple[int, int, int]) -> set[tuple[int, int, int]]:
    """Which of the colours are on the picture."""
    seen = {pixel[:3] for row in png.rows(picture) for pixel in row}
    return seen & set(colours)
