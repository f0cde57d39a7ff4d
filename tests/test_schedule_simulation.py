"""Whatever hosts do, every frame is verified exactly once or the run ends with a name, about as soon as it can."""

import dataclasses
import random
import statistics
from collections.abc import Callable
from typing import Literal

import pytest
from fleet_cases import Case, case, measure, table, troubled
from fleet_simulation import LIE, Loss, SimHost, World, equal_split_s, lower_bound_s, whole
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.faults import FaultCode
from fleet import frameset, orders
from fleet.errors import CompositionError, ExitCode
from fleet.frameset import FrameSet
from fleet.schedule import Schedule

Faults = dict[int, FaultCode | Literal["lie"]]
NONE: st.SearchStrategy[tuple[Loss, ...]] = st.just(())
FAULTLESS: st.SearchStrategy[Faults] = st.just({})
LOSSES = st.lists(
    st.builds(Loss, at_s=st.floats(0.5, 60), back_s=st.none() | st.floats(0.5, 20), late=st.booleans()), max_size=3
).map(tuple)
FAULTS: st.SearchStrategy[Faults] = st.dictionaries(
    st.integers(1, 6),
    st.sampled_from(
        [
            FaultCode.BROWSER_CRASHED,
            FaultCode.FRAME_TIMEOUT,
            FaultCode.DISK_FULL,
            FaultCode.INTERNAL,
            FaultCode.CANCELLED,
            LIE,
        ]
    ),
    max_size=3,
)


def fleets(
    losses: st.SearchStrategy[tuple[Loss, ...]] = NONE, faults: st.SearchStrategy[Faults] = FAULTLESS
) -> st.SearchStrategy[list[SimHost]]:
    host = st.builds(
        SimHost,
        name=st.just(""),
        speed=st.floats(0.1, 10),
        capacity=st.sampled_from([0.5, 1, 2, 6]),
        boot_s=st.floats(0, 10),
        losses=losses,
        faults=faults,
    )
    return st.lists(host, min_size=1, max_size=5).map(
        lambda hosts: [dataclasses.replace(host, name=f"h{n}") for n, host in enumerate(hosts)]
    )


def run(
    count: int,
    hosts: list[SimHost],
    *,
    chunk_frames: int | None = None,
    cost: Callable[[int], float] = lambda _: 1.0,
    poison: int | None = None,
) -> World:
    names = [host.name for host in hosts]
    world = World(Schedule(whole(count), hosts=names, chunk_frames=chunk_frames), hosts, cost=cost, poison=poison)
    world.run()
    return world


def frames_in_files(schedule: Schedule) -> FrameSet:
    return frameset.of(part for _, stored in schedule.stored.values() for part in stored.ranges)


@settings(max_examples=100, deadline=None)
@given(
    count=st.integers(1, 300),
    hosts=fleets(LOSSES, FAULTS),
    chunk_frames=st.none() | st.integers(1, 60),
)
def test_every_frame_is_verified_exactly_once_or_the_end_has_a_name(
    count: int, hosts: list[SimHost], chunk_frames: int | None
) -> None:
    world = run(count, hosts, chunk_frames=chunk_frames)
    stored = world.schedule.stored
    assert sum(len(files) for _, files in stored.values()) == len(world.schedule.verified)
    if isinstance(world.end, orders.Finish):
        assert frames_in_files(world.schedule) == frameset.of([whole(count)])
    else:
        assert isinstance(world.end, orders.GiveUp)
        assert world.end.error.exit_code in {ExitCode.FLEET, ExitCode.COMPOSITION}
        assert world.end.error.remedy


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 300), hosts=fleets(LOSSES), chunk_frames=st.none() | st.integers(1, 60))
def test_what_a_run_left_behind_is_all_that_a_resumed_one_captures(
    count: int, hosts: list[SimHost], chunk_frames: int | None
) -> None:
    world = run(count, hosts, chunk_frames=chunk_frames)
    for stop in (len(world.log) // 3, len(world.log)):
        schedule = Schedule.replay(world.log[:stop], whole(count), hosts=["fresh"], chunk_frames=chunk_frames)
        schedule.check()
        had = schedule.verified
        second = World(schedule, [SimHost(name="fresh", speed=10)])
        second.run()
        assert second.end == orders.Finish()
        ordered = frameset.of(
            part for record in second.log if hasattr(record.event, "todo") for part in record.event.todo
        )
        assert ordered == frameset.of([whole(count)]) - had


@settings(max_examples=40, deadline=None)
@given(
    data=st.data(),
    count=st.integers(1, 300),
    hosts=fleets(),
    chunk_frames=st.none() | st.integers(1, 60),
)
def test_a_composition_that_always_fails_at_one_frame_ends_naming_it(
    data: st.DataObject, count: int, hosts: list[SimHost], chunk_frames: int | None
) -> None:
    poison = data.draw(st.integers(0, count - 1))
    world = run(count, hosts, chunk_frames=chunk_frames, poison=poison)
    assert isinstance(world.end, orders.GiveUp)
    assert isinstance(world.end.error, CompositionError)
    assert str(world.end.error).startswith(f"frame {poison}: poison (seek_failed)")
    assert world.end.fault is not None
    assert world.end.fault.frame == poison


def flat(_: int) -> float:
    return 1.0


def heavy_middle(frame: int) -> float:
    return 5.0 if 240 <= frame < 480 else 1.0


def host(name: str, speed: float, capacity: float = 1.0) -> SimHost:
    return SimHost(name=name, speed=speed, capacity=capacity)


@pytest.mark.parametrize(
    ("hosts", "cost", "factor"),
    [
        ([host("a", 8, 6)], flat, 1.02),
        ([host(name, 8, 6) for name in "abcd"], flat, 1.05),
        ([host("a", 8, 4), host("b", 4, 2), host("c", 2, 1)], flat, 1.05),
        ([host("a", 10), host("b", 1), host("c", 0.1)], flat, 1.1),
        ([host(name, 8, 6) for name in "abcd"], heavy_middle, 1.1),
        ([host("a", 8, 4), host("b", 4, 4), host("c", 1, 4)], heavy_middle, 1.1),
    ],
    ids=["alone", "equal", "known", "unknown", "heavy", "both"],
)
def test_without_losses_the_end_comes_close_to_the_bound_and_before_an_equal_split(
    hosts: list[SimHost], cost: Callable[[int], float], factor: float
) -> None:
    world = run(660, hosts, cost=cost)
    bound_s, equal_s = lower_bound_s(660, hosts, cost), equal_split_s(660, hosts, cost)
    print(f"bound {bound_s:.1f} s, schedule {world.wall_s:.1f} s, equal split {equal_s:.1f} s")
    assert world.end == orders.Finish()
    assert world.wall_s <= bound_s * factor
    assert world.wall_s <= equal_s * 1.1


@settings(max_examples=40, deadline=None)
@given(hosts=fleets(), count=st.integers(60, 1000))
def test_without_losses_no_fleet_is_far_from_the_bound(hosts: list[SimHost], count: int) -> None:
    world = run(count, hosts)
    slowest_frame_s = 1 / min(host.speed for host in hosts)
    boot_s = max(host.boot_s for host in hosts)
    assert world.wall_s <= 1.3 * lower_bound_s(count, hosts, flat) + slowest_frame_s + boot_s + 15


def test_over_random_fleets_the_end_is_within_a_tenth_of_the_bound() -> None:
    rng = random.Random(20)
    outcomes = [measure(case(rng, hosts_max=20, ideal_s=(60, 120))) for _ in range(20)]
    print(table(outcomes))
    ours = sorted(outcome.ours for outcome in outcomes)
    assert statistics.median(ours) <= 1.10
    assert ours[int(0.95 * len(ours))] <= 1.25


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_whatever_befalls_random_fleets_every_frame_is_verified_once_or_the_end_has_a_name(seed: int) -> None:
    survive(troubled(random.Random(seed), hosts_max=40))


def test_whatever_befalls_a_thousand_hosts_every_frame_is_verified_once_or_the_end_has_a_name() -> None:
    survive(troubled(random.Random(2), hosts_min=1000, ideal_s=(2.0, 2.0)))


def test_a_thousand_hosts_come_close_to_the_bound_in_a_render_of_seconds() -> None:
    one = case(random.Random(3), hosts_min=1000, ideal_s=(4.0, 4.0), late=0)
    world = one.run()
    assert world.end == orders.Finish()
    assert world.wall_s <= lower_bound_s(one.count, one.hosts, one.cost) + 12


def survive(one: Case) -> None:
    world = one.run()
    if isinstance(world.end, orders.Finish):
        assert one.poison is None
        assert frames_in_files(world.schedule) == frameset.of([whole(one.count)])
    else:
        assert isinstance(world.end, orders.GiveUp)
        assert world.end.error.remedy
    replayed = Schedule.replay(world.log, whole(one.count), hosts=["fresh"])
    replayed.check()
    assert replayed.verified == world.schedule.verified
