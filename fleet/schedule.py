"""Which host captures which frames. Events in, orders out. Pure: no I/O; time is an argument.

Pending frames go out lowest first: a lost host's frames come before those that nobody had yet, and segments complete
in order. `ledger` says where each frame is, `standing` what is known of each host, `sizing` how much one gets, `aid`
what idle ones do for busy ones, `doubts` what to believe, `blame` what follows for hosts and for the run.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, assert_never

from capture import faults, protocol
from capture.protocol import FrameRange
from fleet import aid as aids
from fleet import costs, events, frameset, hints, orders, sizing, verdict
from fleet.aid import Aid
from fleet.blame import Blame
from fleet.costs import Curve
from fleet.doubts import Doubts
from fleet.frameset import FrameSet
from fleet.glance import Glance
from fleet.ledger import Chunk, Cut, Ledger
from fleet.scenes import Scenes
from fleet.standing import Standings

_OrderEvent = events.ChunkStarted | events.ChunkTrimmed | events.ChunkDone | events.ChunkFailed
_ChunkEvent = (
    events.ChunkOrdered | events.ChunkStarted | events.ChunkTrimmed | events.FramesVerified | events.ChunkDone
    | events.ChunkFailed | events.SeamDrawn | events.FramesRetracted | events.StillsDropped
)  # fmt: skip


class Schedule:
    """Decides; whoever carries its orders out tells it what happened, and calls `handle` when due, or once a second.

    `hosts` are those who may yet become ready; fewer than `hosts_min` usable ones, and it gives up. `curve` says what
    frames cost, `speeds` what hosts did before, in average frames per second.
    """

    def __init__(
        self,
        frames: FrameRange | FrameSet,
        *,
        hosts: Iterable[str],
        chunk_frames: int | None = None,
        hosts_min: int = 1,
        curve: Curve = costs.FLAT,
        speeds: Mapping[str, float] | None = None,
        hosts_max: int | None = None,
        audit: float = 0.0,
        scenes: tuple[FrameRange, ...] = (),
    ) -> None:
        self._ledger = Ledger(frameset.of([frames]) if isinstance(frames, FrameRange) else frames)
        self._expected = set(hosts)  # neither ready nor refused yet
        self._chunk_frames = chunk_frames
        self._hosts_min = max(1, hosts_min)
        self.curve = curve
        self._hosts = Standings(speeds or {})
        self._hosts_max = hosts_max
        self._is_sequential = False
        self._end: orders.Finish | orders.GiveUp | None = None
        self._glance = Glance()
        self._said: list[orders.Order] = []
        self._doubts = Doubts(self._ledger, audit=audit)
        self._blame = Blame(self._ledger, self._hosts, self._doubts)
        self._scenes = Scenes(self._ledger, scenes)

    @property
    def verified(self) -> FrameSet:
        """Frames that count."""
        return self._ledger.verified

    @property
    def speeds(self) -> dict[str, float]:
        """What hosts were measured at, in average frames per second."""
        return self._hosts.measured()

    @property
    def stored(self) -> dict[str, tuple[FrameRange, FrameSet]]:
        """Each chunk's frames, and those that have a verified file in its directory; every frame at most once."""
        return {name: (chunk.frames, chunk.stored) for name, chunk in self._ledger.chunks.items()}

    @property
    def encoded(self) -> dict[str, tuple[FrameRange, ...]]:
        """The segments that each chunk's host encoded, and whose frames have no files of their own."""
        return {name: chunk.encoded for name, chunk in self._ledger.chunks.items()}

    def believes(self, host: str) -> bool:
        """Whether what the host delivers may count."""
        return host not in self._doubts.distrusted

    def kept(self, event: events.FramesVerified) -> events.FramesVerified:
        """The event with those of its frames alone whose files count; ask after `handle` has taken it in."""
        stored = self._ledger.chunks[event.chunk].stored
        return dataclasses.replace(event, frames=tuple(file for file in event.frames if file.index in stored))

    @property
    def due_s(self) -> float:
        """When `handle` is to be called at the latest; infinite when nothing that happened waits for it."""
        return self._glance.due_s(len(self._hosts.hosts))

    def handle(self, *happened: events.Event, now_s: float) -> tuple[orders.Order, ...]:
        """What to do now; all of `happened` is taken in before anything is decided. `now_s` never goes back."""
        if self._end is not None:
            return ()
        for event in happened:
            self._apply(event, now_s)
        self._glance.hear(happened)
        return tuple(self._decide(now_s))

    @classmethod
    def replay(
        cls,
        records: Iterable[events.Record],
        frames: FrameRange,
        *,
        hosts: Iterable[str],
        absent: FrameSet = FrameSet(),  # noqa: B008  immutable
        **terms: Any,
    ) -> "Schedule":
        """The schedule that goes on where the log ends: verified frames count, except `absent`, whose files are gone.

        Hosts start without strikes and failures without memory: mending them is why one resumes. `terms` are those of
        the constructor.
        """
        schedule = cls(frames, hosts=(), **terms)
        for record in records:
            schedule._apply(record.event, record.elapsed_s)
        schedule._start_over()
        schedule._ledger.forget(absent)
        schedule._expected = set(hosts)
        return schedule

    def check(self, chunk: str | None = None) -> None:
        """Asserts that every frame is in exactly one place, and that hosts and chunks agree; or for one chunk only."""
        self._ledger.check(chunk)
        if chunk is None:
            self._hosts.check({running.host: running.name for running in self._ledger.running})

    def _apply(self, event: events.Event, now_s: float) -> None:
        """What happened. Nothing is decided here, so that a log can be replayed."""
        if isinstance(event, _ChunkEvent):
            self._apply_to_chunk(event, now_s)
            return
        if isinstance(event, orders.Remark):
            return
        match event:
            case events.RunStarted():
                self._start_over()
            case events.HostReady():
                self._meet(event, now_s)
            case events.HostLost() | events.HostRefused():
                self._lose(event, now_s)
            case events.SteppingFixed():
                self._is_sequential = event.sequential
            case events.PixelsFixed():
                self.curve = hints.sampled(self.curve, event.frames, self._ledger.frames.span)
            case events.FramesCaptured() | events.FramesHeld():
                self._hosts.hear(event.host, event.chunk, now_s)
            case events.HostDraining() | events.RunDraining():
                self._hosts.drain(event, now_s)
            case _:
                assert_never(event)

    def _apply_to_chunk(self, event: _ChunkEvent, now_s: float) -> None:
        match event:
            case events.ChunkOrdered():
                self._note_order(event, now_s)
            case events.ChunkStarted():
                self._begin(event, now_s)
            case events.ChunkTrimmed():
                self._shorten(event)
            case events.FramesVerified():
                self._count(event, now_s)
            case events.SeamDrawn():
                self._said += map(orders.Say, self._doubts.see(event))
            case events.ChunkDone():
                self._complete(event, now_s)
            case events.ChunkFailed():
                self._fail(event, now_s)
            case events.FramesRetracted():
                self._blame.retract(event)
            case events.StillsDropped():
                self._ledger.drop(event.frames)

    def _start_over(self) -> None:
        for chunk in self._ledger.running:
            self._ledger.end(chunk.name, is_broken=True)
        self._hosts = Standings(self._hosts.remembered)
        self._doubts.forget()
        self._blame = Blame(self._ledger, self._hosts, self._doubts)
        self._said.clear()
        self._end = None

    def _meet(self, event: events.HostReady, now_s: float) -> None:
        self._expected.discard(event.host)
        self._doubts.meet(event)
        self._scenes.meet(event.host, event.pixels)
        if self._hosts.meet(event.host, event.capacity):
            self._release(event.host, now_s)
            self._doubts.put_on_probation(event.host)

    def _lose(self, event: events.HostLost | events.HostRefused, now_s: float) -> None:
        is_expected_back = isinstance(event, events.HostLost) and event.is_expected_back
        (self._expected.add if is_expected_back else self._expected.discard)(event.host)
        host = self._hosts.hosts.get(event.host)
        if host is not None and host.is_alive:
            is_fruitless = host.chunk is not None and host.pace.total == 0
            self._release(event.host, now_s, is_broken=True)
            host.is_alive = False
            if is_fruitless:  # again and again before its first frame: as useless as one that fails
                self._blame.strike(event.host, event.message, now_s, is_own=True)
        self._hosts.troubles[event.host] = event.message
        if isinstance(event, events.HostRefused) and event.is_liar:
            self._blame.convict(event.host, event.message)

    def _note_order(self, event: events.ChunkOrdered, now_s: float) -> None:
        known = self._ledger.chunks.get(event.chunk)
        if known is not None and known.attempt >= event.attempt:
            return  # our own order, coming back as an event
        self._hosts.meet(event.host, 1.0)
        self._release(event.host, now_s)
        cut = Cut(event.chunk, event.attempt, event.frames, frameset.of(event.todo), event.twin)
        self._give(cut, event.host, now_s)

    def _begin(self, event: events.ChunkStarted, now_s: float) -> None:
        if self._held(event) is not None:
            host = self._hosts[event.host]
            host.pace = host.pace.begun(now_s, is_stepping=self._is_sequential)

    def _shorten(self, event: events.ChunkTrimmed) -> None:
        chunk = self._held(event)
        if chunk is not None:
            chunk.is_taken = event.stop > chunk.asked_stop
            chunk.asked_s, chunk.helpers = None, ()
            self._ledger.trim(event.chunk, event.stop)

    def _count(self, event: events.FramesVerified, now_s: float) -> None:
        if not self.believes(event.host):
            return
        segment = event.segment.frames if event.segment else None
        fresh = self._ledger.count(event.chunk, protocol.ranges_of(file.index for file in event.frames), segment)
        self._glance.is_owed |= self._ledger.is_beating(event.chunk)
        self._hosts.hear(event.host, event.chunk, now_s, self.curve.of(fresh))
        said = self._doubts.hear(event)
        chunk = self._ledger.chunks[event.chunk]
        if fresh and not chunk.missing and event.host in self._hosts.hosts:
            said += self._doubts.judge(chunk, event.host, self._hosts, now_s)
        self._said += map(orders.Say, said)

    def _complete(self, event: events.ChunkDone, now_s: float) -> None:
        chunk = self._held(event)
        if chunk is None:
            return
        was_cancelled = chunk.is_cancelled
        left = self._release(event.host, now_s)
        if left and not was_cancelled:
            trouble = f"said chunk {event.chunk} was done, but frames {left} are missing"
            self._blame.strike(event.host, trouble, now_s, is_lie=True)
        elif not left:
            self._hosts.do_well(event.host)

    def _fail(self, event: events.ChunkFailed, now_s: float) -> None:
        if self._held(event) is None:
            return
        left = self._release(event.host, now_s)
        if left and event.fault.code.blame is not faults.Blame.USER:
            others = (self._expected | set(self._hosts.usable(now_s))) - {event.host}
            self._end = self._blame.fail(event, left, now_s, others) or self._end

    def _held(self, event: _OrderEvent) -> Chunk | None:
        """The chunk that `event` is about, unless it speaks of an order that is over."""
        chunk = self._ledger.chunks.get(event.chunk)
        is_current = chunk is not None and (chunk.host, chunk.attempt) == (event.host, event.attempt)
        return chunk if is_current else None

    def _release(self, name: str, now_s: float, *, is_broken: bool = False) -> FrameSet:
        """The host holds its chunk no more; the frames that are missing in it."""
        host = self._hosts[name]
        if host.chunk is None:
            return FrameSet()
        left = self._ledger.end(host.chunk, is_broken=is_broken)
        self._doubts.ended(host.chunk, name)
        host.chunk, host.pace = None, host.pace.ended(now_s)
        return left

    def _give(self, cut: Cut, name: str, now_s: float) -> orders.Order:
        self._scenes.take(cut.todo & self._ledger.pending, name)
        self._ledger.give(cut, name)
        host = self._hosts[name]
        host.chunk, host.pace, host.is_in_use = cut.chunk, host.pace.begun(now_s, is_stepping=self._is_sequential), True
        return orders.Capture(
            host=name, chunk=cut.chunk, attempt=cut.attempt, frames=cut.frames, todo=cut.todo.ranges, twin=cut.twin
        )

    def _decide(self, now_s: float) -> list[orders.Order]:
        given = self._recheck(now_s)
        self._end = self._end or self._blame.finish(now_s)
        if self._end is None and self._glance.is_due(now_s, len(self._hosts.hosts)):
            given += self._look(now_s)
        said, self._said, self._blame.said = [*self._said, *self._blame.said], [], []
        return [*said, *given, *([self._end] if self._end else [])]

    def _look(self, now_s: float) -> list[orders.Order]:
        """All that concerns every host; the end of the run, too, when none is left."""
        self._end = self._blame.hopeless(now_s, len(self._expected), self._hosts_min)
        if self._end is not None:
            return []
        over = [*self._ledger.beaten, *self._blame.thaw(now_s)]
        given = [*(self._cancel(chunk, now_s) for chunk in over), *self._drain(now_s)]
        return given + (self._employ(now_s) if self._hosts.idle(now_s) else [])

    def _cancel(self, chunk: Chunk, now_s: float) -> orders.Cancel:
        assert chunk.host is not None
        chunk.is_cancelled, chunk.cancelled_s = True, now_s
        return orders.Cancel(chunk.host, chunk.name)

    def _recheck(self, now_s: float) -> list[orders.Order]:
        """Takes from liars what they hold, and has frames that are in doubt captured again by hosts that idle."""
        if self._doubts.may_ask:
            self._doubts.settle(self._hosts.usable(now_s), self._expected)
            self._end = self._end or self._blame.rule(now_s)
        if self._scenes.is_mixed:
            self._blame.take_back(self._scenes.orphans([*self._hosts.usable(now_s), *self._expected]))
        given: list[orders.Order] = []
        for name, chunk in self._hosts.held_by_convicts():
            given.append(orders.Cancel(name, chunk))
            self._ledger.spoil(chunk)
            self._release(name, now_s)
        if self._doubts.may_ask:
            checks = self._doubts.checks(self._hosts.idle(now_s), self._hosts.usable(now_s))
            given += [self._give(cut, name, now_s) for cut, name in checks]
        self._glance.is_owed |= bool(self._blame.said)
        return given

    def _drain(self, now_s: float) -> list[orders.Order]:
        """Hosts that are wanted elsewhere end what their workers have begun, and go."""
        gone, ending = aids.leaving(self._ledger, self._hosts)
        trims = (self._trim(chunk, chunk.missing.ranges[0].start + 1, (), now_s) for chunk in ending)
        return [*map(orders.Release, gone), *trims]

    def _trim(self, chunk: Chunk, stop: int, helpers: tuple[str, ...], now_s: float) -> orders.Trim:
        assert chunk.host is not None
        chunk.asked_s, chunk.asked_stop, chunk.helpers = now_s, stop, helpers
        return orders.Trim(host=chunk.host, chunk=chunk.name, attempt=chunk.attempt, stop=stop)

    def _employ(self, now_s: float) -> list[orders.Order]:
        """Gives idle hosts what is pending, or something of what others have."""
        speeds = self._hosts.speeds(now_s)
        given = self._assign(self._aid(speeds, now_s), speeds, now_s)
        for group in self._scenes.groups(speeds):
            given += self._help(self._aid(group, now_s), now_s)
        return given

    def _aid(self, speeds: Mapping[str, float], now_s: float) -> Aid:
        return Aid(self._ledger, self._hosts, self.curve, speeds=speeds, now_s=now_s, hosts_max=self._hosts_max)

    def _help(self, aid: Aid, now_s: float) -> list[orders.Order]:
        given: list[orders.Order] = []
        if not self._is_sequential and self._chunk_frames is None:
            # Helpers of a sequential render would first step through all that its owner has been through.
            thefts = ((self._ledger.chunks[theft.load.chunk], theft) for theft in aid.thefts())
            given += [self._trim(chunk, theft.stop, theft.helpers, now_s) for chunk, theft in thefts]
        if stopped := aid.too_slow():
            return given + [self._cancel(self._ledger.chunks[name], now_s) for name in stopped]
        copies = aid.copies(frozen_only=self._is_sequential)
        return given + [self._give(self._ledger.copy(chunk), name, now_s) for chunk, name in copies]

    def _assign(self, aid: Aid, speeds: Mapping[str, float], now_s: float) -> list[orders.Order]:
        """A chunk of what is pending for each idle host; when nothing else moves, whoever it is."""
        if not self._ledger.pending:
            return []
        given = self._assign_to(aid, speeds, now_s, is_picky=True)
        return given if given or self._ledger.running else self._assign_to(aid, speeds, now_s, is_picky=False)

    def _assign_to(self, aid: Aid, speeds: Mapping[str, float], now_s: float, *, is_picky: bool) -> list[orders.Order]:
        """A picky host leaves frames that it failed at, and would not hold up the end."""
        given: list[orders.Order] = []
        idle = aid.idle()
        size = sizing.shares if self._is_sequential else sizing.work
        pending = self.curve.of(self._ledger.pending)
        work = size(pending, aid.left - pending, idle, speeds, len(self._expected))
        for name in aid.wanted(idle):
            available = self._scenes.available(name)
            if is_picky and self._blame.failures:
                available -= verdict.avoided(name, self._blame.failures)
            if not available or (is_picky and speeds[name] < aid.slowest):
                continue
            count = self._chunk_frames or self.curve.count(available, work[name])
            is_choosy = is_picky and self._chunk_frames is None
            if not (count := self._scenes.count(available, count, name, is_picky=is_choosy)):
                continue
            cut = self._ledger.cut(available, min(count, sizing.CHUNK_FRAMES_MAX), name)
            if not self._hosts[name].is_in_use:
                self._said.append(orders.Say(aid.explained(cut, name, self._scenes.pixels(name))))
            given.append(self._give(cut, name, now_s))
        return given
