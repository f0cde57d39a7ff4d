"""Whether a render steps through every frame: declared, found by an earlier run, or seen by one host at the start."""

import asyncio
from collections.abc import Awaitable, Callable

from capture.protocol import Examined, FrameRange
from fleet import events

# Frames to compare, spread over the film, each come to through this many others: state that drifts shows after a few.
SAMPLES = 4
STEPS = 6
UNTOLD = "whether frames depend on earlier ones cannot be told: the examination failed; `--sequential` would be safe"
UNREPEATABLE = "it depends on real time, a timer for instance, and no two renders of it will be the same"


def samples(frame_count: int) -> tuple[FrameRange, ...]:
    """Ranges of which each last frame is compared, the first near the film's start; none for a film of one frame."""
    last = frame_count - 1
    frames = {last * (index + 1) // SAMPLES for index in range(SAMPLES)} | {min(STEPS, last)}
    return tuple(FrameRange(max(0, frame - STEPS), frame + 1) for frame in sorted(frames - {0}))


class Stepping:
    """One decision for all hosts. The first one that has the bundle examines it; if it is lost, the next one does."""

    def __init__(
        self, known: events.SteppingFixed | None, *, has_hints: bool, emit: Callable[[events.Event], None]
    ) -> None:
        """`known` is what was declared or found earlier; without `has_hints` there is nothing to look for."""
        self._fixed = known or (None if has_hints else events.SteppingFixed(False, "nothing asks for stepping"))
        self._emit = emit
        self._is_told = False
        self._turn = asyncio.Semaphore(1)

    async def decide(self, host: str, examine: Callable[[], Awaitable[Examined | None]]) -> bool:
        """Whether to step. Waits while another host examines; what `examine` raises is its host's alone."""
        async with self._turn:
            if self._fixed is None:
                self._fixed = self._verdict(host, await examine())
            if not self._is_told:
                self._is_told = True
                self._emit(self._fixed)
        return self._fixed.sequential

    def _verdict(self, host: str, found: Examined | None) -> events.SteppingFixed:
        if found is None:
            self._emit(events.Warned(host, UNTOLD))
            return events.SteppingFixed(False, "not examined")
        if not found.is_repeatable:
            self._emit(events.Warned(host, f"{found.why}: {UNREPEATABLE}"))
        return events.SteppingFixed(found.sequential, f"{host}: {found.why}")
