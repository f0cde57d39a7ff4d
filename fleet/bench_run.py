"""Renders the rounds of a benchmark, each with the command that a user would type, and times it from outside.

A process for each round, for starting one is part of what a user waits for, and nothing that an earlier round has read
or compiled is in its memory. Nor does it know how fast hosts were: it is given a cache without that, and as many frames
in each chunk. Bundles, fonts and stills are warm, here and on the hosts, after the one that warms up.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fleet import bench, events, memory, rundir
from fleet.bench import Round
from fleet.errors import ExitCode, FleetError, Interrupted, Terminated
from fleet.model import Plan

STOP_S = 30.0  # a render that is told to stop says goodbye to its hosts, which have ten seconds for it
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
REMEDY = "the same command with `run` shows more"


class Watcher(Protocol):
    """Who shows that a benchmark goes on."""

    def begin(self, number: int, chunks: int) -> None:
        """A round begins; 0 is the one that warms up."""

    def hear(self, record: events.Record) -> None:
        """Something happened in it."""

    def end(self, number: int, done: Round) -> None:
        """It is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What to measure: `options` are those of `run` that every round has, `keep` is where videos and logs stay."""

    composition: Path
    options: tuple[str, ...]
    settings: tuple[int, ...]
    iterations: int
    keep: Path | None = None


def run(asked: Asked, plan: Plan, watcher: Watcher) -> list[Round]:
    """All rounds, after one that warms up; FleetError of the first that fails, Interrupted when somebody stops it."""
    root = rundir.state_root()
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Beside the user's own runs: on another disk, frames of this machine would be copied where they are linked.
    with _heeding_signals(), tempfile.TemporaryDirectory(prefix="bench-", dir=root) as name:
        cache = _cache(Path(name))
        rounds = []
        turns = (max(asked.settings), *bench.order(asked.settings, asked.iterations))
        for number, chunks in enumerate(turns):
            folder = Path(name, "round")
            folder.mkdir()
            watcher.begin(number, chunks)
            rounds.append(_render(asked, plan, chunks, folder, cache, watcher.hear))
            watcher.end(number, rounds[-1])
            if asked.keep is not None and number:
                _keep(folder, asked.keep, f"round-{number:03}-chunks-{chunks}")
            shutil.rmtree(folder)
            shutil.rmtree(memory.path(cache / "coordinator", plan).parent, ignore_errors=True)
        return rounds[1:]


def _cache(folder: Path) -> Path:
    """A cache with all that the user's has, but not with what earlier renders measured."""
    known = rundir.cache_root()
    mine = folder / "cache" / known.name
    mine.mkdir(parents=True)
    for entry in known.iterdir():
        if entry.name != memory.FOLDER:
            (mine / entry.name).symlink_to(entry)
    return mine.parent


def _render(
    asked: Asked, plan: Plan, chunks: int, folder: Path, cache: Path, hear: Callable[[events.Record], None]
) -> Round:
    size = bench.chunk_frames(len(plan.frames), chunks)
    command = [
        *(sys.executable, "-P", "-m", "fleet", "run", str(asked.composition), *asked.options),
        *("--chunk-frames", str(size), "--output", str(folder / "video.mp4"), "--events", "-"),
    ]
    environment = os.environ | {"FLEETRENDER_CACHE": str(cache), "FLEETRENDER_STATE": str(folder / "state")}
    records: list[events.Record] = []
    first_frame_s = None
    began_s = time.monotonic()
    with (folder / "said").open("w") as said, _started(command, environment, said.fileno()) as process:
        assert process.stdout is not None
        for line in process.stdout:
            record = events.from_line(line)
            if first_frame_s is None and isinstance(record.event, events.FramesCaptured | events.FramesVerified):
                first_frame_s = time.monotonic() - began_s
            records.append(record)
            hear(record)
        code = process.wait()
    wall_s = time.monotonic() - began_s
    if code != ExitCode.OK:
        raise failure(code, (folder / "said").read_text(errors="replace"))
    return bench.round_of(chunks, records, wall_s=wall_s, first_frame_s=first_frame_s or wall_s)


@contextlib.contextmanager
def _started(command: Sequence[str], environment: dict[str, str], said: int) -> "Iterator[subprocess.Popen[str]]":
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, text=True
    )
    try:
        yield process
    finally:
        _stop(process)


def _stop(process: "subprocess.Popen[str]") -> None:
    """Ends a render that is under way, and with it all that it has started; impatience does not shorten this."""
    if process.poll() is None:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def _heeding_signals() -> Iterator[None]:
    """Ctrl+C, SIGTERM and SIGHUP become errors of ours, so that whatever is under way ends with us."""

    def stop(number: int, _: object) -> None:
        kind = Interrupted if number == signal.SIGINT else Terminated
        raise kind("interrupted", remedy="nothing of a benchmark is kept: begin again")

    before = [signal.signal(number, stop) for number in SIGNALS]
    try:
        yield
    finally:
        for number, handler in zip(SIGNALS, before, strict=True):
            signal.signal(number, handler)


def failure(code: int, said: str) -> FleetError:
    """The error that ended a round, as its own process has told it."""
    message, _, remedy = said.rpartition("error: ")[2].partition("\n\nhint: ")
    error = FleetError(message.strip() or f"a render ended with {code}", remedy=remedy.strip() or REMEDY)
    error.exit_code = ExitCode(code) if code in set(ExitCode) else ExitCode.BUG
    return error


def _keep(folder: Path, keep: Path, name: str) -> None:
    keep.mkdir(parents=True, exist_ok=True)
    (log,) = (folder / "state" / "runs").glob("*/events.jsonl")
    for source, suffix in ((folder / "video.mp4", ".mp4"), (log, ".jsonl")):
        part = keep / f"{name}.part"
        shutil.copy(source, part)
        part.replace(keep / f"{name}{suffix}")
