"""Frame index to exact time, and duration to frame count. Pure: no I/O, reads no clock."""

import math
from fractions import Fraction

# A duration authored as 3.3333 s at 30 fps means 100 frames, not 101: within a thousandth of a frame of an
# integer the integer wins (composition-format rule, shared with HyperFrames).
FRAME_TOLERANCE = Fraction(1, 1000)


def frame_time(index: int, fps: Fraction) -> Fraction:
    """Time of the absolute frame `index`, in seconds, exact."""
    return index / fps


def frame_count(duration_s: Fraction, fps: Fraction) -> int:
    """Frames that cover `duration_s`: the nearest integer when within tolerance, else rounded up."""
    exact = duration_s * fps
    nearest = round(exact)
    return nearest if abs(exact - nearest) <= FRAME_TOLERANCE else math.ceil(exact)
