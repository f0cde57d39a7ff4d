"""The project on disk: which file is the entry, what a reference means, and that nothing leaves the project."""

import difflib
import os
import posixpath
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from justhtml import Document

from fleet import errors
from fleet.composition import markup, placeholders

ENTRY = "index.html"
HTML_SUFFIXES = frozenset({".html", ".htm"})
_TEXT_SUFFIXES = frozenset({".css", ".js", ".mjs", ".json", ".svg", ".txt", ".csv", ".srt", ".vtt"})
_NO_ASSETS = frozenset({"node_modules", "renders", "snapshots"})
# A project with more files than this was meant to be a folder above one; what its pages name is still found.
FILES_LIMIT = 20_000
# One page of markup; a larger one has its media pasted in, and would be pushed to every host.
PAGE_LIMIT_BYTES = 64 * 1024 * 1024


class OutsideProjectError(Exception):
    """A reference that leads out of the project directory."""


@dataclass(frozen=True, slots=True)
class Page:
    """One HTML file of the project as a tree; `path` is relative to the project, with forward slashes."""

    path: str
    document: Document


@dataclass(frozen=True, slots=True)
class Project:
    """A directory and the page in it that gets rendered."""

    root: Path
    entry: str
    placeholders: Mapping[str, str] = field(default_factory=dict)  # what stands for `__KEY__` and `{{KEY}}`

    @property
    def name(self) -> str:
        """What the user calls this composition."""
        return self.root.name if self.entry == ENTRY else Path(self.entry).stem

    def file(self, path: str) -> Path | None:
        """The regular file at a project path, following links the author placed inside the project; None if absent."""
        if path.startswith("/") or ".." in path.split("/") or "\0" in path:
            raise OutsideProjectError(path)
        try:
            file = self.root / path
            return file if file.is_file() else None
        except OSError:  # a name longer than the file system allows
            return None

    def page(self, path: str) -> Page:
        """Reads and parses a page; CompositionError when its bytes are no text."""
        return Page(path, markup.parse(self.text(path)))

    def text(self, path: str) -> str:
        """The text of a file with its placeholders filled in."""
        return placeholders.fill(self.raw(path), self.placeholders)

    def raw(self, path: str) -> str:
        """The text of a file as it is."""
        file = self.file(path)
        if file is None:
            raise errors.CompositionError(f"{path}: no such file", remedy=f"create `{self.root / path}`")
        return read_text(file, path)

    def files(self) -> list[str]:
        """Project paths of all files that a script might ask for: no pages, nothing hidden, no packages, no renders."""
        found: list[str] = []
        for folder, folders, names in os.walk(self.root):
            folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _NO_ASSETS)
            place = Path(folder).relative_to(self.root)
            found += [
                (place / name).as_posix()
                for name in sorted(names)
                if not name.startswith(".") and Path(name).suffix.lower() not in HTML_SUFFIXES
            ]
            if len(found) > FILES_LIMIT:
                break
        return found[:FILES_LIMIT]

    def find(self, text: str) -> str:
        """`file:line` of the first place that has `text`, whatever its case; empty when no page or text file has."""
        pages = sorted(path.relative_to(self.root).as_posix() for path in self.root.glob("**/*.htm*"))
        texts = [path for path in self.files() if Path(path).suffix.lower() in _TEXT_SUFFIXES]
        for path in [self.entry, *pages, *texts]:
            try:
                source = (self.root / path).read_text(encoding="utf-8").lower()
            except (OSError, UnicodeDecodeError):
                continue
            if (at := source.find(text.lower())) >= 0:
                return f"{path}:{source.count(chr(10), 0, at) + 1}"
        return ""


def locate(path: Path, values: Mapping[str, str] | None = None) -> Project:
    """The project that `path`, a directory or an .html file, means; ConfigError when there is none."""
    if path.is_dir():
        if not (path / ENTRY).is_file():
            raise errors.ConfigError(f"no `{ENTRY}` in {path}", remedy=_suggest_page(path))
        return Project(path.resolve(), ENTRY, values or {})
    if not path.is_file():
        raise errors.ConfigError(f"no such composition: {path}", remedy=_suggest_path(path))
    if path.suffix.lower() not in HTML_SUFFIXES:
        raise errors.ConfigError(
            f"not a composition: {path}", remedy=f"name a folder that holds `{ENTRY}`, or an .html file"
        )
    page = path.parent.resolve() / path.name
    root = _root_of(page)
    return Project(root, page.relative_to(root).as_posix(), values or {})


def _root_of(page: Path) -> Path:
    # Pages below `compositions/` name their files from the project's root, one level up.
    for folder in page.parents:
        if folder.name == "compositions" and (folder.parent / ENTRY).is_file():
            return folder.parent
    return page.parent


def _suggest_page(folder: Path) -> str:
    pages = sorted(file.name for file in folder.iterdir() if file.suffix.lower() in HTML_SUFFIXES)
    if pages:
        return f"name the page: `fleetrender run {folder / pages[0]}`"
    return f"name a folder that holds `{ENTRY}`, or an .html file"


def _suggest_path(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return f"`{path.parent}` does not exist either: check the path"
    close = difflib.get_close_matches(path.name, names, n=1)
    return f"did you mean `{path.parent / close[0]}`?" if close else "check the path"


def read_text(file: Path, name: str) -> str:
    """The text of a project file; CompositionError when it is too large or not UTF-8."""
    try:
        if file.stat().st_size > PAGE_LIMIT_BYTES:
            raise errors.CompositionError(
                f"{name}: larger than {PAGE_LIMIT_BYTES} bytes", remedy="keep media in files of their own"
            )
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise errors.CompositionError(
            f"{name}: not UTF-8 text (byte {error.start})", remedy=f"save `{name}` as UTF-8"
        ) from error
    except OSError as error:
        raise errors.CompositionError(
            f"{name}: cannot be read: {error.strerror}", remedy="check its permissions"
        ) from error


def is_local(reference: str) -> bool:
    """Whether a reference names a file of the project rather than an address, a fragment or inline data."""
    return bool(reference) and not reference.startswith(("#", "//")) and not has_scheme(reference)


def has_scheme(reference: str) -> bool:
    """Whether the reference starts like `https:` or `data:`."""
    scheme, colon, _ = reference.partition(":")
    return bool(colon) and scheme[:1].isalpha() and all(c.isascii() and (c.isalnum() or c in "+-.") for c in scheme)


def split(reference: str) -> tuple[str, str]:
    """A local reference as (decoded path, query and fragment as written)."""
    end = min((at for at in (reference.find("?"), reference.find("#")) if at >= 0), default=len(reference))
    return urllib.parse.unquote(reference[:end]), reference[end:]


def resolve(project: Project, page: str, path: str) -> str:
    """The project path that `path`, as written in `page`, stands for; OutsideProjectError when it leaves the project.

    A path that climbs is meant from its own file, and where it climbs too high from the root, as browsers take it. A
    plain one is meant from the project's root, as the page is served from there, unless a file of that name lies next
    to the page.
    """
    if path.startswith("/"):
        return _inside(path.lstrip("/"), path)
    beside = posixpath.normpath(posixpath.join(posixpath.dirname(page), path))
    if ".." in path.split("/"):
        below = posixpath.normpath("/" + beside).lstrip("/")
        return below if project.file(below) is not None else _inside(beside, path)
    if not beside.startswith("../") and project.file(beside) is not None:
        return beside
    return _inside(posixpath.normpath(path), path)


def _inside(path: str, written: str) -> str:
    normal = posixpath.normpath(path)
    if normal.startswith(("../", "/")) or normal == ".." or "\0" in normal:
        raise OutsideProjectError(written)
    return normal
