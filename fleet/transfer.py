"""Pulls finished frames of one host while it captures on, and says which of them count.

Batches, retries and quarantine live here; what makes a frame count is in `ingest.py`, what moves bytes in a transport.
"""

import asyncio
import dataclasses
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from capture import protocol
from capture.faults import Fault, FaultCode
from capture.protocol import FrameFile, FrameRange, SegmentFile
from fleet import events, ffprobe, frameset, ingest, orders, programs, sentences
from fleet.delivery import Delivery
from fleet.errors import ConfigError, FleetError
from fleet.formats import FORMATS
from fleet.model import Plan
from fleet.returns import Flow, Returns
from fleet.rundir import RunDirectory
from fleet.throttle import RoomFor
from fleet.transports.base import Transport

# What segments, sound and the file itself need beside the frames; and how long to wait for somebody to make room.
DISK_FREE_MIN_BYTES = 256 << 20
DISK_WAIT_S = 60.0
ROOM_LOOK_S = 1.0
# Of frames that wait for an encoder: some minutes of 1080p, so that none is ever idle, and less than a small disk.
SPOOL_BYTES_MAX = 2 << 30
# A host whose frames wait says nothing meanwhile, and is to be taken for frozen by nobody.
HELD_SAY_S = 10.0
# How far a host may go is looked at so often; encoders take some ten frames meanwhile.
THROTTLE_LOOK_S = 0.1
# Reading two seconds of video takes a tenth of one.
PROBE_TIMEOUT_S = 60.0
# How much later than they are due frames may be pulled, and segments be given up.
LOOK_S = 0.5
# A frame that comes damaged this often is captured again instead.
PULL_ATTEMPTS = 3
# The only name under which a failing page's picture is fetched, whatever the host calls it.
SCREENSHOT = "failure.png"

# Nobody needs to know more of how a host feels its way; one that says it without end is not believed.
RESIZES_MAX = 100

AboutChunk = (
    protocol.Started | protocol.Resized | protocol.Captured | protocol.Encoded | protocol.Unencoded | protocol.Seam
    | protocol.Trimmed | protocol.Done | protocol.Failed
)  # fmt: skip


class Puller:
    """All deliveries of one host. `run()` pulls until cancelled; events tell what arrived and which orders ended."""

    def __init__(
        self,
        host: str,
        *,
        plan: Plan,
        directory: RunDirectory,
        emit: Callable[[events.Event], None],
        returns: Returns = Returns.FRAMES,
        argv: tuple[str, ...] = (),
        waiting_bytes: Callable[[], int] = int,
        room_for: RoomFor | None = None,
    ) -> None:
        """`returns` says what the host sends; FFmpeg's `argv` makes its segments.

        `waiting_bytes` are those of frames here that encoders will take, whatever else comes, `room_for` says how
        many more of an order's are welcome.
        """
        self._host = host
        self._plan = plan
        self._directory = directory
        self._emit = emit
        self._deliveries: dict[str, Delivery] = {}
        self._news = asyncio.Event()
        self._returns = returns
        self._argv = argv
        self._flow = Flow()
        self._waiting_bytes = waiting_bytes
        self._is_shortage_told = False
        self._room_for = room_for
        self._held_say_s = 0.0

    def set_returns(self, returns: Returns, why: str) -> None:
        """From now on the host sends this; AUTO is to be measured."""
        self._returns = returns
        if returns is not Returns.AUTO:
            self._emit(events.HostReturns(self._host, returns.value, why))

    def wishes(self) -> list[protocol.Encode]:
        """What is to be said to the host so that it encodes what it should."""
        if self._returns is not Returns.SEGMENTS:
            return []
        asked = [(one.order, one.promise()) for one in self._deliveries.values() if one.end is None]
        return [
            protocol.Encode(order.chunk, order.attempt, segments, self._argv) for order, segments in asked if segments
        ]

    def expect(self, order: orders.Capture, directory: str) -> None:
        """A new order begins; its frames will appear in `directory` on the host."""
        self._deliveries[order.chunk] = Delivery(order=order, directory=directory)

    def offer(self, order: orders.Encode) -> None:
        """These segments of an order may be encoded by its host."""
        delivery = self._deliveries.get(order.chunk)
        if delivery is not None and delivery.order.attempt == order.attempt:
            delivery.segments = order.segments

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
            self._announce(delivery, message)
        elif isinstance(message, protocol.Encoded | protocol.Unencoded):
            self._hear_of_segment(delivery, message)
        elif isinstance(message, protocol.Seam):
            self._see_seam(delivery, message.frame)
        elif isinstance(message, protocol.Trimmed):
            if trimmed := delivery.trim(self._host, message.stop):
                self._emit(trimmed)
        elif delivery.end is None:
            self._end(delivery, message)
        self._news.set()

    def _announce(self, delivery: Delivery, message: protocol.Captured) -> None:
        now_s = time.monotonic()
        if count := delivery.announce(message.frames, now_s, ingest.frame_limit(self._plan)):
            self._flow.made(sum(frame.size_bytes for frame in message.frames), now_s)
            self._emit(events.FramesCaptured(chunk=message.chunk, host=self._host, count=count))

    def _hear_of_segment(self, delivery: Delivery, message: protocol.Encoded | protocol.Unencoded) -> None:
        if isinstance(message, protocol.Encoded):
            delivery.encode(message.segment)
        elif message.frames in delivery.promised:
            self._release(delivery, message.frames, message.why)

    def _release(self, delivery: Delivery, segment: FrameRange, why: str) -> None:
        text = f"{delivery.order.chunk}: frames {segment} come as such: {sentences.clean(why)}"
        self._emit(events.Warned(self._host, text))
        delivery.release(segment)

    def _end(self, delivery: Delivery, message: protocol.Done | protocol.Failed) -> None:
        delivery.finish(message, time.monotonic())
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

    async def run(
        self, transport: Transport, send: Callable[[protocol.Ack | protocol.Encode | protocol.Allow], Awaitable[None]]
    ) -> None:
        """Pulls what is due, oldest order first, and acknowledges what counts, until cancelled."""
        while True:
            self._news.clear()
            self._choose()
            for wish in self.wishes():  # first: a segment of which one frame is pulled comes as frames
                await send(wish)
            now_s = time.monotonic()
            for delivery in [one for one in self._deliveries.values() if one.is_due(now_s, transport.pull_age_s)]:
                verified = await self._pull(transport, delivery)
                if verified:
                    await send(protocol.Ack(delivery.order.chunk, protocol.ranges_of(verified)))
            await self._pull_segments(transport, send)
            await self._end_orders(transport)
            await self._throttle(send)
            try:
                async with asyncio.timeout(LOOK_S if self._room_for is None else THROTTLE_LOOK_S):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def _throttle(self, send: Callable[[protocol.Allow], Awaitable[None]]) -> None:
        """Tells the host how far it may go, where that is bounded."""
        if self._room_for is None:
            return
        for delivery in self._deliveries.values():
            if allowed := delivery.allow(self._room_for(delivery.ordered)):
                await send(allowed)
        if any(one.is_held for one in self._deliveries.values()) and time.monotonic() >= self._held_say_s:
            self._held_say_s = time.monotonic() + HELD_SAY_S
            self._say_held()

    async def _pull(self, transport: Transport, delivery: Delivery) -> list[int]:
        order = delivery.order
        frames = delivery.batch()
        names = ingest.names(frames, order.frames, self._plan)
        limit_bytes = ingest.byte_limit(frames)
        await self._room(limit_bytes)
        began_s = time.monotonic()
        quarantine = await self._fetch(transport, delivery, names, limit_bytes)
        self._flow.came(sum(frame.size_bytes for frame in frames), time.monotonic() - began_s)
        result = await asyncio.to_thread(
            ingest.ingest, quarantine, frames, chunk=order.frames, plan=self._plan, to=self.chunk_directory(order.chunk)
        )
        for frame in result.verified:
            delivery.arrive(frame.index)
        if result.verified:
            self._emit(events.FramesVerified(chunk=order.chunk, host=self._host, frames=result.verified))
        if result.rejected:
            self._reject(delivery, result.rejected)
        return [frame.index for frame in result.verified]

    async def _pull_segments(
        self, transport: Transport, send: Callable[[protocol.Ack | protocol.Encode], Awaitable[None]]
    ) -> None:
        for delivery in [*self._deliveries.values()]:
            delivery.expire(time.monotonic())
            while (segment := delivery.segment()) is not None:
                if await self._pull_segment(transport, delivery, segment):
                    await send(protocol.Ack(delivery.order.chunk, (segment.frames,)))

    async def _pull_segment(self, transport: Transport, delivery: Delivery, segment: SegmentFile) -> bool:
        """Whether the segment counts now; if not, its frames are pulled."""
        chunk = delivery.order.chunk
        name = protocol.segment_name(segment.frames.start - delivery.order.frames.start)
        limit_bytes = segment.size_bytes + ingest.OVERHEAD_BYTES
        await self._room(limit_bytes)
        quarantine = await self._fetch(transport, delivery, [name], limit_bytes)
        target = self.chunk_directory(chunk) / name
        try:
            await asyncio.to_thread(ingest.take_segment, quarantine, name, segment, target)
            await self._count(target, segment.frames)
        except (ingest.FrameRejected, FleetError) as error:
            target.unlink(missing_ok=True)
            self._release(delivery, segment.frames, str(error))
            return False
        finally:
            shutil.rmtree(quarantine, ignore_errors=True)
        if segment.frames not in delivery.promised:  # let go of meanwhile: its frames are on their way
            target.unlink(missing_ok=True)
            return False
        delivery.release(segment.frames)
        delivery.arrived |= frameset.of([segment.frames])
        frames = tuple(delivery.announced.pop(frame) for frame in segment.frames)
        self._emit(events.FramesVerified(chunk=chunk, host=self._host, frames=frames, segment=segment))
        return True

    async def _count(self, path: Path, segment: FrameRange) -> None:
        """FrameRejected unless there is a packet for each frame, at its time, and decoding can begin with the first."""
        row = FORMATS[self._plan.format]
        argv = ffprobe.packets_command(programs.find_ffmpeg().ffprobe, f"file:{path}", container=row.segment_container)
        ended = await programs.run(argv, timeout_s=PROBE_TIMEOUT_S)
        found = ffprobe.parse_packets(ended.stdout)
        if ended.code or found.count != len(segment) or found.keyframes[:1] != (0,):
            text = f"segment {segment}: {found.count} frames are in it, keyframes {found.keyframes[:3]}"
            raise ingest.FrameRejected(text)
        if row.tick_s is None and not found.is_even:
            raise ingest.FrameRejected(f"segment {segment}: its frames are not shown one after the other")

    def _choose(self) -> None:
        """What an automatic host returns is known once its link is."""
        if self._returns is Returns.AUTO and (choice := self._flow.choice(time.monotonic())):
            self.set_returns(*choice)

    async def _room(self, size_bytes: int) -> None:
        """Waits while there is no room here: frames stay on their hosts. ConfigError when nobody makes any."""
        deadline_s, say_s = time.monotonic() + DISK_WAIT_S, 0.0
        while shortage := self._shortage(size_bytes):
            now_s = time.monotonic()
            if self._waiting_bytes():  # encoders make room, and give up by themselves when they cannot
                deadline_s = now_s + DISK_WAIT_S
            elif now_s >= deadline_s:
                raise ConfigError(shortage, remedy="free some space, then add `--resume` to the same command")
            if now_s >= say_s:
                say_s = now_s + HELD_SAY_S
                self._hold(shortage)
            await asyncio.sleep(ROOM_LOOK_S)

    def _shortage(self, size_bytes: int) -> str:
        """Why so many bytes more cannot be taken now; empty when they can."""
        free_bytes, waiting_bytes = shutil.disk_usage(self._directory.path).free, self._waiting_bytes()
        if free_bytes < size_bytes + DISK_FREE_MIN_BYTES:
            return f"only {sentences.size(free_bytes)} are free for frames in {self._directory.path}"
        if waiting_bytes > SPOOL_BYTES_MAX:
            return f"{sentences.size(waiting_bytes)} of frames are here and not encoded"
        return ""

    def _hold(self, shortage: str) -> None:
        if not self._is_shortage_told:
            self._is_shortage_told = True
            self._emit(events.Warned("", f"{shortage}: more of them wait on their hosts"))
        self._say_held()

    def _say_held(self) -> None:
        for chunk in self._deliveries:
            self._emit(events.FramesHeld(chunk=chunk, host=self._host))

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
            delivery.promised.clear()
            delivery.encoded.clear()
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
            message = f"the host said done, but {len(lacking)} frames never came, the first is {lacking.span.start}"
            fault = Fault(code=FaultCode.FRAME_REJECTED, message=message, frame=lacking.span.start)
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
