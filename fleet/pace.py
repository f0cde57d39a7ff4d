"""How fast a host captures: what its capacity promises, until its verified frames tell. Pure; time is an argument."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

# Frames arrive in bursts, one per pull; a shorter window would measure the bursts.
WINDOW_S = 2.0
# Costs change along a composition: what was measured twenty seconds ago says little about the next chunk.
MEMORY_S = 20.0
# Launching browsers and loading the page: silence that long before the first frame says nothing of the speed.
WARM_UP_S = 8.0
# No frame for that long, and for eight times what is usual on this host, is no slow frame any more. Before a chunk's
# first frame a host may launch browsers and load the page, each for a minute, before its agent gives up by itself.
FROZEN_S = 20.0
FROZEN_GAPS = 8
FROZEN_COLD_S = 150.0
GAPS_KEPT = 40
# A host that stands still is cancelled when it has been silent for this many times what is called frozen.
KILL_PATIENCE = 2.0
# A guess per unit of capacity for the first orders, when nobody has been measured: one worker, a light 1080p page.
GUESS_FRAMES_PER_S = 5.0
# Equal cores have been seen to differ that much. Fewer hosts than that say little about the others.
SURPRISE_GUESS = 3.0
SURPRISE_HOSTS_MIN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """One host's speed; `frames_per_s` is None until measured, the window is open while it holds a chunk."""

    capacity: float
    frames_per_s: float | None = None
    begun_s: float = 0.0
    window_s: float = 0.0
    count: float = 0  # verified since the window opened, in average frames
    total: float = 0  # since the chunk began
    is_busy: bool = False
    is_warm: bool = False  # its browsers have delivered a frame
    is_stepping: bool = False
    heard_s: float = 0.0  # the last sign of a frame, or of a chunk's beginning
    gaps_s: tuple[float, ...] = ()  # between the last such signs

    def begun(self, now_s: float, *, is_stepping: bool = False) -> "Pace":
        """The host got a chunk, or its browsers are up: what came before is no work on frames.

        One that is stepping goes through all frames before its first one, which takes as long as it takes.
        """
        return replace(
            self, begun_s=now_s, window_s=now_s, count=0, total=0, is_busy=True, heard_s=now_s, is_stepping=is_stepping
        )

    def heard(self, now_s: float) -> "Pace":
        """The host says that it has captured frames, or some have arrived."""
        gaps_s = (*self.gaps_s[1 - GAPS_KEPT :], now_s - self.heard_s) if self.total else self.gaps_s
        return replace(self, heard_s=now_s, gaps_s=gaps_s)

    def is_frozen(self, now_s: float, patience: float = 1.0) -> bool:
        """Whether it has been silent for much longer than it ever is between frames, `patience` times over."""
        silent_s = now_s - self.heard_s
        if not self.is_busy or silent_s <= patience * FROZEN_S:
            return False  # mostly, and asked of every host again and again
        p95_s = sorted(self.gaps_s)[int(0.95 * len(self.gaps_s))] if self.gaps_s else 0.0
        limit_s = max(FROZEN_S, FROZEN_GAPS * p95_s) if self.total else FROZEN_COLD_S
        is_patient = self.is_stepping and not self.total
        return not is_patient and silent_s > patience * limit_s

    def is_stuck(self, now_s: float) -> bool:
        """Whether it is to be stopped: it has stood still for long enough to be doing nothing any more."""
        return self.is_frozen(now_s, KILL_PATIENCE)

    def verified(self, count: float, now_s: float) -> "Pace":
        """Frames of this host are verified that cost as much as `count` average ones."""
        if not self.is_busy or count == 0:
            return self
        if self.total == 0:  # the first burst ends the warm-up: the window counts from there
            return replace(self, window_s=now_s, count=0, total=count, is_warm=True)
        grown = replace(self, count=self.count + count, total=self.total + count)
        return grown._folded(now_s) if now_s - self.window_s >= WINDOW_S else grown

    def ended(self, now_s: float) -> "Pace":
        """The chunk is over, for whatever reason."""
        if not self.is_busy:
            return self
        idle = replace(self, is_busy=False)
        if now_s - self.window_s >= WINDOW_S:
            return replace(idle._folded(now_s), is_busy=False)
        if self.frames_per_s is None and self.total and now_s > self.begun_s:
            return replace(idle, frames_per_s=self.total / (now_s - self.begun_s))
        if self.frames_per_s is None and (most := self.ceiling(now_s)) < math.inf:
            return replace(idle, frames_per_s=most)  # not one frame in all that time says enough
        return idle

    def ceiling(self, now_s: float) -> float:
        """The most that the present silence allows to believe, in frames per second."""
        silent_s = now_s - self.window_s - (0.0 if self.total or self.is_warm else WARM_UP_S)
        return max(self.count, 1) / silent_s if self.is_busy and silent_s >= WINDOW_S else math.inf

    def _folded(self, now_s: float) -> "Pace":
        elapsed_s = now_s - self.window_s
        rate = max(self.count, 1) / elapsed_s
        weight = 1.0 if self.frames_per_s is None else 1 - math.exp(-elapsed_s / MEMORY_S)
        old = self.frames_per_s or 0.0
        return replace(self, frames_per_s=old + weight * (rate - old), window_s=now_s, count=0)


def surprise(paces: Iterable[Pace]) -> float:
    """How many times as fast as its capacity promised a host has turned out to be, at most; at least 1."""
    known = [(pace.frames_per_s, pace.capacity) for pace in paces if pace.frames_per_s is not None]
    if len(known) < SURPRISE_HOSTS_MIN:
        return SURPRISE_GUESS
    unit = sum(speed for speed, _ in known) / sum(capacity for _, capacity in known)
    return max(speed / capacity for speed, capacity in known) / unit


def estimates(paces: Mapping[str, Pace], now_s: float) -> dict[str, float]:
    """Frames per second to expect of each host, above zero; who was not measured is judged by those who were."""
    known = [pace for pace in paces.values() if pace.frames_per_s is not None]
    unit = GUESS_FRAMES_PER_S
    if known:
        unit = sum(pace.frames_per_s or 0.0 for pace in known) / sum(pace.capacity for pace in known)
    return {name: min(pace.frames_per_s or pace.capacity * unit, pace.ceiling(now_s)) for name, pace in paces.items()}
