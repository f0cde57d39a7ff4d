"""Reads the number that every frame of examples/barcode shows, from stills and from videos."""

import subprocess
from pathlib import Path

WIDTH, HEIGHT = 640, 360
BITS = 16
_CELLS_PER_ROW = 9
# Middle of the first cell, and the distance to the next; index.html draws cells of 56 pixels.
_FIRST = (22 + 28, 20 + 28)
_STEP = (67.5, 68)
# Between black and white; what lies nearer to grey is a damaged frame and no bit.
_BLACK_MAX, _WHITE_MIN = 80, 175


def read(luma: bytes, *, width: int = WIDTH, height: int = HEIGHT) -> int:
    """The number on one frame of 8-bit luma; ValueError when it is not a whole barcode."""
    if len(luma) != width * height:
        raise ValueError(f"{len(luma)} bytes are no frame of {width}x{height}")
    bits = [_cell(luma, index, width=width, height=height) for index in range(BITS + 2)]
    number = int("".join(map(str, bits[:BITS])), 2)
    if bits[BITS] != number.bit_count() % 2 or bits[BITS + 1] == bits[BITS]:
        raise ValueError(f"parity does not fit: {bits}")
    return number


def read_file(file: Path) -> list[int]:
    """The numbers on every frame of a video, of a still, or of `frame_%06d.jpg` and the like, at any size."""
    scale = f"scale={WIDTH}:{HEIGHT}:flags=area,format=gray"
    argv = (
        "ffmpeg",
        "-v",
        "error",
        "-nostdin",
        "-i",
        str(file),
        "-vf",
        scale,
        "-fps_mode",
        "passthrough",
        "-f",
        "rawvideo",
        "-",
    )
    raw = subprocess.run(argv, capture_output=True, check=True).stdout
    area = WIDTH * HEIGHT
    return [read(raw[at : at + area]) for at in range(0, len(raw), area)]


def _cell(luma: bytes, index: int, *, width: int, height: int) -> int:
    row, column = divmod(index, _CELLS_PER_ROW)
    x = round((_FIRST[0] + column * _STEP[0]) * width / WIDTH)
    y = round((_FIRST[1] + row * _STEP[1]) * height / HEIGHT)
    around = [luma[(y + dy) * width + x + dx] for dy in (-4, 0, 4) for dx in (-4, 0, 4)]
    mean = sum(around) / len(around)
    if _BLACK_MAX < mean < _WHITE_MIN:
        raise ValueError(f"cell {index} is neither black nor white: {mean:.0f}")
    return int(mean >= _WHITE_MIN)
