"""A chunk from its size to its end, and the frames that come of it. Pure: no I/O."""

from dataclasses import dataclass

from capture.faults import Fault
from capture.protocol import FrameFile, FrameRange, SegmentFile, Stages


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeSized:
    """Why a host's first range is as large as it is; `source` says where the speed is from, `costs` those of frames."""

    host: str
    chunk: str
    frames: int
    share: float  # of all work
    frames_per_s: float  # average frames
    source: str
    pixels: str = ""  # the host's class, which gets whole scenes, unless it is the largest
    costs: str = ""  # where those of the frames are from


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkOrdered:
    """A chunk was given to a host. Files of the chunk count from `frames.start`."""

    chunk: str
    host: str
    attempt: int
    frames: FrameRange
    todo: tuple[FrameRange, ...]
    twin: str | None = None  # the running chunk whose missing frames this one captures a second time


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkStarted:
    """The host began, with this many workers, for this reason."""

    chunk: str
    host: str
    attempt: int
    workers: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersChanged:
    """The host found out that another number of workers is better for its chunk; `before` may have been on trial."""

    chunk: str
    host: str
    attempt: int
    before: int
    workers: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkTrimmed:
    """The host leaves the frames of its chunk at or after `stop` to others."""

    chunk: str
    host: str
    attempt: int
    stop: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FramesCaptured:
    """A host says these frames are finished on its disk; nothing counts yet."""

    chunk: str
    host: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FramesHeld:
    """Finished frames of a chunk wait on their host, for here is no room; said again and again while that lasts."""

    chunk: str
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FramesVerified:
    """These frames are here, under their final names, and equal to what was announced; or a `segment` made of them."""

    chunk: str
    host: str
    frames: tuple[FrameFile, ...]
    segment: SegmentFile | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkDone:
    """Every frame of the order is verified here."""

    chunk: str
    host: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkFailed:
    """The order ended early; what was verified stays."""

    chunk: str
    host: str
    attempt: int
    fault: Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkMeasured:
    """What a host's workers took for the blocks of a chunk, by stage, as it says when the chunk ends."""

    chunk: str
    host: str
    attempt: int
    stages: Stages
