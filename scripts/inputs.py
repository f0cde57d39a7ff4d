"""What the benchmarks render unless told otherwise, and the machine that they do it on."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import checkout

PAGES = checkout.ROOT / "scripts" / "bench"
DEFAULT = (
    checkout.ROOT / "examples" / "launch",
    checkout.ROOT / "examples" / "shader",
    *(PAGES / n for n in ("deck", "moving", "film", "video", "short")),
)
# What a page plays under this name, by the name of its folder. A slow zoom with light grain, some 12 Mbit/s as x264
# encodes it at CRF 16; and strong noise over a moving picture, 77 Mbit/s: nothing that a codec or a cache could make
# light of.
CLIP_NAME = "clip.mp4"
CLIPS = {
    "film": "mandelbrot=size=1920x1080:rate=30:maxiter=300:end_pts=300,trim=duration=5,noise=alls=3:allf=t",
    "video": "testsrc2=size=1920x1080:rate=30:duration=5,noise=alls=12:allf=t",
}


def machine() -> str:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        "?",
    )
    chromium = subprocess.run(["chromium-headless-shell", "--version"], capture_output=True, text=True, check=False)
    return f"{len(os.sched_getaffinity(0))} cores, {model}, {chromium.stdout.strip() or 'Chromium of unknown version'}"


@contextmanager
def complete(path: Path) -> Iterator[Path]:
    """The project, with the clip that its folder's name stands for made in a copy of it where it has none."""
    page = (path / "index.html").read_text(encoding="utf-8", errors="replace")
    clip = CLIPS.get(path.name)
    if clip is None or CLIP_NAME not in page or (path / CLIP_NAME).exists():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        copy = Path(directory, path.name)
        shutil.copytree(path, copy)
        coded = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-preset", "veryfast"]
        made = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", clip, *coded, str(copy / CLIP_NAME)]
        subprocess.run(made, check=True)
        yield copy
