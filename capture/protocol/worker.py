"""What an agent and its workers say to each other, over the worker's standard input and output. Pure: no I/O.

A new message stands in the union of `messages` as well.
"""

from dataclasses import dataclass, field

from capture.faults import Fault
from capture.protocol.values import PAGE_LIMIT_S, UNMEASURED, FrameFile, FrameRange, RenderSpec, Stages


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """First line to a worker: one browser, one composition. Answered by Ready or BlockFailed."""

    spec: RenderSpec
    bundle_directory: str
    profile_directory: str
    chromium: str
    chromium_args: tuple[str, ...]
    sandbox: bool
    browser_version: str = ""  # as it told its version when it was tried; another one is a fault
    blobs_directory: str | None = None  # where stills of videos are, by digest
    page_limit_s: float = PAGE_LIMIT_S
    browser_bytes: int = 0  # beyond which a browser that has grown makes room for a fresh one; 0 is no limit
    browsers: int = 1  # that may run here at once
    is_open: bool = True  # the composition is here; if not, Open tells when
    watches_scripts: bool = False  # so that one that does not end can be named; WebAssembly runs slower then


@dataclass(frozen=True, slots=True)
class Open:
    """The composition is here: load its page. Only to a worker whose Setup said that it was not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A few consecutive frames of one chunk; file names count from `offset`."""

    frames: FrameRange
    offset: int
    directory: str
    seam: int | None = None  # a frame right before these, to be drawn for its digest alone
    repeats: bool = True  # frames in which the browser sees no change may be links to the frame before


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
class Misjudged:
    """The browser saw no change up to this frame where there was one; the block is captured again in a fresh page."""

    frame: int


@dataclass(frozen=True, slots=True)
class BlockDone:
    """The block is complete, and this is what it took; the worker wants another."""

    frames: FrameRange
    stages: Stages = field(default=UNMEASURED, compare=False)


@dataclass(frozen=True, slots=True)
class BlockFailed:
    """The worker gave up and ends; frames written before stay valid."""

    fault: Fault
