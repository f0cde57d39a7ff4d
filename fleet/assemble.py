"""Joins segments and sound into the output, probes it, and only then lets it take the output's name.

Nothing is encoded again. Commands and judgement are values made without I/O; only `run` starts FFmpeg.
"""

import asyncio
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg as graph

from fleet import encode, ffprobe, programs
from fleet.errors import VerificationError
from fleet.formats import FORMATS
from fleet.model import Finding, Plan, Severity

# The sound is as long as the frames to half a sample, 10 microseconds, but an mp4 counts the length of its tracks in
# milliseconds, and that rounding is all that may be seen.
SYNC_TOLERANCE_S = Fraction(1, 1000)
# Copying runs at disk speed; a hundredth of the slowest disk's is a hang.
START_TIMEOUT_S = 120
BYTES_PER_S_MIN = 500_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What the finished file must be."""

    frames: int
    fps: Fraction
    width: int
    height: int
    pixel_format: str
    has_audio: bool

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
    return Expectation(
        frames=len(plan.frames),
        fps=plan.fps,
        width=encode.even(plan.width),
        height=encode.even(plan.height),
        pixel_format=FORMATS[plan.format].pixel_format,
        has_audio=has_audio,
    )


def listing(segments: Sequence[str]) -> str:
    """The concat demuxer's list of `segments`, absolute paths in order."""
    quoted = ("'" + path.replace("'", r"'\''") + "'" for path in segments)
    return "ffconcat version 1.0\n" + "".join(f"file {path}\n" for path in quoted)


def command(plan: Plan, segments: str, audio: str | None, output: str, *, program: str = "ffmpeg") -> tuple[str, ...]:
    """Copies the segments listed in the file `segments`, and `audio`, into one file."""
    row = FORMATS[plan.format]
    streams = [graph.input(f"file:{segments}", f="concat", safe=0)["v:0"]]
    if audio is not None:
        streams.append(graph.input(f"file:{audio}")["a:0"])
    ticks = encode.timescale(plan.fps) / plan.fps
    options: dict[str, Any] = {
        "c": "copy",
        # The concat demuxer adds durations in microseconds; frame N begins at N frames, exactly.
        "bsf:v": f"setts=ts=N*{ticks}",
        "video_track_timescale": encode.timescale(plan.fps),
        "map_metadata": -1,
        "map_chapters": -1,
        "fflags": "+bitexact",
        **row.mux,
        "f": row.container,
    }
    node = graph.output(*streams, f"file:{output}", **options)
    node = node.global_args("-hide_banner", "-loglevel", "error", "-nostdin", "-xerror")
    return tuple(node.compile(cmd=program, overwrite_output=True))


def judge(media: ffprobe.Media, expected: Expectation) -> tuple[Finding, ...]:
    """Every way in which `media` is not what was promised."""
    videos, sounds = media.of_kind("video"), media.of_kind("audio")
    if len(videos) != 1:
        return (_finding("streams", f"{len(videos)} video streams"),)
    video = videos[0]
    pairs = [
        ("frames", "frames", video.packets, expected.frames),
        ("rate", "frame rate", video.rate, expected.fps),
        ("rate", "average frame rate", video.average_rate, expected.fps),
        ("size", "width", video.width, expected.width),
        ("size", "height", video.height, expected.height),
        ("pixels", "pixel format", video.pixel_format, expected.pixel_format),
        ("colour", "colour", video.colour, ("tv", "bt709", "bt709", "bt709")),
        ("start", "start of the video", video.start_s, Fraction(0)),
        ("duration", "duration of the video", video.duration_s, expected.duration_s),
        ("streams", "audio streams", len(sounds), int(expected.has_audio)),
    ]
    findings = [
        _finding(code, f"{what} is {_shown(found)} instead of {_shown(wanted)}")
        for code, what, found, wanted in pairs
        if found != wanted
    ]
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
    part = output.with_name(f"{output.name}.part")
    concat = segments[0].with_name("segments.ffconcat")
    try:
        concat.write_text(listing([str(path.resolve()) for path in segments]), encoding="utf-8")
        await _join(plan, segments, concat, audio, part)
        media = await _probe(part)
        if findings := judge(media, expectation(plan, has_audio=audio is not None)):
            raise VerificationError(
                f"{output} would be wrong: " + "; ".join(finding.message for finding in findings),
                remedy=findings[0].remedy,
            )
        delivered = await asyncio.to_thread(_deliver, part, output, len(plan.frames) / plan.fps)
    finally:
        part.unlink(missing_ok=True)
        concat.unlink(missing_ok=True)
    return delivered


async def _join(plan: Plan, segments: Sequence[Path], concat: Path, audio: Path | None, part: Path) -> None:
    argv = command(
        plan, str(concat), None if audio is None else str(audio), str(part), program=programs.find_ffmpeg().ffmpeg
    )  # fmt: skip
    size_bytes = sum(path.stat().st_size for path in segments)
    ended = await programs.run(argv, timeout_s=START_TIMEOUT_S + size_bytes / BYTES_PER_S_MIN)
    # With one bad segment of many, FFmpeg complains and still ends with 0.
    if ended.code or ended.stderr:
        raise ended.error(f"joining {len(segments)} segments")


async def _probe(part: Path) -> ffprobe.Media:
    timeout_s = START_TIMEOUT_S + part.stat().st_size / BYTES_PER_S_MIN
    argv = ffprobe.command(programs.find_ffmpeg().ffprobe, f"file:{part}", count_packets=True)
    ended = await programs.run(argv, timeout_s=timeout_s)
    if ended.code or ended.stderr:
        raise VerificationError(
            f"{part} cannot be read back: {ended.stderr.strip()}", remedy="run again with `--resume`"
        )
    return ffprobe.parse(ended.stdout)


def _deliver(part: Path, output: Path, duration_s: Fraction) -> Delivered:
    with part.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
        size_bytes = os.fstat(file.fileno()).st_size
    part.replace(output)
    directory = os.open(output.parent, os.O_RDONLY)
    try:
        os.fsync(directory)  # the rename itself must survive a power cut, too
    finally:
        os.close(directory)
    return Delivered(digest, size_bytes, duration_s)


def _judge_sound(sound: ffprobe.Stream, expected: Expectation) -> tuple[Finding, ...]:
    if sound.duration_s is None or sound.start_s is None:
        return (_finding("audio", "the sound has no duration"),)
    difference = sound.start_s + sound.duration_s - expected.duration_s
    if abs(sound.start_s) > SYNC_TOLERANCE_S or abs(difference) > SYNC_TOLERANCE_S:
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
