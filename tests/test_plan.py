"""Duration and fps become frames and segments; what cannot be rendered is refused by name."""

import dataclasses
import itertools
import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.protocol import CaptureMode, FrameRange, ImageFormat, RenderSpec
from fleet import plan
from fleet.errors import CompositionError, ConfigError
from fleet.model import AudioTrack, Composition, Plan, Quality

TRACK = AudioTrack(id="music", file="/home/ada/music.mp3", start_s=Fraction(1, 3), duration_s=Fraction(4))
COMPOSITION = Composition(
    name="launch", document="<html></html>", width=1920, height=1080, duration_s=Fraction(5), audio=(TRACK,)
)
FPS = st.builds(Fraction, st.integers(1, 240_000), st.integers(1, 1001)).filter(lambda fps: 1 <= fps <= 240)


def lasting(duration_s: Fraction, fps: Fraction | None = None) -> Composition:
    return dataclasses.replace(COMPOSITION, duration_s=duration_s, fps=fps)


def test_a_plan_holds_everything_that_decides_the_file() -> None:
    assert plan.make(COMPOSITION, "b", "a") == Plan(
        bundle="b",
        agent="a",
        width=1920,
        height=1080,
        fps=Fraction(30),
        duration_s=Fraction(5),
        frame_count=150,
        frames=FrameRange(0, 150),
        segments=(FrameRange(0, 60), FrameRange(60, 120), FrameRange(120, 150)),
        image=ImageFormat.JPEG,
        jpeg_quality=95,
        has_webgl=True,
        format="mp4",
        quality=Quality.STANDARD,
        audio=(TRACK,),
    )


@pytest.mark.parametrize(
    ("flag", "authored", "expected"),
    [
        (Fraction(25), Fraction(50), Fraction(25)),
        (None, Fraction(30000, 1001), Fraction(30000, 1001)),
        (None, None, Fraction(30)),
    ],
)
def test_the_flag_wins_over_data_fps_and_data_fps_over_thirty(
    flag: Fraction | None, authored: Fraction | None, expected: Fraction
) -> None:
    assert plan.make(lasting(Fraction(1), authored), "b", "a", fps=flag).fps == expected


@pytest.mark.parametrize(
    ("duration_s", "count"),
    [(Fraction("3.3333"), 100), (Fraction("3.34"), 101), (Fraction("22"), 660), (Fraction("0.01"), 1)],
)
def test_a_duration_close_to_a_frame_is_that_frame_and_else_rounds_up(duration_s: Fraction, count: int) -> None:
    assert plan.make(lasting(duration_s), "b", "a").frame_count == count


@pytest.mark.parametrize("duration_s", [Fraction(0), Fraction(-1), Fraction(1, 10**6), Fraction(24 * 3600 + 1)])
def test_a_duration_that_cannot_be_rendered_is_the_compositions_fault(duration_s: Fraction) -> None:
    with pytest.raises(CompositionError, match="launch: the composition lasts") as caught:
        plan.make(lasting(duration_s), "b", "a")
    assert "data-duration" in caught.value.remedy


def test_data_fps_out_of_range_is_the_compositions_fault() -> None:
    with pytest.raises(CompositionError, match="fps is out of range: 1000"):
        plan.make(lasting(Fraction(1), Fraction(1000)), "b", "a")


@pytest.mark.parametrize("text", ["29.97", "30fps", "", "1e2", "-30", "30/", "/1", "٣٠", "30/0", "0", "241", "1/2"])
def test_an_inexact_or_absurd_fps_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(ConfigError, match="fps") as caught:
        plan.parse_fps(text)
    assert caught.value.remedy


@given(FPS)
def test_every_fps_in_range_can_be_typed(fps: Fraction) -> None:
    assert plan.parse_fps(f"{fps.numerator}/{fps.denominator}") == fps


def test_fps_as_people_type_it() -> None:
    assert plan.parse_fps("30000/1001") == Fraction(30000, 1001)
    assert plan.parse_fps(" 24 ") == 24


def test_frames_are_half_open() -> None:
    assert plan.parse_frames("10:20") == FrameRange(10, 20)


@pytest.mark.parametrize("text", ["10", "10:", ":10", "10:10", "20:10", "-1:5", "1.5:3", "a:b", "1:2:3"])
def test_frames_that_are_no_range_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="frames"):
        plan.parse_frames(text)


def test_frames_outside_the_composition_are_refused_with_its_length() -> None:
    with pytest.raises(ConfigError, match="which has 150"):
        plan.make(COMPOSITION, "b", "a", frames=FrameRange(100, 151))


@given(
    start=st.integers(0, 10_000),
    length=st.integers(1, 5_000),
    fps=FPS,
)
def test_segments_cover_the_frames_once_in_order_and_start_with_them(start: int, length: int, fps: Fraction) -> None:
    frames = FrameRange(start, start + length)
    grid = plan.segments(frames, fps)
    assert [grid[0].start, grid[-1].stop] == [frames.start, frames.stop]
    assert all(left.stop == right.start for left, right in itertools.pairwise(grid))
    assert len({len(part) for part in grid[:-2]}) <= 1
    assert all(Fraction(3, 2) <= len(part) / fps <= Fraction(9, 2) for part in grid[:-2])


@pytest.mark.parametrize(
    ("seconds", "segments"), [(10, [60] * 5), (30, [*[90] * 9, 82, 8]), (60, [*[120] * 14, 112, 8])]
)
def test_segments_of_longer_films_are_longer_but_for_the_last(seconds: int, segments: list[int]) -> None:
    grid = plan.segments(FrameRange(0, 30 * seconds), Fraction(30))
    assert [len(part) for part in grid] == segments


def test_stills_are_what_the_format_says() -> None:
    draft = plan.make(COMPOSITION, "b", "a", quality=Quality.DRAFT)
    assert (draft.image, draft.jpeg_quality) == (ImageFormat.JPEG, 80)


def test_an_unknown_format_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="no output format `avi`") as caught:
        plan.make(COMPOSITION, "b", "a", format="avi")
    assert "mp4" in caught.value.remedy


def test_hosts_are_told_what_decides_a_pixel() -> None:
    partial = plan.make(COMPOSITION, "b", "a", frames=FrameRange(10, 20))
    assert plan.spec(partial, CaptureMode.SCREENSHOT) == RenderSpec(
        bundle="b",
        width=1920,
        height=1080,
        fps=Fraction(30),
        frame_count=150,
        duration_s=Fraction(5),
        image=ImageFormat.JPEG,
        jpeg_quality=95,
        mode=CaptureMode.SCREENSHOT,
    )


def test_the_digest_ignores_where_audio_lies_and_nothing_else() -> None:
    base = plan.make(COMPOSITION, "b", "a")
    moved = dataclasses.replace(base, audio=(dataclasses.replace(TRACK, file="/elsewhere/music.mp3"),))
    assert plan.digest(moved) == plan.digest(base)
    changed = [
        dataclasses.replace(base, bundle="c"),
        dataclasses.replace(base, agent="c"),
        dataclasses.replace(base, fps=Fraction(25)),
        dataclasses.replace(base, frames=FrameRange(0, 149)),
        dataclasses.replace(base, jpeg_quality=80),
        dataclasses.replace(base, audio=(dataclasses.replace(TRACK, gain=0.5),)),
        dataclasses.replace(base, audio=()),
    ]
    assert len({plan.digest(base), *map(plan.digest, changed)}) == len(changed) + 1


def test_a_plan_survives_plan_json() -> None:
    made = plan.make(COMPOSITION, "b", "a", fps=Fraction(30000, 1001), frames=FrameRange(3, 77))
    assert plan.from_json(plan.to_json(made)) == made


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"v":1}', '{"v":2,"plan":{}}', json.dumps({"v": 1, "plan": None}), "[" * 100_000],
    ids=lambda text: text[:20],
)
def test_a_damaged_plan_json_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"plan\.json cannot be used"):
        plan.from_json(text)


def test_a_plan_json_that_was_edited_is_refused() -> None:
    text = plan.to_json(plan.make(COMPOSITION, "b", "a"))
    with pytest.raises(ConfigError, match="digest"):
        plan.from_json(text.replace('"jpeg_quality": 95', '"jpeg_quality": 50'))
