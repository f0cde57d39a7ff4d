"""Remote files by exact URL, from a content-addressed cache, then HTTPS, then the npm client for script CDNs.

Knows nothing of documents: `fleet.composition` says which file and line wanted a URL.
"""

import contextlib
import hashlib
import json
import logging
import os
import posixpath
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fleet import npm

# A family that npm does not have is asked for in every run; asking once a day is enough.
ABSENT_S = 24 * 3600
# npm mostly waits for its registry; each is a process of some hundred megabytes.
PACKS_AT_ONCE = 4

log = logging.getLogger(__name__)


class Unavailable(Exception):
    """No source had the file; the text says what each one answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """One remote file on this disk, verified."""

    url: str
    file: Path
    sha256: str
    size_bytes: int

    def read(self) -> bytes:
        """The file's bytes."""
        return self.file.read_bytes()


class Library:
    """A directory of files named by sha256, and which URL each came from. Safe to share between processes."""

    def __init__(self, cache: Path, *, offline: bool = False) -> None:
        self._cache = cache
        self._offline = offline
        self._dead_origins: dict[str, str] = {}  # origin -> why: one refusal is enough per run
        self._failed_packs: dict[str, npm.PackageError] = {}  # archive -> why: the same

    def fetch(self, url: str) -> Fetched:
        """The file at `url`; Unavailable names every source that was asked."""
        if (known := self._known(url)) is not None:
            return known
        if self._offline:
            raise Unavailable("not in the cache, and this run is offline")
        try:
            return self._record(url, self._download(url))
        except Unavailable as direct:
            package = npm.package_of(url)
            if package is None:
                raise
            try:
                return self._record(url, self._member(package))
            except Unavailable as fallback:
                raise Unavailable(f"{direct}; {fallback}") from fallback

    def package_file(self, package: npm.File) -> Fetched:
        """One file of an npm package, through the same cache; Unavailable when there is none."""
        url = f"npm:{package.name}@{package.version}/{package.path}"
        if (known := self._known(url)) is not None:
            return known
        absent = self._cache / "absent" / hashlib.sha256(package.archive.encode()).hexdigest()
        if absent.is_file() and time.time() - absent.stat().st_mtime < ABSENT_S:
            raise Unavailable(f"npm has no {package.name}@{package.version}")
        try:
            return self._record(url, self._member(package))
        except Unavailable as error:
            if isinstance(error.__cause__, npm.NoSuchPackage):
                _publish(absent, b"")
            raise

    def prefetch(self, packages: Iterable[npm.File]) -> None:
        """Gets the packages that the cache lacks, some at once. What fails is told to whoever asks for a file of it."""
        wanted = [package for package in dict.fromkeys(packages) if self._known(package.archive) is None]
        if self._offline or len(wanted) < 2:
            return
        with ThreadPoolExecutor(max_workers=PACKS_AT_ONCE) as pool:
            for _ in pool.map(self._try, wanted):
                pass

    def _try(self, package: npm.File) -> None:
        with contextlib.suppress(Unavailable):
            self.package_file(package)

    def store(self, data: bytes) -> Path:
        """Keeps `data` under its sha256; returns the file."""
        digest = hashlib.sha256(data).hexdigest()
        file = self._cache / "blobs" / digest[:2] / digest
        if not (file.is_file() and _sha256(file) == digest):
            _publish(file, data)
        return file

    def made(self, key: str, make: Callable[[], bytes]) -> bytes:
        """What `make` gives for `key`, which names everything that the result depends on; made once."""
        known = self._known(f"made:{key}") or self._record(f"made:{key}", make())
        return known.read()

    def _known(self, url: str) -> Fetched | None:
        try:
            entry = json.loads(self._entry(url).read_text(encoding="utf-8"))
            digest = str(entry["sha256"])
            file = self._cache / "blobs" / digest[:2] / digest
            if entry["url"] == url and _sha256(file) == digest:
                return Fetched(url=url, file=file, sha256=digest, size_bytes=file.stat().st_size)
        except (OSError, ValueError, KeyError, TypeError):
            return None  # absent, damaged or half deleted: fetched again
        return None

    def _record(self, url: str, data: bytes) -> Fetched:
        file = self.store(data)
        entry = {"url": url, "sha256": file.name, "size": len(data)}
        _publish(self._entry(url), json.dumps(entry, sort_keys=True).encode())
        return Fetched(url=url, file=file, sha256=file.name, size_bytes=len(data))

    def _entry(self, url: str) -> Path:
        return self._cache / "urls" / f"{hashlib.sha256(url.encode()).hexdigest()}.json"

    def _member(self, package: npm.File) -> bytes:
        if self._offline and self._known(package.archive) is None:
            raise Unavailable(
                f"npm package {package.name}@{package.version} is not in the cache, and this run is offline"
            )
        try:
            archive = self._known(package.archive) or self._record(package.archive, self._pack(package))
            return npm.read_member(archive.file, package)
        except npm.PackageError as error:
            raise Unavailable(str(error)) from error

    def _pack(self, package: npm.File) -> bytes:
        if (failed := self._failed_packs.get(package.archive)) is not None:
            raise failed
        try:
            return npm.pack(package)
        except npm.PackageError as error:
            self._failed_packs[package.archive] = error
            raise

    def _download(self, url: str) -> bytes:
        host = host_of(url)
        origin = f"{url.partition(':')[0]}://{host}"
        if origin in self._dead_origins:
            raise Unavailable(self._dead_origins[origin])
        from fleet import download  # an HTTP client is dear to import, and the cache mostly has everything

        try:
            return download.read(url)
        except download.Refused as error:
            raise Unavailable(str(error)) from error
        except download.NoAnswer as error:
            reason = f"no answer from {host or url}: {error}"
            self._dead_origins[origin] = reason
            log.debug("%s", reason)
            raise Unavailable(reason) from error


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _publish(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".part-", dir=file.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def join(base: str, url: str) -> str:
    """`url` as written in the file at `base`."""
    try:
        return urllib.parse.urljoin(base, url)
    except ValueError:
        return url  # no address at all: whoever fetches it says so


def host_of(url: str) -> str:
    """The host name of an address, empty when there is none."""
    try:
        return urllib.parse.urlsplit(url).hostname or ""
    except ValueError:
        return ""


def quoted(path: str) -> str:
    """A path as it is written in an address."""
    return urllib.parse.quote(path, safe="/!$&'()*+,;=:@~")


def file_name(url: str) -> str:
    """A plain file name for what is at `url`; its extension decides the type that a server gives it."""
    try:
        name = posixpath.basename(urllib.parse.unquote(urllib.parse.urlsplit(url).path))
    except ValueError:
        name = ""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name)[-80:]
    return plain.lstrip(".") or "file"
