"""What has gone wrong in a chunk so far, and what silence means there. Pure: no I/O; time is an argument."""

import math
import statistics
from collections import Counter, deque

from capture import blocks

# The agent notices only workers that cannot even give up, after a margin for a host that is slow as a whole.
MARGIN_S = 20.0
MARGIN_FRAMES = 8
_FRAME_TIMES_KEPT = 40  # of all workers together: costs change along a composition


class Trouble:
    """Failures counted, and the times of the last frames."""

    def __init__(self) -> None:
        self.failures = 0
        self.start_strikes = 0
        self._strikes: Counter[int] = Counter()
        self._frame_times_s: deque[float] = deque(maxlen=_FRAME_TIMES_KEPT)

    def frame_took(self, seconds: float) -> None:
        """Remembers how long a frame took."""
        self._frame_times_s.append(seconds)

    def frames_within(self, seconds: float) -> int:
        """How many frames a worker captures in `seconds`, at least one; a block's worth while nothing is known."""
        if not self._frame_times_s:
            return blocks.BLOCK_FRAMES
        typical_s = statistics.median(self._frame_times_s)
        return max(1, math.floor(seconds / typical_s)) if typical_s > 0 else blocks.BLOCK_FRAMES

    def strike(self, frame: int) -> int:
        """How often `frame` has failed, this time included."""
        self._strikes[frame] += 1
        return self._strikes[frame]

    def strike_start(self, strikes_before: int) -> int:
        """How often starting has failed, counting workers that were started together once."""
        if strikes_before == self.start_strikes:
            self.start_strikes += 1
        return self.start_strikes

    def margin_s(self) -> float:
        """Silence beyond a worker's own limits that a slow host is granted."""
        times = sorted(self._frame_times_s)
        p95_s = times[int(0.95 * len(times))] if times else 0.0
        return max(MARGIN_S, MARGIN_FRAMES * p95_s)
