"""Carries orders out and events in: one queue, one owner, no locks.

Each host is one task that only puts events; the loop in `run` is the only one that asks the schedule, and the only
one that tells hosts what to do.
"""

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Awaitable, Callable, Sequence

from capture.protocol import PAGE_LIMIT_S, FrameRange, GlBackend, RenderSpec, Rendition
from fleet import draining, events, muster, orders, parity, renditions, resume, returns, stepping, verdict
from fleet import plan as planning
from fleet.backends import Backends
from fleet.canary import Canaries
from fleet.errors import (
    FleetError,
    FleetLost,
    HostBusy,
    HostError,
    HostLost,
    HostUnfit,
    HostUnreachable,
    HostUntrusted,
    LockHeld,
    TemporaryError,
)
from fleet.halt import Halt
from fleet.link import Link, Order
from fleet.model import Host
from fleet.muster import Choice, Mustered
from fleet.rundir import EventLog
from fleet.schedule import Schedule
from fleet.transports.base import Dialer
from fleet.work import Work

# A blip of the network is worth waiting for; a host that is away longer has lost its frames to others by then.
RECONNECT_DELAYS_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)

# What can pass by itself in a host that took part: its network, its sshd, its old agent that is still dying.
PASSING = (HostLost, HostUnreachable, HostBusy)
# The schedule sees time pass even when nothing happens: a chunk that has become too slow is moved.
TICK_S = 1.0


# A host that answers later than this after the first one joins when it is there, if it fits what was chosen by then.
LATE_S = 30.0


class Dispatch:
    """One run's hosts and their orders. `run()` returns when every frame is verified, or raises why it cannot be."""

    def __init__(
        self,
        work: Work,
        hosts: Sequence[Host],
        *,
        dialer: Dialer,
        log: EventLog,
        schedule: Schedule,
        on_verified: Callable[[events.FramesVerified, FrameRange], None],
        on_retracted: Callable[[events.FramesRetracted], None] = lambda _: None,
        settled: Callable[[], Sequence[events.StillsDropped]] = tuple,
        on_dropped: Callable[[events.StillsDropped], None] = lambda _: None,
        history: Sequence[events.Record] = (),
        halt: Halt | None = None,
    ) -> None:
        self._work = work
        self._halt = halt or Halt()
        self._hosts = hosts
        self._dialer = dialer
        self._log = log
        self._schedule = schedule
        self._on_verified = on_verified
        self._on_retracted = on_retracted
        self._settled = settled
        self._on_dropped = on_dropped
        self._events: asyncio.Queue[tuple[events.Event, ...]] = asyncio.Queue()
        self._inboxes: dict[str, asyncio.Queue[Order]] = {}
        self._chunks: dict[str, FrameRange] = {}
        self._serving: set[str] = set()
        self._looked_s = 0.0
        self._released: set[str] = set()  # drained: they go before the end
        self._roll = Roll(hosts, scale=work.plan.scale, allow_mixed=work.allow_mixed)
        self._stepping = stepping.Stepping(
            resume.fixed_stepping(history, declared=work.plan.sequential),
            has_hints=work.may_keep_state and work.plan.frame_count > 1,
            emit=self._put,
        )
        self._canaries = Canaries(resume.fixed_pixels(history), emit=self._put, allow_mixed=work.allow_mixed)
        self._backends = Backends(resume.fixed_backend(history), emit=self._put)
        self._loaded = resume.first_page(history)

    async def run(self, required_browser: str | None = None) -> None:
        """Musters the hosts, fixes the mode, then turns events into orders until the schedule says that all is done."""
        async with asyncio.TaskGroup() as group:
            attending = {host.name: group.create_task(self._attend(host)) for host in self._hosts}
            choice = await self._roll.call(required_browser)
            self._put(events.ModeFixed(choice.mode, choice.browser, choice.why))
            with self._halt.heard_by(lambda: self._put(events.RunDraining())):
                while not self._obey(await self._next_orders()):
                    pass
            if self._halt.is_asked:  # too late for the schedule, and no segment is begun any more
                raise verdict.halted("every frame is kept")
            for refused in self._canaries.suspected():
                self._log.emit(refused)
            for name, task in attending.items():
                if name not in self._serving:  # dialling again, or still fetching the bundle: nothing is left to do
                    task.cancel()

    async def _next_orders(self) -> Sequence[orders.Order]:
        batch: tuple[events.Event, ...] = ()
        with contextlib.suppress(TimeoutError):
            due_s = self._schedule.due_s - self._log.now_s()
            async with asyncio.timeout(min(TICK_S, max(0.0, due_s))):
                batch = await self._events.get()
        batch += self._wishes()
        heard = [*self._settled(), *(event for event in batch if self._may_count(event))]
        for event in heard:
            self._log.emit(event)
            if isinstance(event, events.PageLoaded):
                self._compare(event)
        given = self._schedule.handle(*heard, now_s=self._log.now_s())
        for order in given:
            if isinstance(order, orders.Say) and isinstance(order.event, events.FramesRetracted):
                self._on_retracted(order.event)
        for event in heard:
            if isinstance(event, events.FramesVerified):
                self._on_verified(self._schedule.kept(event), self._chunks[event.chunk])
            elif isinstance(event, events.StillsDropped):  # the schedule knows by now, and so does the log
                self._on_dropped(event)
        return given

    def _may_count(self, event: events.Event) -> bool:
        """What comes late from a host that is not believed any more never was."""
        return not isinstance(event, events.FramesVerified) or self._schedule.believes(event.host)

    def _wishes(self) -> tuple[events.HostDraining, ...]:
        """What users asked of this run from elsewhere, looked for once a second."""
        if self._log.now_s() - self._looked_s < TICK_S:
            return ()
        self._looked_s = self._log.now_s()
        names = draining.taken(self._work.directory.path, [host.name for host in self._hosts])
        return tuple(events.HostDraining(name) for name in names)

    def _compare(self, loaded: events.PageLoaded) -> None:
        self._loaded = self._loaded or loaded
        if error := verdict.unlike(self._loaded, loaded):
            raise error

    def _obey(self, given: Sequence[orders.Order]) -> bool:
        """Hands orders to their hosts; True when the last one has been given."""
        for order in given:
            if isinstance(order, orders.GiveUp):
                raise order.error
            if isinstance(order, orders.Release):
                self._released.add(order.host)
                self._inboxes[order.host].put_nowait(orders.Finish())
                continue
            if isinstance(order, orders.Say):
                self._log.emit(order.event)
                continue
            if isinstance(order, orders.Finish):
                for queue in self._inboxes.values():
                    queue.put_nowait(order)
                return True
            if isinstance(order, orders.Capture):
                self._chunks[order.chunk] = order.frames
                self._log.emit(
                    events.ChunkOrdered(
                        chunk=order.chunk,
                        host=order.host,
                        attempt=order.attempt,
                        frames=order.frames,
                        todo=order.todo,
                        twin=order.twin,
                    )
                )
            self._inboxes[order.host].put_nowait(order)
            if isinstance(order, orders.Capture):
                self._offer(order)
        return False

    def _offer(self, order: orders.Capture) -> None:
        """Tells a host what it may encode of an order: nothing that others have, or are about, too."""
        if self._work.rehearsal is None or order.twin is not None:
            return
        found = returns.segments(self._work.plan.segments, order.todo, self._schedule.verified)
        offer = orders.Encode(host=order.host, chunk=order.chunk, attempt=order.attempt, segments=found)
        self._inboxes[order.host].put_nowait(offer)

    async def _attend(self, host: Host) -> None:
        """One host from dial to goodbye, reconnects included. Its failures are events; `--busy fail` alone raises."""
        with self._work.directory.host_log(host.name) as log:
            await self._keep_serving(host, log)

    async def _keep_serving(self, host: Host, log: logging.Logger) -> None:
        delays = iter(RECONNECT_DELAYS_S)
        while True:
            try:
                await self._serve_once(host, log)
            except HostError as error:
                log.warning("%s", error)
                if isinstance(error, HostBusy) and self._work.busy.is_fatal and not self._roll.is_present(host):
                    raise LockHeld(str(error), remedy="wait for that run, or use `--busy wait=10m`") from error
                is_worth_it = self._roll.is_present(host) and isinstance(error, PASSING)
                delay_s = next(delays, None) if is_worth_it else None
                self._report(host, error, is_expected_back=delay_s is not None)
                if delay_s is None:
                    return
                await asyncio.sleep(delay_s)
            else:
                if host.name in self._released:
                    self._put(events.HostDraining(host.name, is_over=True))
                return

    def _report(self, host: Host, error: HostError, *, is_expected_back: bool) -> None:
        if not is_expected_back:
            self._roll.refuse(host, error)
            self._backends.leave(host.name)
            self._canaries.leave(host.name)
        if isinstance(error, PASSING) and self._roll.is_present(host):
            self._put(events.HostLost(host.name, str(error), is_expected_back=is_expected_back))
        else:
            is_liar = isinstance(error, HostUntrusted)
            self._put(events.HostRefused(host.name, str(error), error.remedy, is_liar))

    async def _serve_once(self, host: Host, log: logging.Logger) -> None:
        async with self._dialer.open(host) as transport, transport.start_agent() as channel:
            link = Link(host, self._work, transport=transport, channel=channel, emit=self._put, log=log)
            mustered = await link.muster()
            inbox: asyncio.Queue[Order] = asyncio.Queue()
            self._inboxes[host.name] = inbox
            choice = await self._roll.answer(mustered)
            self._backends.consider(renditions.candidates(self._hosts, self._gl_frames_per_core(choice)))
            spec = planning.spec(self._work.plan, choice.mode)
            if gl := self._backends.fixed:  # else browsers would only be in the way of those that are tried
                warmed = dataclasses.replace(spec, gl=gl)
                await link.warm(warmed, max(1, len(self._work.plan.frames) // max(1, len(choice.accepted))))
            await link.bring_bundle()
            await link.rehearse(spec)
            samples = stepping.samples(spec.frame_count)
            is_sequential = await self._stepping.decide(host.name, lambda: link.examine(spec, samples))
            spec = dataclasses.replace(spec, sequential=is_sequential)
            spec = dataclasses.replace(spec, gl=await self._backend(link, choice, spec))
            factor = await self._speed_factor(link, mustered, choice, spec)
            self._put(_ready(mustered, factor, self._canaries.pixels(host.name)))
            self._serving.add(host.name)
            try:
                await link.serve(inbox, spec)
            finally:
                self._serving.discard(host.name)

    async def _backend(self, link: Link, choice: Choice, spec: RenderSpec) -> GlBackend:
        """What draws WebGL, here as on every host."""
        self._backends.expect(mustered.host.name for mustered in choice.accepted)
        frames = renditions.samples(self._work.gl_frames, self._work.plan.frames)

        def attempt(wanted: tuple[GlBackend, ...]) -> Awaitable[Sequence[Rendition]]:
            # A host that must draw as others do is left out if it cannot: that is worth any time.
            is_open = self._backends.fixed is None
            limit_s = renditions.limit_s(self._gl_frames_per_core(choice)) if is_open else PAGE_LIMIT_S
            return link.try_backends(spec, wanted, frames, limit_s)

        return await self._backends.decide(link.host.name, attempt)

    def _gl_frames_per_core(self, choice: Choice) -> float:
        cores = sum(mustered.facts.cores for mustered in choice.accepted)
        return renditions.per_core(self._hosts, self._work.gl_frames, self._work.plan.frames, cores)

    async def _speed_factor(self, link: Link, mustered: Mustered, choice: Choice, spec: RenderSpec) -> float:
        """How fast the host draws beside the others; HostUnfit when it draws other pixels. One host alone is right."""
        known = self._canaries.known
        if known is None and self._roll.is_alone(choice):
            return 1.0
        self._canaries.expect(choice.accepted)
        if known is not None:
            frames = tuple(frame.index for frame in known.frames)
        else:
            frames = parity.canaries(self._work.plan.frames, self._schedule.curve, sequential=spec.sequential)
        return await self._canaries.judge(mustered, lambda: link.draw_canaries(spec, frames))

    def _put(self, *batch: events.Event) -> None:
        is_early = not self._roll.is_called and all(isinstance(event, events.Warned) for event in batch)
        if is_early or all(isinstance(event, events.CoresUsed) for event in batch):
            # Nobody takes from the queue before all hosts have answered, and what one waits for is told while it waits;
            # nor after the last frame, when hosts say for the last time what their cores did.
            for event in batch:
                self._log.emit(event)
            return
        self._events.put_nowait(batch)


class Roll:
    """Who answered. The choice of hosts and mode is made once, when every host has answered or failed."""

    def __init__(self, hosts: Sequence[Host], *, scale: int, allow_mixed: bool = False) -> None:
        self._scale = scale
        self._allow_mixed = allow_mixed
        self._awaited = {host.name for host in hosts}
        self._present: dict[str, Mustered] = {}
        self._refused: dict[str, HostError] = {}
        self._complete = asyncio.Event()
        self._patience: asyncio.Timeout | None = None  # how long the others may still take
        self._is_patient = False
        self._choice: asyncio.Future[Choice] = asyncio.get_running_loop().create_future()

    @property
    def is_called(self) -> bool:
        """Whether the choice has been made: hosts that come now come back, or come late."""
        return self._choice.done()

    def is_present(self, host: Host) -> bool:
        """Whether the host took part in this run."""
        return host.name in self._present

    def is_alone(self, choice: Choice) -> bool:
        """Whether one host renders, and no other one may come."""
        return len(choice.accepted) == 1 and not self._awaited

    async def call(self, required_browser: str | None) -> Choice:
        """Waits for every host, for LATE_S once one is there; then chooses.

        FleetLost when none can render, with each one's reason.
        """
        if self._awaited:
            with contextlib.suppress(TimeoutError):
                # A run that began with some browser takes no other: it waits for whoever may have it.
                async with asyncio.timeout(None) as self._patience:
                    self._is_patient = required_browser is not None
                    await self._complete.wait()
            self._patience = None  # a host that comes back answers once more
        if not self._present:
            raise self._nobody()
        choice = muster.choose(
            tuple(self._present.values()), required_browser, scale=self._scale, allow_mixed=self._allow_mixed
        )
        if not choice.accepted:
            raise FleetLost(
                f"this run began with {required_browser}, which no host has any more",
                remedy="start again without `--resume`",
            )
        self._choice.set_result(choice)
        return choice

    async def answer(self, mustered: Mustered) -> Choice:
        """A host is here. Returns when the choice is made; HostUnfit when it was not chosen."""
        name = mustered.host.name
        self._present[name] = mustered
        if len(self._present) == 1 and self._patience is not None and not self._is_patient:
            self._patience.reschedule(asyncio.get_running_loop().time() + LATE_S)
        self._settle(name)
        choice = await asyncio.shield(self._choice)
        if reason := muster.misfit(mustered, choice, allow_mixed=self._allow_mixed):
            raise HostUnfit(name, reason, remedy="install the same Chromium on every host: `fleetrender hosts setup`")
        return choice

    def refuse(self, host: Host, error: HostError) -> None:
        """A host will not come."""
        if not self.is_called:
            self._present.pop(host.name, None)
        self._refused[host.name] = error
        self._settle(host.name)

    def _settle(self, name: str) -> None:
        self._awaited.discard(name)
        if not self._awaited:
            self._complete.set()

    def _nobody(self) -> FleetError:
        errors = list(self._refused.values())
        if len(errors) == 1:
            message, remedy = str(errors[0]), errors[0].remedy
        else:
            message = "no usable host:\n" + "\n".join(f"  {error}" for error in errors)
            remedy = "`fleetrender hosts check` says what each host lacks"
        if all(isinstance(error, HostUnreachable) for error in errors):
            return TemporaryError(message, remedy=remedy)
        return FleetLost(message, remedy=remedy)


def _ready(mustered: Mustered, speed_factor: float, pixels: str) -> events.HostReady:
    return events.HostReady(
        host=mustered.host.name,
        capacity=mustered.capacity * speed_factor,
        cores=mustered.facts.cores,
        browser=mustered.browser.version,
        gl_renderer=mustered.browser.gl_renderer,
        traits=parity.traits(mustered),
        pixels=pixels,
    )
