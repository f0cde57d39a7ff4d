"""How many workers capture fastest here: hill climbing on measured frames per second. Pure; time is an argument.

It sets out from what `pool.py` reckons, and lasts as long as the agent. Each step is a trial of `turns.py`: more and
fewer workers in turns, for costs change along a composition. Whoever pauses in a turn keeps its browser and page.
"""

import math
import statistics
from collections import deque
from dataclasses import dataclass

from capture import turns
from capture.turns import TURN_S, Trial

# A step that gains more is followed by another one.
GAIN_MORE = 0.10
# A step that gains less is taken back; in between, it is kept and the last one.
GAIN_KEPT = 0.05
# Workers from before are given up only where they gain next to nothing.
GAIN_NONE = 0.02
# One worker more among twenty gains 5 % at best, which no trial could see: a step is a quarter of them.
STEP_SHARE = 4
# All trials together may cost as much as this part of all work, that on frames still to be captured included.
COST_MAX = 0.02
# Starting a browser and a page costs about as much as so many frames; used until a start has been timed.
START_FRAMES = 15.0
START_S_MAX = 10.0  # in which even a cold host starts one
# As many turns as a trial takes mostly; as long again is to be left, to profit from what they tell.
TRIAL_TURNS = 5
# Slow frames that became so much slower may have too many workers beside them; the next trial is one of fewer.
P95_RISE = 1.5
# The host is short of memory when it says so twice in a row; what one worker less then does is awaited.
SHORT_LOOKS = 2
RELIEF_S = 10.0


@dataclass(frozen=True, slots=True)
class Change:
    """A number of workers that was decided on, and why, as a clause for people. `before` may have been a trial's."""

    before: int
    workers: int
    why: str


class Climb:
    """`workers` are to be employed, `active` of them may be busy at once; both hold from block to block."""

    def __init__(self) -> None:
        self.workers = 1
        self.active = 1
        self.learnt: int | None = None  # what trials, or short memory, have led to
        self._is_free = False
        self._most = 1
        self._trial: Trial | None = None
        self._news: deque[Change] = deque()
        self._captured = 0  # since the agent began
        self._worked_s = 0.0  # by all workers on these frames
        self._spent_s = 0.0  # by all workers on trials
        self._start_s: float | None = None  # of a browser with its page
        self._fresh_frames = 0  # to come at the start of a chunk, among them those that pages draw more than once
        self._times_s: list[float] = []  # of frames since the last look at them
        self._p95_s: float | None = None
        self._is_upwards = True
        self._has_risen = False
        self._due: float = 0  # frames captured before the next trial
        self._room = 0  # workers that memory has room for
        self._short_looks = 0
        self._relieved_s: float | None = None

    def begin(self, workers: int, *, most: int, is_free: bool) -> None:
        """A chunk begins with `workers`; unless that `is_free` to change, up to `most`, only failures change it."""
        self.workers = self.active = workers
        self._most = most
        self._is_free = is_free
        self._trial = None
        self._times_s.clear()
        self._fresh_frames = turns.TURN_FRAMES * workers

    def share(self) -> None:
        """Encoders that have the same cores are waited for: frames are not captured sooner by taking more of these."""
        self.workers = self.active = self._most = self._untried() or self.workers
        self._trial = None
        self._due = math.inf  # rising p95 still calls for fewer

    def halve(self) -> None:
        """Workers fail: half as many, or those of before a trial, for the rest of the chunk."""
        workers = self._untried() or max(1, self.workers // 2)
        self.begin(workers, most=workers, is_free=False)

    def take_news(self) -> Change | None:
        """What was decided since the last call."""
        return self._news.popleft() if self._news else None

    def started(self, took_s: float) -> None:
        """A worker has got ready, this long after it was hired."""
        self._start_s = min(took_s, START_S_MAX)

    def wrote(self, took_s: float, *, busy: int, left: int, is_new: bool, now_s: float) -> None:
        """A frame is finished, while `busy` workers were at work; `left` of the chunk are not.

        One that is not `is_new` shows what the one before it did, and may have cost next to nothing.
        """
        self._captured += 1
        self._worked_s += took_s
        if not self._is_free:
            return
        if self._trial is not None:
            self._trial.wrote(took_s, busy=busy, is_new=is_new, now_s=now_s)
            self.active = self._trial.active
            if self._trial.is_over:
                self._conclude(self._trial)
        elif self._fresh_frames > 0:
            self._fresh_frames -= 1
        elif is_new:
            self._times_s.append(took_s)
            if len(self._times_s) >= 2 * turns.frames(self.workers):
                self._look(left, now_s)
                self._times_s.clear()

    def saw_memory(self, room: int, *, is_short: bool, now_s: float) -> None:
        """Memory has room for so many more workers now, or `is_short` for those that run; call about once a second."""
        self._room = room
        self._short_looks = self._short_looks + 1 if is_short else 0
        is_relieved = self._relieved_s is not None and now_s - self._relieved_s < RELIEF_S
        if not self._is_free or self._short_looks < SHORT_LOOKS or is_relieved:
            return
        before = self.workers
        fewer = self._untried() or max(1, before - 1)
        self._trial = None
        self._most = fewer
        self._relieved_s = now_s
        if fewer < before:
            self._settle(before, fewer, "memory is short")

    def _look(self, left: int, now_s: float) -> None:
        """At rest: begins a trial where one is due and pays."""
        slow_s = turns.p95(self._times_s)
        if self._p95_s is not None and slow_s > P95_RISE * self._p95_s:
            self._is_upwards, self._due = False, self._captured
        self._p95_s = max(slow_s, self._p95_s or 0.0)
        if self._captured < self._due:
            return
        if self._is_upwards and not self._may_rise():
            self._is_upwards = False
        if not self._is_upwards and self.workers == 1:
            self._rest()
            return
        step = self._step()
        other = min(self._most, self.workers + step) if self._is_upwards else self.workers - step
        mean_s = self._worked_s / self._captured
        cost_s = self._cost_s(other)
        is_cheap = self._spent_s + cost_s <= COST_MAX * mean_s * (self._captured + left)
        trial_s = TRIAL_TURNS * self._turn_s()
        if is_cheap and left * mean_s >= 2 * trial_s * self.workers:
            self._spent_s += cost_s
            bar, start_s = (GAIN_KEPT, START_S_MAX) if self._is_upwards else (GAIN_NONE, 0.0)
            self._trial = Trial(self.workers, other, bar=bar, until_s=now_s + start_s + 3 * trial_s)
            self.workers, self.active = max(self.workers, other), self._trial.active

    def _untried(self) -> int | None:
        """The number of workers before more are tried, while that is so."""
        return self._trial.base if self._trial is not None and self._trial.is_upwards else None

    def _may_rise(self) -> bool:
        return self.workers < self._most and self._room >= self._step()

    def _step(self) -> int:
        return max(1, self.workers // STEP_SHARE)

    def _turn_s(self) -> float:
        return max(TURN_S, statistics.fmean(self._times_s) * turns.frames(self.workers) / self.workers)

    def _cost_s(self, other: int) -> float:
        """What a trial costs about, in seconds of a worker: some browser is started, or some workers pause."""
        if other < self.workers:
            return 2 * self._turn_s() * (self.workers - other)
        start_s = START_FRAMES * statistics.fmean(self._times_s) if self._start_s is None else self._start_s
        return (other - self.workers) * start_s

    def _conclude(self, trial: Trial) -> None:
        self._trial = None
        self._times_s.clear()
        self._p95_s = None
        gain, base, other = trial.gain, trial.base, trial.other
        is_worth = gain >= trial.bar and (gain > GAIN_MORE or not trial.has_slow_frames)
        why = trial.words()
        if trial.is_upwards and is_worth and not trial.is_vain:
            self._has_risen = True
            self._settle(base, other, why)
            if gain <= GAIN_MORE:
                self._rest()
        elif trial.is_upwards:
            self._settle(other, base, why)
            self._is_upwards = False
            if self._has_risen:
                self._rest()
        elif is_worth or trial.is_vain:
            self._keep(base)
            self._rest()
        else:
            self._settle(base, other, why)

    def _settle(self, before: int, workers: int, why: str) -> None:
        self._keep(workers)
        self._news.append(Change(before, workers, why))

    def _keep(self, workers: int) -> None:
        self.workers = self.active = self.learnt = workers

    def _rest(self) -> None:
        """Nothing around is better. Hosts and costs change: it is tried again after as many frames as there were."""
        self._is_upwards, self._has_risen = True, False
        self._due = 2 * self._captured


def fixed(workers: int) -> Climb:
    """One that only failures change."""
    climb = Climb()
    climb.begin(workers, most=workers, is_free=False)
    return climb
