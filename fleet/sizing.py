"""How much of a render a host gets at once. Pure arithmetic; work is counted in average frames, speeds in them per s.

Ranges are as large as predictions say that all hosts end together: predictions err, but the end of a running chunk
can be lowered at no cost (`stealing`), so nothing is held back for it.
"""

import math
from collections.abc import Mapping, Sequence

# A further chunk on a warm host costs about half a second (order, page load, first pull).
LAST_CHUNK_S_MIN = 1.0
CHUNK_FRAMES_MAX = 1_000_000  # file names count in six digits from the start of the chunk


def work(
    pending: float, running: float, idle: Sequence[str], speeds: Mapping[str, float], expected: int
) -> dict[str, float]:
    """Work for the next chunk of each idle host, so that all end together.

    `pending` is to be given out, `running` is owned and missing. `speeds` has every usable host; `expected` more may
    join, and are taken for average ones.
    """
    if not idle or len(speeds) + expected == 1:
        return dict.fromkeys(idle, math.inf)
    everyone = sum(speeds.values()) * (1 + expected / len(speeds))
    seconds = max((pending + running) / everyone, LAST_CHUNK_S_MIN)
    return {name: seconds * speeds[name] for name in idle}


def shares(
    pending: float, _running: float, idle: Sequence[str], speeds: Mapping[str, float], expected: int
) -> dict[str, float]:
    """The same for a sequential render: all of it at once, for every chunk costs all the frames before it."""
    if not idle:
        return {}
    everyone = sum(speeds[name] for name in idle) + sum(speeds.values()) / len(speeds) * expected
    return {name: pending * speeds[name] / everyone for name in idle}


def slowest(left: float, speeds: Mapping[str, float]) -> float:
    """The speed below which one frame would take a host longer than all that is `left` takes everyone."""
    return 1 / (left / sum(speeds.values()) + LAST_CHUNK_S_MIN) if len(speeds) > 1 else 0.0
