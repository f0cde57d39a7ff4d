"""Messages between coordinator, agent and worker, one JSON object a line. Pure: no I/O.

Both sides refuse lines over the limit, unknown messages and values of the wrong type.
"""

import json
from dataclasses import dataclass

from capture import wire
from capture.faults import Fault
from capture.protocol.values import PAGE_LIMIT_S, BrowserFacts, FrameFile, FrameRange, HostFacts, Limits, RenderSpec

VERSION = 1
# Bounds what a broken peer can make us buffer; the largest honest line, 1,000 captured frames, is 100 KiB.
LINE_LIMIT_BYTES = 256 * 1024
FRAMES_PER_MESSAGE = 500
DIGESTS_PER_MESSAGE = 2000
CANARIES_MAX = 16  # they are captured before anything that counts
WORKERS_MAX = 1024  # the most that a hosts file may ask for


class ProtocolError(Exception):
    """The peer said something that is not a message of this protocol."""


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
    page_limit_s: float = PAGE_LIMIT_S  # for a page to get ready, and for one frame
    owner: str = ""  # who renders, as others who want the host are told


@dataclass(frozen=True, slots=True)
class Acquire:
    """Asks for the host's render lock. Answered by Granted or Denied."""


@dataclass(frozen=True, slots=True)
class Prepare:
    """Asks for the bundle. Answered by Missing (push those blobs, ask again), Prepared, or Failed without a chunk."""

    bundle: str


@dataclass(frozen=True, slots=True)
class Offer:
    """Asks which of these blobs the host lacks, at most DIGESTS_PER_MESSAGE. Answered by Missing of no bundle."""

    digests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Probe:
    """Asks what the browser can do; needs no lock. Answered by Probed, or Failed with an empty chunk."""


@dataclass(frozen=True, slots=True)
class Examine:
    """Asks whether the last frame of each of these ranges depends on those before it. Answered by Examined, or Failed.

    The bundle is there. Ranges are ascending by their last frames, and may overlap.
    """

    spec: RenderSpec
    ranges: tuple[FrameRange, ...]


@dataclass(frozen=True, slots=True)
class Canary:
    """Asks for the digests of these ascending frames, drawn in one fresh page. Answered by Canaried, or Failed.

    The bundle is there.
    """

    spec: RenderSpec
    frames: tuple[int, ...]

    def __post_init__(self) -> None:
        if not 0 < len(self.frames) <= CANARIES_MAX or list(self.frames) != sorted(set(self.frames)):
            raise ValueError(f"no canary frames: {self.frames[:10]}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """Asks for the frames `todo` of chunk `frames`; files are numbered from `frames.start`.

    `seam` is the frame left of the first one: drawn on the way, never kept, told by Seam where it costs nothing more.
    """

    chunk: str
    attempt: int
    frames: FrameRange
    todo: tuple[FrameRange, ...]
    spec: RenderSpec
    seam: int | None = None

    def __post_init__(self) -> None:
        if not self.todo or not all(self.frames.covers(part) for part in self.todo):
            raise ValueError(f"todo {self.todo} is not inside chunk {self.frames}")
        if self.seam is not None and self.seam != min(self.todo).start - 1:
            raise ValueError(f"frame {self.seam} is not left of {self.todo}")


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stops a chunk; its finished frames stay."""

    chunk: str


@dataclass(frozen=True, slots=True)
class Trim:
    """Asks to leave a chunk's frames at or after `stop` to others. Answered by Trimmed, unless the chunk is over."""

    chunk: str
    attempt: int
    stop: int


@dataclass(frozen=True, slots=True)
class Ack:
    """These absolute frames are verified and stored here: their files may go."""

    chunk: str
    frames: tuple[FrameRange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clean:
    """Deletes what was last used before `older_than_s`. Answered by Cleaned, Failed without a chunk, or Denied.

    A trial only says what would go, and needs no lock.
    """

    older_than_s: float
    max_bytes: int | None  # that bundles may keep, however young
    is_trial: bool


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

    bundle: str  # empty in the answer to Offer
    digests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """The bundle is complete and verified on the host."""

    bundle: str


@dataclass(frozen=True, slots=True)
class Probed:
    """Answers Probe."""

    browser: BrowserFacts


@dataclass(frozen=True, slots=True)
class Examined:
    """Answers Examine: whether frames depend on those before them, and what was seen."""

    sequential: bool
    why: str
    is_repeatable: bool = True  # two loads of the page draw the same, come to in the same way


@dataclass(frozen=True, slots=True)
class Canaried:
    """Answers Canary: the first of the frames, as many as there was time for; no file is kept."""

    frames: tuple[FrameFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """Answers Clean: how many of each kind went, and the bytes that this freed."""

    runs: int
    bundles: int
    blobs: int
    agents: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """A worker's page is ready, with these warnings by code; said once for every different set of them."""

    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A chunk began: how many workers, what bound that number, and a sentence that says so."""

    chunk: str
    attempt: int
    directory: str  # of the frame files, relative to the workspace
    workers: int
    why: str

    def __post_init__(self) -> None:
        if not 0 <= self.workers <= WORKERS_MAX:
            raise ValueError(f"no number of workers: {self.workers}")


@dataclass(frozen=True, slots=True)
class Captured:
    """Frames finished since the last such message, at most FRAMES_PER_MESSAGE."""

    chunk: str
    attempt: int
    frames: tuple[FrameFile, ...]


@dataclass(frozen=True, slots=True)
class Seam:
    """What the frame left of a chunk looks like on this host; there is no file of it."""

    chunk: str
    attempt: int
    frame: FrameFile


@dataclass(frozen=True, slots=True)
class Trimmed:
    """Answers Trim: frames at or after `stop` will not come. Later than asked where workers had taken more."""

    chunk: str
    attempt: int
    stop: int


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
    blobs_directory: str | None = None  # where stills of videos are, by digest
    page_limit_s: float = PAGE_LIMIT_S
    watches_scripts: bool = False  # so that one that does not end can be named; WebAssembly runs slower then


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A few consecutive frames of one chunk; file names count from `offset`."""

    frames: FrameRange
    offset: int
    directory: str
    seam: int | None = None  # a frame right before these, to be drawn for its digest alone


@dataclass(frozen=True, slots=True)
class Ready:
    """The worker's page is loaded and ready; it settles at the first frame it is given."""

    warnings: tuple[str, ...] = ()  # codes, sorted, each once


@dataclass(frozen=True, slots=True)
class Stepped:
    """A sequential page has gone through `frame` without a picture; said now and then, as a sign of life."""

    frame: int


@dataclass(frozen=True, slots=True)
class SeamDrawn:
    """What the block's seam looks like."""

    frame: FrameFile


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


ToAgent = (
    Hello | Acquire | Prepare | Offer | Probe | Examine | Canary | Capture | Cancel | Trim | Ack | Clean | Ping | Bye
)  # fmt: skip
FromAgent = (
    Facts | Granted | Denied | Missing | Prepared | Probed | Examined | Canaried | Loaded
    | Cleaned | Started | Captured | Seam | Trimmed | Done | Failed | Note | Pong | Stopping
)  # fmt: skip
ToWorker = Setup | Block
FromWorker = Ready | Stepped | SeamDrawn | FrameWritten | BlockDone | BlockFailed | Note
Message = ToAgent | FromAgent | ToWorker | FromWorker

_KINDS: dict[str, type[Message]] = {
    kind.__name__.lower(): kind
    for kind in (
        Hello, Acquire, Prepare, Offer, Probe, Examine, Canary, Capture, Cancel, Trim, Ack, Clean, Ping, Bye,
        Facts, Granted, Denied, Missing, Prepared, Probed, Examined, Canaried, Loaded,
        Cleaned, Started, Captured, Seam, Trimmed, Done, Failed, Note, Pong, Stopping,
        Setup, Block, Ready, Stepped, SeamDrawn, FrameWritten, BlockDone, BlockFailed,
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
