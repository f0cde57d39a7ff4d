"""What font files can draw, read from the files themselves, and small fonts made out of large ones. No I/O."""

import base64
import binascii
import io
import logging
from collections.abc import Iterable

import brotli
from fontTools import subset
from fontTools.ttLib import TTFont, TTLibError

# What a damaged file makes the library raise.
_DAMAGED = (TTLibError, brotli.error, ValueError, KeyError, IndexError, EOFError, AttributeError, AssertionError)
_JOINERS = "\u200d\ufe0f\u20e3\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"

logging.getLogger("fontTools").setLevel(logging.ERROR)


def characters(data: bytes) -> frozenset[str] | None:
    """The characters that a font file has glyphs for; None when it cannot be read."""
    try:
        with TTFont(io.BytesIO(data), lazy=True) as font:
            return frozenset(map(chr, font.getBestCmap() or ()))
    except (*_DAMAGED, OSError):
        return None


def cut(data: bytes, wanted: Iterable[str]) -> bytes:
    """The font with the wanted characters, and all that is joined out of them, as WOFF2; equal bytes for equal input.

    For colour fonts: files of several megabytes of which a page shows a few pictures.
    """
    options = subset.Options(flavor="woff2", layout_features=["*"], drop_tables=["DSIG"])
    options.recalc_timestamp = False
    with TTFont(io.BytesIO(data), recalcTimestamp=False) as font:
        if "SVG " in font:
            del font["SVG "]  # Chromium draws COLR, and never this
        subsetter = subset.Subsetter(options)
        subsetter.populate(text="".join(sorted({*wanted, *_JOINERS})))
        subsetter.subset(font)
        font.flavor = "woff2"
        output = io.BytesIO()
        font.save(output)
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
