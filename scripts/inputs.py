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
    *(PAGES / n for n in ("deck", "moving", "video", "short")),
)
# Noise over a moving picture: nothing that a codec or a cache could make light of.
VIDEO = "testsrc2=size=1920x1080:rate=30:duration=5,noise=alls=12:allf=t"


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
    """The project, with the video that it names made beside a copy of it where it has none."""
    names_video = "video.mp4" in (path / "index.html").read_text(encoding="utf-8", errors="replace")
    if not names_video or (path / "video.mp4").exists():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        copy = Path(directory, path.name)
        shutil.copytree(path, copy)
        coded = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-preset", "veryfast"]
        subprocess.run(
            ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", VIDEO, *coded, str(copy / "video.mp4")], check=True
        )
        yield copy
