"""The words that coordinator, agent and worker share: frame ranges, the render spec, messages as JSON lines.

Pure: no I/O. Both sides refuse lines over the limit, unknown messages and values of the wrong type.
"""

import dataclasses
import enum
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from capture import wire
from capture.faults import Fault

VERSION = 1
# Bounds what a broken peer can make us buffer; the largest honest line, 1,000 captured frames, is 100 KiB.
LINE_LIMIT_BYTES = 256 * 1024
FRAMES_PER_MESSAGE = 500
DIGESTS_PER_MESSAGE = 2000


class ProtocolError(Exception):
    """The peer said something that is not a message of this protocol."""


@dataclass(frozen=True, slots=True, order=True)
class FrameRange:
    """Half-open range of absolute frames, never empty, integers only."""

    start: int
    stop: int

    def __post_init__(self) -> None:
        # `type() is int`: a float frame once rounded its way into two hosts' ranges upstream, and True is no frame.
        if type(self.start) is not int or type(self.stop) is not int:
            raise TypeError(f"frame range must be integers: [{self.start!r}, {self.stop!r})")
        if not 0 <= self.start < self.stop:
            raise ValueError(f"frame range must be non-empty and not negative: [{self.start}, {self.stop})")

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.start, self.stop))

    def __contains__(self, frame: object) -> bool:
        return isinstance(frame, int) and self.start <= frame < self.stop

    def __str__(self) -> str:
        return f"{self.start}:{self.stop}"

    def covers(self, other: "FrameRange") -> bool:
        """Whether every frame of `other` is in this range."""
        return self.start <= other.start and other.stop <= self.stop


def ranges_of(frames: Iterable[int]) -> tuple[FrameRange, ...]:
    """The fewest ranges that hold exactly `frames`, ascending."""
    ranges: list[FrameRange] = []
    for frame in sorted(set(frames)):
        if ranges and ranges[-1].stop == frame:
            ranges[-1] = FrameRange(ranges[-1].start, frame + 1)
        else:
            ranges.append(FrameRange(frame, frame + 1))
    return tuple(ranges)


class ImageFormat(enum.Enum):
    """How one frame is stored between capture and encode; the value is the file extension."""

    JPEG = "jpg"
    PNG = "png"


class CaptureMode(enum.Enum):
    """How pixels leave the browser; one for the whole render."""

    BEGIN_FRAME = "begin_frame"
    SCREENSHOT = "screenshot"


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderSpec:
    """All that decides a pixel besides the browser build: equal specs give equal frames."""

    bundle: str  # sha256 of the bundle's manifest
    width: int  # CSS pixels = output pixels
    height: int
    fps: Fraction
    frame_count: int  # of the whole composition, not of the rendered range
    duration_s: Fraction
    image: ImageFormat
    jpeg_quality: int
    mode: CaptureMode
    has_webgl: bool = True
    document: str = "index.html"


def frame_name(local_index: int, image: ImageFormat) -> str:
    """File name of the frame `local_index`, counted from 0 within its chunk."""
    return f"frame_{local_index:06d}.{image.value}"


@dataclass(frozen=True, slots=True)
class FrameFile:
    """One finished frame as its host announces it; `index` is absolute."""

    index: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the owner of a host allows us to use; None means no limit of its own."""

    workers: int | None = None
    memory_bytes: int | None = None
    disk_bytes: int | None = None
    nice: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """What a host says of itself; sizes in bytes, times in seconds. `fleet/checks.py` judges it."""

    python: str
    kernel: str
    architecture: str
    machine_id: str
    is_root: bool
    workspace: str  # absolute directory that holds agents, blobs, bundles and runs
    cpu_count: int
    cpu_affinity: int
    cpu_quota: float | None  # cores by cgroup quota
    memory_total_bytes: int
    memory_available_bytes: int
    memory_limit_bytes: int | None  # by cgroup
    disk_free_bytes: int
    shm_bytes: int
    chromium: str | None  # absolute path
    chromium_version: str | None
    rsync: str | None
    rsync_version: str | None
    fonts_digest: str
    fonts_count: int
    unix_time_s: float
    can_sandbox: bool  # unprivileged user namespaces, which Chromium's sandbox needs

    @property
    def cores(self) -> float:
        """Cores we may really use: the smaller of affinity and cgroup quota."""
        return min(float(self.cpu_affinity), self.cpu_quota or float(self.cpu_affinity))


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserFacts:
    """What one probe of this host's browser found; taken once per host, before the first chunk."""

    version: str
    mode: CaptureMode
    mode_why: str
    gl_vendor: str
    gl_renderer: str
    has_sandbox: bool


# Coordinator to agent.


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """First line on the wire. A different `version` ends the conversation."""

    version: int
    run: str
    lease_s: float  # silence longer than this and the agent kills its tree
    limits: Limits
    workers: int | None = None  # asked for by the user: wins over everything that the host would decide
    chromium: str | None = None  # configured path; None searches
    chromium_args: tuple[str, ...] = ()
    sandbox: bool = True


@dataclass(frozen=True, slots=True)
class Acquire:
    """Asks for the host's render lock. Answered by Granted or Denied."""


@dataclass(frozen=True, slots=True)
class Prepare:
    """Asks for the bundle. Answered by Missing (push those blobs, ask again), Prepared, or Failed without a chunk."""

    bundle: str


@dataclass(frozen=True, slots=True)
class Probe:
    """Asks what the browser can do; needs no lock. Answered by Probed, or Failed with an empty chunk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """Asks for the frames `todo` of chunk `frames`; files are numbered from `frames.start`."""

    chunk: str
    attempt: int
    frames: FrameRange
    todo: tuple[FrameRange, ...]
    spec: RenderSpec

    def __post_init__(self) -> None:
        if not self.todo or not all(self.frames.covers(part) for part in self.todo):
            raise ValueError(f"todo {self.todo} is not inside chunk {self.frames}")


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stops a chunk; its finished frames stay."""

    chunk: str


@dataclass(frozen=True, slots=True)
class Ack:
    """These absolute frames are verified and stored here: their files may go."""

    chunk: str
    frames: tuple[FrameRange, ...]


@dataclass(frozen=True, slots=True)
class Ping:
    """Sign of life; answered by Pong."""

    sequence: int


@dataclass(frozen=True, slots=True)
class Bye:
    """Ends the conversation: the agent kills its tree, deletes the run's files and exits."""


# Agent to coordinator.


@dataclass(frozen=True, slots=True)
class Facts:
    """Answers Hello."""

    version: int
    facts: HostFacts


@dataclass(frozen=True, slots=True)
class Granted:
    """The lock is ours until this agent dies."""


@dataclass(frozen=True, slots=True)
class Denied:
    """Another run holds the lock; `owner` is what it wrote there."""

    owner: str


@dataclass(frozen=True, slots=True)
class Missing:
    """Blobs that the host lacks, at most DIGESTS_PER_MESSAGE; push them into `<workspace>/incoming`."""

    bundle: str
    digests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """The bundle is complete and verified on the host."""

    bundle: str


@dataclass(frozen=True, slots=True)
class Probed:
    """Answers Probe."""

    browser: BrowserFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A chunk began: how many workers, what bound that number, and a sentence that says so."""

    chunk: str
    attempt: int
    directory: str  # of the frame files, relative to the workspace
    workers: int
    why: str


@dataclass(frozen=True, slots=True)
class Captured:
    """Frames finished since the last such message, at most FRAMES_PER_MESSAGE."""

    chunk: str
    attempt: int
    frames: tuple[FrameFile, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """Every frame of the order has been announced."""

    chunk: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The chunk ended early; frames announced before stay valid."""

    chunk: str
    attempt: int
    fault: Fault


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth keeping in this host's log: `source` is page, browser, worker, agent or shell."""

    level: str
    source: str
    text: str


@dataclass(frozen=True, slots=True)
class Pong:
    """Answers Ping."""

    sequence: int


@dataclass(frozen=True, slots=True)
class Stopping:
    """Last line of an agent that ends for a reason of its own."""

    reason: str


# Agent to worker, and back. Same codec, over the worker's stdin and stdout.


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """First line to a worker: one browser, one composition. Answered by Ready or BlockFailed."""

    spec: RenderSpec
    bundle_directory: str
    profile_directory: str
    chromium: str
    chromium_args: tuple[str, ...]
    sandbox: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A few consecutive frames of one chunk; file names count from `offset`."""

    frames: FrameRange
    offset: int
    directory: str


@dataclass(frozen=True, slots=True)
class Ready:
    """The worker's page is loaded and ready; it settles at the first frame it is given."""


@dataclass(frozen=True, slots=True)
class FrameWritten:
    """One frame is on disk under its final name."""

    frame: FrameFile


@dataclass(frozen=True, slots=True)
class BlockDone:
    """The block is complete; the worker wants another."""

    frames: FrameRange


@dataclass(frozen=True, slots=True)
class BlockFailed:
    """The worker gave up and ends; frames written before stay valid."""

    fault: Fault


ToAgent = Hello | Acquire | Prepare | Probe | Capture | Cancel | Ack | Ping | Bye
FromAgent = (
    Facts | Granted | Denied | Missing | Prepared | Probed
    | Started | Captured | Done | Failed | Note | Pong | Stopping
)  # fmt: skip
ToWorker = Setup | Block
FromWorker = Ready | FrameWritten | BlockDone | BlockFailed | Note
Message = ToAgent | FromAgent | ToWorker | FromWorker

_KINDS: dict[str, type[Message]] = {
    kind.__name__.lower(): kind
    for kind in (
        Hello, Acquire, Prepare, Probe, Capture, Cancel, Ack, Ping, Bye,
        Facts, Granted, Denied, Missing, Prepared, Probed, Started, Captured, Done, Failed, Note, Pong, Stopping,
        Setup, Block, Ready, FrameWritten, BlockDone, BlockFailed,
    )
}  # fmt: skip


def encode(message: Message) -> bytes:
    """One line, newline included."""
    plain = {"t": type(message).__name__.lower(), **wire.to_plain(message)}
    line = json.dumps(plain, separators=(",", ":")).encode() + b"\n"
    if len(line) > LINE_LIMIT_BYTES:
        raise ProtocolError(f"{plain['t']}: message of {len(line)} bytes is over the limit of {LINE_LIMIT_BYTES}")
    return line


def decode(line: bytes) -> Message:
    """The message on one line; ProtocolError on anything else, with the start of what came instead."""
    if len(line) > LINE_LIMIT_BYTES:
        raise ProtocolError(f"line of {len(line)} bytes is over the limit of {LINE_LIMIT_BYTES}")
    try:
        plain = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not a JSON line: {line[:80]!r}") from error
    kind = _KINDS.get(str(plain.pop("t", None))) if isinstance(plain, dict) else None
    if kind is None:
        raise ProtocolError(f"not a message: {line[:80]!r}")
    try:
        return wire.from_plain(kind, plain)
    except wire.WireError as error:
        raise ProtocolError(str(error)) from error


def with_mode(spec: RenderSpec, mode: CaptureMode) -> RenderSpec:
    """`spec` captured in `mode`."""
    return dataclasses.replace(spec, mode=mode)
