"""One host's life in a run: hello, probe, bundle, orders, pings, pulls, goodbye.

Decides nothing about frames: it carries out the schedule's orders and reports what happened as events.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import TypeVar

from capture import protocol
from capture.protocol import FrameRange, FromAgent, GlBackend, RenderSpec
from fleet import busy, checks, events, greeting, muster, orders, returns, sentences
from fleet.errors import CompositionError, HostBusy, HostError, HostLost, HostUnfit, HostUntrusted, cause_of
from fleet.model import Blob, Host, Severity
from fleet.returns import Returns
from fleet.transfer import AboutChunk, Puller
from fleet.transports.base import Channel, Transport
from fleet.transports.channel import UNTRUSTED_REMEDY
from fleet.work import Work

HELLO_TIMEOUT_S = 20.0  # a slow shell start-up file was seen to take seconds
ACQUIRE_TIMEOUT_S = 5.0
PROBE_TIMEOUT_S = 90.0  # starts a browser on a host that may be cold
PREPARE_TIMEOUT_S = 120.0  # hashing blobs that are there; a push has a watchdog of its own
EXAMINE_TIMEOUT_S = 35.0  # agents give up after 30; nothing else is said to them meanwhile, so it is below the lease
GOODBYE_TIMEOUT_S = 10.0
PING_S = 10.0  # four chances within a lease
NOTE_LENGTH = 2000  # a page can put a novel into one console line
SILENCE_S = 40.0  # pongs come every PING_S even from a busy agent
NOTES_MAX = 20_000  # of one host in its log; a page that writes a line a frame writes fewer
LOADS_MAX = 100  # different sets of warnings; a page has a dozen kinds of them

# What a page warns of when its picture may not be what its author means.
PICTURE_WARNINGS = (
    "timeline_missing",
    "timeline_unbound",
    "media_load_failed",
    "media_readiness_timeout",
    "page_error",
)
STRICT_REMEDY = "mend the composition, or render without `--strict`"

T = TypeVar("T", bound=FromAgent)
_LEVELS = logging.getLevelNamesMapping()
Order = orders.Capture | orders.Encode | orders.Trim | orders.Cancel | orders.Finish


def is_of_picture(note: protocol.Note) -> bool:
    """Whether a page's note says that something is missing in its picture."""
    return note.source == "page" and note.text.partition(":")[0] in PICTURE_WARNINGS


class Link:
    """The conversation with one host's agent over an open transport."""

    def __init__(
        self,
        host: Host,
        work: Work,
        *,
        transport: Transport,
        channel: Channel,
        emit: Callable[[events.Event], None],
        log: logging.Logger,
    ) -> None:
        self.host = host
        self._work = work
        self._transport = transport
        self._channel = channel
        self._emit = emit
        self._messages: AsyncIterator[FromAgent] = channel.receive()
        self._log = log
        argv = work.rehearsal.argv if work.rehearsal else ()
        self._puller = Puller(
            host.name,
            plan=work.plan,
            directory=work.directory,
            emit=emit,
            argv=argv,
            waiting_bytes=work.waiting_bytes,
            room_for=work.room_for,
        )
        self._workspace = ""
        self._pinged = self._ponged = 0
        self._missing: asyncio.Queue[protocol.Missing] = asyncio.Queue()
        self._is_listening = False  # `_listen` takes in what the host says
        self._is_missing_asked = False
        self._notes = 0
        self._loads: set[tuple[str, ...]] = set()
        self._brought: set[str] = set()  # stills that this host is known to have

    async def muster(self) -> muster.Mustered:
        """Hello, facts, lock, probe; HostError with a remedy when the host cannot take part."""
        run, workers = self._work.directory.name, self._work.workers
        hello = greeting.hello(self.host, run=run, workers=workers, page_limit_s=self._work.page_limit_s)
        await self._channel.send(hello)
        answer = await self._expect(protocol.Facts, HELLO_TIMEOUT_S)
        if answer.version != protocol.VERSION:
            raise self._untrusted(f"it speaks protocol {answer.version}, not {protocol.VERSION}")
        facts = answer.facts
        is_encoder = self._work.rehearsal is not None and self._work.rehearsal.returns is Returns.SEGMENTS
        for finding in checks.judge(checks.Examined(host=self.host, facts=facts, is_encoder=is_encoder)):
            if finding.severity is Severity.ERROR:
                raise HostUnfit(self.host.name, finding.message, remedy=finding.remedy)
            if finding.severity is Severity.WARNING:
                self._emit(events.Warned(self.host.name, finding.message))
        self._workspace = facts.workspace
        await self._acquire()
        await self._channel.send(protocol.Probe())
        browser = (await self._expect(protocol.Probed, PROBE_TIMEOUT_S)).browser
        return muster.Mustered(host=self.host, facts=facts, browser=browser)

    async def _acquire(self) -> None:
        """Takes the host's lock; HostBusy, naming who holds it, when it is not free in time."""
        deadline_s = time.monotonic() + self._work.busy.wait_s
        is_told = False
        while True:
            await self._channel.send(protocol.Acquire())
            answer = await self._expect((protocol.Granted, protocol.Denied), ACQUIRE_TIMEOUT_S)
            if not isinstance(answer, protocol.Denied):
                return
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                self._hear_aside(answer)
            if not is_told:
                text = f"is rendering for {answer.owner}; waiting up to {sentences.duration(left_s)} for it"
                self._emit(events.Warned(self.host.name, text))
                is_told = True
            await asyncio.sleep(min(busy.POLL_S, left_s))

    async def warm(self, spec: RenderSpec, frames: int) -> None:
        """Has the host start its browsers while the bundle arrives; it will be given about so many frames."""
        await self._channel.send(protocol.Warm(spec, frames))

    async def bring_bundle(self) -> None:
        """Pushes the blobs that the host lacks, none when it has seen this composition before."""
        blobs = {blob.sha256: blob for blob in self._work.bundle.blobs}
        pushed: list[int] = []
        while True:
            await self._channel.send(protocol.Prepare(self._work.bundle.digest))
            answer = await self._expect((protocol.Missing, protocol.Prepared), PREPARE_TIMEOUT_S)
            if not isinstance(answer, protocol.Missing):
                break
            wanted = [blobs[digest] for digest in answer.digests if digest in blobs]
            if not wanted or len(pushed) > 2 * len(blobs):
                raise self._untrusted("the host does not accept the bundle that was pushed")
            await self._transport.push(wanted, f"{self._workspace}/incoming")
            pushed += [blob.size_bytes for blob in wanted]
        self._emit(events.BundlePushed(host=self.host.name, blobs=len(pushed), size_bytes=sum(pushed)))

    async def rehearse(self, spec: RenderSpec) -> None:
        """Finds out what the host returns; HostUnfit when it is to encode and makes other bytes than this machine."""
        rehearsal = self._work.rehearsal
        if rehearsal is None or (rehearsal.returns is Returns.AUTO and self.host.transport == "local"):
            return
        await self._bring({blob.sha256: blob for blob in rehearsal.stills}.values())
        stills = tuple(blob.sha256 for blob in rehearsal.stills)
        await self._channel.send(protocol.Rehearse(spec, rehearsal.argv, stills))
        reason = returns.misfit(rehearsal.here, await self._expect(protocol.Rehearsed, EXAMINE_TIMEOUT_S))
        if not reason:
            self._puller.set_returns(rehearsal.returns, "asked for")
        elif rehearsal.returns is Returns.SEGMENTS:
            raise HostUnfit(self.host.name, reason, remedy=returns.REMEDY)
        else:
            self._puller.set_returns(Returns.FRAMES, reason)

    async def examine(self, spec: RenderSpec, ranges: tuple[FrameRange, ...]) -> protocol.Examined | None:
        """Has the host compare a few frames; None when that came to nothing, which capturing will explain."""
        await self._bring_stills(ranges)
        await self._channel.send(protocol.Examine(spec, ranges))
        answer = await self._expect((protocol.Examined, protocol.Failed), EXAMINE_TIMEOUT_S)
        if isinstance(answer, protocol.Examined):
            return answer
        assert isinstance(answer, protocol.Failed)
        self._log.warning("examination: %s", sentences.clean(answer.fault.message))
        return None

    async def try_backends(
        self, spec: RenderSpec, backends: tuple[GlBackend, ...], frames: tuple[int, ...], limit_s: float
    ) -> tuple[protocol.Rendition, ...]:
        """How these backends draw these frames on this host; none when that came to nothing."""
        await self._bring_stills((FrameRange(0, frames[-1] + 1),) if spec.sequential else protocol.ranges_of(frames))
        await self._channel.send(protocol.TryGl(spec, backends, frames, limit_s))
        answer = await self._expect((protocol.GlTried, protocol.Failed), EXAMINE_TIMEOUT_S)
        if isinstance(answer, protocol.GlTried):
            return answer.renditions
        assert isinstance(answer, protocol.Failed)
        self._log.warning("GL backends: %s", sentences.clean(answer.fault.message))
        return ()

    async def draw_canaries(self, spec: RenderSpec, frames: tuple[int, ...]) -> tuple[protocol.FrameFile, ...] | None:
        """What these frames look like on this host; None when it cannot draw them, which capturing will explain."""
        await self._bring_stills((FrameRange(0, frames[-1] + 1),) if spec.sequential else protocol.ranges_of(frames))
        await self._channel.send(protocol.Canary(spec, frames))
        answer = await self._expect((protocol.Canaried, protocol.Failed), EXAMINE_TIMEOUT_S)
        if isinstance(answer, protocol.Canaried):
            if not answer.frames or tuple(frame.index for frame in answer.frames) != frames[: len(answer.frames)]:
                raise self._untrusted("it drew other canary frames than those it was asked for")
            return answer.frames
        assert isinstance(answer, protocol.Failed)
        self._log.warning("canary frames: %s", sentences.clean(answer.fault.message))
        return None

    async def serve(self, inbox: "asyncio.Queue[Order]", spec: RenderSpec) -> None:
        """Carries out orders until Finish; HostLost when the host goes away before."""
        self._is_listening = True
        try:
            async with asyncio.TaskGroup() as group:
                helpers = [
                    group.create_task(self._listen()),
                    group.create_task(self._ping()),
                    group.create_task(self._puller.run(self._transport, self._channel.send)),
                ]
                await self._obey(inbox, spec)
                for helper in helpers:
                    helper.cancel()
        except BaseExceptionGroup as group_error:
            raise cause_of(group_error) from group_error
        await self.say_goodbye()

    async def _obey(self, inbox: "asyncio.Queue[Order]", spec: RenderSpec) -> None:
        while not isinstance(order := await inbox.get(), orders.Finish):
            if isinstance(order, orders.Cancel):
                await self._channel.send(protocol.Cancel(order.chunk))
                continue
            if isinstance(order, orders.Encode):
                self._puller.offer(order)
                for wish in self._puller.wishes():
                    await self._channel.send(wish)
                continue
            if isinstance(order, orders.Trim):
                self._puller.ask(order)
                await self._channel.send(protocol.Trim(order.chunk, order.attempt, order.stop))
                continue
            seam = order.seam(self._work.plan.frames)
            await self._bring_stills(_visited(order, seam, is_sequential=spec.sequential))
            self._puller.expect(order, f"{self._workspace}/runs/{self._work.directory.name}/{order.chunk}")
            await self._channel.send(
                protocol.Capture(
                    chunk=order.chunk,
                    attempt=order.attempt,
                    frames=order.frames,
                    todo=order.todo,
                    spec=spec,
                    seam=seam,
                )
            )

    async def _bring_stills(self, frames: Sequence[FrameRange]) -> None:
        """Pushes the stills that these frames show and the host lacks."""
        wanted = [blob for blob in self._work.stills.needed(frames) if blob.sha256 not in self._brought]
        await self._bring(wanted)

    async def _bring(self, blobs: Iterable[Blob]) -> None:
        wanted = [*blobs]
        for start in range(0, len(wanted), protocol.DIGESTS_PER_MESSAGE):
            some = wanted[start : start + protocol.DIGESTS_PER_MESSAGE]
            missing = await self._lacked(some)
            if missing:
                await self._transport.push(missing, f"{self._workspace}/incoming")
                if await self._lacked(some):
                    raise self._untrusted("the host does not accept the stills that were pushed")
            self._brought.update(blob.sha256 for blob in some)

    async def _lacked(self, blobs: Sequence[Blob]) -> list[Blob]:
        self._is_missing_asked = True
        await self._channel.send(protocol.Offer(tuple(blob.sha256 for blob in blobs)))
        if self._is_listening:
            answer = await self._heard_missing()
        else:
            answer = await self._expect(protocol.Missing, PREPARE_TIMEOUT_S)
        return [blob for blob in blobs if blob.sha256 in answer.digests]

    async def _heard_missing(self) -> protocol.Missing:
        try:
            async with asyncio.timeout(PREPARE_TIMEOUT_S):
                return await self._missing.get()
        except TimeoutError:
            raise self._lost(f"no answer from the agent within {PREPARE_TIMEOUT_S:.0f} s") from None

    async def _listen(self) -> None:
        while True:
            message = await self._next(SILENCE_S)
            if isinstance(message, protocol.Failed) and not message.chunk:
                self._hear_aside(message)  # it cannot even take in what a chunk needs
            elif isinstance(message, AboutChunk):
                self._hear_of_chunk(message)
            elif isinstance(message, protocol.Loaded):
                self._hear_loaded(message)
            elif isinstance(message, protocol.Missing):
                if self._is_missing_asked:  # else nobody will take it out
                    self._is_missing_asked = False
                    self._missing.put_nowait(message)
            else:
                self._hear_aside(message)

    def _hear_of_chunk(self, message: AboutChunk) -> None:
        try:
            self._puller.hear(message)
        except protocol.ProtocolError as error:
            raise self._untrusted(str(error)) from error

    def _hear_loaded(self, message: protocol.Loaded) -> None:
        if message.warnings in self._loads:
            return
        self._loads.add(message.warnings)
        if len(self._loads) > LOADS_MAX:
            raise self._untrusted(f"its pages got ready in more than {LOADS_MAX} ways")
        self._emit(events.PageLoaded(self.host.name, message.warnings))

    async def _ping(self) -> None:
        while True:
            await self._send_ping()
            await asyncio.sleep(PING_S)

    async def _send_ping(self) -> None:
        self._pinged += 1
        await self._channel.send(protocol.Ping(self._pinged, asks_use=True))

    async def say_goodbye(self) -> None:
        """Lets the agent say what its cores did, and tidy up; hears it out."""
        try:
            async with asyncio.timeout(GOODBYE_TIMEOUT_S):
                await self._send_ping()
                await self._channel.send(protocol.Bye())
                async for message in self._messages:
                    self._hear_aside(message)
        except (TimeoutError, HostError) as error:
            self._log.warning("goodbye: %s", error)

    async def _expect(self, kind: type[T] | tuple[type[T], ...], timeout_s: float) -> T:
        try:
            async with asyncio.timeout(timeout_s):
                while not isinstance(message := await self._next(timeout_s), kind):
                    self._hear_aside(message)
                return message
        except TimeoutError:
            raise self._lost(f"no answer from the agent within {timeout_s:.0f} s") from None

    async def _next(self, timeout_s: float) -> FromAgent:
        try:
            async with asyncio.timeout(timeout_s):
                return await anext(self._messages)
        except StopAsyncIteration:
            raise self._lost("the agent ended") from None
        except TimeoutError:
            raise self._lost(f"the agent said nothing for {timeout_s:.0f} s") from None

    def _hear_aside(self, message: FromAgent) -> None:
        if isinstance(message, protocol.Denied):
            remedy = f"wait for that run with `--busy wait=10m`, or leave it out with `--limit '!{self.host.name}'`"
            raise HostBusy(self.host.name, f"is rendering for {message.owner}", remedy=remedy)
        if isinstance(message, protocol.Failed):
            remedy = f"look at the host: `fleetrender hosts check --limit {self.host.name}`"
            raise HostUnfit(self.host.name, message.fault.message, remedy=remedy)
        if isinstance(message, protocol.Stopping):
            raise self._lost(message.reason)
        if isinstance(message, protocol.Pong) and message.use and self._ponged < message.sequence <= self._pinged:
            self._ponged = message.sequence
            self._emit(events.CoresUsed(self.host.name, message.use))
        if isinstance(message, protocol.Note):
            if self._work.strict and is_of_picture(message):
                raise CompositionError(sentences.clean(message.text, NOTE_LENGTH), remedy=STRICT_REMEDY)
            if message.source == "page":
                self._work.page_notes.add(message.text)
            self._note(message)

    def _note(self, note: protocol.Note) -> None:
        self._notes += 1
        if self._notes == NOTES_MAX:
            self._log.warning("more than %d notes: those that follow are left out", NOTES_MAX)
        if self._notes < NOTES_MAX:
            level = _LEVELS.get(note.level.upper(), logging.INFO)
            self._log.log(level, "%s: %s", sentences.clean(note.source), sentences.clean(note.text, NOTE_LENGTH))

    def _untrusted(self, message: str) -> HostUntrusted:
        return HostUntrusted(self.host.name, f"the agent broke the protocol: {message}", remedy=UNTRUSTED_REMEDY)

    def _lost(self, message: str) -> HostLost:
        remedy = f"look at the host: `fleetrender hosts check --limit {self.host.name}`"
        return HostLost(self.host.name, message, remedy=remedy)


def _visited(order: orders.Capture, seam: int | None, *, is_sequential: bool) -> tuple[FrameRange, ...]:
    """The frames that a page goes through for an order."""
    if is_sequential:
        return (FrameRange(0, max(part.stop for part in order.todo)),)
    return order.todo if seam is None else (FrameRange(seam, seam + 1), *order.todo)
