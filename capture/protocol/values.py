"""The values that messages carry: frame ranges, the render spec, the facts of hosts and browsers. Pure: no I/O."""

import enum
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction

CORES_MAX = 8192  # what Linux itself can be built for
PATH_MAX = 1000
STEPS_MAX = 2000  # a day of samples that grow with the time that has passed is half of it
PLACE_MAX = 40
_DIGEST = re.compile(r"[0-9a-f]{64}")
# In the names of what draws WebGL on a CPU.
SOFTWARE_RENDERERS = ("swiftshader", "llvmpipe", "lavapipe", "softpipe")
EQUAL_DB = 99.0  # of pictures that are the same, whose PSNR is infinite
# What transports bring as one file; only uncompressed formats come near.
SEGMENT_LIMIT_BYTES = 64 << 20
# Stands for the output in the arguments that a host is sent.
SEGMENT_OUTPUT = "{segment}"
# How long a page may take to get ready, and for one frame: a heavy WebGL page has needed 6 s for a jump.
PAGE_LIMIT_S = 60.0


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


class GlBackend(enum.Enum):
    """What draws WebGL, and what puts layers together; one for the whole render."""

    SWIFTSHADER = "swiftshader"  # comes with Chromium, and draws the same on every CPU
    VULKAN = "vulkan"  # the host's Vulkan driver draws WebGL: Mesa's on the CPU, or that of a GPU
    GPU = "gpu"  # a GPU draws everything


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderSpec:
    """All that decides a pixel besides the browser build: equal specs give equal frames."""

    bundle: str  # sha256 of the bundle's manifest
    width: int  # CSS pixels
    height: int
    fps: Fraction
    frame_count: int  # of the whole composition, not of the rendered range
    duration_s: Fraction
    image: ImageFormat
    jpeg_quality: int
    mode: CaptureMode
    has_webgl: bool = True
    gl: GlBackend = GlBackend.SWIFTSHADER
    sequential: bool = False  # pixels depend on earlier frames: sessions step through every one from 0
    document: str = "index.html"
    scale: int = 1  # pixels a side of the picture for one CSS pixel
    is_transparent: bool = False  # pages are drawn over nothing, their own backgrounds taken away

    @property
    def image_width(self) -> int:
        """Pixels of a picture."""
        return self.width * self.scale

    @property
    def image_height(self) -> int:
        """Pixels of a picture."""
        return self.height * self.scale

    @property
    def image_pixels(self) -> int:
        """Of a whole picture."""
        return self.image_width * self.image_height


def segment_name(first: int) -> str:
    """File name of the segment whose first frame is the `first` of its chunk, counted from 0."""
    return f"segment_{first:06d}"


def frame_name(local_index: int, image: ImageFormat) -> str:
    """File name of the frame `local_index`, counted from 0 within its chunk."""
    return f"frame_{local_index:06d}.{image.value}"


@dataclass(frozen=True, slots=True)
class FrameFile:
    """One finished frame as its host announces it; `index` is absolute."""

    index: int
    size_bytes: int
    sha256: str
    took_ms: int = field(default=0, compare=False)  # since the worker's frame before it; 0 is unknown

    def __post_init__(self) -> None:
        if self.index < 0 or self.size_bytes < 0 or not _DIGEST.fullmatch(self.sha256):
            raise ValueError(f"no frame file: {self.index}, {self.size_bytes} bytes, sha256 {self.sha256[:80]!r}")


@dataclass(frozen=True, slots=True)
class FrameCost:
    """What drawing a frame takes, on average: CPU time of all processes of the browser, and wall."""

    cpu_ms: float = 0.0
    wall_ms: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendition:
    """How a GL backend draws some frames, and how SwiftShader does on the same host; `fault` says why it does not."""

    gl: GlBackend
    renderer: str = ""  # as WebGL names it
    frames: tuple[FrameFile, ...] = ()
    decibels: tuple[float, ...] = ()  # PSNR of each frame against SwiftShader's, at most EQUAL_DB
    cost: FrameCost = FrameCost()
    swiftshader: FrameCost = FrameCost()
    fault: str = ""

    def __post_init__(self) -> None:
        if len(self.decibels) != len(self.frames):
            raise ValueError(f"{len(self.decibels)} comparisons of {len(self.frames)} frames")

    @property
    def is_software(self) -> bool:
        """Whether a CPU draws."""
        return any(word in self.renderer.lower() for word in SOFTWARE_RENDERERS)

    @property
    def is_as_asked(self) -> bool:
        """Whether what draws is what the backend is tried for: another driver than SwiftShader, of a GPU if need be."""
        is_other = bool(self.renderer) and "swiftshader" not in self.renderer.lower()
        return is_other and not (self.gl is GlBackend.GPU and self.is_software)


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """One segment as its host announces it, made of `frames` that it announced before; absolute."""

    frames: FrameRange
    size_bytes: int
    sha256: str

    def __post_init__(self) -> None:
        if not 0 < self.size_bytes <= SEGMENT_LIMIT_BYTES or not _DIGEST.fullmatch(self.sha256):
            raise ValueError(f"no segment file: {self.size_bytes} bytes, sha256 {self.sha256[:80]!r}")


class Stage(enum.Enum):
    """What a worker is busy with while it captures."""

    SEEK = "seek"  # the page goes to the frame
    PAINT = "paint"  # layout and paint without a picture: what a page needs beside them, and looks for changes
    SCREENSHOT = "screenshot"
    TRANSFER = "transfer"  # reading, parsing and decoding what the browser says
    WRITE = "write"  # looking the picture over, its digest, its file


@dataclass(frozen=True, slots=True)
class Spent:
    """What one stage took: DevTools commands, and milliseconds of its worker."""

    messages: int = 0
    ms: float = 0.0

    def __post_init__(self) -> None:
        if self.messages < 0 or not 0 <= self.ms < math.inf:
            raise ValueError(f"nothing takes that: {self.messages} messages, {self.ms} ms")

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.messages + other.messages, round(self.ms + other.ms, 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """What frames took, by stage. Times of workers side by side add up: they are no wall."""

    frames: int = 0
    seek: Spent = Spent()
    paint: Spent = Spent()
    screenshot: Spent = Spent()
    transfer: Spent = Spent()
    write: Spent = Spent()

    def __post_init__(self) -> None:
        if self.frames < 0:
            raise ValueError(f"no number of frames: {self.frames}")

    def __add__(self, other: "Stages") -> "Stages":
        sums = {stage.value: getattr(self, stage.value) + getattr(other, stage.value) for stage in Stage}
        return Stages(frames=self.frames + other.frames, **sums)


UNMEASURED = Stages()


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
    cpu_model: str = ""
    ffmpeg: str | None = None  # absolute path
    cpu_vectors: tuple[str, ...] = ()  # instructions that software rasterisers choose their code by
    has_huge_pages: bool | None = None  # for memory that does not ask for them, also shared; None is not known

    def __post_init__(self) -> None:
        counts = (self.cpu_count, self.cpu_affinity, 1.0 if self.cpu_quota is None else self.cpu_quota)
        # A host that claims a billion cores would outvote all others, and be given all the frames.
        if not all(0 < count <= CORES_MAX for count in counts):
            raise ValueError(f"cores that no host has: {counts}")
        sizes = (self.memory_total_bytes, self.memory_available_bytes, self.disk_free_bytes, self.shm_bytes)
        if min(*sizes, self.fonts_count, self.memory_limit_bytes or 0) < 0:
            raise ValueError(f"sizes below zero: {sizes}")
        if not self.workspace.startswith("/") or not self.workspace.isprintable() or len(self.workspace) > PATH_MAX:
            raise ValueError(f"no absolute path: {self.workspace[:80]!r}")

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


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreUse:
    """How busy `cores` were in consecutive steps, the last of which ends as this is said.

    `busy_ms` are core-milliseconds. Who says the same `place` speaks of the same cores: two agents, or the coordinator.
    """

    place: str
    cores: float
    steps_ms: tuple[int, ...]
    busy_ms: tuple[int, ...]

    def __post_init__(self) -> None:
        if not 0 < self.cores <= CORES_MAX:
            raise ValueError(f"cores that no host has: {self.cores}")
        if len(self.steps_ms) != len(self.busy_ms) or len(self.steps_ms) > STEPS_MAX or len(self.place) > PLACE_MAX:
            raise ValueError(f"{len(self.steps_ms)} steps, {len(self.busy_ms)} of them busy, at {self.place[:80]!r}")
        if min((*self.steps_ms, 1)) < 1 or min((*self.busy_ms, 0)) < 0:
            raise ValueError("steps without length, or time that was given back")
