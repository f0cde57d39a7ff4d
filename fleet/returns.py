"""What hosts send back, frames or segments that they encode themselves, and why. Pure: no I/O; time is an argument."""

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from capture.protocol import FrameRange, Rehearsed
from fleet import frameset, sentences
from fleet.formats import FORMATS
from fleet.frameset import FrameSet
from fleet.model import Plan

# What a link is used for that long tells its speed; a single pull is mostly its fixed cost.
MEASURED_S = 3.0
# A link that is busy for longer makes the coordinator fall behind as soon as frames become larger.
SHARE_MAX = 0.7
REMEDY = "install the same FFmpeg there as here, or pass `--return frames`"


class Returns(enum.Enum):
    """What hosts send back; the value is the option's word."""

    FRAMES = "frames"
    SEGMENTS = "segments"
    AUTO = "auto"


def segments(grid: Sequence[FrameRange], todo: Iterable[FrameRange], verified: FrameSet) -> tuple[FrameRange, ...]:
    """The segments whose frames are all in one order, and nowhere else yet."""
    inside = frameset.of(todo)
    return tuple(one for one in grid if len(frameset.of([one]) & inside - verified) == len(one))


def segment_name(plan: Plan, index: int) -> str:
    """File name of a segment of the plan's grid, once it is here."""
    return f"segment_{index:05d}{FORMATS[plan.format].segment_suffix}"


def misfit(here: Rehearsed, there: Rehearsed) -> str:
    """Why segments that a host makes would not be those that are made here; empty when they are."""
    if there.why:
        return f"cannot encode segments: {sentences.clean(there.why)}"
    ours, theirs = _build(here), _build(there)
    if ours[:1] != theirs[:1]:
        return f"its FFmpeg is another one: {_first(theirs)}, here {_first(ours)}"
    if ours != theirs:
        return "its FFmpeg is built in another way, or with other libraries"
    return "" if there.sha256 == here.sha256 else "its FFmpeg makes other bytes of the same stills"


@dataclass(slots=True)
class Flow:
    """How fast a host makes bytes of frames, and how fast they come over."""

    made_bytes: int = 0
    began_s: float | None = None
    came_bytes: int = 0
    busy_s: float = 0.0

    def made(self, size_bytes: int, now_s: float) -> None:
        """Frames were announced."""
        self.began_s = now_s if self.began_s is None else self.began_s
        self.made_bytes += size_bytes

    def came(self, size_bytes: int, took_s: float) -> None:
        """Frames came over."""
        self.came_bytes += size_bytes
        self.busy_s += took_s

    def choice(self, now_s: float) -> tuple[Returns, str] | None:
        """What the host should send from now on; None while that is not known."""
        if self.began_s is None or now_s - self.began_s < MEASURED_S or not self.busy_s or not self.came_bytes:
            return None
        makes, takes = self.made_bytes / (now_s - self.began_s), self.came_bytes / self.busy_s
        why = f"its frames are {sentences.size(round(makes))}/s, its link takes {sentences.size(round(takes))}/s"
        return (Returns.SEGMENTS if makes > SHARE_MAX * takes else Returns.FRAMES), why


def _build(answer: Rehearsed) -> list[str]:
    """Version, configuration and libraries; not the compiler."""
    return [line for line in answer.build if line.startswith(("ffmpeg version", "configuration:", "lib"))]


def _first(build: list[str]) -> str:
    return sentences.clean(build[0].partition(" Copyright")[0]) if build else "unknown"
