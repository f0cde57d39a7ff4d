"""Before anything was captured, frames are taken for dearer where videos and WebGL show, and as canaries were drawn."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.protocol import FrameFile, FrameRange
from fleet import costs, frameset, hints
from fleet.costs import Curve
from fleet.model import Composition, Footage, VideoSlot

FRAMES = FrameRange(0, 300)
FOOTAGE = Footage(
    file="clip.mp4", stream=0, codec="h264", width=640, height=360, is_stretched=False, duration_s=Fraction(4),
    has_alpha=False, matrix="bt709", is_full_range=False, is_hdr=False,
)  # fmt: skip


def seconds(start: int, stop: int) -> tuple[Fraction, Fraction]:
    return Fraction(start), Fraction(stop)


def composition(
    videos: tuple[tuple[Fraction, Fraction], ...] = (), gl: tuple[tuple[Fraction, Fraction], ...] = ()
) -> Composition:
    slots = tuple(
        VideoSlot(id=str(number), footage=FOOTAGE, start_s=start, duration_s=stop - start)
        for number, (start, stop) in enumerate(videos)
    )
    return Composition(name="x", document="", width=640, height=360, duration_s=Fraction(10), videos=slots, gl_spans=gl)


def hinted(one: Composition) -> Curve:
    return hints.curve(one, FRAMES, Fraction(30))


def drawn(*times: tuple[int, int]) -> tuple[FrameFile, ...]:
    return tuple(FrameFile(index, 1, f"{index:064x}", took_ms) for index, took_ms in times)


def test_frames_with_video_or_webgl_are_taken_for_dearer_and_those_with_both_for_the_dearest() -> None:
    curve = hinted(composition(videos=(seconds(2, 6),), gl=(seconds(4, 8),)))
    relative = [round(curve.at(second * 30 + 15) / curve.at(0), 2) for second in range(10)]
    assert relative == [1, 1, 2, 2, 4, 4, 3, 3, 1, 1]
    assert curve.of(frameset.of([FRAMES])) == pytest.approx(len(FRAMES))
    assert curve.source == "where it shows video and WebGL"


@pytest.mark.parametrize("one", [composition(), composition(gl=(seconds(0, 10),))], ids=["nothing", "everywhere"])
def test_what_shows_nowhere_or_everywhere_says_nothing(one: Composition) -> None:
    assert hinted(one) == costs.FLAT
    assert hinted(one).source == costs.ALIKE


def test_canary_frames_shape_the_curve_where_there_is_no_hint() -> None:
    curve = hints.sampled(costs.FLAT, drawn((0, 900), (100, 40), (200, 160)), FRAMES)
    assert curve.at(50) == curve.at(100) < 1 < curve.at(200) == curve.at(299)
    assert curve.at(200) / curve.at(100) == pytest.approx(2)  # half of what was measured, for it was measured once
    assert curve.source == "by canary frames"


def test_canary_frames_correct_a_hint_by_their_own_kind_only() -> None:
    before = hinted(composition(gl=(seconds(2, 6),)))
    curve = hints.sampled(before, drawn((0, 30), (100, 480), (250, 40)), FRAMES)
    assert curve.at(70) == curve.at(100) == curve.at(170)
    assert curve.at(100) / curve.at(250) == pytest.approx(3 * (480 / 3 / 40) ** 0.5)
    assert curve.at(0) == curve.at(250)
    assert curve.source == "where it shows WebGL, and by its canary frames"


def test_what_is_remembered_is_not_corrected_by_one_frame() -> None:
    known = costs.curve([(FrameRange(0, 100), 5.0), (FrameRange(100, 300), 1.0)], FRAMES)
    assert hints.sampled(known, drawn((0, 30), (100, 480), (250, 40)), FRAMES) is known


@given(
    times=st.lists(st.tuples(st.integers(0, 299), st.integers(0, 600_000)), max_size=6),
    spans=st.lists(st.tuples(st.integers(-5, 20), st.integers(-5, 20)), max_size=3),
)
def test_whatever_canaries_say_every_frame_costs_something_and_all_together_the_average(
    times: list[tuple[int, int]], spans: list[tuple[int, int]]
) -> None:
    before = hinted(composition(gl=tuple(seconds(*span) for span in spans)))
    curve = hints.sampled(before, drawn(*times), FRAMES)
    assert all(curve.at(frame) > 0 for frame in FRAMES)
    assert curve.of(frameset.of([FRAMES])) == pytest.approx(len(FRAMES), rel=0.05)
