"""Whether bytes are one whole JPEG or PNG of a given size, by header and end mark. Pure: no I/O, decodes no pixels."""

import re

from capture.protocol import ImageFormat

PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"
_JPEG_START = b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"
# Start-of-frame markers hold the size; C4, C8 and CC are tables in the middle of their numbers.
_JPEG_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# In compressed pixels FF is followed by 00 or a restart marker. A second picture, or a second frame header with
# another size, has no place there: decoders would believe it.
_JPEG_SECOND = re.compile(rb"\xff[\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf\xd8\xd9]")
# All that Chromium writes, and what describes the same pixels better. Not text or profiles, which unpack to any size,
# nor the frames of an animation.
_PNG_CHUNKS = frozenset({b"IHDR", b"IDAT", b"IEND", b"sRGB", b"gAMA", b"cHRM", b"sBIT", b"pHYs", b"PLTE", b"tRNS"})


def fault(data: bytes, image: ImageFormat, *, width: int, height: int) -> str:
    """What is wrong with `data` as a whole `image` of this size; empty when nothing is."""
    start, end = (_JPEG_START, _JPEG_END) if image is ImageFormat.JPEG else (PNG_START, _PNG_END)
    if not data:
        return "empty"
    if not data.startswith(start):
        return f"not a {image.name}"
    if not data.endswith(end):
        return f"truncated: {len(data)} bytes without an end marker"
    size = _jpeg_size(data) if image is ImageFormat.JPEG else _png_size(data)
    if size is None:
        return "no picture header"
    if size != (width, height):
        return f"{size[0]}x{size[1]} pixels instead of {width}x{height}"
    return _jpeg_excess(data) if image is ImageFormat.JPEG else _png_excess(data)


def _jpeg_excess(data: bytes) -> str:
    scan = data.find(b"\xff\xda")
    second = _JPEG_SECOND.search(data, scan, len(data) - len(_JPEG_END)) if scan >= 0 else None
    return f"a second picture in it, at byte {second.start()}" if second else ""


def _png_excess(data: bytes) -> str:
    at = len(PNG_START)
    while at < len(data):
        kind = data[at + 4 : at + 8]
        if kind not in _PNG_CHUNKS:
            return f"a part that no frame has, at byte {at}: {kind!r}"
        at += 12 + int.from_bytes(data[at : at + 4])
    return "" if at == len(data) else "parts beyond its end"


def _png_size(data: bytes) -> tuple[int, int] | None:
    if data[12:16] != b"IHDR" or len(data) < 24:
        return None
    return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        if data[at + 1] in _JPEG_FRAME_MARKERS:
            return int.from_bytes(data[at + 7 : at + 9]), int.from_bytes(data[at + 5 : at + 7])
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return None
