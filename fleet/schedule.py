"""Which host captures which frames. Events in, orders out. Pure: no I/O; time is an argument.

Pending frames go out lowest first: a lost host's frames come before those that nobody had yet, and segments complete
in order. `ledger` says where each frame is, `standing` what is known of each host, `sizing` how much one gets,
`stealing` and `hedging` what idle ones do for busy ones, `verdict` when a failure is nobody's host.
"""

from collections.abc import Iterable, Mapping
from typing import assert_never

from capture import protocol
from capture.faults import Blame
from capture.protocol import FrameRange
from fleet import costs, events, frameset, hedging, orders, sizing, stealing, verdict
from fleet.costs import Curve
from fleet.errors import FleetLost
from fleet.frameset import FrameSet
from fleet.ledger import Chunk, Cut, Ledger
from fleet.standing import Standings

# Agents answer within milliseconds; one that does not stands still, and who waits for it may do something else.
TRIM_PATIENCE_S = 5.0
# Frames alone change what idle hosts can do for others only little by little.
LOOK_S = 0.5

_ChunkEvent = (
    events.ChunkOrdered | events.ChunkStarted | events.ChunkTrimmed | events.FramesVerified | events.ChunkDone
    | events.ChunkFailed
)  # fmt: skip


class Schedule:
    """Decides; whoever carries its orders out tells it what happened, and calls `handle` once a second besides.

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
    ) -> None:
        self._ledger = Ledger(frameset.of([frames]) if isinstance(frames, FrameRange) else frames)
        self._expected = set(hosts)  # neither ready nor refused yet
        self._chunk_frames = chunk_frames
        self._hosts_min = max(1, hosts_min)
        self._curve = curve
        self._hosts = Standings(speeds or {})
        self._failures: list[verdict.Failure] = []
        self._is_sequential = False
        self._end: orders.Finish | orders.GiveUp | None = None
        self._looked_s = -LOOK_S
        self._stories: dict[str, list[str]] = {}

    @property
    def verified(self) -> FrameSet:
        """Frames that count."""
        return self._ledger.verified

    @property
    def stored(self) -> dict[str, tuple[FrameRange, FrameSet]]:
        """Each chunk's frames, and those that have a verified file in its directory; every frame at most once."""
        return {name: (chunk.frames, chunk.stored) for name, chunk in self._ledger.chunks.items()}

    def story(self, chunk: str) -> tuple[str, ...]:
        """The life of `chunk` as lines."""
        return tuple(self._stories.get(chunk, ()))

    def handle(self, *happened: events.Event, now_s: float) -> tuple[orders.Order, ...]:
        """What to do now; all of `happened` is taken in before anything is decided. `now_s` never goes back."""
        if self._end is not None:
            return ()
        for event in happened:
            self._apply(event, now_s)
        is_news = not all(isinstance(event, events.FramesVerified | events.FramesCaptured) for event in happened)
        return tuple(self._decide(now_s, is_news=is_news))

    @classmethod
    def replay(
        cls,
        records: Iterable[events.Record],
        frames: FrameRange,
        *,
        hosts: Iterable[str],
        chunk_frames: int | None = None,
        hosts_min: int = 1,
        absent: FrameSet = FrameSet(),  # noqa: B008  immutable
        curve: Curve = costs.FLAT,
        speeds: Mapping[str, float] | None = None,
    ) -> "Schedule":
        """The schedule that goes on where the log ends: verified frames count, except `absent`, whose files are gone.

        Hosts start without strikes and failures without memory: mending them is why one resumes.
        """
        schedule = cls(frames, hosts=(), chunk_frames=chunk_frames, hosts_min=hosts_min, curve=curve, speeds=speeds)
        for record in records:
            schedule._apply(record.event, record.elapsed_s)
        schedule._start_over()
        schedule._ledger.forget(absent)
        schedule._expected = set(hosts)
        return schedule

    def check(self) -> None:
        """Asserts that every frame is in exactly one place, and that hosts and chunks agree."""
        self._ledger.check()
        held = {name: host.chunk for name, host in self._hosts.hosts.items() if host.chunk is not None}
        assert held == {chunk.host: chunk.name for chunk in self._ledger.running}, "a host and its chunk disagree"
        assert all(self._hosts[name].is_alive for name in held), "a lost host holds a chunk"

    # What happened. Nothing is decided here, so that a log can be replayed.

    def _apply(self, event: events.Event, now_s: float) -> None:
        match event:
            case events.RunStarted():
                self._start_over()
            case events.HostReady() | events.HostLost() | events.HostRefused():
                self._apply_to_host(event, now_s)
            case (
                events.ChunkOrdered() | events.ChunkStarted() | events.ChunkTrimmed() | events.FramesVerified()
                | events.ChunkDone() | events.ChunkFailed()
            ):  # fmt: skip
                self._apply_to_chunk(event, now_s)
            case events.SteppingFixed():
                self._is_sequential = event.sequential
            case (
                events.ModeFixed() | events.PageLoaded() | events.BundlePushed() | events.FramesCaptured()
                | events.SegmentEncoded() | events.AudioMixed() | events.Warned() | events.RunFinished()
            ):  # fmt: skip
                pass
            case _:
                assert_never(event)

    def _apply_to_host(self, event: events.HostReady | events.HostLost | events.HostRefused, now_s: float) -> None:
        match event:
            case events.HostReady():
                self._meet(event, now_s)
            case events.HostLost():
                self._lose(event, now_s)
            case events.HostRefused():
                self._lose(events.HostLost(event.host, event.message), now_s)

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
            case events.ChunkDone():
                self._complete(event, now_s)
            case events.ChunkFailed():
                self._fail(event, now_s)

    def _start_over(self) -> None:
        for chunk in self._ledger.running:
            self._ledger.end(chunk.name)
        self._hosts = Standings(self._hosts.remembered)
        self._failures.clear()
        self._end = None

    def _meet(self, event: events.HostReady, now_s: float) -> None:
        self._expected.discard(event.host)
        self._hosts.meet(event.host, event.capacity)
        self._release(event.host, now_s)

    def _lose(self, event: events.HostLost, now_s: float) -> None:
        (self._expected.add if event.is_expected_back else self._expected.discard)(event.host)
        host = self._hosts.hosts.get(event.host)
        if host is not None and host.is_alive:
            is_fruitless = host.chunk is not None and host.pace.total == 0
            self._release(event.host, now_s, f"lost with {event.host}: {event.message}")
            host.is_alive = False
            if is_fruitless:  # again and again before its first frame: as useless as one that fails
                self._hosts.strike(event.host, event.message, now_s)
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
            host.pace = host.pace.begun(now_s)

    def _shorten(self, event: events.ChunkTrimmed, now_s: float) -> None:
        chunk = self._held(event)
        if chunk is not None:
            chunk.is_taken = event.stop > chunk.asked_stop
            chunk.asked_s, chunk.helpers = None, ()
            self._ledger.trim(event.chunk, event.stop)
            self._tell(event.chunk, now_s, f"ends at {event.stop}")

    def _count(self, event: events.FramesVerified, now_s: float) -> None:
        fresh = self._ledger.count(event.chunk, protocol.ranges_of(file.index for file in event.frames))
        host = self._hosts.hosts.get(event.host)
        if host is not None and host.chunk == event.chunk:
            host.pace = host.pace.verified(self._curve.of(fresh), now_s)

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

    def _held(
        self, event: events.ChunkStarted | events.ChunkTrimmed | events.ChunkDone | events.ChunkFailed
    ) -> Chunk | None:
        """The chunk that `event` is about, unless it speaks of an order that is over."""
        chunk = self._ledger.chunks.get(event.chunk)
        is_current = chunk is not None and (chunk.host, chunk.attempt) == (event.host, event.attempt)
        return chunk if is_current else None

    def _release(self, name: str, now_s: float, why: str = "") -> FrameSet:
        host = self._hosts[name]
        if host.chunk is None:
            return FrameSet()
        left = self._ledger.end(host.chunk)
        self._tell(host.chunk, now_s, f"{why or f'left by {name}'}; missing {left}")
        host.chunk, host.pace = None, host.pace.ended(now_s)
        return left

    def _strike(self, name: str, trouble: str, now_s: float) -> None:
        self._hosts.strike(name, trouble, now_s)

    def _give(self, cut: Cut, name: str, now_s: float) -> orders.Order:
        self._ledger.give(cut, name)
        host = self._hosts[name]
        host.chunk, host.pace = cut.chunk, host.pace.begun(now_s)
        twin = f", beside {cut.twin}" if cut.twin else ""
        self._tell(cut.chunk, now_s, f"attempt {cut.attempt} to {name}: {cut.frames}, todo {cut.todo}{twin}")
        return orders.Capture(
            host=name, chunk=cut.chunk, attempt=cut.attempt, frames=cut.frames, todo=cut.todo.ranges, twin=cut.twin
        )

    def _tell(self, chunk: str, now_s: float, line: str) -> None:
        self._stories.setdefault(chunk, []).append(f"{now_s:.1f} s: {line}")

    # What to do.

    def _decide(self, now_s: float, *, is_news: bool) -> list[orders.Order]:
        self._end = self._end or self._ending(now_s)
        if self._end is not None:
            return [self._end]
        given = self._stop_beaten()
        if (is_news or now_s - self._looked_s >= LOOK_S) and self._hosts.has_idle(now_s):
            self._looked_s = now_s
            speeds = self._hosts.speeds(now_s)
            given += self._assign(speeds, now_s)
            given += self._steal(speeds, now_s)
            given += self._hedge(speeds, now_s)
        return given

    def _ending(self, now_s: float) -> orders.Finish | orders.GiveUp | None:
        if self._ledger.verified == self._ledger.frames:
            return orders.Finish()
        usable = self._hosts.usable(now_s)
        if len(usable) + len(self._expected) >= self._hosts_min:
            return None
        what = (
            "no usable host is left" if self._hosts_min == 1 else f"fewer than {self._hosts_min} usable hosts are left"
        )
        whys = [f"{name}: {why}" for name, why in sorted(self._hosts.troubles.items()) if name not in usable]
        kept = f"{len(self._ledger.verified)} of {len(self._ledger.frames)} frames are kept"
        remedy = f"mend a host (`fleetrender hosts check`), then go on with `--resume`: {kept}"
        return orders.GiveUp(FleetLost(f"{what}: {'; '.join(whys) or 'none was given'}", remedy=remedy))

    def _stop_beaten(self) -> list[orders.Order]:
        beaten = [chunk for chunk in self._ledger.running if chunk.is_beaten and not chunk.is_cancelled]
        return [self._cancel(chunk) for chunk in beaten]

    def _cancel(self, chunk: Chunk) -> orders.Cancel:
        assert chunk.host is not None
        chunk.is_cancelled = True
        return orders.Cancel(chunk.host, chunk.name)

    def _idle(self, speeds: Mapping[str, float]) -> list[str]:
        return sorted(
            (name for name in speeds if self._hosts[name].chunk is None), key=lambda name: (-speeds[name], name)
        )

    def _assign(self, speeds: Mapping[str, float], now_s: float) -> list[orders.Order]:
        """A chunk of what is pending for each idle host; when nothing else moves, whoever it is."""
        if not self._ledger.pending:
            return []
        given = self._assign_to(speeds, now_s, is_picky=True)
        return given if given or self._ledger.running else self._assign_to(speeds, now_s, is_picky=False)

    def _assign_to(self, speeds: Mapping[str, float], now_s: float, *, is_picky: bool) -> list[orders.Order]:
        """A picky host leaves frames that it failed at, and would not hold up the end."""
        given: list[orders.Order] = []
        left = self._left()
        size = sizing.shares if self._is_sequential else sizing.work
        pending = self._curve.of(self._ledger.pending)
        work = size(pending, left - pending, self._idle(speeds), speeds, len(self._expected))
        for name in self._idle(speeds):
            available = self._ledger.pending
            if is_picky:
                available -= verdict.avoided(name, self._failures)
            if not available or (is_picky and sizing.would_hold_up(left, name, speeds)):
                continue
            count = self._chunk_frames or self._curve.count(available, work[name])
            given.append(self._give(self._ledger.cut(available, min(count, sizing.CHUNK_FRAMES_MAX)), name, now_s))
        return given

    def _left(self) -> float:
        """All work that is not verified."""
        return self._curve.of(self._ledger.frames) - self._curve.of(self._ledger.verified)

    def _helpers(self, speeds: Mapping[str, float], now_s: float) -> dict[str, float]:
        """Idle hosts that no answer is awaited for, and that are fast enough to be of help."""
        promised = {name for chunk in self._ledger.running if self._is_asked(chunk, now_s) for name in chunk.helpers}
        left = self._left()
        return {
            name: speeds[name]
            for name in self._idle(speeds)
            if name not in promised and not sizing.would_hold_up(left, name, speeds)
        }

    def _is_asked(self, chunk: Chunk, now_s: float) -> bool:
        return chunk.asked_s is not None and now_s - chunk.asked_s < TRIM_PATIENCE_S

    def _loads(self, speeds: Mapping[str, float], chunks: Iterable[Chunk]) -> list[stealing.Load]:
        return [
            stealing.Load(
                chunk=chunk.name,
                host=chunk.host,
                attempt=chunk.attempt,
                speed=speeds[chunk.host],
                missing=chunk.missing,
            )
            for chunk in chunks
            if chunk.host is not None and chunk.host in speeds and chunk.missing and not chunk.is_cancelled
        ]

    def _pair(self, speeds: Mapping[str, float], chunk: Chunk) -> list[stealing.Load]:
        """`chunk` and its twin, if both are at work."""
        return self._loads(speeds, (chunk, self._ledger.chunks[chunk.twin or ""]))

    def _steal(self, speeds: Mapping[str, float], now_s: float) -> list[orders.Order]:
        """Has chunks end sooner that would end last, where idle hosts end the rest well before."""
        # Helpers of a sequential render would first step through all that its owner has been through.
        if self._is_sequential or self._chunk_frames is not None or not (helpers := self._helpers(speeds, now_s)):
            return []
        loads = self._loads(speeds, (one for one in self._ledger.running if one.is_divisible))
        given: list[orders.Order] = []
        for theft in stealing.thefts(loads, helpers, self._curve):
            load = theft.load
            chunk = self._ledger.chunks[load.chunk]
            chunk.asked_s, chunk.asked_stop, chunk.helpers = now_s, theft.stop, theft.helpers
            given.append(orders.Trim(host=load.host, chunk=load.chunk, attempt=load.attempt, stop=theft.stop))
        return given

    def _hedge(self, speeds: Mapping[str, float], now_s: float) -> list[orders.Order]:
        """Has idle hosts capture a second time what too slow ones are about."""
        if self._is_sequential or not (helpers := self._helpers(speeds, now_s)):
            return []
        running = [one for one in self._ledger.running if not self._is_asked(one, now_s)]
        pairs = [pair for one in running if one.name < (one.twin or "") and len(pair := self._pair(speeds, one)) == 2]
        stopped = hedging.too_slow([(one, other) for one, other in pairs], helpers, self._curve)
        if stopped:
            return [self._cancel(self._ledger.chunks[load.chunk]) for load in stopped]
        loads = self._loads(speeds, (one for one in running if one.twin is None))
        return [
            self._give(self._ledger.copy(load.chunk), name, now_s)
            for load, name in hedging.hedges(loads, helpers, self._curve)
        ]
