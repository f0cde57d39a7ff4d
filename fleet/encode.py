"""Makes one segment: stills in, one closed GOP out, the same bytes on every coordinator with one FFmpeg build.

Commands are values made without I/O; only `run` starts FFmpeg.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg as graph

from capture import images, ivf
from capture.protocol import FrameRange, ImageFormat
from fleet import programs
from fleet.errors import VerificationError
from fleet.formats import FORMATS
from fleet.model import Plan

# 90 kHz holds every usual rate exactly, except 24000/1001.
TIMESCALE = 90000
# Generous: a 4K frame at `high` on one shared core takes about 1 s. Only a hang comes here.
START_TIMEOUT_S = 60
FRAME_TIMEOUT_S = 10
# FFmpeg learns of repeats by what comes after them. While it would wait, so many are worth one decoded picture.
REPEATS_TOLD = 16

# swscale rounds differently on each kind of CPU, and 4 values too dark, unless it is told not to.
_EXACT = "bicubic+accurate_rnd+full_chroma_int+full_chroma_inp+bitexact"
# A JPEG of Chromium's is full-range BT.601. The colorspace filter turns that into BT.709 eight times faster than an
# exact swscale (120 frames of 1080p: 0.6 against 4.8 s), within 2/255, and to the same bits on every CPU.
_JPEG_TO_709 = {
    "ispace": "bt470bg", "iprimaries": "bt709", "itrc": "bt709", "irange": "pc",
    "space": "bt709", "primaries": "bt709", "trc": "bt709", "range": "tv", "format": "yuv420p",
}  # fmt: skip
_TAGS = {"colorspace": "bt709", "color_primaries": "bt709", "color_trc": "bt709", "color_range": "tv"}
_FRAME_TAGS = {"colorspace": "bt709", "color_primaries": "bt709", "color_trc": "bt709", "range": "tv"}

# Where a frame's file is, by its absolute number; answers when it is here.
FileOf = Callable[[int], Awaitable[Path]]


def timescale(fps: Fraction) -> int:
    """Ticks per second in which every frame of `fps` lasts a whole number of ticks."""
    if (TIMESCALE / fps).denominator == 1:
        return TIMESCALE
    return fps.numerator if fps.numerator >= 10_000 else fps.numerator * 1000


def even(size: int) -> int:
    """`size` as 4:2:0 needs it: odd sizes grow by one pixel."""
    return size + size % 2


def gop_frames(segments: Iterable[FrameRange]) -> int:
    """Frames per GOP: the longest segment, for all of them, so that equal segments get equal headers."""
    return max(len(segment) for segment in segments)


def command(plan: Plan, output: str, *, program: str = "ffmpeg") -> tuple[str, ...]:
    """Encodes the stills on standard input to `output`, and says on standard output how many frames that made.

    They come as `ivf` has them: one that is shown in several frames is mostly decoded and converted only once. No
    `-frames:v`: it would hide that a damaged still was read as two, by dropping the last one.
    """
    row = FORMATS[plan.format]
    decoder = "mjpeg" if plan.image is ImageFormat.JPEG else "png"
    # Without looking ahead for a rate: frames may come slowly, and the first are to be encoded meanwhile.
    how = {"f": "image2pipe", "framerate": _rational(plan.fps)} if row.keeps_stills else {"f": "ivf", "fpsprobesize": 0}
    stream: Any = graph.input("pipe:0", **how, vcodec=decoder, err_detect="crccheck+explode")
    options: dict[str, Any] = {
        **_video(plan),
        **({} if row.keeps_stills else {**_TAGS, "pix_fmt": row.pixel_format}),
        "video_track_timescale": timescale(plan.fps),
        "map_metadata": -1,
        "fflags": "+bitexact",
        "flags": "+bitexact",
        "f": row.segment_container,
    }
    frames = stream if row.keeps_stills else _filtered(stream, plan).filter("fps", _rational(plan.fps))
    node = graph.output(frames, f"file:{output}", **options)
    node = node.global_args("-hide_banner", "-loglevel", "error", "-xerror", "-progress", "pipe:1")
    return tuple(node.compile(cmd=program, overwrite_output=True))


def parse_progress(text: str) -> int:
    """Frames that FFmpeg wrote, by the last line of its `-progress` output; 0 when it never said."""
    counts = re.findall(r"^frame=\s*(\d+)", text, re.MULTILINE)
    return int(counts[-1]) if counts else 0


async def run(plan: Plan, segment: FrameRange, frames: Sequence[Path], output: Path) -> None:
    """Encodes `frames`, one file per frame of `segment` in order, to `output`; see `stream`."""
    if len(frames) != len(segment):
        raise VerificationError(
            f"segment {segment}: {len(frames)} frame files for {len(segment)} frames",
            remedy="run again with `--resume`",
        )

    async def file_of(frame: int) -> Path:
        return frames[frame - segment.start]

    await stream(plan, segment, file_of, output)


async def stream(plan: Plan, segment: FrameRange, file_of: FileOf, output: Path) -> None:
    """Encodes the frames of `segment` to `output`, which appears whole or not at all.

    `file_of` answers when the frame is here; until then the encoder waits. VerificationError names the frame and the
    file that is absent, damaged or of the wrong size. Doing it again gives the same bytes, so a segment that exists
    never needs to be encoded again.
    """
    part = output.with_name(f"{output.name}.part")
    frames: list[Path] = []
    try:
        ended = await programs.run(
            command(plan, str(part), program=programs.find_ffmpeg().ffmpeg),
            timeout_s=START_TIMEOUT_S + FRAME_TIMEOUT_S * len(segment),
            feed=_feed(plan, segment, file_of, frames),
        )
        if ended.code > 0:
            await _name_the_damaged(plan, segment, frames)
        if ended.code:
            raise ended.error(f"segment {segment}")
        if (count := parse_progress(ended.stdout.decode(errors="replace"))) != len(segment):
            await _name_the_damaged(plan, segment, frames)
            raise VerificationError(
                f"segment {segment}: FFmpeg read {count} frames in {len(segment)} files",
                remedy="run again with `--resume`",
            )
        if FORMATS[plan.format].keeps_stills and not await _can_be_decoded(part, len(segment)):
            await _name_the_damaged(plan, segment, frames)
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)


def _video(plan: Plan) -> dict[str, str | int]:
    """What the format and the quality say, unless the user said it."""
    options = dict(FORMATS[plan.format].video(plan.quality, gop_frames(plan.segments)))
    if plan.crf is not None:
        options["crf"] = plan.crf
    if plan.bitrate_bps is not None:
        del options["crf"]
        options["b:v"] = plan.bitrate_bps
    return options


def output_size(plan: Plan) -> tuple[int, int]:
    """Pixels of the output."""
    if FORMATS[plan.format].is_subsampled:
        return even(plan.image_width), even(plan.image_height)
    return plan.image_width, plan.image_height


def _filtered(stream: Any, plan: Plan) -> Any:
    row = FORMATS[plan.format]
    width, height = output_size(plan)
    is_odd = (width, height) != (plan.image_width, plan.image_height)
    if plan.image is ImageFormat.JPEG and not is_odd:
        return stream.filter("colorspace", **_JPEG_TO_709)
    # In RGB, because padding 4:2:0 of an odd size cuts its last column off before adding two black ones.
    matrix = {"in_color_matrix": "bt601", "in_range": "pc"} if plan.image is ImageFormat.JPEG else {}
    if is_odd:
        stream = stream.filter("scale", flags=_EXACT, **matrix).filter("format", "gbrap" if row.has_alpha else "gbrp")
        stream = stream.filter("pad", width, height, 0, 0)
        stream = stream.filter(
            "fillborders", right=width - plan.image_width, bottom=height - plan.image_height, mode="smear"
        )  # fmt: skip
    to_709 = stream.filter("scale", out_color_matrix="bt709", out_range="tv", flags=_EXACT)
    converted = to_709.filter("format", row.pixel_format)
    # ProRes writes into each frame what the frame says, not what the encoder was told.
    return converted.filter("setparams", **_FRAME_TAGS) if row.has_alpha else converted


async def _feed(plan: Plan, segment: FrameRange, file_of: FileOf, frames: list[Path]) -> AsyncIterator[bytes]:
    """What the encoder reads; `frames` grows by the files that are in it."""
    keeps_stills = FORMATS[plan.format].keeps_stills
    if not keeps_stills:
        yield ivf.header(plan.image, plan.image_width, plan.image_height, plan.fps)
    shown, repeats = b"", 0
    for place, frame in enumerate(segment):
        coming = asyncio.ensure_future(file_of(frame))
        try:
            await asyncio.sleep(0)  # one that is here comes at once
            if repeats >= REPEATS_TOLD and not coming.done():
                yield ivf.packet(place - 1, shown)
                repeats = 0
            frames.append(await coming)
        finally:
            coming.cancel()
        data = await asyncio.to_thread(_read, frames[-1])
        is_repeat = data == shown and bool(data)
        if not is_repeat and (
            fault := images.fault(data, plan.image, width=plan.image_width, height=plan.image_height)
        ):
            raise _damaged(frame, frames[-1], fault)
        shown = data
        if keeps_stills:
            yield data
        elif not is_repeat or frame == segment.stop - 1:  # the last one says how long it is shown
            yield ivf.packet(place, data)
            repeats = 0
        else:
            repeats += 1


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""


async def _can_be_decoded(part: Path, count: int) -> bool:
    argv = (
        programs.find_ffmpeg().ffmpeg, "-hide_banner", "-loglevel", "error", "-nostdin", "-xerror",
        "-err_detect", "crccheck+explode", "-i", f"file:{part}", "-f", "null", "-",
    )  # fmt: skip
    ended = await programs.run(argv, timeout_s=START_TIMEOUT_S + FRAME_TIMEOUT_S * count)
    return not (ended.code or ended.stderr)


async def _name_the_damaged(plan: Plan, segment: FrameRange, frames: Sequence[Path]) -> None:
    """Decodes each file alone and raises for the first that fails; slow, and only after a failure."""
    program = programs.find_ffmpeg().ffmpeg
    decoder = "mjpeg" if plan.image is ImageFormat.JPEG else "png"
    for index, file in zip(segment, frames, strict=False):
        argv = (
            program, "-hide_banner", "-loglevel", "error", "-nostdin", "-xerror", "-err_detect", "crccheck+explode",
            "-f", "image2pipe", "-c:v", decoder, "-i", f"file:{file}", "-f", "null", "-",
        )  # fmt: skip
        ended = await programs.run(argv, timeout_s=START_TIMEOUT_S)
        if ended.code or ended.stderr:
            raise _damaged(index, file, ended.stderr.strip().splitlines()[-1] if ended.stderr else "cannot be decoded")


def _damaged(index: int, file: Path, fault: str) -> VerificationError:
    return VerificationError(
        f"frame {index} is damaged: {fault}: {file}", remedy="delete that file and run again with `--resume`"
    )


def _rational(fps: Fraction) -> str:
    return f"{fps.numerator}/{fps.denominator}"
