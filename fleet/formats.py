"""One row per output format: how its frames are stored, encoded and wrapped. Pure: no I/O.

A new format is a new row, a golden argument list in tests/test_encode.py, and nothing else.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from capture.protocol import ImageFormat
from fleet.model import Quality

# FFmpeg options by name without the dash; a value may be any scalar that FFmpeg reads.
Options = Mapping[str, str | int]

# x264 gives other bytes for another number of threads, so the number is part of the output: never the core count.
# Four serve a laptop and lose no quality: 1080p medium on two cores is 20 frames/s with 1, 34 with 2, 37 with 4 or 6.
ENCODER_THREADS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """Everything that differs between output formats."""

    suffix: str
    container: str  # FFmpeg's name of the muxer
    encoder: str  # must be compiled into FFmpeg
    pixel_format: str
    image: ImageFormat
    jpeg_quality: Mapping[Quality, int]
    video: Callable[[Quality, int], Options]  # quality, frames per GOP -> encoder options
    audio: Options | None  # None: a format without sound
    audio_suffix: str
    mux: Options


def _x264(quality: Quality, gop_frames: int) -> Options:
    preset, crf = {
        Quality.DRAFT: ("ultrafast", 28),
        Quality.STANDARD: ("medium", 18),
        Quality.HIGH: ("slow", 15),
    }[quality]
    params = ["aq-mode=3"]  # spends bits on dark gradients, which titles are full of
    if quality is not Quality.DRAFT:
        params += ["aq-strength=0.8", "deblock=1,1"]
    # Segments are concatenated without re-encoding: every one is a closed GOP that carries its own headers.
    params += ["scenecut=0", "open-gop=0", "repeat-headers=1", f"keyint={gop_frames}", f"min-keyint={gop_frames}"]
    return {
        "c:v": "libx264",
        "preset": preset,
        "crf": crf,
        "bf": 0,  # presentation order is coding order, so timestamps can be counted instead of trusted
        "threads": ENCODER_THREADS,
        "x264-params": ":".join(params),
    }


FORMATS: Mapping[str, Format] = {
    "mp4": Format(
        suffix=".mp4",
        container="mp4",
        encoder="libx264",
        pixel_format="yuv420p",
        image=ImageFormat.JPEG,
        jpeg_quality={Quality.DRAFT: 80, Quality.STANDARD: 95, Quality.HIGH: 95},
        video=_x264,
        audio={"c:a": "aac", "b:a": "192k"},
        audio_suffix=".m4a",
        mux={"movflags": "+faststart"},
    ),
}
