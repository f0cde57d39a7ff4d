"""Volume lanes, groups and volumes set by scripts, as levels of the tracks."""

import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import composition_support as support
import pytest
from hypothesis import given
from hypothesis import strategies as st
from media_support import tone

from fleet import agentzip, composition, errors, measure, model
from fleet.composition import lanes, speech
from fleet.model import Level

PARTS = st.floats(0, 1)
ROOT = support.ROOT.replace('data-duration="2"', 'data-duration="4" data-start="0"')


def automation(*points: Any, target: str = "volume") -> str:
    return json.dumps({"version": 1, "lanes": [{"target": target, "points": points}]})


def levels(text: str, start: int = 0) -> list[tuple[float, float]]:
    return [(float(level.at_s), level.gain) for level in lanes.volume(text, start_s=Fraction(start))]


def test_a_lane_runs_in_the_time_of_its_element_and_is_straight_between_points() -> None:
    assert levels(automation({"t": 2, "v": 0.5}, {"t": 0, "v": 0}), start=3) == [(3, 0), (5, 0.5)]


def test_points_are_put_in_order_and_into_bounds_and_the_later_of_two_counts() -> None:
    odd = [
        {"t": -1, "v": 9},
        {"t": "1", "v": 0.2},
        {"t": 1, "v": -3},
        {"t": None, "v": 1},
        {"v": 1},
        7,
        {"t": 2, "v": True},
    ]
    assert levels(automation(*odd)) == [(0, lanes.GAIN_MAX), (1, 0)]


def test_a_lane_of_an_effect_is_no_volume() -> None:
    assert levels(automation({"t": 0, "v": 0}, target="fx.n1.mix")) == []
    assert levels('{"version": 1, "lanes": []}') == []


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"version": 2, "lanes": []}', '{"version": 1}', '{"version": 1, "lanes": [1]}']
)
def test_what_is_no_automation_says_why(text: str) -> None:
    with pytest.raises(ValueError, match=r"it is no|a lane has no"):
        lanes.volume(text, start_s=Fraction(0))


@pytest.mark.parametrize(("curve", "half"), [(1, 0.5**4), (-1, 0.5**0.25), (0.5, 0.25), (7, 0.5**4)])
def test_a_curve_is_a_power_of_the_way(curve: float, half: float) -> None:
    found = levels(automation({"t": 0, "v": 0, "curve": curve}, {"t": 2, "v": 1}))
    assert (len(found), found[0], found[-1]) == (121, (0, 0), (2, 1))
    assert found[60][1] == pytest.approx(half)


@given(st.floats(0.001, 0.999), st.floats(0.001, 0.999), PARTS, PARTS)
def test_a_bend_goes_through_its_point_from_end_to_end_and_never_back(
    x: float, y: float, one: float, other: float
) -> None:
    point = lanes.Point(at_s=Fraction(0), gain=0, via=(x, y))
    assert lanes.progress(x, point) == pytest.approx(y, abs=1e-4)
    assert lanes.progress(0, point) == pytest.approx(0, abs=1e-6)
    assert lanes.progress(1, point) == pytest.approx(1, abs=1e-6)
    assert lanes.progress(min(one, other), point) <= lanes.progress(max(one, other), point) + 1e-6


@pytest.mark.parametrize(
    ("script", "is_asked"),
    [
        ("music.volume = 0.2", True),
        ('gsap.to("#m", { volume: 0 })', True),
        ("el.muted=true", True),
        ("if (el.volume == 1) x()", False),
        ("const volumes = 3", False),
    ],
)
def test_a_script_that_names_a_volume_is_listened_to(script: str, is_asked: bool) -> None:
    assert speech.sets_volume([script]) is is_asked


def read(folder: Path, body: str, **more: Any) -> model.Composition:
    support.write(folder / "project", {"index.html": support.page(body, root=ROOT)})
    tone(folder / "project" / "tone.wav", 440, sound_s=4)
    return composition.read(
        folder / "project", variables={}, cache=folder / "cache", offline=True, substitute_fonts=True, **more
    )


@pytest.mark.ffmpeg
def test_a_lane_stands_above_data_volume_and_a_group_on_top_of_its_members(tmp_path: Path) -> None:
    own, shared = automation({"t": 0, "v": 0}, {"t": 1, "v": 1}), automation({"t": 0, "v": 1}, {"t": 4, "v": 0})
    found = read(
        tmp_path,
        f"""<hf-audio-group id="bus" data-automation='{shared}'></hf-audio-group><hf-audio-group id="gone" data-hidden>
        </hf-audio-group><hf-audio-group id="half" data-volume="0.5"></hf-audio-group>
        <audio id="a" src="tone.wav" data-start="2" data-volume="0" data-automation='{own}'
            data-audio-group="bus"></audio>
        <audio id="b" src="tone.wav" data-volume="0.5" data-audio-group="half"></audio>
        <audio id="c" src="tone.wav" data-audio-group="gone"></audio>
        <audio id="d" src="tone.wav" data-automation='{automation({"t": 0, "v": 0})}'></audio>""",
    )  # fmt: skip
    fade, bus = (Level(Fraction(2), 0.0), Level(Fraction(3), 1.0)), (Level(Fraction(0), 1.0), Level(Fraction(4), 0.0))
    assert [(track.id, track.gain, track.envelopes) for track in found.audio] == [
        ("a", 1.0, (fade, bus)),
        ("b", 0.25, ()),
    ]
    assert support.by_id(support.tree(found), "bus").attrs["style"] == "display:none!important"
    assert found.findings == ()


@pytest.mark.ffmpeg
def test_an_unreadable_lane_is_warned_about_and_the_written_volume_counts(tmp_path: Path) -> None:
    found = read(tmp_path, '<audio id="a" src="tone.wav" data-volume="0.5" data-automation="{"></audio>')
    assert [(track.gain, track.envelopes) for track in found.audio] == [(0.5, ())]
    assert [(f.code, f.where, f.severity) for f in found.findings] == [
        ("audio-automation", "<audio id='a'>", model.Severity.WARNING)
    ]


@pytest.mark.ffmpeg
def test_a_page_that_cannot_be_listened_to_is_warned_about(tmp_path: Path) -> None:
    def deaf(*_: object) -> dict[str, model.Envelope]:
        raise errors.CompositionError("no Chromium was found here", remedy="install one")

    body = '<audio id="a" src="tone.wav"></audio><script>a.volume = 0</script>'
    assert [finding.code for finding in read(tmp_path, body, listen=deaf).findings] == ["volume-unheard"]
    assert read(tmp_path, body.replace("a.volume = 0", "1"), listen=deaf).findings == ()


SCRIPTED = """<audio id="fade" src="tone.wav" data-volume="2"></audio><audio id="cut" src="tone.wav"></audio>
<audio id="quiet" src="tone.wav"></audio><audio id="left" src="tone.wav" data-volume="0.7"></audio>
<script>
  quiet.volume = 0.25;
  const from = fade.volume;  // as a tween does
  const at = { time: 0 };
  const go = (s) => {
    at.time = s;
    fade.volume = from * Math.max(0, 1 - s / 2);
    cut.muted = s >= 1;
  };
  window.__timelines = { main: {
    duration: () => 4, totalTime: (s) => { if (s !== undefined) go(s); return at.time; }, pause() {}, play() {},
  } };
</script>"""


@pytest.mark.ffmpeg
@pytest.mark.browser
def test_what_scripts_do_to_volumes_is_heard(tmp_path: Path) -> None:
    ruler = measure.Ruler(agentzip.build(tmp_path / "agents"))
    found = {track.id: track for track in read(tmp_path, SCRIPTED, listen=ruler.volumes).audio}
    assert [(found[name].gain, found[name].envelopes) for name in ("quiet", "left")] == [(0.25, ()), (0.7, ())]
    (fade,), (cut,) = found["fade"].envelopes, found["cut"].envelopes
    assert [level.gain for level in cut] == [1, 1, 0, 0]
    assert [float(level.at_s) for level in cut[1:3]] == pytest.approx([59 / 60, 1], abs=0.001)
    assert all(math.isclose(level.gain, max(0.0, 2 - float(level.at_s)), abs_tol=0.001) for level in fade)
    assert fade[-1] == Level(Fraction(4), 0.0)
