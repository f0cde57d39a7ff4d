"""Rules of the schedule, one by one: events in, orders out."""

import dataclasses
import math

import pytest

from capture import protocol
from capture.faults import Fault, FaultCode
from capture.protocol import FrameFile, FrameRange
from fleet import costs, events, frameset
from fleet.costs import Curve
from fleet.errors import CompositionError, ExitCode, FleetLost
from fleet.events import Event, Record
from fleet.orders import Cancel, Capture, Finish, GiveUp, Order, Release, Say, Trim
from fleet.schedule import Schedule
from fleet.standing import Standings


def ready(host: str, capacity: float = 2.0) -> events.HostReady:
    return events.HostReady(host=host, capacity=capacity, cores=capacity, browser="156", gl_renderer="swiftshader")


def ordered(order: Order) -> events.ChunkOrdered:
    assert isinstance(order, Capture)
    return events.ChunkOrdered(**{field.name: getattr(order, field.name) for field in dataclasses.fields(order)})


def verified(order: Order, start: int, stop: int, digest: str | None = None) -> events.FramesVerified:
    assert isinstance(order, Capture)
    files = tuple(FrameFile(index, 1000, digest or f"{index:064x}") for index in range(start, stop))
    return events.FramesVerified(chunk=order.chunk, host=order.host, frames=files)


def done(order: Order) -> events.ChunkDone:
    assert isinstance(order, Capture)
    return events.ChunkDone(chunk=order.chunk, host=order.host, attempt=order.attempt)


def failed(order: Order, code: FaultCode, frame: int | None = None) -> events.ChunkFailed:
    assert isinstance(order, Capture)
    fault = Fault(code=code, message="it broke", frame=frame, console=("\x1b[31mTypeError: x is null",))
    return events.ChunkFailed(chunk=order.chunk, host=order.host, attempt=order.attempt, fault=fault)


def capture(
    host: str, chunk: str, frames: FrameRange, *todo: FrameRange, attempt: int = 1, twin: str | None = None
) -> Capture:
    return Capture(host=host, chunk=chunk, attempt=attempt, frames=frames, todo=todo or (frames,), twin=twin)


def only(given: tuple[Order, ...]) -> Order:
    (order,) = given
    return order


def told(schedule: Schedule, *happened: Event, now_s: float) -> tuple[Order, ...]:
    """The orders for hosts, without what the schedule says itself."""
    return tuple(order for order in schedule.handle(*happened, now_s=now_s) if not isinstance(order, Say))


class Fed:
    """A schedule that is checked after every call; what it says itself is kept apart."""

    def __init__(self, count: int, *hosts: str, chunk_frames: int | None = None, hosts_min: int = 1) -> None:
        self.schedule = Schedule(FrameRange(0, count), hosts=hosts, chunk_frames=chunk_frames, hosts_min=hosts_min)
        self.now_s = 0.0
        self.said: list[Event] = []

    def __call__(self, *happened: Event, after_s: float = 1.0) -> tuple[Order, ...]:
        self.now_s += after_s
        given = self.schedule.handle(*happened, now_s=self.now_s)
        self.schedule.check()
        said = (order.event for order in given if isinstance(order, Say))
        self.said += [event for event in said if not isinstance(event, events.RangeSized)]
        return tuple(order for order in given if not isinstance(order, Say))


def test_a_host_that_is_alone_takes_everything() -> None:
    feed = Fed(660, "a")
    assert feed(ready("a")) == (capture("a", "c0001", FrameRange(0, 660)),)


def test_hosts_that_become_ready_together_share_fairly_by_capacity_fastest_first() -> None:
    feed = Fed(660, "a", "b")
    assert feed(ready("a", 2), ready("b", 4)) == (
        capture("b", "c0001", FrameRange(0, 440)),
        capture("a", "c0002", FrameRange(440, 660)),
    )


def test_a_host_that_is_still_expected_is_left_its_share() -> None:
    feed = Fed(660, "a", "b")
    assert feed(ready("a")) == (capture("a", "c0001", FrameRange(0, 330)),)
    assert feed(ready("b")) == (capture("b", "c0002", FrameRange(330, 660)),)


def test_a_short_render_is_shared_by_all_rather_than_filling_the_smallest_chunk() -> None:
    feed = Fed(30, "a", "b", "c")
    assert [len(order.frames) for order in feed(ready("a"), ready("b"), ready("c")) if isinstance(order, Capture)] == [
        10,
        10,
        10,
    ]


def test_explicit_chunk_frames_win() -> None:
    feed = Fed(100, "a", chunk_frames=30)
    first = only(feed(ready("a")))
    assert first == capture("a", "c0001", FrameRange(0, 30))
    assert feed(verified(first, 0, 30), done(first)) == (capture("a", "c0002", FrameRange(30, 60)),)


def test_a_render_may_start_anywhere() -> None:
    schedule = Schedule(FrameRange(50, 150), hosts=["a"])
    assert told(schedule, ready("a"), now_s=0) == (capture("a", "c0001", FrameRange(50, 150)),)


def test_it_finishes_once_when_every_frame_is_verified() -> None:
    feed = Fed(10, "a")
    order = only(feed(ready("a")))
    assert feed(verified(order, 0, 9)) == ()
    assert feed(verified(order, 9, 10)) == (Finish(),)
    assert feed(done(order)) == ()


def trimmed(order: Order, stop: int) -> events.ChunkTrimmed:
    assert isinstance(order, Trim)
    return events.ChunkTrimmed(chunk=order.chunk, host=order.host, attempt=order.attempt, stop=stop)


def uneven(feed: Fed) -> tuple[Order, Order]:
    """a has captured its half of 1000 frames at 50 frames/s, b 50 of its own at 5."""
    first, second = feed(ready("a"), ready("b"))
    for at_s in range(10):
        feed(verified(first, 50 * at_s, 50 * at_s + 50), verified(second, 500 + 5 * at_s, 505 + 5 * at_s))
    return first, second


def test_an_idle_host_is_given_the_tail_of_a_chunk_once_its_owner_has_let_go_of_it() -> None:
    feed = Fed(1000, "a", "b")
    first, _ = uneven(feed)
    order = only(feed(done(first), after_s=0))
    # 450 frames are left of b's. It keeps what it captures in the time in which a captures the others, and a bit.
    assert order == Trim(host="b", chunk="c0002", attempt=1, stop=596)
    assert feed(after_s=1) == ()
    assert feed(trimmed(order, 596), after_s=0.1) == (capture("a", "c0003", FrameRange(596, 1000)),)


def test_frames_that_workers_had_taken_stay_with_the_owner_and_nobody_asks_again() -> None:
    feed = Fed(1000, "a", "b")
    first, _ = uneven(feed)
    order = only(feed(done(first), after_s=0))
    assert feed(trimmed(order, 990), after_s=0.1) == (capture("a", "c0003", FrameRange(990, 1000)),)
    given = feed(verified(capture("a", "c0003", FrameRange(990, 1000)), 990, 1000), after_s=0.1)
    assert given == ()
    again = only(feed(done(capture("a", "c0003", FrameRange(990, 1000)))))
    assert again == capture("a", "c0004", FrameRange(550, 990), twin="c0002")


def test_a_tail_whose_owner_is_lost_before_it_answers_comes_back_whole() -> None:
    feed = Fed(1000, "a", "b")
    first, _ = uneven(feed)
    assert isinstance(only(feed(done(first), after_s=0)), Trim)
    assert feed(events.HostLost("b", "gone")) == (
        capture("a", "c0002", FrameRange(500, 1000), FrameRange(550, 1000), attempt=2),
    )


def test_an_owner_that_does_not_answer_has_its_frames_captured_by_another_too() -> None:
    feed = Fed(1000, "a", "b")
    first, second = uneven(feed)
    assert isinstance(only(feed(done(first), after_s=0)), Trim)
    for _ in range(4):
        assert feed() == ()
    copy = only(feed())
    assert copy == capture("a", "c0003", FrameRange(550, 1000), twin="c0002")
    assert feed(verified(copy, 550, 999)) == ()
    assert feed(verified(second, 550, 555)) == ()
    assert feed(verified(second, 999, 1000)) == (Finish(),)


def test_who_was_beaten_by_its_twin_is_stopped() -> None:
    feed = Fed(1500, "a", "b", "c")
    first, second, third = feed(ready("a"), ready("b"), ready("c"))
    for at_s in range(10):
        feed(
            verified(first, 50 * at_s, 50 * at_s + 50),
            verified(second, 500 + 5 * at_s, 505 + 5 * at_s),
            verified(third, 1000 + 49 * at_s, 1049 + 49 * at_s),
        )
    asked = only(feed(done(first), after_s=0))
    copy = only(feed(trimmed(asked, 1000), after_s=0.1))
    assert copy == capture("a", "c0004", FrameRange(550, 1000), twin="c0002")
    assert feed(verified(second, 550, 560), verified(copy, 550, 560)) == ()
    assert feed(verified(copy, 560, 1000)) == (Cancel("b", "c0002"),)
    assert feed(failed(second, FaultCode.CANCELLED), verified(third, 1490, 1500)) == (Finish(),)


def test_a_lost_hosts_missing_frames_go_first_under_their_own_chunk() -> None:
    feed = Fed(600, "a", "b", chunk_frames=100)
    first, second = feed(ready("a"), ready("b"))
    feed(verified(first, 0, 20), verified(first, 30, 40))
    assert feed(events.HostLost("a", "connection reset")) == ()
    order = only(feed(verified(second, 100, 200), done(second)))
    assert order == capture("b", "c0001", FrameRange(0, 100), FrameRange(20, 30), FrameRange(40, 100), attempt=2)


def test_a_lost_hosts_large_remainder_is_shared_as_new_chunks() -> None:
    feed = Fed(300, "a", "b", "c", chunk_frames=None)
    only(feed(ready("a"), events.HostRefused("b", "no", "x"), events.HostRefused("c", "no", "x")))
    feed(events.HostLost("a", "gone", is_expected_back=True))
    assert feed(ready("b"), ready("c"), events.HostLost("a", "gone for good")) == (
        capture("b", "c0002", FrameRange(0, 150)),
        capture("c", "c0001", FrameRange(0, 300), FrameRange(150, 300), attempt=2),
    )


def test_late_frames_of_a_lost_host_count_once_and_leave_the_new_owners_todo() -> None:
    feed = Fed(20, "a", "b", chunk_frames=10)
    first, second = feed(ready("a"), ready("b"))
    feed(events.HostLost("a", "gone"), verified(second, 10, 20))
    again = only(feed(done(second)))
    feed(verified(first, 0, 6))
    assert len(feed.schedule.verified) == 16
    feed(verified(again, 0, 6))
    assert len(feed.schedule.verified) == 16
    assert feed(verified(again, 6, 10)) == (Finish(),)


def test_what_an_ended_order_says_later_is_ignored() -> None:
    feed = Fed(20, "a", chunk_frames=10)
    first = only(feed(ready("a")))
    second = only(feed(verified(first, 0, 10), done(first)))
    assert feed(done(first), failed(first, FaultCode.DISK_FULL)) == ()
    assert feed(verified(second, 10, 20)) == (Finish(),)


def test_a_hosts_fault_sends_the_frames_elsewhere() -> None:
    feed = Fed(40, "a", "b", chunk_frames=10)
    first, second = feed(ready("a"), ready("b"))
    assert feed(failed(first, FaultCode.DISK_FULL)) == (capture("a", "c0003", FrameRange(20, 30)),)
    assert feed(verified(second, 10, 20), done(second)) == (capture("b", "c0001", FrameRange(0, 10), attempt=2),)


def test_a_host_that_fails_three_times_is_left_out_and_the_reason_kept() -> None:
    feed = Fed(40, "a", chunk_frames=10)
    order = only(feed(ready("a")))
    second = only(feed(failed(order, FaultCode.BROWSER_LAUNCH)))
    third = only(feed(failed(second, FaultCode.BROWSER_LAUNCH)))
    end = only(feed(failed(third, FaultCode.BROWSER_LAUNCH)))
    assert isinstance(end, GiveUp)
    assert isinstance(end.error, FleetLost)
    assert str(end.error) == "no usable host is left: a: left out after 3 failures: browser_launch: it broke"
    assert "0 of 40 frames are kept" in end.error.remedy


def test_a_chunk_that_completes_clears_the_strikes() -> None:
    feed = Fed(60, "a", chunk_frames=10)
    order = only(feed(ready("a")))
    for _ in range(2):
        order = only(feed(failed(order, FaultCode.BROWSER_LAUNCH)))
    assert isinstance(order, Capture)
    order = only(feed(verified(order, order.frames.start, order.frames.stop), done(order)))
    for _ in range(2):
        order = only(feed(failed(order, FaultCode.BROWSER_LAUNCH)))
        assert isinstance(order, Capture)


def test_done_with_frames_missing_is_a_failure() -> None:
    feed = Fed(10, "a")
    order = only(feed(ready("a")))
    for attempt in (2, 3):
        order = only(feed(done(order)))
        assert order == capture("a", "c0001", FrameRange(0, 10), attempt=attempt)
    assert isinstance(only(feed(done(order))), GiveUp)


def test_the_frame_a_host_failed_at_goes_to_another_while_it_captures_the_rest() -> None:
    feed = Fed(200, "a", "b", chunk_frames=100)
    first, second = feed(ready("a"), ready("b"))
    rest = only(feed(verified(first, 0, 50), failed(first, FaultCode.SEEK_FAILED, frame=50)))
    assert rest == capture("a", "c0003", FrameRange(51, 100))
    assert feed(verified(second, 100, 200), done(second)) == (
        capture("b", "c0001", FrameRange(0, 100), FrameRange(50, 51), attempt=2),
    )


def test_the_same_failure_on_two_hosts_is_the_compositions() -> None:
    feed = Fed(200, "a", "b", chunk_frames=100)
    first, second = feed(ready("a"), ready("b"))
    feed(verified(first, 0, 50), failed(first, FaultCode.SEEK_FAILED, frame=50))
    again = only(feed(verified(second, 100, 200), done(second)))
    end = only(feed(failed(again, FaultCode.SEEK_FAILED, frame=50)))
    assert isinstance(end, GiveUp)
    assert isinstance(end.error, CompositionError)
    assert end.error.exit_code is ExitCode.COMPOSITION
    assert str(end.error).splitlines() == [
        "frame 50: it broke (seek_failed)",
        "  seen on a and on b: the composition is at fault, not a host",
        "  page console: TypeError: x is null",
    ]
    assert "--frames 50:51" in end.error.remedy
    assert end.fault is not None
    assert feed(ready("c")) == ()


def test_a_crash_at_the_same_frame_on_two_hosts_is_the_compositions() -> None:
    feed = Fed(200, "a", "b", chunk_frames=100)
    first, second = feed(ready("a"), ready("b"))
    feed(failed(first, FaultCode.BROWSER_CRASHED, frame=50))
    again = only(feed(verified(second, 100, 200), done(second)))
    end = only(feed(failed(again, FaultCode.BROWSER_CRASHED, frame=50)))
    assert isinstance(end, GiveUp)
    assert isinstance(end.error, CompositionError)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((FaultCode.SEEK_FAILED, 50), (FaultCode.FRAME_TIMEOUT, 50)),
        ((FaultCode.BROWSER_CRASHED, 50), (FaultCode.BROWSER_CRASHED, 51)),
        ((FaultCode.DISK_FULL, 50), (FaultCode.DISK_FULL, 50)),
        ((FaultCode.BROWSER_LAUNCH, None), (FaultCode.BROWSER_LAUNCH, None)),
    ],
)
def test_different_failures_or_those_no_page_can_cause_are_not(
    one: tuple[FaultCode, int | None], other: tuple[FaultCode, int | None]
) -> None:
    feed = Fed(200, "a", "b", chunk_frames=200)
    first = only(feed(ready("a"), ready("b")))
    again = only(feed(failed(first, *one), events.HostLost("a", "gone")))
    assert isinstance(only(feed(failed(again, *other))), Capture)


def test_who_got_past_the_frame_did_not_fail_the_same_way() -> None:
    feed = Fed(100, "a", "b")
    first = only(feed(events.HostRefused("b", "asleep", "wake it"), ready("a")))
    second = only(feed(failed(first, FaultCode.FRAME_TIMEOUT, frame=10), events.HostLost("a", "gone"), ready("b")))
    given = feed(verified(second, 0, 60), failed(second, FaultCode.FRAME_TIMEOUT, frame=60))
    assert isinstance(only(given), Capture)


def test_alone_the_same_failure_twice_is_the_compositions_after_everything_else_is_captured() -> None:
    feed = Fed(100, "a")
    first = only(feed(ready("a")))
    rest = only(feed(verified(first, 0, 50), failed(first, FaultCode.PAGE_NOT_READY, frame=50)))
    assert rest == capture("a", "c0002", FrameRange(51, 100))
    again = only(feed(verified(rest, 51, 100), done(rest)))
    assert again == capture("a", "c0001", FrameRange(0, 100), FrameRange(50, 51), attempt=2)
    end = only(feed(failed(again, FaultCode.PAGE_NOT_READY, frame=50)))
    assert isinstance(end, GiveUp)
    assert "frame 50: it broke (page_not_ready)\n  seen twice on a:" in str(end.error)


def test_when_everyone_is_gone_the_run_ends_resumable() -> None:
    feed = Fed(100, "a", "b")
    first = only(feed(ready("a")))
    feed(verified(first, 0, 10), events.HostLost("a", "connection reset", is_expected_back=True))
    assert feed(events.HostRefused("b", "no route", "check the cable")) == ()
    end = only(feed(events.HostLost("a", "gave up reconnecting")))
    assert isinstance(end, GiveUp)
    assert end.error.exit_code is ExitCode.FLEET
    assert str(end.error) == "no usable host is left: a: gave up reconnecting; b: no route"
    assert end.error.remedy.endswith("`--resume`: 10 of 100 frames are kept")


def test_fewer_hosts_than_required_end_the_run() -> None:
    feed = Fed(100, "a", "b", hosts_min=2)
    feed(ready("a"))
    end = only(feed(events.HostRefused("b", "no route", "check")))
    assert isinstance(end, GiveUp)
    assert str(end.error) == "fewer than 2 usable hosts are left: b: no route"


def test_without_hosts_there_is_nothing_to_wait_for() -> None:
    assert isinstance(only(Fed(10)()), GiveUp)


def test_a_host_that_comes_back_goes_on() -> None:
    feed = Fed(100, "a")
    first = only(feed(ready("a")))
    assert feed(verified(first, 0, 10), events.HostLost("a", "reset", is_expected_back=True)) == ()
    assert feed(ready("a")) == (capture("a", "c0001", FrameRange(0, 100), FrameRange(10, 100), attempt=2),)


def test_a_host_that_is_lost_again_and_again_before_its_first_frame_is_left_out() -> None:
    feed = Fed(100, "a")
    for _ in range(3):
        assert isinstance(only(feed(ready("a"))), Capture)
        feed(events.HostLost("a", "reset", is_expected_back=True))
    assert isinstance(only(feed(ready("a"))), GiveUp)


def test_our_own_orders_may_come_back_as_events() -> None:
    feed = Fed(100, "a")
    order = only(feed(ready("a")))
    assert feed(ordered(order)) == ()
    assert feed(verified(order, 0, 100)) == (Finish(),)


def test_frames_outside_their_chunk_are_a_bug() -> None:
    feed = Fed(100, "a", chunk_frames=10)
    order = only(feed(ready("a")))
    with pytest.raises(ValueError, match="c0001 is 0:10: frames 10:11 are not in it"):
        feed(verified(order, 9, 11))


def logged(*happened: Event) -> list[Record]:
    return [Record("2026-01-01T00:00:00Z", float(second), event) for second, event in enumerate(happened)]


def test_resume_is_replay_and_orders_only_what_is_missing_under_the_same_names() -> None:
    first, second = capture("a", "c0001", FrameRange(0, 50)), capture("b", "c0002", FrameRange(50, 100))
    log = logged(
        ready("a"),
        ready("b"),
        ordered(first),
        ordered(second),
        verified(first, 0, 50),
        events.ChunkDone(chunk="c0001", host="a", attempt=1),
        verified(second, 60, 70),
        failed(second, FaultCode.SEEK_FAILED, frame=50),
    )
    schedule = Schedule.replay(log, FrameRange(0, 120), hosts=["z"])
    schedule.check()
    order = only(told(schedule, ready("z"), now_s=0))
    assert order == capture("z", "c0002", FrameRange(50, 100), FrameRange(50, 60), FrameRange(70, 100), attempt=2)
    assert schedule.stored == {
        "c0001": (FrameRange(0, 50), frameset.of([FrameRange(0, 50)])),
        "c0002": (FrameRange(50, 100), frameset.of([FrameRange(60, 70)])),
    }
    tail = only(told(schedule, verified(order, 50, 60), verified(order, 70, 100), done(order), now_s=9))
    assert tail == capture("z", "c0003", FrameRange(100, 120))


def test_resume_captures_again_what_has_vanished_from_disk() -> None:
    order = capture("a", "c0001", FrameRange(0, 50))
    log = logged(ready("a"), ordered(order), verified(order, 0, 50))
    absent = frameset.of(protocol.ranges_of([3, 4, 40]))
    schedule = Schedule.replay(log, FrameRange(0, 50), hosts=["a"], absent=absent)
    schedule.check()
    assert told(schedule, ready("a"), now_s=0) == (
        capture("a", "c0001", FrameRange(0, 50), FrameRange(3, 5), FrameRange(40, 41), attempt=2),
    )


def test_a_log_that_was_resumed_before_can_be_resumed_again() -> None:
    first = capture("a", "c0001", FrameRange(0, 50))
    again = capture("a", "c0001", FrameRange(0, 50), FrameRange(10, 50), attempt=2)
    started = events.RunStarted(
        run="r", composition="c", output="o", plan="p", frames=FrameRange(0, 50), fps="30/1", width=2, height=2
    )
    log = logged(
        started,
        ready("a"),
        ordered(first),
        verified(first, 0, 10),
        dataclasses.replace(started, is_resumed=True),
        ready("a"),
        ordered(again),
        verified(again, 10, 20),
    )
    schedule = Schedule.replay(log, FrameRange(0, 50), hosts=["a"])
    assert told(schedule, ready("a"), now_s=0) == (
        capture("a", "c0001", FrameRange(0, 50), FrameRange(20, 50), attempt=3),
    )


def test_resuming_a_complete_run_finishes_without_a_host() -> None:
    order = capture("a", "c0001", FrameRange(0, 50))
    schedule = Schedule.replay(logged(ordered(order), verified(order, 0, 50)), FrameRange(0, 50), hosts=["a"])
    assert schedule.handle(now_s=0) == (Finish(),)


def test_a_host_put_aside_comes_back_after_a_while_and_then_stays_away_for_longer() -> None:
    hosts = Standings()
    hosts.meet("a", 1.0)
    struck = [hosts.strike("a", "it broke", 10.0) for _ in range(3)]
    assert [(event.strikes, event.aside_s) for event in struck] == [(1, 0), (2, 0), (3, 120)]
    assert (hosts.usable(129.0), hosts.usable(130.0)) == ([], ["a"])
    assert hosts.strike("a", "it broke", 130.0).aside_s == 240
    assert (hosts.usable(369.0), hosts.usable(370.0)) == ([], ["a"])
    assert [hosts.strike("a", "it broke", 370.0).aside_s for _ in range(2)] == [480, 480]
    assert hosts.troubles["a"] == "left out after 3 failures: it broke"


def test_a_host_that_delivers_no_more_frames_is_cancelled_and_struck() -> None:
    feed = Fed(1000, "a", chunk_frames=1000)
    order = only(feed(ready("a")))
    for start in range(0, 50, 10):
        feed(verified(order, start, start + 10))
    for _ in range(40):
        assert feed() == ()
    assert only(feed()) == Cancel("a", "c0001")
    assert feed.said == [events.HostStruck(host="a", strikes=1, reason="no frame of c0001 for 41 s")]


@pytest.mark.parametrize(
    "sign", [events.FramesCaptured(chunk="c0001", host="a", count=1), events.FramesHeld(chunk="c0001", host="a")]
)
def test_a_host_that_captures_or_is_made_to_wait_is_not_frozen_however_slow_its_link_is(sign: events.Event) -> None:
    feed = Fed(1000, "a", chunk_frames=1000)
    order = only(feed(ready("a")))
    feed(verified(order, 0, 10))
    for _ in range(100):
        assert feed(sign) == ()


def test_a_frame_that_two_hosts_draw_differently_is_reported_and_the_first_counts() -> None:
    feed = Fed(1000, "a", "b")
    first, second = uneven(feed)
    asked = only(feed(done(first), after_s=0))
    copy = only(feed(trimmed(asked, 1000)))
    feed(verified(second, 550, 552), verified(copy, 550, 551, "cd" * 32), verified(copy, 551, 552))
    disagreed = events.Disagreed(frame=550, hosts=("b", "a"), digests=(f"{550:064x}", "cd" * 32))
    assert feed.said == [disagreed]


def test_a_host_that_comes_back_first_draws_a_frame_that_another_drew() -> None:
    feed = Fed(100, "a", "b", chunk_frames=50)
    _, second = feed(ready("a"), ready("b"))
    feed(verified(second, 50, 60), events.HostLost("a", "reset", is_expected_back=True))
    check = only(feed(ready("a")))
    assert check == capture("a", "c0003", FrameRange(50, 51))
    assert feed(verified(check, 50, 51)) == ()
    assert only(feed(done(check))) == capture("a", "c0001", FrameRange(0, 50), attempt=2)


def test_a_host_that_comes_back_with_other_pixels_is_put_aside() -> None:
    feed = Fed(100, "a", "b", chunk_frames=50)
    _, second = feed(ready("a"), ready("b"))
    feed(verified(second, 50, 60), events.HostLost("a", "reset", is_expected_back=True))
    check = only(feed(ready("a")))
    assert feed(verified(check, 50, 51, "cd" * 32), done(check)) == ()
    assert [type(event).__name__ for event in feed.said[1:]] == ["Disagreed", "HostStruck"]
    assert feed(after_s=15) == ()


def test_equal_frames_beside_a_different_one_are_captured_again_elsewhere() -> None:
    feed = Fed(100, "a", "b", chunk_frames=50)
    first, second = feed(ready("a"), ready("b"))
    feed(verified(first, 0, 50), done(first))
    given = feed(verified(second, 50, 100, "00" * 32))
    frames = (FrameRange(50, 51), FrameRange(75, 76), FrameRange(99, 100))
    assert given == (capture("a", "c0003", FrameRange(50, 100), *frames),)
    assert isinstance(feed.said[0], events.Suspected)
    last = feed(verified(only(given), 50, 51), verified(only(given), 75, 76), done(only(given)))
    assert [event.host for event in feed.said if isinstance(event, events.HostStruck)] == ["b"]
    again = capture("a", "c0004", FrameRange(50, 100))
    assert last == (Cancel("b", "c0002"), again)
    assert feed(verified(again, 50, 100)) == (Finish(),)


def test_a_still_scene_is_not_suspicious() -> None:
    feed = Fed(100, "a", "b", chunk_frames=50)
    first, second = feed(ready("a"), ready("b"))
    assert feed(verified(first, 0, 50, "00" * 32), done(first)) == ()
    assert feed(verified(second, 50, 100, "00" * 32)) == (Finish(),)


def test_a_drained_host_ends_what_its_workers_have_begun_and_goes() -> None:
    feed = Fed(1000, "a", "b")
    first, _ = feed(ready("a"), ready("b"))
    feed(verified(first, 0, 10))
    asked = only(feed(events.HostDraining("a")))
    assert asked == Trim(host="a", chunk="c0001", attempt=1, stop=11)
    assert feed(trimmed(asked, 24)) == ()
    assert feed(verified(first, 10, 24)) == ()
    assert feed(done(first)) == (Release("a"),)
    assert feed(events.HostDraining("a", is_over=True)) == ()


def test_no_more_hosts_are_used_than_allowed_until_one_of_them_is_lost() -> None:
    schedule = Schedule(FrameRange(0, 1000), hosts=["a", "b", "c"], hosts_max=2)
    given = schedule.handle(ready("a"), ready("b", 4.0), ready("c"), now_s=1)
    assert [order.host for order in given if isinstance(order, Capture)] == ["b", "a"]
    given = schedule.handle(events.HostLost("b", "gone"), now_s=2)
    assert [order.host for order in given if isinstance(order, Capture)] == ["c"]


def test_news_among_many_hosts_waits_for_the_next_look_and_is_not_forgotten() -> None:
    names = [f"h{number}" for number in range(100)]
    schedule = Schedule(FrameRange(0, 100_000), hosts=names)
    schedule.handle(*map(ready, names[:99]), now_s=1.0)
    assert schedule.due_s == math.inf
    assert schedule.handle(ready("h99"), now_s=1.001) == ()
    assert 1.001 < schedule.due_s < 1.1
    given = schedule.handle(now_s=schedule.due_s)
    assert [order.host for order in given if isinstance(order, Trim | Capture)] != []
    assert schedule.due_s == math.inf


def test_a_hosts_first_range_is_explained() -> None:
    schedule = Schedule(FrameRange(0, 900), hosts=["a", "b"], speeds={"a": 20.0})
    given = schedule.handle(ready("a"), ready("b", 1.0), now_s=1)
    assert [order.event for order in given if isinstance(order, Say)] == [
        events.RangeSized(
            host="a", chunk="c0001", frames=600, share=0.6667, frames_per_s=20.0, source="remembered", costs=costs.ALIKE
        ),
        events.RangeSized(
            host="b",
            chunk="c0002",
            frames=300,
            share=0.3333,
            frames_per_s=10.0,
            source="guessed from its cores",
            costs=costs.ALIKE,
        ),
    ]


def test_canary_frames_shape_the_first_split_until_something_is_remembered() -> None:
    frames = tuple(FrameFile(index, 1, f"{index:064x}", took_ms) for index, took_ms in ((0, 99), (200, 40), (700, 160)))
    fixed = events.PixelsFixed(frames=frames, hosts=("a", "b"), classes=1)
    schedule = Schedule(FrameRange(0, 900), hosts=["a", "b"])
    given = schedule.handle(fixed, ready("a"), ready("b"), now_s=1)
    said = [order.event for order in given if isinstance(order, Say)]
    assert [event.costs for event in said if isinstance(event, events.RangeSized)] == ["by canary frames"] * 2
    assert [order.frames for order in given if isinstance(order, Capture)] == [FrameRange(0, 563), FrameRange(563, 900)]


def test_ranges_are_sized_by_cost_where_it_is_known() -> None:
    curve = Curve(300, (3.0, 1.0, 1.0))
    schedule = Schedule(FrameRange(0, 900), hosts=["a", "b"], curve=curve)
    given = schedule.handle(ready("a"), ready("b"), now_s=1)
    assert [order.frames for order in given if isinstance(order, Capture)] == [FrameRange(0, 250), FrameRange(250, 900)]
