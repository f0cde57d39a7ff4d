"""A frame counts only when its name, kind, size, digest and image data are right; nothing else leaves quarantine."""

import hashlib
import os
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import pytest

from capture.protocol import FrameFile, FrameRange, ImageFormat
from fleet import ingest
from fleet.model import Plan, Quality

CHUNK = FrameRange(50, 60)
PLAN = Plan(
    bundle="b",
    agent="a",
    width=4,
    height=3,
    fps=Fraction(30),
    duration_s=Fraction(10),
    frame_count=300,
    frames=FrameRange(0, 300),
    segments=(FrameRange(0, 300),),
    image=ImageFormat.PNG,
    jpeg_quality=95,
    has_webgl=False,
    format="mp4",
    quality=Quality.STANDARD,
)


def png(width: int, height: int) -> bytes:
    def part(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + b"\x10\x20\x30" * width for _ in range(height)))
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", pixels) + part(b"IEND", b"")


def announce(index: int, data: bytes) -> FrameFile:
    return FrameFile(index, len(data), hashlib.sha256(data).hexdigest())


@pytest.fixture
def quarantine(tmp_path: Path) -> Path:
    path = tmp_path / "quarantine"
    path.mkdir()
    return path


def take_in(quarantine: Path, frame: FrameFile, to: Path) -> ingest.Ingested:
    return ingest.ingest(quarantine, [frame], chunk=CHUNK, plan=PLAN, to=to)


def test_a_right_frame_gets_its_local_name(quarantine: Path, tmp_path: Path) -> None:
    data = png(4, 3)
    (quarantine / "frame_000005.png").write_bytes(data)
    frame = announce(55, data)
    assert take_in(quarantine, frame, tmp_path / "c1") == ingest.Ingested((frame,), ())
    assert (tmp_path / "c1" / "frame_000005.png").read_bytes() == data
    assert not quarantine.exists()


@pytest.mark.parametrize(
    ("stored", "announced"),
    [
        (png(4, 3)[:-1], announce(55, png(4, 3))),
        (png(4, 3) + b"x", announce(55, png(4, 3))),
        (png(4, 3), FrameFile(55, len(png(4, 3)), "0" * 64)),
        (png(3, 4), announce(55, png(3, 4))),
        (png(4, 3)[:-8], announce(55, png(4, 3)[:-8])),
        (b"", announce(55, b"")),
        (png(4, 3), FrameFile(55, 1 << 40, "0" * 64)),
    ],
    ids=["truncated", "longer", "other digest", "other size", "no end mark", "empty", "a terabyte"],
)
def test_a_wrong_frame_is_rejected_by_name(
    quarantine: Path, tmp_path: Path, stored: bytes, announced: FrameFile
) -> None:
    (quarantine / "frame_000005.png").write_bytes(stored)
    result = take_in(quarantine, announced, tmp_path / "c1")
    assert result.verified == ()
    assert result.rejected[0][0] == announced
    assert list((tmp_path / "c1").iterdir()) == []


def test_a_link_is_not_followed(quarantine: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(png(4, 3))
    (quarantine / "frame_000005.png").symlink_to(secret)
    result = take_in(quarantine, announce(55, png(4, 3)), tmp_path / "c1")
    assert result.verified == ()


def test_a_fifo_does_not_hang_us(quarantine: Path, tmp_path: Path) -> None:
    os.mkfifo(quarantine / "frame_000005.png")
    assert take_in(quarantine, announce(55, png(4, 3)), tmp_path / "c1").verified == ()


def test_an_absent_frame_is_rejected(quarantine: Path, tmp_path: Path) -> None:
    assert "No such file" in take_in(quarantine, announce(55, png(4, 3)), tmp_path / "c1").rejected[0][1]
