"""An order on its way home: when its frames are pulled, and that it is asked to end sooner."""

from capture.protocol import Allow, FrameFile, FrameRange
from fleet import orders
from fleet.delivery import ALLOWED_STEP, PULL_FRAMES, Delivery


def delivery(asked_stop: int | None) -> Delivery:
    frames = FrameRange(10, 100)
    order = orders.Capture(
        host="a", chunk="c1", attempt=1, frames=frames, todo=(FrameRange(10, 40), FrameRange(50, 100))
    )
    return Delivery(order=order, directory="/x", asked_stop=asked_stop)


def test_frames_that_were_left_to_others_are_not_missed() -> None:
    one = delivery(60)
    trimmed = one.trim("a", 62)
    assert trimmed is not None
    assert trimmed.stop == 62
    assert one.order.todo == (FrameRange(10, 40), FrameRange(50, 62))
    assert one.lacking == [*range(10, 40), *range(50, 62)]


def test_a_host_cannot_leave_more_than_it_was_asked_for_nor_what_it_has_announced() -> None:
    one = delivery(60)
    one.announce((FrameFile(70, 1, "ab" * 32),), 0.0, 1000)
    trimmed = one.trim("a", 0)
    assert trimmed is not None
    assert trimmed.stop == 71
    assert delivery(None).trim("a", 20) is None
    again = delivery(60)
    assert again.trim("a", 10**9) is not None
    assert again.trim("a", 20) is None
    assert again.order.todo[-1].stop == 100


def test_frames_wait_for_company_as_long_as_a_pull_is_worth_it() -> None:
    one = delivery(None)
    assert not one.is_due(0.0, 0.0)
    one.announce((FrameFile(10, 1, "ab" * 32),), 5.0, 1000)
    assert one.is_due(5.0, 0.0)
    assert not one.is_due(6.4, 1.5)
    assert one.is_due(6.5, 1.5)
    all_frames = [frame for part in one.order.todo for frame in part]
    one.announce(tuple(FrameFile(frame, 1, "ab" * 32) for frame in all_frames[:PULL_FRAMES]), 5.0, 1000)
    assert one.is_due(5.0, 1.5)


def test_a_host_is_told_how_far_it_may_go_when_that_is_news() -> None:
    one = delivery(None)
    assert one.allow(20) is None  # it has not begun
    one.is_begun = True
    assert one.allow(20) == Allow("c1", 1, 20)
    assert not one.is_held
    assert one.allow(20 + ALLOWED_STEP - 1) is None
    assert one.allow(0) is None  # what was allowed stays so
    one.announce(tuple(FrameFile(frame, 1, "ab" * 32) for frame in range(10, 30)), 0.0, 1000)
    assert one.is_held
    for frame in range(10, 20):
        one.arrive(frame)
    assert one.is_held
    assert one.allow(4) is None  # ten are here, and as many on their way: more than encoders wish for
    assert one.allow(30) == Allow("c1", 1, 40)
    assert not one.is_held
