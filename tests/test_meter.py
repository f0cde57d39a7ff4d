"""Every moment belongs to one stage at most, and every command to the stage that sends it."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.meter import Meter
from capture.protocol import Spent, Stage, Stages


class Clock:
    """Stands still unless it is told to go on."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_an_inner_stage_interrupts_the_outer_one_and_what_is_outside_of_all_is_not_counted(clock: Clock) -> None:
    meter = Meter(clock)
    meter.sent()
    clock.now_s = 1.0
    with meter.at(Stage.SEEK):
        meter.sent()
        clock.now_s += 0.010
        with meter.at(Stage.TRANSFER):
            clock.now_s += 0.002
        clock.now_s += 0.005
    clock.now_s += 5.0
    with suppress(ZeroDivisionError), meter.at(Stage.SCREENSHOT):
        meter.sent()
        clock.now_s += 0.040
        raise ZeroDivisionError
    clock.now_s += 5.0
    assert meter.take(3) == Stages(frames=3, seek=Spent(1, 15.0), transfer=Spent(0, 2.0), screenshot=Spent(1, 40.0))
    assert meter.take(0) == Stages()


def test_what_a_stage_took_until_now_is_taken_while_it_lasts(clock: Clock) -> None:
    meter = Meter(clock)
    with meter.at(Stage.WRITE):
        clock.now_s += 0.003
        assert meter.take(1).write == Spent(0, 3.0)
        clock.now_s += 0.001
    assert meter.take(1).write == Spent(0, 1.0)


@given(st.lists(st.tuples(st.sampled_from(Stage), st.integers(0, 100)), max_size=20))
def test_stages_add_up_to_the_time_that_passed_in_them(visits: list[tuple[Stage, int]]) -> None:
    clock = Clock()
    meter = Meter(clock)
    with meter.at(Stage.SEEK):
        for stage, ms in visits:
            with meter.at(stage):
                clock.now_s += ms / 1000
    stages = meter.take(1)
    total_ms = sum(getattr(stages, stage.value).ms for stage in Stage)
    assert total_ms == pytest.approx(sum(ms for _, ms in visits), abs=0.3)
