"""An order on its way home: when its frames are pulled, and that it is asked to end sooner."""

from collections.abc import Iterable

from capture.protocol import Allow, FrameFile, FrameRange
from fleet import frameset, orders
from fleet.delivery import ALLOWED_STEP, PULL_FRAMES, Delivery
from fleet.throttle import Room


def delivery(asked_stop: int | None) -> Delivery:
    frames = FrameRange(10, 100)
    order = orders.Capture(
        host="a", chunk="c1", attempt=1, frames=frames, todo=(FrameRange(10, 40), FrameRange(50, 100))
    )
    return Delivery(order=order, directory="/x", asked_stop=asked_stop)


def announce(one: Delivery, frames: Iterable[int]) -> None:
    one.announce(tuple(FrameFile(frame, 1, "ab" * 32) for frame in frames), 0.0, 1000)


def arrive(one: Delivery, frames: Iterable[int]) -> None:
    for frame in frames:
        one.arrive(frame)


def test_frames_that_were_left_to_others_are_not_missed() -> None:
    one = delivery(60)
    trimmed = one.trim("a", 62)
    assert trimmed is not None
    assert trimmed.stop == 62
    assert one.order.todo == (FrameRange(10, 40), FrameRange(50, 62))
    assert one.lacking == frameset.of([FrameRange(10, 40), FrameRange(50, 62)])


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
    assert one.allow(Room(20)) is None  # it has not begun
    one.is_begun = True
    assert one.allow(Room(20)) == Allow("c1", 1, 20)
    assert not one.is_held
    assert one.allow(Room(20 + ALLOWED_STEP - 1)) is None
    assert one.allow(Room(0)) is None  # what was allowed stays so
    announce(one, range(10, 30))
    assert one.is_held
    arrive(one, range(10, 20))
    assert one.is_held
    assert one.allow(Room(4)) is None  # ten are here, and as many on their way: more than encoders wish for
    assert one.allow(Room(11)) == Allow("c1", 1, 21)  # to one that waits, every frame is news
    assert not one.is_held


def test_a_host_may_go_as_far_as_where_it_has_to_stop() -> None:
    one = delivery(None)
    one.is_begun = True
    assert one.allow(Room(25, stop=52)) == Allow("c1", 1, 25)
    announce(one, range(10, 35))
    arrive(one, range(10, 35))
    assert one.allow(Room(20, stop=52)) == Allow("c1", 1, 32)  # 35:40 and 50:52, which is less than a step
    announce(one, [*range(35, 40), *range(50, 54)])  # what is begun is finished
    assert one.allow(Room(20, stop=52)) == Allow("c1", 1, 34)  # and is all that it may do
    arrive(one, [*range(35, 40), *range(50, 54)])
    assert one.allow(Room(20, stop=52)) is None
    assert one.allow(Room(20)) == Allow("c1", 1, 54)
