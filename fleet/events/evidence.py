"""Frames drawn twice, and what follows where the two differ. Pure: no I/O."""

from dataclasses import dataclass

from capture.protocol import FrameFile, FrameRange


@dataclass(frozen=True, slots=True, kw_only=True)
class HostStruck:
    """A host did something wrong, `strikes` times in a row by now; it gets no frames for the next `aside_s`."""

    host: str
    strikes: int
    reason: str
    aside_s: float = 0.0
    is_final: bool = False  # none for the rest of the run: what it draws, or says, is not true


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspected:
    """Frames of a chunk are hard to believe: some are captured again on another host, and compared."""

    chunk: str
    host: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreed:
    """Two pictures of one frame differ; the first one counts, unless its host proves wrong."""

    frame: int
    hosts: tuple[str, str]
    digests: tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class FramesRetracted:
    """Verified frames that count no more: the host is not believed and nobody else drew them alike, or it is gone and
    nobody else draws pixels like those; or they are in one segment with such frames, and have no stills any more.
    """

    chunk: str
    host: str
    frames: tuple[FrameRange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeamDrawn:
    """What a host says of the frame left of its chunk, which it drew for comparison only."""

    chunk: str
    host: str
    frame: FrameFile


@dataclass(frozen=True, slots=True)
class SeamMatched:
    """A frame is the same from the left and from the right of a seam: as delivered, and as the next host drew it."""

    frame: int
    hosts: tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """So many frames that count were captured again by `host`, and so many of them are equal."""

    host: str
    frames: int
    equal: int
