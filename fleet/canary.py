"""One decision for all hosts: how this composition's canary frames look. Hosts that draw them otherwise do not render.

A composition that never looks the same twice is found out, too, and is nobody's fault: who is about to be left out
draws once more, and what differs from its own first try counts for nothing.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable

from capture.protocol import FrameFile
from fleet import events, parity
from fleet.errors import HostUnfit
from fleet.muster import Mustered
from fleet.parity import Drawn, PixelClass

# How long a host waits for others that may yet outvote it: a push over a slow link may take much longer.
PATIENCE_S = 20.0
REMEDY = "make it like the others: `fleetrender hosts setup`; `fleetrender hosts check --parity` compares all hosts"

Draw = Callable[[], Awaitable[tuple[FrameFile, ...] | None]]


class Canaries:
    """The class that renders is fixed as soon as no other one can have more capacity, or patience is over."""

    def __init__(
        self, known: events.PixelsFixed | None, *, emit: Callable[[events.Event], None], allow_mixed: bool = False
    ) -> None:
        """`known` is what an earlier run of the same plan has fixed; with `allow_mixed` nobody is left out."""
        self._allow_mixed = allow_mixed
        self._others: dict[str, str] = {}  # class by host
        self._suspects: dict[str, str] = {}  # what is wrong, by host
        self._pixels = known
        self._emit = emit
        self._drawn: dict[str, Drawn] = {}
        self._awaited: dict[str, float] = {}  # capacity by host
        self._passed: dict[str, float] = {}  # speed factor by host
        self._fixed = asyncio.Event()
        if known is not None:
            self._fixed.set()

    @property
    def known(self) -> events.PixelsFixed | None:
        """How the frames look, once that is fixed."""
        return self._pixels

    def pixels(self, host: str) -> str:
        """A name of the host's class, equal for all whose canary frames are; empty for the one that renders."""
        return self._others.get(host, "")

    def suspected(self) -> list[events.HostRefused]:
        """Hosts that differ and are just drawing once more: for a run that ends before they have."""
        told = {} if self._allow_mixed else self._suspects
        return [events.HostRefused(host, f"{host}: {text}", REMEDY) for host, text in told.items()]

    def expect(self, hosts: Iterable[Mustered]) -> None:
        """These hosts may have a say."""
        for mustered in hosts:
            self._awaited.setdefault(mustered.host.name, mustered.capacity)

    def leave(self, host: str) -> None:
        """The host will not come, or cannot tell."""
        self._awaited[host] = 0.0
        self._settle()

    async def judge(self, mustered: Mustered, draw: Draw) -> float:
        """Has the host draw, and waits for the decision; how fast it was beside the others, for who may render.

        HostUnfit for who draws other pixels. A host that has passed once is not asked again.
        """
        name = mustered.host.name
        if name in self._passed:
            return self._passed[name]
        drawn = await draw()
        if drawn is None:
            self._emit(events.Warned(name, "it drew no canary frames: whether its pixels are the others' is not known"))
            self.leave(name)
            return self._pass(name, 1.0)
        self._drawn[name] = Drawn(mustered, drawn)
        self._settle()
        pixels = await self._decided()
        if suspects := parity.differing(pixels.frames, drawn):
            await self._excuse(mustered, drawn, suspects, draw)
        return self._pass(name, parity.speed_factor(pixels.frames, drawn))

    def _pass(self, name: str, factor: float) -> float:
        return self._passed.setdefault(name, factor)

    async def _decided(self) -> events.PixelsFixed:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                await self._fixed.wait()
        return self._pixels or self._fix(parity.classes(self._drawn.values()))

    def _settle(self) -> None:
        if self._pixels is not None or not self._drawn:
            return
        found = parity.classes(self._drawn.values())
        unheard = sum(capacity for name, capacity in self._awaited.items() if name not in self._drawn)
        rival = found[1].capacity if len(found) > 1 else 0.0
        if not unheard or found[0].capacity > rival + unheard:
            self._fix(found)

    def _fix(self, found: tuple[PixelClass, ...]) -> events.PixelsFixed:
        winner = found[0]
        self._pixels = events.PixelsFixed(
            frames=winner.frames,
            hosts=tuple(member.mustered.host.name for member in winner.members),
            classes=len(found),
            traits=parity.traits(winner.members[0].mustered),
        )
        self._emit(self._pixels)
        self._fixed.set()
        return self._pixels

    async def _excuse(self, mustered: Mustered, first: tuple[FrameFile, ...], suspects: list[int], draw: Draw) -> None:
        """HostUnfit unless the composition is to blame: it looks different each time on this very host."""
        name = mustered.host.name
        self._suspects[name] = self._difference(mustered, suspects)
        unstable = parity.differing(first, await draw() or ())
        del self._suspects[name]
        proven = [frame for frame in suspects if frame not in unstable]
        if not proven:
            frames = ", ".join(map(str, unstable))
            text = f"frames {frames} look different each time, so hosts cannot be compared by them"
            self._emit(events.Warned(name, text))
            return
        text = self._difference(mustered, proven)
        if not self._allow_mixed:
            raise HostUnfit(name, text, remedy=REMEDY)
        self._others[name] = parity.class_name(frame for frame in first if frame.index not in unstable)
        self._emit(events.Warned(name, f"{text}; it gets whole scenes"))

    def _difference(self, mustered: Mustered, frames: list[int]) -> str:
        assert self._pixels is not None
        why = parity.differences(parity.traits(mustered), self._pixels.traits)
        return f"draws other pixels than {', '.join(self._pixels.hosts)} in frames {', '.join(map(str, frames))}: {why}"
