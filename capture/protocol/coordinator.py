"""What a coordinator says to an agent, as frozen values. Pure: no I/O.

A new message stands in the union of `messages` as well.
"""

from dataclasses import dataclass

from capture.protocol.values import PAGE_LIMIT_S, FrameRange, GlBackend, Limits, RenderSpec

CANARIES_MAX = 16  # they are captured before anything that counts


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

    is_fresh: bool = False  # tried now, whatever an earlier agent found with this very browser


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


@dataclass(frozen=True, slots=True)
class TryGl:
    """Asks how these backends draw these ascending frames beside SwiftShader. Answered by GlTried, or Failed.

    The bundle is there. `spec.gl` is SwiftShader.
    """

    spec: RenderSpec
    backends: tuple[GlBackend, ...]
    frames: tuple[int, ...]
    limit_s: float = PAGE_LIMIT_S  # for a page to get ready, and for one frame, if the host's own limit is not shorter

    def __post_init__(self) -> None:
        if not 0 < self.limit_s <= PAGE_LIMIT_S:
            raise ValueError(f"no time to try backends in: {self.limit_s}")
        if not 1 < len(self.frames) <= CANARIES_MAX or list(self.frames) != sorted(set(self.frames)):
            raise ValueError(f"no frames to try backends with: {self.frames[:10]}")
        if not self.backends or len(set(self.backends)) != len(self.backends):
            raise ValueError(f"no backends to try: {self.backends[:10]}")


@dataclass(frozen=True, slots=True)
class Warm:
    """Starts browsers for this spec while its bundle arrives; about so many `frames` are to come. Not answered.

    Capture of another spec ends them.
    """

    spec: RenderSpec
    frames: int


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
class Rehearse:
    """Asks what FFmpeg makes of these stills, digests of blobs that are there. Answered by Rehearsed.

    `argv` are its arguments, in which SEGMENT_OUTPUT stands for the file.
    """

    spec: RenderSpec
    argv: tuple[str, ...]
    stills: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Encode:
    """Asks to make these segments of a chunk as soon as their frames are finished.

    Each is answered by Encoded or Unencoded, unless the chunk is trimmed or ends before it is complete.
    """

    chunk: str
    attempt: int
    segments: tuple[FrameRange, ...]
    argv: tuple[str, ...]


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
class Allow:
    """Bounds how many frames of a chunk may be finished or begun before the next word of this kind; else all may be."""

    chunk: str
    attempt: int
    frames: int


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
    asks_use: bool = False  # of the host's cores


@dataclass(frozen=True, slots=True)
class Bye:
    """Ends the conversation: the agent kills its tree, deletes the run's files and exits."""
