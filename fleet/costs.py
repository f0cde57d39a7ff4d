"""What each frame costs relative to the others: a curve over the composition, constant over pieces.

Pure: no I/O. A cost of 1 is the average frame; a host's speed is in such frames per second.
"""

import bisect
import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from capture.protocol import FrameRange
from fleet.frameset import FrameSet

# How the costs of frames are known.
ALIKE = "taken for alike"
REMEMBERED = "remembered"


@dataclass(frozen=True, slots=True)
class Curve:
    """Cost of every frame: `values[frame // step]`, and 1 beyond them; `source` says how it is known."""

    step: int = 1
    values: tuple[float, ...] = ()
    source: str = field(default=ALIKE, compare=False)
    _sums: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.step < 1 or not all(0 < value < math.inf for value in self.values):
            raise ValueError(f"costs must be positive, of at least one frame each: {self.step}, {self.values[:5]}")
        sums = itertools.accumulate((value * self.step for value in self.values), initial=0.0)
        object.__setattr__(self, "_sums", tuple(sums))

    def at(self, frame: int) -> float:
        """The cost of one frame."""
        piece = frame // self.step
        return self.values[piece] if piece < len(self.values) else 1.0

    def of(self, frames: FrameSet) -> float:
        """The cost of all of `frames`."""
        return sum(self._until(part.stop) - self._until(part.start) for part in frames.ranges)

    def count(self, frames: FrameSet, cost: float) -> int:
        """How many of the lowest `frames` cost about `cost`: at least one, at most all."""
        taken = 0
        for part in frames.ranges:
            until = self._until(part.start) + cost
            if until < self._until(part.stop):
                return max(1, taken + self._frame_at(until) - part.start)
            cost -= self._until(part.stop) - self._until(part.start)
            taken += len(part)
        return max(1, taken)

    def _until(self, frame: int) -> float:
        piece, rest = divmod(frame, self.step)
        if piece < len(self.values):
            return self._sums[piece] + rest * self.values[piece]
        return self._sums[-1] + frame - len(self.values) * self.step

    def _frame_at(self, cost: float) -> int:
        """The frame before which the frames from 0 cost `cost`, rounded up but for a rounding error."""
        if cost >= self._sums[-1]:
            return len(self.values) * self.step + math.ceil(cost - self._sums[-1] - 1e-9)
        piece = bisect.bisect_right(self._sums, cost) - 1
        return piece * self.step + math.ceil((cost - self._sums[piece]) / self.values[piece] - 1e-9)


FLAT = Curve()


def curve(costs: Iterable[tuple[FrameRange, float]], frames: FrameRange, *, source: str = REMEMBERED) -> Curve:
    """The curve through measured `costs` of a few ranges, scaled to an average of 1 over `frames`; gaps take it."""
    step = max(1, math.ceil(len(frames) / PIECES_MAX))
    sums = [0.0] * math.ceil(frames.stop / step)
    counts = [0] * len(sums)
    for part, cost in costs:
        for frame in range(max(part.start, frames.start), min(part.stop, frames.stop)):
            sums[frame // step] += cost
            counts[frame // step] += 1
    total, count = sum(sums), sum(counts)
    if not count or total <= 0:
        return FLAT
    mean = total / count
    return Curve(
        step,
        tuple(max(one / many / mean, COST_MIN) if many else 1.0 for one, many in zip(sums, counts, strict=True)),
        source,
    )


# A curve of a long film stays a few kilobytes.
PIECES_MAX = 600
# No frame is free: its picture is encoded, hashed, written and pulled.
COST_MIN = 0.05
