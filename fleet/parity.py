"""Which hosts draw the same pixels: canary frames, the classes that their digests form, and what tells hosts apart.

Pure: no I/O.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from capture.protocol import FrameFile, FrameRange
from fleet import frameset
from fleet.costs import Curve
from fleet.events import Trait
from fleet.muster import Mustered

# A few frames of a page that was opened for them cost a host about two seconds, once.
SEQUENTIAL_CANARIES = 3
# The dearest of this many frames, spread over the render, is a canary: that is where most is drawn.
LOOKED_AT = 60
# Beyond that, a canary's time says more of what else the host was doing.
SPEED_FACTOR_MAX = 4.0


@dataclass(frozen=True, slots=True)
class Drawn:
    """The canary frames of one host."""

    mustered: Mustered
    frames: tuple[FrameFile, ...]


@dataclass(frozen=True, slots=True)
class PixelClass:
    """Hosts whose canary frames are equal, the one with the most capacity first; never empty."""

    members: tuple[Drawn, ...]

    @property
    def capacity(self) -> float:
        """Of all members together."""
        return sum(member.mustered.capacity for member in self.members)

    @property
    def frames(self) -> tuple[FrameFile, ...]:
        """Every frame that some member has drawn, ascending, with the time of the first one who did."""
        merged = {frame.index: frame for member in reversed(self.members) for frame in member.frames}
        return tuple(merged[index] for index in sorted(merged))


def canaries(frames: FrameRange, curve: Curve, *, sequential: bool) -> tuple[int, ...]:
    """The frames that every host draws first: the first one, one and two thirds in, and the dearest known one.

    Of a sequential composition its very first ones, for any other costs all those before it.
    """
    if sequential:
        return tuple(range(min(SEQUENTIAL_CANARIES, frames.stop)))
    step = max(1, len(frames) // LOOKED_AT)
    looked_at = range(frames.start + len(frames) // 2 % step, frames.stop, step)
    middle = frames.start + len(frames) // 2
    dearest = max(looked_at, key=lambda frame: (_cost(curve, frame), -abs(frame - middle)))
    thirds = {frames.start + len(frames) * third // 3 for third in range(3)}
    return tuple(sorted(thirds | {dearest}))


def differing(one: Iterable[FrameFile], other: Iterable[FrameFile]) -> list[int]:
    """The frames that both have, and that differ."""
    digests = {frame.index: frame.sha256 for frame in one}
    return [frame.index for frame in other if digests.get(frame.index, frame.sha256) != frame.sha256]


def classes(drawn: Iterable[Drawn]) -> tuple[PixelClass, ...]:
    """The hosts by what they draw; the class with the most capacity first."""
    found: list[PixelClass] = []
    for one in sorted(drawn, key=lambda each: (-each.mustered.capacity, each.mustered.host.name)):
        place = next((n for n, each in enumerate(found) if not differing(each.frames, one.frames)), None)
        if place is None:
            found.append(PixelClass((one,)))
        else:
            found[place] = PixelClass((*found[place].members, one))
    return tuple(sorted(found, key=lambda each: -each.capacity))


def class_name(frames: Iterable[FrameFile]) -> str:
    """A short name of a class by its canary frames, the same in every run."""
    return hashlib.sha256(" ".join(frame.sha256 for frame in frames).encode()).hexdigest()[:6]


def speed_factor(reference: Sequence[FrameFile], own: Sequence[FrameFile]) -> float:
    """How many times as fast as the reference a host drew the frames that both have; 1 when that is not known."""
    times = {frame.index: frame.took_ms for frame in reference}
    common = [frame for frame in own if frame.took_ms and times.get(frame.index)]
    if not common:
        return 1.0
    factor = sum(times[frame.index] for frame in common) / sum(frame.took_ms for frame in common)
    return min(max(factor, 1 / SPEED_FACTOR_MAX), SPEED_FACTOR_MAX)


def traits(mustered: Mustered) -> tuple[Trait, ...]:
    """What pixels of a host could depend on, the likeliest first."""
    host, facts, browser = mustered.host, mustered.facts, mustered.browser
    return (
        Trait("chromium_args", " ".join(host.chromium_args) or "none"),
        Trait("browser", browser.version),
        Trait("GL", f"{browser.gl_vendor} {browser.gl_renderer}"),
        Trait("architecture", facts.architecture),
        Trait("CPU", f"{facts.cpu_model or 'unknown'} ({' '.join(facts.cpu_vectors) or 'no vectors known'})"),
        Trait("fonts", f"{facts.fonts_count} files ({facts.fonts_digest[:8]})"),
        Trait("chromium", facts.chromium or "none"),
    )


def differences(own: Sequence[Trait], others: Sequence[Trait]) -> str:
    """What tells a host from those that draw other pixels, as the end of a sentence."""
    theirs: Mapping[str, str] = {trait.name: trait.value for trait in others}
    found = [
        f"{trait.name} is {trait.value}, not {theirs[trait.name]}"
        for trait in own
        if theirs.get(trait.name, trait.value) != trait.value
    ]
    return "; ".join(found) or "nothing that is known of it tells it from them"


def _cost(curve: Curve, frame: int) -> float:
    return curve.of(frameset.of([FrameRange(frame, frame + 1)]))
