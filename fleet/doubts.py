"""Frames that are verified and hard to believe: which are captured again, where, and what follows. Pure.

A check is a chunk of frames that count already. A host that comes back is checked in the same way, with one frame that
another host delivered, before it is given more. Where two pictures of a frame differ and nothing tells yet whose is
wrong, a trial does (`trial`). Hosts of other pixel classes are never compared.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from capture import protocol
from capture.protocol import FrameRange
from fleet import events, frameset, orders, trial, witness
from fleet.errors import VerificationError
from fleet.frameset import FrameSet
from fleet.ledger import Chunk, Cut, Ledger
from fleet.standing import Standings
from fleet.trial import Trial
from fleet.witness import Witness

# One cause makes many frames differ: the first ones tell all that there is to tell.
DISAGREEMENTS_MAX = 20
# Trials that convict nobody: a composition that is not exact would have every seam tried.
TRIALS_MAX = 8


@dataclass(frozen=True, slots=True)
class Doubt:
    """Frames to capture again on `only`, or on anyone but `suspect`, who is convicted when they differ.

    `trial` when they are one frame that the host called `only` is to draw as a witness.
    """

    frames: tuple[FrameRange, ...]
    suspect: str | None
    only: str | None = None
    pixels: str = ""  # of hosts that draw these alone it means anything
    is_audit: bool = False
    trial: Trial | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What a host has done: it is put aside for ever when `is_certain`, else struck."""

    host: str
    trouble: str
    is_certain: bool


class Doubts:
    """What is in doubt, what is being checked, and who waits for that."""

    def __init__(self, ledger: Ledger, *, audit: float = 0.0) -> None:
        """`audit` is the part of all frames that is captured again at the end, for comparison."""
        self._audit = audit
        self._is_audited = False
        self.open: list[Doubt] = []
        self.trials: list[Trial] = []
        self.distrusted: set[str] = set()  # hosts whose frames count only where another one has drawn the same
        self.findings: list[Finding] = []  # until somebody takes them out
        self.said: list[events.Warned] = []
        self.error: VerificationError | None = None  # of the `undecided` nobody knows who is right
        self.undecided: set[str] = set()
        self._ledger = ledger
        self._witness = Witness()
        self._facts: dict[str, tuple[events.Trait, ...]] = {}
        self._checking: dict[str, Doubt] = {}  # by chunk
        self._fast: set[str] = set()  # hosts that were doubted for their speed once
        self._tried = 0
        self._disagreements = 0
        self._seams: dict[int, events.SeamDrawn] = {}  # of frames that are not here yet

    def is_anything_open(self, usable: Collection[str]) -> bool:
        """Whether a check is under way, or one that a usable host can make is still to come."""
        is_doubted = any(self._is_for(doubt, host) for doubt in self.open for host in usable)
        return bool(self._checking) or bool(self.trials) or is_doubted

    @property
    def may_ask(self) -> bool:
        """Whether there is anything to settle, or to capture again."""
        is_due = self._audit > 0 and not self._is_audited
        return bool(self.open or self.trials or self.findings or self.said) or is_due

    def forget(self) -> None:
        """Nothing is in doubt any more, and nobody; what was delivered is still known."""
        self.open.clear()
        self.trials.clear()
        self.distrusted.clear()
        self.findings.clear()
        self.said.clear()
        self.undecided.clear()
        self.error = None
        self._checking.clear()
        self._is_audited = False

    def meet(self, event: events.HostReady) -> None:
        """A host is ready: what is known of it tells it from others."""
        self._facts[event.host] = event.traits
        self._witness.classes[event.host] = event.pixels

    def put_on_probation(self, host: str) -> None:
        """The host came back: before it does more, it draws a frame that is known from another."""
        frame = self._witness.known_frame(host)
        if frame is not None:
            self.open.append(Doubt((FrameRange(frame, frame + 1),), host, host, self._witness.class_of(host)))

    def distrust(self, host: str) -> None:
        """The host draws what is not the frame, or lies."""
        self.distrusted.add(host)
        self.open = [doubt for doubt in self.open if doubt.suspect != host]
        self.trials = [one for one in self.trials if host not in one.parties]
        self._seams = {frame: seam for frame, seam in self._seams.items() if seam.host != host}

    def unproven(self) -> FrameSet:
        """What of the distrusted hosts' frames nobody else has drawn."""
        found = self._witness.unproven(self.distrusted)
        return frameset.of(part for frames in found.values() for part in frames.ranges)

    def deliverers(self, frames: FrameSet) -> dict[str, FrameSet]:
        """Whose pictures of these frames count."""
        found: dict[str, list[int]] = {}
        for frame in frames:
            found.setdefault(self._witness.deliverer(frame) or "", []).append(frame)
        return {host: frameset.of(protocol.ranges_of(some)) for host, some in found.items()}

    def retract(self, frames: FrameSet) -> None:
        """These frames count no more."""
        self._witness.forget(frames)

    def hear(self, event: events.FramesVerified) -> list[orders.Sayable]:
        """Verified frames arrived: what there is to say of those that differ from what was there, or are equal."""
        differing = self._witness.hear(event.host, event.frames)
        doubt = self._checking.get(event.chunk)
        if doubt is not None and doubt.trial is not None:
            for file in event.frames:
                doubt.trial.hear(event.host, file.sha256)
        elif differing and doubt is not None and doubt.suspect is not None and not doubt.is_audit:
            self._convict(doubt.suspect, differing[0])
        elif differing:
            self._try(differing[0])
        return [*self._tellable(differing), *self._see(event)]

    def see(self, event: events.SeamDrawn) -> list[orders.Sayable]:
        """One side of a seam is here: what follows once both pictures of the frame are."""
        if event.host in self.distrusted:
            return []
        self._seams.setdefault(event.frame.index, event)
        return self._closed([event.frame.index])

    def judge(self, chunk: Chunk, host: str, hosts: Standings, now_s: float) -> list[events.Suspected]:
        """All of `chunk` is here: whether that is hard to believe."""
        reason = self._reason(chunk, host, hosts, now_s)
        if not reason:
            return []
        self.open.append(Doubt(witness.sample(chunk.stored), host, pixels=self._witness.class_of(host)))
        return [events.Suspected(chunk=chunk.name, host=host, reason=reason)]

    def suspect(self, host: str, reason: str) -> list[events.Suspected]:
        """The host fails again and again: a few of the frames that it delivered are captured once more, elsewhere."""
        frames = self._witness.unproven({host}).get(host, FrameSet()) & self._ledger.verified
        if not frames or host in self.distrusted:
            return []
        self.open.append(Doubt(witness.sample(frames), host, pixels=self._witness.class_of(host)))
        home = next(chunk.name for chunk in self._ledger.chunks.values() if chunk.stored & frames)
        return [events.Suspected(chunk=home, host=host, reason=reason)]

    def checks(self, idle: Sequence[str], usable: Sequence[str]) -> Iterator[tuple[Cut, str]]:
        """What to capture again now, and on which idle host; an audit that no usable host could do is let go.

        Each is to be given out before the next one is asked for: the ledger names them in turn.
        """
        if self._audit and not self._is_audited and usable and self._ledger.verified == self._ledger.frames:
            self._is_audited = True
            self.open += self._audits(usable)
        self.open = [
            doubt for doubt in self.open if not doubt.is_audit or any(self._is_for(doubt, host) for host in usable)
        ]
        for host in idle:
            doubt = self._next(host)
            if doubt is not None:
                cut = self._ledger.again(FrameSet(doubt.frames))
                self._checking[cut.chunk] = doubt
                yield cut, host

    def settle(self, usable: Collection[str], expected: Collection[str]) -> None:
        """Ends trials that have heard everyone; `expected` hosts may come back."""
        for one in list(self.trials):
            candidates = {*usable, *(host for host in one.parties if host in expected)}
            if one.is_over(host for host in candidates if self._witness.are_alike(host, one.parties[0])):
                self.trials.remove(one)
                self._rule(one)

    def ended(self, chunk: str, host: str) -> None:
        """Nobody holds `chunk` any more; who is gone need not be on probation."""
        doubt = self._checking.pop(chunk, None)
        if doubt is not None and doubt.trial is not None:
            doubt.trial.waiting.discard(host)
        self.open = [doubt for doubt in self.open if doubt.only != host]

    def _is_for(self, doubt: Doubt, host: str) -> bool:
        """Whether the host may be asked."""
        is_able = host == doubt.only if doubt.only is not None else host != doubt.suspect
        return is_able and self._witness.class_of(host) == doubt.pixels

    def _next(self, host: str) -> Doubt | None:
        for doubt in self.open:
            if self._is_for(doubt, host):
                self.open.remove(doubt)
                return doubt
        for one in self.trials:
            if one.wants(host) and self._witness.are_alike(host, one.parties[0]):
                one.ask(host)
                pixels = self._witness.class_of(host)
                return Doubt((FrameRange(one.frame, one.frame + 1),), None, host, pixels, trial=one)
        return None

    def _convict(self, host: str, seen: events.Disagreed) -> None:
        self.findings.append(Finding(host, f"frame {seen.frame} is not what another host drew", is_certain=True))

    def _try(self, seen: events.Disagreed) -> None:
        """Two hosts differ, or one from itself: who is right is to be found out, unless that is under way."""
        first, second = seen.hosts
        if {first, second} & self.distrusted:
            return
        if first == second:
            self._warn_of(first, seen.frame)
        elif self._tried < TRIALS_MAX and not any({first, second} & set(one.parties) for one in self.trials):
            answers = {host: [digest] for host, digest in zip(seen.hosts, seen.digests, strict=True)}
            self.trials.append(Trial(seen.frame, seen.hosts, answers))

    def _warn_of(self, host: str, frame: int) -> None:
        text = f"frame {frame} looks different each time that it is drawn: the composition, or this host, is not exact"
        self.said.append(events.Warned(host, text))

    def _rule(self, one: Trial) -> None:
        ruling = one.ruling()
        if not ruling.convicted:
            self._tried += 1
            if self._tried == TRIALS_MAX:
                text = "frames look different again and again: which host is right is not looked into any more"
                self.said.append(events.Warned("", text))
        for host in ruling.convicted:
            trouble = f"frame {one.frame} is not what the others drew, who drew it again"
            self.findings.append(Finding(host, trouble, is_certain=True))
        for host in ruling.unstable:
            self._warn_of(host, one.frame)
            if ruling.is_contradicted:
                trouble = f"frame {one.frame} was drawn in two ways, by the others in one"
                self.findings.append(Finding(host, trouble, is_certain=False))
        if ruling.split:
            self.undecided.update(host for group in ruling.split for host in group)
            self.error = trial.undecided(one, ruling.split, self._facts)
        elif ruling == trial.Ruling():
            first, second = one.parties
            text = f"it differs between {first} and {second}, and nobody is left who could tell which of them is right"
            self.said.append(events.Warned(f"frame {one.frame}", text))

    def _tellable(self, differing: list[events.Disagreed]) -> list[events.Disagreed]:
        told = differing[: DISAGREEMENTS_MAX - self._disagreements]
        self._disagreements += len(told)
        return told

    def _see(self, event: events.FramesVerified) -> list[orders.Sayable]:
        closed = self._closed([file.index for file in event.frames if file.index in self._seams])
        return [*closed, *self._audited(event)]

    def _closed(self, frames: list[int]) -> list[orders.Sayable]:
        """Of these frames' seams, those that both pictures are known of."""
        said: list[orders.Sayable] = []
        for frame in frames:
            seam = self._seams[frame]
            found = self._witness.see(seam.host, seam.frame)
            if found is None:
                continue
            del self._seams[frame]
            if not self._witness.are_alike(*found.hosts):
                continue
            if isinstance(found, events.Disagreed):
                self._try(found)
            said.append(found)
        return said

    def _audited(self, event: events.FramesVerified) -> list[orders.Sayable]:
        doubt = self._checking.get(event.chunk)
        if doubt is None or not doubt.is_audit:
            return []
        found = [self._witness.see(event.host, file) for file in event.frames]
        # Two hosts that differ are told of as such; here it is one host that draws a frame in two ways.
        own = [one for one in found if isinstance(one, events.Disagreed) and one.hosts == (event.host, event.host)]
        for one in own[:1]:
            self._try(one)
        equal = sum(isinstance(one, events.SeamMatched) for one in found)
        return [events.Audited(host=event.host, frames=len(found), equal=equal), *own]

    def _audits(self, usable: Collection[str]) -> list[Doubt]:
        """The sample by who delivered it: another host draws it again, where there is one."""
        doubts: list[Doubt] = []
        chosen = frameset.of(protocol.ranges_of(witness.spread(self._ledger.frames, self._audit)))
        for host, frames in self.deliverers(chosen).items():
            others = [name for name in usable if name != host and self._witness.are_alike(name, host)]
            pixels = self._witness.class_of(host)
            doubts.append(Doubt(frames.ranges, host if others else None, pixels=pixels, is_audit=True))
        return doubts

    def _reason(self, chunk: Chunk, host: str, hosts: Standings, now_s: float) -> str:
        if self._witness.are_equal_beside_another(host, chunk.stored):
            return f"all of its {len(chunk.stored)} frames are equal, and the one beside them is not"
        pace = hosts[host].pace
        if host in self._fast or pace.total < witness.IMPLAUSIBLE_FRAMES_MIN:
            return ""
        others = sum(other.pace.frames_per_s or 0.0 for name, other in hosts.hosts.items() if name != host)
        took_s = now_s - pace.begun_s
        if witness.is_implausibly_fast(pace.total, took_s, others):
            self._fast.add(host)
            return f"{pace.total:.0f} frames in {took_s:.1f} s, when all others do {others:.1f} a second"
        return ""
