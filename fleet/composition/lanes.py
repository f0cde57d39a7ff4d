"""Volume lanes: the breakpoints of a `data-automation` attribute, as levels in composition time. Pure: no I/O."""

import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from fleet import model
from fleet.composition import values

# 12 dB, the most that an author can ask for.
GAIN_MAX = 10 ** (12 / 20)
VERSION = 1
# An author's hand sets some tens; more would be a recording, and is cut where HyperFrames cuts it.
POINTS_MAX = 512
# A bent stretch is drawn by straight ones this short, and never by more than a few hundred.
STEP_S = Fraction(1, 60)
STEPS_MAX = 512
# A bend's own point lies strictly inside its stretch.
_INSIDE = (0.001, 0.999)
_WEIGHT_MAX = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A breakpoint, in seconds from the start of the element; what follows bends by `curve`, or through `via`."""

    at_s: Fraction
    gain: float
    curve: float = 0.0  # -1 rises early, 0 is straight, 1 rises late
    via: tuple[float, float] | None = None  # progress in time and in gain, 0 to 1 each


def volume(text: str, *, start_s: Fraction) -> model.Envelope:
    """The volume lane of an attribute, in composition time; empty when it has none. ValueError says what is wrong."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is no JSON ({error})") from error
    if not isinstance(told, dict) or told.get("version") != VERSION or not isinstance(told.get("lanes"), list):
        raise ValueError(f'it is not of the form {{"version": {VERSION}, "lanes": [...]}}')
    for lane in told["lanes"]:
        points = lane.get("points") if isinstance(lane, dict) else None
        if points is None:
            raise ValueError("a lane has no `points`")
        if lane.get("target") == "volume":
            return _drawn(_points(points), start_s)
    return ()


def _points(written: Any) -> tuple[Point, ...]:
    found = sorted((point for item in _items(written) if (point := _point(item))), key=lambda point: point.at_s)
    # The later of two at one moment is the one that the author put there last.
    return tuple({point.at_s: point for point in found}.values())[:POINTS_MAX]


def _items(written: Any) -> list[Any]:
    return written if isinstance(written, list) else []


def _point(item: Any) -> Point | None:
    """A breakpoint; None for one that names no moment or no level."""
    if not isinstance(item, dict):
        return None
    at, gain = _number(item.get("t")), _number(item.get("v"))
    if at is None or gain is None:
        return None
    return Point(
        at_s=max(Fraction(0), at),
        gain=clamped(float(gain)),
        curve=min(1.0, max(-1.0, float(_number(item.get("curve")) or 0))),
        via=_via(item.get("viaX"), item.get("viaY")),
    )


def clamped(gain: float) -> float:
    """A linear gain within what can be asked for."""
    return min(GAIN_MAX, max(0.0, gain))


def _number(value: Any) -> Fraction | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return values.number(value)
    return Fraction(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _via(written_x: Any, written_y: Any) -> tuple[float, float] | None:
    x, y = _number(written_x), _number(written_y)
    if x is None or y is None:
        return None
    low, high = _INSIDE
    point = min(high, max(low, float(x))), min(high, max(low, float(y)))
    return point if abs(point[0] - point[1]) >= 1e-6 else None


def _drawn(points: tuple[Point, ...], start_s: Fraction) -> model.Envelope:
    levels = [level for first, then in itertools.pairwise(points) for level in _stretch(first, then)]
    levels += [model.Level(point.at_s, point.gain) for point in points[-1:]]
    return tuple(model.Level(start_s + level.at_s, level.gain) for level in levels)


def _stretch(first: Point, then: Point) -> Iterator[model.Level]:
    """From `first` up to `then`, without it."""
    span = then.at_s - first.at_s
    is_straight = first.gain == then.gain or (first.via is None and first.curve == 0)
    steps = 1 if is_straight else min(STEPS_MAX, max(16, math.ceil(span / STEP_S)))
    for step in range(steps):
        reached = progress(step / steps, first)
        yield model.Level(first.at_s + span * step / steps, first.gain + (then.gain - first.gain) * reached)


def progress(x: float, point: Point) -> float:
    """How far the level has come, 0 to 1, at the part `x` of the way from `point` to the next one."""
    if point.via is not None:
        return _through(x, *point.via)
    return float(x ** (4**point.curve))


def _through(x: float, via_x: float, via_y: float) -> float:
    """One arc through the point: a rational quadratic Bezier curve that has it at its middle.

    Its weight is the least that keeps the control point inside the stretch, so that the arc never turns back.
    """
    pull_x, pull_y = via_x - 0.5, via_y - 0.5
    weight = min(_WEIGHT_MAX, max(1.0, _weight(pull_x, via_x), _weight(pull_y, via_y)))
    control_x, control_y = via_x + pull_x / weight, via_y + pull_y / weight
    along = _parameter(x, control_x, weight)
    rest = 1 - along
    scale = rest * rest + 2 * weight * along * rest + along * along
    return (2 * weight * control_y * along * rest + along * along) / scale


def _weight(pull: float, via: float) -> float:
    if pull == 0:
        return 1.0
    room = _INSIDE[1] - via if pull > 0 else via - _INSIDE[0]
    return abs(pull) / room if room > 0 else _WEIGHT_MAX


def _parameter(x: float, control_x: float, weight: float) -> float:
    """Where along the arc the time is `x`. Time never runs backwards on it, so halving finds it."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        rest = 1 - middle
        scale = rest * rest + 2 * weight * middle * rest + middle * middle
        if 2 * weight * control_x * middle * rest + middle * middle < x * scale:
            low = middle
        else:
            high = middle
    return (low + high) / 2
