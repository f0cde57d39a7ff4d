"""Random fleets and what they render: calm ones, and ones that everything befalls; how near the bound they come."""

import dataclasses
import functools
import itertools
import json
import math
import random
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fleet_simulation import ANSWER_S, LIE, Lie, Loss, SimHost, World, equal_split_s, lower_bound_s, whole

from capture.faults import FaultCode
from capture.protocol import FrameRange
from fleet import costs, orders
from fleet.costs import Curve
from fleet.schedule import Schedule

RECORDED = Path(__file__).parent / "recorded_costs.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One random fleet and what it renders; `curve` is what the schedule was told of the costs."""

    count: int
    hosts: list[SimHost]
    costs: list[float]
    curve: Curve
    poison: int | None = None  # a frame at which the page throws, on every host

    def cost(self, frame: int) -> float:
        return self.costs[frame]

    def run(self) -> World:
        """To the end, with the books checked."""
        schedule = Schedule(whole(self.count), hosts=[host.name for host in self.hosts], curve=self.curve)
        world = World(schedule, self.hosts, cost=self.cost, poison=self.poison)
        world.run()
        return world


SHAPES = ("flat", "heavy third", "ramp", "noise", "shader", "video", "launch")  # the last ones recorded
# A thousand hosts are not asked for a render that takes them minutes; and there are many events to simulate.
IDEAL_S = (60.0, 180.0)
LARGE_IDEAL_S = (30.0, 60.0)
LARGE = 100


def case(
    rng: random.Random,
    *,
    hosts_min: int = 1,
    hosts_max: int = 1000,
    ideal_s: tuple[float, float] | None = None,
    late: float = 0.1,
) -> Case:
    """A fleet without losses: hosts log-uniform; speeds 0.1 to 10 average frames/s, log-uniform; boot 0 to 5 s, a part
    `late` of them up to 40; half of the capacities tell the speed to within a third, the others nothing. A render
    whose ideal time is `ideal_s`, flat, with a third that costs five times as much, rising tenfold, random by scenes,
    or as recorded; half of the schedules know the costs to within a fifth.
    """
    number = round(math.exp(rng.uniform(math.log(hosts_min), math.log(hosts_max))))
    ideal_s = ideal_s or (IDEAL_S if number <= LARGE else LARGE_IDEAL_S)
    hosts = [_host(rng, f"h{index}", late) for index in range(number)]
    speed = sum(host.speed for host in hosts)
    count = max(30, round(rng.uniform(*ideal_s) * speed))
    relative = _shape(rng, rng.choice(SHAPES), count)
    mean = statistics.fmean(relative)
    values = [value / mean for value in relative]
    known = [(FrameRange(frame, frame + 1), value * rng.uniform(0.8, 1.25)) for frame, value in enumerate(values)]
    curve = costs.curve(known, whole(count)) if rng.random() < 0.5 else costs.FLAT
    return Case(count=count, hosts=hosts, costs=values, curve=curve)


def _host(rng: random.Random, name: str, late: float = 0.0) -> SimHost:
    speed = math.exp(rng.uniform(math.log(0.1), math.log(10)))
    capacity = speed * rng.uniform(0.67, 1.5) if rng.random() < 0.5 else rng.choice([1.0, 2.0, 4.0])
    boot_s = rng.uniform(5, 40) if rng.random() < late else rng.uniform(0, 5)
    return SimHost(name=name, speed=speed, capacity=capacity, boot_s=boot_s)


def _shape(rng: random.Random, shape: str, count: int) -> list[float]:
    if shape == "heavy third":
        start = rng.choice([0, 1, 2]) * count // 3
        return [5.0 if start <= frame < start + count // 3 else 1.0 for frame in range(count)]
    if shape == "ramp":
        return [1 + 9 * frame / count for frame in range(count)]
    if shape == "noise":
        return list(itertools.islice(_scenes(rng), count))
    if shape != "flat":
        stretches = _recorded()[shape]
        return [stretches[frame * len(stretches) // count] for frame in range(count)]
    return [1.0] * count


@functools.cache
def _recorded() -> dict[str, list[float]]:
    """Milliseconds of a frame in each stretch, as runs of real compositions remembered them."""
    recorded: dict[str, list[float]] = json.loads(RECORDED.read_text())
    return recorded


def _scenes(rng: random.Random) -> Iterator[float]:
    while True:
        cost = math.exp(rng.gauss(0, 0.6))
        yield from itertools.repeat(cost, rng.randint(30, 300))


def troubled(
    rng: random.Random, *, hosts_min: int = 1, hosts_max: int = 1000, ideal_s: tuple[float, float] = (5.0, 30.0)
) -> Case:
    """A fleet whose hosts are lost, come back, freeze, drain, lie, fail and answer late, each in a part of them.

    One composition in ten throws at some frame, on every host.
    """
    calm = case(rng, hosts_min=hosts_min, hosts_max=hosts_max, ideal_s=ideal_s)
    hosts = [_troubled(rng, host) for host in calm.hosts]
    poison = rng.randrange(calm.count) if rng.random() < 0.1 else None
    return dataclasses.replace(calm, hosts=hosts, poison=poison)


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
        drains_s=rng.uniform(0, 60) if rng.random() < 0.05 else None,
        lie=rng.choice(list(Lie)) if rng.random() < 0.1 else None,
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
