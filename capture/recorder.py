"""Puts the pictures of a worker on disk and tells of them; a repeat is a link to the file of the frame before it.

Repeats are told of only when the next new picture, or the end of their block, has come: until then they may still be
found to be misjudged, and nobody has heard of them.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from capture import frames, protocol
from capture.protocol import Block, FrameFile, ImageFormat


class Recorder:
    """The frames of one block after the other."""

    def __init__(self, image: ImageFormat, tell: Callable[[FrameFile], None]) -> None:
        self._image = image
        self._tell = tell
        self._held: list[FrameFile] = []
        self._picture: bytes | None = None  # the last one, and below what it was written as
        self._written: FrameFile | None = None
        self._file = Path()

    def add(self, block: Block, frame: int, picture: bytes, *, took_ms: int) -> None:
        """Stores an absolute frame of `block`. Raises CaptureError DISK_FULL or INTERNAL."""
        directory = Path(block.directory)
        path = directory / protocol.frame_name(frame - block.offset, self._image)
        if self._written is not None and picture is self._picture:
            frames.repeat(self._file, picture, path)
            self._held.append(dataclasses.replace(self._written, index=frame, took_ms=took_ms))
        else:
            self.settle()
            written = frames.write(picture, directory=directory, frame=frame, offset=block.offset, image=self._image)
            self._picture, self._written = picture, dataclasses.replace(written, took_ms=took_ms)
            self._tell(self._written)
        self._file = path

    def settle(self) -> None:
        """Tells of the repeats so far: they are right."""
        for frame in self._held:
            self._tell(frame)
        self._held.clear()

    def forget(self) -> None:
        """Drops the repeats that nobody has been told of."""
        self._held.clear()
