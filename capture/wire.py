"""Frozen dataclasses to and from JSON, strictly: unknown keys, missing keys and wrong types are errors.

Pure: no I/O. Knows scalars, enums, Fraction, tuples, optional values and nested dataclasses; nothing else.
"""

import dataclasses
import enum
import functools
import math
import re
import types
import typing
from fractions import Fraction
from typing import Any, TypeVar

T = TypeVar("T")

# What other JSON readers hold exactly. Larger numbers are nobody's, and arithmetic on them can take for ever.
INTEGER_MAX = 2**53
# Fraction would happily compute 10 to the power of a billion.
_FRACTION = re.compile(r"-?[0-9]{1,30}(/[0-9]{1,30})?")
_SHOWN = 80


class WireError(ValueError):
    """The value does not have the shape that its type promises; the message names the field."""


def to_plain(value: object) -> Any:
    """`value` as dicts, lists and scalars that `json.dumps` accepts; Fraction becomes `"num/den"`."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    if isinstance(value, tuple):
        return [to_plain(item) for item in value]
    return value


def from_plain(kind: type[T], plain: object, where: str = "") -> T:
    """The `kind` that `plain` describes; WireError names the first field that does not fit."""
    hints, required = _shape(typing.cast("Any", kind))
    where = where or kind.__name__
    if not isinstance(plain, dict):
        raise WireError(f"{where}: expected an object, got {type(plain).__name__}")
    if unknown := plain.keys() - hints.keys():
        raise WireError(f"{where}: unknown field {_show(min(map(str, unknown)))}")
    if missing := required - plain.keys():
        raise WireError(f"{where}: missing field {min(missing)!r}")
    values = {name: _convert(hints[name], item, f"{where}.{name}") for name, item in plain.items()}
    try:
        return kind(**values)
    except (ValueError, TypeError) as error:
        raise WireError(f"{where}: {error}") from error


@functools.cache
def _shape(kind: Any) -> tuple[dict[str, Any], frozenset[str]]:
    hints = typing.get_type_hints(kind)
    fields = dataclasses.fields(kind)
    required = frozenset(
        field.name
        for field in fields
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    )
    return {field.name: hints[field.name] for field in fields}, required


def _convert(hint: Any, plain: object, where: str) -> Any:
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        return _convert_optional(hint, plain, where)
    if origin is tuple:
        return _convert_tuple(hint, plain, where)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_plain(hint, plain, where)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        try:
            return hint(plain)
        except ValueError:
            raise WireError(f"{where}: {_show(plain)} is none of {[member.value for member in hint]}") from None
    if hint is Fraction:
        return _convert_fraction(plain, where)
    return _convert_scalar(hint, plain, where)


def _convert_optional(hint: Any, plain: object, where: str) -> Any:
    if plain is None:
        return None
    (inner,) = (arg for arg in typing.get_args(hint) if arg is not types.NoneType)
    return _convert(inner, plain, where)


def _convert_tuple(hint: Any, plain: object, where: str) -> tuple[Any, ...]:
    if not isinstance(plain, list):
        raise WireError(f"{where}: expected a list, got {type(plain).__name__}")
    args = typing.get_args(hint)
    if args[-1] is Ellipsis:
        return tuple(_convert(args[0], item, f"{where}[{n}]") for n, item in enumerate(plain))
    if len(args) != len(plain):
        raise WireError(f"{where}: expected {len(args)} items, got {len(plain)}")
    return tuple(_convert(arg, item, f"{where}[{n}]") for n, (arg, item) in enumerate(zip(args, plain, strict=True)))


def _convert_fraction(plain: object, where: str) -> Fraction:
    if type(plain) not in (str, int):
        raise WireError(f"{where}: expected a fraction, got {type(plain).__name__}")
    if not _FRACTION.fullmatch(str(plain)[: 2 * _SHOWN]):
        raise WireError(f"{where}: {_show(plain)} is not a fraction")
    try:
        return Fraction(str(plain))
    except ZeroDivisionError as error:
        raise WireError(f"{where}: {_show(plain)} is not a fraction") from error


def _convert_scalar(hint: Any, plain: object, where: str) -> Any:
    # `type() is`, not isinstance: True is an int to Python and a mistake to us.
    if type(plain) is not hint and (hint is not float or type(plain) is not int):
        raise WireError(f"{where}: expected {getattr(hint, '__name__', hint)}, got {type(plain).__name__}")
    if type(plain) is int and abs(plain) > INTEGER_MAX:
        raise WireError(f"{where}: an integer beyond {INTEGER_MAX}")
    if hint is not float:
        return plain
    number = float(typing.cast("float", plain))
    if not math.isfinite(number):
        raise WireError(f"{where}: {number} is no number")
    return number


def _show(plain: object) -> str:
    shown = repr(plain)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
