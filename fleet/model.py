"""Every noun as a frozen value. Pure: no I/O; paths are strings here."""

import enum
from dataclasses import dataclass, field
from fractions import Fraction

from capture.protocol import FrameRange, ImageFormat, Limits


class Severity(enum.Enum):
    """An error stops the render, a warning is shown, a note is for the curious."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One judgement about a host or a composition, with what to do about it."""

    severity: Severity
    code: str  # kebab-case, stable: scripts match on it
    message: str
    remedy: str
    where: str = ""  # host name, or file:line


class Quality(enum.Enum):
    """How much to spend on encoding; `formats.py` says what each means."""

    DRAFT = "draft"
    STANDARD = "standard"
    HIGH = "high"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file of the bundle: `path` inside it (posix, relative), `file` on the coordinator's disk."""

    path: str
    file: str


@dataclass(frozen=True, slots=True)
class Level:
    """A linear gain at a moment of the composition."""

    at_s: Fraction
    gain: float


# Ascending and not empty: straight between two levels, held before the first and after the last.
Envelope = tuple[Level, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioTrack:
    """One sounding element, all times in seconds of the composition; it is as loud as `gain` times every envelope."""

    id: str
    file: str
    start_s: Fraction
    duration_s: Fraction
    media_start_s: Fraction = Fraction(0)
    rate: Fraction = Fraction(1)
    gain: float = 1.0
    envelopes: tuple[Envelope, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Footage:
    """The pictures of one media file: what decoding them must know."""

    file: str
    stream: int = 0  # among the video streams of the file
    codec: str = ""
    width: int  # as shown: square pixels, turned upright
    height: int
    is_stretched: bool = False  # its pixels are not square
    duration_s: Fraction | None = None
    has_alpha: bool = False
    matrix: str = "bt709"  # as FFmpeg's scale filter names it
    is_full_range: bool = False
    is_hdr: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoSlot:
    """One `<video>` that shows pictures; `start_s` and `duration_s` in the composition, `media_start_s` in its file."""

    id: str  # render id: one name in the whole document
    footage: Footage
    start_s: Fraction
    duration_s: Fraction
    media_start_s: Fraction = Fraction(0)
    rate: Fraction = Fraction(1)
    is_loop: bool = False
    where: str = ""  # file and line, for what is to be said about it


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """A compiled project: one self-contained document, its assets, and what the plan needs to know."""

    name: str
    document: str  # HTML
    width: int
    height: int
    duration_s: Fraction
    is_measured: bool = False  # the length is what the page said, because the root did not
    fps: Fraction | None = None  # data-fps of the root
    assets: tuple[Asset, ...] = ()
    audio: tuple[AudioTrack, ...] = ()
    videos: tuple[VideoSlot, ...] = ()
    cuts_s: tuple[Fraction, ...] = ()  # moments where something at its top level begins or ends
    has_webgl: bool = True
    gl_spans: tuple[tuple[Fraction, Fraction], ...] = ()  # seconds in which a canvas shows, where it may be WebGL's
    sequential: bool = False  # declared: frames depend on those before them
    may_keep_state: bool = True  # scripts have what frames could depend on each other by, so it is worth examining
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Blob:
    """One file of a bundle: path inside it, sha256, and where its bytes are on the coordinator."""

    path: str
    sha256: str
    size_bytes: int
    file: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """Content-addressed document and assets; `digest` is the sha256 of the manifest that lists them."""

    digest: str
    blobs: tuple[Blob, ...]  # the manifest itself is the first


class Gl(enum.Enum):
    """What may draw WebGL on a host."""

    AUTO = "auto"  # a driver of the CPU's that proves to draw the same faster, else SwiftShader
    SWIFTSHADER = "swiftshader"
    GPU = "gpu"  # a GPU, if it proves to draw the same faster


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One entry of hosts.toml after groups, ranges and defaults are resolved."""

    name: str
    transport: str = "ssh"  # a key of fleet.transports.TRANSPORTS
    address: str = ""
    port: int = 22
    user: str | None = None
    identity: str | None = None
    known_hosts: str | None = None
    ssh_config: str | None = None
    jump: "Host | None" = None
    tags: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    python: str = "python3"
    rsync: str = "rsync"
    chromium: str | None = None
    chromium_args: tuple[str, ...] = ()
    sandbox: bool = True
    gl: Gl = Gl.AUTO
    workdir: str = "~/.cache/fleetrender"
    weight: float = 1.0
    limits: Limits = field(default_factory=Limits)
    bwlimit_bytes: int | None = None  # bytes per second, pull and push
    connect_timeout_s: float = 10.0
    keepalive_s: float = 5.0
    keepalive_count: int = 3
    env: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Where the video goes and how it is encoded; `format` is a key of formats.FORMATS."""

    path: str
    format: str = "mp4"
    quality: Quality = Quality.STANDARD


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What will be captured and encoded. Independent of hosts: equal plans give equal files."""

    bundle: str
    agent: str  # sha256 of capture.pyz: the page runtime in it decides pixels
    width: int  # CSS pixels
    height: int
    fps: Fraction
    duration_s: Fraction
    frame_count: int  # of the whole composition
    frames: FrameRange  # of this render, absolute
    segments: tuple[FrameRange, ...]  # closed GOPs, absolute, contiguous, covering `frames`
    image: ImageFormat
    jpeg_quality: int
    has_webgl: bool
    format: str
    quality: Quality
    audio: tuple[AudioTrack, ...] = ()
    sequential: bool = False  # declared; what an examination finds is in the run's events
    document: str = "index.html"
    scale: int = 1  # pixels a side of the picture for one CSS pixel
    crf: int | None = None  # instead of the quality's
    bitrate_bps: int | None = None
    loop: int = 0  # of an animation: how often it plays again, 0 for ever

    @property
    def image_width(self) -> int:
        """Pixels of a captured frame."""
        return self.width * self.scale

    @property
    def image_height(self) -> int:
        """Pixels of a captured frame."""
        return self.height * self.scale

    @property
    def output_s(self) -> Fraction:
        """Exact duration of the output: frames / fps."""
        return len(self.frames) / self.fps
