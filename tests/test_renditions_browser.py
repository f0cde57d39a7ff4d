"""GL backends tried for real: what a browser draws with each, and how alike two pictures are."""

import math
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import browser_support as support
import pytest

from capture import examine, page, renditions
from capture.browser import GL_FLAGS
from capture.faults import CaptureError
from capture.protocol import EQUAL_DB, CaptureMode, GlBackend, Rendition, Setup

TRIANGLE = """<!doctype html><body style="margin:0">
<div id="root" data-composition-id="t" data-width="320" data-height="180" data-duration="10">
  <canvas id="c" width="320" height="180"></canvas></div>
<script>
  const gl = c.getContext("webgl");
  addEventListener("hf-seek", event => {
    gl.clearColor(event.detail.time % 1, 0.3, 0.6, 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
  });
</script>"""

ENDLESS = TRIANGLE.replace("gl.clear(", "event.detail.waitUntil(new Promise(() => {})); gl.clear(")


def setup(folder: Path, document: str = TRIANGLE) -> Setup:
    return Setup(
        spec=support.spec(CaptureMode.BEGIN_FRAME),
        bundle_directory=str(support.bundle(folder / "bundle", document)),
        profile_directory=str(folder / "profile"),
        chromium=support.chromium(),
        chromium_args=(),
        sandbox=True,
    )


@pytest.mark.parametrize(("wanted", "browsers"), [((GlBackend.VULKAN, GlBackend.GPU), 1), ((GlBackend.VULKAN,), 2)])
def test_backends_are_drawn_with_timed_and_compared(
    tmp_path: Path, wanted: tuple[GlBackend, ...], browsers: int
) -> None:
    """In turn and at once, whichever drivers this machine has: with none, what Chromium draws with instead is told."""
    found = renditions.try_backends(replace(setup(tmp_path), browsers=browsers), wanted, (10, 11, 40))
    assert [rendition.gl for rendition in found] == list(wanted)
    for rendition in found:
        if rendition.fault or not rendition.is_as_asked:
            assert rendition == Rendition(gl=rendition.gl, renderer=rendition.renderer, fault=rendition.fault)
            continue
        assert [file.index for file in rendition.frames] == [10, 11, 40]
        assert all(0 < decibels <= EQUAL_DB for decibels in rendition.decibels)
        assert min(rendition.cost.wall_ms, rendition.swiftshader.wall_ms) > 0
    assert [*tmp_path.iterdir()] == [tmp_path / "bundle"]


def test_swiftshader_draws_whatever_the_users_variables_say_of_drivers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = []
    for name in ("plain", "steered"):
        with support.session(support.bundle(tmp_path / name, TRIANGLE), CaptureMode.BEGIN_FRAME) as session:
            session.open(page.source(page.config(support.spec(), limit_s=20.0)))
            pictures += [picture for _, picture in session.capture([10])]
        for variable in ("VK_DRIVER_FILES", "VK_ICD_FILENAMES"):
            monkeypatch.setenv(variable, str(tmp_path / "none.json"))
    assert pictures[0] == pictures[1]


def test_pictures_are_compared_by_their_pixels(tmp_path: Path) -> None:
    black, gray = plain_png(0), plain_png(2)
    pictures = ({0: black, 1: black}, {0: black, 1: gray})
    with examine.started(setup(tmp_path)) as started:
        same, other = renditions.compare(started.connection, *pictures, channels=3)
    assert same == EQUAL_DB
    assert other == pytest.approx(20 * math.log10(255 / 2), abs=0.01)


def plain_png(level: int) -> bytes:
    """A gray picture of 8 by 8 pixels."""
    rows = (b"\0" + bytes([level] * 24)) * 8

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")


def test_nothing_is_drawn_where_a_backend_has_no_driver(tmp_path: Path) -> None:
    """A page that nobody could draw shows it: it is not even loaded."""
    without = replace(setup(tmp_path, ENDLESS), chromium_args=GL_FLAGS[GlBackend.SWIFTSHADER])
    (rendition,) = renditions.try_backends(without, (GlBackend.VULKAN,), (10, 11))
    assert "SwiftShader" in rendition.renderer
    assert rendition == Rendition(gl=GlBackend.VULKAN, renderer=rendition.renderer)


def test_a_page_that_fails_everywhere_is_no_backends_fault(tmp_path: Path) -> None:
    """On a machine that has no driver but SwiftShader it is not even loaded."""
    has_driver, has_failed = True, False
    try:
        (rendition,) = renditions.try_backends(setup(tmp_path, ENDLESS), (GlBackend.VULKAN,), (10, 11), limit_s=1.0)
        has_driver = rendition.is_as_asked
    except CaptureError:
        has_failed = True
    assert has_failed == has_driver
