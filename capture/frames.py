"""Frames as files: whole or absent. Published by rename, named by local index, digested on the way.

What a whole image is, `capture/images.py` decides; so a truncated file counts as missing.
"""

import errno
import hashlib
import os
from contextlib import suppress
from pathlib import Path

from capture import images
from capture.faults import CaptureError, FaultCode
from capture.protocol import FrameFile, ImageFormat, frame_name

_DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def write(data: bytes, *, directory: Path, frame: int, offset: int, image: ImageFormat) -> FrameFile:
    """Publishes the absolute `frame` under its number within the chunk. Raises CaptureError DISK_FULL or INTERNAL."""
    publish(data, directory / frame_name(frame - offset, image))
    return described(data, frame)


def described(data: bytes, frame: int) -> FrameFile:
    """The absolute `frame` as it is announced."""
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


def repeat(source: Path, data: bytes, path: Path) -> None:
    """The file `source`, whose content is `data`, at `path` as well: a link, or a copy where there can be none."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        os.link(source, part)
        part.replace(path)
    except OSError:  # it was fetched and deleted, or is on another file system
        publish(data, path)
    finally:
        part.unlink(missing_ok=True)  # it stays when both names are the same file already


def find_missing(directory: Path, count: int, image: ImageFormat, size: tuple[int, int]) -> tuple[int, ...]:
    """Local indices in [0, count) whose file is absent, incomplete or not of `size` pixels."""
    return tuple(index for index in range(count) if not is_whole(directory / frame_name(index, image), image, size))


def is_whole(path: Path, image: ImageFormat, size: tuple[int, int]) -> bool:
    """Whether the file at `path` is a complete image of `size` pixels."""
    try:
        return is_whole_image(path.read_bytes(), image, size)
    except OSError:
        return False


def is_whole_image(data: bytes, image: ImageFormat, size: tuple[int, int]) -> bool:
    """Whether `data` is a complete image of `size` pixels."""
    return not images.fault(data, image, width=size[0], height=size[1])
