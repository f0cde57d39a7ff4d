"""How far capture may be ahead of encoders, as values."""

from hypothesis import given
from hypothesis import strategies as st

from fleet import throttle
from fleet.delivery import ALLOWED_STEP

COUNTS = st.integers(0, 100_000)


@given(behind=COUNTS, coming=COUNTS, segment=st.integers(1, 500), encoders=st.integers(1, 64))
def test_no_more_wait_than_encoders_need_and_than_are_still_to_come(
    behind: int, coming: int, segment: int, encoders: int
) -> None:
    most = throttle.most(segment_frames=segment, encoders=encoders)
    room = throttle.headroom(behind=behind, coming=coming, most=most)
    assert room == 0 or behind + room <= max(throttle.LEAST, min(most, coming - room))


@given(coming=COUNTS, segment=st.integers(1, 500))
def test_encoders_that_have_done_all_get_something_to_do(coming: int, segment: int) -> None:
    most = throttle.most(segment_frames=segment, encoders=1)
    assert throttle.headroom(behind=0, coming=coming, most=most) > ALLOWED_STEP


def test_what_waits_dwindles_before_the_end() -> None:
    most = throttle.most(segment_frames=60, encoders=1)
    assert most == 150
    assert throttle.headroom(behind=0, coming=900, most=most) == 150
    assert throttle.headroom(behind=140, coming=900, most=most) == 10
    assert throttle.headroom(behind=151, coming=900, most=most) == 0
    assert throttle.headroom(behind=100, coming=160, most=most) == 30
    assert throttle.headroom(behind=100, coming=100, most=most) == 0
    assert throttle.headroom(behind=20, coming=30, most=most) == throttle.LEAST - 20
