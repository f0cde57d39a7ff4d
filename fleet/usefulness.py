"""How many hosts a render can use, and how long it would take with more. Pure arithmetic; work in average frames.

All hosts start at the same time, so one more never makes a render slower; it may save less than it is worth.
"""

import statistics
from collections.abc import Sequence

# From the first order to the first frame: browsers, the page, the first pull. Measured at 2 to 4 s on warm disks.
START_S = 3.0
# A host that nobody would miss stays free for others, and cannot fail.
SLACK_S = 0.4
SLACK = 0.005


def wall_s(work: float, speeds: Sequence[float]) -> float:
    """Seconds from the first order to the last frame, with hosts of these speeds."""
    return START_S + work / sum(speeds)


def useful(work: float, speeds: Sequence[float], *, used: float = 0.0, surprise: float = 1.0) -> int:
    """How many of the fastest hosts, beside `used` speed, do `work` about as soon as all of them would.

    At least one when none is used. Those that are left out may turn out to be `surprise` times as fast.
    """
    fastest = sorted(speeds, reverse=True)
    together, left_out = used, surprise * sum(fastest)
    for count, speed in enumerate(fastest):
        if together > 0:
            soonest_s = work / (together + left_out)
            if work / together <= soonest_s + max(SLACK_S, SLACK * (START_S + soonest_s)):
                return count
        together += speed
        left_out = max(0.0, left_out - surprise * speed)
    return len(fastest)


def with_more(work: float, speeds: Sequence[float], more: int) -> float:
    """`wall_s` with `more` average hosts, or fewer."""
    average = statistics.fmean(speeds)
    return START_S + work / max(average, sum(speeds) + more * average)
