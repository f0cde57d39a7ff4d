"""Frames as files: whole or absent. Published by rename, named by local index, digested on the way.

Completeness is judged by the image's own header and end mark, so that a truncated file counts as missing.
"""

import errno
import hashlib
import os
import struct
from contextlib import suppress
from pathlib import Path

from capture.faults import CaptureError, FaultCode
from capture.protocol import FrameFile, ImageFormat, frame_name

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"
JPEG_END = b"\xff\xd9"
# Start-of-frame markers of JPEG: 0xC0-0xCF without the three of that range that are tables.
JPEG_SIZE_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
HEADER_BYTES = 64 * 1024  # a JPEG segment before the size can be this long; Chromium's takes 200 bytes
_DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def write(data: bytes, *, directory: Path, frame: int, offset: int, image: ImageFormat) -> FrameFile:
    """Publishes the absolute `frame` under its number within the chunk. Raises CaptureError DISK_FULL or INTERNAL."""
    publish(data, directory / frame_name(frame - offset, image))
    return FrameFile(frame, len(data), hashlib.sha256(data).hexdigest())


def publish(data: bytes, path: Path) -> None:
    """`data` at `path`, whole or not at all; an earlier file is replaced."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        code = FaultCode.DISK_FULL if error.errno in _DISK_ERRORS else FaultCode.INTERNAL
        raise CaptureError(code, f"cannot write {path}: {error.strerror}") from error


def find_missing(
    directory: Path, count: int, image: ImageFormat, size: tuple[int, int] | None = None
) -> tuple[int, ...]:
    """Local indices in [0, count) whose file is absent, incomplete, or not of `size` pixels when that is given."""
    return tuple(index for index in range(count) if not is_whole(directory / frame_name(index, image), image, size))


def is_whole(path: Path, image: ImageFormat, size: tuple[int, int] | None = None) -> bool:
    """Whether the file at `path` is a complete image."""
    try:
        with path.open("rb") as file:
            head = file.read(HEADER_BYTES)
            file.seek(-min(len(PNG_END), len(head)), os.SEEK_END)
            tail = file.read()
    except OSError:
        return False
    return _is_whole(head, tail, image, size)


def is_whole_image(data: bytes, image: ImageFormat, size: tuple[int, int] | None = None) -> bool:
    """Whether `data` is a complete image."""
    return _is_whole(data[:HEADER_BYTES], data[-len(PNG_END) :], image, size)


def image_size(head: bytes, image: ImageFormat) -> tuple[int, int] | None:
    """Width and height that the first bytes of an image promise; None when they are not of that format."""
    return _png_size(head) if image is ImageFormat.PNG else _jpeg_size(head)


def _is_whole(head: bytes, tail: bytes, image: ImageFormat, size: tuple[int, int] | None) -> bool:
    found = image_size(head, image)
    end = PNG_END if image is ImageFormat.PNG else JPEG_END
    return found is not None and tail.endswith(end) and size in (None, found)


def _png_size(head: bytes) -> tuple[int, int] | None:
    if len(head) < 24 or not head.startswith(PNG_SIGNATURE) or head[12:16] != b"IHDR":
        return None
    width, height = struct.unpack_from(">II", head, 16)
    return (width, height) if width and height else None


def _jpeg_size(head: bytes) -> tuple[int, int] | None:
    if not head.startswith(b"\xff\xd8"):
        return None
    at = 2
    while at + 9 <= len(head) and head[at] == 0xFF:
        length = struct.unpack_from(">H", head, at + 2)[0]
        if head[at + 1] in JPEG_SIZE_MARKERS:
            height, width = struct.unpack_from(">HH", head, at + 5)
            return (width, height) if width and height else None
        at += 2 + length
    return None
