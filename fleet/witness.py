"""Frames that came twice, and chunks whose frames are hard to believe. Pure: it remembers digests, never pictures.

Two hosts that draw one frame differently are evidence, whichever of them is right. What is hard to believe is captured
again elsewhere and compared in the same way.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from capture import protocol
from capture.protocol import FrameFile, FrameRange
from fleet import events, frameset
from fleet.frameset import FrameSet

# Fewer equal frames are common: a title that stands for a quarter of a second.
EQUAL_FRAMES_MIN = 12
# Against all others together: caches and light scenes are worth a factor of a few.
IMPLAUSIBLE_FACTOR = 20.0
IMPLAUSIBLE_FRAMES_MIN = 60


@dataclass(frozen=True, slots=True)
class _Seen:
    host: str
    digest: bytes


class Witness:
    """The first digest of every verified frame, who delivered it, and who else drew the same."""

    def __init__(self) -> None:
        self._frames: dict[int, _Seen] = {}
        self._vouchers: dict[int, set[str]] = {}
        self.classes: dict[str, str] = {}  # of pixels, by host

    def class_of(self, host: str) -> str:
        """The pixels that the host draws."""
        return self.classes.get(host, "")

    def are_alike(self, host: str, other: str) -> bool:
        """Whether they can be compared at all."""
        return self.class_of(host) == self.class_of(other)

    def hear(self, host: str, files: Sequence[FrameFile]) -> list[events.Disagreed]:
        """Takes in verified frames; says which of them differ from what another host delivered before."""
        differing: list[events.Disagreed] = []
        for file in files:
            now = _Seen(host, bytes.fromhex(file.sha256))
            before = self._frames.setdefault(file.index, now)
            if before.host == host or not self.are_alike(before.host, host):
                continue
            if before.digest == now.digest:
                self._vouchers.setdefault(file.index, set()).add(host)
            else:
                digests = (before.digest.hex(), now.digest.hex())
                differing.append(events.Disagreed(frame=file.index, hosts=(before.host, host), digests=digests))
        return differing

    def see(self, host: str, file: FrameFile) -> events.SeamMatched | events.Disagreed | None:
        """Compares a frame that was drawn beside another chunk with the one that counts; None while that is not here.

        Drawn by the same host again, it proves as much: another page has come to it.
        """
        before = self._frames.get(file.index)
        if before is None:
            return None
        if before.digest == bytes.fromhex(file.sha256):
            if before.host != host:
                self._vouchers.setdefault(file.index, set()).add(host)
            return events.SeamMatched(file.index, (before.host, host))
        digests = (before.digest.hex(), file.sha256)
        return events.Disagreed(frame=file.index, hosts=(before.host, host), digests=digests)

    def deliverer(self, frame: int) -> str | None:
        """Whose picture of the frame counts."""
        seen = self._frames.get(frame)
        return None if seen is None else seen.host

    def unproven(self, distrusted: Collection[str]) -> dict[str, FrameSet]:
        """Frames that nobody has drawn but `distrusted` hosts, by who delivered them."""
        found: dict[str, list[int]] = {}
        for frame, seen in self._frames.items():
            if seen.host in distrusted and self._vouchers.get(frame, set()) <= set(distrusted):
                found.setdefault(seen.host, []).append(frame)
        return {host: frameset.of(protocol.ranges_of(frames)) for host, frames in found.items()}

    def forget(self, frames: FrameSet) -> None:
        """These frames are still to come."""
        for frame in frames:
            self._frames.pop(frame, None)
            self._vouchers.pop(frame, None)

    def known_frame(self, other_than: str) -> int | None:
        """A verified frame that another host than this one delivered."""
        return next(
            (
                frame
                for frame, seen in self._frames.items()
                if seen.host != other_than and self.are_alike(seen.host, other_than)
            ),
            None,
        )

    def are_equal_beside_another(self, host: str, stored: FrameSet) -> bool:
        """Whether all these frames of `host` are the same picture, and a neighbour's frame at their border is not."""
        if len(stored) < EQUAL_FRAMES_MIN:
            return False
        digests = {seen.digest for frame in stored if (seen := self._frames.get(frame)) is not None}
        borders = [self._frames.get(frame) for frame in (stored.span.start - 1, stored.span.stop)]
        return len(digests) == 1 and any(
            seen is not None and seen.host != host and self.are_alike(seen.host, host) and seen.digest not in digests
            for seen in borders
        )


def is_implausibly_fast(frames: float, took_s: float, others_per_s: float) -> bool:
    """Whether `frames` in `took_s` is far beyond what all other hosts together were seen to do."""
    return frames >= IMPLAUSIBLE_FRAMES_MIN and 0 < IMPLAUSIBLE_FACTOR * others_per_s * took_s < frames


def spread(frames: FrameSet, share: float) -> list[int]:
    """That part of `frames`, evenly spread, at least one."""
    every = list(frames)
    count = min(len(every), max(1, round(len(every) * share)))
    return [every[(2 * index + 1) * len(every) // (2 * count)] for index in range(count)]


def sample(stored: FrameSet) -> tuple[FrameRange, ...]:
    """A few of these frames to capture again: the first, the middle, the last."""
    frames = list(stored)
    chosen = sorted({frames[0], frames[len(frames) // 2], frames[-1]})
    return tuple(FrameRange(frame, frame + 1) for frame in chosen)
