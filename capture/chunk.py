"""One chunk being captured: which worker takes which block, and what follows a failure.

Pure: no I/O; time is an argument. Methods return the actions that follow, which `foreman.py` carries out in order.
"""

import dataclasses
import math
import statistics
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from capture import blocks, protocol
from capture.faults import Fault, FaultCode, Retry
from capture.protocol import PAGE_LIMIT_S, Captured, Done, Failed, FrameFile, FrameRange, FromAgent, Note, Seam

# Coordinators pay for each line (76 us), people see no difference above four a second.
MESSAGE_INTERVAL_S = 0.25
# One that fails alone is retried in a fresh browser, then by half the workers; three times is no accident.
STRIKES_MAX = 3
# The agent notices only workers that cannot even give up, after a margin for a host that is slow as a whole.
BROWSER_LIMIT_S = 60.0
GIVING_UP_S = 10.0
MARGIN_S = 20.0
MARGIN_FRAMES = 8
_FRAME_TIMES_KEPT = 40  # of all workers together: costs change along a composition
# A worker takes at most so long a block, once frames were seen to be slow: the end of a chunk waits for no longer.
BLOCK_S = 1.0
# As long as a block of the lightest page that moves; where a still scene ends within it, up to four times that.
QUICK_BLOCK_S = 0.25
QUICK_BLOCK_FRAMES = 4 * blocks.BLOCK_FRAMES


@dataclass(frozen=True, slots=True)
class Hire:
    """Start a worker under this number."""

    worker: int


@dataclass(frozen=True, slots=True)
class Give:
    """Send the worker a block."""

    worker: int
    block: FrameRange


@dataclass(frozen=True, slots=True)
class Dismiss:
    """Kill the worker and its browser."""

    worker: int


@dataclass(frozen=True, slots=True)
class Inspect:
    """Walk the files of the order and call `inspected` with the frames whose file is missing or damaged."""


@dataclass(frozen=True, slots=True)
class Tell:
    """Send a message to the coordinator."""

    message: FromAgent


Action = Hire | Give | Dismiss | Inspect | Tell


@dataclass(slots=True)
class _Worker:
    heard_s: float
    is_ready: bool
    strikes_before: int  # of the chunk's start-ups, when this one was hired
    block: FrameRange | None = None


class Chunk:
    """The block queue and the workers of one order."""

    def __init__(
        self, order: protocol.Capture, *, workers: int, numbers: Iterator[int], page_limit_s: float = PAGE_LIMIT_S
    ) -> None:
        """`numbers` names new workers, unique for the life of the agent."""
        self._worker_limit_s = worker_limit_s(page_limit_s)
        self.order = order
        self.target = workers
        self.is_over = False
        self.is_held = False  # too many frames wait to be fetched: no block is given
        self.is_overcommitted = False  # whether a failure said that this host runs too many workers
        self._numbers = numbers
        self._wanted = {frame for part in order.todo for frame in part}
        self._written: set[int] = set()
        self._queue: deque[FrameRange] = deque()
        self._workers: dict[int, _Worker] = {}
        self._unsaid: deque[FrameFile] = deque()
        self._said_s = -math.inf
        self._trouble = _Trouble()

    def start(self, kept: Sequence[FrameFile], warm: Mapping[int, bool], now_s: float) -> list[Action]:
        """Begins, with frames that are on disk already, and workers that run already and may be ready."""
        self._written.update(frame.index for frame in kept)
        self._unsaid.extend(kept)
        missing = protocol.ranges_of(self._wanted - self._written)
        self._queue.extend(self._split(missing, self.target))
        self._workers = {number: _Worker(now_s, is_ready, 0) for number, is_ready in warm.items()}
        return self._proceed(now_s)

    def ready(self, number: int, now_s: float) -> list[Action]:
        """The worker's page is loaded."""
        if worker := self._workers.get(number):
            worker.is_ready, worker.heard_s = True, now_s
        return self._proceed(now_s)

    def wrote(self, number: int, frame: FrameFile, now_s: float) -> list[Action]:
        """The worker has written a frame."""
        worker = self._workers.get(number)
        if worker is None or worker.block is None or frame.index not in worker.block:
            return []
        # Repeats are told of together; what each took, only their worker knows.
        took_s = frame.took_ms / 1000 or now_s - worker.heard_s
        self._trouble.frame_took(took_s)
        worker.heard_s = now_s
        self._written.add(frame.index)
        self._unsaid.append(dataclasses.replace(frame, took_ms=round(took_s * 1000)))
        return []

    def stepped(self, number: int, now_s: float) -> list[Action]:
        """The worker is on its way through the frames before its block."""
        if worker := self._workers.get(number):
            worker.heard_s = now_s
        return []

    def drew_seam(self, number: int, frame: FrameFile, now_s: float) -> list[Action]:
        """The worker has drawn the frame left of the chunk."""
        if frame.index != self.order.seam or self.is_over:
            return []
        return [*self.stepped(number, now_s), Tell(Seam(self.order.chunk, self.order.attempt, frame))]

    def finished(self, number: int, block: FrameRange, now_s: float) -> list[Action]:
        """The worker has finished its block and wants another; what it left out is found by the inspection."""
        worker = self._workers.get(number)
        if worker is not None and worker.block == block:
            worker.block, worker.heard_s = None, now_s
        return self._proceed(now_s)

    def failed(self, number: int, fault: Fault, now_s: float) -> list[Action]:
        """The worker has failed or died; the classification of its fault decides what follows."""
        worker = self._workers.pop(number, None)
        if worker is None or self.is_over:
            return []
        fault = self._located(fault, worker)
        self._requeue(frame for frame in worker.block or () if frame not in self._written)
        if fault.code.retry is Retry.NEVER or self._strike(worker, fault) >= STRIKES_MAX:
            return [Dismiss(number), *self._end(fault)]
        return [Dismiss(number), *self._countermeasure(fault), *self._proceed(now_s)]

    def inspected(self, damaged: Iterable[int], now_s: float) -> list[Action]:
        """The walk over the files is done: everything is whole, or these absolute frames are to be captured again."""
        damaged = sorted(damaged)
        if not damaged:
            self.is_over = True
            return [*self._say_all(), Tell(Done(self.order.chunk, self.order.attempt))]
        fault = self._damage(damaged[0])
        if max(self._trouble.strike(frame) for frame in damaged) >= STRIKES_MAX:
            return self._end(fault)
        self._written.difference_update(damaged)
        self._requeue(damaged)
        note = f"{self.order.chunk}: {len(damaged)} damaged frames are captured again, the first is {fault.message}"
        return [Tell(Note("warning", "agent", note)), *self._proceed(now_s)]

    def tick(self, now_s: float) -> list[Action]:
        """Ends the chunk when nothing moves; replaces a worker that stands still while others work."""
        if self.is_over:
            return []
        busy = [number for number, worker in self._workers.items() if worker.block or not worker.is_ready]
        margin_s = self._trouble.margin_s()
        stuck = [number for number in busy if self._overdue_s(number, now_s) > margin_s]
        if not stuck:
            return []
        silent_s = now_s - self._workers[stuck[0]].heard_s
        # All of them past their own limits, and nobody idle who proved able: the host or the page stands still.
        if len(busy) == len(self._workers) and all(self._overdue_s(number, now_s) > 0 for number in busy):
            return self._end(
                self._located(
                    Fault(code=FaultCode.NO_PROGRESS, message=f"no new frame for {silent_s:.0f} s"),
                    self._workers[stuck[0]],
                )
            )
        died = Fault(code=FaultCode.WORKER_DIED, message=f"worker said nothing for {silent_s:.0f} s")
        return self.failed(stuck[0], died, now_s)

    def hold(self, now_s: float, *, is_held: bool) -> list[Action]:
        """Begins no more blocks, or goes on."""
        was_held, self.is_held = self.is_held, is_held
        return self._proceed(now_s) if was_held and not is_held else []

    def flush(self, now_s: float) -> list[Action]:
        """Says which frames are finished, when it is time to; not called while the coordinator reads too slowly."""
        if not self._unsaid or now_s - self._said_s < MESSAGE_INTERVAL_S:
            return []
        self._said_s = now_s
        return [self._say()]

    def cancel(self) -> list[Action]:
        """Ends the chunk for the coordinator; finished frames stay."""
        return self._end(Fault(code=FaultCode.CANCELLED, message="cancelled by the coordinator"))

    def trim(self, stop: int, now_s: float) -> list[Action]:
        """Leaves the frames at or after `stop` to others, but for those that a worker has taken."""
        if self.is_over:
            return []
        taken = [frame for worker in self._workers.values() for frame in worker.block or ()]
        begun = max([*taken, *self._written], default=-1) + 1
        self.order, stop = trimmed(self.order, max(stop, begun))
        self._wanted = {frame for frame in self._wanted if frame < stop}
        self._queue = deque(_before(self._queue, stop))
        said = Tell(protocol.Trimmed(self.order.chunk, self.order.attempt, stop))
        return [said, *self._proceed(now_s)]

    def fail(self, fault: Fault) -> list[Action]:
        """Ends the chunk for a reason that the agent found itself."""
        return self._end(fault)

    def _proceed(self, now_s: float) -> list[Action]:
        """Gives blocks to idle workers and hires who is missing; asks for the inspection when nothing is left to do."""
        if self.is_over:
            return []
        busy = sum(worker.block is not None for worker in self._workers.values())
        if not self._queue and not busy:
            return [Inspect()]
        actions = self._dismiss_surplus()
        for number, worker in self._workers.items():
            is_free = worker.is_ready and worker.block is None and not self.is_held
            if self._queue and is_free and busy < self.target:
                worker.block, worker.heard_s = self._take(), now_s
                busy += 1
                actions.append(Give(number, worker.block))
        while len(self._workers) < min(self.target, busy + len(self._queue)):
            actions.append(self._hire(now_s))
        return actions

    def _take(self) -> FrameRange:
        """The next block; where frames take long, a short one: what is taken cannot be left to others any more.

        Where they take next to nothing, for most are repeats, a long one: the last of a block is captured in any case.
        """
        block = self._queue.popleft()
        if self.order.spec.sequential:
            return block
        count = self._trouble.frames_within(BLOCK_S)
        if len(block) > count:
            self._queue.appendleft(FrameRange(block.start + count, block.stop))
            return FrameRange(block.start, block.start + count)
        share = sum(map(len, self._queue)) // self.target
        limit = min(self._trouble.frames_within(QUICK_BLOCK_S), QUICK_BLOCK_FRAMES, share)
        while self._queue and self._queue[0].start == block.stop and len(block) + len(self._queue[0]) <= limit:
            block = FrameRange(block.start, self._queue.popleft().stop)
        return block

    def _hire(self, now_s: float) -> Hire:
        number = next(self._numbers)
        self._workers[number] = _Worker(now_s, False, self._trouble.start_strikes)
        return Hire(number)

    def _dismiss_surplus(self) -> list[Action]:
        """Idle and starting workers above the target; busy ones may finish their block first."""
        spare = [number for number, worker in self._workers.items() if worker.block is None]
        surplus = spare[: max(0, len(self._workers) - self.target)]
        for number in surplus:
            del self._workers[number]
        return [Dismiss(number) for number in surplus]

    def _requeue(self, frames: Iterable[int]) -> None:
        """To the front: these frames hold up the encoder of everything behind them."""
        self._queue.extendleft(reversed(self._split(protocol.ranges_of(frames), 1)))

    def _split(self, frames: tuple[FrameRange, ...], workers: int) -> tuple[FrameRange, ...]:
        """Small blocks; of a sequential composition one part for each worker, for in whichever blocks it is shared out,
        each worker steps through all frames before its last one, and only the parts let the others end sooner.
        """
        if not self.order.spec.sequential:
            return blocks.split(frames, workers=workers)
        return blocks.split(frames, workers=workers, block_frames=max(1, sum(map(len, frames))))

    def _strike(self, worker: _Worker, fault: Fault) -> int:
        """How often the same thing has failed now: a frame, or starting at all."""
        if fault.frame is None:
            return self._trouble.strike_start(worker.strikes_before)
        return self._trouble.strike(fault.frame)

    def _countermeasure(self, fault: Fault) -> list[Action]:
        self._trouble.failures += 1
        before = self.target
        if fault.code.retry is Retry.HALVE or self._trouble.failures > 1:
            self.target = max(1, self.target // 2)
        self.is_overcommitted |= fault.code.retry is Retry.HALVE
        effect = "a new one" if self.target == before else f"{self.target} workers instead of {before}"
        text = f"{self.order.chunk}: worker failed, {effect}: {fault.code.value}: {fault.message}"
        return [Tell(Note("warning", "agent", text))]

    def _damage(self, frame: int) -> Fault:
        local = frame - self.order.frames.start
        name = protocol.frame_name(local, self.order.spec.image)
        return Fault(code=FaultCode.FRAME_DAMAGED, message=f"{name} (frame {frame})", frame=frame, local_frame=local)

    def _overdue_s(self, number: int, now_s: float) -> float:
        """How long ago the worker should have given up by itself."""
        return now_s - self._workers[number].heard_s - self._worker_limit_s

    def _located(self, fault: Fault, worker: _Worker) -> Fault:
        """`fault` with the frame that the worker was at, when the worker could not say it."""
        left = [frame for frame in worker.block or () if frame not in self._written]
        if fault.frame is not None or not left:
            return fault
        return dataclasses.replace(fault, frame=left[0], local_frame=left[0] - self.order.frames.start)

    def _end(self, fault: Fault) -> list[Action]:
        if self.is_over:
            return []
        self.is_over = True
        at_work = [number for number, worker in self._workers.items() if worker.block or not worker.is_ready]
        failed = Failed(self.order.chunk, self.order.attempt, fault)
        return [*map(Dismiss, at_work), *self._say_all(), Tell(failed)]

    def _say_all(self) -> list[Action]:
        actions: list[Action] = []
        while self._unsaid:
            actions.append(self._say())
        return actions

    def _say(self) -> Tell:
        count = min(len(self._unsaid), protocol.FRAMES_PER_MESSAGE)
        frames = tuple(self._unsaid.popleft() for _ in range(count))
        return Tell(Captured(self.order.chunk, self.order.attempt, frames))


def trimmed(order: protocol.Capture, stop: int) -> tuple[protocol.Capture, int]:
    """`order` without its frames at or after `stop`, and the end that it really has; its first frame always stays."""
    span = FrameRange(min(order.todo).start, max(part.stop for part in order.todo))
    stop = min(max(stop, span.start + 1), span.stop)
    return dataclasses.replace(order, todo=tuple(_before(order.todo, stop))), stop


def _before(ranges: Iterable[FrameRange], stop: int) -> Iterator[FrameRange]:
    return (FrameRange(part.start, min(part.stop, stop)) for part in ranges if part.start < stop)


def worker_limit_s(page_limit_s: float) -> float:
    """When a worker has given up by itself: after a browser's start and a page's, or after a frame with its jump."""
    return max(BROWSER_LIMIT_S, page_limit_s) + page_limit_s + GIVING_UP_S


class _Trouble:
    """What has gone wrong in a chunk so far, and what silence means here."""

    def __init__(self) -> None:
        self.failures = 0
        self.start_strikes = 0
        self._strikes: Counter[int] = Counter()
        self._frame_times_s: deque[float] = deque(maxlen=_FRAME_TIMES_KEPT)

    def frame_took(self, seconds: float) -> None:
        """Remembers how long a frame took."""
        self._frame_times_s.append(seconds)

    def frames_within(self, seconds: float) -> int:
        """How many frames a worker captures in `seconds`, at least one; a block's worth while nothing is known."""
        if not self._frame_times_s:
            return blocks.BLOCK_FRAMES
        typical_s = statistics.median(self._frame_times_s)
        return max(1, math.floor(seconds / typical_s)) if typical_s > 0 else blocks.BLOCK_FRAMES

    def strike(self, frame: int) -> int:
        """How often `frame` has failed, this time included."""
        self._strikes[frame] += 1
        return self._strikes[frame]

    def strike_start(self, strikes_before: int) -> int:
        """How often starting has failed, counting workers that were started together once."""
        if strikes_before == self.start_strikes:
            self.start_strikes += 1
        return self.start_strikes

    def margin_s(self) -> float:
        """Silence beyond a worker's own limits that a slow host is granted."""
        times = sorted(self._frame_times_s)
        p95_s = times[int(0.95 * len(times))] if times else 0.0
        return max(MARGIN_S, MARGIN_FRAMES * p95_s)
