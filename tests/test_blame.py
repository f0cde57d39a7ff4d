"""Whoever draws what is not the frame is found out, and nothing of it stays in the film; nobody else is blamed."""

from random import Random

import pytest
from blame_support import LIES, Draws, Studio, right, wrong
from hypothesis import given, settings
from hypothesis import strategies as st
from test_schedule import Fed, capture, done, failed, only, ready, verified

from capture.faults import FaultCode
from capture.protocol import FrameRange
from fleet import blame, events, orders
from fleet.errors import CompositionError, ExitCode, FleetLost, VerificationError
from fleet.schedule import Schedule
from fleet.trial import Ruling, Trial


@pytest.mark.parametrize("lie", LIES)
@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 999),
    honest=st.integers(2, 4),
    compared=st.sampled_from([(1, 0.0), (5, 1.0), (None, 1.0)]),
    segment=st.sampled_from([None, 7, 20]),
)
def test_no_frame_of_a_liar_stays_in_the_film(
    lie: str, seed: int, honest: int, compared: tuple[int | None, float], segment: int | None
) -> None:
    chunk_frames, audit = compared
    hosts = {"liar": LIES[lie], **{f"h{number}": right for number in range(honest)}}
    studio = Studio(60, hosts, rng=Random(seed), chunk_frames=chunk_frames, audit=audit, segment=segment).run()
    assert studio.end == orders.Finish()
    assert wrong(studio) == []
    assert studio.struck <= {"liar"}


def test_a_segment_without_stills_is_captured_again_as_a_whole() -> None:
    hosts = {"a": right, "b": right, "liar": lambda frame, _: right(frame) if frame > 20 else f"flipped {frame}"}
    studio = Studio(60, hosts, chunk_frames=10, audit=0.2, segment=15).run()
    assert studio.end == orders.Finish()
    assert wrong(studio) == []
    taken = [event for event in studio.said(events.FramesRetracted) if isinstance(event, events.FramesRetracted)]
    assert "liar" in {event.host for event in taken}
    assert {event.host for event in taken} > {"liar"}, "frames of others were bound to those of the liar"
    records = [events.Record("", 0.0, event) for event in studio.log]
    resumed = Schedule.replay(records, FrameRange(0, 60), hosts=["a"])
    resumed.check()
    assert resumed.verified == studio.schedule.verified


def test_what_another_host_drew_alike_stays_and_all_else_of_a_convict_is_captured_again() -> None:
    hosts = {"a": right, "b": right, "liar": lambda frame, _: right(frame) if frame > 20 else f"flipped {frame}"}
    studio = Studio(60, hosts, chunk_frames=10, audit=0.2).run()
    assert wrong(studio) == []
    assert studio.convicted == {"liar"}
    stayed = {frame for frame, (host, _) in studio.kept.items() if host == "liar"}
    proven = {event.frame for event in studio.said(events.SeamMatched) if isinstance(event, events.SeamMatched)}
    assert stayed <= proven
    assert studio.said(events.FramesRetracted)


def test_late_frames_of_a_convict_never_count() -> None:
    for seed in range(20):
        hosts = {"a": right, "b": right, "liar": LIES["flipped pixel"]}
        studio = Studio(24, hosts, rng=Random(seed), chunk_frames=2).run()
        assert wrong(studio) == []
        assert all(host != "liar" for host, _ in studio.kept.values())


def test_of_two_hosts_that_each_repeat_their_own_neither_is_believed_and_the_run_says_so() -> None:
    studio = Studio(40, {"a": right, "b": LIES["flipped pixel"]}, chunk_frames=10).run()
    assert isinstance(studio.end, orders.GiveUp)
    assert isinstance(studio.end.error, VerificationError)
    assert studio.end.error.exit_code is ExitCode.VERIFICATION
    said = str(studio.end.error)
    assert "looks different on a and b, and each draws it the same way again" in said
    assert "browser is that of b, not that of a" in said
    assert "--limit '!b' --resume" in studio.end.error.remedy
    assert studio.convicted == set()
    # What a resumed run would start from.
    records = [events.Record("", 0.0, event) for event in studio.log]
    resumed = Schedule.replay(records, FrameRange(0, 40), hosts=["a"])
    resumed.check()
    assert resumed.verified == studio.schedule.verified
    assert {host for host, _ in studio.kept.values()} <= {"a", "b"}
    assert not wrong(studio, [*studio.schedule.verified])


def test_a_host_that_draws_a_frame_in_two_ways_is_a_warning_when_nobody_contradicts() -> None:
    def shaky(frame: int, times: int) -> str:
        return f"{right(frame)}, {times}" if frame == 9 else right(frame)

    studio = Studio(20, {"a": shaky, "b": lambda frame, times: shaky(frame, times + 5)}, chunk_frames=10).run()
    assert studio.end == orders.Finish()
    assert studio.struck == set()
    warnings = [event for event in studio.said(events.Warned) if isinstance(event, events.Warned)]
    assert {event.where for event in warnings} == {"a", "b"}
    assert "frame 9 looks different each time" in warnings[0].message


def test_a_composition_that_never_looks_the_same_is_told_of_and_blames_nobody() -> None:
    hosts: dict[str, Draws] = {
        name: lambda frame, times, name=name: f"{right(frame)}, {name} {times}"  # type: ignore[misc]
        for name in "abc"
    }
    studio = Studio(90, hosts, chunk_frames=3).run()
    assert studio.end == orders.Finish()
    assert studio.struck == set()
    told = [event.message for event in studio.said(events.Warned) if isinstance(event, events.Warned)]
    assert any("looks different each time" in message for message in told)
    assert sum("not looked into any more" in message for message in told) == 1


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"p": "XX", "q": "YY", "r": "X"}, Ruling(convicted=("q",))),
        ({"p": "XX", "q": "YY", "r": "Y"}, Ruling(convicted=("p",))),
        ({"p": "XX", "q": "YY", "r": "Z"}, Ruling(split=(("p",), ("q",), ("r",)))),
        ({"p": "XX", "q": "Y"}, Ruling(convicted=("q",))),
        ({"p": "X", "q": "Y"}, Ruling()),
        ({"p": "XY", "q": "YY"}, Ruling(unstable=("p",), is_contradicted=True)),
        ({"p": "XX", "q": "YZ", "r": "X"}, Ruling(unstable=("q",), is_contradicted=True)),
        ({"p": "XY", "q": "YZ", "r": "Q"}, Ruling(unstable=("p", "q"))),
        ({"p": "XX", "q": "YZ", "r": "Q"}, Ruling(unstable=("q",))),
    ],
)
def test_the_larger_number_of_those_who_repeat_themselves_is_believed(
    answers: dict[str, str], expected: Ruling
) -> None:
    assert Trial(0, ("p", "q"), {host: list(drawn) for host, drawn in answers.items()}).ruling() == expected


def test_as_many_hosts_of_one_opinion_as_of_the_other_are_an_error_and_more_are_not() -> None:
    other = LIES["flipped pixel"]
    split = Studio(40, {"a": right, "b": right, "c": other, "d": other}, chunk_frames=10).run()
    assert isinstance(split.end, orders.GiveUp)
    assert isinstance(split.end.error, VerificationError)
    most = Studio(40, {"a": right, "b": other, "c": right, "d": other, "e": right}, chunk_frames=8).run()
    assert most.end == orders.Finish()
    assert most.convicted == {"b", "d"}
    assert wrong(most) == []


def test_a_host_that_is_gone_when_it_should_draw_again_is_not_believed() -> None:
    feed = Fed(20, "a", "b", chunk_frames=10)
    first, second = feed(ready("a"), ready("b"))
    assert isinstance(second, orders.Capture)
    seam = events.SeamDrawn(chunk=second.chunk, host="b", frame=verified(first, 9, 10, "cd" * 32).frames[0])
    feed(verified(first, 0, 10), seam, verified(second, 10, 20))
    again = only(feed(done(first), events.HostLost("b", "gone")))
    assert again == capture("a", "c0003", FrameRange(9, 10))
    given = feed(verified(again, 9, 10), done(again))
    assert given == (capture("a", "c0004", FrameRange(10, 20)),)
    retracted = events.FramesRetracted(chunk="c0002", host="b", frames=(FrameRange(10, 20),))
    assert retracted in feed.said
    assert [event.is_final for event in feed.said if isinstance(event, events.HostStruck)] == [True]


def test_what_a_host_delivered_before_it_broke_the_protocol_is_captured_by_others() -> None:
    feed = Fed(30, "a", "b", chunk_frames=15)
    first, second = feed(ready("a"), ready("b"))
    feed(verified(first, 0, 15), done(first), verified(second, 15, 20))
    assert len(feed.schedule.verified) == 20
    given = feed(events.HostRefused("b", "the agent broke the protocol", "x", is_liar=True))
    assert isinstance(only(given), orders.Capture)
    assert len(feed.schedule.verified) == 15
    assert isinstance(feed(events.HostRefused("a", "no power", "x"))[-1], orders.GiveUp)
    assert len(feed.schedule.verified) == 15


def test_frames_of_a_host_that_fails_again_and_again_are_sampled_elsewhere() -> None:
    feed = Fed(100, "a", "b", chunk_frames=20)
    first, second = feed(ready("a"), ready("b"))
    order = only(feed(verified(first, 0, 20), done(first)))
    for _ in range(2):
        order = only(feed(failed(order, FaultCode.BROWSER_CRASHED)))
    assert feed(failed(order, FaultCode.BROWSER_CRASHED)) == ()
    check = only(feed(verified(second, 20, 40), done(second)))
    assert isinstance(check, orders.Capture)
    assert check.host == "b"
    assert check.todo == (FrameRange(0, 1), FrameRange(10, 11), FrameRange(19, 20))
    rest = feed(verified(check, 0, 1, "cd" * 32), done(check))
    assert [event.host for event in feed.said if isinstance(event, events.HostStruck) and event.is_final] == ["a"]
    assert len(feed.schedule.verified) == 20
    assert isinstance(rest[0], orders.Capture)


def test_a_host_that_may_be_innocent_is_tried_again_soon_when_nobody_else_is_left() -> None:
    feed = Fed(40, "a")
    given = feed(ready("a"))
    for _ in range(3):
        given = feed(failed(only(given), FaultCode.BROWSER_CRASHED))
    assert given == ()
    while not given:
        given = feed()
        assert feed.now_s < 30
    assert feed(verified(only(given), 0, 40)) == (orders.Finish(),)


def test_paroles_end_and_so_does_the_run() -> None:
    feed = Fed(40, "a")
    given = feed(ready("a"))
    while not (given and isinstance(given[-1], orders.GiveUp)):
        assert feed.now_s < 60
        given = feed(failed(given[0], FaultCode.BROWSER_CRASHED)) if given else feed()
    assert isinstance(given[-1].error, FleetLost)
    assert given[-1].error.exit_code is ExitCode.FLEET


@pytest.mark.parametrize("code", [FaultCode.DISK_FULL, FaultCode.BROWSER_LAUNCH, FaultCode.FRAME_REJECTED])
def test_what_only_a_host_can_be_the_reason_of_is_not_tried_again(code: FaultCode) -> None:
    feed = Fed(40, "a")
    given = feed(ready("a"))
    for _ in range(3):
        given = feed(failed(given[0], code))
    assert isinstance(given[-1], orders.GiveUp)
    assert given[-1].error.exit_code is ExitCode.FLEET


def test_memory_that_is_short_on_one_host_only_ends_nothing() -> None:
    feed = Fed(90, "a", "b", chunk_frames=30)
    first, second = feed(ready("a"), ready("b"))
    for frame in (3, 33 + 30, 11):
        given = feed(failed(first, FaultCode.OUT_OF_MEMORY, frame))
        assert not any(isinstance(order, orders.GiveUp) for order in given)
        first = given[0] if given else first
    given = feed(verified(second, 30, 60), done(second))
    for _ in range(10):
        assert isinstance(given[0], orders.Capture)
        assert given[0].host == "b"
        parts = [verified(given[0], part.start, part.stop) for part in given[0].todo]
        given = feed(*parts, done(given[0]))
        if isinstance(given[-1], orders.Finish):
            break
    assert isinstance(given[-1], orders.Finish)


def test_memory_that_is_short_on_every_host_is_the_compositions_at_once() -> None:
    feed = Fed(60, "a", "b", chunk_frames=60)
    first = only(feed(ready("a"), ready("b")))
    given = feed(failed(first, FaultCode.OUT_OF_MEMORY, 3))
    again = next(order for order in given if isinstance(order, orders.Capture) and order.host == "b")
    end = feed(failed(again, FaultCode.OUT_OF_MEMORY, 7))[-1]
    assert isinstance(end, orders.GiveUp)
    assert isinstance(end.error, CompositionError)
    assert "seen on a and on b" in str(end.error)


def test_two_hosts_that_die_over_the_same_frames_in_different_ways_end_with_the_compositions_code() -> None:
    feed = Fed(10, "a", "b", chunk_frames=10)
    given = feed(ready("a"), ready("b"))
    frames = iter(range(100))
    while not (given and isinstance(given[-1], orders.GiveUp)):
        assert feed.now_s < 100
        code = (FaultCode.BROWSER_CRASHED, FaultCode.WORKER_DIED)[next(frames) % 2]
        at = next(frames) % 10
        given = feed(*(failed(order, code, at) for order in given if isinstance(order, orders.Capture)))
    assert given[-1].error.exit_code is ExitCode.COMPOSITION


def test_a_host_that_stands_still_is_first_hedged_and_then_stopped() -> None:
    feed = Fed(400, "a", "b", chunk_frames=200)
    feed(events.SteppingFixed(True, "declared"))  # where only who stands still is helped
    first, second = feed(ready("a"), ready("b"))
    for at in range(10):
        feed(verified(first, at * 10, at * 10 + 10), verified(second, 200 + at * 20, 220 + at * 20))
    heard_s, given = feed.now_s, feed(done(second))
    while not given:
        given = feed()
    assert given == (capture("b", "c0003", FrameRange(100, 200), twin="c0001"),)
    assert feed.now_s - heard_s == 21  # more than 20 s, for frames come a second apart
    given = ()
    while not given:
        given = feed(events.FramesCaptured(chunk="c0003", host="b", count=1))
    assert given == (orders.Cancel("a", "c0001"),)
    assert feed.now_s - heard_s == 41


def test_eight_times_the_usual_gap_between_frames_is_waited_for_where_they_are_slow() -> None:
    feed = Fed(400, "a", chunk_frames=400)
    order = only(feed(ready("a")))
    for at in range(10):
        assert feed(verified(order, at, at + 1), after_s=10.0) == ()
    assert feed(after_s=2 * 80.0 - 1) == ()
    assert feed(after_s=2.0) == (orders.Cancel("a", "c0001"),)


def test_a_host_that_does_not_end_a_chunk_when_told_to_loses_it_and_gets_nothing_more() -> None:
    feed = Fed(100, "a", "b", chunk_frames=50)
    first, second = feed(ready("a"), ready("b"))
    feed(verified(first, 0, 10), verified(second, 50, 60))
    feed(events.HostLost("b", "gone"))
    assert feed(after_s=45.0) == (orders.Cancel("a", "c0001"),)
    given = feed(after_s=blame.CANCEL_PATIENCE_S + 1)
    given += feed()
    end = given[-1]
    assert isinstance(end, orders.GiveUp)
    assert "did not end c0001" in str(end.error)
