"""Hosts on a simulated clock: they obey a schedule's orders and tell what happened, at their own speeds and faults."""

import bisect
import dataclasses
import enum
import heapq
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from capture.faults import Fault, FaultCode
from capture.protocol import FrameFile, FrameRange
from fleet import events, orders
from fleet.events import Event
from fleet.schedule import Schedule

PULL_S = 1.0  # frames arrive in bursts
CHUNK_COST_S = 0.3
ANSWER_S = 0.05
SILENCE_S = 40.0  # after which a host that stands still is taken for lost
# As agents give them out: blocks of eight frames, or of a second's worth where frames are slow.
BLOCK_FRAMES = 8
BLOCK_S = 1.0
EVENTS_MAX = 1_000_000
# Up to so many hosts all books are checked after each event; above, those of its chunk, and all of them now and then.
CHECKED_HOSTS = 30
CHECKS_PER_HOSTS = 8

LIE: Literal["lie"] = "lie"  # says that all is done when half of it is
Cost = Callable[[int], float]


class Lie(enum.Enum):
    """What a host that lies does all the time."""

    PIXELS = "some of its frames are others than everybody's"
    BLANK = "all of its frames are one picture"
    SPEED = "it says at once that all is captured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """At `at_s` the host goes away; `back_s` later it returns, or never; `late` verified frames arrive afterwards."""

    at_s: float
    back_s: float | None = None
    late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SimHost:
    """`speed` in frames/s of cost 1; `faults` maps the ordinal of an order on this host to how it fails half-way."""

    name: str
    speed: float
    capacity: float = 1.0
    boot_s: float = 1.0
    answer_s: float = ANSWER_S
    losses: tuple[Loss, ...] = ()
    freezes_s: float | None = None  # from then on it says nothing
    drains_s: float | None = None  # its user wants it back
    lie: Lie | None = None
    faults: dict[int, FaultCode | Literal["lie"]] = field(default_factory=dict)


@dataclass(slots=True)
class _Work:
    """An order on its host: its frames, and when each is finished."""

    order: orders.Capture
    frames: list[int]
    times_s: list[float]
    fault: Fault | Literal["lie"] | None
    said: int = 0

    def finished(self, now_s: float) -> int:
        return bisect.bisect_right(self.times_s, now_s + 1e-9)

    def trim(self, stop: int, now_s: float) -> int:
        """Drops what no worker has taken, and says where the order ends."""
        done = self.finished(now_s)
        took_s = self.times_s[done] - self.times_s[done - 1] if 0 < done < len(self.frames) else 0
        block = BLOCK_FRAMES if took_s <= 0 else max(1, min(BLOCK_FRAMES, math.floor(BLOCK_S / took_s)))
        taken = min(done + block, len(self.frames))
        stop = max(stop, self.frames[taken - 1] + 1) if taken else max(stop, self.frames[0] + 1)
        kept = bisect.bisect_left(self.frames, stop)
        del self.frames[kept:], self.times_s[kept:]
        return stop


@dataclass(slots=True)
class _State:
    host: SimHost
    life: int = 0  # what was planned in an earlier life, or for an earlier order, does not happen
    is_up: bool = False
    count: int = 0
    work: _Work | None = None
    is_gone: bool = False  # drained: it does not come back


class World:
    """Runs one render to its end; `wall_s`, `end` and `log` tell how it went."""

    def __init__(
        self,
        schedule: Schedule,
        hosts: list[SimHost],
        *,
        cost: Cost = lambda _: 1.0,
        poison: int | None = None,
    ) -> None:
        self.schedule = schedule
        self.wall_s = 0.0
        self.end: orders.Finish | orders.GiveUp | None = None
        self.log: list[events.Record] = []
        self.given: list[orders.Order] = []
        self._states = {host.name: _State(host) for host in hosts}
        self._cost = cost
        self._poison = poison
        self._check_every = 1 if len(hosts) <= CHECKED_HOSTS else max(2, len(hosts) // CHECKS_PER_HOSTS)
        self._queue: list[tuple[float, int, Callable[[], Event | None]]] = []
        self._order = itertools.count()
        self._is_woken = False

    def run(self) -> None:
        """Until the schedule says how it ends; an endless schedule fails here."""
        for state in self._states.values():
            self._plan(state.host.boot_s, partial(self._come_up, state))
            for loss in state.host.losses:
                self._plan(loss.at_s, partial(self._go_away, state, loss))
            if state.host.freezes_s is not None:
                self._plan(state.host.freezes_s, partial(self._freeze, state))
            if state.host.drains_s is not None:
                self._plan(state.host.drains_s, partial(self._drain, state))
        self._plan(0, self._tick)
        for count in range(EVENTS_MAX):
            self.wall_s, _, happen = heapq.heappop(self._queue)
            event = happen()
            if event is not None:
                self._log(event)
            given = self.schedule.handle(*([event] if event else []), now_s=self.wall_s)
            self._check(event, is_whole=count % self._check_every == 0)
            for order in given:
                self._obey(order)
            if self.schedule.due_s < math.inf and not self._is_woken:
                self._is_woken = True
                self._plan(max(0.0, self.schedule.due_s - self.wall_s), self._wake)
            if self.end is not None:
                self.schedule.check()
                return
        raise AssertionError(f"no end after {EVENTS_MAX} events")

    def _check(self, event: Event | None, *, is_whole: bool) -> None:
        if is_whole:
            self.schedule.check()
        elif chunk := getattr(event, "chunk", None):
            self.schedule.check(chunk)

    def _log(self, event: Event) -> None:
        self.log.append(events.Record("", self.wall_s, event))

    def _plan(self, after_s: float, happen: Callable[[], Event | None]) -> None:
        heapq.heappush(self._queue, (self.wall_s + after_s, next(self._order), happen))

    def _tick(self) -> None:
        self._plan(1.0, self._tick)

    def _wake(self) -> None:
        self._is_woken = False

    def _drain(self, state: _State) -> Event | None:
        return events.HostDraining(state.host.name) if state.is_up else None

    def _come_up(self, state: _State) -> Event | None:
        if state.is_up or state.is_gone:
            return None
        if self._is_frozen(state):
            return events.HostLost(state.host.name, "says nothing")
        state.is_up = True
        host = state.host
        return events.HostReady(host=host.name, capacity=host.capacity, cores=1.0, browser="156", gl_renderer="sw")

    def _go_away(self, state: _State, loss: Loss) -> Event | None:
        if state.is_gone:
            return None
        state.life += 1
        state.is_up = False
        work, state.work = state.work, None
        if loss.late and work is not None and (frames := work.frames[: work.finished(self.wall_s + 2 * PULL_S)]):
            # What was on its way arrives late, and what had arrived arrives again.
            burst = events.FramesVerified(
                chunk=work.order.chunk, host=state.host.name, frames=_files(frames, state.host.lie)
            )
            self._plan(0.5, lambda: burst)
        if loss.back_s is not None:
            self._plan(loss.back_s, lambda: self._come_up(state))
        return events.HostLost(state.host.name, "gone", is_expected_back=loss.back_s is not None)

    def _freeze(self, state: _State) -> None:
        state.life += 1
        if state.is_up:
            self._plan(SILENCE_S, partial(self._go_away, state, Loss(at_s=0)))

    def _obey(self, order: orders.Order) -> None:
        self.given.append(order)
        match order:
            case orders.Finish() | orders.GiveUp():
                self.end = order
            case orders.Cancel():
                self._cancel(self._states[order.host], order)
            case orders.Trim():
                self._trim(self._states[order.host], order)
            case orders.Release():
                self._states[order.host].is_up = False
                self._states[order.host].is_gone = True
            case orders.Say():
                self._log(order.event)
            case orders.Capture():
                fields = {field.name: getattr(order, field.name) for field in dataclasses.fields(order)}
                self._log(events.ChunkOrdered(**fields))
                self._capture(self._states[order.host], order)

    def _is_frozen(self, state: _State) -> bool:
        return state.host.freezes_s is not None and self.wall_s >= state.host.freezes_s

    def _cancel(self, state: _State, order: orders.Cancel) -> None:
        work = state.work
        if self._is_frozen(state) or work is None or work.order.chunk != order.chunk:
            return
        state.life += 1
        state.work = None
        fault = Fault(code=FaultCode.CANCELLED, message="cancelled")
        failed = events.ChunkFailed(chunk=order.chunk, host=order.host, attempt=work.order.attempt, fault=fault)
        self._later(state, state.host.answer_s, lambda: failed)

    def _trim(self, state: _State, order: orders.Trim) -> None:
        def answer() -> Event | None:
            work = state.work
            if work is None or (work.order.chunk, work.order.attempt) != (order.chunk, order.attempt):
                return None
            stop = work.trim(order.stop, self.wall_s)
            self._burst_next(state, work)
            return events.ChunkTrimmed(chunk=order.chunk, host=order.host, attempt=order.attempt, stop=stop)

        if not self._is_frozen(state):
            self._plan(state.host.answer_s, answer)

    def _capture(self, state: _State, order: orders.Capture) -> None:
        assert state.is_up, "an order to a host that is away"
        state.life += 1
        state.count += 1
        frames = [frame for part in order.todo for frame in part]
        fault = self._fault(state)
        if fault is not None:
            del frames[len(frames) // 2 :]
        if self._poison in frames:  # whatever else is wrong with the host, it does not come past this frame
            fault = Fault(code=FaultCode.SEEK_FAILED, message="poison", frame=self._poison)
            del frames[frames.index(self._poison) :]
        speed = math.inf if state.host.lie is Lie.SPEED else state.host.speed
        times_s = itertools.accumulate(
            (self._cost(frame) / speed for frame in frames), initial=self.wall_s + CHUNK_COST_S
        )
        work = state.work = _Work(order, frames, list(times_s)[1:], fault)
        if self._is_frozen(state):
            return
        started = events.ChunkStarted(
            chunk=order.chunk, host=order.host, attempt=order.attempt, workers=1, why="simulated"
        )
        self._later(state, CHUNK_COST_S, lambda: started)
        seam = order.seam(FrameRange(0, 1))
        if seam is not None:
            drawn = events.SeamDrawn(chunk=order.chunk, host=order.host, frame=_files([seam], state.host.lie)[0])
            self._later(state, CHUNK_COST_S, lambda: drawn)
        self._burst_next(state, work)

    def _burst_next(self, state: _State, work: _Work) -> None:
        """Plans when the host speaks next: of the frames of the next second, or of the end."""
        if work.said < len(work.frames):
            due_s = max(work.times_s[work.said], min(work.times_s[-1], self.wall_s + PULL_S))
        else:
            due_s = self.wall_s if work.frames else self.wall_s + CHUNK_COST_S
        self._later(state, max(0.0, due_s - self.wall_s), partial(self._speak, state, work))

    def _speak(self, state: _State, work: _Work) -> Event | None:
        if state.work is not work:
            return None
        order, finished = work.order, work.finished(self.wall_s)
        if work.said < finished:
            frames, work.said = work.frames[work.said : finished], finished
            self._burst_next(state, work)
            return events.FramesVerified(chunk=order.chunk, host=order.host, frames=_files(frames, state.host.lie))
        if work.said < len(work.frames):
            return None
        state.work = None
        if isinstance(work.fault, Fault):
            return events.ChunkFailed(chunk=order.chunk, host=order.host, attempt=order.attempt, fault=work.fault)
        return events.ChunkDone(chunk=order.chunk, host=order.host, attempt=order.attempt)

    def _fault(self, state: _State) -> Fault | Literal["lie"] | None:
        code = state.host.faults.get(state.count)
        return Fault(code=code, message="planned") if isinstance(code, FaultCode) else code

    def _later(self, state: _State, after_s: float, happen: Callable[[], Event | None]) -> None:
        life = state.life
        self._plan(after_s, lambda: happen() if state.life == life else None)


def _files(frames: list[int], lie: Lie | None) -> tuple[FrameFile, ...]:
    return tuple(FrameFile(frame, 1, f"{_picture(frame, lie):064x}") for frame in frames)


def _picture(frame: int, lie: Lie | None) -> int:
    """Every frame is a picture of its own; a liar's are others."""
    if lie is Lie.BLANK:
        return 1 << 200
    return frame + (1 << 100 if lie is Lie.PIXELS and frame % 7 == 0 else 0)


def equal_split_s(count: int, hosts: list[SimHost], cost: Cost) -> float:
    """The wall time of one equal chunk for each host, the way that knows no speeds."""
    share = -(-count // len(hosts))
    parts = [range(start, min(start + share, count)) for start in range(0, count, share)]
    return max(
        host.boot_s + CHUNK_COST_S + sum(map(cost, part)) / host.speed for host, part in zip(hosts, parts, strict=False)
    )


def lower_bound_s(count: int, hosts: list[SimHost], cost: Cost) -> float:
    """No schedule is faster: the best number of hosts, all busy from their boot to the end, no cost per chunk."""
    work, speed, waited = sum(map(cost, range(count))), 0.0, 0.0
    best = math.inf
    for host in sorted(hosts, key=lambda host: host.boot_s):
        if host.boot_s >= best:
            break
        speed, waited = speed + host.speed, waited + host.boot_s * host.speed
        best = (work + waited) / speed
    return best


def whole(count: int) -> FrameRange:
    """All frames of a render of `count`."""
    return FrameRange(0, count)
