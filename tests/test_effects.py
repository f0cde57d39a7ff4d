"""Pages that need more than a seek: captured by a real session, frame by frame, and again from mid-film."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import browser_support as support
import pytest
from page_support import CONFIG, PAGES, npm

from capture import page as page_runtime
from capture import png
from capture.protocol import CaptureMode
from fleet.composition import moving

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
        assert png.rows(picture)[135][240][2] == pytest.approx(frame * 100 / 30, abs=1)
        assert png.rows(picture)[10][310][:3] == (255, 255, 255), "what a timer drew"
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


COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255))
SHOWN_S = 0.2  # each colour


def movie(folder: Path, name: str, *options: str) -> bytes:
    """A picture that shows each of the colours for a while, again and again."""
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "8x8", "-r", "5", "-i", "-"]
    palette = ["-vf", "split[a][b];[a]palettegen[p];[b][p]paletteuse"] if name == "gif.gif" else []
    command = ["ffmpeg", "-v", "error", "-y", *source, *palette, *options, str(folder / name)]
    raw = b"".join(bytes(colour) * 64 for colour in COLOURS)
    subprocess.run(command, input=raw, check=True, timeout=30)
    return (folder / name).read_bytes()


@pytest.mark.ffmpeg
def test_images_that_move_show_the_still_of_each_frame(tmp_path: Path) -> None:
    files = {
        "gif_gif": movie(tmp_path, "gif.gif", "-loop", "0"),
        "png_png": movie(tmp_path, "png.png", "-f", "apng", "-plays", "0"),
        "webp_webp": movie(tmp_path, "webp.webp", "-c:v", "libwebp_anim", "-lossless", "1", "-loop", "0"),
    }
    assert [moving.type_of(data) for data in files.values()] == ["image/gif", "image/png", "image/webp"]
    folder = bundle(tmp_path / "bundle", "moving", **files)
    pictures = capture(folder, (0, 1, 17, 29, 59))
    for frame, picture in pictures.items():
        time_s = frame / 30
        looped, late = int(time_s / SHOWN_S + 1e-6) % 4, int(max(0, time_s - 0.5) / SHOWN_S + 1e-6) % 4
        once = min(3, int(time_s / SHOWN_S + 1e-6))
        row = png.rows(picture)[20]
        seen = [row[x][:3] for x in (20, 60, 100, 140, 180)]
        wanted = [COLOURS[index] for index in (looped, looped, looped, late, once)]
        if time_s < 0.5:
            wanted[3] = (15, 23, 42)  # not there yet
        assert seen == wanted, frame
    assert capture(folder, (29,)) == {29: pictures[29]}
    assert capture(folder, (0,)) == {0: pictures[0]}


def scenes(picture: bytes, *colours: tuple[int, int, int]) -> set[tuple[int, int, int]]:
    """Which of the colours are on the picture."""
    seen = {pixel[:3] for row in png.rows(picture) for pixel in row}
    return seen & set(colours)
