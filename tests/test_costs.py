"""What frames cost, what is remembered of it, and how many hosts a render can use."""

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.protocol import FrameFile, FrameRange
from fleet import costs, events, frameset, memory, pace, usefulness
from fleet.costs import FLAT, Curve
from fleet.frameset import FrameSet
from fleet.memory import Memory
from fleet.pace import Pace

HEAVY = Curve(10, (1.0, 5.0, 1.0))


def frames(*pairs: tuple[int, int]) -> FrameSet:
    return frameset.of(FrameRange(start, stop) for start, stop in pairs)


def test_costs_add_up_over_pieces_and_holes_and_are_1_beyond_the_curve() -> None:
    assert HEAVY.of(frames((0, 10), (15, 21))) == 10 + 25 + 1
    assert HEAVY.of(frames((25, 40))) == 5 + 10
    assert FLAT.of(frames((3, 10), (12, 13))) == 8


@given(
    values=st.lists(st.floats(0.05, 20), max_size=5),
    cuts=st.lists(st.integers(0, 60), min_size=2, max_size=8, unique=True),
    cost=st.floats(0, 200),
)
def test_the_lowest_frames_of_a_cost_are_the_fewest_that_have_it(
    values: list[float], cuts: list[int], cost: float
) -> None:
    curve = Curve(7, tuple(values))
    some = frames(*((start, stop) for start, stop in zip(sorted(cuts)[::2], sorted(cuts)[1::2], strict=False)))
    count = curve.count(some, cost)
    assert 1 <= count <= len(some)
    assert count == len(some) or curve.of(some.first(count)) >= cost - 1e-6
    assert count == 1 or curve.of(some.first(count - 1)) < cost + 1e-6


def test_a_curve_through_measurements_has_an_average_of_one_and_takes_it_in_gaps() -> None:
    curve = costs.curve([(FrameRange(0, 10), 40.0), (FrameRange(20, 30), 120.0)], FrameRange(0, 30))
    assert curve.of(frames((0, 10))) == pytest.approx(5)
    assert curve.of(frames((10, 20))) == pytest.approx(10)
    assert curve.of(frames((20, 30))) == pytest.approx(15)
    assert costs.curve([], FrameRange(0, 30)) == FLAT


def test_a_curve_without_sense_is_refused() -> None:
    for values in ((0.0,), (-1.0,), (float("nan"),), (float("inf"),)):
        with pytest.raises(ValueError, match="must be positive"):
            Curve(1, values)


def delivered(host: str, start: int, stop: int, took_ms: int) -> events.Record:
    files = tuple(FrameFile(index, 1, "00" * 32, took_ms) for index in range(start, stop))
    return events.Record("", 0.0, events.FramesVerified(chunk="c0001", host=host, frames=files))


def test_what_a_run_measured_is_what_the_next_one_expects(tmp_path: Path) -> None:
    file = tmp_path / "costs" / "x.json"
    memory.write(file, [delivered("a", 0, 60, 50), delivered("a", 60, 120, 150)], {"a": 8.0}, Memory())
    known = memory.read(file, FrameRange(0, 120))
    assert known.speeds == {"a": 8.0}
    assert known.curve.of(frames((0, 60))) == pytest.approx(30)
    memory.write(file, [delivered("a", 0, 60, 50)], {"a": 4.0, "b": 2.0}, known)
    assert memory.read(file, FrameRange(0, 120)).speeds == {"a": 6.0, "b": 2.0}


def test_a_slow_host_does_not_make_its_frames_dear_where_another_captured_some_of_them() -> None:
    shared = [delivered("slow", 0, 10, 200), delivered("fast", 0, 10, 50)]
    measured = memory.measured([*shared, delivered("slow", 10, 20, 200), delivered("fast", 20, 30, 50)])
    assert [round(ms) for _, _, ms in measured] == [100, 100, 100]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"v": 2}', '{"v": 1, "costs": [[0, 0, 1]], "speeds": {}}', '{"v": 1, "costs": 3, "speeds": {}}'],
)
def test_a_damaged_memory_is_no_memory(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    assert memory.read(tmp_path / "x.json", FrameRange(0, 10)) == Memory()
    assert memory.read(tmp_path / "none.json", FrameRange(0, 10)) == Memory()


def test_speeds_of_another_season_and_impossible_ones_are_forgotten(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    memory.write(file, [], {"a": 8.0, "b": 7.0}, Memory())
    plain = json.loads(file.read_text())
    plain["speeds"] |= {"a": [8.0, 1000.0], "c": [0.0, plain["speeds"]["b"][1]]}
    file.write_text(json.dumps(plain))
    assert memory.read(file, FrameRange(0, 10)).speeds == {"b": 7.0}


def test_a_host_is_useful_as_long_as_it_would_be_missed() -> None:
    assert usefulness.useful(30, [10.0] * 3) == 3
    assert usefulness.useful(30, [10.0] * 100) < 10
    assert usefulness.useful(100_000, [10.0] * 100) >= 97
    assert usefulness.useful(1000, [10.0, 0.001]) == 1
    assert usefulness.useful(0, [10.0, 10.0]) == 1
    assert usefulness.useful(10, []) == 0


def test_hosts_that_keep_what_their_cores_promise_are_no_surprise() -> None:
    kept = [Pace(capacity=cores, frames_per_s=5 * cores) for cores in (1, 2, 8)]
    assert pace.surprise(kept) == 1
    assert pace.surprise([*kept, Pace(capacity=1, frames_per_s=60)]) > 6
    assert pace.surprise(kept[:2]) == pace.SURPRISE_GUESS


def test_a_host_is_left_out_only_when_even_a_surprise_would_not_make_it_useful() -> None:
    assert usefulness.useful(1000, [0.01], used=10.0) == 0
    assert usefulness.useful(1000, [0.01], used=10.0, surprise=100.0) == 1
    assert usefulness.useful(1000, [5.0] * 3, used=10.0) == 3


def test_more_average_hosts_take_less_time_and_fewer_take_more() -> None:
    now_s = usefulness.with_more(900, [10.0, 20.0], 0)
    assert now_s == usefulness.wall_s(900, [10.0, 20.0]) == usefulness.START_S + 30
    assert usefulness.with_more(900, [10.0, 20.0], 2) == usefulness.START_S + 15
    assert usefulness.with_more(900, [10.0, 20.0], -9) == usefulness.START_S + 60


def test_time_on_disk_is_no_part_of_what_makes_frames_equal() -> None:
    file = FrameFile(0, 1, "00" * 32, 40)
    assert file == dataclasses.replace(file, took_ms=80)
