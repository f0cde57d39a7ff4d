"""Clips whose every frame shows its number, as in examples/barcode, and small pages that play them."""

from collections.abc import Sequence
from pathlib import Path

import barcode
from media_support import ffmpeg

SIZE = (160, 90)
_CELL = 56


def frame(number: int) -> bytes:
    """One frame of 640x360 grey with the barcode of `number`."""
    bits = [int(bit) for bit in f"{number:0{barcode.BITS}b}"]
    parity = sum(bits) % 2
    picture = bytearray(b"\x80" * (barcode.WIDTH * barcode.HEIGHT))
    for index, bit in enumerate([*bits, parity, 1 - parity]):
        row, column = divmod(index, 9)
        x, y = round(22 + column * 67.5), 20 + row * 68
        for line in range(y, y + _CELL):
            at = line * barcode.WIDTH + x
            picture[at : at + _CELL] = (b"\xff" if bit else b"\x00") * _CELL
    return bytes(picture)


def clip(file: Path, count: int, *, fps: str = "30", size: tuple[int, int] = SIZE, options: str = "") -> Path:
    """A video of `count` frames, numbered from 0."""
    raw = b"".join(map(frame, range(count)))
    source = f"-f rawvideo -pix_fmt gray -s {barcode.WIDTH}x{barcode.HEIGHT} -r {fps} -i -"
    coding = options or "-c:v libx264 -preset ultrafast -qp 10 -g 12 -pix_fmt yuv420p"
    scale = f"-vf scale={size[0]}:{size[1]}:flags=area"
    ffmpeg(*f"{source} {scale} {coding}".split(), str(file), stdin=raw)
    return file


def of_stills(pictures: list[Path]) -> list[int | None]:
    """The numbers that stills of any size, and one kind, show; None where there is no barcode. One FFmpeg for all."""
    decoder = "mjpeg" if pictures[0].suffix == ".jpg" else "png"
    scale = f"scale={barcode.WIDTH}:{barcode.HEIGHT}:flags=area,format=gray"
    source = ("-f", "image2pipe", "-c:v", decoder, "-i", "-", "-vf", scale)
    lumas = ffmpeg(*source, "-f", "rawvideo", "-", stdin=b"".join(picture.read_bytes() for picture in pictures))
    size = barcode.WIDTH * barcode.HEIGHT
    assert len(lumas) == size * len(pictures)
    return [_read(lumas[at : at + size]) for at in range(0, len(lumas), size)]


def _read(luma: bytes) -> int | None:
    try:
        return barcode.read(luma)
    except ValueError:
        return None


def numbers(
    pictures: Sequence[Path], boxes: list[tuple[int, int, int, int]], *, width: int, height: int
) -> list[list[int | None]]:
    """The numbers that these boxes show in each JPEG of this size. One FFmpeg for all."""
    pipe = ("-f", "image2pipe", "-c:v", "mjpeg", "-i", "-", "-f", "rawvideo", "-pix_fmt", "gray", "-")
    lumas, size = ffmpeg(*pipe, stdin=b"".join(picture.read_bytes() for picture in pictures)), width * height
    assert len(lumas) == size * len(pictures)
    return [_numbers(lumas[at : at + size], boxes, width) for at in range(0, len(lumas), size)]


def _numbers(luma: bytes, boxes: list[tuple[int, int, int, int]], width: int) -> list[int | None]:
    found: list[int | None] = []
    for x, y, across, down in boxes:
        inside = b"".join(luma[line * width + x :][:across] for line in range(y, y + down))
        try:
            found.append(barcode.read(inside, width=across, height=down))
        except ValueError:
            found.append(None)
    return found
