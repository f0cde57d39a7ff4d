"""What an earlier run of the same plan left that still counts: its log, replayed, minus files that are gone."""

from pathlib import Path

from capture import protocol
from capture.protocol import FrameRange
from fleet import events, frameset, ingest
from fleet.frameset import FrameSet
from fleet.model import Plan


def absent_frames(chunks: Path, plan: Plan, history: list[events.Record]) -> FrameSet:
    """Frames that the log says are verified and whose file is missing, or no longer what was verified."""
    ranges: dict[str, FrameRange] = {}
    gone: set[int] = set()
    kept: set[int] = set()
    for record in history:
        event = record.event
        if isinstance(event, events.ChunkOrdered):
            ranges[event.chunk] = event.frames
        elif isinstance(event, events.FramesVerified):
            for frame in event.frames:
                name = protocol.frame_name(frame.index - ranges[event.chunk].start, plan.image)
                try:
                    ingest.verify(chunks / event.chunk / name, frame, plan)
                except ingest.FrameRejected:
                    gone.add(frame.index)
                else:
                    kept.add(frame.index)
    return frameset.of(protocol.ranges_of(gone - kept))


def fixed_browser(history: list[events.Record]) -> str | None:
    """The browser that the run was fixed to, if it came that far: its other frames must be drawn by the same."""
    fixed = [record.event for record in history if isinstance(record.event, events.ModeFixed)]
    return fixed[-1].browser if fixed else None
