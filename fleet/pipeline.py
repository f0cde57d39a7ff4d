"""Verified frames in, encoded segments out, while capture goes on elsewhere.

Knows where each frame's file is, and deletes those of encoded segments when told to; does not know hosts, and does not
build encoder commands.
"""

import asyncio
import contextlib
import functools
import itertools
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from capture import protocol
from capture.protocol import FrameRange
from fleet import encode, events, frameset, ingest, returns, throttle
from fleet.frameset import FrameSet
from fleet.halt import Halt
from fleet.model import Plan
from fleet.rundir import RunDirectory

# One encoder per two cores: x264 keeps its pinned threads busy.
ENCODERS = max(1, (os.cpu_count() or 1) // 2)
# Where whole segments wait, the more of them are encoded at once the better cores are used.
ENCODERS_MAX = os.cpu_count() or 1


class Pipeline:
    """Encodes each segment of the plan's grid while its frames come."""

    def __init__(
        self,
        plan: Plan,
        directory: RunDirectory,
        emit: Callable[[events.Event], None],
        halt: Halt | None = None,
        *,
        keeps_stills: bool = False,
    ) -> None:
        """No segment is ever `settled` when it `keeps_stills`."""
        self._plan = plan
        self._directory = directory
        self._emit = emit
        self._halt = halt or Halt()
        self._keeps_stills = keeps_stills
        self._homes: dict[int, tuple[str, FrameRange]] = {}  # by frame, the chunk in whose directory its still is
        self._lacking = [set(segment) for segment in plan.segments]
        self._segment_of = {frame: index for index, segment in enumerate(plan.segments) for frame in segment}
        self._awaited: dict[int, asyncio.Future[Path]] = {}  # by frame: an encoder has all frames before it
        self._news = asyncio.Event()
        self._encoding: dict[int, asyncio.Task[None]] = {}
        self._fed: dict[int, int] = {}  # by segment, frames that its encoder has
        self._done: set[int] = set()
        self._told: set[int] = set()
        self._received: dict[int, str] = {}  # segments that a host encoded, and the chunk that they came with
        self._settled: dict[int, events.StillsDropped] = {}  # to be said before it is done
        self._is_closed = self._was_retracted = False
        self._came_frames = self._came_bytes = 0

    def add_verified(self, event: events.FramesVerified, frames: FrameRange) -> None:
        """Takes in the event that frames of the chunk `frames` are here, or a segment made of them."""
        self._came_frames += len(event.frames)
        self._came_bytes += sum(frame.size_bytes for frame in event.frames)
        if event.segment is None:
            self.add(event.chunk, frames, (frame.index for frame in event.frames))
        elif event.frames:
            self.receive(event.chunk, frames, event.segment.frames)

    def add(self, chunk: str, frames: FrameRange, verified: Iterable[int]) -> None:
        """Tells that `verified` frames of `chunk`, which captures `frames`, are in the run's directory."""
        home = (chunk, frames)
        for frame in verified:
            self._homes[frame] = home
            self._lacking[self._segment_of[frame]].discard(frame)
            awaited = self._awaited.pop(frame, None)
            if awaited is not None and not awaited.done():  # its encoder was cancelled
                awaited.set_result(self._still(frame))
        self._news.set()

    def receive(self, chunk: str, frames: FrameRange, segment: FrameRange) -> None:
        """Tells that a segment, encoded by the host of `chunk`, which captures `frames`, is in the run's directory."""
        index = self._segment_of[segment.start]
        fetched = self._directory.chunks / chunk / protocol.segment_name(segment.start - frames.start)
        if fetched.exists():
            fetched.replace(self._target(index))
        self._received[index] = chunk
        self._lacking[index].clear()
        self._finish(index)

    def retract(self, event: events.FramesRetracted) -> None:
        """These frames are to come once more, from elsewhere: what was encoded of them is encoded again."""
        self._was_retracted = True
        for frame in itertools.chain.from_iterable(event.frames):
            index = self._segment_of[frame]
            self._homes.pop(frame, None)
            if self._received.get(index, event.chunk) != event.chunk:
                continue  # in the segment it is as another host drew it, which encoded that
            if self._is_here(frame):
                self._lacking[index].add(frame)
                self._undo(index)
                self._target(index).unlink(missing_ok=True)
        for index in [
            index for index, chunk in self._received.items() if self._lacking[index] and chunk == event.chunk
        ]:
            del self._received[index]
            self._lacking[index] |= {*self._plan.segments[index]} - self._homes.keys()

    def settled(self) -> tuple[events.StillsDropped, ...]:
        """Segments that were encoded here, and are flushed: whoever retracts must know of them before `drop`."""
        return tuple(self._settled.values())

    def waiting_bytes(self) -> int:
        """About so much of the frames here is in segments that are complete, and that will be encoded."""
        if self._halt.is_asked:
            return 0
        ready = (index for index, lacking in enumerate(self._lacking) if not lacking and index not in self._done)
        frames = sum(len(self._plan.segments[index]) for index in ready)
        return frames * self._came_bytes // max(1, self._came_frames)

    def room(self, ordered: FrameSet) -> throttle.Room:
        """What more of the frames `ordered` may come before encoders have got further, whose cores capture shares."""
        if self._halt.is_asked:  # what is not begun any more is waited for by nobody
            return throttle.Room(throttle.LEAST)
        coming = sum(map(len, self._lacking))
        most = throttle.most(segment_frames=encode.gop_frames(self._plan.segments), encoders=ENCODERS)
        frames = throttle.headroom(behind=self._behind(), coming=coming, most=most)
        return throttle.Room(frames, self._plan.segments[-1].start if self._is_last_held(ordered) else None)

    def _is_last_held(self, ordered: FrameSet) -> bool:
        """Whether the last segment waits for all others: it alone is to be encoded when its last frame is here.

        Not one that its encoder could begin before it has all of it, and none that might wait for ever: what the others
        lack has to come with these frames.
        """
        *others, _ = self._lacking
        last = self._plan.segments[-1]
        if len(last) > throttle.LOOKAHEAD or self._was_retracted or len(self._done) == len(others):
            return False
        first = next((min(lacking) for lacking in others if lacking), last.start)
        return not frameset.of([FrameRange(first, last.stop)]) - ordered

    def _behind(self) -> int:
        """Frames that are here and not encoded.

        Of those that wait for others to come, no more than what one encoder looks at: capture has to go on.
        """
        waiting = {self._segment_of[frame] for frame in self._awaited}
        behind = min(throttle.LOOKAHEAD, sum(self._fed.get(index, 0) for index in waiting))
        for index, (segment, lacking) in enumerate(zip(self._plan.segments, self._lacking, strict=True)):
            fed = self._fed.get(index, 0)
            if not lacking and index not in self._done:
                behind += len(segment) - max(0, fed - throttle.LOOKAHEAD)
            elif index in self._encoding and index not in waiting:
                behind += max(0, len(segment) - len(lacking) - fed)
        return behind

    def drop(self, event: events.StillsDropped) -> None:
        """Deletes the stills of a settled segment, unless some of its frames were retracted meanwhile."""
        if self._settled.pop(event.index, None) is not None:
            for frame in event.frames:
                self._still(frame).unlink(missing_ok=True)
                del self._homes[frame]

    def close(self) -> None:
        """Every frame is here, and none will be retracted: `run` ends with the last segment."""
        self._is_closed = True
        self._news.set()

    async def run(self) -> tuple[Path, ...]:
        """Encodes until `close` was called and every segment is done; the files in the order of the plan.

        Once the run is asked to halt, no segment is begun any more: whoever asked has it fail.
        """
        for segment, lacking in enumerate(self._lacking):
            if lacking:  # of an earlier run: what it held was retracted, or is gone
                self._target(segment).unlink(missing_ok=True)
        async with asyncio.TaskGroup() as group:
            while not (self._is_closed and len(self._done) == len(self._lacking)) and not self._halt.is_asked:
                self._news.clear()
                for index in self._next():
                    self._encoding[index] = group.create_task(self._encode(index))
                    self._encoding[index].add_done_callback(functools.partial(self._ended, index))
                await self._news.wait()
        return tuple(self._target(index) for index in range(len(self._plan.segments)))

    def _next(self) -> list[int]:
        """The segments to begin now: those that are complete, and one whose frames are still coming."""
        ready = [
            index for index in range(len(self._lacking)) if index not in self._encoding and index not in self._done
        ]
        complete = [index for index in ready if not self._lacking[index]]
        coming = [index for index in ready if self._lacking[index] and self._is_here(self._plan.segments[index].start)]
        waiting = sum(bool(self._lacking[index]) for index in self._encoding)
        free = max(0, ENCODERS_MAX - (len(self._encoding) - waiting))
        return complete[:free] + (coming[: max(0, ENCODERS - waiting)] if free > len(complete) else [])

    async def _encode(self, index: int) -> None:
        """Encodes a segment, for some of whose frames it may have to wait."""
        segment, target = self._plan.segments[index], self._target(index)
        if not target.exists():  # a resumed run keeps what it had: a segment appears by rename, so it is whole
            await encode.stream(self._plan, segment, self._arrival, target)
        self._finish(index)
        if not self._keeps_stills and not self._is_closed:  # else all of them go soon, or none
            await self._settle(index)

    async def _settle(self, index: int) -> None:
        """Makes sure that the segment can stand for its frames; while it cannot, their stills stay."""
        with contextlib.suppress(OSError):
            digest, size_bytes = await asyncio.to_thread(ingest.measure, self._target(index))
            self._settled[index] = events.StillsDropped(
                index=index, frames=self._plan.segments[index], size_bytes=size_bytes, sha256=digest
            )

    def _finish(self, index: int) -> None:
        """The segment is in its place; nobody needs to encode it any more."""
        self._undo(index)
        self._done.add(index)
        if index not in self._told:
            self._told.add(index)
            self._emit(events.SegmentEncoded(index, self._plan.segments[index]))
        self._news.set()

    def _undo(self, index: int) -> None:
        self._done.discard(index)
        self._fed.pop(index, None)
        self._settled.pop(index, None)
        if index in self._encoding and self._encoding[index] is not asyncio.current_task():
            self._encoding[index].cancel()

    def _ended(self, index: int, _: asyncio.Task[None]) -> None:
        del self._encoding[index]
        self._news.set()

    async def _arrival(self, frame: int) -> Path:
        """Where the frame's file is, as soon as it is here."""
        if self._is_here(frame):
            file = self._still(frame)
        else:
            self._awaited[frame] = asyncio.get_running_loop().create_future()
            file = await self._awaited[frame]
        index = self._segment_of[frame]
        self._fed[index] = self._fed.get(index, 0) + 1
        return file

    def _is_here(self, frame: int) -> bool:
        return frame not in self._lacking[self._segment_of[frame]]

    def _still(self, frame: int) -> Path:
        chunk, frames = self._homes[frame]
        return self._directory.chunks / chunk / protocol.frame_name(frame - frames.start, self._plan.image)

    def _target(self, index: int) -> Path:
        return self._directory.segments / returns.segment_name(self._plan, index)
