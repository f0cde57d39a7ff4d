"""What an earlier run of the same plan left that still counts: its log, replayed, minus files that are gone."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from capture import protocol
from capture.protocol import FrameFile, FrameRange, GlBackend
from fleet import events, frameset, ingest, returns
from fleet.frameset import FrameSet
from fleet.model import Plan

T = TypeVar("T", bound=events.Event)


def absent_frames(chunks: Path, plan: Plan, history: list[events.Record]) -> FrameSet:
    """Frames that the log says are verified and whose file is missing, or no longer what was verified."""
    ranges: dict[str, FrameRange] = {}
    homes: dict[int, str] = {}  # the chunk whose file of the frame counts; later ones were captured for comparison
    found: dict[int, bool] = {}  # whether some file of the frame is there, or the segment that it is in
    dropped: list[events.StillsDropped] = []
    for record in history:
        event = record.event
        if isinstance(event, events.ChunkOrdered):
            ranges[event.chunk] = event.frames
        elif isinstance(event, events.FramesRetracted):
            for index in [index for index in frameset.of(event.frames) if homes.get(index) == event.chunk]:
                del homes[index], found[index]
            dropped = [one for one in dropped if not frameset.of(event.frames).touches(one.frames)]
        elif isinstance(event, events.StillsDropped):
            dropped.append(event)
        elif isinstance(event, events.FramesVerified):
            is_encoded = _is_encoded(chunks, plan, event, ranges[event.chunk])
            for frame in event.frames:
                if homes.setdefault(frame.index, event.chunk) == event.chunk:
                    name = protocol.frame_name(frame.index - ranges[event.chunk].start, plan.image)
                    is_there = is_encoded or _is_there(chunks / event.chunk / name, frame, plan)
                    found[frame.index] = found.get(frame.index, False) or is_there
    absent = frameset.of(protocol.ranges_of(index for index, is_there in found.items() if not is_there))
    return absent - frameset.of(one.frames for one in dropped if _is_segment_there(chunks, plan, one))


def _is_encoded(chunks: Path, plan: Plan, event: events.FramesVerified, chunk: FrameRange) -> bool:
    """Whether the segment that came instead of the frames is there, among the others or still in its chunk."""
    if event.segment is None or event.segment.frames not in plan.segments:
        return False
    fetched = chunks / event.chunk / protocol.segment_name(event.segment.frames.start - chunk.start)
    kept = chunks.parent / "segments" / returns.segment_name(plan, plan.segments.index(event.segment.frames))
    return any(ingest.is_segment(path, event.segment) for path in (fetched, kept))


def _is_segment_there(chunks: Path, plan: Plan, event: events.StillsDropped) -> bool:
    """Whether the segment that was encoded here is what it was when its stills were deleted."""
    try:
        found = ingest.measure(chunks.parent / "segments" / returns.segment_name(plan, event.index))
    except OSError:
        return False
    return found == (event.sha256, event.size_bytes)


def _is_there(path: Path, frame: FrameFile, plan: Plan) -> bool:
    try:
        ingest.verify(path, frame, plan)
    except ingest.FrameRejected:
        return False
    return True


def fixed_browser(history: list[events.Record]) -> str | None:
    """The browser that the run was fixed to, if it came that far: its other frames must be drawn by the same."""
    fixed = _last(events.ModeFixed, history)
    return fixed.browser if fixed else None


def _last(kind: type[T], history: Sequence[events.Record]) -> T | None:
    return next((record.event for record in reversed(history) if isinstance(record.event, kind)), None)


def fixed_stepping(history: Sequence[events.Record], *, declared: bool) -> events.SteppingFixed | None:
    """Whether to step through every frame, when the plan says it or the run's other frames were captured so."""
    if declared:
        return events.SteppingFixed(True, "declared")
    return _last(events.SteppingFixed, history)


def fixed_backend(history: Sequence[events.Record]) -> events.BackendFixed | None:
    """What drew WebGL in the run's other frames, if it came that far."""
    has_begun = any(isinstance(record.event, events.ChunkOrdered) for record in history)
    unsaid = events.BackendFixed(GlBackend.SWIFTSHADER, "as before") if has_begun else None
    return _last(events.BackendFixed, history) or unsaid


def fixed_pixels(history: Sequence[events.Record]) -> events.PixelsFixed | None:
    """How the run's canary frames look, if it came that far with more than one host."""
    return _last(events.PixelsFixed, history)


def first_page(history: Sequence[events.Record]) -> events.PageLoaded | None:
    """How the run's first page got ready; those of a resumed run must do so the same way."""
    return next((record.event for record in history if isinstance(record.event, events.PageLoaded)), None)
