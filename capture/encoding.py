"""The segments that one host encodes: what is wanted, what is being made, what waits to be fetched.

Starts encoders and tells what became of them; knows no worker and no browser.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from capture import encoder, protocol
from capture.encoder import Encoders, Ended, Made, Still
from capture.journal import Journal
from capture.protocol import Encode, FrameRange
from capture.segments import Segments

# FFmpeg's pinned threads keep four cores busy beside the browsers.
CORES_PER_ENCODER = 4


class Encoding:
    """Everything about segments on this host; for the agent's main thread."""

    def __init__(self, encoders: Encoders, *, cores: float, send: Callable[[protocol.FromAgent], None]) -> None:
        self.segments = Segments()
        self._encoders = encoders
        self._slots = max(1, int(cores) // CORES_PER_ENCODER)
        self._send = send
        self._running = 0
        self._unfetched: set[FrameRange] = set()

    @property
    def is_busy(self) -> bool:
        """Whether room will be made by itself: a segment is being made, or waits to be fetched."""
        return self._running > 0 or bool(self._unfetched)

    def want(self, wish: Encode, journal: Journal | None, *, is_open: bool) -> None:
        """Segments of a chunk are to be made here; one that is over, not `is_open`, has what it has."""
        there = journal.announced(frame for part in wish.segments for frame in part) if journal else []
        self.segments.want(wish, [frame.index for frame in there])
        if not is_open:
            self.segments.close(wish.chunk)

    def rehearse(self, asked: protocol.Rehearse, blobs: Path, output: Path) -> None:
        """Makes a segment of pictures that are blobs, which the coordinator has made, too."""
        stills = [Still(str(blobs / digest), digest) for digest in asked.stills]
        task = encoder.task(asked.argv, asked.spec, stills, output, is_named=True)
        self._begin(task, None, FrameRange(0, len(stills)))

    def begin(self, journals: Mapping[str, Journal]) -> None:
        """Begins with what is complete; a frame is in a segment only as it was announced."""
        while self._running < self._slots and (found := self.segments.take()):
            wish, frames = found
            journal = journals[wish.chunk]
            stills = [Still(str(journal.path(file.index)), file.sha256) for file in journal.announced(frames)]
            if len(stills) < len(frames):
                continue  # some were fetched as such: nobody waits for the segment
            task = encoder.task(wish.argv, journal.spec, stills, journal.segment(frames), is_named=False)
            self._begin(task, wish, frames)

    def ended(self, ended: Ended) -> None:
        """An encoder ended."""
        self._running -= 1
        made, wish = ended.made, ended.wish
        if wish is None:
            self._send(protocol.Rehearsed(made.build, made.sha256, made.why))
        elif made.why:
            self._send(protocol.Unencoded(wish.chunk, wish.attempt, ended.frames, made.why))
        else:
            self._unfetched.add(ended.frames)
            segment = protocol.SegmentFile(ended.frames, made.size_bytes, made.sha256)
            self._send(protocol.Encoded(wish.chunk, wish.attempt, segment))

    def fetched(self, frames: Iterable[FrameRange]) -> None:
        """These frames are stored elsewhere, in one way or another."""
        for part in frames:
            self._unfetched = {one for one in self._unfetched if one.stop <= part.start or part.stop <= one.start}

    def give_up(self, chunk: str) -> None:
        """Nothing more is made of the chunk: its frames are to be fetched as such."""
        for wish, segment in self.segments.drop(chunk):
            self._send(protocol.Unencoded(wish.chunk, wish.attempt, segment, "its frames take too much room"))

    def _begin(self, task: encoder.Task, wish: Encode | None, frames: FrameRange) -> None:
        self._running += 1
        try:
            self._encoders.begin(task, wish, frames)
        except OSError as error:  # no more processes, no more memory
            self.ended(Ended(wish, frames, Made(why=f"cannot start an encoder: {error}"), 0))
