"""Verified frames in, encoded segments out, while capture goes on elsewhere.

Knows where each frame's file is; does not know hosts, and does not build encoder commands.
"""

import asyncio
import itertools
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from capture import protocol
from capture.protocol import FrameRange
from fleet import encode, events
from fleet.formats import FORMATS
from fleet.halt import Halt
from fleet.model import Plan
from fleet.rundir import RunDirectory

# One encoder per two cores: x264 keeps its pinned threads busy, and on one machine capture needs the rest.
ENCODERS = max(1, (os.cpu_count() or 1) // 2)


class Pipeline:
    """Encodes each segment of the plan's grid as soon as its last frame is here."""

    def __init__(
        self, plan: Plan, directory: RunDirectory, emit: Callable[[events.Event], None], halt: Halt | None = None
    ) -> None:
        self._plan = plan
        self._directory = directory
        self._emit = emit
        self._halt = halt or Halt()
        self._files: dict[int, Path] = {}
        self._lacking = [set(segment) for segment in plan.segments]
        self._segment_of = {frame: index for index, segment in enumerate(plan.segments) for frame in segment}
        self._complete: asyncio.Queue[int | None] = asyncio.Queue()
        self._encoding: dict[int, asyncio.Task[None]] = {}
        self._stale: set[int] = set()  # segments that hold, or are getting, frames which were retracted
        self._told: set[int] = set()

    def add_verified(self, event: events.FramesVerified, frames: FrameRange) -> None:
        """Takes in the event that frames of the chunk `frames` are here."""
        self.add(event.chunk, frames, (frame.index for frame in event.frames))

    def add(self, chunk: str, frames: FrameRange, verified: Iterable[int]) -> None:
        """Tells that `verified` frames of `chunk`, which captures `frames`, are in the run's directory."""
        for frame in verified:
            if frame in self._files:
                continue
            name = protocol.frame_name(frame - frames.start, self._plan.image)
            self._files[frame] = self._directory.chunks / chunk / name
            index = self._segment_of[frame]
            self._lacking[index].discard(frame)
            if not self._lacking[index]:
                self._complete.put_nowait(index)

    def retract(self, event: events.FramesRetracted) -> None:
        """These frames are to come once more, from elsewhere: what was encoded of them is encoded again."""
        for frame in itertools.chain.from_iterable(event.frames):
            if self._files.pop(frame, None) is not None:
                index = self._segment_of[frame]
                self._lacking[index].add(frame)
                self._stale.add(index)
                self._target(index).unlink(missing_ok=True)

    def close(self) -> None:
        """Every frame is here, and none will be retracted: `run` ends with the last segment."""
        self._complete.put_nowait(None)

    async def run(self) -> tuple[Path, ...]:
        """Encodes until `close` was called and every segment is done; the files in the order of the plan.

        Once the run is asked to halt, no segment is begun any more: whoever asked has it fail.
        """
        slots = asyncio.Semaphore(ENCODERS)
        for segment, lacking in enumerate(self._lacking):
            if lacking:  # of an earlier run: what it held was retracted, or is gone
                self._target(segment).unlink(missing_ok=True)
        async with asyncio.TaskGroup() as group:
            while (index := await self._complete.get()) is not None:
                await slots.acquire()
                if self._halt.is_asked:
                    break
                before = self._encoding.get(index)
                self._encoding[index] = group.create_task(self._encode(index, slots, before))
        return tuple(self._target(index) for index in range(len(self._plan.segments)))

    async def _encode(self, index: int, slots: asyncio.Semaphore, before: asyncio.Task[None] | None) -> None:
        """Encodes a segment, after `before`: the time when some of its frames were others."""
        try:
            if before is not None:
                await before
            if self._lacking[index]:
                return
            segment = self._plan.segments[index]
            target = self._target(index)
            self._stale.discard(index)
            if not target.exists():  # a resumed run keeps what it had: a segment appears by rename, so it is whole
                await encode.run(self._plan, segment, [self._files[frame] for frame in segment], target)
            if index in self._stale:
                target.unlink(missing_ok=True)
            elif index not in self._told:
                self._told.add(index)
                self._emit(events.SegmentEncoded(index, segment))
        finally:
            slots.release()

    def _target(self, index: int) -> Path:
        return self._directory.segments / f"segment_{index:05d}{FORMATS[self._plan.format].segment_suffix}"
