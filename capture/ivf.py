"""Stills with their times as one stream of bytes, which FFmpeg reads from a pipe (IVF). Pure: no I/O.

A picture that is shown in several frames is sent once: FFmpeg's `fps` filter fills the gap up to the next one.
"""

import struct
from fractions import Fraction

from capture.protocol import ImageFormat

_HEADER_BYTES = 32
_CODECS = {ImageFormat.JPEG: b"MJPG", ImageFormat.PNG: b"MPNG"}


def header(image: ImageFormat, width: int, height: int, fps: Fraction) -> bytes:
    """First bytes of a stream of pictures of so many pixels; its clock ticks once a frame."""
    rate = (fps.numerator, fps.denominator)
    return struct.pack("<4sHH4sHHIIII", b"DKIF", 0, _HEADER_BYTES, _CODECS[image], width, height, *rate, 0, 0)


def packet(frame: int, picture: bytes) -> bytes:
    """The `picture` that is shown from `frame` on, counted from 0; larger from packet to packet."""
    return struct.pack("<IQ", len(picture), frame) + picture
