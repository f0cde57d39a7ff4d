"""Events as the lines of events.jsonl, and back. Pure: no I/O, no clock; whoever appends a line supplies the time.

A new event stands in the union and in the table below.
"""

import json
from dataclasses import dataclass

from capture import wire
from fleet.events.chunks import (
    ChunkDone,
    ChunkFailed,
    ChunkMeasured,
    ChunkOrdered,
    ChunkStarted,
    ChunkTrimmed,
    FramesCaptured,
    FramesHeld,
    FramesVerified,
    RangeSized,
    WorkersChanged,
)
from fleet.events.evidence import (
    Audited,
    Disagreed,
    FramesRetracted,
    HostStruck,
    SeamDrawn,
    SeamMatched,
    Suspected,
)
from fleet.events.hosts import (
    BundlePushed,
    CoresUsed,
    HostDraining,
    HostLost,
    HostReady,
    HostRefused,
    HostReturns,
    PageLoaded,
)
from fleet.events.run import (
    AudioMixed,
    BackendFixed,
    ModeFixed,
    PixelsFixed,
    RunDraining,
    RunFinished,
    RunStarted,
    SegmentEncoded,
    SteppingFixed,
    StillsDropped,
    Warned,
)

VERSION = 1

Event = (
    RunStarted | HostReady | HostRefused | HostLost | ModeFixed | SteppingFixed | BackendFixed | PixelsFixed
    | HostReturns | PageLoaded | BundlePushed | ChunkOrdered | ChunkStarted | WorkersChanged | ChunkTrimmed
    | FramesCaptured | FramesVerified | ChunkDone | ChunkFailed | RangeSized | RunDraining | HostDraining | HostStruck
    | Suspected | Disagreed | FramesRetracted | SeamDrawn | SeamMatched | Audited | CoresUsed | ChunkMeasured
    | SegmentEncoded | StillsDropped | FramesHeld | AudioMixed | Warned | RunFinished
)  # fmt: skip

_KINDS: dict[str, type[Event]] = {
    "run.started": RunStarted,
    "run.finished": RunFinished,
    "run.draining": RunDraining,
    "run.warned": Warned,
    "mode.fixed": ModeFixed,
    "stepping.fixed": SteppingFixed,
    "backend.fixed": BackendFixed,
    "pixels.fixed": PixelsFixed,
    "page.loaded": PageLoaded,
    "host.ready": HostReady,
    "host.refused": HostRefused,
    "host.lost": HostLost,
    "host.returns": HostReturns,
    "bundle.pushed": BundlePushed,
    "chunk.ordered": ChunkOrdered,
    "chunk.started": ChunkStarted,
    "workers.changed": WorkersChanged,
    "chunk.trimmed": ChunkTrimmed,
    "chunk.captured": FramesCaptured,
    "chunk.held": FramesHeld,
    "chunk.measured": ChunkMeasured,
    "chunk.verified": FramesVerified,
    "chunk.done": ChunkDone,
    "chunk.failed": ChunkFailed,
    "host.draining": HostDraining,
    "range.sized": RangeSized,
    "host.struck": HostStruck,
    "chunk.suspected": Suspected,
    "frame.disagreed": Disagreed,
    "frames.retracted": FramesRetracted,
    "seam.drawn": SeamDrawn,
    "seam.matched": SeamMatched,
    "frames.audited": Audited,
    "cores.used": CoresUsed,
    "segment.encoded": SegmentEncoded,
    "stills.dropped": StillsDropped,
    "audio.mixed": AudioMixed,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


@dataclass(frozen=True, slots=True)
class Record:
    """One line of events.jsonl: an event, when it happened (RFC 3339) and how long after the run began."""

    at: str
    elapsed_s: float
    event: Event


def name_of(event: Event) -> str:
    """The dotted name under which `event` is logged."""
    return _NAMES[type(event)]


def to_line(record: Record) -> str:
    """The JSON line of `record`, without its newline."""
    plain = {
        "v": VERSION,
        "at": record.at,
        "elapsed_s": round(record.elapsed_s, 3),
        "type": name_of(record.event),
    }
    return json.dumps(plain | wire.to_plain(record.event), separators=(",", ":"))


def from_line(line: str) -> Record:
    """The record on one line; ValueError when it is damaged, which a crash can do to the last line only."""
    plain = json.loads(line)
    if not isinstance(plain, dict) or plain.pop("v", None) != VERSION:
        raise ValueError(f"not an event of version {VERSION}: {line[:80]!r}")
    at, elapsed_s, name = plain.pop("at"), plain.pop("elapsed_s"), plain.pop("type")
    if name not in _KINDS:
        raise ValueError(f"unknown event: {name!r}")
    return Record(str(at), float(elapsed_s), wire.from_plain(_KINDS[name], plain))
