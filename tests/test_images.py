from pathlib import Path

import media_support as media
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture import images
from capture.protocol import ImageFormat

PIXEL_PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8cfc0000003010100"
    "c9fe92ef0000000049454e44ae426082"
)


def test_a_whole_picture_has_no_fault() -> None:
    assert images.fault(PIXEL_PNG, ImageFormat.PNG, width=1, height=1) == ""


@pytest.mark.ffmpeg
@pytest.mark.parametrize("image", ImageFormat)
def test_size_is_read_from_the_header(tmp_path: Path, image: ImageFormat) -> None:
    data = media.make_stills(tmp_path, 1, size="63x41", suffix=image.value)[0].read_bytes()
    assert images.fault(data, image, width=63, height=41) == ""
    assert images.fault(data, image, width=64, height=41) == "63x41 pixels instead of 64x41"


@given(st.integers(0, len(PIXEL_PNG) - 1))
def test_every_truncation_is_found(length: int) -> None:
    assert images.fault(PIXEL_PNG[:length], ImageFormat.PNG, width=1, height=1) != ""


@given(st.binary(max_size=64), st.sampled_from(ImageFormat))
def test_noise_is_a_fault_and_never_an_exception(noise: bytes, image: ImageFormat) -> None:
    for data in (noise, b"\xff\xd8\xff" + noise + b"\xff\xd9"):
        assert images.fault(data, image, width=1, height=1) != ""
