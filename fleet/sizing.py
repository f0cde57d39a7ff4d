"""How many frames a host gets at once, and when taking some back pays. Pure arithmetic on speeds, in frames/s."""

import math
from collections.abc import Mapping, Sequence

# A further chunk on a warm host costs about half a second (order, page load, first pull): four seconds of frames keep
# that near a tenth.
CHUNK_S_MIN = 4.0
# Each chunk is half of the host's share of what is left (guided self-scheduling): errors in the speeds, and scenes
# that cost more than others, are paid from the other half.
GUIDED_DIVISOR = 2
CHUNK_FRAMES_MAX = 1_000_000  # file names count in six digits from the start of the chunk
# Cancelling a chunk costs its owner up to this long (stop, load again), so it must end the rest this much sooner.
STEAL_COST_S = 5.0
STEAL_GAIN = 0.7


def chunk_sizes(left: int, idle: Sequence[str], speeds: Mapping[str, float], expected: int) -> dict[str, int]:
    """Frames for the next chunk of each idle host, all judged by the same remainder of `left` frames.

    `speeds` has every usable host; `expected` more may join, and are taken for average ones.
    """
    if len(speeds) + expected == 1:
        return dict.fromkeys(idle, CHUNK_FRAMES_MAX)
    to_come = expected * sum(speeds.values()) / max(1, len(speeds))
    everyone = sum(speeds.values()) + to_come
    at_hand = sum(speeds[name] for name in idle) + to_come
    sizes = {}
    for name in idle:
        guided = left * speeds[name] / everyone / GUIDED_DIVISOR
        fair = left * speeds[name] / at_hand
        frames = min(max(guided, speeds[name] * CHUNK_S_MIN), fair)
        sizes[name] = max(1, min(math.ceil(frames), CHUNK_FRAMES_MAX))
    return sizes


def would_hold_up(work: int, name: str, speeds: Mapping[str, float]) -> bool:
    """Whether one frame on `name` would take longer than all of `work` takes everyone."""
    return len(speeds) > 1 and speeds[name] * (work / sum(speeds.values()) + STEAL_COST_S) < 1


def is_worth_stealing(missing: int, owner_speed: float, help_speed: float) -> bool:
    """Whether a chunk that lacks `missing` frames ends well before its time when it is shared out anew."""
    shared_s = missing / (owner_speed + help_speed) + STEAL_COST_S
    return shared_s < missing / owner_speed * STEAL_GAIN
