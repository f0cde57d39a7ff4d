"""What follows when something is a host's fault, or nobody's: strikes, convictions, frames taken back, the end. Pure.

A host that fails is put aside for a while, and a few of its frames are captured again. One that draws or says what is
not true gets nothing more, and none of its frames counts that nobody else has drawn.
"""

from collections.abc import Collection

from capture import faults
from capture.faults import FaultCode
from fleet import events, frameset, orders, standing, verdict
from fleet.doubts import Doubts
from fleet.frameset import FrameSet
from fleet.ledger import Chunk, Ledger
from fleet.standing import Standings

# Agents end a chunk within milliseconds, and what they had finished is pulled within seconds.
CANCEL_PATIENCE_S = 60.0


class Blame:
    """Of one run, since it began or was resumed; `said` is what there is to tell, until somebody takes it out."""

    def __init__(self, ledger: Ledger, hosts: Standings, doubts: Doubts) -> None:
        self.failures: list[verdict.Failure] = []
        self.said: list[orders.Say] = []
        self._ledger = ledger
        self._hosts = hosts
        self._doubts = doubts

    def strike(self, name: str, trouble: str, now_s: float, *, is_lie: bool = False, is_own: bool = False) -> None:
        """The host did something wrong: a lie, or what only a host itself can be the reason of, or neither."""
        if is_lie and self._hosts[name].strikes + 1 >= standing.STRIKES_MAX:
            self.convict(name, trouble)
            return
        struck = self._hosts.strike(name, trouble, now_s, may_be_innocent=not (is_lie or is_own))
        self._say(struck)
        if struck.aside_s:
            self._say(*self._doubts.suspect(name, f"its host failed {struck.strikes} times in a row"))

    def convict(self, name: str, trouble: str) -> None:
        """The host is not believed any more."""
        if name in self._hosts.hosts and name not in self._doubts.distrusted:
            self._say(self._hosts.convict(name, trouble))
            self._doubts.distrust(name)
            self._take_back_from_liars()

    def fail(
        self, event: events.ChunkFailed, left: FrameSet, now_s: float, others: Collection[str]
    ) -> orders.GiveUp | None:
        """A chunk ended with frames missing; the end of the run when that is the composition's. `others` may do it."""
        code = event.fault.code
        is_own = code.blame is faults.Blame.HOST and code not in verdict.PAGE_CAN_CAUSE
        is_lie = code is FaultCode.FRAME_REJECTED
        trouble = f"{code.value}: {event.fault.message}"
        self.strike(event.host, trouble, now_s, is_lie=is_lie, is_own=is_own)
        failure = verdict.Failure(event.host, event.fault, left)
        verified = self._ledger.verified
        earlier = verdict.same(failure, self.failures, is_alone=not others, verified=verified)
        earlier = earlier or verdict.exhausting(failure, self.failures, others=others, verified=verified)
        self.failures.append(failure)
        return None if earlier is None else orders.GiveUp(verdict.error(earlier, failure), event.fault)

    def rule(self, now_s: float) -> orders.GiveUp | None:
        """Carries out what checks and trials have found; the end of the run when they say that nothing is certain."""
        found, self._doubts.findings = self._doubts.findings, []
        for one in found:
            if one.is_certain:
                self.convict(one.host, one.trouble)
            else:
                self.strike(one.host, one.trouble, now_s)
        said, self._doubts.said = self._doubts.said, []
        self._say(*said)
        if self._doubts.error is None:
            return None
        for name in self._doubts.undecided:
            self._doubts.distrust(name)
        self._take_back_from_liars()
        return orders.GiveUp(self._doubts.error)

    def thaw(self, now_s: float) -> list[Chunk]:
        """Chunks to stop, whose hosts stand still; that others capture the same meanwhile has been tried before.

        A host that does not stop when it is told to gets nothing more.
        """
        found: list[Chunk] = []
        for chunk in self._ledger.running:
            assert chunk.host is not None
            pace = self._hosts[chunk.host].pace
            if chunk.is_cancelled:
                if now_s - max(chunk.cancelled_s, pace.heard_s) > CANCEL_PATIENCE_S:
                    self._say(self._hosts.convict(chunk.host, f"did not end {chunk.name} when it was told to"))
            elif not chunk.is_beaten and pace.is_stuck(now_s):
                trouble = f"no frame of {chunk.name} for {now_s - pace.heard_s:.0f} s"
                self.strike(chunk.host, trouble, now_s)
                found.append(chunk)
        return found

    def finish(self, now_s: float) -> orders.Finish | None:
        """The good end: every frame counts, and nothing is in doubt that anybody could settle."""
        is_whole = self._ledger.verified == self._ledger.frames and self._hosts.halted_s is None
        return orders.Finish() if is_whole and not self._doubts.is_anything_open(self._hosts.usable(now_s)) else None

    def hopeless(self, now_s: float, expected: int, hosts_min: int) -> orders.GiveUp | None:
        """The end of the run before every frame is verified: its user wants it to, or too few hosts are left."""
        kept = f"{len(self._ledger.verified)} of {len(self._ledger.frames)} frames are kept"
        if self._hosts.halted_s is not None:
            is_over = not self._ledger.running or self._hosts.is_late(now_s)
            return orders.GiveUp(verdict.halted(kept)) if is_over else None
        usable = self._hosts.usable(now_s)
        if self._ledger.verified == self._ledger.frames or len(usable) + expected >= hosts_min:
            return None
        shared = verdict.shared(self.failures, self._ledger.verified)
        if shared is not None:
            return orders.GiveUp(verdict.error(*shared), shared[1].fault)
        if self._hosts.parole(now_s):
            return None
        whys = {name: why for name, why in self._hosts.troubles.items() if name not in usable}
        return orders.GiveUp(verdict.nobody(whys, hosts_min, kept))

    def take_back(self, frames: FrameSet) -> None:
        """These frames, and those that go with them, are to be drawn by others."""
        if not frames:
            return
        every = self._ledger.bound(frames)
        for chunk in self._ledger.chunks.values():
            for host, lost in self._doubts.deliverers(chunk.bound(every)).items():
                event = events.FramesRetracted(chunk=chunk.name, host=host, frames=lost.ranges)
                self._say(event)
                self.retract(event)

    def retract(self, event: events.FramesRetracted) -> None:
        """These frames count no more."""
        self._doubts.retract(self._ledger.retract(event.chunk, frameset.of(event.frames)))

    def _take_back_from_liars(self) -> None:
        self.take_back(self._doubts.unproven())

    def _say(self, *said: orders.Sayable) -> None:
        self.said += map(orders.Say, said)
