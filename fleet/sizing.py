"""How many frames a host gets at once, and when taking some back pays. Pure arithmetic on speeds, in frames/s."""

import math
from collections.abc import Mapping, Sequence

# A further chunk on a warm host costs about half a second (order, page load, first pull): four seconds of frames keep
# that near a tenth. Towards the end smaller ones are worth their cost, because hosts then end together.
CHUNK_S_MIN = 4.0
LAST_CHUNK_S_MIN = 1.0
# Each chunk is half of the host's share of what is left (guided self-scheduling): errors in the speeds, and scenes
# that cost more than others, are paid from the other half.
GUIDED_DIVISOR = 2
CHUNK_FRAMES_MAX = 1_000_000  # file names count in six digits from the start of the chunk
# Cancelling a chunk costs its owner up to this long (stop, load again), so it must end the rest this much sooner.
STEAL_COST_S = 5.0
STEAL_GAIN = 0.7


def chunk_sizes(
    pending: int, running: int, idle: Sequence[str], speeds: Mapping[str, float], expected: int
) -> dict[str, int]:
    """Frames for the next chunk of each idle host, all judged by the same remainder.

    `pending` frames are to be given out, `running` are owned and missing. `speeds` has every usable host; `expected`
    more may join, and are taken for average ones.
    """
    if not idle or len(speeds) + expected == 1:
        return dict.fromkeys(idle, CHUNK_FRAMES_MAX)
    everyone = sum(speeds.values()) * (1 + expected / len(speeds))
    guided_s = pending / everyone / GUIDED_DIVISOR
    left_s = max((pending + running) / everyone, LAST_CHUNK_S_MIN)
    seconds = min(max(guided_s, CHUNK_S_MIN), left_s)
    return {name: max(1, min(math.ceil(seconds * speeds[name]), CHUNK_FRAMES_MAX)) for name in idle}


def shares(
    pending: int, _running: int, idle: Sequence[str], speeds: Mapping[str, float], expected: int
) -> dict[str, int]:
    """The same for a sequential render: one chunk for each, for every chunk costs all the frames before it."""
    if not idle:
        return {}
    everyone = sum(speeds[name] for name in idle) + sum(speeds.values()) / len(speeds) * expected
    return {name: max(1, min(math.ceil(pending * speeds[name] / everyone), CHUNK_FRAMES_MAX)) for name in idle}


def would_hold_up(work: int, name: str, speeds: Mapping[str, float]) -> bool:
    """Whether one frame on `name` would take longer than all of `work` takes everyone."""
    return len(speeds) > 1 and speeds[name] * (work / sum(speeds.values()) + STEAL_COST_S) < 1


def is_worth_stealing(missing: int, owner_speed: float, help_speed: float) -> bool:
    """Whether a chunk that lacks `missing` frames ends well before its time when it is shared out anew."""
    shared_s = missing / (owner_speed + help_speed) + STEAL_COST_S
    return shared_s < missing / owner_speed * STEAL_GAIN
