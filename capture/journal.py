"""The frames of one chunk on this host's disk: what was announced, and whether the files still are that.

File names count from 0 within the chunk; everything else here speaks of absolute frames.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from capture import frames as images
from capture import protocol, store, wire
from capture.protocol import Capture, FrameFile, FrameRange

_JOURNAL = "frames.jsonl"


class Journal:
    """Announced frames of one chunk, in memory and in `frames.jsonl`, where the next agent of the run finds them."""

    def __init__(self, directory: Path, order: Capture) -> None:
        self.directory = directory
        self.spec = order.spec
        self._start = order.frames.start
        self._image = order.spec.image
        self._size = (order.spec.image_width, order.spec.image_height)
        self._frames: dict[int, FrameFile] = {}
        self._stored: set[int] = set()
        self.spool: dict[int, int] = {}  # bytes of each frame that is finished here, and not stored elsewhere yet
        self._resume(_identity(order))

    def path(self, frame: int) -> Path:
        """File of the absolute `frame`."""
        return self.directory / protocol.frame_name(frame - self._start, self._image)

    def segment(self, frames: FrameRange) -> Path:
        """File of a segment of the chunk, once it is made."""
        return self.directory / protocol.segment_name(frames.start - self._start)

    def announced(self, frames: Iterable[int]) -> list[FrameFile]:
        """Those of `frames` that were announced, and are not stored elsewhere."""
        return [self._frames[frame] for frame in frames if frame in self._frames]

    def add(self, frame: FrameFile) -> None:
        """Remembers a frame that a worker has written."""
        self.spool[frame.index] = frame.size_bytes
        self._frames[frame.index] = frame
        self._append(wire.to_plain(frame))

    def whole(self, frames: Iterable[int]) -> list[FrameFile]:
        """Those of `frames` that were announced and are on disk exactly as announced."""
        found = [self._frames[frame] for frame in frames if self._is_whole(frame)]
        self.spool |= {frame.index: frame.size_bytes for frame in found}
        return found

    def damaged(self, frames: Iterable[int]) -> list[int]:
        """Those of `frames` that are neither on disk as announced nor stored elsewhere."""
        return [frame for frame in frames if frame not in self._stored and not self._is_whole(frame)]

    def delete(self, frames: Iterable[int]) -> None:
        """Deletes the files of `frames`, which are stored elsewhere by now."""
        for frame in frames:
            self.path(frame).unlink(missing_ok=True)
            self.spool.pop(frame, None)
            self._frames.pop(frame, None)
            self._stored.add(frame)

    def _is_whole(self, frame: int) -> bool:
        known = self._frames.get(frame)
        try:
            data = self.path(frame).read_bytes()
        except OSError:
            return False
        return (
            known is not None
            and len(data) == known.size_bytes
            and hashlib.sha256(data).hexdigest() == known.sha256
            and images.is_whole_image(data, self._image, self._size)
        )

    def _resume(self, identity: str) -> None:
        """Reads what an earlier agent wrote; frames of another spec or range are not of this chunk and go."""
        lines = _lines(self.directory / _JOURNAL)
        if lines[:1] == [{"chunk": identity}]:
            for line in lines[1:]:
                # Without the time that it took: nobody captured it this time.
                frame = dataclasses.replace(wire.from_plain(FrameFile, line), took_ms=0)
                self._frames[frame.index] = frame
            return
        for file in self.directory.iterdir():
            store.delete(file)
        self._append({"chunk": identity})

    def _append(self, plain: object) -> None:
        with (self.directory / _JOURNAL).open("a") as file:
            file.write(json.dumps(plain, separators=(",", ":")) + "\n")


def _identity(order: Capture) -> str:
    plain = {"spec": wire.to_plain(order.spec), "frames": wire.to_plain(order.frames)}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _lines(path: Path) -> list[object]:
    """Whole lines only: the last one may have been cut off when its writer was killed."""
    try:
        text = path.read_text()
    except OSError:
        return []
    lines: list[object] = []
    for line in text.splitlines(keepends=True):
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
    return lines
