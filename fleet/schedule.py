"""Which host captures which frames. Events in, orders out. Pure: no I/O; time is an argument.

Pending frames go out lowest first: a lost host's frames come before those that nobody had yet, and segments complete
in order. `ledger` says where each frame is, `pace` how fast each host is, `verdict` when a failure is nobody's host.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import assert_never

from capture import protocol
from capture.faults import Blame
from capture.protocol import FrameRange
from fleet import events, frameset, orders, pace, sizing, verdict
from fleet.errors import FleetLost
from fleet.frameset import FrameSet
from fleet.ledger import Chunk, Cut, Ledger
from fleet.pace import Pace

# One failure is an accident, two may be; after three in a row the host is wasting the others' time.
STRIKES_MAX = 3
# A frame may be taken away from hosts this often; without an end to it slow hosts could play catch with it for ever.
STEALS_MAX = 3

_ChunkEvent = events.ChunkOrdered | events.ChunkStarted | events.FramesVerified | events.ChunkDone | events.ChunkFailed


@dataclass(slots=True)
class _Host:
    pace: Pace
    is_alive: bool = True
    chunk: str | None = None
    strikes: int = 0


class Schedule:
    """Decides; whoever carries its orders out tells it what happened, and calls `handle` once a second besides.

    `hosts` are those who may yet become ready; fewer than `hosts_min` usable ones, and it gives up.
    """

    def __init__(
        self,
        frames: FrameRange | FrameSet,
        *,
        hosts: Iterable[str],
        chunk_frames: int | None = None,
        hosts_min: int = 1,
    ) -> None:
        self._ledger = Ledger(frameset.of([frames]) if isinstance(frames, FrameRange) else frames)
        self._expected = set(hosts)  # neither ready nor refused yet
        self._chunk_frames = chunk_frames
        self._hosts_min = max(1, hosts_min)
        self._hosts: dict[str, _Host] = {}
        self._troubles: dict[str, str] = {}  # why a host is of no use, or what it last failed with
        self._failures: list[verdict.Failure] = []
        self._stolen = [FrameSet()] * STEALS_MAX  # frames taken away at least once, at least twice, ...
        self._is_sequential = False
        self._end: orders.Finish | orders.GiveUp | None = None
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
        return tuple(self._decide(now_s))

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
    ) -> "Schedule":
        """The schedule that goes on where the log ends: verified frames count, except `absent`, whose files are gone.

        Hosts start without strikes and failures without memory: mending them is why one resumes.
        """
        schedule = cls(frames, hosts=(), chunk_frames=chunk_frames, hosts_min=hosts_min)
        for record in records:
            schedule._apply(record.event, record.elapsed_s)
        schedule._start_over()
        schedule._ledger.forget(absent)
        schedule._expected = set(hosts)
        return schedule

    def check(self) -> None:
        """Asserts that every frame is in exactly one place, and that hosts and chunks agree."""
        self._ledger.check()
        held = {name: host.chunk for name, host in self._hosts.items() if host.chunk is not None}
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
                events.ChunkOrdered() | events.ChunkStarted() | events.FramesVerified()
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
            case events.FramesVerified():
                self._count(event, now_s)
            case events.ChunkDone():
                self._complete(event, now_s)
            case events.ChunkFailed():
                self._fail(event, now_s)

    def _start_over(self) -> None:
        for chunk in self._ledger.running:
            self._ledger.end(chunk.name)
        self._hosts.clear()
        self._troubles.clear()
        self._failures.clear()
        self._stolen = [FrameSet()] * STEALS_MAX
        self._end = None

    def _meet(self, event: events.HostReady, now_s: float) -> None:
        self._expected.discard(event.host)
        known = self._hosts.get(event.host)
        if known is None:
            self._hosts[event.host] = _Host(Pace(capacity=event.capacity))
            return
        self._release(event.host, now_s)
        known.is_alive = True

    def _lose(self, event: events.HostLost, now_s: float) -> None:
        (self._expected.add if event.is_expected_back else self._expected.discard)(event.host)
        host = self._hosts.get(event.host)
        if host is not None and host.is_alive:
            # A host that goes away again and again before its first frame is as useless as one that fails.
            host.strikes += host.chunk is not None and host.pace.total == 0
            self._release(event.host, now_s, f"lost with {event.host}: {event.message}")
            host.is_alive = False
        self._troubles[event.host] = event.message

    def _note_order(self, event: events.ChunkOrdered, now_s: float) -> None:
        known = self._ledger.chunks.get(event.chunk)
        if known is not None and known.attempt >= event.attempt:
            return  # our own order, coming back as an event
        self._hosts.setdefault(event.host, _Host(Pace(capacity=1.0)))
        self._release(event.host, now_s)
        self._give(Cut(event.chunk, event.attempt, event.frames, frameset.of(event.todo)), event.host, now_s)

    def _begin(self, event: events.ChunkStarted, now_s: float) -> None:
        if self._held(event) is not None:
            self._tell(event.chunk, now_s, f"started with {event.workers} workers: {event.why}")
            host = self._hosts[event.host]
            host.pace = host.pace.begun(now_s)

    def _count(self, event: events.FramesVerified, now_s: float) -> None:
        fresh = self._ledger.count(event.chunk, protocol.ranges_of(file.index for file in event.frames))
        host = self._hosts.get(event.host)
        if host is not None and host.chunk == event.chunk:
            host.pace = host.pace.verified(len(fresh), now_s)

    def _complete(self, event: events.ChunkDone, now_s: float) -> None:
        chunk = self._held(event)
        if chunk is None:
            return
        was_cancelled = chunk.is_cancelled
        left = self._release(event.host, now_s, "done")
        if left and not was_cancelled:
            self._strike(event.host, f"said chunk {event.chunk} was done, but frames {left} are missing")
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
        self._strike(event.host, f"{fault.code.value}: {fault.message}")
        failure = verdict.Failure(event.host, fault, left)
        is_alone = not (self._expected | set(self._usable()) - {event.host})
        earlier = verdict.same(failure, self._failures, is_alone=is_alone, verified=self.verified)
        if earlier is not None:
            self._end = orders.GiveUp(verdict.error(earlier, failure), fault)
        self._failures.append(failure)

    def _held(self, event: events.ChunkStarted | events.ChunkDone | events.ChunkFailed) -> Chunk | None:
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

    def _strike(self, name: str, trouble: str) -> None:
        host = self._hosts[name]
        host.strikes += 1
        self._troubles[name] = (
            trouble if host.strikes < STRIKES_MAX else f"left out after {host.strikes} failures: {trouble}"
        )

    def _give(self, cut: Cut, name: str, now_s: float) -> None:
        self._ledger.give(cut, name)
        host = self._hosts[name]
        host.chunk, host.pace = cut.chunk, host.pace.begun(now_s)
        self._tell(cut.chunk, now_s, f"attempt {cut.attempt} to {name}: {cut.frames}, todo {cut.todo}")

    def _tell(self, chunk: str, now_s: float, line: str) -> None:
        self._stories.setdefault(chunk, []).append(f"{now_s:.1f} s: {line}")

    # What to do.

    def _decide(self, now_s: float) -> list[orders.Order]:
        self._end = self._end or self._ending()
        if self._end is not None:
            return [self._end]
        speeds = pace.estimates({name: self._hosts[name].pace for name in self._usable()}, now_s)
        given = self._assign(speeds, now_s, is_picky=True)
        if not given and not self._ledger.running:
            given = self._assign(speeds, now_s, is_picky=False)
        return given + self._steal(speeds)

    def _ending(self) -> orders.Finish | orders.GiveUp | None:
        if self._ledger.verified == self._ledger.frames:
            return orders.Finish()
        usable = self._usable()
        if len(usable) + len(self._expected) >= self._hosts_min:
            return None
        what = (
            "no usable host is left" if self._hosts_min == 1 else f"fewer than {self._hosts_min} usable hosts are left"
        )
        whys = [f"{name}: {why}" for name, why in sorted(self._troubles.items()) if name not in usable]
        kept = f"{len(self._ledger.verified)} of {len(self._ledger.frames)} frames are kept"
        remedy = f"mend a host (`fleetrender hosts check`), then go on with `--resume`: {kept}"
        return orders.GiveUp(FleetLost(f"{what}: {'; '.join(whys) or 'none was given'}", remedy=remedy))

    def _usable(self) -> list[str]:
        return [name for name, host in self._hosts.items() if host.is_alive and host.strikes < STRIKES_MAX]

    def _idle(self, speeds: dict[str, float]) -> list[str]:
        return sorted(
            (name for name in speeds if self._hosts[name].chunk is None), key=lambda name: (-speeds[name], name)
        )

    def _assign(self, speeds: dict[str, float], now_s: float, *, is_picky: bool) -> list[orders.Order]:
        """A chunk for each idle host; a picky one leaves frames it failed at, and would not hold up the end."""
        given: list[orders.Order] = []
        sizes = self._sizes(speeds)
        for name in self._idle(speeds):
            available = self._ledger.pending
            if is_picky:
                available -= verdict.avoided(name, self._failures)
            if not available or (is_picky and self._would_hold_up(name, speeds)):
                continue
            cut = self._ledger.cut(available, sizes[name])
            self._give(cut, name, now_s)
            given.append(
                orders.Capture(host=name, chunk=cut.chunk, attempt=cut.attempt, frames=cut.frames, todo=cut.todo.ranges)
            )
        return given

    def _sizes(self, speeds: dict[str, float]) -> dict[str, int]:
        idle = self._idle(speeds)
        if self._chunk_frames is not None:
            return dict.fromkeys(idle, self._chunk_frames)
        size = sizing.shares if self._is_sequential else sizing.chunk_sizes
        return size(len(self._ledger.pending), self._owned(), idle, speeds, len(self._expected))

    def _would_hold_up(self, name: str, speeds: dict[str, float]) -> bool:
        return sizing.would_hold_up(len(self._ledger.pending) + self._owned(), name, speeds)

    def _owned(self) -> int:
        return sum(len(chunk.missing) for chunk in self._ledger.running)

    def _steal(self, speeds: dict[str, float]) -> list[orders.Order]:
        """Cancels the chunk that would end last, when idle hosts and its owner together end it well before."""
        help_speed = sum(speeds[name] for name in self._idle(speeds))
        running = self._ledger.running
        # Helpers of a sequential render would first step through all that its owner has been through.
        if (
            self._is_sequential
            or self._chunk_frames is not None
            or not help_speed
            or any(chunk.is_cancelled for chunk in running)
        ):
            return []
        owned = [
            (len(chunk.missing) / speeds[chunk.host], chunk.host, chunk)
            for chunk in running
            if chunk.host in speeds and chunk.missing and not chunk.missing & self._stolen[-1]
        ]
        if not owned:
            return []
        _, owner, chunk = max(owned, key=lambda triple: triple[0])
        if not sizing.is_worth_stealing(len(chunk.missing), speeds[owner], help_speed):
            return []
        chunk.is_cancelled = True
        again = chunk.missing
        for times, stolen in enumerate(self._stolen):
            self._stolen[times], again = stolen | again, stolen & again
        return [orders.Cancel(owner, chunk.name)]
