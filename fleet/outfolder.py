"""An output that is a folder: what it may replace, and how it appears whole or not at all."""

import hashlib
import os
import re
import shutil
from pathlib import Path

from fleet.errors import ConfigError

SOUND = "audio"
_OURS = re.compile(r"frame_\d{6,}\.png|audio\.[a-z0-9]+")


def pattern(folder: str) -> str:
    """The names of the pictures in `folder`, by printf's rules: a percent sign of the folder's own is written twice."""
    return f"{folder.replace('%', '%%')}/frame_%06d.png"


def check(path: Path) -> None:
    """ConfigError unless `path` is free, or a folder that holds nothing but an earlier output of this kind."""
    if path.is_dir() and not path.is_symlink():
        foreign = next((child.name for child in path.iterdir() if not _OURS.fullmatch(child.name)), None)
        if foreign is not None:
            raise ConfigError(
                f"--output: {path} holds `{foreign}`, which is no frame", remedy="name a new folder with `--output`"
            )
    elif path.is_symlink() or path.exists():
        raise ConfigError(f"--output: {path} is no folder", remedy="name a new folder with `--output`")


def measure(folder: Path) -> tuple[str, int]:
    """sha256 over names and contents in the order of names, and the bytes of all files, each flushed to the disk."""
    whole, size_bytes = hashlib.sha256(), 0
    for child in sorted(folder.iterdir()):
        with child.open("rb") as file:
            whole.update(f"{child.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
            os.fsync(file.fileno())
            size_bytes += os.fstat(file.fileno()).st_size
    return whole.hexdigest(), size_bytes


def publish(part: Path, output: Path) -> None:
    """Puts the folder `part` in the place of `output`; an earlier one is away for a moment, and gone after it."""
    check(output)  # once more: a render is long, and what came there meanwhile may be someone else's
    earlier = _earlier(output)
    if output.exists():
        output.rename(earlier)
    try:
        part.rename(output)
    except OSError:
        if earlier.exists():
            earlier.rename(output)
        raise
    discard(earlier)


def recover(output: Path) -> None:
    """Mends what a power cut inside `publish` left."""
    earlier = _earlier(output)
    if earlier.exists() and not output.exists():
        earlier.rename(output)
    discard(earlier)


def discard(folder: Path) -> None:
    """Removes `folder` if it is there."""
    if folder.exists():
        shutil.rmtree(folder)


def _earlier(output: Path) -> Path:
    return output.with_name(f"{output.name}.earlier")
