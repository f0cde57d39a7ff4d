"""Every host is asked at once, and each answers, fails or stays silent without harm to the others."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn

import hosts_support
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture import protocol
from capture.faults import Fault, FaultCode
from fleet import errors, survey
from fleet.checks import Examined, Failure
from fleet.model import Host
from fleet.survey import clock_skew

KNOWN = hosts_support.examined("workstation")
assert KNOWN.facts is not None
assert KNOWN.browser is not None
FACTS = protocol.Facts(protocol.VERSION, KNOWN.facts)
PROBED = protocol.Probed(KNOWN.browser)
DEAD = errors.HostLost("h", "the agent ended", remedy="look there")

Answer = Callable[[protocol.ToAgent], protocol.FromAgent | Exception | None]


def healthy(order: protocol.ToAgent) -> protocol.FromAgent | Exception | None:
    match order:
        case protocol.Hello():
            return FACTS
        case protocol.Ping(sequence):
            return protocol.Pong(sequence)
        case protocol.Probe():
            return PROBED
        case _:
            return None


class Scripted:
    """A host whose agent answers by a function: silence and death cannot be had from a real one at will."""

    pull_age_s = 0.0

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.heard: list[protocol.ToAgent] = []
        self.is_open = False
        self._said: asyncio.Queue[protocol.FromAgent | Exception | None] = asyncio.Queue()

    async def send(self, message: protocol.ToAgent) -> None:
        self.heard.append(message)
        await self._said.put(protocol.Note("info", "agent", "something else"))
        if isinstance(message, protocol.Bye):
            await self._said.put(None)
        elif said := self.answer(message):
            await self._said.put(said)

    async def receive(self) -> AsyncIterator[protocol.FromAgent]:
        while (said := await self._said.get()) is not None:
            if isinstance(said, Exception):
                raise said
            yield said

    @asynccontextmanager
    async def start_agent(self) -> AsyncIterator["Scripted"]:
        self.is_open = True
        yield self
        self.is_open = False

    async def push(self, blobs: Any, directory: str) -> NoReturn:
        raise NotImplementedError

    async def pull(self, directory: str, names: Any, destination: Path, *, limit_bytes: int) -> NoReturn:
        raise NotImplementedError


def ask(answers: dict[str, Answer | errors.FleetError], answer_s: float = 5) -> dict[str, Examined]:
    @asynccontextmanager
    async def open_host(host: Host) -> AsyncIterator[Scripted]:
        answer = answers[host.name]
        if isinstance(answer, errors.FleetError):
            raise answer
        yield Scripted(answer)

    hosts = tuple(Host(name=name) for name in answers)
    found = asyncio.run(survey.ask(hosts, open_host, answer_s=answer_s))
    assert tuple(each.host for each in found) == hosts
    return {each.host.name: each for each in found}


def test_a_healthy_host_tells_its_facts_and_its_browser() -> None:
    found = ask({"a": healthy})["a"]
    assert (found.facts, found.browser) == (KNOWN.facts, KNOWN.browser)
    assert (found.failure, found.browser_failure) == (None, None)
    assert found.latency_s is not None
    assert 0 <= found.latency_s < 5


def test_asking_neither_takes_the_lock_nor_leaves_anything_behind() -> None:
    host = Scripted(healthy)

    @asynccontextmanager
    async def open_host(_: Host) -> AsyncIterator[Scripted]:
        yield host

    asyncio.run(survey.ask([Host(name="a", chromium="/opt/chromium", sandbox=False)], open_host))
    hello, *rest = host.heard
    assert isinstance(hello, protocol.Hello)
    assert (hello.chromium, hello.sandbox) == ("/opt/chromium", False)
    assert [type(order) for order in rest] == [*[protocol.Ping] * survey.PINGS, protocol.Probe, protocol.Bye]
    assert not host.is_open


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.HostUnreachable("a", "refused", remedy="r"), "unreachable"),
        (errors.HostKeyError("a", "refused", remedy="r"), "host-key"),
        (errors.HostAuthError("a", "refused", remedy="r"), "login"),
        (errors.HostUnfit("a", "refused", remedy="r"), "unfit"),
        (errors.ConfigError("refused", remedy="r"), "configuration"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_host_that_cannot_be_reached_says_why_and_the_others_are_heard(error: errors.FleetError, code: str) -> None:
    found = ask({"a": error, "b": healthy})
    assert found["a"] == Examined(host=Host(name="a"), failure=Failure(code, "refused", "r"))
    assert found["b"].browser == KNOWN.browser


def test_a_silent_host_costs_its_time_and_nothing_else() -> None:
    found = ask({"silent": lambda _: None, "b": healthy}, answer_s=0.3)
    why = found["silent"].failure
    assert why is not None
    assert (why.code, why.message) == ("silent", "no answer to hello within 0.3 s")
    assert found["b"].failure is None


def test_what_a_host_said_before_it_died_is_kept() -> None:
    found = ask({"a": lambda order: DEAD if isinstance(order, protocol.Probe) else healthy(order)})["a"]
    assert found.facts == KNOWN.facts
    assert found.failure is None
    assert found.browser_failure == Failure("lost", "h: the agent ended", "look there")


def test_a_browser_that_hangs_is_a_finding_of_its_own() -> None:
    found = ask({"a": lambda order: None if isinstance(order, protocol.Probe) else healthy(order)}, answer_s=0.3)["a"]
    assert found.facts == KNOWN.facts
    assert found.browser_failure is not None
    assert found.browser_failure.message == "no answer to a probe of its browser within 0.3 s"


def test_a_browser_that_fails_says_why() -> None:
    fault = Fault(code=FaultCode.BROWSER_LAUNCH, message="libnss3.so is missing")
    failed = protocol.Failed("", 0, fault)
    found = ask({"a": lambda order: failed if isinstance(order, protocol.Probe) else healthy(order)})["a"]
    assert found.browser_failure is not None
    assert (found.browser_failure.code, found.browser_failure.message) == ("browser", "libnss3.so is missing")


def test_a_host_without_a_browser_is_not_asked_for_a_probe() -> None:
    without = hosts_support.examined("fresh-ubuntu").facts
    assert without is not None
    bare = protocol.Facts(protocol.VERSION, without)

    def answer(order: protocol.ToAgent) -> protocol.FromAgent | Exception | None:
        assert not isinstance(order, protocol.Probe)
        return bare if isinstance(order, protocol.Hello) else healthy(order)

    found = ask({"a": answer})["a"]
    assert found.facts == bare.facts
    assert found.browser_failure is None


@given(st.floats(0, 1e9), st.floats(-1e6, 1e6), st.floats(0, 10), st.floats(0, 10))
def test_skew_is_never_more_than_what_the_clocks_prove(
    sent_s: float, off_s: float, way_s: float, back_s: float
) -> None:
    told_s, received_s = sent_s + way_s + off_s, sent_s + way_s + back_s
    skew_s = clock_skew(sent_s, told_s, received_s)
    assert abs(skew_s) <= abs(off_s) + 1e-5
    assert abs(skew_s - off_s) <= way_s + back_s + 1e-5
