"""What frames are likely to cost while nothing is remembered: from what the composition holds, and its canary frames.

Pure: no I/O. Such a curve only shapes the first split; what hosts then deliver corrects it.
"""

import math
import statistics
from collections.abc import Iterator, Sequence
from fractions import Fraction

from capture.protocol import FrameFile, FrameRange
from fleet import costs
from fleet.costs import Curve
from fleet.model import Composition

# A frame of plain text is 1. Measured without a GPU at 1080p: a frame with a still of a video took twice as long, one
# with a WebGL canvas three times.
VIDEO_COST = 1.0
GL_COST = 2.0
# One frame's time is half its cost and half what else its host was doing.
TRUST = 0.5
FACTOR_MAX = 3.0


def curve(composition: Composition, frames: FrameRange, fps: Fraction) -> Curve:
    """Dearer where videos or WebGL canvases show; FLAT when there are neither, or nothing else."""
    spans = {
        "video": ([(slot.start_s, slot.start_s + slot.duration_s) for slot in composition.videos], VIDEO_COST),
        "WebGL": (list(composition.gl_spans), GL_COST),
    }
    values = [1.0] * frames.stop
    found = []
    for name, (parts, cost) in spans.items():
        shown = {frame for part in parts for frame in _frames(part, frames, fps)}
        found += [name] if shown else []
        for frame in shown:
            values[frame] += cost
    if len({values[frame] for frame in frames}) < 2:
        return costs.FLAT
    known = ((FrameRange(frame, frame + 1), values[frame]) for frame in frames)
    return costs.curve(known, frames, source=f"where it shows {' and '.join(found)}")


def sampled(before: Curve, canaries: Sequence[FrameFile], frames: FrameRange) -> Curve:
    """`before`, and every frame corrected by the time of the nearest canary of its own kind, unless it is remembered.

    The first picture of a page pays for what all later ones find ready, and says nothing.
    """
    samples = [(file.index, file.took_ms / before.at(file.index)) for file in canaries[1:] if file.took_ms > 0]
    if before.source == costs.REMEMBERED or len(samples) < 2:
        return before
    mean = statistics.geometric_mean(ratio for _, ratio in samples)
    factors = {frame: min(max(ratio / mean, 1 / FACTOR_MAX), FACTOR_MAX) ** TRUST for frame, ratio in samples}
    source = "by canary frames" if before.source == costs.ALIKE else f"{before.source}, and by its canary frames"
    known = (
        (part, before.at(part.start) * _factor(before, part.start, factors)) for part in _pieces(frames, before.step)
    )
    return costs.curve(known, frames, source=source)


def _frames(span: tuple[Fraction, Fraction], frames: FrameRange, fps: Fraction) -> range:
    start, stop = (math.ceil(second * fps) for second in span)
    return range(max(start, frames.start), min(stop, frames.stop))


def _pieces(frames: FrameRange, step: int) -> Iterator[FrameRange]:
    step = max(step, math.ceil(len(frames) / costs.PIECES_MAX))
    for start in range(frames.start, frames.stop, step):
        yield FrameRange(start, min(start + step, frames.stop))


def _factor(before: Curve, frame: int, factors: dict[int, float]) -> float:
    kind = before.at(frame)
    near = [sample for sample in factors if math.isclose(before.at(sample), kind)]
    return factors[min(near, key=lambda sample: abs(sample - frame))] if near else 1.0
