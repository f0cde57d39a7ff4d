"""What an agent says to its coordinator, as frozen values. Pure: no I/O.

A new message stands in the union of `messages` as well.
"""

from dataclasses import dataclass

from capture.faults import Fault
from capture.protocol.values import (
    UNMEASURED,
    BrowserFacts,
    CoreUse,
    FrameFile,
    FrameRange,
    HostFacts,
    Rendition,
    SegmentFile,
    Stages,
)

WORKERS_MAX = 1024  # the most that a hosts file may ask for


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


@dataclass(frozen=True, slots=True)
class GlTried:
    """Answers TryGl, one rendition for each backend."""

    renditions: tuple[Rendition, ...]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Resized:
    """A chunk has `workers` now and not `before` any more, which may have been tried; `why` is a clause for people."""

    chunk: str
    attempt: int
    before: int
    workers: int
    why: str

    def __post_init__(self) -> None:
        if not (0 < self.before <= WORKERS_MAX and 0 < self.workers <= WORKERS_MAX):
            raise ValueError(f"no numbers of workers: {self.before}, {self.workers}")


@dataclass(frozen=True, slots=True)
class Captured:
    """Frames finished since the last such message, at most FRAMES_PER_MESSAGE."""

    chunk: str
    attempt: int
    frames: tuple[FrameFile, ...]


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """Answers Rehearse: the lines in which FFmpeg names itself, and the sha256 of what it made; or `why` it did not."""

    build: tuple[str, ...]
    sha256: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A segment is made of frames that were announced before; its file lies beside theirs."""

    chunk: str
    attempt: int
    segment: SegmentFile


@dataclass(frozen=True, slots=True)
class Unencoded:
    """A segment will not be made, or not here: its frames stay."""

    chunk: str
    attempt: int
    frames: FrameRange
    why: str


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
    """Every frame of the order has been announced; `stages` is what finished blocks took."""

    chunk: str
    attempt: int
    stages: Stages = UNMEASURED


@dataclass(frozen=True, slots=True)
class Failed:
    """The chunk ended early; frames announced before stay valid."""

    chunk: str
    attempt: int
    fault: Fault
    stages: Stages = UNMEASURED


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth keeping in this host's log: `source` is page, browser, worker, agent or shell."""

    level: str
    source: str
    text: str


@dataclass(frozen=True, slots=True)
class Pong:
    """Answers Ping; `use` is what the host's cores did since that was last asked, if it was and can be said."""

    sequence: int
    use: CoreUse | None = None


@dataclass(frozen=True, slots=True)
class Stopping:
    """Last line of an agent that ends for a reason of its own."""

    reason: str
