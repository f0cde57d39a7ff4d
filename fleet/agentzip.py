"""The host half as one file: a zip of the installed `capture` package that any python3 can run.

The same sources give the same bytes on every machine, so its sha256 names the version that hosts cache.
"""

import hashlib
import io
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

PACKAGE = "capture"
# Earliest date a zip can hold: the time of building must not be in the bytes.
DATE = (1980, 1, 1, 0, 0, 0)
SUFFIXES = (".py", ".js", ".ttf")
# `capture/compiled.py` makes the other zip; workers are started from wherever the package was found.
MAIN = """import os, runpy, sys

compiled = f"{sys.argv[0].removesuffix('.pyz')}.{sys.implementation.cache_tag}.zip"
if os.path.isfile(compiled):
    sys.path.insert(0, compiled)
runpy.run_module("PACKAGE", run_name="__main__")
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentZip:
    """A built agent: where it lies on the coordinator, and what names it everywhere."""

    path: Path
    sha256: str
    size_bytes: int


def build(directory: Path, package: str = PACKAGE) -> AgentZip:
    """The zip of `package` as `<directory>/<sha256>.pyz`; written only if it is not there yet."""
    data = pack(package)
    digest = hashlib.sha256(data).hexdigest()
    path = directory / f"{digest}.pyz"
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{digest}.{os.getpid()}")
        part.write_bytes(data)
        part.replace(path)
    return AgentZip(path=path, sha256=digest, size_bytes=len(data))


def pack(package: str) -> bytes:
    """The bytes of the zip: sources, page scripts and font of `package`, and a `__main__` that runs it."""
    files = dict(_walk(resources.files(package), package))
    files["__main__.py"] = MAIN.replace("PACKAGE", package).encode()
    buffer = io.BytesIO()
    # Stored, not deflated: compressors differ between machines, and 300 KiB travel once per version and host.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, DATE)
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[name])
    return buffer.getvalue()


def _walk(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for item in folder.iterdir():
        name = f"{prefix}/{item.name}"
        if item.is_dir():
            yield from _walk(item, name)
        elif item.name.endswith(SUFFIXES):
            yield name, item.read_bytes()
