"""The length of a composition whose root does not say it."""

import contextlib
import os
import re
import time
from fractions import Fraction
from pathlib import Path

import composition_support as support
import pytest

from fleet import agentzip, composition, errors, measure, model

ROOT = '<div id="root" data-composition-id="main" data-width="64" data-height="48">'
# Its own timeline, a clip whose CSS animation ends at 1 + 0.25 + 2 s, one that never ends, and a scene of its own time.
PAGE = """
<style>@keyframes move { to { left: 9px } } .once { animation: move 2s 0.25s }
.ever { animation: move 1s infinite }</style>
<p class="once" data-start="1"></p><p class="ever"></p>
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


@pytest.mark.browser
def test_a_page_that_never_answers_is_given_up_and_leaves_no_process(tmp_path: Path) -> None:
    folder = support.write(tmp_path / "project", {"index.html": support.page("<script>for (;;);</script>", root=ROOT)})
    ruler = measure.Ruler(agentzip.build(tmp_path / "agents"), page_limit_s=3)
    with pytest.raises(
        errors.CompositionError, match=r"a script of the page does not end: index\.html, function"
    ) as caught:
        composition.read(folder, variables={}, cache=tmp_path / "cache", offline=True, measure=ruler)
    assert caught.value.remedy == measure.LATE_REMEDY  # to say its length would not help
    deadline_s = time.monotonic() + 10
    while (left := measuring_processes()) and time.monotonic() < deadline_s:
        time.sleep(0.1)
    assert left == []


def test_the_settings_of_the_local_host_hold_for_measuring_too(tmp_path: Path) -> None:
    agent = agentzip.build(tmp_path / "agents")
    remote = model.Host(name="a", chromium="/far/away")
    local = model.Host(name="b", transport="local", chromium="/opt/chromium", chromium_args=("--x",), sandbox=False)
    assert measure.Ruler.among(agent, [remote]) == measure.Ruler(agent)
    assert measure.Ruler.among(agent, [remote, local]) == measure.Ruler(agent, "/opt/chromium", ("--x",), False)


def test_without_a_browser_the_remedy_is_to_say_the_length(tmp_path: Path) -> None:
    ruler = measure.Ruler(agentzip.build(tmp_path / "agents"), chromium="/nonexistent/chromium")
    with pytest.raises(errors.CompositionError, match="no Chromium was found here") as caught:
        ruler("<p>", [], 64, 48)
    assert caught.value.remedy == measure.REMEDY


def measuring_processes() -> list[bytes]:
    """Command lines of what a measurement starts."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(process.read_bytes())
    return [line for line in found if str(os.getpid()).encode() in line and b"fleetrender-measure-" in line]
