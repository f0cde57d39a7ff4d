"""One decision for all hosts: what draws WebGL. Every host tries what is worth it before the first chunk.

The decision itself is `renditions.choose`; here is who is waited for, and for how long.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence

from capture.protocol import GlBackend, Rendition
from fleet import events, renditions
from fleet.errors import HostUnfit

# How long a host waits for others that have yet to try; together with its own try it is less than a lease.
PATIENCE_S = 10.0
REMEDY = "leave it out, or render with `--gl swiftshader`"

Try = Callable[[tuple[GlBackend, ...]], Awaitable[Sequence[Rendition]]]


class Backends:
    """Fixed as soon as every host that is awaited has tried, or patience is over."""

    def __init__(self, known: events.BackendFixed | None, *, emit: Callable[[events.Event], None]) -> None:
        """`known` is what an earlier run of the same plan has fixed."""
        self._candidates: tuple[GlBackend, ...] = ()
        self._emit = emit
        self._awaited: set[str] = set()
        self._tried: dict[str, Sequence[Rendition]] = {}
        # The decision, once there is one.
        self.fixed = known.gl if known else None
        self._is_fixed = asyncio.Event()

    def consider(self, candidates: tuple[GlBackend, ...]) -> None:
        """What is worth a try, in view of the hosts that are there; the same for all of them."""
        self._candidates = candidates
        if not candidates and self.fixed is None:
            self.fixed = GlBackend.SWIFTSHADER

    def expect(self, hosts: Iterable[str]) -> None:
        """These hosts are to have their say."""
        self._awaited |= set(hosts)

    def leave(self, host: str) -> None:
        """The host will not come."""
        self._awaited.discard(host)
        self._settle()

    async def decide(self, host: str, attempt: Try) -> GlBackend:
        """What this host draws with, as all others do; HostUnfit when it comes late and cannot."""
        if self.fixed is None and host not in self._tried:
            self._tried[host] = await attempt(self._candidates)
            self._settle()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_S):
                    await self._is_fixed.wait()
        backend = self.fixed or self._fix()
        if backend is not GlBackend.SWIFTSHADER:
            await self._prove(host, backend, attempt)
        return backend

    def _settle(self) -> None:
        if self.fixed is None and self._tried and self._awaited <= self._tried.keys():
            self._fix()

    def _fix(self) -> GlBackend:
        self.fixed, why = renditions.choose(self._tried, self._candidates)
        self._emit(events.BackendFixed(self.fixed, why))
        self._is_fixed.set()
        return self.fixed

    async def _prove(self, host: str, backend: GlBackend, attempt: Try) -> None:
        """A host that was not there when the backend was fixed has to draw with it as well as the others do."""
        if host not in self._tried:
            self._tried[host] = await attempt((backend,))
        chosen, why = renditions.choose({host: self._tried[host]}, (backend,))
        if chosen is not backend:
            raise HostUnfit(host, f"cannot draw with {backend.value}, as this render does: {why}", remedy=REMEDY)
