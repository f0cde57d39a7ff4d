"""How far capture may be ahead of encoders that have the same cores. Pure.

The work is the same in either order. But what is encoded late is waited for by whoever waits for the video, and frames
that wait take disk. Hosts of their own are never throttled: nothing would be gained.
"""

from collections.abc import Callable
from dataclasses import dataclass

from fleet.frameset import FrameSet

# x264 `medium` gives no frame out before it has looked at 40 more, and one for each of its threads.
LOOKAHEAD = 44
# So many may be left to encode when the last frame comes: what the last encoder looks at, and a little.
LEAST = LOOKAHEAD + 12
# Beyond the segments that are being encoded: encoders are not to run dry because a block of frames takes its time.
SPARE_SEGMENTS = 1.5


@dataclass(frozen=True, slots=True)
class Room:
    """So many more frames are welcome, and none at or after `stop`."""

    frames: int
    stop: int | None = None


# What room there is for the frames that a host was ordered to capture.
RoomFor = Callable[[FrameSet], Room]


def most(*, segment_frames: int, encoders: int) -> int:
    """How many frames may wait for `encoders`, each of them busy with a segment."""
    return max(LEAST, round(segment_frames * (encoders + SPARE_SEGMENTS)))


def headroom(*, behind: int, coming: int, most: int) -> int:
    """How many of the frames that are still `coming` may be captured, with encoders `behind` by so many.

    Never more than `most` wait, and no more than are still coming then: what waits dwindles before the end.
    """
    return max(0, LEAST - behind, min(most - behind, (coming - behind) // 2))
