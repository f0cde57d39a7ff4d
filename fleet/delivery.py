"""One order on its way home: what was announced, what is here, what comes encoded, and when a pull is due.

Pure: no I/O; time is an argument.
"""

import dataclasses
import itertools
from dataclasses import dataclass, field

from capture import protocol
from capture.protocol import FrameFile, FrameRange, SegmentFile
from fleet import events, frameset, orders
from fleet.frameset import FrameSet
from fleet.throttle import Room

# Enough for one pull, however little it costs to wait for more.
PULL_FRAMES = 64
PULL_BYTES = 32 << 20
BATCH_BYTES = 4 * PULL_BYTES
# A chunk that is over waits no longer for its last segments: their frames are still on their host.
ENCODE_PATIENCE_S = 120.0
# Going a little further is no news.
ALLOWED_STEP = 8


@dataclass(kw_only=True)
class Delivery:
    """One order on its way home: what was announced, what is here, and how the host ended it."""

    order: orders.Capture
    directory: str  # on the host, absolute
    announced: dict[int, FrameFile] = field(default_factory=dict)
    arrived: FrameSet = field(default_factory=FrameSet)
    announced_at_s: float = 0.0
    failed_pulls: int = 0
    is_begun: bool = False
    is_seam_told: bool = False
    resizes: int = 0
    end: protocol.Done | protocol.Failed | None = None
    asked_stop: int | None = None  # where it was asked to end, until that is answered
    segments: tuple[FrameRange, ...] = ()  # that the host may encode
    promised: set[FrameRange] = field(default_factory=set)  # segments that will come instead of their frames
    encoded: dict[FrameRange, SegmentFile] = field(default_factory=dict)  # those of them that are made
    over_s: float = 0.0
    allowed: int | None = None  # so many frames may be finished, as the host was told

    def announce(self, frames: tuple[FrameFile, ...], now_s: float, limit_bytes: int) -> int:
        """Takes announced frames in, says how many are news; ProtocolError for one not ordered, or too large."""
        if not self.announced:
            self.announced_at_s = now_s
        count = 0
        for frame in frames:
            if not any(frame.index in part for part in self.order.todo):
                raise protocol.ProtocolError(f"frame {frame.index} was announced and not ordered")
            if frame.size_bytes > limit_bytes:
                raise protocol.ProtocolError(f"frame {frame.index} has {frame.size_bytes} bytes, {limit_bytes} at most")
            if frame.index not in self.arrived:
                count += frame.index not in self.announced
                self.announced[frame.index] = frame
        return count

    def arrive(self, frame: int) -> None:
        """The frame is here as a file of its own; the others of its segment will come like it."""
        self.arrived |= frameset.of([FrameRange(frame, frame + 1)])
        self.announced.pop(frame, None)
        for segment in [one for one in self.promised if frame in one]:
            self.release(segment)

    def promise(self) -> tuple[FrameRange, ...]:
        """The segments that the host can still be asked for: of which no frame is here."""
        fresh = {one for one in self.segments if not self.arrived.touches(one)} - self.promised
        self.promised |= fresh
        return tuple(sorted(fresh))

    def allow(self, room: Room) -> protocol.Allow | None:
        """What to tell a host that may go on by so much beyond the frames that are here; None where it is no news."""
        headroom = room.frames
        if room.stop is not None:
            headroom = min(headroom, len(self.lacking & frameset.of([FrameRange(0, room.stop)])))
        frames = len(self.arrived) + max(headroom, len(self.announced))
        step = 1 if self.is_held else ALLOWED_STEP  # to one that waits, every frame is news
        is_news = self.allowed is None or frames >= self.allowed + step
        if not self.is_begun or self.end is not None or not is_news:
            return None
        self.allowed = frames
        return protocol.Allow(self.order.chunk, self.order.attempt, frames)

    def encode(self, segment: SegmentFile) -> None:
        """The host has made a segment; one that is not waited for any more is no news."""
        if segment.frames in self.promised:
            self.encoded[segment.frames] = segment

    def release(self, segment: FrameRange) -> None:
        """The frames of a segment come as such."""
        self.promised.discard(segment)
        self.encoded.pop(segment, None)

    def finish(self, end: protocol.Done | protocol.Failed, now_s: float) -> None:
        """The host has ended the order; after a failure nothing is waited for, else only what is complete."""
        if self.end is not None:
            return
        self.end, self.over_s = end, now_s
        for segment in [*self.promised]:
            is_complete = all(frame in self.announced for frame in segment)
            if segment not in self.encoded and (isinstance(end, protocol.Failed) or not is_complete):
                self.release(segment)

    def expire(self, now_s: float) -> None:
        """What an order that is over has waited for too long comes as frames."""
        if self.end is not None and now_s - self.over_s > ENCODE_PATIENCE_S:
            for segment in self.promised - set(self.encoded):
                self.release(segment)

    def segment(self) -> SegmentFile | None:
        """The first segment to pull: made, and all of its frames announced."""
        made = (one for _, one in sorted(self.encoded.items()) if all(frame in self.announced for frame in one.frames))
        return next(made, None)

    def loose(self) -> list[FrameFile]:
        """The announced frames that come as files of their own, ascending."""
        held = {frame for segment in self.promised for frame in segment}
        return sorted((file for file in self.announced.values() if file.index not in held), key=lambda one: one.index)

    def batch(self) -> list[FrameFile]:
        """Those of them to pull now: no more than fits into one quarantine."""
        frames = self.loose()
        sums = itertools.accumulate(frame.size_bytes for frame in frames)
        return [frame for frame, total in zip(frames, sums, strict=True) if frame is frames[0] or total <= BATCH_BYTES]

    def trim(self, host: str, stop: int) -> events.ChunkTrimmed | None:
        """Nothing at or after `stop` will come, but for what was announced; None when nobody asked for that."""
        if self.asked_stop is None:
            return None
        here = [part.stop for part in self.arrived.ranges]
        stop = max([stop, self.asked_stop, *here, *(frame + 1 for frame in self.announced)])
        stop = min(stop, self.order.todo[-1].stop)
        todo = tuple(FrameRange(part.start, min(part.stop, stop)) for part in self.order.todo if part.start < stop)
        self.order, self.asked_stop = dataclasses.replace(self.order, todo=todo), None
        for segment in [one for one in self.promised if one.stop > stop]:
            self.release(segment)
        return events.ChunkTrimmed(chunk=self.order.chunk, host=host, attempt=self.order.attempt, stop=stop)

    def is_due(self, now_s: float, age_s: float) -> bool:
        """Whether a pull is worth its fixed cost now: frames wait up to `age_s` for company."""
        if not (frames := self.loose()):
            return False
        if self.end is not None or len(frames) >= PULL_FRAMES:
            return True
        size_bytes = sum(frame.size_bytes for frame in frames)
        return size_bytes >= PULL_BYTES or now_s - self.announced_at_s >= age_s

    @property
    def is_held(self) -> bool:
        """Whether the host has gone as far as it may."""
        return self.allowed is not None and len(self.arrived) + len(self.announced) >= self.allowed

    @property
    def ordered(self) -> FrameSet:
        """All frames of the order."""
        return frameset.of(self.order.todo)

    @property
    def lacking(self) -> FrameSet:
        """Ordered frames that are not here yet."""
        return self.ordered - self.arrived
