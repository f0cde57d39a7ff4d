"""Frames that are verified and hard to believe: which are captured again, where, and what follows. Pure.

A check is a chunk of frames that count already. A host that comes back is checked in the same way, with one frame that
another host delivered, before it is given more.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from capture import protocol
from capture.protocol import FrameRange
from fleet import events, witness
from fleet.frameset import FrameSet
from fleet.ledger import Chunk, Cut, Ledger
from fleet.standing import Standings
from fleet.witness import Witness

# One cause makes many frames differ: the first ones tell all that there is to tell.
DISAGREEMENTS_MAX = 20


@dataclass(frozen=True, slots=True)
class Doubt:
    """Frames to capture again on `only`, or on anyone but `suspect`, who is struck when they differ.

    `accuser` drew one of them otherwise, at its seam: neither is asked, and the one whom a third contradicts is struck.
    """

    frames: tuple[FrameRange, ...]
    suspect: str | None
    only: str | None = None
    accuser: events.SeamDrawn | None = None
    is_audit: bool = False

    def is_for(self, host: str) -> bool:
        """Whether the host may be asked."""
        if self.only is not None:
            return host == self.only
        return host != self.suspect and (self.accuser is None or host != self.accuser.host)


@dataclass(frozen=True, slots=True)
class Difference:
    """Two pictures of one frame, and the host that is struck for it.

    Not `is_certain` where the two of them are all there is to judge by: the composition may look different each time.
    """

    event: events.Disagreed
    struck: str | None
    is_certain: bool

    @property
    def trouble(self) -> str:
        """What the host is told to have done."""
        return f"frame {self.event.frame} is not what another host drew"


class Doubts:
    """What is in doubt, what is being checked, and who waits for that."""

    def __init__(self, ledger: Ledger, *, audit: float = 0.0) -> None:
        """`audit` is the part of all frames that is captured again at the end, for comparison."""
        self._audit = audit
        self._is_audited = False
        self.open: list[Doubt] = []
        self._ledger = ledger
        self._witness = Witness()
        self._checking: dict[str, Doubt] = {}  # by chunk
        self._fast: set[str] = set()  # hosts that were doubted for their speed once
        self._disagreements = 0
        self._seams: dict[int, events.SeamDrawn] = {}  # of frames that are not here yet

    @property
    def are_being_checked(self) -> bool:
        """Whether a check is under way, or one that the user asked for is still to come."""
        return bool(self._checking) or any(doubt.is_audit for doubt in self.open)

    @property
    def may_ask(self) -> bool:
        """Whether `checks` could say anything."""
        return bool(self.open) or (self._audit > 0 and not self._is_audited)

    def forget(self) -> None:
        """Nothing is in doubt any more; what was delivered is still known."""
        self.open.clear()
        self._checking.clear()
        self._is_audited = False

    def put_on_probation(self, host: str) -> None:
        """The host came back: before it does more, it draws a frame that is known from another."""
        frame = self._witness.known_frame(host)
        if frame is not None:
            self.open.append(Doubt((FrameRange(frame, frame + 1),), host, host))

    def compare(self, event: events.FramesVerified) -> list[Difference]:
        """Verified frames arrived: those that differ from what was there."""
        differing = self._witness.hear(event.host, event.frames)[: DISAGREEMENTS_MAX - self._disagreements]
        self._disagreements += len(differing)
        # One check convicts once, however many of its frames differ.
        doubt = self._checking.get(event.chunk)
        struck = doubt.suspect if doubt is not None and differing else None
        if doubt is not None and differing:
            self._checking[event.chunk] = replace(doubt, suspect=None)
        is_certain = doubt is None or doubt.accuser is None
        found = [Difference(one, struck if one is differing[0] else None, is_certain) for one in differing]
        if doubt is not None and doubt.accuser is not None and not differing:
            found += _contradicted(doubt.accuser, event)
        return found

    def see(
        self, event: events.SeamDrawn | events.FramesVerified
    ) -> list[events.SeamMatched | events.Disagreed | events.Audited]:
        """One side of a seam is here, or frames of an audit: what follows once both pictures of a frame are."""
        if isinstance(event, events.SeamDrawn):
            self._seams.setdefault(event.frame.index, event)
            frames = [event.frame.index]
        else:
            frames = [file.index for file in event.frames if file.index in self._seams]
        closed = [found for frame in frames if (found := self._close(frame)) is not None]
        return [*closed, *(self._audited(event) if isinstance(event, events.FramesVerified) else ())]

    def _audited(self, event: events.FramesVerified) -> list[events.Audited | events.Disagreed]:
        doubt = self._checking.get(event.chunk)
        if doubt is None or not doubt.is_audit:
            return []
        found = [self._witness.see(event.host, file) for file in event.frames]
        # Two hosts that differ are told of as such; here it is one host that draws a frame in two ways.
        own = [one for one in found if isinstance(one, events.Disagreed) and one.hosts == (event.host, event.host)]
        equal = sum(isinstance(one, events.SeamMatched) for one in found)
        return [events.Audited(host=event.host, frames=len(found), equal=equal), *own]

    def _close(self, frame: int) -> events.SeamMatched | events.Disagreed | None:
        found = self._witness.see(self._seams[frame].host, self._seams[frame].frame)
        if found is None:
            return None
        seam = self._seams.pop(frame)
        if isinstance(found, events.Disagreed):
            self.open.append(Doubt((FrameRange(frame, frame + 1),), found.hosts[0], accuser=seam))
        return found

    def judge(self, chunk: Chunk, host: str, hosts: Standings, now_s: float) -> list[events.Suspected]:
        """All of `chunk` is here: whether that is hard to believe."""
        reason = self._reason(chunk, host, hosts, now_s)
        if not reason:
            return []
        self.open.append(Doubt(witness.sample(chunk.stored), host))
        return [events.Suspected(chunk=chunk.name, host=host, reason=reason)]

    def checks(self, idle: Sequence[str], usable: Sequence[str]) -> Iterator[tuple[Cut, str]]:
        """What to capture again now, and on which idle host; an audit that no usable host could do is let go.

        Each is to be given out before the next one is asked for: the ledger names them in turn.
        """
        if self._audit and not self._is_audited and usable and self._ledger.verified == self._ledger.frames:
            self._is_audited = True
            self.open += self._audits(are_many=len(usable) > 1)
        self.open = [doubt for doubt in self.open if not doubt.is_audit or any(map(doubt.is_for, usable))]
        free = list(idle)
        for doubt in list(self.open):
            able = [name for name in free if doubt.is_for(name)]
            if able:
                runner = able[0]
                free.remove(runner)
                self.open.remove(doubt)
                cut = self._ledger.again(FrameSet(doubt.frames))
                self._checking[cut.chunk] = doubt
                yield cut, runner

    def _audits(self, *, are_many: bool) -> list[Doubt]:
        """The sample by who delivered it: another host draws it again, where there is one."""
        chosen: dict[str, list[int]] = {}
        for frame in witness.spread(self._ledger.frames, self._audit):
            chosen.setdefault(self._witness.deliverer(frame) or "", []).append(frame)
        return [
            Doubt(protocol.ranges_of(frames), host if are_many else None, is_audit=True)
            for host, frames in chosen.items()
        ]

    def ended(self, chunk: str, host: str) -> None:
        """Nobody holds `chunk` any more; who is gone need not be on probation."""
        self._checking.pop(chunk, None)
        self.open = [doubt for doubt in self.open if doubt.only != host]

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


def _contradicted(accuser: events.SeamDrawn, event: events.FramesVerified) -> list[Difference]:
    """A third host has drawn the frame as it counts: it differs from the one who said otherwise."""
    told = accuser.frame
    return [
        Difference(
            events.Disagreed(frame=file.index, hosts=(accuser.host, event.host), digests=(told.sha256, file.sha256)),
            accuser.host,
            is_certain=False,
        )
        for file in event.frames
        if file.index == told.index and file.sha256 != told.sha256
    ]
