"""Which segments of chunks are to be encoded on this host, and which of them can be. Pure: no I/O."""

from collections.abc import Iterable
from dataclasses import dataclass

from capture.protocol import Encode, FrameRange


@dataclass(slots=True)
class _Wanted:
    wish: Encode
    lacking: dict[FrameRange, set[int]]  # frames that are not finished, of each segment that nobody has taken


class Segments:
    """The segments that the coordinator wants encoded instead of their frames, chunk by chunk."""

    def __init__(self) -> None:
        self._wanted: dict[str, _Wanted] = {}

    def want(self, wish: Encode, finished: Iterable[int]) -> None:
        """These segments are to be made; `finished` frames of the chunk are on disk."""
        known = self._wanted.get(wish.chunk)
        lacking = known.lacking if known is not None and known.wish.attempt == wish.attempt else {}
        there = set(finished)
        lacking |= {segment: set(segment) - there for segment in wish.segments}
        self._wanted[wish.chunk] = _Wanted(wish, lacking)

    def wrote(self, chunk: str, frame: int) -> None:
        """A frame is finished."""
        if wanted := self._wanted.get(chunk):
            for segment, lacking in wanted.lacking.items():
                if frame in segment:
                    lacking.discard(frame)

    def trim(self, chunk: str, stop: int) -> None:
        """The chunk ends at `stop`: a segment that goes beyond will not be made."""
        if wanted := self._wanted.get(chunk):
            wanted.lacking = {part: lacking for part, lacking in wanted.lacking.items() if part.stop <= stop}

    def close(self, chunk: str) -> None:
        """The chunk is over: what is not complete will not be made."""
        if wanted := self._wanted.get(chunk):
            wanted.lacking = {part: lacking for part, lacking in wanted.lacking.items() if not lacking}

    def drop(self, chunk: str) -> list[tuple[Encode, FrameRange]]:
        """Nothing more of the chunk is made; what is given up by that."""
        wanted = self._wanted.pop(chunk, None)
        return [(wanted.wish, segment) for segment in wanted.lacking] if wanted is not None else []

    def longest(self, chunk: str) -> int:
        """Frames of the longest segment that is still to be made of the chunk."""
        wanted = self._wanted.get(chunk)
        return max(map(len, wanted.lacking), default=0) if wanted is not None else 0

    def take(self) -> tuple[Encode, FrameRange] | None:
        """The first segment that is complete; it is not given again."""
        for wanted in self._wanted.values():
            for segment in [part for part, lacking in wanted.lacking.items() if not lacking][:1]:
                del wanted.lacking[segment]
                return wanted.wish, segment
        return None
