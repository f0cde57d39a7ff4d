"""Verified frames in, encoded segments out, while capture goes on elsewhere.

Knows where each frame's file is; does not know hosts, and does not build encoder commands.
"""

import asyncio
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
        self._complete: asyncio.Queue[int] = asyncio.Queue()

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

    async def run(self) -> tuple[Path, ...]:
        """Encodes until every segment of the plan is done; the files in the order of the plan.

        Once the run is asked to halt, no segment is begun any more: whoever asked has it fail.
        """
        slots = asyncio.Semaphore(ENCODERS)
        async with asyncio.TaskGroup() as group:
            for _ in self._plan.segments:
                index = await self._complete.get()
                await slots.acquire()
                if self._halt.is_asked:
                    break
                group.create_task(self._encode(index, slots))
        return tuple(self._target(index) for index in range(len(self._plan.segments)))

    async def _encode(self, index: int, slots: asyncio.Semaphore) -> None:
        try:
            segment = self._plan.segments[index]
            target = self._target(index)
            if not target.exists():  # a resumed run keeps what it had: a segment appears by rename, so it is whole
                await encode.run(self._plan, segment, [self._files[frame] for frame in segment], target)
            self._emit(events.SegmentEncoded(index, segment))
        finally:
            slots.release()

    def _target(self, index: int) -> Path:
        return self._directory.segments / f"segment_{index:05d}{FORMATS[self._plan.format].segment_suffix}"
