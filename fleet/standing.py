"""Each host as the schedule knows it: there or not, busy or not, how fast, and what it has done wrong. Pure.

Three failures in a row put a host aside for a while, the next ones for longer, never for ever: what ails a host passes
more often than not, and a render may last hours.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

from fleet import pace
from fleet.pace import Pace

# One failure is an accident, two may be; after three in a row the host is wasting the others' time.
STRIKES_MAX = 3
QUARANTINES_S = (120.0, 240.0, 480.0)


@dataclass(slots=True)
class Standing:
    """One host; `chunk` is what it holds."""

    pace: Pace
    is_alive: bool = True
    chunk: str | None = None
    strikes: int = 0  # since it last did a chunk well
    quarantines: int = 0
    barred_until_s: float = 0.0


@dataclass(slots=True)
class Standings:
    """All hosts that were ready once; `troubles` also tells why others are of no use."""

    remembered: Mapping[str, float] = field(default_factory=dict)  # average frames/s, from earlier runs
    hosts: dict[str, Standing] = field(default_factory=dict)
    troubles: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Standing:
        return self.hosts[name]

    def meet(self, name: str, capacity: float) -> None:
        """A host is ready, for the first time or again."""
        known = self.hosts.setdefault(name, Standing(Pace(capacity=capacity, frames_per_s=self.remembered.get(name))))
        known.is_alive = True
        known.pace = dataclasses.replace(known.pace, is_warm=False)

    def usable(self, now_s: float) -> list[str]:
        """Hosts that may be given frames now."""
        return [name for name, host in self.hosts.items() if host.is_alive and now_s >= host.barred_until_s]

    def has_idle(self, now_s: float) -> bool:
        """Whether a usable host has nothing to do."""
        return any(
            host.chunk is None and host.is_alive and now_s >= host.barred_until_s for host in self.hosts.values()
        )

    def speeds(self, now_s: float) -> dict[str, float]:
        """Average frames per second to expect of each usable host."""
        return pace.estimates({name: self.hosts[name].pace for name in self.usable(now_s)}, now_s)

    def strike(self, name: str, trouble: str, now_s: float) -> float:
        """The host did something wrong; returns for how long it is put aside now, 0 for not at all."""
        host = self.hosts[name]
        host.strikes += 1
        self.troubles[name] = trouble
        if host.strikes < STRIKES_MAX:
            return 0.0
        self.troubles[name] = f"left out after {host.strikes} failures: {trouble}"
        aside_s = QUARANTINES_S[min(host.quarantines, len(QUARANTINES_S) - 1)]
        host.quarantines += 1
        host.barred_until_s = now_s + aside_s
        host.strikes = STRIKES_MAX - 1  # one more failure after that is enough
        return aside_s
