"""Asks hosts what they are and what their browser can do, all at once and each within its time.

Takes no render lock and starts no run: a host that is rendering answers as well. Judging is for `checks.py`.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from capture import protocol
from capture.protocol import FromAgent
from fleet import errors
from fleet.checks import Examined, Failure
from fleet.model import Host
from fleet.transports.base import Channel, Transport

Opener = Callable[[Host], AbstractAsyncContextManager[Transport]]

ANSWER_S = 20.0  # a person waits for it; the slowest part of an honest answer, the browser's first start, takes 2 s
GOODBYE_S = 2.0
LEASE_S = 45.0
PINGS = 3  # the fastest counts: the others met something else that the host was doing
HOSTS_AT_ONCE = 64  # beyond this, handshakes only make each other slower

_CODES: tuple[tuple[type[errors.FleetError], str], ...] = (
    (errors.HostUnreachable, "unreachable"),
    (errors.HostKeyError, "host-key"),
    (errors.HostAuthError, "login"),
    (errors.HostUnfit, "unfit"),
    (errors.HostBusy, "busy"),
    (errors.HostLost, "lost"),
    (errors.HostUntrusted, "untrusted"),
    (errors.ConfigError, "configuration"),
)


async def ask(hosts: Iterable[Host], open_host: Opener, *, answer_s: float = ANSWER_S) -> tuple[Examined, ...]:
    """What each host says, in the order given; a host that fails is a value like the others."""
    turn = asyncio.Semaphore(HOSTS_AT_ONCE)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_ask(host, open_host, turn, answer_s)) for host in hosts]
    return tuple(task.result() for task in tasks)


def failure(host: Host, error: errors.FleetError) -> Failure:
    """`error` as something that is known of `host`."""
    code = next((code for kind, code in _CODES if isinstance(error, kind)), "failed")
    return Failure(code, str(error).removeprefix(f"{host.name}: "), error.remedy)


async def _ask(host: Host, open_host: Opener, turn: asyncio.Semaphore, answer_s: float) -> Examined:
    talk = _Talk(host)
    try:
        # The time begins when it is this host's turn: waiting for others is not its fault.
        async with turn, asyncio.timeout(answer_s), open_host(host) as transport, transport.start_agent() as channel:
            await talk.run(channel)
    except TimeoutError:
        return talk.without(Failure("silent", f"no answer to {talk.asked} within {answer_s:g} s", _remedy(talk)))
    except errors.FleetError as error:
        return talk.without(failure(host, error))
    return talk.found


class _Talk:
    """One conversation with one agent; `found` holds what is known so far, whatever happens next."""

    def __init__(self, host: Host) -> None:
        self.found = Examined(host=host)
        self.asked = "the connection"

    async def run(self, channel: Channel) -> None:
        answers = channel.receive()
        await self._greet(channel, answers)
        await self._time(channel, answers)
        await self._probe(channel, answers)
        await _leave(channel, answers)

    def without(self, why: Failure) -> Examined:
        """What is known when the conversation ends early."""
        if self.found.facts is None:
            return replace(self.found, failure=why)
        if self.found.browser is None and self.found.browser_failure is None:
            return replace(self.found, browser_failure=why)
        return self.found

    async def _greet(self, channel: Channel, answers: AsyncIterator[FromAgent]) -> None:
        self.asked = "hello"
        host = self.found.host
        hello = protocol.Hello(
            version=protocol.VERSION,
            run=f"check-{secrets.token_hex(4)}",
            lease_s=LEASE_S,
            limits=host.limits,
            chromium=host.chromium,
            chromium_args=host.chromium_args,
            sandbox=host.sandbox,
        )
        sent_s = time.time()
        await channel.send(hello)
        async for message in answers:
            if isinstance(message, protocol.Note) and message.source == "shell":
                self.found = replace(self.found, noise=message.text)
            if isinstance(message, protocol.Facts):
                skew_s = clock_skew(sent_s, message.facts.unix_time_s, time.time())
                self.found = replace(self.found, facts=message.facts, clock_skew_s=skew_s)
                return

    async def _time(self, channel: Channel, answers: AsyncIterator[FromAgent]) -> None:
        self.asked = "a ping"
        for sequence in range(PINGS):
            sent_s = time.monotonic()
            await channel.send(protocol.Ping(sequence))
            async for message in answers:
                if message == protocol.Pong(sequence):
                    fastest_s = min(self.found.latency_s or float("inf"), time.monotonic() - sent_s)
                    self.found = replace(self.found, latency_s=fastest_s)
                    break

    async def _probe(self, channel: Channel, answers: AsyncIterator[FromAgent]) -> None:
        chromium = self.found.facts.chromium if self.found.facts else None
        if chromium is None:
            return
        self.asked = "a probe of its browser"
        await channel.send(protocol.Probe(is_fresh=True))
        async for message in answers:
            match message:
                case protocol.Probed(browser):
                    self.found = replace(self.found, browser=browser)
                    return
                case protocol.Failed(_, _, fault):
                    remedy = f"run it there: {chromium} --headless --dump-dom about:blank"
                    self.found = replace(self.found, browser_failure=Failure("browser", fault.message, remedy))
                    return
                case _:
                    pass


def clock_skew(sent_s: float, told_s: float, received_s: float) -> float:
    """How far a clock that showed `told_s` some time between two of ours must at least be off; positive is ahead."""
    if told_s > received_s:
        return told_s - received_s
    return min(0.0, told_s - sent_s)


async def _leave(channel: Channel, answers: AsyncIterator[FromAgent]) -> None:
    """Lets the agent tidy up; what it says by now no longer matters."""
    try:
        async with asyncio.timeout(GOODBYE_S):
            await channel.send(protocol.Bye())
            async for _ in answers:
                pass
    except (TimeoutError, errors.HostError):
        return


def _remedy(talk: _Talk) -> str:
    host = talk.found.host
    if talk.found.facts is None:
        return "see whether it is overloaded: `uptime` there"
    return f"run it there: {talk.found.facts.chromium} --version; `uptime` tells whether {host.name} is overloaded"
