"""Where every frame is: verified, owned by one running chunk, or pending. Knows no host's speed and no policy.

Pure: no I/O. A chunk that ended with frames missing may be given out again under its own name, so that what it lacks
lands beside what it has; parts of it may also become chunks of their own. A running chunk may have a twin that
captures the same frames a second time: they stay owned until neither of the two has them to do.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from capture.protocol import FrameRange
from fleet import frameset
from fleet.frameset import FrameSet


@dataclass(frozen=True, slots=True)
class Cut:
    """Frames to give out as one chunk: file index = absolute frame - `frames.start`, `attempt` counts from 1."""

    chunk: str
    attempt: int
    frames: FrameRange
    todo: FrameSet
    twin: str | None = None  # a running chunk that owns these frames, too


@dataclass(slots=True)
class Chunk:
    """One chunk's life; only its ledger changes where its frames are."""

    name: str
    frames: FrameRange
    attempt: int = 0
    host: str | None = None  # while running
    missing: FrameSet = field(default_factory=FrameSet)  # owned; empty unless running
    stored: FrameSet = field(default_factory=FrameSet)  # have a verified file in this chunk's directory
    encoded: tuple[FrameRange, ...] = ()  # segments that came instead of their frames' files
    twin: str | None = None  # while both run
    is_cancelled: bool = False
    cancelled_s: float = 0.0
    is_beaten: bool = False  # its twin verified what it was still about
    is_taken: bool = False  # its host's workers have begun with all of it
    asked_s: float | None = None  # when its end was asked to be sooner, until that is answered
    asked_stop: int = 0
    helpers: tuple[str, ...] = ()  # who waits for that answer
    keeper: str | None = None  # whose connection broke over it: some of `kept` may be on its disk
    kept: FrameSet = field(default_factory=FrameSet)
    spoiled: FrameSet = field(default_factory=FrameSet)  # have, or may get, a file in its directory that counts no more

    @property
    def is_divisible(self) -> bool:
        """Whether asking for its tail can come to anything."""
        return self.asked_s is None and self.twin is None and not self.is_taken

    def bound(self, frames: FrameSet) -> FrameSet:
        """What of its stored files goes when those of `frames` do: a segment goes as a whole."""
        whole = (part for part in self.encoded if frames & self.stored & frameset.of([part]))
        return (frames | frameset.of(whole)) & self.stored

    def lose(self, frames: FrameSet) -> None:
        """These stored files are gone, or count no more."""
        self.stored -= frames
        self.encoded = tuple(part for part in self.encoded if not frames & frameset.of([part]))


class Ledger:
    """The frames of one render; every method keeps each of them in exactly one place."""

    def __init__(self, frames: FrameSet) -> None:
        self.frames = frames
        self.pending = self.frames
        self.verified = FrameSet()
        self.chunks: dict[str, Chunk] = {}
        self._running: dict[str, Chunk] = {}
        self._returned: dict[str, Chunk] = {}  # ended, and some of their frames were pending when last looked at
        self._dropped: set[FrameRange] = set()  # encoded segments whose stills are deleted

    @property
    def running(self) -> list[Chunk]:
        """Chunks that a host holds."""
        return list(self._running.values())

    @property
    def beaten(self) -> list[Chunk]:
        """Those of them that have nothing left to do, and do not know it."""
        return [chunk for chunk in self._running.values() if chunk.is_beaten and not chunk.is_cancelled]

    def copy(self, name: str) -> Cut:
        """All that the running chunk `name` lacks, to be captured a second time."""
        missing = self.chunks[name].missing
        return Cut(self._fresh_name(), 1, missing.span, missing, name)

    def again(self, frames: FrameSet) -> Cut:
        """Frames that are verified, to be captured again for comparison only."""
        return Cut(self._fresh_name(), 1, frames.span, frames)

    def cut(self, available: FrameSet, count: int, host: str = "") -> Cut:
        """The lowest `count` frames of `available`, a non-empty part of `pending`, that fit into one chunk.

        What `host` was about when its connection broke comes first, and all of it, under its name: it may be there.
        """
        for broken in self._returned.values():
            if broken.keeper == host and (part := broken.kept & available):
                return Cut(broken.name, broken.attempt + 1, broken.frames, part)
        home = self._home(available.span.start)
        if home is None:  # never given out: all that is left of the render's end
            part = FrameSet(available.ranges[:1]).first(count)
            return Cut(self._fresh_name(), 1, part.span, part)
        inside = frameset.of([home.frames]) - home.spoiled
        part = (available & inside).first(count)
        if part == self.pending & inside:
            return Cut(home.name, home.attempt + 1, home.frames, part)
        return Cut(self._fresh_name(), 1, part.span, part)

    def give(self, cut: Cut, host: str) -> None:
        """`host` owns the frames of `cut` that are pending, or its twin's, until `end`."""
        chunk = self.chunks.setdefault(cut.chunk, Chunk(cut.chunk, cut.frames))
        chunk.attempt, chunk.host = cut.attempt, host
        chunk.is_cancelled = chunk.is_beaten = chunk.is_taken = False
        chunk.asked_s, chunk.helpers, chunk.keeper = None, (), None
        twin = self._running.get(cut.twin or "")
        chunk.missing = cut.todo & (self.pending if twin is None else self.pending | twin.missing)
        if twin is not None:
            chunk.twin, twin.twin = twin.name, chunk.name
        self.pending -= chunk.missing
        self._running[chunk.name] = chunk
        self._returned.pop(chunk.name, None)

    def count(self, name: str, frames: Iterable[FrameRange], segment: FrameRange | None = None) -> FrameSet:
        """Verified files arrived for chunk `name`, from whichever attempt; returns the frames that count anew.

        Or one file of the `segment` that they make.
        """
        chunk, arrived = self.chunks[name], frameset.of(frames)
        if beyond := arrived - frameset.of([chunk.frames]):
            raise ValueError(f"chunk {name} is {chunk.frames}: frames {beyond} are not in it")
        fresh = arrived - self.verified
        chunk.stored |= fresh
        if segment is not None and fresh:
            chunk.encoded += (segment,)
        self.verified |= fresh
        twin = self._running.get(chunk.twin or "")
        if twin is not None and twin.missing & fresh:
            twin.missing -= fresh
            twin.is_beaten = not twin.missing
        if fresh - chunk.missing:  # late frames of an earlier order: anybody may have them to do by now
            self.pending -= fresh
            for other in self._running.values():
                other.missing -= fresh
        chunk.missing -= fresh
        return fresh

    def drop(self, segment: FrameRange) -> None:
        """The stills of an encoded segment are deleted, unless some of its frames are to come once more meanwhile."""
        if not frameset.of([segment]) & self.frames - self.verified:
            self._dropped.add(segment)

    def bound(self, frames: FrameSet) -> FrameSet:
        """`frames` and all that can only go with them: a segment without stills goes as a whole."""
        return frames | frameset.of(segment for segment in self._dropped if frames.touches(segment))

    def is_beating(self, name: str) -> bool:
        """Whether the twin of chunk `name` has nothing left to do."""
        twin = self._running.get(self.chunks[name].twin or "")
        return twin is not None and twin.is_beaten

    def trim(self, name: str, stop: int) -> None:
        """Chunk `name` will not capture its frames at or after `stop`: they are pending, unless its twin has them."""
        chunk = self.chunks[name]
        kept = frameset.of(
            FrameRange(part.start, min(part.stop, stop)) for part in chunk.missing.ranges if part.start < stop
        )
        self.pending |= (chunk.missing - kept) - self._twin_missing(chunk)
        chunk.missing = kept

    def end(self, name: str, *, is_broken: bool = False) -> FrameSet:
        """Nobody holds chunk `name` any more; what it lacked is pending again, unless its twin has it, and returned.

        `is_broken` when only the connection is known to have ended.
        """
        chunk = self.chunks[name]
        self._running.pop(name, None)
        left = chunk.missing
        freed = left - self._twin_missing(chunk)
        self.pending |= freed
        if twin := self._running.get(chunk.twin or ""):
            twin.twin = None
        chunk.keeper, chunk.kept = chunk.host if is_broken else None, freed
        chunk.host, chunk.missing, chunk.twin = None, FrameSet(), None
        if freed:
            self._returned[name] = chunk
        return left

    def forget(self, absent: FrameSet) -> None:
        """Verified frames whose files are gone do not count any more."""
        for chunk in self.chunks.values():
            if lost := chunk.bound(absent):
                chunk.lose(lost)
                self._return(lost)
                self._returned[chunk.name] = chunk

    def retract(self, name: str, frames: FrameSet) -> FrameSet:
        """Those of `frames` whose file in chunk `name` counted are pending again; returned.

        They will be captured under another name: the host that they are from must not find them finished.
        """
        chunk = self.chunks[name]
        lost = chunk.bound(frames)
        chunk.lose(lost)
        chunk.spoiled |= lost
        chunk.kept -= lost
        self._return(lost)
        return lost

    def spoil(self, name: str) -> None:
        """Nothing of chunk `name` is captured under its name any more: its host may still be sending files of it."""
        chunk = self.chunks[name]
        chunk.spoiled = frameset.of([chunk.frames])

    def check(self, only: str | None = None) -> None:
        """Asserts what the class promises, of all frames or of one chunk."""
        if only is not None:
            self._check_chunk(only)
            self._check_places(self.chunks[only])
            return
        owned = [
            chunk.missing - self._twin_missing(chunk) if chunk.name < (chunk.twin or "") else chunk.missing
            for chunk in self.running
        ]
        places = [self.verified, self.pending, *owned]
        assert frameset.of(part for place in places for part in place.ranges) == self.frames, "a frame is nowhere"
        assert sum(map(len, places)) == len(self.frames), "a frame is in two places"
        assert sum(len(chunk.stored) for chunk in self.chunks.values()) == len(self.verified), "stored is not verified"
        assert not frameset.of(self._dropped) & self.frames - self.verified, "a frame without a still is not verified"
        for name in self.chunks:
            self._check_chunk(name)

    def _check_chunk(self, name: str) -> None:
        chunk = self.chunks[name]
        own = [frames.span for frames in (chunk.missing, chunk.stored) if frames]
        assert all(map(chunk.frames.covers, own)), "a frame is outside its chunk"
        assert (chunk.host is not None) == (chunk.name in self._running), "a chunk half runs"
        assert chunk.host is not None or not (chunk.missing or chunk.twin), "an ended chunk owns frames"
        assert chunk.twin is None or self._running[chunk.twin].twin == chunk.name, "a twin without its twin"

    def _check_places(self, chunk: Chunk) -> None:
        assert not chunk.missing & self.pending, "a frame is owned and pending"
        assert not chunk.missing & self.verified, "a frame is owned and verified"
        assert not chunk.stored - self.verified, "a frame is stored and not verified"

    def _return(self, lost: FrameSet) -> None:
        self.verified -= lost
        self.pending |= lost
        self._dropped = {segment for segment in self._dropped if not lost.touches(segment)}

    def _twin_missing(self, chunk: Chunk) -> FrameSet:
        twin = self._running.get(chunk.twin or "")
        return FrameSet() if twin is None else twin.missing

    def _fresh_name(self) -> str:
        return f"c{len(self.chunks) + 1:04d}"

    def _home(self, frame: int) -> Chunk | None:
        """The smallest ended chunk that `frame` came back from; a part of a part belongs to the part."""
        for name in [name for name, chunk in self._returned.items() if not self.pending.touches(chunk.frames)]:
            del self._returned[name]
        returned = self._returned.values()
        homes = [chunk for chunk in returned if frame in chunk.frames and frame not in chunk.spoiled]
        return min(homes, key=lambda chunk: len(chunk.frames), default=None)
