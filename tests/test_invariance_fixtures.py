"""A frame is the same bytes however the film is split: every second fixture, and proof that the comparison can fail."""

from collections.abc import Iterator
from pathlib import Path

import composition_support
import invariance_support as support
import pytest
from composition_support import NEEDS_NPM

from capture.protocol import FrameRange

pytestmark = pytest.mark.browser

# A canvas that is never cleared: what it shows depends on how often it was drawn on.
STATEFUL = """
  <canvas id="trail" width="640" height="360"></canvas>
  <script>
    const context = document.getElementById("trail").getContext("2d");
    let x = 0;
    addEventListener("hf-seek", () => { x += 40; context.fillRect(x, 100, 20, 20); });
  </script>
"""


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[support.Studio]:
    with support.studio(tmp_path_factory.mktemp("studio")) as opened:
        yield opened


@NEEDS_NPM
@pytest.mark.parametrize("project", support.FIXTURES[::2], ids=lambda project: project.name)
def test_a_fixture_is_the_same_however_it_is_split(studio: support.Studio, project: Path) -> None:
    support.check(studio, project)


@NEEDS_NPM
def test_tweens_that_end_softly_are_the_same_however_they_are_split(studio: support.Studio) -> None:
    # At the film's own rate the last frames of a tween differ by little, which Chromium may take for no difference.
    film, frames = support.EXAMPLES / "launch", FrameRange(34, 58)
    assert support.split(studio, film, fps=None, frames=frames).unequal() == {}


def test_frames_that_build_on_each_other_are_stepped_to_and_would_differ_otherwise(
    studio: support.Studio, tmp_path: Path
) -> None:
    film = composition_support.write(tmp_path, {"index.html": composition_support.page(STATEFUL)})
    assert support.check(studio, film).sequential
    careless = support.split(studio, film, sequential=False).unequal()
    assert {"ranged", "by_chunks"} <= set(careless)
