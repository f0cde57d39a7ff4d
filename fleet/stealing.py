"""Where running chunks should end sooner, so that idle hosts can have their tails. Pure.

Lowering the end of a chunk costs its owner nothing. A tail costs whoever gets it one more chunk.
"""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fleet.costs import Curve
from fleet.frameset import FrameSet

# Order, first seek and last pull of one more chunk on a warm host, measured at half a second, and as much for doubt.
STEAL_COST_S = 1.0
# What is left must end this much sooner by it: predicted times are seldom better than a tenth.
STEAL_GAIN = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One running chunk: what its `host` has yet to deliver, at `speed` in average frames per second."""

    chunk: str
    host: str
    attempt: int
    speed: float
    missing: FrameSet


@dataclass(frozen=True, slots=True)
class Theft:
    """Ask `load` to end at `stop`; the tail is for `helpers`."""

    load: Load
    stop: int
    helpers: tuple[str, ...]


@dataclass(slots=True)
class _Victim:
    load: Load
    cost: float
    speed: float  # together with the helpers
    helpers: list[str]

    @property
    def ends_s(self) -> float:
        return self.cost / self.speed + (STEAL_COST_S if self.helpers else 0.0)


def thefts(loads: Sequence[Load], helpers: Mapping[str, float], curve: Curve) -> list[Theft]:
    """Each helper, the fastest first, goes to the chunk that would end last, as long as that is worth its cost."""
    victims = [_Victim(load, curve.of(load.missing), load.speed, []) for load in loads if len(load.missing) > 1]
    latest = [(-victim.ends_s, place) for place, victim in enumerate(victims)]
    heapq.heapify(latest)
    for name in sorted(helpers, key=lambda name: (-helpers[name], name)) if latest else ():
        last = victims[latest[0][1]]
        if last.cost / (last.speed + helpers[name]) + STEAL_COST_S >= last.ends_s * STEAL_GAIN:
            break  # not worth it for the slower ones either
        last.speed += helpers[name]
        last.helpers.append(name)
        heapq.heapreplace(latest, (-last.ends_s, latest[0][1]))
    return [_theft(victim, curve) for victim in victims if victim.helpers]


def _theft(victim: _Victim, curve: Curve) -> Theft:
    load = victim.load
    # The owner goes on meanwhile: it keeps what it can do until the helpers, who start later, are done.
    kept = load.speed * (victim.cost + STEAL_COST_S * (victim.speed - load.speed)) / victim.speed
    count = min(curve.count(load.missing, kept), len(load.missing) - 1)
    return Theft(load, load.missing.first(count).span.stop, tuple(victim.helpers))
