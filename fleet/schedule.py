"""Which host captures which frames. Events in, orders out. Pure: no I/O; time is an argument.

Pending frames go out lowest first: a lost host's frames come before those that nobody had yet, and segments complete
in order. `ledger` says where each frame is, `standing` what is known of each host, `sizing` how much one gets, `aid`
what idle ones do for busy ones, `witness` what to believe, `verdict` when a failure is nobody's host.
"""

from collections.abc import Iterable, Mapping
from typing import Any, assert_never

from capture import protocol
from capture.faults import Blame
from capture.protocol import FrameRange
from fleet import costs, events, frameset, orders, sizing, verdict
from fleet.aid import Aid
from fleet.costs import Curve
from fleet.doubts import Doubts
from fleet.frameset import FrameSet
from fleet.glance import Glance
from fleet.ledger import Chunk, Cut, Ledger
from fleet.standing import Standings

_OrderEvent = events.ChunkStarted | events.ChunkTrimmed | events.ChunkDone | events.ChunkFailed
_ChunkEvent = (
    events.ChunkOrdered | events.ChunkStarted | events.ChunkTrimmed | events.FramesVerified | events.ChunkDone
    | events.ChunkFailed | events.SeamDrawn
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
    ) -> None:
        self._ledger = Ledger(frameset.of([frames]) if isinstance(frames, FrameRange) else frames)
        self._expected = set(hosts)  # neither ready nor refused yet
        self._chunk_frames = chunk_frames
        self._hosts_min = max(1, hosts_min)
        self.curve = curve
        self._hosts = Standings(speeds or {})
        self._hosts_max = hosts_max
        self._failures: list[verdict.Failure] = []
        self._is_sequential = False
        self._end: orders.Finish | orders.GiveUp | None = None
        self._glance = Glance()
        self._said: list[orders.Order] = []
        self._doubts = Doubts(self._ledger, audit=audit)
        self._stories: dict[str, list[str]] = {}

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
    def due_s(self) -> float:
        """When `handle` is to be called at the latest; infinite when nothing that happened waits for it."""
        return self._glance.due_s(len(self._hosts.hosts))

    def story(self, chunk: str) -> tuple[str, ...]:
        """The life of `chunk` as lines."""
        return tuple(self._stories.get(chunk, ()))

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
        if chunk is not None:
            return
        held = {name: host.chunk for name, host in self._hosts.hosts.items() if host.chunk is not None}
        assert held == {chunk.host: chunk.name for chunk in self._ledger.running}, "a host and its chunk disagree"
        assert all(self._hosts[name].is_alive for name in held), "a lost host holds a chunk"

    def _apply(self, event: events.Event, now_s: float) -> None:
        """What happened. Nothing is decided here, so that a log can be replayed."""
        if isinstance(event, _ChunkEvent):
            self._apply_to_chunk(event, now_s)
            return
        match event:
            case events.RunStarted():
                self._start_over()
            case events.HostReady():
                self._meet(event, now_s)
            case events.HostLost():
                self._lose(event, now_s)
            case events.HostRefused():
                self._lose(events.HostLost(event.host, event.message), now_s)
            case events.SteppingFixed():
                self._is_sequential = event.sequential
            case events.FramesCaptured():
                self._hosts.hear(event.host, event.chunk, now_s)
            case events.HostDraining() | events.RunDraining():
                self._hosts.drain(event, now_s)
            case (
                events.ModeFixed() | events.PixelsFixed() | events.PageLoaded() | events.BundlePushed()
                | events.SegmentEncoded() | events.AudioMixed() | events.RunFinished() | events.RangeSized()
                | events.SeamMatched() | events.Audited() | events.HostStruck() | events.Suspected()
                | events.Disagreed() | events.Warned()
            ):  # fmt: skip
                pass
            case _:
                assert_never(event)

    def _apply_to_chunk(self, event: _ChunkEvent, now_s: float) -> None:
        match event:
            case events.ChunkOrdered():
                self._note_order(event, now_s)
            case events.ChunkStarted():
                self._begin(event, now_s)
            case events.ChunkTrimmed():
                self._shorten(event, now_s)
            case events.FramesVerified():
                self._count(event, now_s)
            case events.SeamDrawn():
                self._said += map(orders.Say, self._doubts.see(event))
            case events.ChunkDone():
                self._complete(event, now_s)
            case events.ChunkFailed():
                self._fail(event, now_s)

    def _start_over(self) -> None:
        for chunk in self._ledger.running:
            self._ledger.end(chunk.name, is_broken=True)
        self._hosts = Standings(self._hosts.remembered)
        self._failures.clear()
        self._doubts.forget()
        self._said.clear()
        self._end = None

    def _meet(self, event: events.HostReady, now_s: float) -> None:
        self._expected.discard(event.host)
        if self._hosts.meet(event.host, event.capacity):
            self._release(event.host, now_s)
            self._doubts.put_on_probation(event.host)

    def _lose(self, event: events.HostLost, now_s: float) -> None:
        (self._expected.add if event.is_expected_back else self._expected.discard)(event.host)
        host = self._hosts.hosts.get(event.host)
        if host is not None and host.is_alive:
            is_fruitless = host.chunk is not None and host.pace.total == 0
            self._release(event.host, now_s, f"lost with {event.host}: {event.message}", is_broken=True)
            host.is_alive = False
            if is_fruitless:  # again and again before its first frame: as useless as one that fails
                self._strike(event.host, event.message, now_s)
        self._hosts.troubles[event.host] = event.message

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
            self._tell(event.chunk, now_s, f"started with {event.workers} workers: {event.why}")
            host = self._hosts[event.host]
            host.pace = host.pace.begun(now_s, is_stepping=self._is_sequential)

    def _shorten(self, event: events.ChunkTrimmed, now_s: float) -> None:
        chunk = self._held(event)
        if chunk is not None:
            chunk.is_taken = event.stop > chunk.asked_stop
            chunk.asked_s, chunk.helpers = None, ()
            self._ledger.trim(event.chunk, event.stop)
            self._tell(event.chunk, now_s, f"ends at {event.stop}")

    def _count(self, event: events.FramesVerified, now_s: float) -> None:
        fresh = self._ledger.count(event.chunk, protocol.ranges_of(file.index for file in event.frames))
        self._glance.is_owed |= self._ledger.is_beating(event.chunk)
        self._hosts.hear(event.host, event.chunk, now_s, self.curve.of(fresh))
        for found in self._doubts.compare(event):
            self._said.append(orders.Say(found.event))
            if found.struck is not None:
                self._strike(found.struck, found.trouble, now_s, is_certain=found.is_certain)
        self._said += map(orders.Say, self._doubts.see(event))
        chunk = self._ledger.chunks[event.chunk]
        if fresh and not chunk.missing and event.host in self._hosts.hosts:
            self._said += map(orders.Say, self._doubts.judge(chunk, event.host, self._hosts, now_s))

    def _complete(self, event: events.ChunkDone, now_s: float) -> None:
        chunk = self._held(event)
        if chunk is None:
            return
        was_cancelled = chunk.is_cancelled
        left = self._release(event.host, now_s, "done")
        if left and not was_cancelled:
            self._strike(event.host, f"said chunk {event.chunk} was done, but frames {left} are missing", now_s)
        elif not left:
            self._hosts[event.host].strikes = 0

    def _fail(self, event: events.ChunkFailed, now_s: float) -> None:
        chunk = self._held(event)
        if chunk is None:
            return
        fault = event.fault
        left = self._release(event.host, now_s, f"failed on {event.host}: {fault.code.value}: {fault.message}")
        if not left or fault.code.blame is Blame.USER:
            return
        self._strike(event.host, f"{fault.code.value}: {fault.message}", now_s)
        failure = verdict.Failure(event.host, fault, left)
        is_alone = not (self._expected | set(self._hosts.usable(now_s)) - {event.host})
        earlier = verdict.same(failure, self._failures, is_alone=is_alone, verified=self.verified)
        if earlier is not None:
            self._end = orders.GiveUp(verdict.error(earlier, failure), fault)
        self._failures.append(failure)

    def _held(self, event: _OrderEvent) -> Chunk | None:
        """The chunk that `event` is about, unless it speaks of an order that is over."""
        chunk = self._ledger.chunks.get(event.chunk)
        is_current = chunk is not None and (chunk.host, chunk.attempt) == (event.host, event.attempt)
        return chunk if is_current else None

    def _release(self, name: str, now_s: float, why: str = "", *, is_broken: bool = False) -> FrameSet:
        host = self._hosts[name]
        if host.chunk is None:
            return FrameSet()
        left = self._ledger.end(host.chunk, is_broken=is_broken)
        self._doubts.ended(host.chunk, name)
        self._tell(host.chunk, now_s, f"{why or f'left by {name}'}; missing {left}")
        host.chunk, host.pace = None, host.pace.ended(now_s)
        return left

    def _strike(self, name: str, trouble: str, now_s: float, *, is_certain: bool = False) -> None:
        self._said.append(orders.Say(self._hosts.strike(name, trouble, now_s, is_certain=is_certain)))

    def _give(self, cut: Cut, name: str, now_s: float) -> orders.Order:
        self._ledger.give(cut, name)
        host = self._hosts[name]
        host.chunk, host.pace, host.is_in_use = cut.chunk, host.pace.begun(now_s, is_stepping=self._is_sequential), True
        twin = f", beside {cut.twin}" if cut.twin else ""
        self._tell(cut.chunk, now_s, f"attempt {cut.attempt} to {name}: {cut.frames}, todo {cut.todo}{twin}")
        return orders.Capture(
            host=name, chunk=cut.chunk, attempt=cut.attempt, frames=cut.frames, todo=cut.todo.ranges, twin=cut.twin
        )

    def _tell(self, chunk: str, now_s: float, line: str) -> None:
        self._stories.setdefault(chunk, []).append(f"{now_s:.1f} s: {line}")

    def _decide(self, now_s: float) -> list[orders.Order]:
        given = self._recheck(now_s)
        self._end = self._end or self._finish()
        if self._end is None and self._glance.is_due(now_s, len(self._hosts.hosts)):
            given += self._look(now_s)
        said, self._said = self._said, []
        return [*said, *given, *([self._end] if self._end else [])]

    def _look(self, now_s: float) -> list[orders.Order]:
        """All that concerns every host; the end of the run, too, when none is left."""
        self._end = verdict.hopeless(self._ledger, self._hosts, len(self._expected), self._hosts_min, now_s)
        if self._end is not None:
            return []
        given: list[orders.Order] = [self._cancel(chunk) for chunk in self._ledger.beaten]
        given += self._thaw(now_s)
        given += self._drain(now_s)
        return given + (self._employ(now_s) if self._hosts.idle(now_s) else [])

    def _finish(self) -> orders.Finish | None:
        is_whole = self._ledger.verified == self._ledger.frames and self._hosts.halted_s is None
        return orders.Finish() if is_whole and not self._doubts.are_being_checked else None

    def _cancel(self, chunk: Chunk) -> orders.Cancel:
        assert chunk.host is not None
        chunk.is_cancelled = True
        return orders.Cancel(chunk.host, chunk.name)

    def _recheck(self, now_s: float) -> list[orders.Order]:
        """Has frames that are in doubt captured again, each on one host that may do it and idles."""
        checks = self._doubts.checks(self._hosts.idle(now_s), self._hosts.usable(now_s)) if self._doubts.may_ask else ()
        return [self._give(cut, name, now_s) for cut, name in checks]

    def _thaw(self, now_s: float) -> list[orders.Order]:
        """Stops who stands still; that others capture the same meanwhile has been tried before."""
        given: list[orders.Order] = []
        for chunk in self._ledger.running:
            assert chunk.host is not None
            pace = self._hosts[chunk.host].pace
            if pace.is_stuck(now_s) and not (chunk.is_cancelled or chunk.is_beaten):
                self._strike(chunk.host, f"no frame of {chunk.name} for {now_s - pace.heard_s:.0f} s", now_s)
                given.append(self._cancel(chunk))
        return given

    def _drain(self, now_s: float) -> list[orders.Order]:
        """Hosts that are wanted elsewhere end what their workers have begun, and go."""
        given: list[orders.Order] = []
        for name in self._hosts.draining():
            host = self._hosts[name]
            chunk = self._ledger.chunks[host.chunk] if host.chunk is not None else None
            if chunk is None:
                host.is_alive = False
                self._hosts.troubles[name] = "drained"
                given.append(orders.Release(name))
            elif chunk.asked_s is None and not chunk.is_taken and len(chunk.missing) > 1:
                given.append(self._trim(chunk, chunk.missing.ranges[0].start + 1, (), now_s))
        return given

    def _trim(self, chunk: Chunk, stop: int, helpers: tuple[str, ...], now_s: float) -> orders.Trim:
        assert chunk.host is not None
        chunk.asked_s, chunk.asked_stop, chunk.helpers = now_s, stop, helpers
        return orders.Trim(host=chunk.host, chunk=chunk.name, attempt=chunk.attempt, stop=stop)

    def _employ(self, now_s: float) -> list[orders.Order]:
        """Gives idle hosts what is pending, or something of what others have."""
        speeds = self._hosts.speeds(now_s)
        aid = Aid(self._ledger, self._hosts, self.curve, speeds=speeds, now_s=now_s, hosts_max=self._hosts_max)
        given = self._assign(aid, speeds, now_s)
        if not self._is_sequential and self._chunk_frames is None:
            # Helpers of a sequential render would first step through all that its owner has been through.
            for theft in aid.thefts():
                given.append(self._trim(self._ledger.chunks[theft.load.chunk], theft.stop, theft.helpers, now_s))
        if stopped := aid.too_slow():
            return given + [self._cancel(self._ledger.chunks[name]) for name in stopped]
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
            available = self._ledger.pending
            if is_picky and self._failures:
                available -= verdict.avoided(name, self._failures)
            if not available or (is_picky and speeds[name] < aid.slowest):
                continue
            count = self._chunk_frames or self.curve.count(available, work[name])
            cut = self._ledger.cut(available, min(count, sizing.CHUNK_FRAMES_MAX), name)
            if not self._hosts[name].is_in_use:
                self._said.append(orders.Say(aid.explained(cut, name)))
            given.append(self._give(cut, name, now_s))
        return given
