"""Hosts on a simulated clock: they obey a schedule's orders and tell what happened, at their own speeds and faults."""

import bisect
import dataclasses
import heapq
import itertools
import math
import random
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from capture.faults import Fault, FaultCode
from capture.protocol import FrameFile, FrameRange
from fleet import costs, events, orders
from fleet.costs import Curve
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

LIE: Literal["lie"] = "lie"  # says that all is done when half of it is
Cost = Callable[[int], float]


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


class World:
    """Runs one render to its end; `wall_s`, `end` and `log` tell how it went."""

    def __init__(
        self,
        schedule: Schedule,
        hosts: list[SimHost],
        *,
        cost: Cost = lambda _: 1.0,
        poison: int | None = None,
        check_every: int = 1,
    ) -> None:
        self.schedule = schedule
        self.wall_s = 0.0
        self.end: orders.Finish | orders.GiveUp | None = None
        self.log: list[events.Record] = []
        self.given: list[orders.Order] = []
        self._states = {host.name: _State(host) for host in hosts}
        self._cost = cost
        self._poison = poison
        self._check_every = check_every
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
        self._plan(0, self._tick)
        for count in range(EVENTS_MAX):
            self.wall_s, _, happen = heapq.heappop(self._queue)
            event = happen()
            if event is not None:
                self._log(event)
            given = self.schedule.handle(*([event] if event else []), now_s=self.wall_s)
            if count % self._check_every == 0:
                self.schedule.check()
            for order in given:
                self._obey(order)
            if self.schedule.due_s < math.inf and not self._is_woken:
                self._is_woken = True
                self._plan(max(0.0, self.schedule.due_s - self.wall_s), self._wake)
            if self.end is not None:
                self.schedule.check()
                return
        raise AssertionError(f"no end after {EVENTS_MAX} events")

    def _log(self, event: Event) -> None:
        self.log.append(events.Record("", self.wall_s, event))

    def _plan(self, after_s: float, happen: Callable[[], Event | None]) -> None:
        heapq.heappush(self._queue, (self.wall_s + after_s, next(self._order), happen))

    def _tick(self) -> None:
        self._plan(1.0, self._tick)

    def _wake(self) -> None:
        self._is_woken = False

    def _come_up(self, state: _State) -> Event | None:
        if state.is_up:
            return None
        if self._is_frozen(state):
            return events.HostLost(state.host.name, "says nothing")
        state.is_up = True
        host = state.host
        return events.HostReady(host=host.name, capacity=host.capacity, cores=1.0, browser="156", gl_renderer="sw")

    def _go_away(self, state: _State, loss: Loss) -> Event | None:
        state.life += 1
        state.is_up = False
        work, state.work = state.work, None
        if loss.late and work is not None and (frames := work.frames[: work.finished(self.wall_s + 2 * PULL_S)]):
            # What was on its way arrives late, and what had arrived arrives again.
            burst = events.FramesVerified(chunk=work.order.chunk, host=state.host.name, frames=_files(frames))
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
        fault = self._fault(state, frames)
        if fault is not None:
            frame = None if isinstance(fault, str) else fault.frame
            del frames[frames.index(frame) if frame in frames else len(frames) // 2 :]
        times_s = itertools.accumulate(
            (self._cost(frame) / state.host.speed for frame in frames), initial=self.wall_s + CHUNK_COST_S
        )
        work = state.work = _Work(order, frames, list(times_s)[1:], fault)
        if self._is_frozen(state):
            return
        started = events.ChunkStarted(
            chunk=order.chunk, host=order.host, attempt=order.attempt, workers=1, why="simulated"
        )
        self._later(state, CHUNK_COST_S, lambda: started)
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
            return events.FramesVerified(chunk=order.chunk, host=order.host, frames=_files(frames))
        if work.said < len(work.frames):
            return None
        state.work = None
        if isinstance(work.fault, Fault):
            return events.ChunkFailed(chunk=order.chunk, host=order.host, attempt=order.attempt, fault=work.fault)
        return events.ChunkDone(chunk=order.chunk, host=order.host, attempt=order.attempt)

    def _fault(self, state: _State, frames: list[int]) -> Fault | Literal["lie"] | None:
        code = state.host.faults.get(state.count)
        if isinstance(code, FaultCode):
            return Fault(code=code, message="planned")
        if code is None and self._poison in frames:
            return Fault(code=FaultCode.SEEK_FAILED, message="poison", frame=self._poison)
        return code

    def _later(self, state: _State, after_s: float, happen: Callable[[], Event | None]) -> None:
        life = state.life
        self._plan(after_s, lambda: happen() if state.life == life else None)


def _files(frames: list[int]) -> tuple[FrameFile, ...]:
    return tuple(FrameFile(frame, 1, "00" * 32) for frame in frames)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One random fleet and what it renders; `curve` is what the schedule was told of the costs."""

    count: int
    hosts: list[SimHost]
    costs: list[float]
    curve: Curve

    def cost(self, frame: int) -> float:
        return self.costs[frame]

    def run(self) -> World:
        """To the end, with the books checked often."""
        schedule = Schedule(whole(self.count), hosts=[host.name for host in self.hosts], curve=self.curve)
        every = max(1, len(self.hosts) // 2)
        world = World(schedule, self.hosts, cost=self.cost, check_every=every)
        world.run()
        return world


SHAPES = ("flat", "heavy third", "ramp", "noise")


def case(rng: random.Random, *, hosts_max: int = 1000, ideal_s: tuple[float, float] = (60.0, 180.0)) -> Case:
    """A fleet without losses: 1 to `hosts_max` hosts, log-uniform; speeds 0.1 to 10 average frames/s, log-uniform; boot
    0 to 5 s; half of the capacities tell the speed to within a third, the others nothing. A render whose ideal time is
    `ideal_s`, flat, with a third that costs five times as much, rising tenfold, or random by scenes; half of the
    schedules know the costs to within a fifth.
    """
    number = round(math.exp(rng.uniform(0, math.log(hosts_max))))
    hosts = [_host(rng, f"h{index}") for index in range(number)]
    speed = sum(host.speed for host in hosts)
    count = max(30, round(rng.uniform(*ideal_s) * speed))
    relative = _shape(rng, rng.choice(SHAPES), count)
    mean = statistics.fmean(relative)
    values = [value / mean for value in relative]
    known = [(FrameRange(frame, frame + 1), value * rng.uniform(0.8, 1.25)) for frame, value in enumerate(values)]
    curve = costs.curve(known, whole(count)) if rng.random() < 0.5 else costs.FLAT
    return Case(count=count, hosts=hosts, costs=values, curve=curve)


def _host(rng: random.Random, name: str) -> SimHost:
    speed = math.exp(rng.uniform(math.log(0.1), math.log(10)))
    capacity = speed * rng.uniform(0.67, 1.5) if rng.random() < 0.5 else rng.choice([1.0, 2.0, 4.0])
    return SimHost(name=name, speed=speed, capacity=capacity, boot_s=rng.uniform(0, 5))


def _shape(rng: random.Random, shape: str, count: int) -> list[float]:
    if shape == "heavy third":
        start = rng.choice([0, 1, 2]) * count // 3
        return [5.0 if start <= frame < start + count // 3 else 1.0 for frame in range(count)]
    if shape == "ramp":
        return [1 + 9 * frame / count for frame in range(count)]
    if shape == "noise":
        return list(itertools.islice(_scenes(rng), count))
    return [1.0] * count


def _scenes(rng: random.Random) -> Iterator[float]:
    while True:
        cost = math.exp(rng.gauss(0, 0.6))
        yield from itertools.repeat(cost, rng.randint(30, 300))


def troubled(rng: random.Random) -> Case:
    """A small fleet whose hosts are lost, come back, freeze, lie, fail and answer late, each in a quarter of them."""
    calm = case(rng, hosts_max=12, ideal_s=(10.0, 40.0))
    hosts = [_troubled(rng, host) for host in calm.hosts]
    return dataclasses.replace(calm, hosts=hosts)


def _troubled(rng: random.Random, host: SimHost) -> SimHost:
    losses = tuple(
        Loss(at_s=rng.uniform(0.5, 60), back_s=rng.choice([None, 2.0, 20.0]), late=rng.random() < 0.5)
        for _ in range(rng.choice([0, 0, 0, 1, 3]))
    )
    codes: list[FaultCode | Literal["lie"]] = [
        FaultCode.BROWSER_CRASHED,
        FaultCode.FRAME_DAMAGED,
        FaultCode.DISK_FULL,
        FaultCode.NO_PROGRESS,
        LIE,
    ]
    faults = {order: rng.choice(codes) for order in range(1, 9) if rng.random() < rng.choice([0, 0, 0, 0.3])}
    return dataclasses.replace(
        host,
        losses=losses,
        faults=faults,
        freezes_s=rng.uniform(0, 60) if rng.random() < 0.15 else None,
        answer_s=rng.choice([ANSWER_S, ANSWER_S, ANSWER_S, rng.uniform(0.5, 12)]),
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """Wall times of one case: ours and an equal split's, as parts of the lower bound."""

    ours: float
    equal: float
    hosts: int


def measure(one: Case) -> Outcome:
    """Runs the case to its end, which must be a good one."""
    world = one.run()
    assert world.end == orders.Finish()
    bound_s = lower_bound_s(one.count, one.hosts, one.cost)
    return Outcome(world.wall_s / bound_s, equal_split_s(one.count, one.hosts, one.cost) / bound_s, len(one.hosts))


def table(outcomes: list[Outcome]) -> str:
    """Median, p95 and worst of ours and of the equal split, in parts of the lower bound."""
    lines = [f"{len(outcomes)} fleets, wall / lower bound   median      p95    worst"]
    for name in ("ours", "equal"):
        values = sorted(getattr(outcome, name) for outcome in outcomes)
        row = (statistics.median(values), values[int(0.95 * (len(values) - 1))], values[-1])
        lines.append(f"{'equal split' if name == 'equal' else 'fleetrender':<32}" + "".join(f"{x:9.2f}" for x in row))
    return "\n".join(lines)
