import asyncio
from pathlib import Path

import barcode
import media_support as media
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.protocol import FrameRange
from fleet import encode

CELLS = [(22 + (i % 9) * 67.5, 20 + i // 9 * 68) for i in range(18)]


def drawn(number: int) -> bytes:
    """Luma of the frame that examples/barcode shows for `number`, without its digits."""
    parity = number.bit_count() % 2
    bits = [number >> (15 - bit) & 1 for bit in range(16)] + [parity, 1 - parity]
    luma = bytearray([128]) * (barcode.WIDTH * barcode.HEIGHT)
    for bit, (left, top) in zip(bits, CELLS, strict=True):
        for y in range(top, top + 56):
            start = y * barcode.WIDTH + round(left)
            luma[start : start + 56] = bytes([255 * bit]) * 56
    return bytes(luma)


@given(st.integers(0, 2**16 - 1))
def test_every_number_is_read_back(number: int) -> None:
    assert barcode.read(drawn(number)) == number


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_frame_of_one_colour_is_no_number(grey: int) -> None:
    with pytest.raises(ValueError, match=r"parity|neither"):
        barcode.read(bytes([grey]) * (barcode.WIDTH * barcode.HEIGHT))


def test_a_wrong_bit_is_found() -> None:
    frame = bytearray(drawn(300))
    for y in range(20, 76):
        frame[y * barcode.WIDTH + 22 : y * barcode.WIDTH + 78] = bytes([255]) * 56
    with pytest.raises(ValueError, match="parity"):
        barcode.read(bytes(frame))


@pytest.mark.ffmpeg
def test_numbers_survive_jpeg_and_h264_at_draft_quality(tmp_path: Path) -> None:
    numbers = [0, 1, 2, 299, 300, 21845, 43690, 65535]
    raw = b"".join(drawn(number) for number in numbers)
    size = f"{barcode.WIDTH}x{barcode.HEIGHT}"
    ffmpeg_input = ("-f", "rawvideo", "-pix_fmt", "gray", "-s", size, "-i", "-")
    media.ffmpeg(*ffmpeg_input, "-pix_fmt", "yuvj420p", "-q:v", "8", f"{tmp_path}/%06d.jpg", stdin=raw)
    stills = sorted(tmp_path.glob("*.jpg"))
    plan = media.make_plan(len(numbers), width=barcode.WIDTH, height=barcode.HEIGHT)
    asyncio.run(encode.run(plan, FrameRange(0, len(numbers)), stills, tmp_path / "o.mp4"))
    assert [barcode.read_file(still)[0] for still in stills] == numbers
    assert barcode.read_file(tmp_path / "o.mp4") == numbers
