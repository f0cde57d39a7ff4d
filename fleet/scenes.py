"""Which frames belong together when hosts draw different pixels: a scene is drawn by hosts of one class. Pure: no I/O.

A scene lies between two moments where something of the composition begins or ends, so that a cut between classes is
where the picture changes anyway. It is nobody's until a host is given frames of it; the largest class takes frames as
they come, the others whole scenes.
"""

import bisect
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction

from capture.protocol import FrameRange
from fleet import frameset
from fleet.frameset import FrameSet
from fleet.ledger import Ledger

MAIN = ""  # the largest class
# A scene that is dearer than a host's share by more would make others wait for it.
SCENE_EXCESS = 1.5


def between(cuts_s: Iterable[Fraction], fps: Fraction, frames: FrameRange) -> tuple[FrameRange, ...]:
    """The scenes of `frames`: each begins with the first frame at or after a cut."""
    starts = {math.ceil(cut_s * fps) for cut_s in cuts_s}
    edges = [frames.start, *sorted(start for start in starts if frames.start < start < frames.stop), frames.stop]
    return tuple(FrameRange(start, stop) for start, stop in itertools.pairwise(edges))


class Scenes:
    """Who draws which scene of a ledger's frames; without `ranges` all of them are one scene."""

    def __init__(self, ledger: Ledger, ranges: tuple[FrameRange, ...]) -> None:
        self._ledger = ledger
        self._ranges = ranges or ((ledger.frames.span,) if ledger.frames else ())
        self._starts = [scene.start for scene in self._ranges]
        self._owners: dict[FrameRange, str] = {}
        self._classes: dict[str, str] = {}  # by host
        self.is_mixed = False  # hosts of more than one class were ready

    def meet(self, host: str, pixels: str) -> None:
        """The host draws the pixels of this class."""
        self._classes[host] = pixels
        self.is_mixed = len(set(self._classes.values())) > 1

    def pixels(self, host: str) -> str:
        """The host's class."""
        return self._classes.get(host, MAIN)

    def groups(self, speeds: Mapping[str, float]) -> list[dict[str, float]]:
        """Hosts with their speeds, those of one class together: only they can do anything for each other."""
        if not self.is_mixed:
            return [dict(speeds)]
        names = sorted({self.pixels(host) for host in speeds})
        return [{host: speed for host, speed in speeds.items() if self.pixels(host) == name} for name in names]

    def take(self, frames: FrameSet, host: str) -> None:
        """The host is given these frames: their scenes are its class's."""
        for scene in self._of(frames):
            if self._owner(scene) is None:
                self._owners[scene] = self.pixels(host)

    def available(self, host: str) -> FrameSet:
        """The pending frames that the host may be given."""
        pending = self._ledger.pending
        if not self.is_mixed:
            return pending
        own = self.pixels(host)
        scenes = {scene: self._owner(scene) for scene in self._of(pending)}
        mine = pending & frameset.of(scene for scene, owner in scenes.items() if owner == own)
        free = pending & frameset.of(scene for scene, owner in scenes.items() if owner is None)
        return mine | free if own == MAIN or not mine else mine

    def count(self, available: FrameSet, count: int, host: str, *, is_picky: bool) -> int:
        """`count` of the lowest available frames, or as many as make whole scenes; 0 when one is far too large.

        The largest class ends with a scene where that is not much sooner, so that others can have the next one.
        """
        if not self.is_mixed:
            return count
        start = available.ranges[0].start
        sizes = [scene.stop - start for scene in self._of(FrameSet(available.ranges[:1]))]
        fitting = max((size for size in sizes if size <= count), default=0)
        if self.pixels(host) == MAIN:
            return fitting if 2 * fitting >= count else count
        if not fitting and is_picky and sizes[0] > SCENE_EXCESS * count:
            return 0
        return fitting or sizes[0]

    def orphans(self, present: Iterable[str]) -> FrameSet:
        """Scenes that are begun, and whose class has none of the hosts that are `present`."""
        if not self.is_mixed:
            return FrameSet()
        classes = {None, *(self._classes[host] for host in present if host in self._classes)}
        return frameset.of(scene for scene in self._of(self._ledger.pending) if self._owner(scene) not in classes)

    def _owner(self, scene: FrameRange) -> str | None:
        inside = frameset.of([scene]) & self._ledger.frames
        if scene in self._owners and self._ledger.pending & inside == inside:
            del self._owners[scene]  # nobody has a frame of it any more
        return self._owners.get(scene)

    def _of(self, frames: FrameSet) -> Iterator[FrameRange]:
        """The scenes that hold any of `frames`, ascending."""
        at = 0
        for part in frames.ranges:
            at = max(at, bisect.bisect_right(self._starts, part.start) - 1)
            while at < len(self._ranges) and self._ranges[at].start < part.stop:
                yield self._ranges[at]
                at += 1
