"""How busy this machine's cores are, sampled now and then: those that we may use, or the group whose quota binds.

Agents ask of their hosts, coordinators of their own machine. Where Linux's /proc is not, nothing is said.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from capture import cgroups
from capture.protocol import CoreUse

# The kernel counts in hundredths of a second: a shorter step would show its grain.
STEP_MS_MIN = 250
# Steps grow with the time that has passed, so that a day of them is as small as a minute: each is a hundredth of it.
GROWTH = 100
# Fields of a line `cpu0 user nice system idle iowait irq softirq ...`; guests are in user, steal was another machine's.
_BUSY_FIELDS = (1, 2, 3, 6, 7)


@dataclass(frozen=True, slots=True)
class Cores:
    """What can be busy: who says the same `place` means the same cores. `busy_ms` counts from some moment, in all."""

    place: str
    count: float
    busy_ms: Callable[[], int]


def find(root: Path = Path("/"), cpus: frozenset[int] | None = None) -> Cores | None:
    """The cores of this process; None on a system that does not count what they do. `cpus` are those it may use."""
    cpus = frozenset(os.sched_getaffinity(0)) if cpus is None else cpus
    try:
        machine = (root / "proc/sys/kernel/random/boot_id").read_text()[:8]
        _stat_ms(root, cpus)
    except (OSError, ValueError, IndexError):
        return None
    group = cgroups.tightest(root)
    if group is not None and group.quota < len(cpus):
        return Cores(f"{machine}-{group.folder.stat().st_ino}", group.quota, group.used_ms)
    return Cores(machine, float(len(cpus)), lambda: _stat_ms(root, cpus))


class CoreMeter:
    """Samples of `cores` since it was made: `tick` often, `take` to tell them."""

    def __init__(self, cores: Cores | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._cores = cores
        self._clock = clock
        self._steps_ms: list[int] = []
        self._busy_ms: list[int] = []
        self._began_ms = self._told_ms = self._now_ms()
        self._was_busy_ms = cores.busy_ms() if cores else 0

    def tick(self) -> None:
        """Takes a sample if one is due; costs nothing else."""
        now_ms = self._now_ms()
        if now_ms - self._told_ms >= max(STEP_MS_MIN, (now_ms - self._began_ms) // GROWTH):
            self._sample(now_ms)

    def take(self) -> CoreUse | None:
        """What was sampled since this was last asked, up to now; None where nothing can be."""
        self._sample(self._now_ms())
        steps_ms, busy_ms = tuple(self._steps_ms), tuple(self._busy_ms)
        self._steps_ms.clear()
        self._busy_ms.clear()
        if self._cores is None or not steps_ms:
            return None
        return CoreUse(place=self._cores.place, cores=self._cores.count, steps_ms=steps_ms, busy_ms=busy_ms)

    def _sample(self, now_ms: int) -> None:
        if self._cores is None or now_ms <= self._told_ms:
            return
        busy_ms = self._cores.busy_ms()
        self._steps_ms.append(now_ms - self._told_ms)
        self._busy_ms.append(max(0, busy_ms - self._was_busy_ms))
        self._told_ms, self._was_busy_ms = now_ms, busy_ms

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


def _stat_ms(root: Path, cpus: frozenset[int]) -> int:
    ticks = 0
    for line in (root / "proc/stat").read_text().splitlines():
        words = line.split()
        if words and words[0][:3] == "cpu" and words[0][3:].isdecimal() and int(words[0][3:]) in cpus:
            ticks += sum(int(words[field]) for field in _BUSY_FIELDS)
    return ticks * 1000 // os.sysconf("SC_CLK_TCK")
