"""When two failures are one and the same."""

import pytest

from capture.faults import Fault, FaultCode
from capture.protocol import FrameRange
from fleet import frameset, verdict
from fleet.verdict import Failure

LATE = "frame {} was not captured within its time"
ENDLESS = f"{LATE}: a script of the page does not end"


def failure(message: str, frame: int, code: FaultCode = FaultCode.SCRIPT_ENDLESS) -> Failure:
    fault = Fault(code=code, message=message.format(frame), frame=frame)
    return Failure(host="a", fault=fault, frames=frameset.of([FrameRange(frame, 6)]))


@pytest.mark.parametrize(
    ("old", "new", "is_same"),
    [
        (failure(ENDLESS, 0), failure(f"{ENDLESS}: index.html, function `spin`: for (;;);", 1), True),
        (failure(ENDLESS, 0), failure(ENDLESS, 0), True),
        (failure(f"{LATE} (x)", 0, FaultCode.FRAME_TIMEOUT), failure(f"{LATE} (y)", 1, FaultCode.FRAME_TIMEOUT), False),
        (failure(ENDLESS, 0), failure(LATE, 1, FaultCode.FRAME_TIMEOUT), False),
    ],
    ids=["named later", "word for word", "other words", "other code"],
)
def test_a_script_that_does_not_end_is_the_same_whether_or_not_it_could_be_named(
    old: Failure, new: Failure, is_same: bool
) -> None:
    found = verdict.same(new, [old], is_alone=True, verified=frameset.of([]))
    assert (found is old) is is_same
