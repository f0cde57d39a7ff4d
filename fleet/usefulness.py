"""How many hosts a render can use, and how long it would take with more. Pure arithmetic; work in average frames.

All hosts start at the same time, so one more never makes a render slower; it may save less than it is worth.
"""

import statistics
from collections.abc import Sequence

# From the first order to the first frame: browsers, the page, the first pull. Measured at 2 to 4 s on warm disks.
START_S = 3.0
# A host that nobody would miss stays free for others, and cannot fail.
SLACK_S = 0.4
SLACK = 0.02


def wall_s(work: float, speeds: Sequence[float]) -> float:
    """Seconds from the first order to the last frame, with hosts of these speeds."""
    return START_S + work / sum(speeds)


def useful(work: float, speeds: Sequence[float]) -> int:
    """How many of the fastest hosts do `work` about as soon as all of them would; at least one."""
    if not speeds:
        return 0
    enough_s = wall_s(work, speeds)
    enough_s += max(SLACK_S, SLACK * enough_s)
    fastest, together = sorted(speeds, reverse=True), 0.0
    for count, speed in enumerate(fastest, start=1):
        together += speed
        if START_S + work / together <= enough_s:
            return count
    return len(fastest)


def with_more(work: float, speeds: Sequence[float], more: int) -> float:
    """`wall_s` with `more` average hosts, or fewer."""
    average = statistics.fmean(speeds)
    return START_S + work / max(average, sum(speeds) + more * average)
