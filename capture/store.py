"""A host's workspace: blobs and bundles by sha256, run directories, and the lock that one run holds at a time.

Knows no chunk and no message. Whatever arrives counts only after its digest is verified, and appears by rename.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from capture.faults import Fault, FaultCode

# Longest side of what a coordinator may name: digests, runs and chunks become path components.
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
MANIFEST_BYTES_MAX = 64 * 1024 * 1024  # some 400,000 files
OWNER_BYTES_MAX = 1024
_READ_BYTES = 1024 * 1024


class StoreError(Exception):
    """The workspace, or what was pushed into it, cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class _Entry:
    path: str
    sha256: str
    size: int


def fault(error: OSError, doing: str) -> Fault:
    """What a failed call to the file system means for a chunk."""
    code = FaultCode.DISK_FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else FaultCode.INTERNAL
    return Fault(code=code, message=f"cannot {doing}: {error}")


class Workspace:
    """The directories of one host below a root that hosts may share (NFS homes)."""

    def __init__(self, root: Path, machine_id: str) -> None:
        """Makes what is missing; StoreError when somebody else could write into it."""
        self.path = root.expanduser().absolute() / machine_id
        self.incoming = self.path / "incoming"
        self.blobs = self.path / "blobs"
        self.bundles = self.path / "bundles"
        self.runs = self.path / "runs"
        try:
            for folder in (self.path, self.incoming, self.blobs, self.bundles, self.runs):
                _make_private(folder)
        except OSError as error:
            raise StoreError(f"cannot use the workspace {self.path}: {error.strerror}") from error

    def bundle(self, digest: str) -> Path:
        """Where the bundle is or would be."""
        return self.bundles / _checked(_DIGEST, digest)

    def run(self, run: str) -> Path:
        """Directory of everything that `run` writes here; made on first use."""
        return _made(self.runs / _checked(_NAME, run))

    def chunk(self, run: str, chunk: str) -> Path:
        """Directory of one chunk's frames; made on first use."""
        return _made(self.run(run) / _checked(_NAME, chunk))

    def prepare(self, digest: str) -> tuple[str, ...]:
        """Makes the bundle complete; returns the digests of blobs that are still to be pushed, else nothing.

        StoreError when its manifest is not one. OSError when the disk is full.
        """
        bundle = self.bundle(digest)
        if bundle.is_dir():
            os.utime(bundle)  # last use, for the collector
            return ()
        if not self._has_blob(digest, None):
            return (digest,)
        entries = _parse_manifest((self.blobs / digest).read_bytes())
        sizes = {entry.sha256: entry.size for entry in entries}
        if missing := tuple(sorted(wanted for wanted, size in sizes.items() if not self._has_blob(wanted, size))):
            return missing
        self._assemble(bundle, entries)
        return ()

    def lacked(self, digests: tuple[str, ...]) -> tuple[str, ...]:
        """Those of the blobs that are still to be pushed, after taking in what was."""
        return tuple(digest for digest in digests if not self._has_blob(_checked(_DIGEST, digest), None))

    def remove_run(self, run: str) -> None:
        """Deletes everything of `run`; what cannot be deleted is left to the collector."""
        shutil.rmtree(self.runs / _checked(_NAME, run), ignore_errors=True)

    def _has_blob(self, digest: str, size: int | None) -> bool:
        """Whether the blob is here, after taking it in if it was pushed; a damaged push is deleted."""
        blob, pushed = self.blobs / digest, self.incoming / digest
        if blob.is_file():
            pushed.unlink(missing_ok=True)
            return True
        if not _is_whole(pushed, digest, size):
            delete(pushed)
            return False
        pushed.chmod(0o400)
        pushed.rename(blob)
        return True

    def _assemble(self, bundle: Path, entries: tuple[_Entry, ...]) -> None:
        draft = bundle.with_name(f".{bundle.name}.{os.getpid()}")
        remove_tree(draft)
        _make_private(draft)
        for entry in entries:
            target = draft / entry.path
            target.parent.mkdir(parents=True, exist_ok=True)
            _link(self.blobs / entry.sha256, target)
        for folder, _, _ in os.walk(draft):
            Path(folder).chmod(0o500)
        draft.rename(bundle)


class Lock:
    """A run's sole use of this host; the kernel frees it when the agent dies, however it dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether `acquire` has succeeded."""
        return self._descriptor is not None

    def acquire(self, owner: str) -> str | None:
        """Takes the lock and writes `owner` into it; returns the present owner when somebody else holds it."""
        if self.is_held:
            return None
        # Close-on-exec, as all descriptors of Python: a browser that inherited it would hold the lock after us.
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise StoreError(f"cannot open the lock {self._path}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.read(descriptor, OWNER_BYTES_MAX).decode(errors="replace")
            os.close(descriptor)
            return "".join(char for char in text if char.isprintable()) or "unknown"
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, owner.encode()[:OWNER_BYTES_MAX], 0)
        self._descriptor = descriptor
        return None


def sha256_of(path: Path) -> str:
    """Digest of a regular file; OSError for anything else, a symbolic link included."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # asked before Python opens it, which fails for a folder
        os.close(descriptor)
        raise OSError(f"not a regular file: {path}")
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        digest = hashlib.sha256()
        while piece := file.read(_READ_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def remove_tree(folder: Path) -> None:
    """Deletes a tree of read-only directories."""
    for inner, _, _ in os.walk(folder):
        Path(inner).chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _is_whole(path: Path, digest: str, size: int | None) -> bool:
    try:
        return (size is None or path.lstat().st_size == size) and sha256_of(path) == digest
    except OSError:
        return False


def _parse_manifest(data: bytes) -> tuple[_Entry, ...]:
    if len(data) > MANIFEST_BYTES_MAX:
        raise StoreError(f"bundle manifest of {len(data)} bytes is over the limit of {MANIFEST_BYTES_MAX}")
    try:
        entries = tuple(_Entry(**entry) for entry in json.loads(data)["files"])
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(f"not a bundle manifest: {error!r}") from error
    paths = [_check_entry(entry) for entry in entries]
    if paths != sorted(set(paths)):
        raise StoreError("bundle manifest is not sorted by path, or names a path twice")
    return entries


def _check_entry(entry: _Entry) -> str:
    if type(entry.path) is not str or type(entry.size) is not int or type(entry.sha256) is not str:
        raise StoreError(f"bundle manifest: wrong type in {entry!r}")
    parts = entry.path.split("/")
    if not all(parts) or {".", ".."} & set(parts) or not entry.path.isprintable() or "\\" in entry.path:
        raise StoreError(f"bundle manifest: refused path: {entry.path!r}")
    _checked(_DIGEST, entry.sha256)
    return entry.path


def _checked(pattern: re.Pattern[str], name: str) -> str:
    if not pattern.fullmatch(name):
        raise StoreError(f"refused name: {name[:120]!r}")
    return name


def _make_private(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid():
        raise StoreError(f"not a directory of ours: {folder}")
    if facts.st_mode & 0o022:
        raise StoreError(f"others may write into it: {folder}; run `chmod go-w {folder}`")


def _made(folder: Path) -> Path:
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _link(blob: Path, target: Path) -> None:
    try:
        os.link(blob, target)
    except OSError:  # a filesystem without hard links, or too many of them on one blob
        shutil.copyfile(blob, target)
        target.chmod(0o400)


def delete(path: Path) -> None:
    """Deletes a file or a tree; what cannot be deleted stays."""
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
