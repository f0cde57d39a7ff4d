"""Frame files are whole or missing; nothing in between is ever taken for a frame."""

import hashlib
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture import frames, png
from capture.faults import CaptureError, FaultCode
from capture.protocol import FrameFile, ImageFormat, frame_name

SIZE = (5, 3)
RGB = [[(40 * x, 80 * y, 7) for x in range(SIZE[0])] for y in range(SIZE[1])]


def png_of(rows: list[list[tuple[int, int, int]]]) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 2, 0, 0, 0)
    raw = b"".join(b"\0" + bytes(value for pixel in row for value in pixel) for row in rows)
    return png.SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def jpeg_of(size: tuple[int, int]) -> bytes:
    """The markers of a JPEG, with an application segment before the size; no picture that could be decoded."""
    width, height = size
    start = b"\xff\xd8" + b"\xff\xe0" + struct.pack(">H", 16) + bytes(14)
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, height, width, 3) + bytes(9)
    return start + frame + b"\xff\xda" + bytes(200) + b"\xff\xd9"


WHOLE = {ImageFormat.PNG: png_of(RGB), ImageFormat.JPEG: jpeg_of(SIZE)}


@pytest.mark.parametrize("image", list(ImageFormat))
def test_absent_empty_tiny_truncated_and_wrong_sized_files_are_missing(tmp_path: Path, image: ImageFormat) -> None:
    whole = WHOLE[image]
    wrong_size = {ImageFormat.PNG: png_of([[(0, 0, 0)]]), ImageFormat.JPEG: jpeg_of((1, 1))}[image]
    wrong_format = WHOLE[ImageFormat.JPEG if image is ImageFormat.PNG else ImageFormat.PNG]
    contents = [whole, b"", whole[:8], whole[:-1], whole[: len(whole) // 2], whole, wrong_size, wrong_format]
    for index, content in enumerate(contents):
        (tmp_path / frame_name(index, image)).write_bytes(content)
    assert frames.find_missing(tmp_path, len(contents) + 1, image, SIZE) == (1, 2, 3, 4, 6, 7, 8)


def test_every_file_of_a_directory_that_is_not_there_is_missing(tmp_path: Path) -> None:
    assert frames.find_missing(tmp_path / "nowhere", 2, ImageFormat.PNG, SIZE) == (0, 1)


@pytest.mark.parametrize("image", list(ImageFormat))
@given(data=st.data())
def test_no_truncation_goes_unnoticed(image: ImageFormat, data: st.DataObject) -> None:
    whole = WHOLE[image]
    assert frames.is_whole_image(whole, image, SIZE)
    assert not frames.is_whole_image(whole[: data.draw(st.integers(0, len(whole) - 1))], image, SIZE)


@given(st.binary(max_size=200), st.sampled_from(ImageFormat))
def test_arbitrary_bytes_are_judged_without_an_error(data: bytes, image: ImageFormat) -> None:
    assert not frames.is_whole_image(data, image, SIZE)


def test_a_frame_is_published_under_its_local_number_with_its_digest(tmp_path: Path) -> None:
    data = WHOLE[ImageFormat.PNG]
    written = frames.write(data, directory=tmp_path, frame=60, offset=50, image=ImageFormat.PNG)
    assert written == FrameFile(60, len(data), hashlib.sha256(data).hexdigest())
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("frame_000010.png", data)]


# In a process of its own: the limit would also stop pytest from writing its report into a file.
FULL_DISK = """
import pathlib, resource, sys
from capture import frames
from capture.faults import CaptureError
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    frames.publish(bytes(10_000), pathlib.Path(sys.argv[1]))
except CaptureError as error:
    print(error.code.value, error.message)
"""


def test_a_full_disk_is_named_and_leaves_the_earlier_file_and_no_other(tmp_path: Path) -> None:
    """To a writer, files that may not grow beyond 1,000 bytes are the same as a full disk, and need no root."""
    path = tmp_path / "frame_000000.png"
    path.write_bytes(b"earlier")
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parent.parent)},
    )
    assert done.stdout.startswith(f"{FaultCode.DISK_FULL.value} cannot write"), done.stderr
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("frame_000000.png", b"earlier")]


def test_a_directory_that_is_gone_is_our_bug_not_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(CaptureError) as caught:
        frames.publish(b"x", tmp_path / "gone" / "frame.png")
    assert caught.value.code is FaultCode.INTERNAL


def test_png_pixels_are_read_back() -> None:
    assert png.rows(png_of(RGB)) == RGB


@pytest.mark.parametrize("damage", [b"", b"\x89PNG", png_of(RGB)[:-20], png_of(RGB).replace(b"IDAT", b"IDAX")])
def test_a_damaged_png_is_an_error(damage: bytes) -> None:
    with pytest.raises(ValueError, match=r"PNG"):
        png.rows(damage)
