"""Sets of frames as few ranges: a day of video is one pair of integers, not two million. Pure: no I/O."""

import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from capture.protocol import FrameRange


@dataclass(frozen=True, slots=True)
class FrameSet:
    """Frames as ascending ranges that neither overlap nor touch; build it with `of`."""

    ranges: tuple[FrameRange, ...] = ()

    def __len__(self) -> int:
        return sum(map(len, self.ranges))

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def __iter__(self) -> Iterator[int]:
        return (frame for part in self.ranges for frame in part)

    def __contains__(self, frame: object) -> bool:
        if not isinstance(frame, int):
            return False
        at = bisect.bisect_right(self.ranges, frame, key=lambda part: part.start) - 1
        return at >= 0 and frame in self.ranges[at]

    def __or__(self, other: "FrameSet") -> "FrameSet":
        first, last = self._around(other)
        near = of(self.ranges[first:last] + other.ranges)
        return FrameSet(self.ranges[:first] + near.ranges + self.ranges[last:])

    def __sub__(self, other: "FrameSet") -> "FrameSet":
        first, last = self._around(other)
        if first == last:
            return self
        between = self.ranges[first:last]
        start, stop = other._around(FrameSet(between))
        near = tuple(_minus(between, other.ranges[start:stop]))
        return FrameSet(self.ranges[:first] + near + self.ranges[last:])

    def __and__(self, other: "FrameSet") -> "FrameSet":
        first, last = self._around(other)
        near = FrameSet(self.ranges[first:last])
        return near - (near - other)

    def __str__(self) -> str:
        return ",".join(map(str, self.ranges)) or "none"

    def touches(self, part: FrameRange) -> bool:
        """Whether any frame of `part` is here."""
        at = bisect.bisect_right(self.ranges, part.start, key=lambda own: own.stop)
        return at < len(self.ranges) and self.ranges[at].start < part.stop

    def _around(self, other: "FrameSet") -> tuple[int, int]:
        """Where our ranges begin and end that may touch `other`, which is mostly small beside us."""
        if not other.ranges:
            return 0, 0
        first = bisect.bisect_left(self.ranges, other.ranges[0].start, key=lambda part: part.stop)
        return first, bisect.bisect_right(self.ranges, other.ranges[-1].stop, key=lambda part: part.start)

    @property
    def span(self) -> FrameRange:
        """The smallest range that holds every frame; the set must not be empty."""
        return FrameRange(self.ranges[0].start, self.ranges[-1].stop)

    def first(self, count: int) -> "FrameSet":
        """The lowest `count` frames, or all when there are fewer."""
        taken: list[FrameRange] = []
        for part in self.ranges:
            if count <= 0:
                break
            taken.append(FrameRange(part.start, min(part.stop, part.start + count)))
            count -= len(part)
        return FrameSet(tuple(taken))


def of(ranges: Iterable[FrameRange]) -> FrameSet:
    """The frames that are in any of `ranges`, which may overlap and come in any order."""
    merged: list[FrameRange] = []
    for part in sorted(ranges):
        if merged and part.start <= merged[-1].stop:
            merged[-1] = FrameRange(merged[-1].start, max(merged[-1].stop, part.stop))
        else:
            merged.append(part)
    return FrameSet(tuple(merged))


def _minus(ranges: tuple[FrameRange, ...], holes: tuple[FrameRange, ...]) -> Iterator[FrameRange]:
    at = 0
    for part in ranges:
        start = part.start
        while at < len(holes) and holes[at].stop <= start:
            at += 1
        hole = at
        while hole < len(holes) and holes[hole].start < part.stop:
            if start < holes[hole].start:
                yield FrameRange(start, holes[hole].start)
            start = holes[hole].stop
            hole += 1
        if start < part.stop:
            yield FrameRange(start, part.stop)
