"""One chunk being captured: which worker takes which block, and what follows a failure.

Pure: no I/O; time is an argument. Methods return the actions that follow, which `foreman.py` carries out in order.
"""

import dataclasses
import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from capture import backlog, protocol
from capture.backlog import Backlog
from capture.climb import Climb
from capture.faults import Fault, FaultCode, Retry
from capture.protocol import (
    PAGE_LIMIT_S,
    UNMEASURED,
    Captured,
    Done,
    Failed,
    FrameFile,
    FrameRange,
    FromAgent,
    Note,
    Resized,
    Seam,
    Stages,
)
from capture.trouble import Trouble

# Coordinators pay for each line (76 us), people see no difference above four a second.
MESSAGE_INTERVAL_S = 0.25
# One that fails alone is retried in a fresh browser, then by half the workers; three times is no accident.
STRIKES_MAX = 3
BROWSER_LIMIT_S = 60.0
GIVING_UP_S = 10.0


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
    strikes_before: int = 0  # of the chunk's start-ups, when this one was hired
    hired_s: float | None = None  # by this chunk
    block: FrameRange | None = None
    shown: str = ""  # digest of its last picture


class Chunk:
    """The block queue and the workers of one order."""

    def __init__(
        self,
        order: protocol.Capture,
        *,
        climb: Climb,
        numbers: Iterator[int],
        page_limit_s: float = PAGE_LIMIT_S,
    ) -> None:
        """`climb` says how many workers there are to be; `numbers` names new ones, unique for the agent's life."""
        self._worker_limit_s = worker_limit_s(page_limit_s)
        self.order = order
        self._climb = climb
        self.is_over = False
        self.is_held = False  # too many frames wait to be fetched: no block is given
        self.is_overcommitted = False  # whether a failure said that this host runs too many workers
        self._allowed: int | None = None  # frames that may be finished or begun; None: all
        self._numbers = numbers
        self._wanted = {frame for part in order.todo for frame in part}
        self._written: set[int] = set()
        self._queue = Backlog(is_sequential=order.spec.sequential)
        self._workers: dict[int, _Worker] = {}
        self._unsaid: deque[FrameFile] = deque()
        self._said_s = -math.inf
        self._trouble = Trouble()
        self._stages = UNMEASURED  # of finished blocks

    def start(self, kept: Sequence[FrameFile], warm: Mapping[int, bool], now_s: float) -> list[Action]:
        """Begins, with frames that are on disk already, and workers that run already and may be ready."""
        self._written.update(frame.index for frame in kept)
        self._unsaid.extend(kept)
        missing = protocol.ranges_of(self._wanted - self._written)
        self._queue.fill(missing, self.target)
        self._workers = {number: _Worker(now_s, is_ready) for number, is_ready in warm.items()}
        return self._proceed(now_s)

    def ready(self, number: int, now_s: float) -> list[Action]:
        """The worker's page is loaded."""
        if worker := self._workers.get(number):
            worker.is_ready, worker.heard_s = True, now_s
            if worker.hired_s is not None:
                self._climb.started(now_s - worker.hired_s)
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
        left, is_new = len(self._wanted) - len(self._written), frame.sha256 != worker.shown
        worker.shown = frame.sha256
        self._climb.wrote(took_s, busy=self._busy(), left=left, is_new=is_new, now_s=now_s)
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

    def finished(self, number: int, block: FrameRange, now_s: float, stages: Stages = UNMEASURED) -> list[Action]:
        """The worker has finished its block and wants another; what it left out is found by the inspection."""
        worker = self._workers.get(number)
        if worker is not None and worker.block == block:
            worker.block, worker.heard_s = None, now_s
            self._stages += stages
        return self._proceed(now_s)

    def failed(self, number: int, fault: Fault, now_s: float) -> list[Action]:
        """The worker has failed or died; the classification of its fault decides what follows."""
        worker = self._workers.pop(number, None)
        if worker is None or self.is_over:
            return []
        fault = self._located(fault, worker)
        self._queue.put_back(frame for frame in worker.block or () if frame not in self._written)
        if fault.code.retry is Retry.NEVER or self._strike(worker, fault) >= STRIKES_MAX:
            return [Dismiss(number), *self._end(fault)]
        return [Dismiss(number), *self._countermeasure(fault), *self._proceed(now_s)]

    def inspected(self, damaged: Iterable[int], now_s: float) -> list[Action]:
        """The walk over the files is done: everything is whole, or these absolute frames are to be captured again."""
        damaged = sorted(damaged)
        if not damaged:
            self.is_over = True
            return [*self._say_all(), Tell(Done(self.order.chunk, self.order.attempt, self._stages))]
        fault = self._damage(damaged[0])
        if max(self._trouble.strike(frame) for frame in damaged) >= STRIKES_MAX:
            return self._end(fault)
        self._written.difference_update(damaged)
        self._queue.put_back(damaged)
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

    def allow(self, word: protocol.Allow, now_s: float) -> list[Action]:
        """Begins blocks as far as the coordinator allows; a word about another order is none."""
        if (word.chunk, word.attempt) != (self.order.chunk, self.order.attempt):
            return []
        if self._allowed is None:
            self._climb.share()
        self._allowed = word.frames
        return self._proceed(now_s)

    def saw_memory(self, room: int, *, is_short: bool, now_s: float) -> list[Action]:
        """Memory has room for so many more workers, or `is_short` for those that there are."""
        self._climb.saw_memory(room, is_short=is_short, now_s=now_s)
        return self._proceed(now_s)

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
        self._queue.trim(stop)
        said = Tell(protocol.Trimmed(self.order.chunk, self.order.attempt, stop))
        return [said, *self._proceed(now_s)]

    def fail(self, fault: Fault) -> list[Action]:
        """Ends the chunk for a reason that the agent found itself."""
        return self._end(fault)

    @property
    def target(self) -> int:
        """How many workers there are to be."""
        return self._climb.workers

    def _busy(self) -> int:
        return sum(worker.block is not None for worker in self._workers.values())

    def _proceed(self, now_s: float) -> list[Action]:
        """Gives blocks to idle workers and hires who is missing; asks for the inspection when nothing is left to do."""
        if self.is_over:
            return []
        busy = self._busy()
        if not self._queue and not busy:
            return [Inspect()]
        actions = [*self._tell_news(), *self._dismiss_surplus()]
        for number, worker in self._workers.items():
            is_free = worker.is_ready and worker.block is None and self._may_begin()
            if self._queue and is_free and busy < self._climb.active:
                worker.block = self._queue.take(self.target, self._trouble.frames_within)
                worker.heard_s = now_s
                busy += 1
                actions.append(Give(number, worker.block))
        while len(self._workers) < min(self.target, busy + len(self._queue)):
            actions.append(self._hire(now_s))
        return actions

    def _may_begin(self) -> bool:
        blocks = [worker.block or () for worker in self._workers.values()]
        begun = len(self._written) + sum(frame not in self._written for block in blocks for frame in block)
        return not self.is_held and (self._allowed is None or begun < self._allowed)

    def _tell_news(self) -> list[Action]:
        """What was decided about the number of workers."""
        told: list[Action] = []
        while change := self._climb.take_news():
            told.append(self._resized(change.before, change.workers, change.why))
        return told

    def _resized(self, before: int, workers: int, why: str) -> Tell:
        chunk, attempt = self.order.chunk, self.order.attempt
        return Tell(Resized(chunk=chunk, attempt=attempt, before=before, workers=workers, why=why))

    def _hire(self, now_s: float) -> Hire:
        number = next(self._numbers)
        self._workers[number] = _Worker(now_s, False, self._trouble.start_strikes, hired_s=now_s)
        return Hire(number)

    def _dismiss_surplus(self) -> list[Action]:
        """Idle and starting workers above the target; busy ones may finish their block first."""
        spare = [number for number, worker in self._workers.items() if worker.block is None]
        surplus = spare[: max(0, len(self._workers) - self.target)]
        for number in surplus:
            del self._workers[number]
        return [Dismiss(number) for number in surplus]

    def _strike(self, worker: _Worker, fault: Fault) -> int:
        """How often the same thing has failed now: a frame, or starting at all."""
        if fault.frame is None:
            return self._trouble.strike_start(worker.strikes_before)
        return self._trouble.strike(fault.frame)

    def _countermeasure(self, fault: Fault) -> list[Action]:
        self._trouble.failures += 1
        before = self.target
        if fault.code.retry is Retry.HALVE or self._trouble.failures > 1:
            self._climb.halve()
        self.is_overcommitted |= fault.code.retry is Retry.HALVE
        effect = "a new one" if self.target == before else f"{self.target} workers instead of {before}"
        why = f"worker failed, {effect}: {fault.code.value}: {fault.message}"
        told: list[Action] = [Tell(Note("warning", "agent", f"{self.order.chunk}: {why}"))]
        if self.target != before:
            told.append(self._resized(before, self.target, f"a worker failed: {fault.code.value}"))
        return told

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
        failed = Failed(self.order.chunk, self.order.attempt, fault, self._stages)
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
    return dataclasses.replace(order, todo=tuple(backlog.before(order.todo, stop))), stop


def worker_limit_s(page_limit_s: float) -> float:
    """When a worker has given up by itself: after a browser's start and a page's, or after a frame with its jump."""
    return max(BROWSER_LIMIT_S, page_limit_s) + page_limit_s + GIVING_UP_S
