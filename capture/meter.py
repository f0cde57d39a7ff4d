"""Where a worker's time goes, one stage at a time, and how many DevTools commands each stage sends.

Only counts. What passes outside of every stage, like waiting for a block, is nobody's.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from capture.protocol import Spent, Stage, Stages


class Meter:
    """The stages of one worker since the last `take`; a stage inside another one interrupts it."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        """`clock` gives seconds."""
        self._clock = clock
        self._since_s = clock()
        self._stage: Stage | None = None
        self._seconds = dict.fromkeys(Stage, 0.0)
        self._messages = dict.fromkeys(Stage, 0)

    @contextmanager
    def at(self, stage: Stage) -> Iterator[None]:
        """What happens inside belongs to `stage`."""
        outer = self._stage
        self._switch(stage)
        try:
            yield
        finally:
            self._switch(outer)

    def sent(self) -> None:
        """One command went to the browser."""
        if self._stage is not None:
            self._messages[self._stage] += 1

    def take(self, frames: int) -> Stages:
        """What `frames` frames took since the last call; counting begins anew."""
        self._switch(self._stage)
        spent = {stage.value: Spent(self._messages[stage], round(1000 * self._seconds[stage], 1)) for stage in Stage}
        self._seconds = dict.fromkeys(Stage, 0.0)
        self._messages = dict.fromkeys(Stage, 0)
        return Stages(frames=frames, **spent)

    def _switch(self, stage: Stage | None) -> None:
        now_s = self._clock()
        if self._stage is not None:
            self._seconds[self._stage] += now_s - self._since_s
        self._stage, self._since_s = stage, now_s
