"""Which frames one worker takes at a time, and how file numbers become frames again. Pure: no I/O.

A file is numbered by absolute frame - chunk start, in the first capture and in every retry.
"""

import math
from collections.abc import Iterable, Iterator

from capture.protocol import Block, FrameRange, ranges_of

# A worker idles at most seven frames behind the slowest one, and the message for a block (below 1 ms) stays invisible
# beside eight captures (250 ms on the lightest page).
BLOCK_FRAMES = 8


def split(todo: tuple[FrameRange, ...], *, workers: int, block_frames: int = BLOCK_FRAMES) -> tuple[FrameRange, ...]:
    """`todo` in small consecutive ranges, front to back; smaller still when `workers` would otherwise go without."""
    if not (type(workers) is type(block_frames) is int):
        raise TypeError(f"workers and block size must be integers: {workers!r}, {block_frames!r}")
    if workers < 1 or block_frames < 1:
        raise ValueError(f"workers and block size must be positive: {workers}, {block_frames}")
    total = sum(len(part) for part in todo)
    size = min(block_frames, max(1, math.ceil(total / workers)))
    return tuple(block for part in sorted(todo) for block in _cut(part, size))


def distribute(
    chunk: FrameRange,
    todo: tuple[FrameRange, ...],
    *,
    workers: int,
    directory: str,
    block_frames: int = BLOCK_FRAMES,
) -> tuple[Block, ...]:
    """The queue that the workers of `chunk` share: absolute frames, with the offset that makes their file numbers."""
    if not all(chunk.covers(part) for part in todo):
        raise ValueError(f"todo {todo} is not inside chunk {chunk}")
    ranges = split(todo, workers=workers, block_frames=block_frames)
    return tuple(Block(frames=frames, offset=chunk.start, directory=directory) for frames in ranges)


def absolute(local_indices: Iterable[int], chunk: FrameRange) -> tuple[FrameRange, ...]:
    """The frames of `chunk` whose files are numbered `local_indices`, in the fewest ranges."""
    ranges = ranges_of(chunk.start + index for index in local_indices)
    if not all(chunk.covers(part) for part in ranges):
        raise ValueError(f"file numbers outside chunk {chunk}: {ranges}")
    return ranges


def _cut(frames: FrameRange, size: int) -> Iterator[FrameRange]:
    for start in range(frames.start, frames.stop, size):
        yield FrameRange(start, min(start + size, frames.stop))
