"""What idle hosts can do for busy ones, as the books stand at one moment: whom to trim, copy, or stop. Pure."""

from collections.abc import Iterable, Mapping

from fleet import events, hedging, sizing, stealing, usefulness
from fleet.costs import Curve
from fleet.ledger import Chunk, Cut, Ledger
from fleet.standing import FROZEN, Standings

# Agents answer within milliseconds; one that does not stands still, and who waits for it may do something else.
TRIM_PATIENCE_S = 5.0


class Aid:
    """One moment's decisions; `speeds` has every usable host, or those of one pixel class, in average frames/s."""

    def __init__(
        self,
        ledger: Ledger,
        hosts: Standings,
        curve: Curve,
        *,
        speeds: Mapping[str, float],
        now_s: float,
        hosts_max: int | None = None,
    ) -> None:
        self._ledger = ledger
        self._hosts = hosts
        self._curve = curve
        self._speeds = speeds
        self._now_s = now_s
        # All work that is not verified: who is given what does not change it.
        self.left = curve.of(ledger.frames) - curve.of(ledger.verified)
        self.slowest = sizing.slowest(self.left, speeds)
        elsewhere = sum(host.chunk is not None for name, host in hosts.hosts.items() if name not in speeds)
        self._hosts_max = None if hosts_max is None else max(0, hosts_max - elsewhere)

    def idle(self) -> list[str]:
        """Hosts with nothing to do, the fastest first."""
        idle = (name for name in self._speeds if self._hosts[name].chunk is None)
        return sorted(idle, key=lambda name: (-self._speeds[name], name))

    def wanted(self, idle: list[str]) -> list[str]:
        """Those of the idle hosts that have worked, and as many of the others as are useful and allowed."""
        if not idle:
            return idle
        fresh = [name for name in idle if not self._hosts[name].is_in_use]
        unwanted = set(fresh[self._useful(fresh) :] if fresh else ())
        return [name for name in idle if name not in unwanted]

    def _useful(self, fresh: list[str]) -> int:
        used = [self._speeds[name] for name in self._speeds if self._hosts[name].is_in_use]
        count = usefulness.useful(
            self.left,
            [self._speeds[name] for name in fresh],
            used=sum(used),
            surprise=self._hosts.surprise(fresh),
        )
        return count if self._hosts_max is None else max(0, min(count, self._hosts_max - len(used)))

    def explained(self, cut: Cut, name: str, pixels: str) -> events.RangeSized:
        """Why the host's first range is what it is."""
        return events.RangeSized(
            host=name,
            chunk=cut.chunk,
            frames=len(cut.todo),
            share=round(self._curve.of(cut.todo) / self._curve.of(self._ledger.frames), 4),
            frames_per_s=round(self._speeds[name], 3),
            source=self._hosts.source(name),
            pixels=pixels,
            costs=self._curve.source,
        )

    def helpers(self) -> dict[str, float]:
        """Idle hosts that no answer is awaited for, and that are fast enough to be of help."""
        wanted = self.wanted(self.idle())
        promised = {name for chunk in self._ledger.running if self._is_asked(chunk) for name in chunk.helpers}
        return {
            name: self._speeds[name] for name in wanted if name not in promised and self._speeds[name] >= self.slowest
        }

    def thefts(self) -> list[stealing.Theft]:
        """Chunks that should end sooner."""
        helpers = self.helpers()
        if not helpers:
            return []
        divisible = (chunk for chunk in self._ledger.running if chunk.is_divisible)
        return stealing.thefts(self._loads(divisible), helpers, self._curve)

    def copies(self, *, frozen_only: bool) -> list[tuple[str, str]]:
        """Chunks to capture a second time, with the host that should."""
        helpers = self.helpers()
        if not helpers:
            return []
        single = (chunk for chunk in self._ledger.running if chunk.twin is None and not self._is_asked(chunk))
        loads = [load for load in self._loads(single) if not frozen_only or load.speed == FROZEN]
        return [(load.chunk, name) for load, name in hedging.hedges(loads, helpers, self._curve)]

    def too_slow(self) -> list[str]:
        """Chunks to stop, because they and their twins are both too slow; the faster twin may then have another."""
        pairs = []
        for chunk in self._ledger.running:
            if chunk.name < (chunk.twin or ""):
                loads = self._loads([chunk, self._ledger.chunks[chunk.twin or ""]])
                pairs += [(loads[0], loads[1])] if len(loads) == 2 else []
        return [load.chunk for load in hedging.too_slow(pairs, self.helpers(), self._curve)] if pairs else []

    def _is_asked(self, chunk: Chunk) -> bool:
        return chunk.asked_s is not None and self._now_s - chunk.asked_s < TRIM_PATIENCE_S

    def _loads(self, chunks: Iterable[Chunk]) -> list[stealing.Load]:
        return [
            stealing.Load(
                chunk=chunk.name,
                host=chunk.host,
                attempt=chunk.attempt,
                speed=self._speeds[chunk.host],
                missing=chunk.missing,
            )
            for chunk in chunks
            if chunk.host is not None and chunk.host in self._speeds and chunk.missing and not chunk.is_cancelled
        ]


def leaving(ledger: Ledger, hosts: Standings) -> tuple[list[str], list[Chunk]]:
    """Of the hosts that are wanted elsewhere those that go now, and the chunks that should end with what is begun."""
    gone: list[str] = []
    ending: list[Chunk] = []
    for name in hosts.draining():
        host = hosts[name]
        chunk = ledger.chunks[host.chunk] if host.chunk is not None else None
        if chunk is None:
            host.is_alive = False
            hosts.troubles[name] = "drained"
            gone.append(name)
        elif chunk.asked_s is None and not chunk.is_taken and len(chunk.missing) > 1:
            ending.append(chunk)
    return gone, ending
