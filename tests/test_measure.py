"""The length of a composition whose root does not say it."""

import re
from fractions import Fraction
from pathlib import Path

import composition_support as support
import pytest

from fleet import agentzip, composition, errors, measure

ROOT = '<div id="root" data-composition-id="main" data-width="64" data-height="48">'
# Its own timeline, a clip whose CSS animation ends at 1 + 0.25 + 2 s, one that never ends, and a scene of its own time.
PAGE = """
<style>@keyframes move { to { left: 9px } } .once { animation: move 2s 0.25s }
.ever { animation: move 1s infinite }</style>
<p class="once" data-start="1">a</p><p class="ever">b</p>
<div data-composition-id="scene" data-start="0.5" data-duration="1.5"></div>
<script>
  const timeline = { duration: () => 0.1 + 0.2, totalTime() {}, pause() {}, play() {} };
  window.__timelines = { main: timeline, scene: timeline };
</script>"""


@pytest.mark.parametrize(
    ("told", "length"),
    [(0.1 + 0.2, Fraction("0.3")), (2.5000004, Fraction("2.5")), (7, Fraction(7)), (10 / 3, Fraction("3.333333"))],
)
def test_a_sum_of_floats_is_the_number_that_was_meant(told: float, length: Fraction) -> None:
    assert measure.seconds({"duration_s": told}) == length


@pytest.mark.parametrize("told", [{}, {"duration_s": 0}, {"duration_s": float("nan")}, {"duration_s": "5"}])
def test_a_page_without_a_length_is_refused_with_a_remedy(told: dict[str, object]) -> None:
    with pytest.raises(errors.CompositionError) as caught:
        measure.seconds(told)
    assert "data-duration" in caught.value.remedy


def test_the_reason_of_a_page_and_its_console_are_told() -> None:
    with pytest.raises(errors.CompositionError, match=re.escape("zero\npage console: oops")):
        measure.seconds({"problem": "zero", "console": ["oops"]})


def test_what_the_page_says_is_written_down_for_every_host(tmp_path: Path) -> None:
    asked: list[tuple[int, int]] = []

    def ruler(_document: str, _assets: object, width: int, height: int) -> Fraction:
        asked.append((width, height))
        return Fraction("2.5")

    folder = support.write(tmp_path / "project", {"index.html": support.page(root=ROOT)})
    compiled = composition.read(folder, variables={}, cache=tmp_path / "cache", offline=True, measure=ruler)
    assert (compiled.duration_s, compiled.is_measured, asked) == (Fraction("2.5"), True, [(64, 48)])
    assert support.by_id(support.tree(compiled), "root").attrs["data-duration"] == "2.5"


def test_a_root_that_says_its_length_is_not_measured(tmp_path: Path) -> None:
    def ruler(*_: object) -> Fraction:
        raise AssertionError("asked")

    folder = support.write(tmp_path / "project", {"index.html": support.page()})
    compiled = composition.read(folder, variables={}, cache=tmp_path / "cache", offline=True, measure=ruler)
    assert (compiled.duration_s, compiled.is_measured) == (Fraction(2), False)


@pytest.mark.browser
def test_a_page_lasts_as_long_as_its_timelines_scenes_and_animations(tmp_path: Path) -> None:
    folder = support.write(tmp_path / "project", {"index.html": support.page(PAGE, root=ROOT)})
    ruler = measure.Ruler(agentzip.build(tmp_path / "agents"))
    compiled = composition.read(folder, variables={}, cache=tmp_path / "cache", offline=True, measure=ruler)
    assert compiled.duration_s == Fraction("3.25")


@pytest.mark.browser
def test_a_page_in_which_nothing_happens_names_its_root(tmp_path: Path) -> None:
    page = support.page(root=ROOT.replace("<div", "<div data-no-timeline"))
    folder = support.write(tmp_path / "project", {"index.html": page})
    ruler = measure.Ruler(agentzip.build(tmp_path / "agents"))
    with pytest.raises(errors.CompositionError, match=r"index\.html:1: the root .* has no duration"):
        composition.read(folder, variables={}, cache=tmp_path / "cache", offline=True, measure=ruler)
