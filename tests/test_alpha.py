"""Pages drawn over nothing and at more than one pixel per CSS pixel, in every capture mode, up to the output."""

import dataclasses
from pathlib import Path

import browser_support as support
import media_support as media
import pytest
from fleetrender_support import fleetrender

from capture import browser
from capture.protocol import CaptureMode
from capture.session import Session

pytestmark = [pytest.mark.browser, pytest.mark.ffmpeg]

# Everything that may lie behind a composition, and must not show: the page's, the body's, the composition's own.
PAGE = """<!doctype html><meta charset="utf-8">
<style>
  html { background: #fff } body { margin: 0; overflow: hidden; background: url(data:,) yellow !important }
  .box { position: absolute; top: 25px; width: 40px; height: 40px }
</style>
<div data-composition-id="root" data-no-timeline data-width="160" data-height="90" data-start="0" data-duration="0.4"
     data-fps="25" style="width: 160px; height: 90px; background: linear-gradient(red, blue)">
  <div class="box" style="left: 10px; background: rgb(255, 0, 0)"></div>
  <div class="box" style="left: 60px; background: rgba(0, 128, 255, 0.5)"></div>
  <div class="box" id="moving" style="left: 110px; background: rgb(0, 255, 0)"></div>
</div>
<script>
  window.draw = frame => { moving.style.transform = `translateY(${frame}px)`; };
  window.addEventListener("hf-seek", event => draw(Math.round(event.detail.time * 25)));
</script>"""
SPOTS = {(30, 45): (255, 0, 0, 255), (80, 45): (0, 128, 255, 128), (130, 55): (0, 255, 0, 255), (3, 3): (0, 0, 0, 0)}


def spots(rgba: bytes, *, scale: int) -> dict[tuple[int, int], tuple[int, ...]]:
    """The pixels in the middle of what the page draws; what is transparent has no colour."""
    assert len(rgba) == 160 * 90 * 4 * scale**2
    found = {(x, y): tuple(rgba[(y * 160 * scale + x) * scale * 4 :][:4]) for x, y in SPOTS}
    return {spot: pixel if pixel[3] else (0, 0, 0, 0) for spot, pixel in found.items()}


def capture(directory: Path, mode: CaptureMode, frames: list[int], *, scale: int) -> dict[int, bytes]:
    size = (160, 90)
    spec = dataclasses.replace(support.spec(mode), width=160, height=90, scale=scale, is_transparent=True)
    profile = directory.with_name("profile")
    with browser.start(support.chromium(), mode=mode, size=size, profile=profile, sandbox=True) as started:
        session = Session(started.connection, spec, bundle=directory, note=lambda _: None)
        session.open(support.RUNTIME)
        return dict(session.capture(frames))


@pytest.mark.parametrize(
    ("mode", "scale"), [(CaptureMode.BEGIN_FRAME, 1), (CaptureMode.SCREENSHOT, 1), (CaptureMode.SCREENSHOT, 2)]
)
def test_backgrounds_are_gone_and_half_transparent_stays_half(tmp_path: Path, mode: CaptureMode, scale: int) -> None:
    bundle = support.bundle(tmp_path / "bundle", PAGE)
    pictures = capture(bundle, mode, [5, 9], scale=scale)
    raw = media.ffmpeg("-i", "-", "-pix_fmt", "rgba", "-f", "rawvideo", "-", stdin=pictures[9])
    assert spots(raw, scale=scale) == SPOTS
    assert capture(bundle, mode, [9], scale=scale)[9] == pictures[9]


@pytest.mark.parametrize(
    ("name", "scale"), [("o.webm", 2), ("o.mov", 1), ("o.frames", 1)], ids=lambda value: str(value).removeprefix("o.")
)
def test_a_render_with_alpha_shows_what_the_page_draws(tmp_path: Path, name: str, scale: int) -> None:
    (tmp_path / "index.html").write_text(PAGE)
    resolution = ["--resolution", f"{160 * scale}x{90 * scale}"]
    ended = fleetrender(tmp_path, "run", tmp_path, "-o", name, "--json", *resolution)
    assert ended.code == 0, ended.stderr
    assert (ended.result["width"], ended.result["height"]) == (160 * scale, 90 * scale)
    source = tmp_path / (f"{name}/frame_%06d.png" if name == "o.frames" else name)
    decoder = ("-c:v", "libvpx-vp9") if name == "o.webm" else ()
    exact = "select=eq(n\\,9),scale=in_color_matrix=bt709:flags=accurate_rnd+full_chroma_int+full_chroma_inp"
    raw = media.ffmpeg(*decoder, "-i", str(source), "-vf", exact, "-pix_fmt", "rgba", "-f", "rawvideo", "-")
    for spot, found in spots(raw, scale=scale).items():
        assert max(abs(a - b) for a, b in zip(found, SPOTS[spot], strict=True)) <= 2, (spot, found)
