"""TCP connections with our own name lookups: a resolver that hangs for minutes holds up one host, not the exit."""

import asyncio
import ipaddress
import socket
import threading
from typing import Any

Endpoint = tuple[socket.AddressFamily, Any]


async def connect(address: str, port: int, timeout_s: float) -> socket.socket:
    """A connected, non-blocking socket to the first address that answers; OSError or TimeoutError of the last one."""
    endpoints = await resolve(address, port)
    failure: OSError = OSError("no address")
    for family, endpoint in endpoints:
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            async with asyncio.timeout(timeout_s / len(endpoints)):
                await asyncio.get_running_loop().sock_connect(sock, endpoint)
        except OSError as error:  # TimeoutError included
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


async def resolve(address: str, port: int) -> list[Endpoint]:
    """Addresses to try, in order; a literal address needs no resolver."""
    literal = _literal(address, port)
    if literal is not None:
        return [literal]
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[Endpoint]] = loop.create_future()

    def settle(found: list[Endpoint], error: OSError | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(found)

    def ask() -> None:
        found: list[Endpoint] = []
        failure = None
        try:
            answers = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)
            found = [(family, endpoint) for family, _, _, _, endpoint in answers]
        except OSError as error:
            failure = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, found, failure)

    # A daemon thread per lookup: the threads of a pool are joined at exit, however long they hang.
    threading.Thread(target=ask, name=f"resolve {address}", daemon=True).start()
    return await answer


def _literal(address: str, port: int) -> Endpoint | None:
    try:
        version = ipaddress.ip_address(address).version
    except ValueError:
        return None
    return (socket.AF_INET if version == 4 else socket.AF_INET6, (address, port))
