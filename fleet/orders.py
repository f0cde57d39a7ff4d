"""What the schedule can ask for, as frozen values. Pure: no I/O."""

from dataclasses import dataclass

from capture.faults import Fault
from capture.protocol import FrameRange
from fleet import events
from fleet.errors import FleetError


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """Have `host` capture the frames `todo` of `chunk`; file index = absolute frame - `frames.start`."""

    host: str
    chunk: str
    attempt: int
    frames: FrameRange
    todo: tuple[FrameRange, ...]
    twin: str | None = None  # the running chunk whose missing frames these are

    def seam(self, render: FrameRange) -> int | None:
        """The frame left of the first one, drawn for comparison only; None where the render begins."""
        first = min(self.todo).start
        return first - 1 if first > render.start else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trim:
    """Have `host` leave the frames of `chunk` at or after `stop` to others; answered by ChunkTrimmed, or its end."""

    host: str
    chunk: str
    attempt: int
    stop: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Encode:
    """`host` may encode these segments of `chunk` itself. Dispatch adds it to a Capture."""

    host: str
    chunk: str
    attempt: int
    segments: tuple[FrameRange, ...]


@dataclass(frozen=True, slots=True)
class Cancel:
    """Have `host` stop `chunk`: others have its frames, or it stands still. Answered by ChunkFailed or ChunkDone."""

    host: str
    chunk: str


@dataclass(frozen=True, slots=True)
class Release:
    """Say goodbye to `host`, which does nothing any more."""

    host: str


Sayable = (
    events.RangeSized | events.HostStruck | events.Suspected | events.Disagreed | events.SeamMatched | events.Audited
    | events.FramesRetracted | events.Warned
)  # fmt: skip


# Events that change nothing in what is to be done.
Remark = (
    events.ModeFixed | events.BackendFixed | events.HostReturns | events.PageLoaded | events.WorkersChanged
    | events.BundlePushed | events.SegmentEncoded | events.AudioMixed | events.ChunkMeasured
    | events.RunFinished | events.RangeSized | events.SeamMatched | events.Audited
    | events.HostStruck | events.Suspected | events.Disagreed | events.Warned | events.CoresUsed
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Say:
    """Write down what the schedule itself has found."""

    event: Sayable


@dataclass(frozen=True, slots=True)
class Finish:
    """Every frame is verified. Last order."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The run cannot succeed: `error` has message, remedy and exit code, `fault` the page's evidence. Last order."""

    error: FleetError
    fault: Fault | None = None


Order = Capture | Trim | Cancel | Release | Say | Finish | GiveUp
