"""What font files can draw, read from the files themselves, and small fonts made out of large ones. No I/O.

What reads and writes fonts takes its time to import, and few compositions need it.
"""

import base64
import binascii
import io
import logging
from collections.abc import Iterable

_JOINERS = "\u200d\ufe0f\u20e3\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"

logging.getLogger("fontTools").setLevel(logging.ERROR)


def characters(data: bytes) -> frozenset[str] | None:
    """The characters that a font file has glyphs for; None when it cannot be read."""
    import brotli
    from fontTools.ttLib import TTFont, TTLibError

    damaged = (TTLibError, brotli.error, ValueError, KeyError, IndexError, EOFError, AttributeError, AssertionError)
    try:
        with TTFont(io.BytesIO(data), lazy=True) as font:
            return frozenset(map(chr, font.getBestCmap() or ()))
    except (*damaged, OSError):
        return None


def cut(data: bytes, wanted: Iterable[str]) -> bytes:
    """The font with the wanted characters, and what is joined out of them, as TrueType; the same bytes each time.

    For colour fonts: files of several megabytes of which a page shows a few pictures.
    """
    import uharfbuzz

    asked = uharfbuzz.SubsetInput()
    asked.unicode_set.update(map(ord, {*wanted, *_JOINERS}))
    # All of them: its own choice, turned round, would be all but those that join.
    asked.layout_feature_tag_set.clear()
    asked.layout_feature_tag_set.invert()
    return bytes(uharfbuzz.subset(uharfbuzz.Face(_plain(data)), asked).blob.data)


def _plain(data: bytes) -> bytes:
    """A font file as TrueType, without what Chromium never draws."""
    from fontTools.ttLib import TTFont

    output = io.BytesIO()
    with TTFont(io.BytesIO(data), lazy=True, recalcTimestamp=False, recalcBBoxes=False) as font:
        if "SVG " in font:
            del font["SVG "]  # it draws COLR
        font.flavor = None
        font.save(output, reorderTables=None)
    return output.getvalue()


def inside(address: str) -> bytes | None:
    """The bytes that a `data:` address holds; None when it is no such address."""
    head, comma, body = address.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        return None
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error:
        return None
