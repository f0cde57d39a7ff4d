"""Deletes what no run needs any more from a workspace; only for the holder of its lock."""

import contextlib
import os
import shutil
import time
from pathlib import Path

from capture import store

# A lost coordinator may come back to its run within a day; after that its frames are worth less than the space.
RUN_AGE_S = 24 * 3600.0
# A push that takes longer than an hour is none; what is left of it is a temporary file.
INCOMING_AGE_S = 3600.0
CACHE_BYTES_MAX = 10 * 1024**3
CACHE_DISK_SHARE = 0.2  # of the whole file system, when that is less


def collect(workspace: store.Workspace, *, keep_run: str, disk_bytes: int | None = None) -> list[str]:
    """Drops old runs, stale pushes, and the bundles used longest ago until the cache fits; returns what went."""
    now = time.time()
    gone = _drop_older(workspace.runs, now - RUN_AGE_S, keep={keep_run})
    gone += _drop_older(workspace.incoming, now - INCOMING_AGE_S, keep=set())
    budget = _budget(workspace.path, disk_bytes)
    for bundle in sorted(workspace.bundles.iterdir(), key=_used):
        if _size(workspace.blobs) > budget:
            _drop_unused(workspace.blobs)
        if bundle.name.startswith(".") or _size(workspace.blobs) > budget:
            gone.append(bundle.name)
            store.remove_tree(bundle)
    if _size(workspace.blobs) > budget:
        _drop_unused(workspace.blobs)
    return gone


def _budget(path: Path, disk_bytes: int | None) -> float:
    disk = os.statvfs(path)
    return min(CACHE_BYTES_MAX, CACHE_DISK_SHARE * disk.f_blocks * disk.f_frsize, disk_bytes or CACHE_BYTES_MAX)


def _drop_older(folder: Path, before: float, *, keep: set[str]) -> list[str]:
    old = [entry for entry in folder.iterdir() if entry.name not in keep and _used(entry) < before]
    for entry in old:
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
    return [entry.name for entry in old]


def _drop_unused(blobs: Path) -> None:
    """Blobs are hard-linked into bundles, so one link means that no bundle holds it."""
    for blob in blobs.iterdir():
        if blob.lstat().st_nlink == 1:
            blob.unlink(missing_ok=True)


def _size(folder: Path) -> int:
    return sum(entry.lstat().st_size for entry in folder.iterdir())


def _used(path: Path) -> float:
    with contextlib.suppress(OSError):
        return path.lstat().st_mtime
    return 0.0
