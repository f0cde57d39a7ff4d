"""What a composition cost and how fast hosts were, kept between runs: one small JSON file per bundle in the cache.

Losing the file costs balance at the start of a run, nothing else; a damaged one counts as lost.
"""

import json
import math
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from capture.protocol import FrameRange
from fleet import costs, events
from fleet.costs import FLAT, Curve
from fleet.model import Plan

VERSION = 1
FOLDER = "costs"  # of the cache
# A host is half of what it was and half of what it is now; after a season it may be another machine.
NEW_WEIGHT = 0.5
SPEED_AGE_MAX_S = 90 * 24 * 3600.0
# Frames of a stretch are measured by its typical one: a pause of the host within it says nothing of the composition.
STRETCH_FRAMES = 10
FRAME_MS_MAX = 600_000  # beyond it, a host did not say the truth


@dataclass(frozen=True, slots=True)
class Memory:
    """Costs relative to the average frame, and each host's speed in average frames per second."""

    curve: Curve = FLAT
    speeds: Mapping[str, float] = field(default_factory=dict)


def path(cache: Path, plan: Plan) -> Path:
    """The file of `plan`'s bundle; other sizes and ranges of one composition cost differently."""
    name = f"{plan.bundle[:32]}-{plan.image_width}x{plan.image_height}-{plan.fps.numerator}-{plan.fps.denominator}"
    return cache / FOLDER / f"{name}.json"


def read(file: Path, frames: FrameRange) -> Memory:
    """What is remembered for `frames`; nothing when there is no such file, or it is damaged."""
    try:
        plain = json.loads(file.read_text())
        if plain["v"] != VERSION:
            return Memory()
        known = [(FrameRange(start, stop), float(cost)) for start, stop, cost in plain["costs"]]
        newest_s = time.time() - SPEED_AGE_MAX_S
        speeds = {str(name): float(speed) for name, (speed, at_s) in plain["speeds"].items() if at_s > newest_s}
        curve = costs.curve(known, frames)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return Memory()
    return Memory(curve, {name: speed for name, speed in speeds.items() if 0 < speed < math.inf})


def write(file: Path, records: Iterable[events.Record], speeds: Mapping[str, float], before: Memory) -> None:
    """Remembers what a run measured, beside what was known of other hosts."""
    now_s = time.time()
    kept = {name: [speed, now_s] for name, speed in before.speeds.items()}
    for name, speed in speeds.items():
        old = before.speeds.get(name, speed)
        kept[name] = [old + NEW_WEIGHT * (speed - old), now_s]
    plain = {"v": VERSION, "costs": measured(records), "speeds": kept}
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(f".{os.getpid()}.tmp")
    fresh.write_text(json.dumps(plain))
    fresh.rename(file)


def measured(records: Iterable[events.Record]) -> list[tuple[int, int, float]]:
    """Milliseconds of a frame in each stretch, on a typical host, as far as hosts said them."""
    times: dict[int, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        if isinstance(record.event, events.FramesVerified):
            for frame in record.event.frames:
                if frame.took_ms > 0:
                    took_ms = min(frame.took_ms, FRAME_MS_MAX)
                    times[frame.index // STRETCH_FRAMES][record.event.host].append(took_ms)
    typical = {at: {host: statistics.median(some) for host, some in hosts.items()} for at, hosts in times.items()}
    factors = _factors(typical.values())
    return [
        (
            at * STRETCH_FRAMES,
            (at + 1) * STRETCH_FRAMES,
            statistics.fmean(ms / factors[host] for host, ms in all_.items()),
        )
        for at, all_ in sorted(typical.items())
    ]


def _factors(stretches: Iterable[Mapping[str, float]]) -> Mapping[str, float]:
    """How slow a worker of each host is, as far as hosts had stretches in common; else like the others."""
    ratios: dict[str, list[float]] = defaultdict(list)
    for stretch in stretches:
        mean = statistics.geometric_mean(stretch.values())
        for host, ms in stretch.items():
            ratios[host] += [ms / mean] if len(stretch) > 1 else []
    return {host: statistics.geometric_mean(some) if some else 1.0 for host, some in ratios.items()}
