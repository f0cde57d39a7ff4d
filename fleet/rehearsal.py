"""A small segment of known pictures, made here and on every host: whose is the same may encode the film's segments."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from capture.protocol import SEGMENT_OUTPUT, FrameRange, ImageFormat, Rehearsed
from fleet import encode, programs, untrusted
from fleet.model import Blob, Plan
from fleet.returns import Returns

# Pictures that differ, one of them shown twice in a row, at the size of the film: each step of the filters is used.
SHOWN = (0, 1, 1, 2)
PICTURES_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What hosts are asked to make, with which arguments, and what must come of it."""

    returns: Returns
    argv: tuple[str, ...]
    stills: tuple[Blob, ...]  # one for each frame
    here: Rehearsed


async def make(plan: Plan, returns: Returns, directory: Path) -> Rehearsal:
    """Makes the pictures and the segment in `directory`."""
    directory.mkdir(mode=0o700, exist_ok=True)
    program = programs.find_ffmpeg().ffmpeg
    (await programs.run(_pictures(plan, program, directory), timeout_s=PICTURES_LIMIT_S)).require("test pictures")
    files = [directory / f"{number}.{plan.image.value}" for number in SHOWN]
    output = directory / "rehearsal"
    await encode.run(plan, FrameRange(0, len(files)), files, output)
    said = await programs.run((program, "-version"), timeout_s=PICTURES_LIMIT_S)
    lines = said.stdout.decode(errors="replace").splitlines()
    return Rehearsal(
        returns,
        encode.command(plan, SEGMENT_OUTPUT)[1:],
        tuple(_blob(file) for file in files),
        untrusted.cleaned(Rehearsed(tuple(lines), hashlib.sha256(output.read_bytes()).hexdigest())),
    )


def _pictures(plan: Plan, program: str, directory: Path) -> tuple[str, ...]:
    size = f"{plan.image_width}x{plan.image_height}"
    pixels = ("-vf", "scale=out_range=pc", "-pix_fmt", "yuvj420p", "-q:v", "8")
    return (
        program, "-hide_banner", "-loglevel", "error", "-nostdin", "-f", "lavfi", "-i", f"testsrc2=size={size}:rate=1",
        "-frames:v", str(max(SHOWN) + 1), *(pixels if plan.image is ImageFormat.JPEG else ()),
        "-start_number", "0", "-y", f"file:{directory}/%d.{plan.image.value}",
    )  # fmt: skip


def _blob(file: Path) -> Blob:
    data = file.read_bytes()
    return Blob(file.name, hashlib.sha256(data).hexdigest(), len(data), str(file))
