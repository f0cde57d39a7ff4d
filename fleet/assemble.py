"""Joins segments and sound into the output, probes it, and only then lets it take the output's name.

Nothing is encoded again. Commands and judgement are values made without I/O; only `run` starts FFmpeg.
"""

import asyncio
import os
import shutil
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import ffmpeg as graph

from fleet import encode, ffprobe, ingest, outfolder, programs
from fleet.errors import VerificationError, cause_of
from fleet.formats import FORMATS, LIMITED_709, Joining
from fleet.model import Finding, Plan, Severity

# Copying runs at disk speed; a hundredth of the slowest disk's is a hang.
START_TIMEOUT_S = 120
BYTES_PER_S_MIN = 500_000

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What the finished file must be."""

    frames: int
    fps: Fraction
    width: int
    height: int
    pixel_format: str
    has_audio: bool
    colour: tuple[str, str, str, str] | None = LIMITED_709  # None: whatever it says
    tick_s: Fraction | None = None  # what the container rounds times to
    sync_s: Fraction = Fraction(1, 1000)
    keyframes: tuple[int, ...] = ()  # frames, from 0, at which every segment begins

    @property
    def duration_s(self) -> Fraction:
        """Exact."""
        return self.frames / self.fps


@dataclass(frozen=True, slots=True)
class Delivered:
    """The output as it is on disk."""

    sha256: str
    size_bytes: int
    duration_s: Fraction


def expectation(plan: Plan, *, has_audio: bool) -> Expectation:
    """What `plan` promises."""
    row = FORMATS[plan.format]
    width, height = encode.output_size(plan)
    return Expectation(
        frames=len(plan.frames),
        fps=plan.fps,
        width=width,
        height=height,
        pixel_format=row.read_as,
        has_audio=has_audio,
        colour=row.colour,
        tick_s=row.tick_s,
        sync_s=row.sound.tolerance_s if row.sound else Fraction(0),
        keyframes=tuple(segment.start - plan.frames.start for segment in plan.segments) if not row.keeps_stills else (),
    )


def listing(segments: Sequence[str]) -> str:
    """The concat demuxer's list of `segments`, absolute paths in order."""
    quoted = ("'" + path.replace("'", r"'\''") + "'" for path in segments)
    return "ffconcat version 1.0\n" + "".join(f"file {path}\n" for path in quoted)


def commands(
    plan: Plan, segments: str, audio: str | None, output: str, *, program: str = "ffmpeg"
) -> tuple[tuple[str, ...], ...]:
    """What makes the segments listed in the file `segments`, and `audio`, the output; to be run one after the other."""
    match FORMATS[plan.format].joining:
        case Joining.CONCAT:
            return (command(plan, segments, audio, output, program=program),)
        case Joining.PALETTE:
            palette = f"{segments}.png"
            return (
                palette_command(segments, palette, program=program),
                gif_command(plan, segments, palette, output, program=program),
            )
        case Joining.FOLDER:
            return (stills_command(plan, segments, outfolder.pattern(output), program=program),)


def palette_command(segments: str, palette: str, *, program: str = "ffmpeg") -> tuple[str, ...]:
    """Finds the 256 colours that serve all frames best: one palette, so that nothing flickers."""
    # `stats_mode=diff` forgets colours: a grey still after a blue one left no grey in the palette.
    colours = graph.input(f"file:{segments}", f="concat", safe=0)["v:0"].filter(
        "palettegen", stats_mode="full", reserve_transparent=0
    )
    node = graph.output(colours, f"file:{palette}", f="image2", update=1, **{"frames:v": 1})
    return _compiled(node, program)


def gif_command(plan: Plan, segments: str, palette: str, output: str, *, program: str = "ffmpeg") -> tuple[str, ...]:
    """Draws every frame with the colours of `palette`."""
    row = FORMATS[plan.format]
    frames = graph.input(f"file:{segments}", f="concat", safe=0)["v:0"]
    # The concat demuxer adds durations in microseconds; frame N begins at N frames, exactly.
    frames = frames.filter("setpts", f"N*{plan.fps.denominator}/{plan.fps.numerator}/TB")
    colours = graph.input(f"file:{palette}")
    drawn = graph.filter([frames, colours], "paletteuse", dither="sierra2_4a")
    options: dict[str, Any] = {
        "c:v": row.encoder,
        "loop": plan.loop,
        "map_metadata": -1,
        "fflags": "+bitexact",
        "flags": "+bitexact",
        **row.mux,
        "f": row.container,
    }
    return _compiled(graph.output(drawn, f"file:{output}", **options), program)


def stills_command(plan: Plan, segments: str, pattern: str, *, program: str = "ffmpeg") -> tuple[str, ...]:
    """Writes every still as it was captured, byte for byte."""
    row = FORMATS[plan.format]
    frames = graph.input(f"file:{segments}", f="concat", safe=0)["v:0"]
    options: dict[str, Any] = {"c": "copy", "bsf:v": "setts=ts=N", **row.mux, "f": row.container}
    return _compiled(graph.output(frames, f"file:{pattern}", **options), program)


def command(plan: Plan, segments: str, audio: str | None, output: str, *, program: str = "ffmpeg") -> tuple[str, ...]:
    """Copies the segments listed in the file `segments`, and `audio`, into one file."""
    row = FORMATS[plan.format]
    streams = [graph.input(f"file:{segments}", f="concat", safe=0)["v:0"]]
    if audio is not None:
        streams.append(graph.input(f"file:{audio}")["a:0"])
    ticks = encode.timescale(plan.fps) / plan.fps if row.tick_s is None else 1 / row.tick_s / plan.fps
    options: dict[str, Any] = {
        "c": "copy",
        "bsf:v": _times(ticks, row.lead_frames(plan.quality)),
        "video_track_timescale": encode.timescale(plan.fps),
        "map_metadata": -1,
        "map_chapters": -1,
        "fflags": "+bitexact",
        **row.mux,
        "f": row.container,
    }
    return _compiled(graph.output(*streams, f"file:{output}", **options), program)


def _times(ticks: Fraction, lead_frames: int) -> str:
    """The filter that gives packet N its time: the concat demuxer adds durations in microseconds, and ours are exact.

    A frame lasts `ticks`. Packets come in the order of decoding, so where that is another one than the order of
    showing, when they are shown is rounded to frames.
    """
    if lead_frames:
        return f"setts=pts=floor(PTS/{ticks}+0.5)*{ticks}:dts=(N-{lead_frames})*{ticks}"
    return f"setts=ts=N*{ticks}" if ticks.denominator == 1 else f"setts=ts=floor(N*{ticks}+0.5)"


def judge(media: ffprobe.Media, expected: Expectation) -> tuple[Finding, ...]:
    """Every way in which `media` is not what was promised."""
    videos, sounds = media.of_kind("video"), media.of_kind("audio")
    if len(videos) != 1:
        return (_finding("streams", f"{len(videos)} video streams"),)
    video = videos[0]
    pairs: list[tuple[str, str, object, object]] = [
        ("frames", "frames", video.packets, expected.frames),
        *(_rates(video, expected) if expected.tick_s is None else ()),
        ("size", "width", video.width, expected.width),
        ("size", "height", video.height, expected.height),
        ("pixels", "pixel format", video.pixel_format, expected.pixel_format),
        ("colour", "colour", video.colour, expected.colour or video.colour),
        ("start", "start of the video", video.start_s, Fraction(0)),
        ("duration", "duration of the video", _on_tick(video.duration_s, expected), expected.duration_s),
        ("streams", "audio streams", len(sounds), int(expected.has_audio)),
    ]
    findings = [
        _finding(code, f"{what} is {_shown(found)} instead of {_shown(wanted)}")
        for code, what, found, wanted in pairs
        if found != wanted
    ]
    if expected.tick_s is None and not video.is_even:
        findings.append(_finding("times", "frames are not shown one after the other, all equally long"))
    if late := sorted(set(expected.keyframes) - set(video.keyframes)):
        findings.append(_finding("keyframes", f"no keyframe where a segment begins: frame {late[0]}"))
    return (*findings, *(finding for sound in sounds for finding in _judge_sound(sound, expected)))


async def run(plan: Plan, segments: Sequence[Path], audio: Path | None, output: Path) -> Delivered:
    """Joins `segments`, in the order of `plan.segments`, and `audio` into `output`.

    Works beside the first segment and in `<output>.part`; the caller holds the output's lock. VerificationError, or
    any other failure, leaves what was at `output` before as it was.
    """
    if len(segments) != len(plan.segments):
        raise VerificationError(
            f"{len(segments)} segments instead of {len(plan.segments)}", remedy="run again with `--resume`"
        )
    if absent := [path for path in segments if not path.exists()]:
        raise VerificationError(f"segment is absent: {absent[0]}", remedy="run again with `--resume`")
    is_folder = FORMATS[plan.format].joining is Joining.FOLDER
    part = output.with_name(f"{output.name}.part")
    concat = segments[0].with_name("segments.ffconcat")
    try:
        if is_folder:
            outfolder.recover(output)
            outfolder.discard(part)
            part.mkdir()
        concat.write_text(listing([str(path.resolve()) for path in segments]), encoding="utf-8")
        await _join(plan, segments, concat, audio, part)
        measured = asyncio.to_thread(outfolder.measure if is_folder else ingest.measure, part)
        media, (digest, size_bytes) = await _both(probe(plan, part), measured)
        if findings := judge(media, expectation(plan, has_audio=audio is not None)):
            raise VerificationError(
                f"{output} would be wrong: " + "; ".join(finding.message for finding in findings),
                remedy=findings[0].remedy,
            )
        await asyncio.to_thread(_deliver_folder if is_folder else _deliver, part, output)
    finally:
        if part.is_dir():
            outfolder.discard(part)
        part.unlink(missing_ok=True)
        concat.unlink(missing_ok=True)
        concat.with_name(f"{concat.name}.png").unlink(missing_ok=True)
    return Delivered(digest, size_bytes, len(plan.frames) / plan.fps)


async def _both(one: Coroutine[Any, Any, T], other: Coroutine[Any, Any, U]) -> tuple[T, U]:
    """What the two give, made at the same time."""
    try:
        async with asyncio.TaskGroup() as group:
            first, second = group.create_task(one), group.create_task(other)
    except BaseExceptionGroup as error:
        raise cause_of(error) from error
    return first.result(), second.result()


async def _join(plan: Plan, segments: Sequence[Path], concat: Path, audio: Path | None, part: Path) -> None:
    row = FORMATS[plan.format]
    size_bytes = sum(path.stat().st_size for path in segments)
    timeout_s = START_TIMEOUT_S + size_bytes / BYTES_PER_S_MIN
    if row.keeps_stills:
        timeout_s += encode.FRAME_TIMEOUT_S * len(plan.frames)
    sound = None if audio is None else str(audio)
    for argv in commands(plan, str(concat), sound, str(part), program=programs.find_ffmpeg().ffmpeg):
        ended = await programs.run(argv, timeout_s=timeout_s)
        # With one bad segment of many, FFmpeg complains and still ends with 0.
        if ended.code or ended.stderr:
            raise ended.error(f"joining {len(segments)} segments")
    if row.joining is Joining.FOLDER and audio is not None:
        await asyncio.to_thread(shutil.copyfile, audio, part / f"{outfolder.SOUND}{audio.suffix}")


async def probe(plan: Plan, path: Path) -> ffprobe.Media:
    """What is in the output at `path`, read to its end; VerificationError when it cannot be read."""
    if FORMATS[plan.format].joining is Joining.FOLDER:
        return await _probe_folder(plan, path)
    return await _probe_file(path)


async def _probe_folder(plan: Plan, folder: Path) -> ffprobe.Media:
    argv = ffprobe.stills_command(programs.find_ffmpeg().ffprobe, outfolder.pattern(str(folder)), plan.fps)
    found = await _probe_with(argv, folder, START_TIMEOUT_S + encode.FRAME_TIMEOUT_S * len(plan.frames))
    sounds = [await _probe_file(file) for file in folder.glob(f"{outfolder.SOUND}.*")]
    media = ffprobe.parse(found)
    return ffprobe.Media(media.duration_s, (*media.streams, *(stream for one in sounds for stream in one.streams)))


async def _probe_file(path: Path) -> ffprobe.Media:
    timeout_s = START_TIMEOUT_S + path.stat().st_size / BYTES_PER_S_MIN
    program = programs.find_ffmpeg().ffprobe
    streams, packets = await _both(
        _probe_with(ffprobe.command(program, f"file:{path}"), path, timeout_s),
        _probe_with(ffprobe.packets_command(program, f"file:{path}"), path, timeout_s),
    )
    media = ffprobe.parse(streams)
    return media.counted(ffprobe.parse_packets(packets)) if media.of_kind("video") else media


async def _probe_with(argv: tuple[str, ...], path: Path, timeout_s: float) -> bytes:
    ended = await programs.run(argv, timeout_s=timeout_s)
    if ended.code or ended.stderr:
        raise VerificationError(
            f"{path} cannot be read back: {ended.stderr.strip()}", remedy="run again with `--resume`"
        )
    return ended.stdout


def _deliver(part: Path, output: Path) -> None:
    part.replace(output)
    _flush_names(output.parent)


def _deliver_folder(part: Path, output: Path) -> None:
    _flush_names(part)
    outfolder.publish(part, output)
    _flush_names(output.parent)


def _flush_names(folder: Path) -> None:
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)  # the rename itself must survive a power cut, too
    finally:
        os.close(directory)


def _rates(video: ffprobe.Stream, expected: Expectation) -> tuple[tuple[str, str, object, object], ...]:
    return (
        ("rate", "frame rate", video.rate, expected.fps),
        ("rate", "average frame rate", video.average_rate, expected.fps),
    )


def _on_tick(found: Fraction | None, expected: Expectation) -> Fraction | None:
    """The expected duration if the container rounded it to what was found; frames over duration is the rate then."""
    is_rounded = (
        found is not None and expected.tick_s is not None and abs(found - expected.duration_s) <= expected.tick_s
    )
    return expected.duration_s if is_rounded else found


def _compiled(node: Any, program: str) -> tuple[str, ...]:
    node = node.global_args("-hide_banner", "-loglevel", "error", "-nostdin", "-xerror")
    return tuple(node.compile(cmd=program, overwrite_output=True))


def _judge_sound(sound: ffprobe.Stream, expected: Expectation) -> tuple[Finding, ...]:
    if sound.duration_s is None or sound.start_s is None:
        return (_finding("audio", "the sound has no duration"),)
    difference = sound.start_s + sound.duration_s - expected.duration_s
    if abs(sound.start_s) > expected.sync_s or abs(difference) > expected.sync_s:
        return (
            _finding(
                "audio",
                f"the sound starts at {_shown(sound.start_s)} and ends {_shown(difference)} s from the video's end",
            ),
        )
    return ()


def _finding(code: str, message: str) -> Finding:
    return Finding(
        severity=Severity.ERROR, code=f"output-{code}", message=message, remedy="run again with `--resume`"
    )  # fmt: skip


def _shown(value: object) -> str:
    if isinstance(value, Fraction):
        return str(value) if value.denominator < 10_000 else f"{float(value):.6f}"
    return "unknown" if value is None else str(value)
