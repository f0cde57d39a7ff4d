"""Each host as the schedule knows it: there or not, busy or not, how fast, and what it has done wrong. Pure.

Three failures in a row put a host aside for a while, the next ones for longer, never for ever: what ails a host passes
more often than not, and a render may last hours. When nobody else is left, it is tried again sooner: a few times, if
what it failed at need not be its own fault. Only who draws or says what is not true is out for the rest of the run.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from fleet import events, pace
from fleet.pace import Pace

# One failure is an accident, two may be; after three in a row the host is wasting the others' time.
STRIKES_MAX = 3
QUARANTINES_S = (120.0, 240.0, 480.0)
# When nobody can do anything else, a host that may be innocent waits only so long; it is tried this often for nothing.
PAROLE_S = (5.0, 15.0)
FROZEN = 1e-6  # frames/s
# A block takes about a second; what a slow page needs longer for can be captured again.
DRAIN_LIMIT_S = 30.0


@dataclass(slots=True)
class Standing:
    """One host; `chunk` is what it holds."""

    pace: Pace
    is_alive: bool = True
    chunk: str | None = None
    strikes: int = 0  # since it last did a chunk well
    quarantines: int = 0
    barred_until_s: float = 0.0
    may_be_innocent: bool = False  # of what it is barred for
    paroles: int = 0  # since it last did a chunk well
    is_convicted: bool = False
    is_draining: bool = False
    is_in_use: bool = False  # was given frames
    source: str = "guessed from its cores"  # of its speed, until it is measured

    def is_usable(self, now_s: float) -> bool:
        """Whether it may be given frames."""
        return self.is_present and now_s >= self.barred_until_s

    @property
    def is_present(self) -> bool:
        """Whether it may be given frames, now or when it is not barred any more."""
        return self.is_alive and not self.is_draining and not self.is_convicted


@dataclass(slots=True)
class Standings:
    """All hosts that were ready once; `troubles` also tells why others are of no use."""

    remembered: Mapping[str, float] = field(default_factory=dict)  # average frames/s, from earlier runs
    hosts: dict[str, Standing] = field(default_factory=dict)
    troubles: dict[str, str] = field(default_factory=dict)
    convicts: list[str] = field(default_factory=list)
    halted_s: float | None = None  # since then no host gets anything more: the user wants the run to end

    def __getitem__(self, name: str) -> Standing:
        return self.hosts[name]

    def meet(self, name: str, capacity: float) -> bool:
        """A host is ready, for the first time or, returns True, again."""
        is_back = name in self.hosts
        known = self.hosts.setdefault(name, Standing(Pace(capacity=capacity, frames_per_s=self.remembered.get(name))))
        known.is_alive = True
        if name in self.remembered:
            known.source = "remembered"
        known.pace = dataclasses.replace(known.pace, is_warm=False)
        return is_back

    def surprise(self, names: Iterable[str]) -> float:
        """How many times as fast as they are taken for these hosts may be: a guess that is not tried stays one."""
        are_known = all(self.hosts[name].pace.frames_per_s is not None for name in names)
        return 1.0 if are_known else pace.surprise(host.pace for host in self.hosts.values())

    def source(self, name: str) -> str:
        """Where the host's speed is from."""
        host = self.hosts[name]
        return "measured" if host.pace.is_warm else host.source

    def measured(self) -> dict[str, float]:
        """Speeds of hosts that captured in this run."""
        return {
            name: host.pace.frames_per_s
            for name, host in self.hosts.items()
            if host.pace.is_warm and host.pace.frames_per_s is not None
        }

    def hear(self, name: str, chunk: str, now_s: float, verified: float = 0.0) -> None:
        """The host says that it captured frames of the chunk, or some that cost so much are verified."""
        host = self.hosts.get(name)
        if host is not None and host.chunk == chunk:
            host.pace = host.pace.heard(now_s).verified(verified, now_s)

    def drain(self, event: events.HostDraining | events.RunDraining, now_s: float) -> None:
        """A host is wanted elsewhere, or the run is to end: there is nothing more to get."""
        if isinstance(event, events.RunDraining):
            self.halted_s = now_s
        elif event.host in self.hosts:
            self.hosts[event.host].is_draining = True

    def is_late(self, now_s: float) -> bool:
        """Whether a run that is to end has waited long enough for what is under way."""
        return self.halted_s is not None and now_s - self.halted_s > DRAIN_LIMIT_S

    def draining(self) -> list[str]:
        """Hosts that are to go, and have not gone."""
        is_halted = self.halted_s is not None
        return [name for name, host in self.hosts.items() if (host.is_draining or is_halted) and host.is_alive]

    def usable(self, now_s: float) -> list[str]:
        """Hosts that may be given frames now."""
        return [name for name, host in self.hosts.items() if host.is_usable(now_s) and self.halted_s is None]

    def idle(self, now_s: float) -> list[str]:
        """Those of them that have nothing to do."""
        return [name for name in self.usable(now_s) if self.hosts[name].chunk is None]

    def speeds(self, now_s: float) -> dict[str, float]:
        """Average frames per second to expect of each usable host; of one that stands still, hardly any."""
        speeds = pace.estimates({name: self.hosts[name].pace for name in self.usable(now_s)}, now_s)
        return {name: FROZEN if self.hosts[name].pace.is_frozen(now_s) else speed for name, speed in speeds.items()}

    def strike(self, name: str, trouble: str, now_s: float, *, may_be_innocent: bool = False) -> events.HostStruck:
        """The host did something wrong: the third time in a row it is put aside for a while."""
        host = self.hosts[name]
        host.strikes += 1
        self.troubles[name] = trouble
        if host.strikes < STRIKES_MAX:
            return events.HostStruck(host=name, strikes=host.strikes, reason=trouble)
        self.troubles[name] = f"left out after {host.strikes} failures: {trouble}"
        aside_s = QUARANTINES_S[min(host.quarantines, len(QUARANTINES_S) - 1)]
        host.quarantines += 1
        host.barred_until_s, host.may_be_innocent = now_s + aside_s, may_be_innocent
        struck = events.HostStruck(host=name, strikes=host.strikes, reason=trouble, aside_s=aside_s)
        host.strikes = STRIKES_MAX - 1  # one more failure after that is enough
        return struck

    def convict(self, name: str, trouble: str) -> events.HostStruck:
        """The host has proved to be wrong: it gets nothing more in this run."""
        host = self.hosts[name]
        host.is_convicted = True
        self.convicts.append(name)
        host.strikes += 1
        self.troubles[name] = f"left out: {trouble}"
        return events.HostStruck(host=name, strikes=host.strikes, reason=trouble, is_final=True)

    def check(self, running: Mapping[str | None, str]) -> None:
        """Asserts that hosts and the running chunks, by host, agree."""
        held = {name: host.chunk for name, host in self.hosts.items() if host.chunk is not None}
        assert held == running, "a host and its chunk disagree"
        assert all(self.hosts[name].is_alive for name in held), "a lost host holds a chunk"

    def held_by_convicts(self) -> list[tuple[str, str]]:
        """Who holds a chunk that is to be taken away, and which."""
        held = ((name, self.hosts[name].chunk) for name in self.convicts)
        return [(name, chunk) for name, chunk in held if chunk is not None]

    def do_well(self, name: str) -> None:
        """The host has delivered a whole chunk."""
        self.hosts[name].strikes = self.hosts[name].paroles = 0

    def parole(self, now_s: float) -> bool:
        """Whether a host that is barred is tried again soon; call it when nobody else can do anything."""
        if self.halted_s is not None:
            return False
        barred = [host for host in self.hosts.values() if host.is_present and now_s < host.barred_until_s]
        barred = [host for host in barred if host.may_be_innocent]
        for host in barred:
            soon_s = now_s + PAROLE_S[min(host.paroles, len(PAROLE_S) - 1)]
            if host.paroles < len(PAROLE_S) and host.barred_until_s > soon_s:
                host.paroles += 1
                host.barred_until_s = soon_s
        return any(host.barred_until_s <= now_s + PAROLE_S[-1] for host in barred)
