"""Single frames as PNG files, captured on this machine the way a render captures: same agent, same verification."""

import dataclasses
import os
import shutil
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from capture import protocol
from capture.protocol import FrameRange, ImageFormat
from fleet import events, frameset, hosts, rundir, transports
from fleet import plan as planning
from fleet.composition import values
from fleet.dispatch import Dispatch
from fleet.errors import ConfigError, cause_of
from fleet.frameset import FrameSet
from fleet.model import Plan
from fleet.render import Prepared
from fleet.rundir import EventLog, RunDirectory
from fleet.schedule import Schedule
from fleet.work import Work

VERSION = 1
# Of a film of which nothing is known: its beginning, its end, and what lies between.
SPREAD = 5
# More than a person looks at; a film as stills is another thing.
STILLS_MAX = 1000


def choose(plan: Plan, *, at: str | None, frames: str | None) -> FrameSet:
    """The frames that `--at` and `--frames` name together; some evenly spread ones without either."""
    wanted = [*_at(plan, at or ""), *_frames(frames or "")]
    if not wanted:
        last = plan.frame_count - 1
        wanted = [FrameRange(index, index + 1) for index in (last * step // (SPREAD - 1) for step in range(SPREAD))]
    whole = FrameRange(0, plan.frame_count)
    if outside := [part for part in wanted if not whole.covers(part)]:
        raise ConfigError(
            f"frame {outside[0].stop - 1} is not in the composition, which has {plan.frame_count} "
            f"and lasts {float(plan.duration_s):g} s",
            remedy=f"choose frames from 0 to {plan.frame_count - 1}",
        )
    found = frameset.of(wanted)
    if len(found) > STILLS_MAX:
        raise ConfigError(f"{len(found)} stills are more than {STILLS_MAX}", remedy="choose fewer, or render a video")
    return found


def _at(plan: Plan, text: str) -> Iterator[FrameRange]:
    for part in filter(None, map(str.strip, text.split(","))):
        seconds = values.number(part)
        if seconds is None or seconds < 0:
            raise ConfigError(f"--at: `{part}` is no time", remedy="type seconds: `--at 1.5,3`")
        index = seconds * plan.fps // 1
        yield FrameRange(index, index + 1)


def _frames(text: str) -> Iterator[FrameRange]:
    for part in filter(None, map(str.strip, text.split(","))):
        if ":" in part:
            yield planning.parse_frames(part)
        elif part.isascii() and part.isdigit() and len(part) < 10:
            yield FrameRange(int(part), int(part) + 1)
        else:
            raise ConfigError(f"--frames: `{part}` is no frame", remedy="type numbers or ranges: `--frames 10,20:24`")


async def run(
    prepared: Prepared, frames: FrameSet, folder: Path, *, page_limit_s: float = protocol.PAGE_LIMIT_S
) -> dict[int, Path]:
    """Captures `frames` and writes each as `frame_000000.png`, by its number in the film, into `folder`.

    All or none: files that are there stay until every new one is verified.
    """
    state = rundir.state_root()
    folder.mkdir(parents=True, exist_ok=True)
    with rundir.output_lock(state, folder):
        plan = _still_plan(prepared.plan, frames)
        directory = rundir.create(state, rundir.new_name(planning.digest(plan)))
        captured = await _capture(prepared, plan, frames, directory, page_limit_s)
        stills = {index: _publish(captured[index], folder / name(index)) for index in sorted(captured)}
        shutil.rmtree(directory.path, ignore_errors=True)  # after a failure it stays, for its logs
    return stills


def name(index: int) -> str:
    """File name of the still of an absolute frame."""
    return protocol.frame_name(index, ImageFormat.PNG)


def plain(plan: Plan, stills: Mapping[int, Path]) -> dict[str, Any]:
    """What `snapshot --json` prints."""
    listed = [
        {"frame": index, "time_s": float(Fraction(index) / plan.fps), "path": str(path)}
        for index, path in stills.items()
    ]
    return {"v": VERSION, "width": plan.width, "height": plan.height, "fps": str(plan.fps), "stills": listed}


def _still_plan(plan: Plan, frames: FrameSet) -> Plan:
    span = frames.span
    return dataclasses.replace(
        plan, frames=span, segments=planning.segments(span, plan.fps), image=ImageFormat.PNG, audio=()
    )


async def _capture(
    prepared: Prepared, plan: Plan, frames: FrameSet, directory: RunDirectory, page_limit_s: float
) -> dict[int, Path]:
    captured: dict[int, Path] = {}

    def keep(event: events.FramesVerified, chunk: FrameRange) -> None:
        for frame in event.frames:
            file = protocol.frame_name(frame.index - chunk.start, plan.image)
            captured[frame.index] = directory.chunks / event.chunk / file

    compiled = prepared.composition
    work = Work(
        plan=plan,
        bundle=prepared.bundle,
        stills=prepared.stills,
        directory=directory,
        workers=None,
        page_limit_s=page_limit_s,
        may_keep_state=compiled.may_keep_state and not compiled.videos,
    )
    schedule = Schedule(frames, hosts=[hosts.LOCAL.name])
    log = EventLog(directory.events, ())
    try:
        async with transports.dialer(directory.path, prepared.agent, (hosts.LOCAL,)) as dialer:
            await Dispatch(work, (hosts.LOCAL,), dialer=dialer, log=log, schedule=schedule, on_verified=keep).run()
    except BaseExceptionGroup as error:
        raise cause_of(error) from error
    finally:
        log.close()
    return captured


def _publish(source: Path, target: Path) -> Path:
    part = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        shutil.copyfile(source, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target
