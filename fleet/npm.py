"""Script CDN addresses as npm packages, and single files out of a package. Nothing of a package is ever run."""

import json
import os
import posixpath
import signal
import subprocess
import tarfile
import tempfile
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_S = 120.0
_ABSENT = ("code E404", "code ETARGET")
MEMBER_LIMIT_BYTES = 128 * 1024 * 1024
# cdnjs names libraries its own way: library -> (package, folder that holds the published files).
CDNJS = {
    "animejs": ("animejs", "lib"),
    "bodymovin": ("lottie-web", "build/player"),
    "d3": ("d3", "dist"),
    "gsap": ("gsap", "dist"),
    "leaflet": ("leaflet", "dist"),
    "lodash.js": ("lodash", ""),
    "lottie-web": ("lottie-web", "build/player"),
    "maplibre-gl": ("maplibre-gl", "dist"),
    "p5.js": ("p5", "lib"),
    "pixi.js": ("pixi.js", "dist"),
    "three.js": ("three", "build"),
    "topojson": ("topojson", "dist"),
    "topojson-client": ("topojson-client", "dist"),
}


class PackageError(Exception):
    """The npm client could not get the package, or the package has no such file."""


class NoSuchPackage(PackageError):
    """The registry answered, and has no such package or version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file of a package at a version (or range); an empty path means the package's own browser entry."""

    name: str
    version: str
    path: str = ""

    @property
    def archive(self) -> str:
        """The name of the whole package in a cache."""
        return f"npm:{self.name}@{self.version}"


def package_of(url: str) -> File | None:
    """The package file that a CDN address stands for; None when it is no address of a known script CDN."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return None
    path = urllib.parse.unquote(parts.path).strip("/")
    if parts.netloc == "cdn.jsdelivr.net" and path.startswith("npm/"):
        return file_at(path.removeprefix("npm/"))
    if parts.netloc in {"unpkg.com", "www.unpkg.com"}:
        return file_at(path)
    if parts.netloc == "cdnjs.cloudflare.com" and path.startswith("ajax/libs/"):
        return _cdnjs_path(path.removeprefix("ajax/libs/").split("/"))
    return None


def file_at(path: str) -> File | None:
    """The file that `name@version/path` stands for; None when it can be no package."""
    pieces = path.split("/")
    count = 2 if path.startswith("@") else 1
    name, _, version = "/".join(pieces[:count]).rpartition("@")
    if not name:  # no version: rpartition found the scope's @, or none at all
        name, version = "/".join(pieces[:count]), "latest"
    rest = "/".join(pieces[count:])
    return _checked(File(name=name, version=version or "latest", path=rest))


def _cdnjs_path(pieces: list[str]) -> File | None:
    if len(pieces) < 3 or pieces[0] not in CDNJS:
        return None
    library, version = pieces[0], pieces[1]
    package, folder = CDNJS[library]
    if library == "three.js" and version.startswith("r"):
        version = f"0.{version[1:]}.0"
    return _checked(File(name=package, version=version, path=posixpath.join(folder, *pieces[2:])))


def _checked(file: File) -> File | None:
    # The spec becomes an argument of a program and the path a name inside an archive: nothing clever passes.
    name = file.name.replace("@", "").replace("/", "")
    plain = name + file.version
    if not name or file.name.startswith("-") or not all(c.isascii() and (c.isalnum() or c in "._-^~+") for c in plain):
        return None
    return None if ".." in file.path.split("/") else file


def pack(file: File) -> bytes:
    """The package's archive, by the npm client."""
    with tempfile.TemporaryDirectory(prefix="fleetrender-npm-") as directory:
        command = [
            "npm", "pack", f"{file.name}@{file.version}", "--ignore-scripts", "--loglevel=error",
            f"--pack-destination={directory}", "--fetch-retries=1", "--fetch-timeout=30000",
        ]  # fmt: skip
        code, output = _run(command, Path(directory))
        archives = sorted(Path(directory).glob("*.tgz"))
        if code != 0 or len(archives) != 1:
            if any(reason in output for reason in _ABSENT):
                raise NoSuchPackage(f"npm has no {file.name}@{file.version}")
            detail = " ".join(output.split())[-200:] or f"exit code {code}"
            raise PackageError(f"npm could not get {file.name}@{file.version}: {detail}")
        return archives[0].read_bytes()


def _run(command: list[str], directory: Path) -> tuple[int, str]:
    try:
        process = subprocess.Popen(
            command, cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", start_new_session=True,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise PackageError("the npm client is not installed") from error
    with process:
        try:
            output, _ = process.communicate(timeout=TIMEOUT_S)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)  # npm starts children of its own
            if isinstance(error, subprocess.TimeoutExpired):
                raise PackageError(f"npm gave no answer within {TIMEOUT_S:.0f} s") from error
            raise
    return process.returncode, output


def read_member(archive: Path, file: File) -> bytes:
    """One file out of the archive, read in memory: nothing is unpacked, so no name can lead anywhere."""
    try:
        with tarfile.open(archive, "r:gz") as package:
            members = {_inner(member.name): member for member in package.getmembers() if member.isfile()}
            for path in _candidates(file.path or _entry(package, members)):
                if (member := members.get(path)) is not None:
                    return _content(package, member)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise PackageError(f"the archive of {file.name}@{file.version} is damaged: {error}") from error
    raise PackageError(f"npm package {file.name}@{file.version} has no file {file.path or 'to load in a browser'}")


def list_members(archive: Path) -> tuple[str, ...]:
    """Paths of every file in the archive, sorted."""
    try:
        with tarfile.open(archive, "r:gz") as package:
            return tuple(sorted(_inner(member.name) for member in package.getmembers() if member.isfile()))
    except (tarfile.TarError, OSError, EOFError) as error:
        raise PackageError(f"{archive}: the archive is damaged: {error}") from error


def _inner(name: str) -> str:
    return name.partition("/")[2]  # packages hold everything below one folder


def _candidates(path: str) -> tuple[str, ...]:
    # CDNs minify what a package does not ship minified; the plain file behaves the same.
    stem, extension = posixpath.splitext(path)
    plain = (stem.removesuffix(".min") + extension,) if stem.endswith(".min") else ()
    return (path, *plain)


def _entry(package: tarfile.TarFile, members: dict[str, tarfile.TarInfo]) -> str:
    try:
        manifest = json.loads(_content(package, members["package.json"]))
        values = [manifest.get(key) for key in ("jsdelivr", "unpkg", "browser", "main")]
    except (KeyError, ValueError, AttributeError):
        values = []
    return next((posixpath.normpath(value) for value in values if isinstance(value, str)), "index.js")


def _content(package: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if member.size > MEMBER_LIMIT_BYTES:
        raise PackageError(f"{member.name} is larger than {MEMBER_LIMIT_BYTES} bytes")
    stream = package.extractfile(member)
    if stream is None:
        raise PackageError(f"{member.name} is not a regular file")
    with stream:
        return stream.read()
