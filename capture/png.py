"""Pixels of a PNG as Chromium writes them: 8 bits, RGB or RGBA, not interlaced. Pure: no I/O.

For checks of a small image; a 1080p frame takes seconds in pure Python.
"""

import struct
import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {2: 3, 6: 4}  # colour type -> bytes per pixel


def rows(data: bytes) -> list[list[tuple[int, int, int]]]:
    """RGB of every pixel, row by row; ValueError when `data` is not such a PNG or is damaged."""
    if not data.startswith(SIGNATURE):
        raise ValueError("not a PNG")
    chunks = list(_chunks(data))
    if chunks[0][0] != b"IHDR" or len(chunks[0][1]) != 13:
        raise ValueError("damaged PNG: no header")
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", chunks[0][1])
    if depth != 8 or colour not in CHANNELS or interlace:
        raise ValueError(f"PNG of depth {depth}, colour type {colour}, interlace {interlace} is not supported")
    try:
        raw = zlib.decompress(b"".join(body for kind, body in chunks if kind == b"IDAT"))
    except zlib.error as error:
        raise ValueError(f"damaged PNG: {error}") from error
    step = CHANNELS[colour]
    stride = width * step
    if len(raw) != height * (stride + 1):
        raise ValueError("damaged PNG: wrong amount of pixels")
    lines = _unfiltered(raw, stride, step)
    return [[(line[x], line[x + 1], line[x + 2]) for x in range(0, stride, step)] for line in lines]


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(SIGNATURE)
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        if data[at + 8 + length : at + 12 + length] != struct.pack(">I", zlib.crc32(kind + body)):
            raise ValueError(f"damaged PNG: checksum of {kind!r}")
        yield kind, body
        at += 12 + length
    if at != len(data) or at == len(SIGNATURE):
        raise ValueError("damaged PNG: it ends inside a chunk")


def _unfiltered(raw: bytes, stride: int, step: int) -> Iterator[bytearray]:
    above = bytearray(stride)
    for start in range(0, len(raw), stride + 1):
        line = bytearray(raw[start + 1 : start + 1 + stride])
        _unfilter(raw[start], line, above, step)
        yield line
        above = line


def _unfilter(kind: int, line: bytearray, above: bytearray, step: int) -> None:
    for x in range(len(line)):
        left = line[x - step] if x >= step else 0
        corner = above[x - step] if x >= step else 0
        line[x] = line[x] + _predicted(kind, left, above[x], corner) & 0xFF


def _predicted(kind: int, left: int, up: int, corner: int) -> int:
    match kind:
        case 0:
            return 0
        case 1:
            return left
        case 2:
            return up
        case 3:
            return (left + up) // 2
        case 4:
            guess = left + up - corner
            return min((left, up, corner), key=lambda value: abs(guess - value))
        case _:
            raise ValueError(f"damaged PNG: filter {kind}")
