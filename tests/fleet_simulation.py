"""Hosts on a simulated clock: they obey a schedule's orders and tell what happened, at their own speeds and faults."""

import dataclasses
import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from capture.faults import Fault, FaultCode
from capture.protocol import FrameFile, FrameRange
from fleet import events, orders
from fleet.events import Event
from fleet.schedule import Schedule

PULL_S = 1.0  # frames arrive in bursts
CHUNK_COST_S = 0.3
CANCEL_S = 0.2
EVENTS_MAX = 20_000


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
    losses: tuple[Loss, ...] = ()
    faults: dict[int, FaultCode] = field(default_factory=dict)


@dataclass(slots=True)
class _State:
    host: SimHost
    life: int = 0  # what was planned in an earlier life, or for an earlier order, does not happen
    is_up: bool = False
    count: int = 0
    waiting: list[tuple[float, events.FramesVerified]] = field(default_factory=list)


class World:
    """Runs one render to its end; `wall_s`, `end` and `log` tell how it went."""

    def __init__(
        self,
        schedule: Schedule,
        hosts: list[SimHost],
        *,
        cost: Callable[[int], float] = lambda _: 1.0,
        poison: int | None = None,
    ) -> None:
        self.schedule = schedule
        self.wall_s = 0.0
        self.end: orders.Finish | orders.GiveUp | None = None
        self.log: list[events.Record] = []
        self._states = {host.name: _State(host) for host in hosts}
        self._cost = cost
        self._poison = poison
        self._queue: list[tuple[float, int, Callable[[], Event | None]]] = []
        self._order = itertools.count()

    def run(self) -> None:
        """Until the schedule says how it ends; an endless schedule fails here."""
        for state in self._states.values():
            self._plan(state.host.boot_s, partial(self._come_up, state))
            for loss in state.host.losses:
                self._plan(loss.at_s, partial(self._go_away, state, loss))
        self._plan(0, self._tick)
        for _ in range(EVENTS_MAX):
            self.wall_s, _, happen = heapq.heappop(self._queue)
            event = happen()
            if event is not None:
                self._log(event)
            given = self.schedule.handle(*([event] if event else []), now_s=self.wall_s)
            self.schedule.check()
            for order in given:
                self._obey(order)
            if self.end is not None:
                return
        raise AssertionError(f"no end after {EVENTS_MAX} events")

    def _log(self, event: Event) -> None:
        self.log.append(events.Record("", self.wall_s, event))

    def _plan(self, after_s: float, happen: Callable[[], Event | None]) -> None:
        heapq.heappush(self._queue, (self.wall_s + after_s, next(self._order), happen))

    def _tick(self) -> None:
        self._plan(1.0, self._tick)

    def _come_up(self, state: _State) -> Event | None:
        if state.is_up:
            return None
        state.is_up = True
        host = state.host
        return events.HostReady(host=host.name, capacity=host.capacity, cores=1.0, browser="156", gl_renderer="sw")

    def _go_away(self, state: _State, loss: Loss) -> Event | None:
        state.life += 1
        state.is_up = False
        if loss.late:
            # What was on its way arrives late, and what had arrived arrives again.
            for due_s, burst in state.waiting:
                if due_s <= self.wall_s + 2 * PULL_S:
                    self._plan(0.5, partial(_same, burst))
        state.waiting.clear()
        if loss.back_s is not None:
            self._plan(loss.back_s, lambda: self._come_up(state))
        return events.HostLost(state.host.name, "gone", is_expected_back=loss.back_s is not None)

    def _obey(self, order: orders.Order) -> None:
        match order:
            case orders.Finish() | orders.GiveUp():
                self.end = order
            case orders.Cancel():
                self._cancel(self._states[order.host], order)
            case orders.Capture():
                fields = {field.name: getattr(order, field.name) for field in dataclasses.fields(order)}
                self._log(events.ChunkOrdered(**fields))
                self._capture(self._states[order.host], order)

    def _cancel(self, state: _State, order: orders.Cancel) -> None:
        state.life += 1
        state.waiting.clear()
        attempt = self.schedule._ledger.chunks[order.chunk].attempt
        fault = Fault(code=FaultCode.CANCELLED, message="cancelled")
        self._later(
            state, CANCEL_S, events.ChunkFailed(chunk=order.chunk, host=order.host, attempt=attempt, fault=fault)
        )

    def _capture(self, state: _State, order: orders.Capture) -> None:
        assert state.is_up, "an order to a host that is away"
        state.life += 1
        state.count += 1
        frames = [frame for part in order.todo for frame in part]
        fault = self._fault(state, frames)
        stop = len(frames)
        if fault is not None:
            stop = frames.index(fault.frame) if fault.frame in frames else len(frames) // 2
        at_s = CHUNK_COST_S
        named = {"chunk": order.chunk, "host": order.host, "attempt": order.attempt}
        self._later(state, at_s, events.ChunkStarted(**named, workers=1, why="simulated"))  # type: ignore[arg-type]
        burst: list[int] = []
        burst_s = at_s
        for frame in frames[:stop]:
            at_s += self._cost(frame) / state.host.speed
            burst.append(frame)
            if at_s - burst_s >= PULL_S:
                self._verify(state, at_s, order, burst)
                burst, burst_s = [], at_s
        self._verify(state, at_s, order, burst)
        if fault is None:
            self._later(state, at_s, events.ChunkDone(**named))  # type: ignore[arg-type]
        else:
            self._later(state, at_s, events.ChunkFailed(**named, fault=fault))  # type: ignore[arg-type]

    def _fault(self, state: _State, frames: list[int]) -> Fault | None:
        code = state.host.faults.get(state.count)
        if code is not None:
            return Fault(code=code, message="planned")
        if self._poison in frames:
            return Fault(code=FaultCode.SEEK_FAILED, message="poison", frame=self._poison)
        return None

    def _verify(self, state: _State, at_s: float, order: orders.Capture, frames: list[int]) -> None:
        if frames:
            files = tuple(FrameFile(frame, 1, "00") for frame in frames)
            self._later(state, at_s, events.FramesVerified(chunk=order.chunk, host=order.host, frames=files))

    def _later(self, state: _State, after_s: float, event: Event) -> None:
        life = state.life

        def happen() -> Event | None:
            return event if state.life == life else None

        if isinstance(event, events.FramesVerified):
            state.waiting.append((self.wall_s + after_s, event))
        self._plan(after_s, happen)


def _same(event: Event) -> Event:
    return event


def equal_split_s(count: int, hosts: list[SimHost], cost: Callable[[int], float]) -> float:
    """The wall time of one equal chunk for each host, the way that knows no speeds."""
    share = -(-count // len(hosts))
    parts = [range(start, min(start + share, count)) for start in range(0, count, share)]
    return max(
        host.boot_s + CHUNK_COST_S + sum(map(cost, part)) / host.speed for host, part in zip(hosts, parts, strict=False)
    )


def lower_bound_s(count: int, hosts: list[SimHost], cost: Callable[[int], float]) -> float:
    """No schedule is faster: every host busy from its boot to the end, no cost per chunk."""
    work = sum(map(cost, range(count)))
    return (work + sum(host.boot_s * host.speed for host in hosts)) / sum(host.speed for host in hosts)


def whole(count: int) -> FrameRange:
    """All frames of a render of `count`."""
    return FrameRange(0, count)
