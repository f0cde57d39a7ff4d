"""What a benchmark says of the rounds it has rendered: one setting is a number of chunks. Pure: no I/O, no clock."""

import math
import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from capture import wire
from fleet import events, report
from fleet.errors import ConfigError
from fleet.model import Plan

VERSION = 1
CHUNKS_MAX = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """How many workers a chunk had on a host, from its start or later on, and what bound that number."""

    workers: int
    why: str


@dataclass(frozen=True, slots=True)
class Machine:
    """A host that was ready."""

    name: str
    cores: float
    browser: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One render in one setting. `wall_s` is from the command to its end, `first_frame_s` to the first captured frame.

    `chunks_s` has a time for each chunk: from its order to its last verified frame.
    """

    chunks: int
    wall_s: float
    first_frame_s: float
    chunks_s: tuple[float, ...]
    crews: tuple[Crew, ...]
    machines: tuple[Machine, ...]
    sha256: str  # of the video
    is_degraded: bool = False  # a host was lost or left out


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """All rounds with one number of chunks. Seconds, but for the ratio; `host_s` adds up a render's chunks."""

    chunks: int
    iterations: int
    best_s: float
    median_s: float
    worst_s: float
    std_s: float  # of a sample; 0 for one iteration
    worst_to_median: float
    chunk_p50_s: float
    chunk_p95_s: float
    host_s: float  # median
    host_worst_s: float
    first_frame_s: float  # median
    crews: tuple[Crew, ...]  # each different one, the most workers first
    rounds: tuple[Round, ...]


def parse_chunks(text: str) -> tuple[int, ...]:
    """The settings of `1,2,3,6`, ascending; ConfigError for anything else."""
    found = re.fullmatch(r"\d{1,6}(,\d{1,6})*", text.replace(" ", ""), re.ASCII)
    counts = sorted({int(count) for count in found[0].split(",")}) if found else []
    if not counts or counts[0] < 1 or counts[-1] > CHUNKS_MAX:
        raise ConfigError(
            f"--chunks: `{text}` is no list of numbers from 1 to {CHUNKS_MAX}", remedy="type it like `--chunks 1,2,3,6`"
        )
    return tuple(counts)


def chunk_frames(frames: int, chunks: int) -> int:
    """Frames in each of `chunks` equal ones, but for the last, which takes what is left; ConfigError if none are so."""
    size = math.ceil(frames / chunks)
    possible = math.ceil(frames / size)
    if possible != chunks:
        raise ConfigError(
            f"--chunks: {frames} frames cannot be split into {chunks} equal chunks",
            remedy=f"`{possible}` chunks of {size} frames can be had, or more `--frames`",
        )
    return size


def order(settings: Sequence[int], iterations: int) -> tuple[int, ...]:
    """The setting of each round: all of them in turn, so that a machine which gets slower is slower for all of them."""
    return tuple(settings) * iterations


def round_of(chunks: int, records: Iterable[events.Record], *, wall_s: float, first_frame_s: float) -> Round:
    """The round whose log is `records`."""
    records = list(records)
    folded = report.fold(records)
    crews = [
        record.event for record in records if isinstance(record.event, events.ChunkStarted | events.WorkersChanged)
    ]
    ready = [record.event for record in records if isinstance(record.event, events.HostReady)]
    return Round(
        chunks=chunks,
        wall_s=_rounded(wall_s),
        first_frame_s=_rounded(first_frame_s),
        chunks_s=tuple(_rounded(chunk["ended_s"] - chunk["ordered_s"]) for chunk in folded["chunks"]),
        crews=_different(Crew(workers=crew.workers, why=crew.why) for crew in crews),
        machines=tuple(dict.fromkeys(Machine(one.host, one.cores, one.browser) for one in ready)),
        sha256=folded["sha256"],
        is_degraded=folded["degraded"],
    )


def settings(rounds: Iterable[Round]) -> tuple[Setting, ...]:
    """One value for each setting, by number of chunks."""
    by_chunks: dict[int, list[Round]] = {}
    for one in rounds:
        by_chunks.setdefault(one.chunks, []).append(one)
    return tuple(_setting(chunks, some) for chunks, some in sorted(by_chunks.items()))


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of them are, on a straight line between neighbours."""
    ordered = sorted(values)
    at = share * (len(ordered) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])


def speedups(found: Sequence[Setting]) -> tuple[float, ...]:
    """How many times faster each setting is than the first, by medians."""
    return tuple(found[0].median_s / setting.median_s for setting in found)


def plain(found: Sequence[Setting], composition: str, plan: Plan) -> dict[str, Any]:
    """The result as one object: what was rendered, on which hosts, each setting, and whether all videos are equal."""
    digests = {one.sha256 for setting in found for one in setting.rounds}
    machines = dict.fromkeys(machine for setting in found for one in setting.rounds for machine in one.machines)
    rows = [
        wire.to_plain(setting) | {"speedup": _rounded(speedup)}
        for setting, speedup in zip(found, speedups(found), strict=True)
    ]
    return {
        "v": VERSION,
        "composition": composition,
        "width": plan.image_width,
        "height": plan.image_height,
        "fps": str(plan.fps),
        "frames": len(plan.frames),
        "iterations": found[0].iterations,
        "hosts": [wire.to_plain(machine) for machine in machines],
        "identical_videos": len(digests) == 1,
        "settings": rows,
    }


def _setting(chunks: int, rounds: Sequence[Round]) -> Setting:
    walls = [one.wall_s for one in rounds]
    each = [seconds for one in rounds for seconds in one.chunks_s]
    sums = [sum(one.chunks_s) for one in rounds]
    median_s = statistics.median(walls)
    return Setting(
        chunks=chunks,
        iterations=len(rounds),
        best_s=min(walls),
        median_s=_rounded(median_s),
        worst_s=max(walls),
        std_s=_rounded(statistics.stdev(walls) if len(walls) > 1 else 0.0),
        worst_to_median=_rounded(max(walls) / median_s),
        chunk_p50_s=_rounded(percentile(each, 0.5)),
        chunk_p95_s=_rounded(percentile(each, 0.95)),
        host_s=_rounded(statistics.median(sums)),
        host_worst_s=_rounded(max(sums)),
        first_frame_s=_rounded(statistics.median(one.first_frame_s for one in rounds)),
        crews=_different(crew for one in rounds for crew in one.crews),
        rounds=tuple(rounds),
    )


def _different(crews: Iterable[Crew]) -> tuple[Crew, ...]:
    return tuple(sorted(set(crews), key=lambda crew: (-crew.workers, crew.why)))


def _rounded(seconds: float) -> float:
    return round(seconds, 3)
