"""A chunk's left neighbour is drawn from both sides: equal is counted, unequal is evidence, a third host decides."""

from collections.abc import Sequence

import agent_support as support
import pytest
from test_stepping import ready

from capture import chunk, climb, protocol, worker
from capture.chunk import Chunk, Tell
from capture.protocol import Block, FrameFile, FrameRange
from fleet import events, orders
from fleet.schedule import Schedule

RIGHT, WRONG = "a" * 64, "b" * 64


def verified(order: orders.Capture, digest: str = RIGHT) -> events.FramesVerified:
    files = tuple(FrameFile(index, 1, digest) for part in order.todo for index in part)
    return events.FramesVerified(chunk=order.chunk, host=order.host, frames=files)


def seam(order: orders.Capture, digest: str = RIGHT) -> events.SeamDrawn:
    frame = order.seam(FrameRange(0, 30))
    assert frame is not None
    return events.SeamDrawn(chunk=order.chunk, host=order.host, frame=FrameFile(frame, 1, digest))


def begun() -> tuple[Schedule, dict[str, orders.Capture]]:
    """Three hosts with ten frames each."""
    schedule = Schedule(FrameRange(0, 30), hosts=["a", "b", "c"], chunk_frames=10)
    given = schedule.handle(ready("a"), ready("b"), ready("c"), now_s=0.0)
    return schedule, {order.host: order for order in given if isinstance(order, orders.Capture)}


def said(given: Sequence[orders.Order]) -> list[events.Event]:
    return [
        order.event
        for order in given
        if isinstance(order, orders.Say) and not isinstance(order.event, events.RangeSized)
    ]


def test_the_seam_is_the_frame_left_of_the_first_one_and_the_render_has_none_at_its_start() -> None:
    _, chunks = begun()
    assert [chunks[host].seam(FrameRange(0, 30)) for host in "abc"] == [None, 9, 19]
    assert chunks["b"].seam(FrameRange(10, 30)) is None


@pytest.mark.parametrize("is_first", [True, False])
def test_a_seam_that_is_equal_is_said_once_both_sides_are_known(is_first: bool) -> None:
    schedule, chunks = begun()
    happened: list[events.Event] = [seam(chunks["b"]), verified(chunks["a"])]
    first, second = happened if is_first else happened[::-1]
    assert said(schedule.handle(first, now_s=1.0)) == []
    assert said(schedule.handle(second, now_s=2.0)) == [events.SeamMatched(9, ("a", "b"))]


def done(order: orders.Capture) -> events.ChunkDone:
    return events.ChunkDone(chunk=order.chunk, host=order.host, attempt=order.attempt)


def captures(given: Sequence[orders.Order]) -> list[orders.Capture]:
    return [order for order in given if isinstance(order, orders.Capture)]


@pytest.mark.parametrize(("third", "convict"), [(RIGHT, "b"), (WRONG, "a")])
def test_where_two_hosts_disagree_both_draw_again_and_a_third_one_says_which_is_wrong(third: str, convict: str) -> None:
    schedule, chunks = begun()
    schedule.handle(verified(chunks["a"]), seam(chunks["b"], WRONG), now_s=1.0)
    ends = [event for host in "abc" for event in (verified(chunks[host]), done(chunks[host]))]
    checks = captures(schedule.handle(*ends, now_s=2.0))
    assert {check.host: check.todo for check in checks} == dict.fromkeys("abc", (FrameRange(9, 10),))
    drawn = {"a": RIGHT, "b": WRONG, "c": third}
    answers = [event for check in checks for event in (verified(check, drawn[check.host]), done(check))]
    told = said(schedule.handle(*answers, now_s=3.0))
    assert [event.host for event in told if isinstance(event, events.HostStruck) and event.is_final] == [convict]
    assert {event.host for event in told if isinstance(event, events.FramesRetracted)} == {convict}
    assert {event.hosts for event in told if isinstance(event, events.Disagreed)} <= {("a", "b"), ("a", "c")}
    schedule.check()


@pytest.mark.parametrize(
    ("last", "expected"), [(None, range(9, 20)), (8, range(9, 20)), (9, range(10, 20)), (25, range(10, 20))]
)
def test_a_page_that_was_at_the_seam_does_not_go_there_again(last: int | None, expected: range) -> None:
    block = Block(frames=FrameRange(10, 20), offset=10, directory="", seam=9)
    assert worker.wanted(block, last=last) == expected


def test_a_seam_is_told_at_once_and_only_the_one_that_was_asked_for() -> None:
    order = support.order("b", 50, 60, seam=49)
    capturing = Chunk(order, climb=climb.fixed(1), numbers=iter([1]))
    capturing.start((), {}, 0.0)
    drawn = FrameFile(49, 1, RIGHT)
    assert capturing.drew_seam(1, drawn, 1.0) == [Tell(protocol.Seam("c1", 1, drawn))]
    assert capturing.drew_seam(1, FrameFile(48, 1, RIGHT), 1.0) == []


def test_a_seam_elsewhere_is_no_order() -> None:
    with pytest.raises(ValueError, match="not left of"):
        support.order("b", 50, 60, seam=48)
    assert chunk.trimmed(support.order("b", 50, 60, seam=49), 55)[0].seam == 49
