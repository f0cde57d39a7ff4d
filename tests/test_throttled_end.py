"""Capture that waits for encoders: the real chunk, delivery and pipeline, in whatever order things happen."""

import itertools
import random
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import agent_support as support
import media_support as media
from hypothesis import given
from hypothesis import strategies as st

from capture.chunk import Action, Chunk, Give, Inspect, Tell
from capture.climb import fixed
from capture.protocol import Captured, Done, FrameFile, FrameRange
from fleet import frameset, orders, throttle
from fleet.delivery import Delivery
from fleet.pipeline import Pipeline
from fleet.rundir import RunDirectory

SECOND = 30


@dataclass
class Render:
    """One host on the coordinator's own machine; what is asked for next is drawn at random."""

    count: int
    segment: int
    workers: int
    first: int  # what is before it was captured by an earlier run
    chance: random.Random
    directory: Path
    early: list[FrameRange] = field(default_factory=list)  # blocks of the last segment, begun before others were done
    is_over: bool = False
    _writing: dict[int, list[int]] = field(default_factory=dict)
    _verified: list[int] = field(default_factory=list)  # that the pipeline has not heard of
    _encoded: set[FrameRange] = field(default_factory=set)
    _now_s: float = 0.0

    def __post_init__(self) -> None:
        self.plan = media.make_plan(self.count, segment=self.segment)
        todo = (FrameRange(self.first, self.count),)
        order = support.order("b", 0, self.count, todo=todo)
        ordered = orders.Capture(host="a", chunk="c1", attempt=1, frames=self.plan.frames, todo=todo)
        self._delivery = Delivery(order=ordered, directory="/x", is_begun=True)
        self._pipeline = Pipeline(self.plan, RunDirectory(self.directory), lambda _: None)
        self._pipeline.add("c1", self.plan.frames, range(self.first))
        self._chunk = Chunk(order, climb=fixed(self.workers), numbers=itertools.count(1))
        self._do(self._chunk.start([], dict.fromkeys(range(self.workers), False), 0.0))
        self._look()
        for number in range(self.workers):
            self._do(self._chunk.ready(number, 0.0))

    def run(self) -> None:
        """Until all is encoded, or nothing moves."""
        while not (self.is_over and len(self._encoded) == len(self.plan.segments)):
            steps = [self._hear] if self._verified else []
            steps += [self._write] if self._writing else []
            steps += [self._pull] if self._delivery.announced else []
            steps += [self._encode] if self._ready() else []
            looks = [self._look, self._flush]
            self.chance.choice([*steps, *looks])()
            if not steps:
                self._flush()
                self._look()
                assert self._writing or self._delivery.announced, f"everybody waits: {self}"

    def _do(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Give(number, block):
                    self._writing[number] = [*block]
                    if block.start >= self.plan.segments[-1].start and self._others():
                        self.early.append(block)
                case Inspect():
                    self._do(self._chunk.inspected([], self._now_s))
                case Tell(Captured() as told):
                    self._delivery.announce(told.frames, self._now_s, 1000)
                case Tell(Done()):
                    self.is_over = True
                case _:
                    pass

    def _write(self) -> None:
        number = self.chance.choice([*self._writing])
        block = self._writing[number]
        frames = [*block]
        for frame in frames:
            self._do(self._chunk.wrote(number, FrameFile(frame, 1, f"{frame:064x}", 20), self._now_s))
        del self._writing[number]
        self._do(self._chunk.finished(number, FrameRange(frames[0], frames[-1] + 1), self._now_s))

    def _flush(self) -> None:
        self._now_s += 1
        self._do(self._chunk.flush(self._now_s))

    def _pull(self) -> None:
        announced = sorted(self._delivery.announced)
        pulled = announced[: self.chance.randint(1, len(announced))]
        for frame in pulled:
            self._delivery.arrive(frame)
        self._verified += pulled

    def _hear(self) -> None:
        self._pipeline.add("c1", self.plan.frames, self._verified)
        self._verified = []

    def _others(self) -> list[FrameRange]:
        return [segment for segment in self.plan.segments[:-1] if segment not in self._encoded]

    def _ready(self) -> list[FrameRange]:
        arrived = self._delivery.arrived | frameset.of([FrameRange(0, self.first)] if self.first else [])
        return [
            segment
            for segment in self.plan.segments
            if segment not in self._encoded and not (frameset.of([segment]) - arrived) and not self._verified
        ]

    def _encode(self) -> None:
        segment = self.chance.choice(self._ready())
        self._encoded.add(segment)
        self._pipeline.receive("c1", self.plan.frames, segment)

    def _look(self) -> None:
        allowed = self._delivery.allow(self._pipeline.room(self._delivery.ordered))
        if allowed is not None:
            self._do(self._chunk.allow(allowed, self._now_s))


@given(
    count=st.integers(1, 300),
    segment=st.integers(1, 4 * SECOND),
    workers=st.integers(1, 5),
    captured=st.integers(0, 299),
    seed=st.integers(0, 2**32),
)
def test_capture_that_waits_for_encoders_ends_and_leaves_them_the_last_segment_alone(
    count: int, segment: int, workers: int, captured: int, seed: int
) -> None:
    first = min(captured, count - 1)
    with tempfile.TemporaryDirectory() as folder:
        render = Render(count, segment, workers, first, random.Random(seed), Path(folder))
        render.run()
    last = render.plan.segments[-1]
    assert not render.early or len(last) > throttle.LOOKAHEAD or first > last.start
