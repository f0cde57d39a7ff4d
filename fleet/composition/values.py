"""Numbers and times as authors write them in attributes. Pure: no I/O."""

import re
from dataclasses import dataclass
from fractions import Fraction

# Attribute text, not markup. The bounds keep a hostile exponent from becoming a number of a billion digits.
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})(?:[eE][+-]?[0-9]{1,2})?", re.ASCII)
_LEADING_INTEGER = re.compile(r"\s*([+-]?[0-9]{1,9})", re.ASCII)
_REFERENCE = re.compile(r"([A-Za-z0-9_.:-]+)(?:\s*([+-])\s*(\S+))?", re.ASCII)
_RATE = re.compile(r"([1-9][0-9]{0,8})(?:/([1-9][0-9]{0,8}))?", re.ASCII)
FPS_MIN, FPS_MAX = 1, 240


@dataclass(frozen=True, slots=True)
class After:
    """A start that refers to the end of another element: `intro`, `intro + 0.5`, `intro - 1`."""

    target: str
    offset_s: Fraction


def number(text: str | None) -> Fraction | None:
    """The number that `text` is, exactly; None when it is anything else, units included."""
    if text is None or not _NUMBER.fullmatch(text.strip()):
        return None
    return Fraction(text.strip())


def positive(text: str | None) -> Fraction | None:
    """The number that `text` is, when it is greater than zero."""
    value = number(text)
    return value if value is not None and value > 0 else None


def pixels(text: str | None) -> int | None:
    """The leading integer of a width or height (`1920`, `1920px`), when it is greater than zero."""
    match = _LEADING_INTEGER.match(text or "")
    return int(match[1]) if match and int(match[1]) > 0 else None


def start(text: str | None) -> Fraction | After | None:
    """A `data-start`: seconds, or a reference to another element; None when it is neither."""
    if text is None or (plain := number(text)) is not None:
        return None if text is None else plain
    match = _REFERENCE.fullmatch(text.strip())
    if match is None:
        return None
    if match[2] is None:
        return After(match[1], Fraction(0))
    offset = number(match[3])
    return None if offset is None else After(match[1], offset if match[2] == "+" else -offset)


def rate(text: str | None) -> Fraction | None:
    """Frames per second as integer or num/den within 1 to 240; None for anything else, decimals included."""
    match = _RATE.fullmatch((text or "").strip())
    if match is None:
        return None
    value = Fraction(int(match[1]), int(match[2] or 1))
    return value if FPS_MIN <= value <= FPS_MAX else None


def written(value: Fraction) -> str:
    """The number as attribute text: decimal, exact to a microsecond, no trailing zeros."""
    micros = round(value * 1_000_000)
    whole, part = divmod(abs(micros), 1_000_000)
    digits = f"{whole}.{part:06d}".rstrip("0").rstrip(".")
    return f"-{digits}" if micros < 0 else digits
