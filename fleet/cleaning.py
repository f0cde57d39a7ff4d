"""Has hosts delete what nobody uses any more. A host that renders is left alone, and says for whom."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence

from capture import protocol
from capture.protocol import FromAgent
from fleet import errors
from fleet.errors import FleetError, HostBusy, HostLost, HostUnfit
from fleet.model import Host
from fleet.transports.base import Channel, Dialer

ANSWER_S = 120.0  # a few hundred thousand files on a slow disk
LEASE_S = 150.0  # nothing is said meanwhile
HOSTS_AT_ONCE = 64


async def run(hosts: Sequence[Host], dialer: Dialer, order: protocol.Clean) -> list[protocol.Cleaned | FleetError]:
    """What became of each host, in the order given; a host that fails is a value like the others."""
    turn = asyncio.Semaphore(HOSTS_AT_ONCE)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_clean(host, dialer, order, turn)) for host in hosts]
    return [task.result() for task in tasks]


async def _clean(
    host: Host, dialer: Dialer, order: protocol.Clean, turn: asyncio.Semaphore
) -> protocol.Cleaned | FleetError:
    try:
        async with turn, asyncio.timeout(ANSWER_S), dialer.open(host) as transport, transport.start_agent() as channel:
            return await _ask(host, channel, order)
    except TimeoutError:
        return HostLost(host.name, f"no answer within {ANSWER_S:g} s", remedy="look at its disk")
    except errors.FleetError as error:
        return error


async def _ask(host: Host, channel: Channel, order: protocol.Clean) -> protocol.Cleaned:
    answers: AsyncIterator[FromAgent] = channel.receive()
    hello = protocol.Hello(
        version=protocol.VERSION, run=f"clean-{secrets.token_hex(4)}", lease_s=LEASE_S, limits=host.limits
    )
    await channel.send(hello)
    await channel.send(order)
    async for message in answers:
        match message:
            case protocol.Cleaned():
                await channel.send(protocol.Bye())
                return message
            case protocol.Denied(owner):
                raise HostBusy(host.name, f"is rendering for {owner}", remedy="clean it when that run has ended")
            case protocol.Failed(_, _, fault):
                raise HostUnfit(host.name, fault.message, remedy="look at the work directory there")
            case _:
                pass
    raise HostLost(host.name, "the agent ended", remedy="try again")
