"""Pulls finished frames of one host while it captures on, and says which of them count.

Batches, retries and quarantine live here; what makes a frame count is in `ingest.py`, what moves bytes in a transport.
"""

import asyncio
import dataclasses
import itertools
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from capture import protocol
from capture.faults import Fault, FaultCode
from capture.protocol import FrameFile, FrameRange
from fleet import events, ingest, orders, sentences
from fleet.errors import ConfigError
from fleet.model import Plan
from fleet.rundir import RunDirectory
from fleet.transports.base import Transport

# A pull costs about 0.3 s whatever it carries, so a few frames wait for company.
PULL_FRAMES = 64
PULL_BYTES = 32 << 20
PULL_AGE_S = 1.5
BATCH_BYTES = 4 * PULL_BYTES
# What segments, sound and the file itself need beside the frames; and how long to wait for somebody to make room.
DISK_FREE_MIN_BYTES = 256 << 20
DISK_WAIT_S = 60.0
DISK_LOOK_S = 1.0
# A frame that comes damaged this often is captured again instead.
PULL_ATTEMPTS = 3
# The only name under which a failing page's picture is fetched, whatever the host calls it.
SCREENSHOT = "failure.png"

# Nobody needs to know more of how a host feels its way; one that says it without end is not believed.
RESIZES_MAX = 100

AboutChunk = (
    protocol.Started | protocol.Resized | protocol.Captured | protocol.Seam | protocol.Trimmed | protocol.Done
    | protocol.Failed
)  # fmt: skip


@dataclass(kw_only=True)
class Delivery:
    """One order on its way home: what was announced, what is here, and how the host ended it."""

    order: orders.Capture
    directory: str  # on the host, absolute
    announced: dict[int, FrameFile] = field(default_factory=dict)
    arrived: set[int] = field(default_factory=set)
    announced_at_s: float = 0.0
    failed_pulls: int = 0
    is_begun: bool = False
    is_seam_told: bool = False
    resizes: int = 0
    end: protocol.Done | protocol.Failed | None = None
    asked_stop: int | None = None  # where it was asked to end, until that is answered

    def announce(self, frames: tuple[FrameFile, ...], now_s: float, limit_bytes: int) -> int:
        """Takes announced frames in, says how many are news; ProtocolError for one not ordered, or too large."""
        if not self.announced:
            self.announced_at_s = now_s
        count = 0
        for frame in frames:
            if not any(frame.index in part for part in self.order.todo):
                raise protocol.ProtocolError(f"frame {frame.index} was announced and not ordered")
            if frame.size_bytes > limit_bytes:
                raise protocol.ProtocolError(f"frame {frame.index} has {frame.size_bytes} bytes, {limit_bytes} at most")
            if frame.index not in self.arrived:
                count += frame.index not in self.announced
                self.announced[frame.index] = frame
        return count

    def batch(self) -> list[FrameFile]:
        """The announced frames to pull now, ascending: no more than fits into one quarantine."""
        frames = sorted(self.announced.values(), key=lambda frame: frame.index)
        sums = itertools.accumulate(frame.size_bytes for frame in frames)
        return [frame for frame, total in zip(frames, sums, strict=True) if frame is frames[0] or total <= BATCH_BYTES]

    def trim(self, host: str, stop: int) -> events.ChunkTrimmed | None:
        """Nothing at or after `stop` will come, but for what was announced; None when nobody asked for that."""
        if self.asked_stop is None:
            return None
        stop = max([stop, self.asked_stop, *(frame + 1 for frame in (*self.announced, *self.arrived))])
        stop = min(stop, self.order.todo[-1].stop)
        todo = tuple(FrameRange(part.start, min(part.stop, stop)) for part in self.order.todo if part.start < stop)
        self.order, self.asked_stop = dataclasses.replace(self.order, todo=todo), None
        return events.ChunkTrimmed(chunk=self.order.chunk, host=host, attempt=self.order.attempt, stop=stop)

    def is_due(self, now_s: float) -> bool:
        """Whether a pull is worth its fixed cost now."""
        if not self.announced:
            return False
        if self.end is not None or len(self.announced) >= PULL_FRAMES:
            return True
        size_bytes = sum(frame.size_bytes for frame in self.announced.values())
        return size_bytes >= PULL_BYTES or now_s - self.announced_at_s >= PULL_AGE_S

    @property
    def lacking(self) -> list[int]:
        """Ordered frames that are not here yet."""
        return [frame for part in self.order.todo for frame in part if frame not in self.arrived]


class Puller:
    """All deliveries of one host. `run()` pulls until cancelled; events tell what arrived and which orders ended."""

    def __init__(self, host: str, *, plan: Plan, directory: RunDirectory, emit: Callable[[events.Event], None]) -> None:
        self._host = host
        self._plan = plan
        self._directory = directory
        self._emit = emit
        self._deliveries: dict[str, Delivery] = {}
        self._news = asyncio.Event()

    def expect(self, order: orders.Capture, directory: str) -> None:
        """A new order begins; its frames will appear in `directory` on the host."""
        self._deliveries[order.chunk] = Delivery(order=order, directory=directory)

    def ask(self, order: orders.Trim) -> None:
        """An order is about to be asked to end sooner."""
        delivery = self._deliveries.get(order.chunk)
        if delivery is not None and delivery.order.attempt == order.attempt:
            delivery.asked_stop = order.stop

    def hear(self, message: AboutChunk) -> None:
        """Takes in what the agent says of an order; words about one that has ended, or never was, are no news.

        ProtocolError when it announces what nobody ordered.
        """
        delivery = self._deliveries.get(message.chunk)
        if delivery is None or delivery.order.attempt != message.attempt:
            return
        if isinstance(message, protocol.Started):
            self._begin(delivery, message)
        elif isinstance(message, protocol.Resized):
            self._resize(delivery, message)
        elif isinstance(message, protocol.Captured):
            limit_bytes = ingest.frame_limit(self._plan)
            if count := delivery.announce(message.frames, time.monotonic(), limit_bytes):
                self._emit(events.FramesCaptured(chunk=message.chunk, host=self._host, count=count))
        elif isinstance(message, protocol.Seam):
            self._see_seam(delivery, message.frame)
        elif isinstance(message, protocol.Trimmed):
            if trimmed := delivery.trim(self._host, message.stop):
                self._emit(trimmed)
        elif delivery.end is None:
            self._end(delivery, message)
        self._news.set()

    def _end(self, delivery: Delivery, message: protocol.Done | protocol.Failed) -> None:
        delivery.end = message
        if message.stages.frames:
            self._emit(
                events.ChunkMeasured(
                    chunk=message.chunk, host=self._host, attempt=message.attempt, stages=message.stages
                )
            )

    def _begin(self, delivery: Delivery, started: protocol.Started) -> None:
        if delivery.is_begun:
            return
        delivery.is_begun = True
        order = delivery.order
        self._emit(
            events.ChunkStarted(
                chunk=order.chunk, host=self._host, attempt=order.attempt, workers=started.workers, why=started.why
            )
        )

    def _resize(self, delivery: Delivery, resized: protocol.Resized) -> None:
        delivery.resizes += 1
        if delivery.resizes > RESIZES_MAX:
            raise protocol.ProtocolError(f"its number of workers changed more than {RESIZES_MAX} times in a chunk")
        self._emit(
            events.WorkersChanged(
                chunk=resized.chunk,
                host=self._host,
                attempt=resized.attempt,
                before=resized.before,
                workers=resized.workers,
                why=resized.why,
            )
        )

    def _see_seam(self, delivery: Delivery, frame: FrameFile) -> None:
        if frame.index != delivery.order.seam(self._plan.frames):
            raise protocol.ProtocolError(f"frame {frame.index} is not left of what was ordered")
        if not delivery.is_seam_told:
            delivery.is_seam_told = True
            self._emit(events.SeamDrawn(chunk=delivery.order.chunk, host=self._host, frame=frame))

    async def run(self, transport: Transport, send: Callable[[protocol.Ack], Awaitable[None]]) -> None:
        """Pulls what is due, oldest order first, and acknowledges what counts, until cancelled."""
        while True:
            self._news.clear()
            now_s = time.monotonic()
            for delivery in [one for one in self._deliveries.values() if one.is_due(now_s)]:
                verified = await self._pull(transport, delivery)
                if verified:
                    await send(protocol.Ack(delivery.order.chunk, protocol.ranges_of(verified)))
            await self._end_orders(transport)
            try:
                async with asyncio.timeout(PULL_AGE_S / 3):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def _pull(self, transport: Transport, delivery: Delivery) -> list[int]:
        order = delivery.order
        frames = delivery.batch()
        names = ingest.names(frames, order.frames, self._plan)
        limit_bytes = ingest.byte_limit(frames)
        await self._room(limit_bytes)
        quarantine = await self._fetch(transport, delivery, names, limit_bytes)
        result = await asyncio.to_thread(
            ingest.ingest, quarantine, frames, chunk=order.frames, plan=self._plan, to=self.chunk_directory(order.chunk)
        )
        for frame in result.verified:
            delivery.arrived.add(frame.index)
            delivery.announced.pop(frame.index, None)
        if result.verified:
            self._emit(events.FramesVerified(chunk=order.chunk, host=self._host, frames=result.verified))
        if result.rejected:
            self._reject(delivery, result.rejected)
        return [frame.index for frame in result.verified]

    async def _room(self, size_bytes: int) -> None:
        """Waits while this machine's disk is too full: frames stay on their hosts. ConfigError when it remains so."""
        deadline_s = time.monotonic() + DISK_WAIT_S
        is_told = False
        while (free_bytes := shutil.disk_usage(self._directory.path).free) < size_bytes + DISK_FREE_MIN_BYTES:
            shortage = f"only {sentences.size(free_bytes)} are free for frames in {self._directory.path}"
            if time.monotonic() >= deadline_s:
                raise ConfigError(shortage, remedy="free some space, then add `--resume` to the same command")
            if not is_told:
                self._emit(events.Warned("", f"{shortage}: they wait on their hosts for up to {DISK_WAIT_S:.0f} s"))
                is_told = True
            await asyncio.sleep(DISK_LOOK_S)

    def _reject(self, delivery: Delivery, rejected: tuple[tuple[FrameFile, str], ...]) -> None:
        delivery.failed_pulls += 1
        for _, reason in rejected[:3]:
            self._emit(events.Warned(self._host, f"{delivery.order.chunk}: {reason}"))
        if delivery.failed_pulls >= PULL_ATTEMPTS:
            first, reason = rejected[0]
            fault = Fault(
                code=FaultCode.FRAME_REJECTED,
                message=reason,
                frame=first.index,
                local_frame=first.index - delivery.order.frames.start,
            )
            delivery.announced.clear()
            delivery.end = protocol.Failed(delivery.order.chunk, delivery.order.attempt, fault)

    async def _end_orders(self, transport: Transport) -> None:
        for chunk, delivery in list(self._deliveries.items()):
            if delivery.end is None or delivery.announced:
                continue
            del self._deliveries[chunk]
            self._emit(await self._last_word(transport, delivery))

    async def _last_word(self, transport: Transport, delivery: Delivery) -> events.Event:
        order = delivery.order
        if isinstance(delivery.end, protocol.Failed):
            fault = await self._with_evidence(transport, delivery, delivery.end.fault)
        elif lacking := delivery.lacking:
            message = f"the host said done, but {len(lacking)} frames never came, the first is {lacking[0]}"
            fault = Fault(code=FaultCode.FRAME_REJECTED, message=message, frame=lacking[0])
        else:
            return events.ChunkDone(chunk=order.chunk, host=self._host, attempt=order.attempt)
        return events.ChunkFailed(chunk=order.chunk, host=self._host, attempt=order.attempt, fault=fault)

    async def _with_evidence(self, transport: Transport, delivery: Delivery, fault: Fault) -> Fault:
        """`fault` with its screenshot, if there is one, brought here."""
        screenshot = None
        if fault.screenshot is not None:
            quarantine = await self._fetch(transport, delivery, [SCREENSHOT], ingest.FRAME_LIMIT_BYTES)
            target = self._directory.logs / f"{self._host}-{delivery.order.chunk}.png"
            screenshot = str(target) if ingest.take_screenshot(quarantine, SCREENSHOT, target) else None
        return dataclasses.replace(fault, screenshot=screenshot)

    async def _fetch(self, transport: Transport, delivery: Delivery, names: list[str], limit_bytes: int) -> Path:
        """A quarantine of its own with what came of these files; none is left when the pull fails."""
        prefix = f"{self._host}.{delivery.order.chunk}."
        quarantine = Path(tempfile.mkdtemp(prefix=prefix, dir=self._directory.quarantine))
        try:
            await transport.pull(delivery.directory, names, quarantine, limit_bytes=limit_bytes)
        except BaseException:
            shutil.rmtree(quarantine, ignore_errors=True)
            raise
        return quarantine

    def chunk_directory(self, chunk: str) -> Path:
        """Where the verified frames of `chunk` are, numbered from 0."""
        return self._directory.chunks / chunk
