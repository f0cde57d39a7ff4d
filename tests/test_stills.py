import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.protocol import FrameRange
from fleet import stills
from fleet.model import Blob, Footage, VideoSlot

FPS = Fraction(30)
FOOTAGE = Footage(file="clip.mp4", width=160, height=90, duration_s=Fraction(2))


def slot(start: str = "0", duration: str = "2", **changes: object) -> VideoSlot:
    fields = {"id": "v", "footage": FOOTAGE, "start_s": Fraction(start), "duration_s": Fraction(duration)}
    return VideoSlot(**{**fields, **changes})  # type: ignore[arg-type]


def seen(one: VideoSlot, frames: FrameRange, fps: Fraction = FPS) -> dict[int, int]:
    inside = stills.span(one, frames, fps)
    return {} if inside is None else {frame: stills.still_at(one, frame, fps) for frame in inside}


ALL = FrameRange(0, 300)


def test_a_slot_shows_from_its_start_up_to_its_end() -> None:
    assert seen(slot("1", "0.1"), ALL) == {30: 0, 31: 1, 32: 2}
    assert seen(slot("1", "0.11"), ALL) == {30: 0, 31: 1, 32: 2, 33: 3}


@pytest.mark.parametrize(("start", "first"), [("0.7", 21), ("0.7000001", 22), ("0.3333", 10), ("1/3", 10), ("0.01", 1)])
def test_a_slot_between_two_frames_begins_with_the_later_one(start: str, first: int) -> None:
    assert next(iter(seen(slot(start), ALL).items())) == (first, 0)


def test_speed_skips_stills_or_shows_them_again() -> None:
    five = FrameRange(0, 5)
    assert list(seen(slot(rate=Fraction(2)), five).values()) == [0, 2, 4, 6, 8]
    assert list(seen(slot(rate=Fraction(1, 2)), five).values()) == [0, 0, 1, 1, 2]


def test_a_loop_begins_again_at_its_in_point() -> None:
    looping = slot(duration="10", media_start_s=Fraction("1.9"), is_loop=True)
    assert list(seen(looping, FrameRange(0, 7)).values()) == [0, 1, 2, 0, 1, 2, 0]


def test_a_loop_of_unknown_length_goes_on_counting() -> None:
    endless = slot(is_loop=True, footage=Footage(file="a", width=1, height=1))
    assert seen(endless, FrameRange(5, 6)) == {5: 5}


def test_a_slot_beside_the_rendered_frames_shows_nothing() -> None:
    assert seen(slot("1"), FrameRange(0, 30)) == {}
    assert seen(slot("0", "0.5"), FrameRange(15, 60)) == {}


TIMES = st.fractions(min_value=0, max_value=20, max_denominator=1000)


@given(
    TIMES,
    st.fractions(min_value=Fraction(1, 100), max_value=20, max_denominator=1000),
    st.sampled_from([Fraction(1), Fraction(2), Fraction(1, 3), Fraction(5)]),
    st.sampled_from([Fraction(24), Fraction(30), Fraction(30000, 1001)]),
    st.booleans(),
    st.integers(0, 200),
    st.integers(1, 100),
)
def test_a_part_of_the_film_shows_what_the_whole_shows(
    start: Fraction, duration: Fraction, rate: Fraction, fps: Fraction, is_loop: bool, first: int, count: int
) -> None:
    one = slot(start_s=start, duration_s=duration, rate=rate, is_loop=is_loop)
    whole, part = seen(one, FrameRange(0, 400), fps), seen(one, FrameRange(first, first + count), fps)
    assert part == {frame: still for frame, still in whole.items() if first <= frame < first + count}
    assert all(start <= frame / fps < start + duration and still >= 0 for frame, still in whole.items())
    if not is_loop:
        assert list(whole.values()) == sorted(whole.values())


A, B, C = (Blob(f"{name * 64}.jpg", name * 64, 1, f"/{name}") for name in "abc")


def test_a_chunk_needs_the_stills_of_its_own_frames_each_once() -> None:
    made = stills.Stills(
        (
            stills.Shown(id="one", first=10, stills=(A, A, B), width=2, height=1, duration_s=Fraction(1, 2)),
            stills.Shown(id="two", first=0, stills=(C,), width=2, height=1, duration_s=None),
        )
    )
    assert made.needed([FrameRange(0, 10)]) == (C,)
    assert made.needed([FrameRange(5, 12), FrameRange(12, 40)]) == (A, B)
    assert made.needed([FrameRange(13, 40)]) == ()
    assert json.loads(made.table()) == {
        "names": [A.path, B.path, C.path],
        "videos": {
            "one": {"first": 10, "stills": [0, 0, 1], "width": 2, "height": 1, "duration": 0.5},
            "two": {"first": 0, "stills": [2], "width": 2, "height": 1, "duration": None},
        },
    }
