"""A host on a simulated clock: the real chunk and the real climb, workers that share what the host can do.

Work is counted in frames that cost 1. While `k` workers are busy, browsers that start among them, each one gets a
`k`th of `capacity(k)` frames per second.
"""

import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import agent_support as support

from capture.chunk import Action, Chunk, Give, Hire, Inspect, Tell
from capture.climb import Climb, fixed
from capture.protocol import Allow, FrameFile, FrameRange, Resized

STILL = 0.25
PERIOD = 997  # of noise, in frames and in seconds

Capacity = Callable[[int], float]
Cost = Callable[[int], float]


def knee(workers: float, *, per_worker: float = 10.0, decline: float = 0.0) -> Capacity:
    """As fast as there are workers up to the knee; each one beyond costs a part of it."""

    def capacity(busy: int) -> float:
        return per_worker * min(busy, workers) * float((1 - decline) ** max(0.0, busy - workers))

    return capacity


@dataclass
class _Worker:
    is_ready: bool
    work: float | None = None  # left of the start, or of the frame
    block: FrameRange | None = None
    frame: int = 0
    began_s: float = 0.0


@dataclass
class Host:
    """Frames cost what they cost in every run, give or take their `noise`, a third of which is the host's own.

    Frames that cost less than `STILL` show what the one before them did.
    """

    capacity: Capacity
    cost: Cost = lambda _: 1.0
    noise: float = 0.0
    seed: int = 0
    start_frames: float = 15.0
    now_s: float = 0.0
    changes: list[Resized] = field(default_factory=list)
    _workers: dict[int, _Worker] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        chance = random.Random(self.seed)
        self._noise = [math.exp(chance.gauss(0, self.noise)) for _ in range(PERIOD)]
        self._moods = [math.exp(chance.gauss(0, self.noise / 3)) for _ in range(PERIOD)]

    def capture(self, count: int, climb: Climb, *, is_throttled: bool = False) -> float:
        """Captures so many frames as one chunk; the seconds that it took."""
        began_s = self.now_s
        order = support.order("b", 0, count)
        chunk = Chunk(order, climb=climb, numbers=self._numbers)
        warm = {number: worker.is_ready for number, worker in self._workers.items()}
        self._do(chunk, chunk.start([], warm, self.now_s))
        if is_throttled:
            self._do(chunk, chunk.allow(Allow(order.chunk, order.attempt, count), self.now_s))
        while not chunk.is_over:
            self._advance(chunk)
        return self.now_s - began_s

    def _advance(self, chunk: Chunk) -> None:
        left = {number: worker.work for number, worker in self._workers.items() if worker.work is not None}
        assert left, "nobody works and nothing is asked for"
        number, done = min(left.items(), key=lambda item: item[1])
        self.now_s += done * len(left) / (self._moods[int(self.now_s) % PERIOD] * self.capacity(len(left)))
        for other, work in left.items():
            self._workers[other].work = work - done
        self._workers[number].work = None
        self._do(chunk, self._finished(chunk, number, self._workers[number]))

    def _finished(self, chunk: Chunk, number: int, worker: _Worker) -> list[Action]:
        if worker.block is None:
            worker.is_ready = True
            return chunk.ready(number, self.now_s)
        took_ms = max(1, round(1000 * (self.now_s - worker.began_s)))
        shown = worker.frame if self.cost(worker.frame) >= STILL else 0
        actions = chunk.wrote(number, FrameFile(worker.frame, 1, f"{shown:064x}", took_ms), self.now_s)
        worker.frame += 1
        if worker.frame < worker.block.stop:
            self._begin(worker)
            return actions
        block, worker.block = worker.block, None
        return [*actions, *chunk.finished(number, block, self.now_s)]

    def _begin(self, worker: _Worker) -> None:
        worker.began_s = self.now_s
        worker.work = self.cost(worker.frame) * self._noise[worker.frame % PERIOD]

    def _do(self, chunk: Chunk, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Hire(number):
                    self._workers[number] = _Worker(is_ready=False, work=self.start_frames)
                case Give(number, block):
                    worker = self._workers[number]
                    worker.block, worker.frame = block, block.start
                    self._begin(worker)
                case Tell(Resized() as change):
                    self.changes.append(change)
                case Tell():
                    pass
                case Inspect():
                    self._do(chunk, chunk.inspected([], self.now_s))
                case _:
                    del self._workers[action.worker]


def seconds(host: Host, count: int, workers: int) -> float:
    """How long a fixed number of workers takes."""
    return host.capture(count, fixed(workers))


def climbing(model: int, *, most: int = 64, room: int = 64) -> Climb:
    """A climb that sets out from `model`."""
    climb = Climb()
    climb.saw_memory(room, is_short=False, now_s=0.0)
    climb.begin(model, most=most, is_free=True)
    return climb
