"""Mixes the sound of a composition once, to exactly as many samples as the frames last.

Each track is first cut, slowed or sped up, and made stereo on its own, so that a broken one is dropped alone. What its
loudness does over time is written out sample by sample, and multiplied with it: FFmpeg's own expressions of time hold
for a block of samples each, and end at some hundred terms.
Commands are values made without I/O; only `mix` starts FFmpeg.
"""

import array
import asyncio
import bisect
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg as graph

from fleet import ffprobe, programs
from fleet.errors import ConfigError
from fleet.formats import FORMATS, Sound
from fleet.model import AudioTrack, Envelope, Plan

SAMPLE_RATE = 48_000
# FFmpeg decodes and filters sound hundreds of times faster than it plays; slower than it plays is a hang.
START_TIMEOUT_S = 60
# Samples of loudness made at once: a second of them.
BLOCK = SAMPLE_RATE
# atempo beyond these skips samples instead of blending them.
TEMPO_MIN, TEMPO_MAX = Fraction(1, 2), Fraction(2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """What one track contributes to one output, in samples."""

    start: int = 0  # in the composition
    source: int  # first sample of the file
    source_stop: int
    delay: int  # from the first sample of the output
    length: int


@dataclass(frozen=True, slots=True)
class Mix:
    """The mixed file, or None for a silent video; how many tracks are in it; a sentence for each one left out."""

    file: Path | None
    tracks: int
    warnings: tuple[str, ...] = ()


def samples(seconds: Fraction) -> int:
    """The nearest whole number of samples."""
    return round(seconds * SAMPLE_RATE)


def cue(track: AudioTrack, *, offset_s: Fraction, output_s: Fraction) -> Cue | None:
    """The part of `track` that sounds in an output of `output_s` from `offset_s` on; None when there is none."""
    start = max(track.start_s, offset_s)
    stop = min(track.start_s + track.duration_s, offset_s + output_s)
    length = samples(stop - offset_s) - samples(start - offset_s)
    if length <= 0:
        return None
    source_s = track.media_start_s + (start - track.start_s) * track.rate
    return Cue(
        start=samples(start),
        source=samples(source_s),
        source_stop=samples(source_s + (stop - start) * track.rate),
        delay=samples(start - offset_s),
        length=length,
    )


def tempos(rate: Fraction) -> tuple[Fraction, ...]:
    """Factors of `rate` that atempo renders well; none for 1."""
    factors: list[Fraction] = []
    while rate > TEMPO_MAX or rate < TEMPO_MIN:
        factors.append(TEMPO_MAX if rate > 1 else TEMPO_MIN)
        rate /= factors[-1]
    return (*factors, rate) if rate != 1 else tuple(factors)


def gains(envelopes: Sequence[Envelope], start: int, length: int) -> Iterator["array.array[float]"]:
    """The product of the envelopes at each of `length` samples, from sample `start` of the composition, in blocks."""
    corners = [[(samples(level.at_s), level.gain) for level in envelope] for envelope in envelopes]
    for first in range(start, start + length, BLOCK):
        stop = min(first + BLOCK, start + length)
        lines = [_line(levels, first, stop) for levels in corners]
        yield lines[0] if len(lines) == 1 else array.array("f", map(math.prod, zip(*lines, strict=True)))


def _line(corners: list[tuple[int, float]], first: int, stop: int) -> "array.array[float]":
    """One envelope at the samples from `first` to `stop`."""
    after = bisect.bisect_right(corners, (first, math.inf))
    until = bisect.bisect_left(corners, (stop, -math.inf))
    begin, gain = corners[after - 1] if after else (first, corners[0][1])
    line = array.array("f")
    for end, goal in [*corners[after : until + 1], (stop, corners[-1][1])]:
        count = min(end, stop) - first
        if count > 0 and goal == gain:
            line.extend([gain] * count)
        elif count > 0:
            slope = (goal - gain) / (end - begin)
            line.extend([gain + slope * (at - begin) for at in range(first, first + count)])
        first, begin, gain = max(first, min(end, stop)), end, goal
    return line


def prepare_command(
    track: AudioTrack,
    part: Cue,
    output: str,
    *,
    channels: int,
    gains: str | None = None,
    program: str = "ffmpeg",
) -> tuple[str, ...]:
    """Cuts one track to exactly its cue, as 32-bit stereo at 48 kHz with its gain applied.

    `gains` is a file of one 32-bit float per sample of the cue, by which it is multiplied as well.
    """
    sound = graph.input(f"file:{track.file}")["a:0"]
    # Fills a late or interrupted start with silence, so that counting samples is counting time.
    sound = sound.filter("aresample", SAMPLE_RATE, **{"async": 1, "first_pts": 0})
    if channels == 1:
        sound = sound.filter("channelmap", "0-FL|0-FR", "stereo")
    sound = sound.filter("aformat", sample_fmts="flt", channel_layouts="stereo")
    sound = sound.filter("atrim", start_sample=part.source, end_sample=part.source_stop)
    sound = sound.filter("asetpts", "PTS-STARTPTS")
    for tempo in tempos(track.rate):
        sound = sound.filter("atempo", float(tempo))
    sound = _exactly(sound, part.length).filter("volume", track.gain, precision="float")
    if gains is not None:
        levels = graph.input(f"file:{gains}", f="f32le", ar=SAMPLE_RATE, ac=1)["a:0"]
        levels = levels.filter("channelmap", "0-FL|0-FR", "stereo")
        sound = graph.filter([sound, levels], "amultiply")
    node = graph.output(sound, f"file:{output}", f="wav", fflags="+bitexact", **{"c:a": "pcm_f32le"})
    return _compiled(node, program)


def mix_command(
    parts: Sequence[tuple[str, Cue]], output: str, sound: Sound, *, length: int, program: str = "ffmpeg"
) -> tuple[str, ...]:
    """Adds the prepared tracks up, each at its delay, and encodes exactly `length` samples."""
    tracks = [graph.input(f"file:{file}").filter("adelay", f"{part.delay}S|{part.delay}S") for file, part in parts]
    # Normalising would make every track quieter whenever another one is added.
    mixed: Any = graph.filter(tracks, "amix", inputs=len(tracks), duration="longest", dropout_transition=0, normalize=0)
    options: dict[str, Any] = {
        **sound.options,
        "map_metadata": -1,
        "fflags": "+bitexact",
        "flags": "+bitexact",
        "f": sound.container,
    }
    return _compiled(graph.output(_exactly(mixed, length), f"file:{output}", **options), program)


async def mix(plan: Plan, directory: Path) -> Mix:
    """Mixes what sounds during the frames of `plan` into a file in `directory`; the same bytes every time.

    A track without sound is skipped; one that cannot be read is left out with a warning that names it.
    """
    sound = FORMATS[plan.format].sound
    if sound is None:
        return Mix(None, 0, _unheard(plan))
    output = directory / f"audio{sound.suffix}"
    part = output.with_name(f"{output.name}.part")
    files = {directory / f"track_{number:03d}.wav": track for number, track in enumerate(plan.audio)}
    try:
        prepared, warnings = await _prepare_all(plan, files)
        if not prepared:
            return Mix(None, 0, warnings)
        argv = mix_command(
            prepared, str(part), sound, length=samples(plan.output_s), program=programs.find_ffmpeg().ffmpeg
        )  # fmt: skip
        ended = await programs.run(argv, timeout_s=START_TIMEOUT_S + float(plan.output_s))
        if ended.code:
            raise ended.error("mixing the sound")
        part.replace(output)
    finally:
        for file in (part, *files):
            file.unlink(missing_ok=True)
    return Mix(output, len(prepared), warnings)


def _unheard(plan: Plan) -> tuple[str, ...]:
    return (f"a {plan.format} has no sound: {len(plan.audio)} tracks are left out",) if plan.audio else ()


async def _prepare_all(
    plan: Plan, files: Mapping[Path, AudioTrack]
) -> tuple[tuple[tuple[str, Cue], ...], tuple[str, ...]]:
    prepared: list[tuple[str, Cue]] = []
    warnings: list[str] = []
    for file, track in files.items():
        part = cue(track, offset_s=plan.frames.start / plan.fps, output_s=plan.output_s)
        if part is None:
            continue
        try:
            if await _prepare(track, part, file):
                prepared.append((str(file), part))
        except _Unreadable as error:
            warnings.append(str(error))
    return tuple(prepared), tuple(warnings)


async def _prepare(track: AudioTrack, part: Cue, output: Path) -> bool:
    """Writes what the track contributes; False when its file has no sound, _Unreadable when it is broken."""
    tools = programs.find_ffmpeg()
    probed = await programs.run(ffprobe.command(tools.ffprobe, f"file:{track.file}"), timeout_s=START_TIMEOUT_S)
    if probed.code:
        raise _Unreadable(track, probed)
    sounds = ffprobe.parse(probed.stdout).of_kind("audio")
    if not sounds:
        return False
    levels = await asyncio.to_thread(_write_gains, track, part, output) if track.envelopes else None
    channels = sounds[0].channels
    argv = prepare_command(track, part, str(output), channels=channels, gains=levels, program=tools.ffmpeg)
    try:
        ended = await programs.run(argv, timeout_s=START_TIMEOUT_S + part.source_stop / SAMPLE_RATE)
    finally:
        _levels_file(output).unlink(missing_ok=True)
    if ended.code and isinstance(error := ended.error(f"audio `{track.id}`"), ConfigError):
        raise error  # the disk's fault, not the track's
    if ended.code:
        raise _Unreadable(track, ended)
    return True


def _write_gains(track: AudioTrack, part: Cue, output: Path) -> str:
    file = _levels_file(output)
    with file.open("wb") as opened:
        for block in gains(track.envelopes, part.start, part.length):
            if sys.byteorder == "big":
                block.byteswap()
            block.tofile(opened)
    return str(file)


def _levels_file(output: Path) -> Path:
    return output.with_suffix(".gains")


class _Unreadable(Exception):
    def __init__(self, track: AudioTrack, ended: programs.Ended) -> None:
        last = (ended.stderr.strip().splitlines() or ["FFmpeg cannot read it"])[-1]
        super().__init__(f"audio `{track.id}` is left out: {last}: {track.file}")


def _exactly(sound: Any, length: int) -> Any:
    return sound.filter("apad", whole_len=length).filter("atrim", end_sample=length)


def _compiled(node: Any, program: str) -> tuple[str, ...]:
    node = node.global_args("-hide_banner", "-loglevel", "error", "-nostdin")
    return tuple(node.compile(cmd=program, overwrite_output=True))
