"""Sets of frames behave like sets of integers, whatever their ranges."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from capture import protocol
from capture.protocol import FrameRange
from fleet import frameset
from fleet.frameset import FrameSet

FRAMES = st.sets(st.integers(0, 60))
RANGES = st.lists(
    st.tuples(st.integers(0, 50), st.integers(1, 20)).map(lambda pair: FrameRange(pair[0], sum(pair))), max_size=8
)


def holding(frames: set[int]) -> FrameSet:
    return frameset.of(protocol.ranges_of(frames))


@given(FRAMES, FRAMES)
def test_it_is_a_set_of_integers(left: set[int], right: set[int]) -> None:
    a, b = holding(left), holding(right)
    assert a | b == holding(left | right)
    assert a - b == holding(left - right)
    assert a & b == holding(left & right)
    assert (len(a), bool(a), list(a)) == (len(left), bool(left), sorted(left))
    assert {frame for frame in range(61) if frame in a} == left


@given(RANGES)
def test_any_ranges_become_few_that_neither_overlap_nor_touch(ranges: list[FrameRange]) -> None:
    merged = frameset.of(ranges)
    assert set(merged) == set(itertools.chain.from_iterable(ranges))
    assert all(left.stop < right.start for left, right in itertools.pairwise(merged.ranges))


@given(FRAMES, st.integers(-1, 70))
def test_the_first_frames_are_the_lowest(frames: set[int], count: int) -> None:
    assert list(holding(frames).first(count)) == sorted(frames)[: max(0, count)]


def test_the_span_holds_the_gaps_too() -> None:
    frames = frameset.of([FrameRange(10, 15), FrameRange(0, 5)])
    assert (frames.span, str(frames), str(FrameSet())) == (FrameRange(0, 15), "0:5,10:15", "none")
    assert None not in frames
