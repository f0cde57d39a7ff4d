"""Which still of which video every frame shows. Pure: no I/O.

Decided here once, with exact times: the page looks up and computes nothing, and a host is sent what its frames look up.
A still is counted at the output's rate in the time of its source, from the in-point of the slot.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from capture.protocol import FrameRange
from fleet.model import Blob, VideoSlot

# Where the page finds the table, and below it the stills; no project can have such a path by accident.
FOLDER = "__fleet_stills"
TABLE = f"{FOLDER}/table.json"
# HyperFrames' own tolerance: decimal starts such as 0.3333 are a hair before the frame that they mean.
_EPSILON = Fraction(1, 10**9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What one video shows: from frame `first` on, one still for every frame; none at all when it cannot be shown."""

    id: str
    first: int
    stills: tuple[Blob, ...]
    width: int
    height: int
    duration_s: Fraction | None


@dataclass(frozen=True, slots=True)
class Stills:
    """The stills of one render."""

    shown: tuple[Shown, ...] = ()

    def needed(self, frames: Iterable[FrameRange]) -> tuple[Blob, ...]:
        """The stills that these frames look up, each once."""
        ranges = tuple(frames)
        found = {blob.sha256: blob for one in self.shown for part in ranges for blob in _within(one, part)}
        return tuple(found[digest] for digest in sorted(found))

    def table(self) -> bytes:
        """What the page reads: names of stills, and per video the first frame and one index per frame from there."""
        names = sorted({blob.path for one in self.shown for blob in one.stills})
        index = {name: number for number, name in enumerate(names)}
        videos = {
            one.id: {
                "first": one.first,
                "stills": [index[blob.path] for blob in one.stills],
                "width": one.width,
                "height": one.height,
                "duration": None if one.duration_s is None else float(one.duration_s),
            }
            for one in self.shown
        }
        return json.dumps({"names": names, "videos": videos}, separators=(",", ":"), sort_keys=True).encode()


def of_slot(slot: VideoSlot, first: int, shown: tuple[Blob, ...]) -> Shown:
    """What the slot shows from frame `first` on."""
    footage = slot.footage
    return Shown(
        id=slot.id,
        first=first,
        stills=shown,
        width=footage.width,
        height=footage.height,
        duration_s=footage.duration_s,
    )


def _within(one: Shown, frames: FrameRange) -> tuple[Blob, ...]:
    return one.stills[max(0, frames.start - one.first) : max(0, frames.stop - one.first)]


def span(slot: VideoSlot, frames: FrameRange, fps: Fraction) -> FrameRange | None:
    """The frames of `frames` in which the slot shows something; its end is exclusive, as that of every clip."""
    start = max(frames.start, math.ceil(slot.start_s * fps))
    stop = min(frames.stop, math.ceil((slot.start_s + slot.duration_s) * fps))
    return FrameRange(start, stop) if start < stop else None


def still_at(slot: VideoSlot, frame: int, fps: Fraction) -> int:
    """The still that `frame` shows if the source is long enough; looping sources start again."""
    source_s = max(Fraction(0), frame / fps - slot.start_s) * slot.rate
    if slot.is_loop and (cycle := cycle_s(slot)) is not None:
        source_s %= cycle
    return math.floor(source_s * fps + _EPSILON)


def cycle_s(slot: VideoSlot) -> Fraction | None:
    """Seconds of source from the in-point to the end; None when its length is unknown or nothing is left of it."""
    length = slot.footage.duration_s
    return length - slot.media_start_s if length is not None and length > slot.media_start_s else None
