"""A short run as records: two hosts, one of them lost, one refused, a fault, and a resumed tail when asked for."""

from capture.faults import Fault, FaultCode
from capture.protocol import CaptureMode, FrameFile, FrameRange, Spent, Stages
from fleet import events
from fleet.events import Event, Record

STARTED = events.RunStarted(
    run="r1",
    composition="launch",
    output="/tmp/launch.mp4",
    plan="7f3a91c2" * 8,
    frames=FrameRange(0, 60),
    fps="30/1",
    width=1920,
    height=1080,
)
FINISHED = events.RunFinished(exit_code=0, output="/tmp/launch.mp4", sha256="ab" * 32, size_bytes=4_500_000)


def record(elapsed_s: float, event: Event) -> Record:
    seconds = int(elapsed_s)
    return Record(f"2026-03-01T22:{seconds // 60:02d}:{seconds % 60:02d}+01:00", elapsed_s, event)


def ready(host: str, cores: float = 2.0) -> events.HostReady:
    return events.HostReady(host=host, capacity=cores, cores=cores, browser="Chromium 156", gl_renderer="SwiftShader")


def ordered(chunk: str, host: str, start: int, stop: int, attempt: int = 1) -> events.ChunkOrdered:
    frames = FrameRange(start, stop)
    return events.ChunkOrdered(chunk=chunk, host=host, attempt=attempt, frames=frames, todo=(frames,))


def started(chunk: str, host: str, attempt: int = 1) -> events.ChunkStarted:
    return events.ChunkStarted(chunk=chunk, host=host, attempt=attempt, workers=2, why="2 cores")


def changed(chunk: str, host: str, before: int, workers: int, why: str, attempt: int = 1) -> events.WorkersChanged:
    return events.WorkersChanged(chunk=chunk, host=host, attempt=attempt, before=before, workers=workers, why=why)


def verified(chunk: str, host: str, start: int, stop: int) -> events.FramesVerified:
    files = tuple(FrameFile(index, 1000, "cd" * 32) for index in range(start, stop))
    return events.FramesVerified(chunk=chunk, host=host, frames=files)


def done(chunk: str, host: str, attempt: int = 1) -> events.ChunkDone:
    return events.ChunkDone(chunk=chunk, host=host, attempt=attempt)


def failed(chunk: str, host: str, code: FaultCode, attempt: int = 1) -> events.ChunkFailed:
    fault = Fault(code=code, message="the page threw", frame=42)
    return events.ChunkFailed(chunk=chunk, host=host, attempt=attempt, fault=fault)


def measured(chunk: str, host: str, frames: int) -> events.ChunkMeasured:
    stages = Stages(
        frames=frames, seek=Spent(frames, 3.0 * frames), screenshot=Spent(frames, 40.0 * frames), write=Spent(0, 1.5)
    )
    return events.ChunkMeasured(chunk=chunk, host=host, attempt=1, stages=stages)


RUN = [
    record(0.0, STARTED),
    record(1.0, events.HostRefused("attic", "attic: no route to host", "check the cable")),
    record(2.0, events.ModeFixed(CaptureMode.BEGIN_FRAME, "Chromium 156", "every host can")),
    record(2.0, ready("studio-1")),
    record(2.0, ready("studio-2", 4)),
    record(2.5, events.BundlePushed(host="studio-1", blobs=3, size_bytes=1_500_000)),
    record(2.5, events.BundlePushed(host="studio-2", blobs=0, size_bytes=0)),
    record(3.0, ordered("c0001", "studio-1", 0, 30)),
    record(3.0, ordered("c0002", "studio-2", 30, 60)),
    record(4.0, started("c0001", "studio-1")),
    record(4.0, started("c0002", "studio-2")),
    record(6.0, events.FramesCaptured(chunk="c0001", host="studio-1", count=20)),
    record(7.0, verified("c0001", "studio-1", 0, 20)),
    record(7.0, verified("c0002", "studio-2", 30, 40)),
    record(8.0, events.HostLost("studio-1", "studio-1: connection reset")),
    record(8.5, verified("c0001", "studio-1", 18, 25)),
    record(9.0, failed("c0002", "studio-2", FaultCode.SEEK_FAILED)),
    record(9.0, ordered("c0002", "studio-2", 30, 60, attempt=2)),
    record(9.5, started("c0002", "studio-2", attempt=2)),
    record(11.0, verified("c0002", "studio-2", 40, 60)),
    record(11.0, done("c0002", "studio-2", attempt=2)),
    record(11.0, ordered("c0001", "studio-2", 0, 30, attempt=2)),
    record(11.5, measured("c0002", "studio-2", 20)),
    record(11.5, measured("c0001", "studio-2", 5)),
    record(12.0, verified("c0001", "studio-2", 25, 30)),
    record(12.0, events.SegmentEncoded(0, FrameRange(0, 60))),
    record(12.5, events.AudioMixed(2)),
    record(12.5, events.Warned("index.html:12", "no font `Foo`")),
    record(13.0, FINISHED),
]
