"""Composition -> bundle: document and assets by sha256, and the manifest whose digest names them all."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from fleet import errors, model

DOCUMENT = "index.html"
MANIFEST = ""  # the manifest's own path: it describes the bundle and is no file inside it


def build(composition: model.Composition, directory: Path, *, extra: Mapping[str, bytes] | None = None) -> model.Bundle:
    """Writes document, `extra` and manifest below `directory` and names every blob; assets stay where they are."""
    blobs = [_stored(DOCUMENT, composition.document.encode(), directory)]
    blobs += [_stored(path, data, directory) for path, data in (extra or {}).items()]
    blobs += [_measured(asset) for asset in composition.assets if asset.path != DOCUMENT]
    blobs.sort(key=lambda blob: blob.path)
    manifest = _stored(MANIFEST, manifest_of(blobs), directory)
    return model.Bundle(manifest.sha256, (manifest, *blobs))


def manifest_of(blobs: Iterable[model.Blob]) -> bytes:
    """Canonical JSON of path, sha256 and size, sorted by path: equal content gives equal bytes on every machine."""
    files = [{"path": blob.path, "sha256": blob.sha256, "size": blob.size_bytes} for blob in blobs]
    paths = [str(file["path"]) for file in files]
    if len(set(paths)) != len(paths):
        raise ValueError(f"two files of one path in a bundle: {paths}")
    for path in paths:
        _check(path)
    ordered = sorted(files, key=lambda file: str(file["path"]))
    return json.dumps({"files": ordered}, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def digest_of(blobs: Iterable[model.Blob]) -> str:
    """The digest of a bundle of these files."""
    return hashlib.sha256(manifest_of(blobs)).hexdigest()


def _check(path: str) -> None:
    # Hosts write these names below a directory of ours; none may lead elsewhere.
    if path.startswith("/") or "\0" in path or any(part in {"", ".", ".."} for part in path.split("/")):
        raise ValueError(f"not a path inside a bundle: {path!r}")


def _measured(asset: model.Asset) -> model.Blob:
    try:
        with Path(asset.file).open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            size = os.fstat(stream.fileno()).st_size
    except OSError as error:
        raise errors.CompositionError(
            f"{asset.path}: cannot be read: {error.strerror}", remedy=f"check `{asset.file}`"
        ) from error
    return model.Blob(asset.path, digest, size, asset.file)


def _stored(path: str, data: bytes, directory: Path) -> model.Blob:
    digest = hashlib.sha256(data).hexdigest()
    file = directory / digest
    directory.mkdir(parents=True, exist_ok=True)
    descriptor, part = tempfile.mkstemp(prefix=".part-", dir=directory)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
        Path(part).replace(file)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
    return model.Blob(path, digest, len(data), str(file))
