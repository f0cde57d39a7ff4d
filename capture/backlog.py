"""The frames of a chunk that no worker has taken, front to back, and how many are taken at once. Pure: no I/O."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from capture import blocks, protocol
from capture.protocol import FrameRange

# A worker takes at most so long a block, once frames were seen to be slow: the end of a chunk waits for no longer.
BLOCK_S = 1.0
# As long as a block of the lightest page that moves; where a still scene ends within it, up to four times that.
QUICK_BLOCK_S = 0.25
QUICK_BLOCK_FRAMES = 4 * blocks.BLOCK_FRAMES


class Backlog:
    """A queue of blocks; `len` is how many."""

    def __init__(self, *, is_sequential: bool) -> None:
        self._is_sequential = is_sequential
        self._queue: deque[FrameRange] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    def fill(self, frames: tuple[FrameRange, ...], workers: int) -> None:
        """Puts frames at the end, for so many workers to share."""
        self._queue.extend(self._split(frames, workers))

    def put_back(self, frames: Iterable[int]) -> None:
        """Puts frames in front: they hold up the encoder of everything behind them."""
        self._queue.extendleft(reversed(self._split(protocol.ranges_of(frames), 1)))

    def trim(self, stop: int) -> None:
        """Drops the frames at or after `stop`."""
        self._queue = deque(before(self._queue, stop))

    def take(self, workers: int, frames_within: Callable[[float], int]) -> FrameRange:
        """The next block; `frames_within` says how many frames a worker captures in so many seconds.

        Where frames take long, a short one: what is taken cannot be left to others any more. Where they take next to
        nothing, for most are repeats, a long one: the last of a block is captured in any case. Never more than one
        worker's share of what is left, so that all of them end at about the same time.
        """
        block = self._queue.popleft()
        if self._is_sequential:
            return block
        left = len(block) + sum(map(len, self._queue))
        count = min(frames_within(BLOCK_S), math.ceil(left / workers))
        if len(block) > count:
            self._queue.appendleft(FrameRange(block.start + count, block.stop))
            return FrameRange(block.start, block.start + count)
        limit = min(frames_within(QUICK_BLOCK_S), QUICK_BLOCK_FRAMES, left // workers)
        while self._queue and self._queue[0].start == block.stop and len(block) + len(self._queue[0]) <= limit:
            block = FrameRange(block.start, self._queue.popleft().stop)
        return block

    def _split(self, frames: tuple[FrameRange, ...], workers: int) -> tuple[FrameRange, ...]:
        """Small blocks; of a sequential composition one part for each worker, for in whichever blocks it is shared out,
        each worker steps through all frames before its last one, and only the parts let the others end sooner.
        """
        if not self._is_sequential:
            return blocks.split(frames, workers=workers)
        return blocks.split(frames, workers=workers, block_frames=max(1, sum(map(len, frames))))


def before(ranges: Iterable[FrameRange], stop: int) -> Iterator[FrameRange]:
    """`ranges` without what is at or after `stop`."""
    return (FrameRange(part.start, min(part.stop, stop)) for part in ranges if part.start < stop)
