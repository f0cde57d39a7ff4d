"""One row per output format: how its frames are stored, encoded, joined and wrapped. Pure: no I/O.

A new format is a new row, a golden argument list in tests/test_encode.py, and nothing else.
"""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from capture.protocol import ImageFormat
from fleet.errors import ConfigError
from fleet.model import Quality

# FFmpeg options by name without the dash; a value may be any scalar that FFmpeg reads.
Options = Mapping[str, str | int]

# x264 gives other bytes for another number of threads, so the number is part of the output: never the core count.
# Four serve a laptop and lose no quality: 1080p medium on two cores is 20 frames/s with 1, 34 with 2, 37 with 4 or 6.
ENCODER_THREADS = 4
# Browsers show a GIF whose frames last less than two hundredths of a second at a tenth of its speed.
GIF_FPS_MAX = Fraction(30)
LIMITED_709 = ("tv", "bt709", "bt709", "bt709")  # range, matrix, primaries, transfer


class Joining(enum.Enum):
    """How segments become the output."""

    CONCAT = "concat"  # encoded segments are copied one after the other, and the sound beside them
    PALETTE = "palette"  # stills become one animation with one palette
    FOLDER = "folder"  # stills become files of a folder, the sound one more


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """How the mixed sound is encoded and wrapped before it is joined to the frames."""

    encoder: str
    suffix: str
    container: str
    options: Options
    # What the container's own numbers may differ from the video's length by.
    tolerance_s: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """Everything that differs between output formats."""

    suffix: str
    container: str  # FFmpeg's name of the muxer
    joining: Joining = Joining.CONCAT
    encoder: str  # must be compiled into FFmpeg
    codec: str = ""  # what `--codec` calls it, for containers that take several
    pixel_format: str
    read_as: str  # what ffprobe says of that pixel format in this container
    colour: tuple[str, str, str, str] | None = LIMITED_709  # None: the format has no tags for it
    tick_s: Fraction | None = None  # what the container rounds times to; None: it keeps ours exactly
    image: ImageFormat
    has_alpha: bool = False  # frames are captured over nothing instead of white
    jpeg_quality: Mapping[Quality, int]
    video: Callable[[Quality, int], Options]  # quality, frames per GOP -> encoder options
    crf_max: int | None = None  # None: neither `--crf` nor `--bitrate` means anything to it
    fps_max: Fraction | None = None
    sound: Sound | None  # None: a format without sound
    mux: Options

    @property
    def keeps_stills(self) -> bool:
        """Whether segments hold the captured stills themselves, to be encoded when all are there, or never."""
        return self.joining is not Joining.CONCAT

    def lead_frames(self, quality: Quality) -> int:
        """By how many frames decoding goes ahead of showing; two where B-frames refer to each other, as x264's do."""
        return 2 if self.video(quality, 1).get("bf") else 0

    @property
    def segment_container(self) -> str:
        """FFmpeg's name of the muxer of segments; QuickTime holds anything and keeps exact times."""
        return "mov" if self.keeps_stills else self.container

    @property
    def segment_suffix(self) -> str:
        """Of one segment's file."""
        return ".mov" if self.keeps_stills else self.suffix

    @property
    def is_subsampled(self) -> bool:
        """Whether two by two pixels share a colour, so that sizes must be even."""
        return "420" in self.pixel_format

    @property
    def encoders(self) -> tuple[str, ...]:
        """All that must be compiled into FFmpeg."""
        return (self.encoder, self.sound.encoder) if self.sound else (self.encoder,)


def _x264(quality: Quality, gop_frames: int) -> Options:
    preset, crf = _preset(quality)
    params = ["aq-mode=3"]  # spends bits on dark gradients, which titles are full of
    if quality is not Quality.DRAFT:
        params += ["aq-strength=0.8", "deblock=1,1"]
    # Segments are concatenated without re-encoding: every one is a closed GOP that carries its own headers.
    params += ["scenecut=0", "open-gop=0", "repeat-headers=1", f"keyint={gop_frames}", f"min-keyint={gop_frames}"]
    return {
        "c:v": "libx264",
        "preset": preset,
        "crf": crf,
        # As the presets have it: without, the same CRF takes 10 to 40 % more bytes, and of film more time, too.
        "bf": 0 if quality is Quality.DRAFT else 3,
        "threads": ENCODER_THREADS,
        "x264-params": ":".join(params),
    }


def _x265(quality: Quality, gop_frames: int) -> Options:
    preset, crf = _preset(quality)
    # hvc1 promises headers in the container and nowhere else; all segments have the same, so one set serves.
    params = [
        "log-level=error", "info=0", "scenecut=0", "open-gop=0", "bframes=0", f"keyint={gop_frames}",
        f"min-keyint={gop_frames}", f"pools={ENCODER_THREADS}", "frame-threads=2",
    ]  # fmt: skip
    return {"c:v": "libx265", "preset": preset, "crf": crf, "tag:v": "hvc1", "x265-params": ":".join(params)}


def _vp9(quality: Quality, gop_frames: int) -> Options:
    deadline, effort = {
        Quality.DRAFT: ("realtime", 5),
        Quality.STANDARD: ("good", 4),
        Quality.HIGH: ("good", 2),
    }[quality]
    return {
        "c:v": "libvpx-vp9",
        "b:v": 0,  # by quality alone
        "crf": _preset(quality)[1],
        "deadline": deadline,
        "cpu-used": effort,
        "row-mt": 1,
        "threads": ENCODER_THREADS,
        "auto-alt-ref": 0,  # hidden frames and alpha do not go together
        "g": gop_frames,
        "keyint_min": gop_frames,
    }


def _prores(quality: Quality, gop_frames: int) -> Options:  # noqa: ARG001  one quality, every frame a key frame
    return {"c:v": "prores_ks", "profile:v": "4444", "vendor": "apl0", "threads": ENCODER_THREADS}


def _stills(quality: Quality, gop_frames: int) -> Options:  # noqa: ARG001
    return {"c:v": "copy"}


def _preset(quality: Quality) -> tuple[str, int]:
    return {
        Quality.DRAFT: ("ultrafast", 28),
        Quality.STANDARD: ("medium", 18),
        Quality.HIGH: ("slow", 15),
    }[quality]


_JPEG_QUALITY = {Quality.DRAFT: 80, Quality.STANDARD: 95, Quality.HIGH: 95}
# The sound is as long as the frames to half a sample, 10 microseconds, but an mp4 counts the length of its tracks in
# milliseconds, and that rounding is all that may be seen.
_AAC = Sound(
    encoder="aac",
    suffix=".m4a",
    container="mp4",
    options={"c:a": "aac", "b:a": "192k"},
    tolerance_s=Fraction(1, 1000),
)
# WebM counts packets of 20 ms to their end, and says beside them how much of the last one is not played.
_OPUS = Sound(
    encoder="libopus",
    suffix=".weba",
    container="webm",
    options={"c:a": "libopus", "b:a": "128k"},
    tolerance_s=Fraction(21, 1000),
)

FORMATS: Mapping[str, Format] = {
    "mp4": Format(
        suffix=".mp4",
        container="mp4",
        encoder="libx264",
        codec="h264",
        pixel_format="yuv420p",
        read_as="yuv420p",
        image=ImageFormat.JPEG,
        jpeg_quality=_JPEG_QUALITY,
        video=_x264,
        crf_max=51,
        sound=_AAC,
        mux={"movflags": "+faststart"},
    ),
    "mp4-h265": Format(
        suffix=".mp4",
        container="mp4",
        encoder="libx265",
        codec="h265",
        pixel_format="yuv420p",
        read_as="yuv420p",
        image=ImageFormat.JPEG,
        jpeg_quality=_JPEG_QUALITY,
        video=_x265,
        crf_max=51,
        sound=_AAC,
        mux={"movflags": "+faststart", "tag:v": "hvc1"},
    ),
    "webm": Format(
        suffix=".webm",
        container="webm",
        encoder="libvpx-vp9",
        pixel_format="yuva420p",
        read_as="yuva420p",
        tick_s=Fraction(1, 1000),
        image=ImageFormat.PNG,
        has_alpha=True,
        jpeg_quality=_JPEG_QUALITY,
        video=_vp9,
        crf_max=63,
        sound=_OPUS,
        mux={"metadata:s:v:0": "alpha_mode=1"},
    ),
    "mov": Format(
        suffix=".mov",
        container="mov",
        encoder="prores_ks",
        pixel_format="yuva444p10le",
        read_as="yuva444p12le",  # the decoder of 4444 gives twelve bits, whatever was put in
        image=ImageFormat.PNG,
        has_alpha=True,
        jpeg_quality=_JPEG_QUALITY,
        video=_prores,
        sound=_AAC,
        mux={"movflags": "+faststart"},
    ),
    "gif": Format(
        suffix=".gif",
        container="gif",
        joining=Joining.PALETTE,
        encoder="gif",
        pixel_format="pal8",
        read_as="bgra",
        colour=None,
        tick_s=Fraction(1, 100),
        image=ImageFormat.PNG,  # a JPEG's noise would take the palette's colours
        jpeg_quality=_JPEG_QUALITY,
        video=_stills,
        fps_max=GIF_FPS_MAX,
        sound=None,
        mux={},
    ),
    "png-sequence": Format(
        suffix=".frames",
        container="image2",
        joining=Joining.FOLDER,
        encoder="png",
        pixel_format="rgba",
        read_as="rgba",
        colour=None,
        image=ImageFormat.PNG,
        has_alpha=True,
        jpeg_quality=_JPEG_QUALITY,
        video=_stills,
        sound=_AAC,
        mux={"start_number": 1},
    ),
}
# The words of `--format`: one per container, of which the first codec is the default.
NAMES = tuple(name for name, row in FORMATS.items() if name == "mp4" or row.suffix != ".mp4")
CODECS = tuple(row.codec for row in FORMATS.values() if row.codec)


def choose(*, format: str | None, suffix: str, codec: str | None = None) -> str:  # noqa: A002  the option's word
    """The key of FORMATS by `--format`, or else by suffix, and `--codec`. ConfigError names what there is."""
    name = format or next((name for name in NAMES if FORMATS[name].suffix == suffix.lower()), None)
    if name is None:
        known = ", ".join(FORMATS[name].suffix for name in NAMES)
        raise ConfigError(
            f"--output: cannot make a `{suffix}` file" if suffix else "--output: its name has no suffix",
            remedy=f"end its name with one of {known}, or pass `--format`",
        )
    if name not in NAMES:
        raise ConfigError(f"there is no output format `{name}`", remedy=f"choose one of: {', '.join(NAMES)}")
    return name if codec is None else _with_codec(name, codec)


def check_options(name: str, *, crf: int | None, bitrate_bps: int | None, loop: int) -> None:
    """ConfigError when an option means nothing to the format `name`, or contradicts another one."""
    row = FORMATS[name]
    if crf is not None and bitrate_bps is not None:
        raise ConfigError("--crf and --bitrate exclude each other", remedy="pass the one that matters, drop the other")
    if row.crf_max is None and (crf is not None or bitrate_bps is not None):
        option = "--crf" if crf is not None else "--bitrate"
        raise ConfigError(f"{option} means nothing to `{name}`", remedy=f"drop `{option}`, or choose mp4 or webm")
    if crf is not None and row.crf_max is not None and not 0 <= crf <= row.crf_max:
        raise ConfigError(f"--crf is out of range: {crf}", remedy=f"pass 0 (best) to {row.crf_max} for `{name}`")
    if loop and row.joining is not Joining.PALETTE:
        raise ConfigError(f"--loop means nothing to `{name}`", remedy="drop `--loop`, or pass `--format gif`")


def check_fps(name: str, fps: Fraction) -> None:
    """ConfigError when the format `name` cannot play `fps`."""
    limit = FORMATS[name].fps_max
    if limit is not None and fps > limit:
        raise ConfigError(f"a {name} plays at most {limit} fps, not {fps}", remedy=f"pass `--fps {limit}` or less")


def _with_codec(name: str, codec: str) -> str:
    found = [key for key, row in FORMATS.items() if row.suffix == FORMATS[name].suffix and row.codec == codec]
    if not found:
        raise ConfigError(
            f"--codec: no `{codec}` in `{name}`", remedy=f"drop `--codec`, or write an mp4 with {' or '.join(CODECS)}"
        )
    return found[0]
