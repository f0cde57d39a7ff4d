"""Where every frame is: verified, owned by one running chunk, or pending. Knows no host's speed and no policy.

Pure: no I/O. A chunk that ended with frames missing may be given out again under its own name, so that what it lacks
lands beside what it has; parts of it may also become chunks of their own.
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


@dataclass(slots=True)
class Chunk:
    """One chunk's life; only its ledger changes it."""

    name: str
    frames: FrameRange
    attempt: int = 0
    host: str | None = None  # while running
    missing: FrameSet = field(default_factory=FrameSet)  # owned; empty unless running
    stored: FrameSet = field(default_factory=FrameSet)  # have a verified file in this chunk's directory
    is_cancelled: bool = False


class Ledger:
    """The frames of one render; every method keeps each of them in exactly one place."""

    def __init__(self, frames: FrameSet) -> None:
        self.frames = frames
        self.pending = self.frames
        self.verified = FrameSet()
        self.chunks: dict[str, Chunk] = {}
        self._running: dict[str, Chunk] = {}
        self._returned: dict[str, Chunk] = {}  # ended, and some of their frames were pending when last looked at

    @property
    def running(self) -> list[Chunk]:
        """Chunks that a host holds."""
        return list(self._running.values())

    def cut(self, available: FrameSet, count: int) -> Cut:
        """The lowest `count` frames of `available`, a non-empty part of `pending`, that fit into one chunk."""
        home = self._home(available.span.start)
        if home is None:  # never given out: all that is left of the render's end
            part = FrameSet(available.ranges[:1]).first(count)
            return Cut(self._fresh_name(), 1, part.span, part)
        inside = frameset.of([home.frames])
        part = (available & inside).first(count)
        if part == self.pending & inside:
            return Cut(home.name, home.attempt + 1, home.frames, part)
        return Cut(self._fresh_name(), 1, part.span, part)

    def give(self, cut: Cut, host: str) -> None:
        """`host` owns the frames of `cut` that are pending, until `end`."""
        chunk = self.chunks.setdefault(cut.chunk, Chunk(cut.chunk, cut.frames))
        chunk.attempt, chunk.host, chunk.is_cancelled = cut.attempt, host, False
        chunk.missing = cut.todo & self.pending
        self.pending -= chunk.missing
        self._running[chunk.name] = chunk
        self._returned.pop(chunk.name, None)

    def count(self, name: str, frames: Iterable[FrameRange]) -> FrameSet:
        """Verified files arrived for chunk `name`, from whichever attempt; returns the frames that count anew."""
        chunk, arrived = self.chunks[name], frameset.of(frames)
        if beyond := arrived - frameset.of([chunk.frames]):
            raise ValueError(f"chunk {name} is {chunk.frames}: frames {beyond} are not in it")
        fresh = arrived - self.verified
        chunk.stored |= fresh
        self.verified |= fresh
        self.pending -= fresh
        for other in self._running.values():
            other.missing -= fresh
        return fresh

    def end(self, name: str) -> FrameSet:
        """Nobody holds chunk `name` any more; what it lacked is pending again, and returned."""
        chunk = self.chunks[name]
        self._running.pop(name, None)
        left = chunk.missing
        self.pending |= left
        chunk.host, chunk.missing = None, FrameSet()
        if left:
            self._returned[name] = chunk
        return left

    def forget(self, absent: FrameSet) -> None:
        """Verified frames whose files are gone do not count any more."""
        for chunk in self.chunks.values():
            if lost := chunk.stored & absent:
                chunk.stored -= lost
                self.verified -= lost
                self.pending |= lost
                self._returned[chunk.name] = chunk

    def check(self) -> None:
        """Asserts what the class promises."""
        places = [self.verified, self.pending, *(chunk.missing for chunk in self.running)]
        assert frameset.of(part for place in places for part in place.ranges) == self.frames, "a frame is nowhere"
        assert sum(map(len, places)) == len(self.frames), "a frame is in two places"
        assert sum(len(chunk.stored) for chunk in self.chunks.values()) == len(self.verified), "stored is not verified"
        for chunk in self.chunks.values():
            assert not (chunk.missing | chunk.stored) - frameset.of([chunk.frames]), "a frame is outside its chunk"
            assert (chunk.host is not None) == (chunk.name in self._running), "a chunk half runs"
            assert chunk.host is not None or not chunk.missing, "an ended chunk owns frames"

    def _fresh_name(self) -> str:
        return f"c{len(self.chunks) + 1:04d}"

    def _home(self, frame: int) -> Chunk | None:
        """The smallest ended chunk that `frame` came back from; a part of a part belongs to the part."""
        for name in [name for name, chunk in self._returned.items() if not self.pending & frameset.of([chunk.frames])]:
            del self._returned[name]
        homes = [chunk for chunk in self._returned.values() if frame in chunk.frames]
        return min(homes, key=lambda chunk: len(chunk.frames), default=None)
