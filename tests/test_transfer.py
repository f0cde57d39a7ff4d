"""What a host says of a chunk becomes events, and its frames come as far as there is room for them."""

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path

import media_support as media
import pytest
from test_ingest import PLAN, announce, png

from capture import protocol
from capture.faults import Fault, FaultCode
from capture.frames import described
from capture.protocol import (
    UNMEASURED,
    Ack,
    Allow,
    Captured,
    Done,
    Encode,
    Encoded,
    Failed,
    FrameRange,
    SegmentFile,
    Spent,
    Stages,
)
from fleet import agentzip, events, model, orders, transfer
from fleet.errors import ConfigError
from fleet.events import ChunkMeasured
from fleet.returns import Returns
from fleet.rundir import RunDirectory
from fleet.transfer import Puller
from fleet.transports.local import LocalTransport

FRAMES = FrameRange(0, 10)
STAGES = Stages(frames=10, seek=Spent(10, 30.0), screenshot=Spent(10, 400.0))
FAULT = Fault(code=FaultCode.CANCELLED, message="cancelled by the coordinator")


@pytest.mark.parametrize(
    ("end", "measured"),
    [
        (Done("c1", 2, STAGES), [STAGES]),
        (Failed("c1", 2, FAULT, STAGES), [STAGES]),
        (Done("c1", 2, UNMEASURED), []),  # all of its frames were there
        (Done("c1", 1, STAGES), []),  # an attempt that is over
        (Done("c2", 2, STAGES), []),
    ],
)
def test_what_the_frames_of_a_chunk_took_is_told_once_and_only_of_the_order_that_runs(
    tmp_path: Path, end: Done | Failed, measured: list[Stages]
) -> None:
    said: list[events.Event] = []
    puller = Puller("a", plan=PLAN, directory=RunDirectory(tmp_path), emit=said.append)
    puller.expect(orders.Capture(chunk="c1", host="a", attempt=2, frames=FRAMES, todo=(FRAMES,)), "/on/the/host")
    puller.hear(end)
    puller.hear(end)
    assert said == [ChunkMeasured(chunk="c1", host="a", attempt=2, stages=stages) for stages in measured]


async def pull(directory: Path, heard: Callable[[events.Event], None], waiting_bytes: Callable[[], int]) -> Ack:
    """One frame of a host that is this machine; what is said to the host when it is here."""
    (directory / "host").mkdir()
    frame = announce(0, png(4, 3))
    (directory / "host" / "frame_000000.png").write_bytes(png(4, 3))
    run = RunDirectory(directory / "run")
    puller = Puller("a", plan=PLAN, directory=run, emit=heard, waiting_bytes=waiting_bytes)
    first = FrameRange(0, 1)
    puller.expect(orders.Capture(chunk="c1", host="a", attempt=1, frames=first, todo=(first,)), str(directory / "host"))
    puller.hear(Captured("c1", 1, (frame,)))
    puller.hear(Done("c1", 1))
    return await first_ack(puller, directory)


async def first_ack(puller: Puller, directory: Path) -> Ack:
    """What the host, which is this machine, is told first to be here."""
    said: asyncio.Queue[Ack | Allow | Encode] = asyncio.Queue()
    transport = LocalTransport(
        model.Host(name="a", transport="local"), agentzip.AgentZip(path=directory, sha256="", size_bytes=0)
    )
    running = asyncio.create_task(puller.run(transport, said.put))
    hearing = asyncio.create_task(said.get())
    await asyncio.wait([running, hearing], return_when=asyncio.FIRST_COMPLETED)
    hearing.cancel()
    if running.done():
        running.result()
    running.cancel()
    ack = hearing.result()
    assert isinstance(ack, Ack)
    return ack


def kinds(said: list[events.Event]) -> list[type[events.Event]]:
    return [type(event) for event in said]


def test_frames_stay_on_their_host_while_too_many_here_wait_for_an_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "ROOM_LOOK_S", 0.0)
    monkeypatch.setattr(transfer, "HELD_SAY_S", 0.0)
    said: list[events.Event] = []

    def waiting_bytes() -> int:  # until it has been said three times
        return transfer.SPOOL_BYTES_MAX + (kinds(said).count(events.FramesHeld) < 3)

    assert asyncio.run(pull(tmp_path, said.append, waiting_bytes)) == Ack("c1", (FrameRange(0, 1),))
    held, here = [events.FramesHeld] * 3, [events.FramesVerified]
    assert kinds(said)[:6] == [events.FramesCaptured, events.Warned, *held, *here]


def test_a_full_disk_ends_a_run_only_when_no_encoder_makes_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "DISK_FREE_MIN_BYTES", 1 << 60)
    monkeypatch.setattr(transfer, "DISK_WAIT_S", 0.0)
    monkeypatch.setattr(transfer, "ROOM_LOOK_S", 0.0)
    monkeypatch.setattr(transfer, "HELD_SAY_S", 0.0)
    said: list[events.Event] = []

    def waiting_bytes() -> int:
        return kinds(said).count(events.FramesHeld) < 3

    with pytest.raises(ConfigError, match="are free for frames in"):
        asyncio.run(pull(tmp_path, said.append, waiting_bytes))
    assert kinds(said).count(events.FramesHeld) == 3


@pytest.mark.ffmpeg
@pytest.mark.parametrize("gap", [0, 2])
def test_a_segment_counts_only_when_its_frames_are_shown_one_after_the_other(tmp_path: Path, gap: int) -> None:
    plan, host, segment = media.make_plan(3, segment=3), tmp_path / "host", FrameRange(0, 3)
    stills = media.make_stills(host, 3)
    file = host / protocol.segment_name(0)
    late = ("-vf", f"setpts=N+gte(N\\,2)*{gap}", "-fps_mode", "passthrough", "-c:v", "libx264", "-f", "mp4")
    media.ffmpeg("-framerate", "30", "-start_number", "0", "-i", f"{host}/frame_%06d.jpg", *late, str(file))
    said: list[events.Event] = []
    puller = Puller("a", plan=plan, directory=RunDirectory(tmp_path / "run"), emit=said.append)
    puller.set_returns(Returns.SEGMENTS, "asked")
    puller.expect(orders.Capture(chunk="c1", host="a", attempt=1, frames=segment, todo=(segment,)), str(host))
    puller.offer(orders.Encode(host="a", chunk="c1", attempt=1, segments=(segment,)))
    assert [wish.segments for wish in puller.wishes()] == [(segment,)]
    puller.hear(Captured("c1", 1, tuple(described(still.read_bytes(), n) for n, still in enumerate(stills))))
    made = file.read_bytes()
    puller.hear(Encoded("c1", 1, SegmentFile(segment, len(made), hashlib.sha256(made).hexdigest())))
    puller.hear(Done("c1", 1))
    assert asyncio.run(first_ack(puller, tmp_path)) == Ack("c1", (segment,))
    (verified,) = (event for event in said if isinstance(event, events.FramesVerified))
    assert (verified.segment is None) == bool(gap)
    told = [event.message for event in said if isinstance(event, events.Warned)]
    assert told == ["c1: frames 0:3 come as such: segment 0:3: its frames are not shown one after the other"] * bool(
        gap
    )
