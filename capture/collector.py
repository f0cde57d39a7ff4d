"""Deletes what no run needs any more from a workspace; only for the holder of its lock."""

import collections
import contextlib
import os
import shutil
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Leftover:
    """One thing that may go: a run, bundle, blob, agent, or half of a push. `size_bytes` is what that frees."""

    kind: str
    path: Path
    size_bytes: int

    def delete(self) -> None:
        """Deletes it; what cannot be deleted stays."""
        if self.path.is_dir() and not self.path.is_symlink():
            store.remove_tree(self.path)
        else:
            self.path.unlink(missing_ok=True)


def leftovers(workspace: store.Workspace, *, older_than_s: float, max_bytes: int | None) -> list[Leftover]:
    """What was last used before `older_than_s`, and of bundles the oldest ones until the rest fits into `max_bytes`.

    The agent that runs is none, nor are agents and pushes of the last hour, which others may be using.
    """
    now = time.time()
    before, settled = now - older_than_s, now - INCOMING_AGE_S
    agents = [each for each in _agents(workspace) if not each.name.startswith(Path(sys.argv[0]).stem)]
    young = {
        "run": _older(workspace.runs.iterdir(), before),
        "push": _older(workspace.incoming.iterdir(), settled),
        "agent": _older(agents, min(before, settled)),
    }
    found = [Leftover(kind, path, _weight(path)) for kind, paths in young.items() for path in paths]
    doomed, blobs = _doomed(workspace, before, max_bytes)
    found += [Leftover("bundle", bundle, 0) for bundle in doomed]  # links: their blobs count
    return found + [Leftover("blob", blob, blob.lstat().st_size) for blob in blobs]


def _agents(workspace: store.Workspace) -> list[Path]:
    folder = workspace.path.parent / "agent"
    return list(folder.iterdir()) if folder.is_dir() else []


def _doomed(workspace: store.Workspace, before: float, max_bytes: int | None) -> tuple[list[Path], list[Path]]:
    """Bundles to go, and the blobs that nothing holds then."""
    bundles = sorted(workspace.bundles.iterdir(), key=_used)
    doomed = [bundle for bundle in bundles if bundle.name.startswith(".") or _used(bundle) < before]
    kept = collections.deque(bundle for bundle in bundles if bundle not in doomed)
    total = _size(workspace.blobs)
    is_tight = max_bytes is not None and total > max_bytes
    while True:
        free = [blob for blob in _free_blobs(workspace.blobs, doomed) if is_tight or _used(blob) < before]
        left = total - sum(blob.lstat().st_size for blob in free)
        if max_bytes is None or left <= max_bytes or not kept:
            return doomed, free
        doomed.append(kept.popleft())


def _free_blobs(blobs: Path, doomed: Iterable[Path]) -> list[Path]:
    """Blobs are hard-linked into bundles: those whose only links are in bundles that go."""
    links: collections.Counter[int] = collections.Counter()
    for bundle in doomed:
        links.update(file.lstat().st_ino for file in bundle.rglob("*") if file.is_file())
    return [blob for blob in blobs.iterdir() if blob.lstat().st_nlink - links[blob.lstat().st_ino] <= 1]


def _older(entries: Iterable[Path], before: float) -> list[Path]:
    return sorted(entry for entry in entries if _used(entry) < before)


def _weight(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if file.is_file())


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
