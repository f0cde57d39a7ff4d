"""Whether more workers capture more than fewer: both in turns, each compared with the turns beside it. Pure.

Time is an argument. By Little's law, frames per second are busy workers over the mean time of a frame, so that frames
that straddle the ends of a turn need not be counted by halves.
"""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field

# A turn has a block's frames of each worker, or twice that of one alone, and lasts long enough for a host's hiccups.
TURN_FRAMES = 8
TURN_FRAMES_MIN = 16
TURN_S = 0.75
# Where frames of as many workers come to differ so much, another scene has begun, and nothing is told of workers.
DRIFT_MAX = 1.4
# Nor where more workers gain that much more than their number, or lose so much.
GAIN_BEYOND = 0.15
LOSS_MAX = 0.35
# One comparison is enough when it is that far from the bar; two when they agree; else the median of so many.
CLEAR_MARGIN = 0.2
AGREEMENT = 0.15
GAINS_MAX = 4
TURNS_MAX = 2 * 8 + 1
TURNS_MAX_FEWER = 2 * 3 + 1  # each of them costs, where all workers are needed
# Slow frames that are so much slower than sharing the host explains stand for trouble.
SLOW_FACTOR = 1.5


@dataclass(slots=True)
class _Turn:
    """Frames that began and ended while exactly `workers` were busy."""

    workers: int
    since_s: float | None = None
    times_s: list[float] = field(default_factory=list)

    def wrote(self, took_s: float, *, busy: int, now_s: float) -> bool:
        """A frame is finished; whether the turn is, too."""
        if busy != self.workers:
            self.since_s = None
        elif self.since_s is None:
            self.since_s = now_s
            self.times_s.clear()
        elif now_s - took_s >= self.since_s:
            self.times_s.append(took_s)
            return now_s - self.since_s >= TURN_S and len(self.times_s) >= frames(self.workers)
        return False

    @property
    def frame_s(self) -> float:
        """Seconds a frame, of all workers together."""
        return _mean(self.times_s) / self.workers

    @property
    def is_even(self) -> bool:
        """Whether its frames cost about the same from beginning to end."""
        half = len(self.times_s) // 2
        return _are_alike(_mean(self.times_s[:half]), _mean(self.times_s[half:]))


class Trial:
    """`base` workers against `other`; is over when `gain` says by how much the larger number is faster."""

    def __init__(self, base: int, other: int, *, bar: float, until_s: float) -> None:
        """`bar` is the gain that matters: the nearer to it, the longer the trial, but no longer than `until_s`."""
        self.base = base
        self.other = other
        self.bar = bar
        self.is_over = False
        self.is_vain = False  # scenes changed all the time
        self.gain = 0.0  # 0.1 is 10 % more frames per second
        self._until_s = until_s
        self._turns: list[_Turn] = []
        # Browsers that have just been started draw their first frames more than once: that turn is for nothing.
        self._warm_up = _Turn(other) if other > base else None
        self._turn = _Turn(base)

    @property
    def is_upwards(self) -> bool:
        """Whether it is the larger number that is new."""
        return self.other > self.base

    @property
    def active(self) -> int:
        """How many workers may be busy now."""
        return (self._warm_up or self._turn).workers

    @property
    def has_slow_frames(self) -> bool:
        """Whether the slow frames of more workers are slower than it takes to share the host with them."""
        few, many = (self._all_times(workers) for workers in sorted((self.base, self.other)))
        sharing = max(self.base, self.other) / min(self.base, self.other)
        return bool(few and many) and p95(many) > SLOW_FACTOR * sharing * p95(few)

    def wrote(self, took_s: float, *, busy: int, is_new: bool, now_s: float) -> None:
        """A frame is finished, while `busy` workers were at work.

        Only those count that show something new: how cheap repeats are says nothing of workers.
        """
        if now_s >= self._until_s:
            self._end()
            return
        turn = self._warm_up or self._turn
        if not is_new or not turn.wrote(took_s, busy=busy, now_s=now_s):
            return
        if self._warm_up is not None:
            self._warm_up = None
            return
        self._turns.append(turn)
        self._turn = _Turn(self.other if turn.workers == self.base else self.base)
        if turn.workers == self.base:
            self._judge()

    def words(self) -> str:
        """The result as a clause."""
        more, fewer = max(self.base, self.other), min(self.base, self.other)
        if self.is_vain:
            return f"frames changed too much to tell whether {more} are faster"
        tail = ", and slow frames take much longer" if self.has_slow_frames else ""
        if round(self.gain, 2) == 0:
            return f"{more} are as fast as {fewer}{tail}"
        return f"{more} are {abs(self.gain):.0%} {'faster' if self.gain > 0 else 'slower'} than {fewer}{tail}"

    def _judge(self) -> None:
        gains = list(self._gains())
        if gains:
            self.gain = statistics.median(gains)
        is_clear = len(gains) == 1 and abs(gains[0] - self.bar) > CLEAR_MARGIN
        most = TURNS_MAX if self.is_upwards else TURNS_MAX_FEWER
        agree = len(gains) > 1 and len({gain > self.bar for gain in gains}) == 1 and max(gains) - min(gains) < AGREEMENT
        if is_clear or agree or len(gains) >= GAINS_MAX or len(self._turns) >= most:
            self._end()

    def _end(self) -> None:
        self.is_over = True
        self.is_vain = not any(True for _ in self._gains())

    def _gains(self) -> Iterator[float]:
        """Of the larger number, from each turn of `other` and the two turns beside it."""
        most = max(self.base, self.other) / min(self.base, self.other) - 1 + GAIN_BEYOND
        for before, turn, after in zip(self._turns[::2], self._turns[1::2], self._turns[2::2], strict=False):
            if before.is_even and turn.is_even and after.is_even and _are_alike(before.frame_s, after.frame_s):
                ratio = (before.frame_s + after.frame_s) / 2 / turn.frame_s
                gain = (ratio if self.is_upwards else 1 / ratio) - 1
                if -LOSS_MAX <= gain <= most:
                    yield gain

    def _all_times(self, workers: int) -> list[float]:
        return [time_s for turn in self._turns if turn.workers == workers for time_s in turn.times_s]


def frames(workers: int) -> int:
    """How many frames a turn of so many workers has at least."""
    return max(TURN_FRAMES_MIN, TURN_FRAMES * workers)


def p95(times_s: list[float]) -> float:
    """The time that one of twenty frames takes longer than; 0 of none."""
    return sorted(times_s)[int(0.95 * len(times_s))] if times_s else 0.0


def _mean(times_s: list[float]) -> float:
    return max(statistics.fmean(times_s), 1e-9)


def _are_alike(one_s: float, other_s: float) -> bool:
    return max(one_s, other_s) <= DRIFT_MAX * min(one_s, other_s)
