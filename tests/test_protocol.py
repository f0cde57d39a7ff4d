"""Messages survive the wire; anything else is refused with a name."""

import contextlib
import itertools
import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture import protocol
from capture.faults import Fault, FaultCode
from capture.protocol import Capture, CaptureMode, FrameFile, FrameRange, ImageFormat, RenderSpec

SPEC = RenderSpec(
    bundle="ab" * 32,
    width=1920,
    height=1080,
    fps=Fraction(30000, 1001),
    frame_count=300,
    duration_s=Fraction(10),
    image=ImageFormat.JPEG,
    jpeg_quality=95,
    mode=CaptureMode.BEGIN_FRAME,
)

EXAMPLES: list[protocol.Message] = [
    protocol.Hello(version=1, run="r", lease_s=45.0, limits=protocol.Limits(workers=2)),
    protocol.Acquire(),
    Capture(
        chunk="c1", attempt=1, frames=FrameRange(50, 150), todo=(FrameRange(50, 55), FrameRange(60, 65)), spec=SPEC
    ),
    protocol.Ping(1, asks_use=True),
    protocol.Pong(1, protocol.CoreUse(place="40e8cf32", cores=1.5, steps_ms=(250, 251), busy_ms=(375, 0))),
    protocol.Captured("c1", 1, (FrameFile(50, 1234, "cd" * 32),)),
    protocol.Done("c1", 1, protocol.Stages(frames=2, seek=protocol.Spent(2, 7.5), write=protocol.Spent(0, 0.3))),
    protocol.Failed("c1", 1, Fault(code=FaultCode.SEEK_FAILED, message="m\u2028\ud800", frame=60, local_frame=10)),
]


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_a_message_survives_the_wire(message: protocol.Message) -> None:
    line = protocol.encode(message)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert protocol.decode(line) == message


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"null",
        b'{"t":["hello"]}',
        b'{"t":"nonsense"}',
        b'{"t":"ping"}',
        b'{"t":"ping","sequence":true}',
        b'{"t":"ping","sequence":1,"extra":2}',
        b'{"t":"ack","chunk":"c","frames":[{"start":0,"stop":1.0}]}',
        b'{"t":"ack","chunk":"c","frames":[{"start":-1,"stop":1}]}',
        b'{"t":"captured","chunk":"c","attempt":1,"frames":{}}',
        b'{"t":"done","stages":{"frames":-1},"chunk":"c","attempt":1}',
        b'{"t":"done","stages":{"seek":{"messages":-1}},"chunk":"c","attempt":1}',
        b'{"t":"done","stages":{"seek":{"ms":Infinity}},"chunk":"c","attempt":1}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"t":"ping","sequence":' + b"1" * protocol.LINE_LIMIT_BYTES + b"}",
    ],
    ids=lambda line: repr(line[:50]),
)
def test_anything_else_is_refused(line: bytes) -> None:
    with pytest.raises(protocol.ProtocolError):
        protocol.decode(line)


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps).map(str.encode)
)
def test_decode_never_fails_otherwise(line: bytes) -> None:
    with contextlib.suppress(protocol.ProtocolError):
        protocol.decode(line)


@pytest.mark.parametrize(("start", "stop"), [(0.0, 5), (0, 5.0), ("0", 5), (True, 5), (None, 5)])
def test_a_frame_range_takes_integers_only(start: object, stop: object) -> None:
    with pytest.raises(TypeError):
        FrameRange(start, stop)  # type: ignore[arg-type]


@pytest.mark.parametrize(("start", "stop"), [(5, 5), (6, 5), (-1, 5)])
def test_a_frame_range_is_never_empty_inverted_or_negative(start: int, stop: int) -> None:
    with pytest.raises(ValueError, match="frame range"):
        FrameRange(start, stop)


@given(st.sets(st.integers(min_value=0, max_value=300)))
def test_ranges_hold_exactly_the_frames_given(frames: set[int]) -> None:
    ranges = protocol.ranges_of(frames)
    assert [frame for part in ranges for frame in part] == sorted(frames)
    assert all(left.stop < right.start for left, right in itertools.pairwise(ranges))


def test_an_order_asks_only_for_frames_of_its_chunk() -> None:
    with pytest.raises(ValueError, match="not inside"):
        Capture(chunk="c", attempt=1, frames=FrameRange(0, 10), todo=(FrameRange(5, 11),), spec=SPEC)
