"""One render in ten steps, top to bottom: read this first."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capture import cores
from capture.cores import STEP_MS_MIN, CoreMeter
from capture.protocol import FrameRange
from fleet import (
    agentzip,
    assemble,
    audio,
    bundle,
    composition,
    costs,
    events,
    findings,
    frameset,
    hints,
    measure,
    memory,
    programs,
    rehearsal,
    renditions,
    report,
    resume,
    rundir,
    scenes,
    sentences,
    stills,
    transports,
    usefulness,
    video,
)
from fleet import plan as planning
from fleet.agentzip import AgentZip
from fleet.dispatch import Dispatch
from fleet.errors import CompositionError, ExitCode, FleetError, cause_of
from fleet.formats import FORMATS
from fleet.halt import Halt
from fleet.headstart import HeadStart
from fleet.model import Bundle, Composition, Plan, Severity
from fleet.pipeline import Pipeline
from fleet.rehearsal import Rehearsal
from fleet.request import Request
from fleet.returns import Returns
from fleet.rundir import EventLog, RunDirectory
from fleet.schedule import Schedule
from fleet.work import Work

Reader = Callable[[events.Record], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A request read, compiled, bundled and planned: nothing is fetched after this, and no host is needed before."""

    composition: Composition
    bundle: Bundle
    stills: stills.Stills
    agent: AgentZip
    plan: Plan
    head: HeadStart | None = None  # what this machine's agent has done meanwhile


def prepare(request: Request, head: HeadStart | None = None) -> Prepared:
    """Steps 1 to 3: composition, plan, bundle. Raises CompositionError or ConfigError; needs no host."""
    cache = rundir.cache_root()
    programs.find_ffmpeg()
    agent = head.zip if head else agentzip.build(cache / "agents")
    ruler = measure.Ruler.among(agent, request.hosts, page_limit_s=request.page_limit_s)
    compiled = composition.read(
        request.composition,
        variables=request.variables,
        placeholders=request.placeholders,
        cache=cache,
        substitute_fonts=request.substitute_fonts,
        measure=ruler,
        listen=ruler.volumes,
    )
    plan = planning.make(
        compiled,
        "",
        agent.sha256,
        fps=request.fps,
        frames=request.frames,
        format=request.format,
        quality=request.quality,
        crf=request.crf,
        bitrate_bps=request.bitrate_bps,
        resolution=request.resolution,
        loop=request.loop,
        sequential=request.sequential,
    )
    # Sequential pages go through the frames before the first one, too, and may come to be known as such only later.
    keeps_state = plan.sequential or compiled.may_keep_state
    frames = FrameRange(0, plan.frames.stop) if keeps_state else plan.frames
    extracted = asyncio.run(video.extract(compiled.videos, frames=frames, fps=plan.fps, cache=cache / "stills"))
    compiled = dataclasses.replace(compiled, findings=(*compiled.findings, *extracted.findings))
    findings.refuse(compiled.findings, strict=request.strict, strict_variables=request.strict_variables)
    table = {stills.TABLE: extracted.stills.table()} if compiled.videos else {}
    bundled = bundle.build(compiled, cache / "bundles", extra=table)
    plan = dataclasses.replace(plan, bundle=bundled.digest)
    return Prepared(composition=compiled, bundle=bundled, stills=extracted.stills, agent=agent, plan=plan, head=head)


def preview(request: Request, prepared: Prepared, *, more_hosts: int | None = None) -> dict[str, Any]:
    """What `run` would do, with no host touched: the plan, the hosts, the findings; the time with `more_hosts`."""
    plan = prepared.plan
    prediction = {} if more_hosts is None else {"prediction": _prediction(request, plan, more_hosts)}
    return {
        **prediction,
        "composition": prepared.composition.name,
        "output": str(request.output),
        "format": plan.format,
        "size": f"{plan.image_width}x{plan.image_height}",
        "fps": str(plan.fps),
        "frames": str(plan.frames),
        "duration_s": float(plan.output_s),
        "segments": len(plan.segments),
        "audio_tracks": len(plan.audio),
        "bundle": {
            "digest": prepared.bundle.digest,
            "files": len(prepared.bundle.blobs),
            "size_bytes": sum(blob.size_bytes for blob in prepared.bundle.blobs),
        },
        "plan": planning.digest(plan),
        "hosts": [host.name for host in request.hosts],
        "findings": [f"{finding.severity.value}: {finding.message}" for finding in prepared.composition.findings],
    }


def _prediction(request: Request, plan: Plan, more: int) -> str:
    """Predicted capture times in one line for people, from what earlier runs of the composition measured."""
    known = memory.read(memory.path(rundir.cache_root(), plan), plan.frames)
    speeds = [known.speeds[host.name] for host in request.hosts if host.name in known.speeds]
    if not speeds:
        return "no prediction: no host's speed is known yet, render this composition once"
    now_s, then_s = (usefulness.with_more(len(plan.frames), speeds, count) for count in (0, more))
    now, then = sentences.duration(now_s), sentences.duration(then_s)
    measured = f"{sentences.plural(len(speeds), 'host')}, {sum(speeds):.1f} frames/s together"
    return f"capture: {now} with {measured}; {then} with {more:+d} average ones"


async def run(
    request: Request, prepared: Prepared, readers: Sequence[Reader], halt: Halt | None = None
) -> dict[str, Any]:
    """Steps 4 to 10; the report, or the FleetError that says why not. An earlier output survives every failure.

    `halt` is how a user stops it on the way.
    """
    halt = halt or Halt()
    request.output.parent.mkdir(parents=True, exist_ok=True)
    with rundir.output_lock(rundir.state_root(), request.output):
        directory, history = _open_run(request, prepared)
        parts = scenes.between(prepared.composition.cuts_s, prepared.plan.fps, prepared.plan.frames)
        schedule = _schedule(request, prepared, directory, history, parts)
        started = _started(request, prepared, directory, schedule, is_resumed=bool(history))
        with _logged(started, prepared.composition, directory, history, readers, halt) as log:
            if request.allow_mixed and len(parts) == 1:
                log.emit(
                    events.Warned("--allow-mixed", "the composition has one scene, which one class of hosts draws")
                )
            async with _measured(log):
                delivered = await _render(request, prepared, directory, history, schedule, log, halt)
            log.emit(_success(request, delivered))
        if not request.keep:
            directory.drop_frames()
        return report.fold(rundir.each_event(directory.events))


async def _render(
    request: Request,
    prepared: Prepared,
    directory: RunDirectory,
    history: list[events.Record],
    schedule: Schedule,
    log: EventLog,
    halt: Halt,
) -> assemble.Delivered:
    plan = prepared.plan
    pipeline = Pipeline(plan, directory, log.emit, halt, keeps_stills=request.keep)
    early = prepared.head.early if prepared.head else None
    for chunk, (frames, stored) in schedule.stored.items():
        pipeline.add(chunk, frames, stored - frameset.of(schedule.encoded[chunk]))
        for segment in schedule.encoded[chunk]:
            pipeline.receive(chunk, frames, segment)
    work = Work(
        plan=plan,
        bundle=prepared.bundle,
        stills=prepared.stills,
        directory=directory,
        workers=request.workers,
        busy=request.busy,
        strict=request.strict,
        page_limit_s=request.page_limit_s,
        gl_frames=renditions.shown(prepared.composition, plan),
        may_keep_state=prepared.composition.may_keep_state,
        allow_mixed=request.allow_mixed,
        rehearsal=await _rehearse(request, plan, directory),
        waiting_bytes=pipeline.waiting_bytes,
        room_for=pipeline.room if _is_throttled(request) else None,
    )
    try:
        async with (
            asyncio.TaskGroup() as group,
            transports.dialer(directory.path, prepared.agent, request.hosts, early=early) as dialer,
        ):
            group.create_task(programs.require_encoders(FORMATS[plan.format].encoders))
            segments = group.create_task(pipeline.run())
            sound = group.create_task(_mix(plan, directory, log, strict=request.strict))
            dispatch = Dispatch(
                work,
                request.hosts,
                dialer=dialer,
                log=log,
                schedule=schedule,
                on_verified=pipeline.add_verified,
                on_retracted=pipeline.retract,
                settled=pipeline.settled,
                on_dropped=pipeline.drop,
                history=history,
                halt=halt,
            )
            await dispatch.run(resume.fixed_browser(history))
            pipeline.close()
            remembered = memory.path(rundir.cache_root(), plan)
            known = memory.read(remembered, plan.frames)
            memory.write(remembered, rundir.each_event(directory.events), schedule.speeds, known)
    except BaseExceptionGroup as error:
        raise cause_of(error) from error
    finally:
        for warned in work.page_notes.warnings():
            log.emit(warned)
    return await assemble.run(plan, segments.result(), sound.result(), request.output)


def _is_throttled(request: Request) -> bool:
    """Whether all frames are captured on the cores that this process encodes them with.

    Other hosts could do one's work while it waits. A host that encodes needs whole segments, and bounds itself.
    """
    return [host.transport for host in request.hosts] == ["local"] and request.returns is not Returns.SEGMENTS


async def _rehearse(request: Request, plan: Plan, directory: RunDirectory) -> Rehearsal | None:
    """What hosts make before they encode anything that counts; None where they return frames."""
    if request.returns is Returns.FRAMES:
        return None
    return await rehearsal.make(plan, request.returns, directory.rehearsal)


async def _mix(plan: Plan, directory: RunDirectory, log: EventLog, *, strict: bool) -> Path | None:
    mixed = await audio.mix(plan, directory.segments)
    if strict and mixed.warnings:
        raise CompositionError("\n".join(mixed.warnings), remedy="mend the sound, or render without `--strict`")
    for warning in mixed.warnings:
        log.emit(events.Warned("audio", warning))
    log.emit(events.AudioMixed(mixed.tracks))
    return mixed.file


def _open_run(request: Request, prepared: Prepared) -> tuple[RunDirectory, list[events.Record]]:
    """The run's directory and its history: empty for a fresh run, or what `--resume` goes on from."""
    root, digest = rundir.state_root(), planning.digest(prepared.plan)
    found = rundir.find_unfinished(root, digest, str(request.output)) if request.resume else None
    directory = found or rundir.create(root, prepared.head.run if prepared.head else rundir.new_name(digest))
    directory.write_plan(planning.to_json(prepared.plan))
    return directory, rundir.read_events(directory.events)


def _started(
    request: Request, prepared: Prepared, directory: RunDirectory, schedule: Schedule, *, is_resumed: bool
) -> events.RunStarted:
    plan = prepared.plan
    return events.RunStarted(
        run=directory.name,
        composition=prepared.composition.name,
        output=str(request.output),
        plan=planning.digest(plan),
        frames=plan.frames,
        fps=str(plan.fps),
        width=plan.image_width,
        height=plan.image_height,
        is_resumed=is_resumed,
        kept=schedule.verified.ranges,
    )


@contextlib.contextmanager
def _logged(
    started: events.RunStarted,
    compiled: Composition,
    directory: RunDirectory,
    history: list[events.Record],
    readers: Sequence[Reader],
    halt: Halt,
) -> Iterator[EventLog]:
    """The event log from first line to last: however the run ends, its end is written down, and a report with it."""
    log = EventLog(directory.events, readers, resumed_at_s=history[-1].elapsed_s if history else 0.0)
    try:
        log.emit(started)
        for finding in compiled.findings:
            if finding.severity is Severity.WARNING:
                log.emit(events.Warned(finding.where, finding.message))
        yield log
    except FleetError as error:
        log.emit(_failure(started, error.exit_code, str(error), error.remedy))
        raise
    except asyncio.CancelledError:
        log.emit(_failure(started, halt.exit_code, "interrupted", "go on with `--resume`"))
        raise
    except Exception as error:
        log.emit(_failure(started, ExitCode.BUG, f"{type(error).__name__}: {error}", "please report this"))
        raise
    finally:
        log.close()
        directory.write_report(report.fold(rundir.each_event(directory.events)))


@contextlib.asynccontextmanager
async def _measured(log: EventLog) -> AsyncIterator[None]:
    """Has the log say at the end what the cores of this machine did meanwhile: it encodes, and may be all there is."""
    meter = CoreMeter(cores.find())

    async def measure() -> None:
        while True:
            meter.tick()
            await asyncio.sleep(STEP_MS_MIN / 1000)

    task = asyncio.create_task(measure())
    try:
        yield
    finally:
        task.cancel()
        if use := meter.take():
            log.emit(events.CoresUsed("", use))


def _failure(started: events.RunStarted, code: ExitCode, message: str, remedy: str) -> events.RunFinished:
    return events.RunFinished(exit_code=code, output=started.output, message=message, remedy=remedy)


def _success(request: Request, delivered: assemble.Delivered) -> events.RunFinished:
    return events.RunFinished(
        exit_code=ExitCode.OK,
        output=str(request.output),
        sha256=delivered.sha256,
        size_bytes=delivered.size_bytes,
    )


def _schedule(
    request: Request,
    prepared: Prepared,
    directory: RunDirectory,
    history: list[events.Record],
    parts: tuple[FrameRange, ...],
) -> Schedule:
    plan = prepared.plan
    known = memory.read(memory.path(rundir.cache_root(), plan), plan.frames)
    is_known = known.curve.source == costs.REMEMBERED
    return Schedule.replay(
        history,
        plan.frames,
        hosts=[host.name for host in request.hosts],
        chunk_frames=request.chunk_frames,
        curve=known.curve if is_known else hints.curve(prepared.composition, plan.frames, plan.fps),
        speeds=known.speeds,
        hosts_max=request.hosts_max,
        audit=request.audit,
        scenes=parts,
        absent=resume.absent_frames(directory.chunks, plan, history),
    )
