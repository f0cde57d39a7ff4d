"""What a host says of a chunk becomes events, before any frame of it has been pulled."""

from pathlib import Path

import pytest
from test_ingest import PLAN

from capture.faults import Fault, FaultCode
from capture.protocol import UNMEASURED, Done, Failed, FrameRange, Spent, Stages
from fleet import events, orders
from fleet.events import ChunkMeasured
from fleet.rundir import RunDirectory
from fleet.transfer import Puller

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
