"""A frame is the same bytes however the film is split: the other half of the fixtures, the examples, and videos."""

from collections.abc import Iterator
from pathlib import Path

import composition_support
import invariance_support as support
import pytest
import video_support
from composition_support import NEEDS_NPM

from capture.protocol import FrameRange

pytestmark = [pytest.mark.browser, pytest.mark.ffmpeg]

VIDEOS = """
  <video id="a" src="a.mp4" data-start="0" data-duration="2" muted style="width: 320px; height: 180px"></video>
  <canvas id="copy" width="320" height="180" style="position: absolute; left: 320px; top: 0"></canvas>
  <script>
    const context = document.getElementById("copy").getContext("2d");
    addEventListener("hf-seek", () => context.drawImage(document.getElementById("a"), 0, 0, 320, 180));
  </script>
"""


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[support.Studio]:
    with support.studio(tmp_path_factory.mktemp("studio")) as opened:
        yield opened


@NEEDS_NPM
@pytest.mark.parametrize("project", support.FIXTURES[1::2], ids=lambda project: project.name)
def test_a_fixture_is_the_same_however_it_is_split(studio: support.Studio, project: Path) -> None:
    support.check(studio, project)


@NEEDS_NPM
@pytest.mark.parametrize(
    ("example", "frames"),
    [("barcode", FrameRange(30, 42)), ("launch", FrameRange(20, 26)), ("shader", FrameRange(60, 66))],
    ids=["barcode", "launch", "shader"],
)
def test_an_example_is_the_same_however_it_is_split(studio: support.Studio, example: str, frames: FrameRange) -> None:
    support.check(studio, support.EXAMPLES / example, frames=frames)


def test_a_film_with_video_is_the_same_however_it_is_split(studio: support.Studio, tmp_path: Path) -> None:
    film = composition_support.write(tmp_path, {"index.html": composition_support.page(VIDEOS)})
    video_support.clip(film / "a.mp4", 60)
    support.check(studio, film)
