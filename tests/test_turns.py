"""A trial of one step, frame by frame: what it tells of workers, and what it does not mistake for them."""

from collections.abc import Callable

import pytest

from capture.turns import Trial

# Seconds of a frame: of so many busy workers, the n-th of the trial.
Time = Callable[[int, int], float]
FRAMES_MAX = 5000


def play(base: int, other: int, time: Time, *, until_s: float = 1e9, repeats: bool = False) -> Trial:
    """A trial that ran to its end, on a host whose workers are always busy."""
    trial = Trial(base, other, bar=0.05, until_s=until_s)
    now_s = 0.0
    for frame in range(FRAMES_MAX):
        busy = trial.active
        now_s += time(busy, frame) / busy
        trial.wrote(time(busy, frame), busy=busy, is_new=not repeats, now_s=now_s)
        if trial.is_over:
            return trial
    raise AssertionError("the trial never ends")


def test_workers_that_do_not_slow_each_other_down_gain_their_number() -> None:
    trial = play(2, 3, lambda _busy, _frame: 0.1)
    assert (round(trial.gain, 6), trial.is_vain, trial.words()) == (0.5, False, "3 are 50% faster than 2")


def test_workers_that_share_what_there_is_gain_nothing() -> None:
    trial = play(2, 3, lambda busy, _: 0.1 * busy)
    assert (round(trial.gain, 6), trial.has_slow_frames, trial.words()) == (0.0, False, "3 are as fast as 2")


def test_fewer_workers_are_told_by_what_more_of_them_gain() -> None:
    trial = play(4, 3, lambda busy, _: 0.1 * busy**1.5)
    assert (trial.is_upwards, trial.words()) == (False, "4 are 13% slower than 3")


@pytest.mark.parametrize("factor", [1 / 6, 1 / 3, 1 / 2, 2, 3, 6])
@pytest.mark.parametrize("changes_at", range(0, 150, 7))
def test_another_scene_is_no_gain(changes_at: int, factor: float) -> None:
    trial = play(2, 3, lambda busy, frame: 0.05 * busy * (factor if frame >= changes_at else 1.0))
    assert trial.is_vain or abs(trial.gain) < 0.15
    assert not trial.has_slow_frames


@pytest.mark.parametrize("period", [20, 40, 90, 200])
def test_where_scenes_change_all_the_time_nothing_is_believed(period: int) -> None:
    trial = play(2, 3, lambda busy, frame: 0.05 * busy * (1, 4, 2, 8)[frame // period % 4])
    assert trial.is_vain or abs(trial.gain) < 0.15


def test_slow_frames_that_come_with_more_workers_are_seen() -> None:
    trial = play(2, 3, lambda busy, frame: 0.1 * (1 if busy == 2 or frame % 10 else 6))
    assert trial.has_slow_frames
    assert trial.words().endswith(", and slow frames take much longer")


def test_a_scene_that_stands_still_ends_a_trial_in_time() -> None:
    trial = play(4, 3, lambda _busy, _frame: 0.01, until_s=5.0, repeats=True)
    assert trial.is_vain
    assert trial.words() == "4 and 3 could not be compared fairly"


def test_frames_captured_while_a_worker_is_missing_do_not_count() -> None:
    trial = Trial(2, 3, bar=0.05, until_s=1e9)
    for frame in range(500):
        trial.wrote(0.1, busy=2, is_new=True, now_s=0.05 * frame)  # the third browser is still starting
    assert trial.active == 3
