"""What happens to a run as a whole: its start and end, and what is decided once for all of it. Pure: no I/O."""

from dataclasses import dataclass

from capture.protocol import CaptureMode, FrameFile, FrameRange, GlBackend
from fleet.events.hosts import Trait


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
class RunDraining:
    """The user wants the run to end: workers end what they have begun, nothing else begins."""


@dataclass(frozen=True, slots=True)
class SegmentEncoded:
    """One closed GOP group of the output is encoded."""

    index: int
    frames: FrameRange


@dataclass(frozen=True, slots=True, kw_only=True)
class StillsDropped:
    """The stills of an encoded segment are deleted: from here on its file, of these bytes, stands for its frames."""

    index: int
    frames: FrameRange
    size_bytes: int
    sha256: str


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
