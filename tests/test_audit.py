"""A sample of the frames is captured again at the end, by another host where there is one, and compared."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_seams import RIGHT, WRONG, said, verified
from test_stepping import ready

from capture.protocol import FrameRange
from fleet import events, frameset, orders, request, witness
from fleet.errors import ConfigError
from fleet.schedule import Schedule


def captures(given: tuple[orders.Order, ...]) -> list[orders.Capture]:
    return [order for order in given if isinstance(order, orders.Capture)]


def done(order: orders.Capture) -> events.ChunkDone:
    return events.ChunkDone(chunk=order.chunk, host=order.host, attempt=order.attempt)


def rendered(*hosts: str) -> tuple[Schedule, tuple[orders.Order, ...]]:
    """Each host has delivered its share of 40 frames; with what was ordered then."""
    size = 40 // len(hosts)
    schedule = Schedule(FrameRange(0, 40), hosts=hosts, chunk_frames=size, audit=0.1)
    chunks = captures(schedule.handle(*map(ready, hosts), now_s=0.0))
    for order in chunks[:-1]:
        schedule.handle(verified(order), done(order), now_s=1.0)
    return schedule, schedule.handle(verified(chunks[-1]), done(chunks[-1]), now_s=2.0)


def test_each_hosts_sample_is_captured_by_another_one_before_the_end() -> None:
    schedule, given = rendered("a", "b")
    checks = captures(given)
    assert [(each.host, sum(map(len, each.todo))) for each in checks] == [("a", 2), ("b", 2)]
    assert not any(isinstance(order, orders.Finish) for order in given)
    first = schedule.handle(verified(checks[1]), done(checks[1]), now_s=3.0)
    assert said(first) == [events.Audited(host="b", frames=2, equal=2)]
    last = schedule.handle(verified(checks[0], WRONG), done(checks[0]), now_s=4.0)
    told = said(last)
    assert events.Audited(host="a", frames=2, equal=0) in told
    assert {event.hosts for event in told if isinstance(event, events.Disagreed)} == {("b", "a")}
    assert [order.host for order in captures(last)] == ["a", "b"]  # each once more, to know whether it repeats itself


@pytest.mark.parametrize(("digest", "equal"), [(RIGHT, 4), (WRONG, 0)])
def test_one_host_alone_is_compared_with_itself(digest: str, equal: int) -> None:
    schedule, given = rendered("a")
    (check,) = captures(given)
    last = schedule.handle(verified(check, digest), done(check), now_s=3.0)
    told = said(last)
    assert events.Audited(host="a", frames=4, equal=equal) in told
    assert sum(isinstance(event, events.Disagreed) for event in told) == 4 - equal
    assert isinstance(last[-1], orders.Finish)


def test_an_audit_that_nobody_can_make_any_more_holds_nothing_up() -> None:
    schedule, given = rendered("a", "b")
    assert len(captures(given)) == 2
    lost = [events.HostLost(name, "gone") for name in "ab"]
    assert [type(order) for order in schedule.handle(*lost, now_s=3.0)][-1:] == [orders.Finish]


@given(st.integers(1, 500), st.floats(0.001, 1.0))
def test_a_sample_is_spread_over_all_frames(count: int, share: float) -> None:
    chosen = witness.spread(frameset.of([FrameRange(7, 7 + count)]), share)
    assert chosen == sorted(set(chosen))
    assert 1 <= len(chosen) <= count
    assert all(7 <= frame < 7 + count for frame in chosen)


def test_a_share_is_typed_in_percent() -> None:
    assert request.read_share("1%") == 0.01
    assert request.read_share("0.5%") == 0.005
    for text in ("1", "0%", "101%", "-1%", "all"):
        with pytest.raises(ConfigError):
            request.read_share(text)
