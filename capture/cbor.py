"""CBOR as Chromium's DevTools speaks it over a pipe: values to bytes and back. Pure.

Only what its codec (crdtp) writes and reads: 32-bit integers, doubles, text, bytes, and lists and maps in envelopes
that say how long they are. Values are what its JSON would give, save that bytes are bytes and not base64.
"""

import struct
from collections.abc import Iterable, Mapping
from typing import Any

# An envelope is tag 24 and a byte string with a 32-bit length, whatever its size, around one list or map.
_ENVELOPE = b"\xd8\x18\x5a"
HEADER_BYTES = len(_ENVELOPE) + 4
DEPTH_MAX = 300  # crdtp's own kStackLimit

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG = range(7)
_BINARY = 22  # the tag of bytes that JSON would have as base64; without it they are UTF-16
_LIST_START, _MAP_START, _END = 0x9F, 0xBF, 0xFF
_FALSE, _TRUE, _NULL, _DOUBLE = 0xF4, 0xF5, 0xF6, 0xFB
_CONSTANTS = {_FALSE: False, _TRUE: True, _NULL: None}
_INT32 = range(-(2**31), 2**31)
_WHOLE_MAX = 2.0**53


class Malformed(ValueError):
    """The bytes are no message of DevTools."""


def encode(message: Mapping[str, Any]) -> bytes:
    """One message. Of bool, int, float, str, bytes, None, lists and maps with text for keys; TypeError otherwise."""
    return _encoded(message)


def size(buffer: bytes | bytearray) -> int:
    """Bytes of the message at the start of `buffer`, which need not be there yet; 0 as long as that is not known.

    Malformed when none starts there.
    """
    if not buffer.startswith(_ENVELOPE[: len(buffer)]):
        raise Malformed(f"no message begins with {bytes(buffer[:8])!r}")
    if len(buffer) < HEADER_BYTES:
        return 0
    return HEADER_BYTES + int.from_bytes(buffer[len(_ENVELOPE) : HEADER_BYTES], "big")


def decode(data: bytes) -> Any:
    """What one message says; Malformed when it is none, or more than one."""
    try:
        value, end = _value(data, 0, 0)
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise Malformed(f"cut short or no text: {error}") from error
    if end != len(data):
        raise Malformed(f"{len(data) - end} bytes follow the message")
    return value


def _encoded(value: Any) -> bytes:
    if value is None or isinstance(value, bool):
        return bytes((_NULL if value is None else _TRUE if value else _FALSE,))
    if isinstance(value, int) and value in _INT32:
        return _head(_UNSIGNED, value) if value >= 0 else _head(_NEGATIVE, -1 - value)
    if isinstance(value, int | float):
        return struct.pack(">Bd", _DOUBLE, value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bytes):
        return _head(_TAG, _BINARY) + _head(_BYTES, len(value)) + value
    if isinstance(value, Mapping):
        return _enveloped(_MAP_START, (_encoded(part) for item in value.items() for part in item))
    if isinstance(value, list | tuple):
        return _enveloped(_LIST_START, map(_encoded, value))
    raise TypeError(f"DevTools has no {type(value).__name__}")


def _text(value: str) -> bytes:
    try:
        data, kind = value.encode(), _TEXT
    except UnicodeEncodeError:  # half of a surrogate pair, which a page's strings may hold
        data, kind = value.encode("utf-16-le", "surrogatepass"), _BYTES
    return _head(kind, len(data)) + data


def _enveloped(start: int, items: Iterable[bytes]) -> bytes:
    body = b"".join((bytes((start,)), *items, bytes((_END,))))
    return _ENVELOPE + len(body).to_bytes(4, "big") + body


def _head(kind: int, number: int) -> bytes:
    if number < 24:
        return bytes((kind << 5 | number,))
    width = 1 if number < 1 << 8 else 2 if number < 1 << 16 else 4
    return bytes((kind << 5 | 23 + width.bit_length(),)) + number.to_bytes(width, "big")


def _value(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    """The value at `at`, and where the next one begins."""
    first = data[at]
    if data.startswith(_ENVELOPE, at):
        at += HEADER_BYTES
        first = data[at]
    if first == _MAP_START:
        return _map(data, at + 1, depth + 1)
    if first == _LIST_START:
        return _list(data, at + 1, depth + 1)
    if first in _CONSTANTS:
        return _CONSTANTS[first], at + 1
    if first == _DOUBLE:
        (number,) = struct.unpack_from(">d", data, at + 1)
        # JavaScript knows no other numbers: JSON has those that are whole without a point.
        return int(number) if abs(number) <= _WHOLE_MAX and number.is_integer() else number, at + 9
    return _simple(data, at)


def _simple(data: bytes, at: int) -> tuple[Any, int]:
    """Numbers, text and bytes: what says itself how long it is."""
    kind, number, at = _number(data, at)
    is_binary = kind == _TAG and number == _BINARY
    if is_binary:
        kind, number, at = _number(data, at)
    if kind == _UNSIGNED:
        return number, at
    if kind == _NEGATIVE:
        return -1 - number, at
    if kind not in (_BYTES, _TEXT) or (is_binary and kind == _TEXT):
        raise Malformed(f"nothing of DevTools' is of kind {kind} ({number})")
    found, end = data[at : at + number], at + number
    if end > len(data):
        raise Malformed(f"{number} bytes announced, {len(found)} there")
    if is_binary:
        return found, end
    return found.decode() if kind == _TEXT else found.decode("utf-16-le", "surrogatepass"), end


def _number(data: bytes, at: int) -> tuple[int, int, int]:
    """Kind and number of the head at `at`, and where it ends."""
    kind, short = data[at] >> 5, data[at] & 31
    if short < 24:
        return kind, short, at + 1
    if short > 27:
        raise Malformed(f"no head begins with {data[at]:#x}")
    end = at + 1 + (1 << short - 24)
    if end > len(data):
        raise Malformed("cut short in a head")
    return kind, int.from_bytes(data[at + 1 : end], "big"), end


def _map(data: bytes, at: int, depth: int) -> tuple[dict[str, Any], int]:
    _limit(depth)
    found: dict[str, Any] = {}
    while data[at] != _END:
        key, at = _simple(data, at)
        if not isinstance(key, str):
            raise Malformed(f"a key is {key!r}")
        found[key], at = _value(data, at, depth)
    return found, at + 1


def _list(data: bytes, at: int, depth: int) -> tuple[list[Any], int]:
    _limit(depth)
    found: list[Any] = []
    while data[at] != _END:
        item, at = _value(data, at, depth)
        found.append(item)
    return found, at + 1


def _limit(depth: int) -> None:
    if depth > DEPTH_MAX:
        raise Malformed(f"more than {DEPTH_MAX} deep")
