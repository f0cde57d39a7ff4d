"""Proves an output again, long after its run: the file against the log and the plan that the run left behind.

Repeats every check of the run that its remains allow; frames and segments are there only while a run is kept.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from capture.protocol import FrameFile, FrameRange
from fleet import assemble, console, encode, events, ffprobe, ingest, outfolder, programs, rundir
from fleet import plan as planning
from fleet.errors import ConfigError, VerificationError
from fleet.formats import FORMATS, Joining
from fleet.frameset import FrameSet, of
from fleet.model import Plan
from fleet.rundir import RunDirectory


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: what was seen, and what is wrong with it."""

    name: str
    seen: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Verified:
    """The checks of one run, in the order in which trust builds up: log, plan, frames, file."""

    run: str
    output: str
    checks: tuple[Check, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong; none when the output is proven."""
        return tuple(f"{check.name}: {check.problem}" for check in self.checks if check.problem)


def find(target: str, root: Path) -> RunDirectory:
    """The run that `target` means: its directory, its name, or the newest one that delivered the file `target`.

    `root` is the state directory. ConfigError when there is none.
    """
    for path in (Path(target), root / "runs" / target):
        if (path / "events.jsonl").is_file():
            return RunDirectory(path)
    output = str(Path(target).absolute())
    for path in sorted((root / "runs").glob("*"), reverse=True):
        records = rundir.read_events(path / "events.jsonl")
        if records and _delivered(records, output):
            return RunDirectory(path)
    raise ConfigError(
        f"no run is known that delivered {output}",
        remedy=f"name a finished output or a run; runs are kept in {root / 'runs'}",
    )


async def run(directory: RunDirectory) -> Verified:
    """Looks at everything; ConfigError when the run's plan is gone or damaged."""
    records = rundir.read_events(directory.events)
    start = next(record.event for record in records if isinstance(record.event, events.RunStarted))
    plan = _read_plan(directory)
    evidence = _Evidence(records)
    checks = [_log(directory, records), _plan(plan, start), _frames(plan, evidence)]
    if any(directory.chunks.iterdir()):
        checks.append(await asyncio.to_thread(_files, directory, plan, evidence))
    if segments := sorted(directory.segments.glob("segment_*")):
        checks.append(await _segments(plan, segments))
    end = records[-1].event
    if isinstance(end, events.RunFinished) and not end.exit_code:
        checks += await _output(plan, Path(end.output), end, has_audio=evidence.has_audio)
    return Verified(directory.name, start.output, tuple(checks))


class _Evidence:
    """What the log says of frames and sound."""

    def __init__(self, records: Sequence[events.Record]) -> None:
        self.chunks: dict[str, FrameRange] = {}
        self.copies: dict[int, dict[str, FrameFile]] = {}  # by frame, then by chunk
        self.encoded: set[tuple[int, str]] = set()  # frame and chunk: what came is their segment
        self.dropped = FrameSet()  # frames whose segment stands for them
        self.has_audio = False
        self._hosts: dict[tuple[int, str], str] = {}  # by frame and chunk
        for record in records:
            match record.event:
                case events.ChunkOrdered() as event:
                    self.chunks[event.chunk] = event.frames
                case events.FramesVerified() as event:
                    if event.segment is not None:
                        self.encoded |= {(frame.index, event.chunk) for frame in event.frames}
                    for frame in event.frames:
                        self.copies.setdefault(frame.index, {})[event.chunk] = frame
                        self._hosts[frame.index, event.chunk] = event.host
                case events.FramesRetracted() as event:
                    self._retract(event)
                case events.StillsDropped() as event:
                    self.dropped |= of([event.frames])
                case events.HostStruck(is_final=True) as event:
                    self._disbelieve(event.host)
                case events.AudioMixed() as event:
                    self.has_audio = event.tracks > 0
                case _:
                    pass

    def _retract(self, event: events.FramesRetracted) -> None:
        self.dropped -= of(event.frames)
        for index in of(event.frames):
            self._drop(index, event.chunk)

    def _disbelieve(self, host: str) -> None:
        """What it drew is no evidence against others who drew the same frames."""
        for (index, chunk), drawer in list(self._hosts.items()):
            if drawer == host and len(self.copies[index]) > 1:
                self._drop(index, chunk)

    def _drop(self, index: int, chunk: str) -> None:
        self._hosts.pop((index, chunk), None)
        copies = self.copies.get(index, {})
        copies.pop(chunk, None)
        if not copies:
            self.copies.pop(index, None)

    @property
    def frames(self) -> FrameSet:
        return of(FrameRange(index, index + 1) for index in self.copies)

    @property
    def disputed(self) -> list[int]:
        """Frames of which two different copies were verified."""
        return sorted(
            index for index, copies in self.copies.items() if len({file.sha256 for file in copies.values()}) > 1
        )


def _delivered(records: Sequence[events.Record], output: str) -> bool:
    end = records[-1].event
    return isinstance(end, events.RunFinished) and end.exit_code == 0 and end.output == output


def _read_plan(directory: RunDirectory) -> Plan:
    try:
        return planning.from_json(directory.plan.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{directory.plan}: {error.strerror}", remedy="render again: nothing tells what this run promised"
        ) from error


def _log(directory: RunDirectory, records: Sequence[events.Record]) -> Check:
    damaged = len(directory.events.read_text(encoding="utf-8").splitlines()) - len(records)
    end = records[-1].event
    if damaged:
        problem = f"{console.count(damaged, 'line')} cannot be read"
    elif not isinstance(end, events.RunFinished):
        problem = "it has no end: the run is going on, or was killed"
    elif end.exit_code:
        problem = f"the run ended with {end.exit_code}: {end.message}"
    else:
        problem = ""
    return Check("log", console.count(len(records), "event"), problem)


def _plan(plan: Plan, start: events.RunStarted) -> Check:
    found = planning.digest(plan)
    problem = "" if found == start.plan else f"its digest is {found[:12]}, the run began with {start.plan[:12]}"
    return Check("plan", f"{found[:12]}, {len(plan.frames)} frames at {plan.fps} fps", problem)


def _frames(plan: Plan, evidence: _Evidence) -> Check:
    twice = sum(len(copies) > 1 for copies in evidence.copies.values())
    seen = f"{len(evidence.frames)} of {len(plan.frames)} verified" + (f", {twice} of them twice" if twice else "")
    if disputed := evidence.disputed:
        return Check("frames", seen, f"two hosts drew frame {disputed[0]} differently, and {len(disputed) - 1} more")
    lacking = of([plan.frames]) - evidence.frames
    return Check("frames", seen, f"not verified: {lacking}" if lacking else "")


def _files(directory: RunDirectory, plan: Plan, evidence: _Evidence) -> Check:
    """Every captured frame that was kept, byte for byte."""
    count, problem = 0, ""
    for index, copies in sorted(evidence.copies.items()):
        if index in evidence.dropped:
            continue
        files = {chunk: file for chunk, file in copies.items() if (index, chunk) not in evidence.encoded}
        whys = [_why_bad(directory, plan, evidence.chunks[chunk], chunk, file) for chunk, file in files.items()]
        count += "" in whys
        if whys and "" not in whys:
            problem = problem or f"frame {index}: {whys[0]}"
    return Check("files", f"{console.count(count, 'frame')} as captured", problem)


def _why_bad(directory: RunDirectory, plan: Plan, frames: FrameRange, chunk: str, file: FrameFile) -> str:
    (name,) = ingest.names([file], frames, plan)
    try:
        ingest.verify(directory.chunks / chunk / name, file, plan)
    except ingest.FrameRejected as error:
        return str(error)
    return ""


async def _segments(plan: Plan, files: Sequence[Path]) -> Check:
    """Every segment that was kept has its frames, and can be decoded without the one before it."""
    problem = ""
    for index, file in enumerate(files):
        wanted = len(plan.segments[index]) if index < len(plan.segments) else 0
        argv = ffprobe.packets_command(programs.find_ffmpeg().ffprobe, f"file:{file}")
        found = ffprobe.parse_packets((await programs.run(argv, timeout_s=_patience_s(wanted))).stdout)
        if found.count != wanted or 0 not in found.keyframes:
            count, keyframes = found.count, found.keyframes[:1]
            problem = problem or f"{file.name} has {count} frames instead of {wanted}, keyframes {keyframes}"
    return Check("segments", f"{len(files)} of {len(plan.segments)}", problem)


async def _output(plan: Plan, path: Path, end: events.RunFinished, *, has_audio: bool) -> Iterable[Check]:
    if not path.exists():
        return [Check("output", str(path), "the file is gone")]
    same = await asyncio.to_thread(_bytes, plan, path, end)
    try:
        media = await assemble.probe(plan, path)
    except VerificationError as error:
        return [same, Check("streams", "none", str(error))]
    findings = assemble.judge(media, assemble.expectation(plan, has_audio=has_audio))
    kinds = ", ".join(f"{stream.codec} {stream.kind}" for stream in media.streams)
    streams = Check("streams", kinds, "; ".join(finding.message for finding in findings))
    return [same, streams, await _decoded(plan, path)]


def _bytes(plan: Plan, path: Path, end: events.RunFinished) -> Check:
    if FORMATS[plan.format].joining is Joining.FOLDER:
        digest, size_bytes = outfolder.measure(path)
    else:
        digest, size_bytes = ingest.measure(path)
    problem = "" if digest == end.sha256 else f"the run delivered {end.size_bytes} bytes, sha256 {end.sha256[:12]}"
    return Check("output", f"{size_bytes} bytes, sha256 {digest[:12]}", problem)


async def _decoded(plan: Plan, path: Path) -> Check:
    """Plays the whole file, picture and sound, as strictly as FFmpeg can."""
    program = programs.find_ffmpeg().ffmpeg
    source = ["-i", f"file:{path}"]
    if FORMATS[plan.format].joining is Joining.FOLDER:
        source = ["-f", "image2", "-framerate", str(Fraction(plan.fps)), "-start_number", "1"]
        source += ["-i", outfolder.pattern(str(path))]
    argv = [program, "-v", "error", "-nostdin", "-xerror", "-err_detect", "crccheck+explode", *source]
    argv += ["-map", "0", "-fps_mode", "passthrough", "-progress", "pipe:1", "-f", "null", "-"]
    ended = await programs.run(argv, timeout_s=_patience_s(len(plan.frames)))
    count = encode.parse_progress(ended.stdout.decode(errors="replace"))
    wanted = len(plan.frames)
    problem = ended.stderr.strip() or ("" if not ended.code else f"FFmpeg ended with {ended.code}")
    if not problem and count != wanted:
        problem = f"{count} frames came out of the decoder instead of {wanted}"
    return Check("decoding", console.count(count, "frame"), problem)


def _patience_s(frames: int) -> float:
    return encode.START_TIMEOUT_S + encode.FRAME_TIMEOUT_S * frames
