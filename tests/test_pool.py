"""How many workers: never more than fits, never none, and always with the reason."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture import pool
from capture.pool import MIB, RESERVE_MEMORY_BYTES, WORKER_MEMORY_BYTES, WORKERS_MAX, Bound, Memory, Sizing

GIB = 1024 * MIB

frames = st.integers(1, 5000)
cores = st.floats(0.05, 256)
memory = st.integers(0, 1024 * GIB)
warm = st.integers(0, 64)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, Sizing(8, Bound.CPU, "8 cores")),
        ({"cores": 1.5}, Sizing(2, Bound.CPU, "1.5 cores")),
        ({"cores": 0.2}, Sizing(1, Bound.CPU, "0.2 cores")),
        ({"memory": Memory(2 * GIB)}, Sizing(2, Bound.MEMORY, "2048 MiB of memory free")),
        ({"memory": Memory(100 * MIB)}, Sizing(1, Bound.MEMORY, "100 MiB of memory free")),
        ({"memory": Memory(100 * MIB), "warm": 3}, Sizing(3, Bound.MEMORY, "100 MiB of memory free")),
        (
            {"memory": Memory(8 * GIB), "pixels": 3840 * 2160},
            Sizing(7, Bound.MEMORY, "8192 MiB of memory free"),
        ),
        ({"memory": Memory(8 * GIB), "pixels": 640 * 360}, Sizing(8, Bound.CPU, "8 cores")),
        ({"frames": 30}, Sizing(2, Bound.FRAMES, "only 30 frames")),
        ({"frames": 30, "warm": 8}, Sizing(8, Bound.CPU, "8 cores")),
        ({"ceiling": 4}, Sizing(4, Bound.CEILING, "at most 4 on this host")),
        ({"ceiling": 8}, Sizing(8, Bound.CEILING, "at most 8 on this host")),
        ({"measured": 10}, Sizing(10, Bound.MEASURED, "10 proved best here")),
        ({"measured": 10, "ceiling": 6}, Sizing(6, Bound.CEILING, "at most 6 on this host")),
        ({"memory": Memory(64 * GIB, 2 * GIB)}, Sizing(2, Bound.MEMORY, "2048 MiB of memory allowed")),
        ({"memory": Memory(64 * GIB, 2 * GIB), "warm": 2}, Sizing(2, Bound.MEMORY, "2048 MiB of memory allowed")),
        ({"explicit": 6, "cores": 1, "memory": Memory(0)}, Sizing(6, Bound.EXPLICIT, "6 asked for")),
        ({"explicit": 0}, Sizing(1, Bound.EXPLICIT, "0 asked for")),
        ({"explicit": 1000}, Sizing(64, Bound.EXPLICIT, "1000 asked for")),
    ],
    ids=str,
)
def test_the_tightest_bound_decides_and_says_so(asked: dict[str, Any], expected: Sizing) -> None:
    usual: dict[str, Any] = {"frames": 600, "cores": 8, "memory": Memory(64 * GIB)}
    assert pool.decide(**(usual | asked)) == expected


@given(frames, cores, memory, warm, st.none() | st.integers(-5, 1000))
def test_there_is_always_a_worker_and_never_too_many(
    frames: int, cores: float, memory: int, warm: int, explicit: int | None
) -> None:
    sizing = pool.decide(frames=frames, cores=cores, memory=Memory(memory), warm=warm, explicit=explicit)
    assert 1 <= sizing.workers <= WORKERS_MAX
    assert sizing.why


@given(frames, cores, memory, warm)
def test_new_workers_never_take_more_memory_than_there_is(frames: int, cores: float, memory: int, warm: int) -> None:
    sizing = pool.decide(frames=frames, cores=cores, memory=Memory(memory), warm=warm)
    hired = max(0, sizing.workers - warm)
    assert sizing.workers == 1 or hired * WORKER_MEMORY_BYTES <= max(0, memory - RESERVE_MEMORY_BYTES)


@given(frames, cores, st.floats(0, 64), memory, warm)
def test_more_cores_never_mean_fewer_workers(frames: int, cores: float, more: float, memory: int, warm: int) -> None:
    few = pool.decide(frames=frames, cores=cores, memory=Memory(memory), warm=warm)
    many = pool.decide(frames=frames, cores=cores + more, memory=Memory(memory), warm=warm)
    assert many.workers >= few.workers


@pytest.mark.parametrize(
    ("state", "is_full"),
    [
        ({}, False),
        ({"spool_bytes": 1001}, True),
        ({"spool_bytes": 1001, "spool_frames": 0}, False),
        ({"free_bytes": pool.SPOOL_FREE_MIN_BYTES - 1}, True),
        ({"free_bytes": 0, "spool_frames": 0}, False),
        ({"in_segments": 60, "spool_frames": 240}, False),
        ({"in_segments": 60, "spool_frames": 241}, True),
        ({"in_segments": 0, "spool_frames": 241}, False),
    ],
)
def test_capture_waits_while_too_much_is_to_be_fetched_and_goes_on_when_nothing_is(
    state: dict[str, int], is_full: bool
) -> None:
    usual = {"spool_bytes": 1000, "spool_frames": 10, "limit_bytes": 1000, "free_bytes": GIB, "in_segments": 0}
    assert pool.is_full(**usual | {"workers": 2} | state) is is_full


@pytest.mark.parametrize(
    ("memory", "is_short"),
    [
        (Memory(RESERVE_MEMORY_BYTES), False),
        (Memory(RESERVE_MEMORY_BYTES - 1), True),
        (Memory(64 * GIB, pressure=pool.PRESSURE_MAX), False),
        (Memory(64 * GIB, pressure=pool.PRESSURE_MAX + 1), True),
    ],
)
def test_memory_is_short_below_the_reserve_and_where_tasks_wait_for_it(memory: Memory, is_short: bool) -> None:
    assert memory.is_short is is_short


@pytest.mark.parametrize("bound", list(Bound))
def test_numbers_that_people_chose_are_not_experimented_with(bound: Bound) -> None:
    assert Sizing(2, bound, "why").is_reckoned is (bound in {Bound.CPU, Bound.MEASURED, Bound.MEMORY})
