"""All that can happen in a run, as frozen values, to and from the lines of events.jsonl.

Pure: no I/O, no clock; whoever appends a line supplies the time. The schedule consumes some of these events,
progress and report read all of them.
"""

import json
from dataclasses import dataclass

from capture import wire
from capture.faults import Fault
from capture.protocol import CaptureMode, CoreUse, FrameFile, FrameRange, GlBackend, SegmentFile, Stages

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """First line of every log, also after a resume."""

    run: str
    composition: str
    output: str
    plan: str  # digest
    frames: FrameRange
    fps: str  # "num/den"
    width: int
    height: int
    is_resumed: bool = False
    kept: tuple[FrameRange, ...] = ()  # verified by earlier runs and still there


@dataclass(frozen=True, slots=True)
class HostReturns:
    """What a host sends back from now on, `frames` or `segments`."""

    host: str
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Trait:
    """Something about a host that pixels could depend on, as text."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostReady:
    """A host holds the bundle and its lock, and waits for a chunk."""

    host: str
    capacity: float  # workers it is expected to run, times its configured weight and the speed of its canary frames
    cores: float
    browser: str
    gl_renderer: str
    traits: tuple[Trait, ...] = ()
    pixels: str = ""  # a name of its pixel class, unless that is the largest


@dataclass(frozen=True, slots=True)
class HostRefused:
    """A host will not take part; the run goes on without it, and without what it delivered if it `is_liar`."""

    host: str
    message: str
    remedy: str
    is_liar: bool = False


@dataclass(frozen=True, slots=True)
class HostLost:
    """A working host went away; its missing frames go to others."""

    host: str
    message: str
    is_expected_back: bool = False  # HostReady, HostRefused or another HostLost will tell how reconnecting ended


@dataclass(frozen=True, slots=True)
class ModeFixed:
    """Capture mode and browser of the whole render, decided before the first chunk."""

    mode: CaptureMode
    browser: str
    why: str


@dataclass(frozen=True, slots=True)
class SteppingFixed:
    """Whether the whole render steps through every frame or may jump, decided before the first chunk."""

    sequential: bool
    why: str


@dataclass(frozen=True, slots=True)
class BackendFixed:
    """What draws WebGL in the whole render, decided before the first chunk; not said when there was nothing to try."""

    gl: GlBackend
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelsFixed:
    """How the canary frames of this render look, decided before the first chunk; who draws others is left out."""

    frames: tuple[FrameFile, ...]
    hosts: tuple[str, ...]  # that draw them so, and have these `traits`
    classes: int  # how many different ways were seen
    traits: tuple[Trait, ...] = ()


@dataclass(frozen=True, slots=True)
class PageLoaded:
    """A host's pages are ready, with these warnings by code; said once for every different set of them."""

    host: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BundlePushed:
    """A host was given the blobs it lacked; zero when it had them all."""

    host: str
    blobs: int
    size_bytes: int


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


@dataclass(frozen=True, slots=True)
class HostDraining:
    """The user wants a host back: it ends what its workers have begun; `is_over` when it has gone."""

    host: str
    is_over: bool = False


@dataclass(frozen=True, slots=True)
class RunDraining:
    """The user wants the run to end: workers end what they have begun, nothing else begins."""


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
    nobody else draws pixels like those.
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


@dataclass(frozen=True, slots=True)
class CoresUsed:
    """What a host's cores did up to now, since it was last told of; without a host, those of the coordinator."""

    host: str
    use: CoreUse


@dataclass(frozen=True, slots=True)
class SegmentEncoded:
    """One closed GOP group of the output is encoded."""

    index: int
    frames: FrameRange


@dataclass(frozen=True, slots=True)
class AudioMixed:
    """The sound track is ready; `tracks` elements are in it."""

    tracks: int


@dataclass(frozen=True, slots=True)
class Warned:
    """Something a user should know and that stops nothing; `where` is a host, a file or empty."""

    where: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished:
    """Last line. `exit_code` 0 means that `output` is verified and in place."""

    exit_code: int
    output: str
    sha256: str = ""
    size_bytes: int = 0
    message: str = ""
    remedy: str = ""


Event = (
    RunStarted | HostReady | HostRefused | HostLost | ModeFixed | SteppingFixed | BackendFixed | PixelsFixed
    | HostReturns | PageLoaded | BundlePushed | ChunkOrdered | ChunkStarted | WorkersChanged | ChunkTrimmed
    | FramesCaptured | FramesVerified | ChunkDone | ChunkFailed | RangeSized | RunDraining | HostDraining | HostStruck
    | Suspected | Disagreed | FramesRetracted | SeamDrawn | SeamMatched | Audited | CoresUsed | ChunkMeasured
    | SegmentEncoded | AudioMixed | Warned | RunFinished
)  # fmt: skip

_KINDS: dict[str, type[Event]] = {
    "run.started": RunStarted, "run.finished": RunFinished, "run.draining": RunDraining, "run.warned": Warned,
    "mode.fixed": ModeFixed, "stepping.fixed": SteppingFixed, "backend.fixed": BackendFixed,
    "pixels.fixed": PixelsFixed, "page.loaded": PageLoaded, "host.ready": HostReady, "host.refused": HostRefused,
    "host.lost": HostLost, "host.returns": HostReturns, "bundle.pushed": BundlePushed,
    "chunk.ordered": ChunkOrdered, "chunk.started": ChunkStarted,
    "workers.changed": WorkersChanged, "chunk.trimmed": ChunkTrimmed, "chunk.captured": FramesCaptured,
    "chunk.measured": ChunkMeasured,
    "chunk.verified": FramesVerified, "chunk.done": ChunkDone, "chunk.failed": ChunkFailed,
    "host.draining": HostDraining, "range.sized": RangeSized, "host.struck": HostStruck,
    "chunk.suspected": Suspected, "frame.disagreed": Disagreed, "frames.retracted": FramesRetracted,
    "seam.drawn": SeamDrawn, "seam.matched": SeamMatched, "frames.audited": Audited, "cores.used": CoresUsed,
    "segment.encoded": SegmentEncoded, "audio.mixed": AudioMixed,
}  # fmt: skip
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
