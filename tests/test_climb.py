"""Workers come and go by what they are seen to capture: never much worse than any fixed number, without wavering."""

import statistics

import pytest
from host_simulation import Cost, Host, climbing, knee, seconds
from hypothesis import given, settings
from hypothesis import strategies as st

from capture import climb as climbs
from capture.climb import Change, Climb, fixed

NOISE = 0.2
SCENES: dict[str, Cost] = {
    "even": lambda _: 1.0,
    "scenes": lambda frame: (1.0, 3.0, 0.5, 2.0)[frame // 150 % 4],
    "stills": lambda frame: 0.1 if frame // 40 % 2 else 1.0,
    "ramp": lambda frame: 0.5 + frame % 1000 / 500,
}


def host(knee_at: float, *, cost: Cost = SCENES["even"], decline: float = 0.03, seed: int = 0) -> Host:
    return Host(knee(knee_at, decline=decline), cost=cost, noise=NOISE, seed=seed)


@pytest.mark.parametrize("scenes", SCENES)
@pytest.mark.parametrize(
    ("workers", "count"), [(1, 600), (2, 100), (2, 600), (2, 2000), (4, 600), (4, 2000), (8, 1500)]
)
def test_where_the_model_is_right_looking_around_costs_less_than_five_percent(
    workers: int, count: int, scenes: str
) -> None:
    ratios = []
    for seed in range(2):
        found = host(workers, cost=SCENES[scenes], seed=seed).capture(count, climbing(workers))
        best = seconds(host(workers, cost=SCENES[scenes], seed=seed), count, workers)
        ratios.append(found / best)
    assert statistics.fmean(ratios) <= 1.05


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    model=st.integers(1, 8),
    best=st.integers(1, 8),
    scenes=st.sampled_from(sorted(SCENES)),
    count=st.integers(20, 1200),
    seed=st.integers(0, 20),
)
def test_whatever_is_best_the_number_that_was_reckoned_is_not_much_better(
    model: int, best: int, scenes: str, count: int, seed: int
) -> None:
    found = host(best, cost=SCENES[scenes], seed=seed).capture(count, climbing(model))
    assert found <= 1.08 * seconds(host(best, cost=SCENES[scenes], seed=seed), count, model)


@pytest.mark.parametrize(
    ("model", "best"), [(1, 1), (1, 3), (2, 1), (2, 2), (2, 3), (2, 8), (3, 6), (4, 2), (4, 4), (6, 4), (8, 5), (8, 8)]
)
def test_in_a_long_run_it_comes_within_five_percent_of_the_best(model: int, best: int) -> None:
    """The second half of the run, when it has found its number; the way there takes longer, the farther it is."""
    simulated, climb = host(best), climbing(model)
    simulated.capture(1000 * max(model, best), climb)
    climb.begin(climb.workers, most=64, is_free=True)
    found = simulated.capture(1000, climb)
    assert found <= 1.05 * seconds(host(best), 1000, best)


def test_short_chunks_are_no_place_for_experiments() -> None:
    climb = climbing(2)
    simulated = host(8)
    simulated.capture(300, climb)
    assert (climb.workers, simulated.changes, climb.learnt) == (2, [], None)


def test_what_was_learnt_is_kept_for_the_next_chunk_and_the_reason_told() -> None:
    climb, simulated = climbing(2), host(3)
    simulated.capture(3000, climb)
    assert climb.learnt == 3
    assert [(change.before, change.workers) for change in simulated.changes[:2]] == [(2, 3), (4, 3)]
    assert simulated.changes[0].why.startswith("3 are ")
    assert simulated.changes[0].why.endswith("% faster than 2")


def test_it_does_not_waver() -> None:
    climb, simulated = climbing(4), host(4)
    simulated.capture(20_000, climb)
    assert len(simulated.changes) <= 8
    assert all(change.workers == 4 for change in simulated.changes)


@pytest.mark.parametrize(("most", "room"), [(2, 64), (64, 0)])
def test_no_more_than_are_allowed_and_fit_into_memory(most: int, room: int) -> None:
    climb = climbing(2, most=most, room=room)
    simulated = host(8)
    simulated.capture(2000, climb)
    assert max([climb.workers, *(change.before for change in simulated.changes)]) == 2


def test_beside_encoders_that_are_waited_for_nothing_is_tried() -> None:
    climb, simulated = climbing(2), host(8)
    for _ in range(2):
        simulated.capture(3000, climb, is_throttled=True)
    assert (climb.workers, simulated.changes, climb.learnt) == (2, [], None)


def test_a_trial_ends_when_encoders_are_waited_for() -> None:
    climb = trying(4)
    climb.share()
    assert (climb.workers, climb.active, climb.take_news()) == (4, 4, None)


def test_beside_encoders_frames_that_become_slow_still_call_for_fewer() -> None:
    climb = climbing(4)
    climb.share()
    workers = set()
    for frame in range(2000):
        took_s = 0.1 if frame < 500 else 1.0
        climb.wrote(took_s, busy=climb.active, left=5000 - frame, is_new=True, now_s=frame * took_s)
        workers.add(climb.active)
    assert workers == {3, 4}


def test_a_number_that_was_asked_for_is_not_changed() -> None:
    climb = fixed(2)
    for now_s in range(10):
        climb.saw_memory(0, is_short=True, now_s=float(now_s))
    simulated = host(8)
    simulated.capture(3000, climb)
    assert (climb.workers, simulated.changes) == (2, [])


def test_short_memory_costs_one_worker_at_a_time_and_what_that_does_is_awaited() -> None:
    climb = climbing(4)
    numbers = []
    for now_s in range(3 + int(climbs.RELIEF_S)):
        climb.saw_memory(0, is_short=True, now_s=float(now_s))
        numbers.append(climb.workers)
    assert numbers == [4, *[3] * int(climbs.RELIEF_S), 2, 2]
    assert climb.take_news() == Change(4, 3, "memory is short")
    assert climb.take_news() == Change(3, 2, "memory is short")
    for now_s in range(20, 100):
        climb.saw_memory(0, is_short=True, now_s=float(now_s))
    assert climb.workers == 1


def test_one_look_at_short_memory_is_no_reason() -> None:
    climb = climbing(4)
    for now_s in range(10):
        climb.saw_memory(0, is_short=now_s % 2 == 0, now_s=float(now_s))
    assert climb.workers == 4


def test_failures_during_a_trial_end_it_and_halve_what_was_there_only_afterwards() -> None:
    climb = trying(4)
    climb.halve()
    assert (climb.workers, climb.active) == (4, 4)
    climb.halve()
    assert (climb.workers, climb.active) == (2, 2)


def test_short_memory_during_a_trial_ends_it() -> None:
    climb = trying(4)
    for now_s in (100.0, 101.0):
        climb.saw_memory(0, is_short=True, now_s=now_s)
    assert (climb.workers, climb.active) == (4, 4)
    assert climb.take_news() == Change(5, 4, "memory is short")


def trying(workers: int) -> Climb:
    """A climb that has just begun to try one worker more."""
    climb = climbing(workers)
    for frame in range(1000):
        climb.wrote(0.1, busy=workers, left=5000 - frame, is_new=True, now_s=0.1 * frame / workers)
        if climb.workers > workers:
            return climb
    raise AssertionError("nothing is tried")
