"""When all hosts are looked at, rather than one: at once in a small fleet, a few times a second in a large one.

A look costs time for every host, and a thousand hosts have news a thousand times a second. Pure; time is an argument.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from fleet import events

# Frames alone change what idle hosts can do for others only little by little.
LOOK_S = 0.5
# A look takes a few microseconds a host: this keeps it below a tenth of the coordinator's time. A host that waits as
# long for its next chunk, a tenth of a second among a thousand, loses less than the order itself takes.
PAUSE_PER_HOST_S = 0.0002
FEW_HOSTS = 20

_QUIET = (
    events.FramesVerified | events.FramesCaptured | events.FramesHeld | events.SeamDrawn | events.ChunkMeasured
    | events.StillsDropped
)  # fmt: skip


@dataclass(slots=True)
class Glance:
    """`is_owed` when something has happened since the last look that may need one."""

    is_owed: bool = False
    last_s: float = -LOOK_S

    def hear(self, happened: Iterable[events.Event]) -> None:
        """Takes note of news; most of what happens changes little for other hosts."""
        self.is_owed |= not all(isinstance(event, _QUIET) for event in happened)

    def is_due(self, now_s: float, hosts: int) -> bool:
        """Whether to look now; then the next one is as far off as it is from any look."""
        if now_s < min(self.due_s(hosts), self.last_s + LOOK_S):
            return False
        self.is_owed, self.last_s = False, now_s
        return True

    def due_s(self, hosts: int) -> float:
        """When a look is owed at the latest, infinite when none is."""
        if not self.is_owed:
            return math.inf
        return self.last_s + (PAUSE_PER_HOST_S * hosts if hosts > FEW_HOSTS else 0.0)
