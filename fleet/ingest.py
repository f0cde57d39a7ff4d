"""Verified ingest: a pulled frame counts only after its name, kind, size, digest and image data are right.

Everything in the quarantine came from a host and is untrusted; names are made here, from integers.
"""

import hashlib
import os
import shutil
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from capture import images, protocol
from capture.protocol import FrameFile, FrameRange, SegmentFile
from fleet.model import Plan

# A 1080p PNG of noise is 6 MB; anything above this is not a frame.
FRAME_LIMIT_BYTES = 64 << 20
HEADER_BYTES = 64 << 10
# rsync's own chatter on top of the files' bytes, per file and per transfer.
OVERHEAD_BYTES_PER_FILE = 512
OVERHEAD_BYTES = 256 << 10


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of one batch: frames that count now, and for the others one sentence each."""

    verified: tuple[FrameFile, ...]
    rejected: tuple[tuple[FrameFile, str], ...]


class FrameRejected(Exception):
    """The file is not the frame that was announced."""


def names(frames: Iterable[FrameFile], chunk: FrameRange, plan: Plan) -> list[str]:
    """File names of `frames` within `chunk`."""
    return [protocol.frame_name(frame.index - chunk.start, plan.image) for frame in frames]


def frame_limit(plan: Plan) -> int:
    """The most bytes that one honest frame of `plan` can take: its pixels stored as they are, and some headers."""
    return min(FRAME_LIMIT_BYTES, plan.image_width * plan.image_height * 5 + HEADER_BYTES)


def byte_limit(frames: Iterable[FrameFile]) -> int:
    """The most bytes that an honest transfer of `frames` can take."""
    return sum(frame.size_bytes + OVERHEAD_BYTES_PER_FILE for frame in frames) + OVERHEAD_BYTES


def ingest(quarantine: Path, frames: Iterable[FrameFile], *, chunk: FrameRange, plan: Plan, to: Path) -> Ingested:
    """Moves every frame that is what its host announced from `quarantine` into `to`, then empties the quarantine."""
    to.mkdir(mode=0o700, parents=True, exist_ok=True)
    verified, rejected = [], []
    for frame in frames:
        name = protocol.frame_name(frame.index - chunk.start, plan.image)
        try:
            verify(quarantine / name, frame, plan)
        except FrameRejected as error:
            rejected.append((frame, str(error)))
        else:
            (quarantine / name).rename(to / name)
            verified.append(frame)
    shutil.rmtree(quarantine, ignore_errors=True)
    return Ingested(tuple(verified), tuple(rejected))


def take_segment(quarantine: Path, name: str, segment: SegmentFile, target: Path) -> None:
    """Moves the segment to `target` when it is what its host announced; FrameRejected when not."""
    data = _read_plain_file(quarantine / name, segment.size_bytes)
    if len(data) != segment.size_bytes or hashlib.sha256(data).hexdigest() != segment.sha256:
        raise FrameRejected(f"segment {segment.frames}: {len(data)} bytes came that are not what was announced")
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    (quarantine / name).rename(target)


def is_segment(path: Path, segment: SegmentFile) -> bool:
    """Whether the file is this very segment."""
    try:
        data = _read_plain_file(path, segment.size_bytes)
    except FrameRejected:
        return False
    return hashlib.sha256(data).hexdigest() == segment.sha256


def measure(path: Path) -> tuple[str, int]:
    """sha256 and size of the file, flushed to the disk."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
        return digest, os.fstat(file.fileno()).st_size


def take_screenshot(quarantine: Path, name: str, target: Path) -> bool:
    """Moves a pulled PNG of any size to `target`, then empties the quarantine; False when there is none."""
    try:
        data = _read_plain_file(quarantine / name, FRAME_LIMIT_BYTES)
    except FrameRejected:
        data = b""
    is_png = data.startswith(images.PNG_START)
    if is_png:
        (quarantine / name).rename(target)
    shutil.rmtree(quarantine, ignore_errors=True)
    return is_png


def verify(path: Path, frame: FrameFile, plan: Plan) -> None:
    """FrameRejected unless `path` is a plain file with the announced bytes and a whole image of the plan's size."""
    data = _read_plain_file(path, min(frame.size_bytes, frame_limit(plan)))
    if len(data) != frame.size_bytes:
        raise FrameRejected(f"frame {frame.index}: {len(data)} bytes came, {frame.size_bytes} were announced")
    if (digest := hashlib.sha256(data).hexdigest()) != frame.sha256:
        raise FrameRejected(f"frame {frame.index}: sha256 is {digest[:12]}, {frame.sha256[:12]} was announced")
    if fault := images.fault(data, plan.image, width=plan.image_width, height=plan.image_height):
        raise FrameRejected(f"frame {frame.index}: {fault}")


def _read_plain_file(path: Path, expected_bytes: int) -> bytes:
    if expected_bytes > FRAME_LIMIT_BYTES:
        raise FrameRejected(f"{path.name}: {expected_bytes} bytes is no frame")
    try:
        # O_NOFOLLOW and O_NONBLOCK: a link or a FIFO planted as a frame must neither be followed nor hang us.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise FrameRejected(f"{path.name}: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # asked before Python opens it, which fails for a folder
        os.close(descriptor)
        raise FrameRejected(f"{path.name}: not a regular file")
    with os.fdopen(descriptor, "rb") as file:
        return file.read(expected_bytes + 1)
