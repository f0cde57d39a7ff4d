"""Carries out what a chunk decides: hires, gives blocks, inspects files, tells the coordinator.

One chunk at a time; orders that arrive meanwhile wait. Workers stay warm between chunks of the same spec.
"""

import contextlib
import dataclasses
import itertools
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from capture import chunk, encoder, pool, protocol, store
from capture.chunk import Chunk, Dismiss, Give, Hire, Inspect, Tell
from capture.climb import Climb
from capture.crew import Crew, Gone, Said
from capture.encoding import Encoding
from capture.faults import Fault, FaultCode
from capture.journal import Journal
from capture.protocol import (
    Allow,
    BlockDone,
    BlockFailed,
    Capture,
    FrameWritten,
    Loaded,
    Misjudged,
    Note,
    Ready,
    SeamDrawn,
    Started,
    Stepped,
    Trim,
)
from capture.site import Site

# One chunk being captured and one waiting hide a round trip; more only makes the loss of a host dearer.
WAITING_MAX = 4
# A chunk is not begun with less: its frames, a browser's profile and what others write meanwhile need room.
DISK_FREE_MIN_BYTES = 512 * 1024 * 1024
# Memory is looked at so often while workers may come and go; a look costs about a millisecond.
MEMORY_LOOK_S = 1.0
Order = (
    protocol.Warm | protocol.Rehearse | Capture | protocol.Encode | protocol.Cancel | Trim | Allow | protocol.Ack
)  # fmt: skip
_KILLED = (FaultCode.BROWSER_CRASHED, FaultCode.WORKER_DIED)


@dataclass(slots=True)
class _Active:
    chunk: Chunk
    journal: Journal
    oom_kills: int
    is_watched: bool  # for memory that runs short
    looked_s: float = -math.inf


class Foreman:
    """The chunks of one run on this host."""

    def __init__(self, site: Site, crew: Crew, send: Callable[[protocol.FromAgent], None]) -> None:
        self._site = site
        self._crew = crew
        self._send = send
        self._numbers = itertools.count(1)
        self._ceiling = site.workers_max
        self._climb = Climb()
        self._active: _Active | None = None
        self._waiting: deque[Capture] = deque()
        self._journals: dict[str, Journal] = {}
        self._encoding = Encoding(site.encoders, cores=site.cores, send=send)
        self._warnings: set[tuple[str, ...]] = set()
        self._has_endless_script = False
        self._repeats = True
        self._browser_version = ""

    def expect(self, browser_version: str) -> None:
        """What every browser must call itself from now on."""
        self._browser_version = browser_version

    def obey(self, order: Order) -> None:
        """Takes an order in."""
        match order:
            case protocol.Warm():
                self.warm(order)
            case Capture():
                self.capture(order)
            case protocol.Encode() | protocol.Rehearse():
                self.make(order)
            case protocol.Cancel(name):
                self.cancel(name)
            case Trim():
                self.trim(order)
            case Allow():
                self._decide(lambda active: active.chunk.allow(order, time.monotonic()))
            case protocol.Ack():
                self.acknowledge(order)
            case _:
                assert_never(order)

    def capture(self, order: Capture) -> None:
        """Begins a chunk, or lets it wait for the present one."""
        if len(self._waiting) >= WAITING_MAX:
            self._refuse(order, Fault(code=FaultCode.INTERNAL, message=f"more than {WAITING_MAX} chunks are waiting"))
            return
        self._waiting.append(order)
        self._begin_next()

    def make(self, asked: protocol.Encode | protocol.Rehearse) -> None:
        """Has segments made, as soon as their frames are there."""
        workspace = self._site.workspace
        if isinstance(asked, protocol.Rehearse):
            self._encoding.rehearse(asked, workspace.blobs, workspace.run(self._site.run) / ".rehearsal")
        else:
            is_open = any(asked.chunk == order.chunk for order in self._orders())
            self._encoding.want(asked, self._journals.get(asked.chunk), is_open=is_open)

    def warm(self, order: protocol.Warm) -> None:
        """Starts browsers for chunks to come; what fails in them is told when a chunk needs them."""
        if self._active is not None:
            return
        running = self._crew.warm(order.spec)
        workers = self._size(order.spec, order.frames, warm=len(running)).workers
        with contextlib.suppress(OSError):
            for number in itertools.islice(self._numbers, max(0, workers - len(running))):
                self._crew.hire(number, dataclasses.replace(self.setup(str(number), order.spec), is_open=False))

    def cancel(self, name: str) -> None:
        """Stops a chunk, or takes it out of the line; an unknown one has ended already and said so."""
        for order in [order for order in self._waiting if order.chunk == name]:
            self._waiting.remove(order)
            self._refuse(order, Fault(code=FaultCode.CANCELLED, message="cancelled by the coordinator"))
        if self._active and self._active.chunk.order.chunk == name:
            self._do(self._active, self._active.chunk.cancel())

    def trim(self, wish: Trim) -> None:
        """Leaves the end of a chunk to others; one that is over has said so."""
        active = self._active
        if active and (active.chunk.order.chunk, active.chunk.order.attempt) == (wish.chunk, wish.attempt):
            self._do(active, active.chunk.trim(wish.stop, time.monotonic()))
            self._encoding.segments.trim(wish.chunk, active.chunk.order.todo[-1].stop)
            return
        for place, order in enumerate(self._waiting):
            if (order.chunk, order.attempt) == (wish.chunk, wish.attempt):
                trimmed, stop = chunk.trimmed(order, wish.stop)
                self._waiting[place] = trimmed
                self._encoding.segments.trim(order.chunk, stop)
                self._send(protocol.Trimmed(order.chunk, order.attempt, stop))

    def acknowledge(self, ack: protocol.Ack) -> None:
        """Deletes files that the coordinator has stored."""
        self._encoding.fetched(ack.frames)
        if journal := self._journals.get(ack.chunk):
            for part in ack.frames:  # those of a segment come alone
                journal.segment(part).unlink(missing_ok=True)
            journal.delete(frame for part in ack.frames for frame in part)

    def hear(self, event: Said | Gone) -> None:
        """A worker spoke or ended."""
        now_s = time.monotonic()
        if isinstance(event, Gone):
            self._crew.ended(event.worker, event.pid)
            fault = Fault(code=FaultCode.WORKER_DIED, message=f"worker ended: {event.how}", console=event.last_words)
            self._failed(event.worker, fault, now_s)
            return
        match event.message:
            case Note():
                self._send(event.message)
            case BlockFailed(fault):
                self._has_endless_script |= fault.code is FaultCode.SCRIPT_ENDLESS
                self._failed(event.worker, fault, now_s)
            case Stepped():
                self._decide(lambda active: active.chunk.stepped(event.worker, now_s))
            case SeamDrawn(frame):
                self._decide(lambda active: active.chunk.drew_seam(event.worker, frame, now_s))
            case Ready(warnings):
                self._crew.mark_ready(event.worker)
                self._loaded(warnings)
                self._decide(lambda active: active.chunk.ready(event.worker, now_s))
            case FrameWritten(frame):
                self._wrote(event.worker, frame, now_s)
            case Misjudged(misjudged):
                self._distrust(misjudged)
            case BlockDone(frames, stages):
                self._decide(lambda active: active.chunk.finished(event.worker, frames, now_s, stages))
            case _:
                assert_never(event.message)

    def encoded(self, ended: encoder.Ended) -> None:
        """An encoder ended."""
        self._crew.ended(None, ended.pid)
        self._encoding.ended(ended)

    def setup(self, name: str, spec: protocol.RenderSpec) -> protocol.Setup:
        """What a process called `name` must know to open the composition."""
        return protocol.Setup(
            spec=spec,
            bundle_directory=str(self._site.workspace.bundle(spec.bundle)),
            blobs_directory=str(self._site.workspace.blobs),
            profile_directory=str(self._site.workspace.run(self._site.run) / f".profile-{name}"),
            chromium=self._site.chromium,
            chromium_args=self._site.chromium_args,
            sandbox=self._site.sandbox,
            browser_version=self._browser_version,
            page_limit_s=self._site.page_limit_s,
            browser_bytes=pool.worker_memory_bytes(spec.image_pixels),
            watches_scripts=self._has_endless_script,
            browsers=self._size(spec, spec.frame_count, warm=0).workers,
        )

    def tick(self, *, is_congested: bool) -> None:
        """Time has passed; call at least four times a second."""
        now_s = time.monotonic()
        self._look_at_memory(now_s)
        self._decide(lambda active: active.chunk.tick(now_s))
        if not is_congested:
            self._decide(lambda active: active.chunk.flush(now_s))
        self._encoding.begin(self._journals)
        self._decide(self._hold)
        self._begin_next()

    def _begin_next(self) -> None:
        while self._waiting and self._active is None:
            order = self._waiting.popleft()
            try:
                if fault := self._obstacle(order):
                    self._refuse(order, fault)
                else:
                    self._begin(order)
            except OSError as error:
                self._refuse(order, store.fault(error, "begin the chunk"))

    def _obstacle(self, order: Capture) -> Fault | None:
        workspace = self._site.workspace
        if not workspace.bundle(order.spec.bundle).is_dir():
            return Fault(code=FaultCode.INTERNAL, message=f"bundle was never prepared: {order.spec.bundle}")
        free = self._site.free_bytes()
        if free < DISK_FREE_MIN_BYTES:
            message = f"only {free // pool.MIB} MiB free in {workspace.path}, {DISK_FREE_MIN_BYTES // pool.MIB} needed"
            return Fault(code=FaultCode.DISK_FULL, message=message)
        return None

    def _begin(self, order: Capture) -> None:
        directory = self._site.workspace.chunk(self._site.run, order.chunk)
        journal = self._journals[order.chunk] = Journal(directory, order)
        kept = journal.whole(frame for part in order.todo for frame in part)
        warm = self._crew.warm(order.spec)
        self._crew.open()
        sizing = self._size(order.spec, sum(map(len, order.todo)) - len(kept), warm=len(warm))
        # Sequential workers have gone through all frames before their own: what one knows, no other takes over.
        is_free = sizing.is_reckoned and not order.spec.sequential
        self._climb.begin(sizing.workers, most=self._ceiling, is_free=is_free)
        capturing = Chunk(order, climb=self._climb, numbers=self._numbers, page_limit_s=self._site.page_limit_s)
        active = self._active = _Active(capturing, journal, self._site.oom_kills(), is_watched=is_free)
        place = str(directory.relative_to(self._site.workspace.path))
        why = f"{sizing.why}{_warm_up(order)}"
        self._send(Started(chunk=order.chunk, attempt=order.attempt, directory=place, workers=sizing.workers, why=why))
        for frame in kept:
            self._encoding.segments.wrote(order.chunk, frame.index)
        self._do(active, capturing.start(kept, warm, time.monotonic()))

    def _size(self, spec: protocol.RenderSpec, frames: int, *, warm: int) -> pool.Sizing:
        return pool.decide(
            frames=frames,
            cores=self._site.cores,
            memory=self._site.memory(),
            explicit=self._site.workers,
            measured=self._climb.learnt,
            warm=warm,
            ceiling=self._ceiling,
            pixels=spec.image_pixels,
        )

    def _look_at_memory(self, now_s: float) -> None:
        active = self._active
        if active is None or not active.is_watched or now_s - active.looked_s < MEMORY_LOOK_S:
            return
        active.looked_s = now_s
        memory, order = self._site.memory(), active.chunk.order
        room = memory.room(running=active.chunk.target, pixels=order.spec.image_pixels)
        self._do(active, active.chunk.saw_memory(room, is_short=memory.is_short, now_s=now_s))

    def _decide(self, decide: Callable[[_Active], list[chunk.Action]]) -> None:
        if self._active is not None:
            self._do(self._active, decide(self._active))

    def _loaded(self, warnings: tuple[str, ...]) -> None:
        """Tells how pages get ready here; the coordinator compares hosts."""
        if warnings not in self._warnings:
            self._warnings.add(warnings)
            self._send(Loaded(warnings))

    def _wrote(self, worker: int, frame: protocol.FrameFile, now_s: float) -> None:
        if self._active is None or frame.index not in self._active.chunk.order.frames:
            return
        try:
            self._active.journal.add(frame)
        except OSError as error:
            self._do(self._active, self._active.chunk.fail(store.fault(error, "write the journal")))
            return
        self._encoding.segments.wrote(self._active.chunk.order.chunk, frame.index)
        self._do(self._active, self._active.chunk.wrote(worker, frame, now_s))

    def _distrust(self, frame: int) -> None:
        """From now on every frame is captured here."""
        if self._repeats:
            self._repeats = False
            text = f"frame {frame} had changed although Chromium saw no change: every frame is captured from here on"
            self._send(Note("warning", "agent", text))

    def _failed(self, worker: int, fault: Fault, now_s: float) -> None:
        if self._active is None:
            self._crew.dismiss(worker)
            return
        oom_kills = self._site.oom_kills()
        if fault.code in _KILLED and oom_kills > self._active.oom_kills:
            fault = dataclasses.replace(fault, code=FaultCode.OUT_OF_MEMORY, message=f"out of memory: {fault.message}")
        self._active.oom_kills = oom_kills
        self._do(self._active, self._active.chunk.failed(worker, fault, now_s))

    def _do(self, active: _Active, actions: list[chunk.Action]) -> None:
        """Carries out `actions` and, after them, what they lead to."""
        line = deque(actions)
        while line:
            line.extend(self._carry_out(active, line.popleft()))
        if active.chunk.is_over and self._active is active:
            self._active = None
            self._encoding.segments.close(active.chunk.order.chunk)
            if active.chunk.is_overcommitted:
                self._ceiling = active.chunk.target

    def _carry_out(self, active: _Active, action: chunk.Action) -> list[chunk.Action]:
        match action:
            case Hire(number):
                return self._hire(active, number)
            case Give(number, block):
                self._crew.give(number, _block(active, block, repeats=self._repeats))
            case Dismiss(number):
                self._crew.dismiss(number)
            case Tell(message):
                self._send(message)
            case Inspect():
                return active.chunk.inspected(self._damaged(active), time.monotonic())
            case _:
                assert_never(action)
        return []

    def _hire(self, active: _Active, number: int) -> list[chunk.Action]:
        try:
            self._crew.hire(number, self.setup(str(number), active.chunk.order.spec))
        except OSError as error:  # no more processes, no more memory
            fault = Fault(code=FaultCode.WORKER_DIED, message=f"cannot start a worker: {error}")
            return active.chunk.failed(number, fault, time.monotonic())
        return []

    def _damaged(self, active: _Active) -> list[int]:
        return active.journal.damaged(frame for part in active.chunk.order.todo for frame in part)

    def _hold(self, active: _Active) -> list[chunk.Action]:
        """No more is captured while too much waits to be fetched, or encoded."""
        spools = [journal.spool for journal in self._journals.values()]
        order = active.chunk.order
        is_held = pool.is_full(
            spool_bytes=sum(sum(spool.values()) for spool in spools),
            spool_frames=sum(map(len, spools)),
            limit_bytes=self._site.spool_bytes_max,
            free_bytes=self._site.free_bytes(),
            in_segments=self._encoding.segments.longest(order.chunk) if self._encoding.is_busy else 0,
            workers=active.chunk.target,
        )
        if is_held and not active.chunk.is_held:
            self._send(Note("info", "agent", f"{order.chunk}: waits until frames are fetched"))
        if is_held and not self._encoding.is_busy:
            self._encoding.give_up(order.chunk)  # frames that wait for their segment would wait for ever
        return active.chunk.hold(time.monotonic(), is_held=is_held)

    def _orders(self) -> list[Capture]:
        """What is being captured, or waits for that."""
        return [*self._waiting, *([self._active.chunk.order] if self._active else [])]

    def _refuse(self, order: Capture, fault: Fault) -> None:
        self._send(protocol.Failed(order.chunk, order.attempt, fault))


def _block(active: _Active, frames: protocol.FrameRange, *, repeats: bool) -> protocol.Block:
    order = active.chunk.order
    seam = order.seam if order.seam == frames.start - 1 else None
    directory = str(active.journal.directory)
    return protocol.Block(frames=frames, offset=order.frames.start, directory=directory, seam=seam, repeats=repeats)


def _warm_up(order: Capture) -> str:
    """What a worker does before the first picture of a sequential composition; one that is there already does less."""
    first = min(part.start for part in order.todo)
    return f"; warming up 0:{first}" if order.spec.sequential and first else ""
