"""One chunk as values: blocks front to back from one queue, and what each failure leads to."""

import dataclasses
import itertools
import random
from collections import deque

import agent_support as support
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture import chunk as chunks
from capture.chunk import Action, Chunk, Dismiss, Give, Hire, Inspect, Tell
from capture.climb import fixed
from capture.faults import Fault, FaultCode, Retry
from capture.protocol import Allow, Captured, Done, Failed, FrameFile, FrameRange, Note, Resized, Spent, Stages, Trimmed
from capture.trouble import MARGIN_S

FRAMES = FrameRange(50, 82)
CANCELLED = Fault(code=FaultCode.CANCELLED, message="cancelled by the coordinator")


def make(*, workers: int = 2, frames: FrameRange = FRAMES, todo: tuple[FrameRange, ...] = ()) -> Chunk:
    order = support.order("b", frames.start, frames.stop, todo=todo or (frames,))
    return Chunk(order, climb=fixed(workers), numbers=itertools.count(1))


def sequential(*, workers: int) -> Chunk:
    order = support.order("b", FRAMES.start, FRAMES.stop)
    spec = dataclasses.replace(order.spec, sequential=True)
    return Chunk(dataclasses.replace(order, spec=spec), climb=fixed(workers), numbers=itertools.count(1))


def file(index: int) -> FrameFile:
    return FrameFile(index, 100 + index, f"{index:064x}")


def write(chunk: Chunk, worker: int, frames: FrameRange, now_s: float = 0.0) -> list[Action]:
    for index in frames:
        assert chunk.wrote(worker, file(index), now_s) == []
    return chunk.finished(worker, frames, now_s)


def took(frames: int) -> Stages:
    return Stages(frames=frames, seek=Spent(frames, 0.1), screenshot=Spent(frames, 2.5))


def test_what_blocks_took_is_told_when_the_chunk_ends_however_it_does() -> None:
    chunk = running()
    chunk.finished(1, FrameRange(50, 58), 1.0, took(8))
    chunk.finished(2, FrameRange(58, 66), 1.0, took(8))
    chunk.finished(2, FrameRange(58, 66), 1.0, took(8))  # not its block any more
    total = Stages(frames=16, seek=Spent(16, 0.2), screenshot=Spent(16, 5.0))
    assert chunk.inspected([], 2.0)[-1] == Tell(Done("c1", 1, total))
    chunk = running()
    chunk.finished(1, FrameRange(50, 58), 1.0, took(8))
    assert chunk.cancel()[-1] == Tell(Failed("c1", 1, CANCELLED, took(8)))


def fault(code: FaultCode, frame: int | None = None) -> Fault:
    return Fault(code=code, message="m", frame=frame, local_frame=None if frame is None else frame - 50)


def notes(actions: list[Action]) -> list[str]:
    return [action.message.text for action in actions if isinstance(action, Tell) and isinstance(action.message, Note)]


def without_notes(actions: list[Action]) -> list[Action]:
    news = Note | Resized
    return [action for action in actions if not (isinstance(action, Tell) and isinstance(action.message, news))]


def running(workers: int = 2) -> Chunk:
    """A chunk whose workers 1, 2, ... each have their first block: 50:58, 58:66, ..."""
    chunk = make(workers=workers)
    chunk.start([], {}, 0.0)
    for number in range(1, workers + 1):
        chunk.ready(number, 0.0)
    return chunk


def test_each_worker_of_a_sequential_chunk_has_one_part_and_a_lost_one_is_given_whole_again() -> None:
    chunk = sequential(workers=2)
    chunk.start([], {}, 0.0)
    assert chunk.ready(1, 1.0) == [Give(1, FrameRange(50, 66))]
    assert chunk.ready(2, 1.0) == [Give(2, FrameRange(66, 82))]
    chunk.wrote(2, file(66), 2.0)
    assert without_notes(chunk.failed(2, fault(FaultCode.BROWSER_CRASHED), 2.0)) == [Dismiss(2), Hire(3)]
    assert chunk.ready(3, 3.0) == [Give(3, FrameRange(67, 82))]


def test_a_worker_that_steps_through_frames_is_not_stuck() -> None:
    chunk = sequential(workers=1)
    chunk.start([], {}, 0.0)
    chunk.ready(1, 0.0)
    for now_s in range(100, 1000, 100):
        assert chunk.stepped(1, float(now_s)) == []
        assert chunk.tick(float(now_s) + 99) == []
    assert chunk.tick(2000.0) != []


def test_blocks_go_front_to_back_to_whoever_is_idle() -> None:
    chunk = make()
    assert chunk.start([], {}, 0.0) == [Hire(1), Hire(2)]
    assert chunk.ready(2, 1.0) == [Give(2, FrameRange(50, 58))]
    assert chunk.ready(1, 1.0) == [Give(1, FrameRange(58, 66))]
    assert write(chunk, 1, FrameRange(58, 66)) == [Give(1, FrameRange(66, 74))]
    assert write(chunk, 1, FrameRange(66, 74)) == [Give(1, FrameRange(74, 78))]  # its share of what is left
    assert write(chunk, 1, FrameRange(74, 78)) == [Give(1, FrameRange(78, 80))]
    assert write(chunk, 1, FrameRange(78, 80)) == [Give(1, FrameRange(80, 81))]
    assert write(chunk, 1, FrameRange(80, 81)) == [Give(1, FrameRange(81, 82))]
    assert write(chunk, 1, FrameRange(81, 82)) == []
    assert write(chunk, 2, FrameRange(50, 58)) == [Inspect()]
    told = tuple(file(index) for index in [*range(58, 82), *range(50, 58)])
    assert chunk.inspected([], 2.0) == [Tell(Captured("c1", 1, told)), Tell(Done("c1", 1))]
    assert chunk.is_over


def test_a_held_chunk_begins_no_block_until_it_goes_on() -> None:
    chunk = make(workers=1)
    chunk.start([], {1: True}, 0.0)
    assert chunk.hold(0.0, is_held=True) == []
    assert chunk.finished(1, FrameRange(50, 58), 1.0) == []
    assert chunk.tick(10_000.0) == []
    assert chunk.hold(2.0, is_held=True) == []
    assert [type(action) for action in chunk.hold(3.0, is_held=False)] == [Give]
    assert chunk.hold(4.0, is_held=False) == []


def test_warm_workers_start_at_once() -> None:
    chunk = make(workers=3)
    assert chunk.start([], {7: True, 8: False}, 0.0) == [Give(7, FrameRange(50, 58)), Hire(1)]
    assert chunk.ready(8, 0.0) == [Give(8, FrameRange(58, 66))]


def test_frames_that_are_on_disk_are_announced_and_not_captured_again() -> None:
    chunk = make()
    kept = [file(index) for index in range(50, 82)]
    assert chunk.start(kept, {}, 0.0) == [Inspect()]
    assert chunk.inspected([], 0.0) == [Tell(Captured("c1", 1, tuple(kept))), Tell(Done("c1", 1))]


@pytest.mark.parametrize(("took_ms", "frames"), [(2, 32), (10, 24), (20, 8), (100, 8), (300, 3)])
def test_a_block_is_as_long_as_frames_are_quick(took_ms: int, frames: int) -> None:
    chunk = make(workers=2, frames=FrameRange(0, 800))
    chunk.start([], {}, 0.0)
    chunk.ready(1, 0.0)
    for index in range(8):
        chunk.wrote(1, dataclasses.replace(file(index), took_ms=took_ms), 0.0)
    assert chunk.finished(1, FrameRange(0, 8), 0.0) == [Give(1, FrameRange(8, 8 + frames))]


def test_long_blocks_leave_every_worker_its_share_of_the_end() -> None:
    chunk = make(workers=2, frames=FrameRange(0, 40))
    chunk.start([], {}, 0.0)
    given: list[int] = []
    chunk.ready(1, 0.0)
    block: FrameRange | None = FrameRange(0, 8)
    while block:
        given.append(len(block))
        for index in block:
            chunk.wrote(1, dataclasses.replace(file(index), took_ms=2), 0.0)
        actions = chunk.finished(1, block, 0.0)
        block = next((action.block for action in actions if isinstance(action, Give)), None)
    assert given == [8, 16, 8, 4, 2, 1, 1]


def test_no_more_workers_are_hired_than_there_are_blocks() -> None:
    chunk = make(workers=8, todo=(FrameRange(60, 62),))
    assert chunk.start([], {}, 0.0) == [Hire(1), Hire(2)]


def test_messages_are_at_most_four_a_second() -> None:
    chunk = running()
    said = []
    for step in range(100):
        now_s = step / 20
        index = 50 + step % 8
        chunk.wrote(1, file(index), now_s)
        said += [now_s] * len(chunk.flush(now_s))
    assert all(later - earlier >= 0.25 for earlier, later in itertools.pairwise(said))
    assert len(said) > 15


def test_a_failed_block_goes_to_the_front_with_its_missing_frames_only() -> None:
    chunk = running()
    for index in range(50, 53):
        chunk.wrote(1, file(index), 1.0)
    actions = chunk.failed(1, fault(FaultCode.BROWSER_CRASHED, 53), 1.0)
    assert without_notes(actions) == [Dismiss(1), Hire(3)]
    assert "a new one: browser_crashed" in notes(actions)[0]
    assert chunk.ready(3, 2.0) == [Give(3, FrameRange(53, 58))]


def test_the_second_failure_halves_the_workers() -> None:
    chunk = running(workers=4)
    chunk.failed(1, fault(FaultCode.WORKER_DIED), 1.0)
    actions = chunk.failed(2, fault(FaultCode.BROWSER_CRASHED, 58), 1.0)
    assert chunk.target == 2
    assert "2 workers instead of 4" in notes(actions)[0]
    why = "a worker failed: browser_crashed"
    assert Tell(Resized(chunk="c1", attempt=1, before=4, workers=2, why=why)) in actions
    assert without_notes(actions) == [Dismiss(2), Dismiss(5)]
    assert not chunk.is_overcommitted


def test_an_overcommitted_host_halves_at_once() -> None:
    chunk = running(workers=4)
    chunk.failed(1, fault(FaultCode.OUT_OF_MEMORY), 1.0)
    assert (chunk.target, chunk.is_overcommitted) == (2, True)


@pytest.mark.parametrize("code", [code for code in FaultCode if code.retry is Retry.NEVER])
def test_some_faults_end_the_chunk_at_once(code: FaultCode) -> None:
    chunk = running()
    chunk.wrote(2, file(58), 1.0)
    reason = fault(code, 50)
    assert chunk.failed(1, reason, 1.0) == [
        Dismiss(1), Dismiss(2), Tell(Captured("c1", 1, (file(58),))), Tell(Failed("c1", 1, reason))
    ]  # fmt: skip


def test_a_frame_that_fails_three_times_ends_the_chunk_with_its_fault() -> None:
    chunk = running(workers=1)
    reason = dataclasses.replace(fault(FaultCode.SEEK_FAILED, 50), console=("boom",), screenshot="failure.png")
    for worker in (1, 2):
        chunk.failed(worker, reason, 1.0)
        assert chunk.ready(worker + 1, 1.0) == [Give(worker + 1, FrameRange(50, 58))]
    assert chunk.failed(3, reason, 1.0)[-1] == Tell(Failed("c1", 1, reason))


def test_workers_that_fail_together_at_their_start_are_one_strike() -> None:
    chunk = make(workers=4)
    chunk.start([], {}, 0.0)
    for number in (1, 2, 3, 4):
        chunk.failed(number, fault(FaultCode.PAGE_NOT_READY), 1.0)
    assert not chunk.is_over
    alone = chunk.target
    assert alone == 1
    fresh = itertools.count(5)
    actions = next(done for number in fresh if (done := chunk.failed(number, fault(FaultCode.PAGE_NOT_READY), 2.0)))
    while not chunk.is_over:
        hired = [action.worker for action in actions if isinstance(action, Hire)]
        assert len(hired) == 1
        actions = chunk.failed(hired[0], fault(FaultCode.PAGE_NOT_READY), 3.0)
    assert actions[-1] == Tell(Failed("c1", 1, fault(FaultCode.PAGE_NOT_READY)))


def test_a_worker_that_dies_in_a_block_is_located() -> None:
    chunk = running(workers=1)
    chunk.wrote(1, file(50), 1.0)
    for worker in (1, 2):
        chunk.failed(worker, fault(FaultCode.WORKER_DIED), 1.0)
        chunk.ready(worker + 1, 1.0)
    actions = chunk.failed(3, fault(FaultCode.WORKER_DIED), 1.0)
    assert actions[-1] == Tell(Failed("c1", 1, fault(FaultCode.WORKER_DIED, 51)))


def test_damaged_frames_are_retried_at_their_absolute_times() -> None:
    chunk = make(workers=1, frames=FrameRange(50, 150), todo=(FrameRange(50, 66),))
    chunk.start([], {}, 0.0)
    chunk.ready(1, 0.0)
    write(chunk, 1, FrameRange(50, 58))
    assert write(chunk, 1, FrameRange(58, 66)) == [Inspect()]
    actions = chunk.inspected([50, 51, 52, 53, 54, 60, 61], 1.0)
    assert without_notes(actions) == [Give(1, FrameRange(50, 55))]
    assert "7 damaged frames are captured again, the first is frame_000000.jpg (frame 50)" in notes(actions)[0]
    assert write(chunk, 1, FrameRange(50, 55)) == [Give(1, FrameRange(60, 62))]
    assert write(chunk, 1, FrameRange(60, 62)) == [Inspect()]


def test_a_frame_that_is_always_damaged_ends_the_chunk() -> None:
    chunk = make(workers=1, todo=(FrameRange(60, 61),))
    chunk.start([], {}, 0.0)
    chunk.ready(1, 0.0)
    write(chunk, 1, FrameRange(60, 61))
    for _ in range(2):
        assert Give(1, FrameRange(60, 61)) in chunk.inspected([60], 1.0)
        write(chunk, 1, FrameRange(60, 61))
    last = chunk.inspected([60], 1.0)[-1]
    assert isinstance(last, Tell)
    assert isinstance(last.message, Failed)
    assert (last.message.fault.code, last.message.fault.local_frame) == (FaultCode.FRAME_DAMAGED, 10)


LIMIT_S = chunks.worker_limit_s(60) + MARGIN_S


def test_no_progress_by_anyone_ends_the_chunk() -> None:
    chunk = running()
    chunk.wrote(1, file(50), 2.0)
    assert chunk.tick(LIMIT_S - 1) == []
    last = chunk.tick(LIMIT_S + 3)[-1]
    assert isinstance(last, Tell)
    assert isinstance(last.message, Failed)
    assert last.message.fault.code is FaultCode.NO_PROGRESS


def test_one_worker_that_stands_still_is_replaced_while_others_work() -> None:
    chunk = running()
    for now_s in range(int(LIMIT_S)):
        chunk.wrote(2, file(58), float(now_s))
    actions = chunk.tick(LIMIT_S + 1)
    assert without_notes(actions) == [Dismiss(1), Hire(3)]
    assert "said nothing" in notes(actions)[0]


def test_a_slow_page_gets_a_longer_margin() -> None:
    chunk = running(workers=1)
    for step in range(4):
        chunk.wrote(1, file(50 + step), 10.0 * (step + 1))
    assert chunk.tick(40 + LIMIT_S + 1) == []
    assert chunk.tick(40 + chunks.worker_limit_s(60) + 81) != []


def test_a_cancelled_chunk_says_what_it_has_and_keeps_idle_workers() -> None:
    chunk = make(workers=3)
    chunk.start([], {}, 0.0)
    chunk.ready(1, 0.0)
    chunk.wrote(1, file(50), 0.0)
    actions = chunk.cancel()
    assert actions[:-1] == [Dismiss(1), Dismiss(2), Dismiss(3), Tell(Captured("c1", 1, (file(50),)))]
    assert chunk.cancel() == []


FATES = st.sampled_from(["ok"] * 8 + ["crash", "oom", "skip", "damage", "start"])


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 6), st.integers(1, 60), st.lists(FATES, max_size=40), st.randoms(use_true_random=False))
def test_every_frame_is_captured_or_the_chunk_ends_with_a_name(
    workers: int, count: int, fates: list[str], chance: random.Random
) -> None:
    simulation = Simulation(make(workers=workers, frames=FrameRange(50, 50 + count)), deque(fates), chance)
    last = simulation.run()
    if isinstance(last, Failed):
        assert last.fault.code in {FaultCode.BROWSER_CRASHED, FaultCode.OUT_OF_MEMORY, FaultCode.FRAME_DAMAGED}
    else:
        assert last == Done("c1", 1)
        assert simulation.disk == simulation.announced == set(range(50, 50 + count))


class Simulation:
    """Workers and a disk that do what `fates` say, in random order."""

    def __init__(self, chunk: Chunk, fates: deque[str], chance: random.Random) -> None:
        self.chunk = chunk
        self.fates = fates
        self.chance = chance
        self.blocks: dict[int, FrameRange | None] = {}
        self.ready: set[int] = set()
        self.disk: set[int] = set()
        self.announced: set[int] = set()
        self.last: object = None

    def run(self) -> object:
        self.do(self.chunk.start([], {}, 0.0))
        for step in range(2000):
            if self.chunk.is_over:
                return self.last
            busy = [number for number, block in self.blocks.items() if block or number not in self.ready]
            assert busy, "nobody works and nothing is asked for"
            self.do(self.advance(self.chance.choice(busy), float(step)))
        raise AssertionError("the chunk never ends")

    def advance(self, number: int, now_s: float) -> list[Action]:
        fate = self.fates.popleft() if self.fates else "ok"
        block = self.blocks[number]
        if block is None:
            if fate == "start":
                return self.fail(number, FaultCode.BROWSER_CRASHED, None, now_s)
            self.ready.add(number)
            return self.chunk.ready(number, now_s)
        for index in block:
            if fate in ("crash", "oom") and self.chance.random() < 0.3:
                code = FaultCode.BROWSER_CRASHED if fate == "crash" else FaultCode.OUT_OF_MEMORY
                return self.fail(number, code, index, now_s)
            if fate == "skip" and self.chance.random() < 0.3:
                continue
            if not (fate == "damage" and self.chance.random() < 0.3):
                self.disk.add(index)
            self.chunk.wrote(number, file(index), now_s)
        self.blocks[number] = None
        return self.chunk.finished(number, block, now_s)

    def fail(self, number: int, code: FaultCode, frame: int | None, now_s: float) -> list[Action]:
        return self.chunk.failed(number, fault(code, frame), now_s)

    def do(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Hire(number):
                    assert number not in self.blocks
                    self.blocks[number] = None
                case Give(number, block):
                    assert number in self.ready
                    assert self.blocks[number] is None
                    taken = [other for other in self.blocks.values() if other]
                    assert all(block.stop <= other.start or other.stop <= block.start for other in taken)
                    self.blocks[number] = block
                case Dismiss(number):
                    self.blocks.pop(number, None)
                case Inspect():
                    wanted = {frame for part in self.chunk.order.todo for frame in part}
                    self.do(self.chunk.inspected(wanted - self.disk, 0.0))
                case Tell(Captured(frames=frames)):
                    self.announced |= {frame.index for frame in frames}
                case Tell(message):
                    self.last = message if not isinstance(message, Note) else self.last
        assert len([block for block in self.blocks.values() if block]) <= 6


def test_a_trimmed_chunk_ends_where_it_was_asked_to_and_says_so() -> None:
    chunk = running()
    assert chunk.trim(70, 1.0) == [Tell(Trimmed("c1", 1, 70))]
    assert write(chunk, 1, FrameRange(50, 58)) == [Give(1, FrameRange(66, 68))]
    assert write(chunk, 2, FrameRange(58, 66)) == [Give(2, FrameRange(68, 69))]
    assert write(chunk, 1, FrameRange(66, 68)) == [Give(1, FrameRange(69, 70))]
    assert write(chunk, 2, FrameRange(68, 69)) == []
    assert write(chunk, 1, FrameRange(69, 70)) == [Inspect()]
    assert chunk.order.todo == (FrameRange(50, 70),)
    assert chunk.inspected([], 2.0)[-1] == Tell(Done("c1", 1))


def test_what_workers_have_taken_is_not_trimmed() -> None:
    chunk = running()
    assert chunk.trim(52, 1.0) == [Tell(Trimmed("c1", 1, 66))]
    assert write(chunk, 1, FrameRange(50, 58)) == []
    assert write(chunk, 2, FrameRange(58, 66)) == [Inspect()]


def test_a_chunk_that_no_worker_has_begun_keeps_its_first_frame() -> None:
    chunk = make()
    chunk.start([], {}, 0.0)
    assert chunk.trim(50, 1.0)[0] == Tell(Trimmed("c1", 1, 51))
    assert chunk.ready(1, 1.0) == [Give(1, FrameRange(50, 51))]


def test_where_frames_are_slow_a_worker_takes_few_of_them_at_a_time() -> None:
    chunk = make(workers=1)
    chunk.start([], {}, 0.0)
    chunk.ready(1, 0.0)
    for index in range(50, 58):
        chunk.wrote(1, file(index), (index - 49) * 0.4)
    assert chunk.finished(1, FrameRange(50, 58), 3.2) == [Give(1, FrameRange(58, 60))]


def test_announced_frames_say_how_long_they_took() -> None:
    chunk = make(workers=1)
    chunk.start([], {}, 0.0)
    chunk.ready(1, 10.0)
    chunk.wrote(1, file(50), 10.4)
    (told,) = chunk.flush(11.0)
    assert isinstance(told, Tell)
    assert isinstance(told.message, Captured)
    assert [frame.took_ms for frame in told.message.frames] == [400]


def test_no_block_is_begun_beyond_what_the_coordinator_allows() -> None:
    chunk = running()
    assert chunk.allow(Allow("c1", 1, 16), 1.0) == []
    assert write(chunk, 1, FrameRange(50, 58), 1.0) == []  # 8 are finished and 8 begun
    assert chunk.allow(Allow("c1", 2, 99), 1.0) == []  # of another order
    assert chunk.allow(Allow("c2", 1, 99), 1.0) == []
    assert write(chunk, 2, FrameRange(58, 66), 1.0) == []


def test_a_bounded_chunk_goes_on_with_the_next_word_and_ends() -> None:
    chunk = running()
    chunk.allow(Allow("c1", 1, 16), 1.0)
    write(chunk, 1, FrameRange(50, 58), 1.0)
    write(chunk, 2, FrameRange(58, 66), 1.0)
    assert chunk.tick(10_000.0) == []  # nobody is at work, and nobody stands still
    assert chunk.allow(Allow("c1", 1, 17), 2.0) == [Give(1, FrameRange(66, 74))]
    assert chunk.allow(Allow("c1", 1, 32), 2.0) == [Give(2, FrameRange(74, 78))]
    assert write(chunk, 1, FrameRange(66, 74), 3.0) == [Give(1, FrameRange(78, 80))]


def test_frames_of_a_failed_worker_count_as_begun_no_more() -> None:
    chunk = running()
    chunk.allow(Allow("c1", 1, 16), 1.0)
    chunk.failed(1, fault(FaultCode.WORKER_DIED), 1.0)
    assert chunk.ready(3, 2.0) == [Give(3, FrameRange(50, 58))]
