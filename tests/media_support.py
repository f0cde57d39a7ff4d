"""Plans, stills and tones for the tests of encoding; real files, made and read by the real FFmpeg."""

import array
import asyncio
import cmath
import contextlib
import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from capture.protocol import FrameRange, ImageFormat
from fleet import ffprobe
from fleet.model import Plan, Quality

SAMPLE_RATE = 48_000


def make_plan(count: int = 60, *, segment: int = 60, fps: Fraction = Fraction(30), **changes: Any) -> Plan:
    starts = range(0, count, segment)
    fields: dict[str, Any] = {
        "bundle": "bundle", "agent": "agent", "width": 64, "height": 36, "fps": fps, "duration_s": count / fps,
        "frame_count": count, "frames": FrameRange(0, count), "image": ImageFormat.JPEG, "jpeg_quality": 95,
        "segments": tuple(FrameRange(start, min(start + segment, count)) for start in starts),
        "has_webgl": False, "format": "mp4", "quality": Quality.DRAFT,
    }  # fmt: skip
    return Plan(**fields | changes)


def ffmpeg(*args: str, stdin: bytes | None = None) -> bytes:
    argv = ("ffmpeg", "-hide_banner", "-loglevel", "error", "-y", *args)
    return subprocess.run(argv, input=stdin, capture_output=True, check=True).stdout


def make_stills(directory: Path, count: int, *, size: str = "64x36", suffix: str = "jpg") -> list[Path]:
    """A moving test picture as Chromium stores it: full-range BT.601 4:2:0 JPEG, or PNG."""
    directory.mkdir(exist_ok=True)
    picture = ("-f", "lavfi", "-i", f"testsrc=size={size}:rate=30:decimals=2", "-frames:v", str(count))
    pixels = ("-vf", "scale=out_range=pc:out_color_matrix=bt601", "-pix_fmt", "yuvj420p", "-q:v", "2")
    ffmpeg(*picture, *(pixels if suffix == "jpg" else ()), "-start_number", "0", f"{directory}/frame_%06d.{suffix}")
    return sorted(directory.glob(f"*.{suffix}"))


def solid(file: Path, colour: tuple[int, int, int], *, width: int = 64, height: int = 36) -> Path:
    """One still of one colour, by the definition of JFIF: BT.601, full range."""
    if file.suffix == ".png":
        raw = bytes(colour) * (width * height)
        ffmpeg(
            "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-i", "-", str(file), stdin=raw
        )  # fmt: skip
        return file
    red, green, blue = colour
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    planes = (luma, 128 + (blue - luma) / 1.772, 128 + (red - luma) / 1.402)
    areas = (width * height, -(-width // 2) * -(-height // 2), -(-width // 2) * -(-height // 2))
    raw = b"".join(bytes([min(255, round(v))]) * n for v, n in zip(planes, areas, strict=True))
    source = ("-f", "rawvideo", "-pix_fmt", "yuvj420p", "-s", f"{width}x{height}", "-i", "-")
    ffmpeg(*source, "-q:v", "1", "-qmin", "1", str(file), stdin=raw)
    return file


def rgb(video: Path, *, at: tuple[int, int] = (10, 10)) -> tuple[float, float, float]:
    """Red, green and blue of one pixel of the first frame, by the definition of BT.709, limited range."""
    (found,) = rgbs(video, at)
    return found


def rgbs(video: Path, *places: tuple[int, int]) -> list[tuple[float, float, float]]:
    """The same of several pixels."""
    stream = probe(video).of_kind("video")[0]
    raw = ffmpeg("-i", str(video), "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-")
    return [_rgb(raw, place, stream.width, stream.height) for place in places]


def _rgb(raw: bytes, at: tuple[int, int], width: int, height: int) -> tuple[float, float, float]:
    x, y = at
    area = width * height
    chroma = area + (y // 2) * (width // 2) + x // 2
    luma = (raw[y * width + x] - 16) * 255 / 219
    blueness, redness = ((raw[i] - 128) * 255 / 224 for i in (chroma, chroma + area // 4))
    red, blue = luma + 1.5748 * redness, luma + 1.8556 * blueness
    return red, (luma - 0.2126 * red - 0.0722 * blue) / 0.7152, blue


def probe(file: Path) -> ffprobe.Media:
    argv = ffprobe.command("ffprobe", str(file), count_packets=True)
    return ffprobe.parse(subprocess.run(argv, capture_output=True, check=True).stdout)


def tone(file: Path, hertz: int, *, silence_s: float = 0, sound_s: float = 1, channels: int = 1) -> Path:
    """Silence, then a sine of amplitude 1/8."""
    source = f"sine=frequency={hertz}:sample_rate=44100:duration={sound_s},adelay={round(silence_s * 1000)}"
    ffmpeg("-f", "lavfi", "-i", source, "-ac", str(channels), str(file))
    return file


def pcm(file: Path) -> tuple[Sequence[float], Sequence[float]]:
    """Left and right of the sound, at 48 kHz."""
    raw = ffmpeg("-i", str(file), "-map", "0:a:0", "-f", "f32le", "-ar", str(SAMPLE_RATE), "-ac", "2", "-")
    both = array.array("f", raw)
    return both[0::2], both[1::2]


def onset_s(samples: Sequence[float], *, threshold: float = 0.03) -> float:
    """When the sound becomes audible."""
    return next(i for i, value in enumerate(samples) if abs(value) > threshold) / SAMPLE_RATE


def end_s(samples: Sequence[float], *, threshold: float = 0.03) -> float:
    """When the sound was last audible."""
    return next(i for i in range(len(samples) - 1, -1, -1) if abs(samples[i]) > threshold) / SAMPLE_RATE


def strength(samples: Sequence[float], hertz: int) -> float:
    """Amplitude of one frequency in the first half second of `samples` (Goertzel)."""
    window = samples[: SAMPLE_RATE // 2]
    turn = cmath.exp(-2j * cmath.pi * hertz / SAMPLE_RATE)
    total, phase = 0j, 1 + 0j
    for value in window:
        total += value * phase
        phase *= turn
    return 2 * abs(total) / len(window)


async def wait_for_process(argument: str) -> int:
    """Pid of the process that has `argument` in its command line, as soon as it exists."""
    async with asyncio.timeout(20):
        while True:
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    argv = file.read_bytes().split(b"\0")
                    if argument.encode() in argv and Path(argv[0].decode()).name == "ffmpeg":
                        return int(file.parent.name)
            await asyncio.sleep(0.02)
