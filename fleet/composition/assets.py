"""Every file a document points at: found in the project or fetched, its reference rewritten to a path in the bundle.

Problems are collected, and raised together: an author mends one list, not one line per attempt.
"""

import base64
import hashlib
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from justhtml import Document, Element

from fleet import assets, errors, model
from fleet.composition import css, markup, placeholders, project

REMOTE = "_remote"  # folder of the bundle for what came from elsewhere
# Attributes that name a file, by element.
REFERENCES: dict[str, tuple[str, ...]] = {
    "img": ("src",), "video": ("src", "poster"), "audio": ("src",), "source": ("src",), "track": ("src",),
    "embed": ("src",), "object": ("data",), "input": ("src",), "image": ("href", markup.XLINK),
    "feImage": ("href", markup.XLINK), "use": ("href", markup.XLINK),
}  # fmt: skip
# What shows a picture: a page is itself without one, as it is not without a scene, a font or a film.
_PICTURES = frozenset({("img", "src"), ("input", "src"), ("video", "poster")}) | {
    (name, attribute) for name in ("image", "feImage", "use") for attribute in ("href", markup.XLINK)
}
_STYLESHEET = "stylesheet"
# Hints to a network that hosts do not have, and decoration of browser windows.
_DROPPED_LINKS = frozenset({"preconnect", "dns-prefetch", "prerender", "icon", "manifest", "apple-touch-icon"})
_LOADED_LINKS = frozenset({"preload", "prefetch", "modulepreload"})
_PLACEHOLDERS = ("{{", "<<", "${")
_FONT_TYPES = {".woff2": "font/woff2", ".woff": "font/woff", ".ttf": "font/ttf", ".otf": "font/otf"}
_DATA = frozenset({".json", ".geojson"})  # what scripts fetch, Lottie animations among it
_ENDLESS_NUMBER = re.compile(r"[0-9]{4301}")  # Python reads none, and the parser of style sheets ends with an error
FONT_LIMIT_BYTES = 5 * 1024 * 1024
FONT_HOSTS = frozenset({"fonts.googleapis.com", "fonts.bunny.net"})


@dataclass(slots=True)
class Assets:
    """The files of one bundle while its document is being compiled."""

    source: project.Project
    library: assets.Library
    files: dict[str, Path] = field(default_factory=dict)  # path in the bundle -> file on this disk
    scripts: dict[str, str] = field(default_factory=dict)  # URL -> text, to be inlined once all pages are one
    spoken: list[str] = field(default_factory=list)  # text that may name further files of the project
    problems: list[str] = field(default_factory=list)
    findings: list[model.Finding] = field(default_factory=list)
    font_sheets: list[str] = field(default_factory=list)  # addresses of font services that style sheets import
    _sheets: set[str] = field(default_factory=set)
    read: set[str] = field(default_factory=set)
    bare: dict[str, str] = field(default_factory=dict)  # names that scripts import -> where one does
    frames: list[str] = field(default_factory=list)  # pages inside the page, still to be compiled
    srcdocs: list[tuple[str, Element]] = field(default_factory=list)  # those written into a page, with its path

    def localise(self, page: project.Page) -> None:
        """Rewrites every reference of `page` to a path in the bundle."""
        for element in list(markup.walk(page.document, templates=True)):
            self._element(element, page)

    def check(self) -> None:
        """CompositionError with all problems met so far, if any."""
        if self.problems:
            raise errors.CompositionError(
                "\n".join(dict.fromkeys(self.problems)),
                remedy="put the files in place, or correct the references",
            )

    def all(self) -> tuple[model.Asset, ...]:
        """Every file of the bundle, by path."""
        return tuple(model.Asset(path=path, file=str(file)) for path, file in sorted(self.files.items()))

    def add(self, path: str, data: bytes) -> str:
        """Keeps `data` as a file of the bundle; returns its path there."""
        self.files[path] = self.library.store(data)
        return path

    def filled(self, path: str, file: Path) -> Path:
        """The project's file as the bundle has it: `file`, or for data a copy with its placeholders filled in."""
        if not self.source.placeholders or posixpath.splitext(path)[1].lower() not in _DATA:
            return file
        written = project.read_text(file, path)
        text = placeholders.fill_json(written, self.source.placeholders)
        return file if text == written else self.library.store(text.encode())

    def _element(self, element: Element, page: project.Page) -> None:
        where = f"{page.path}:{markup.line(element)}"
        for name in REFERENCES.get(element.name, ()):
            if (value := markup.get(element, name)) and not _is_inside(element, name, value):
                read = self.picture if (element.name, name) in _PICTURES else self.reference
                element.attrs[name] = read(value, page.path, where)
        element.attrs.pop("crossorigin", None)  # all files are of one origin now, and its server does not speak CORS
        if srcset := markup.get(element, "srcset"):
            element.attrs["srcset"] = ", ".join(self._candidates(srcset, page.path, where))
        if style := markup.get(element, "style"):
            element.attrs["style"] = self._css(style, page.path, where)
        self._special(element, page, where)

    def _special(self, element: Element, page: project.Page, where: str) -> None:
        match element.name:
            case "style":
                self._style(element, page)
            case "link":
                self._link(element, page, where)
            case "iframe":
                self._frame(element, page, where)
            case _:
                pass

    def _candidates(self, srcset: str, page: str, where: str) -> Iterator[str]:
        for candidate in srcset.split(", "):
            url, _, size = candidate.strip().partition(" ")
            yield f"{self.picture(url, page, where)} {size}".strip()

    def _style(self, element: Element, page: project.Page) -> None:
        _check_depth(markup.text(element), f"{page.path}:{markup.line(element)}")
        sheet, remote = css.take_imports(markup.text(element), is_remote)
        for url in remote:
            link = markup.new("link", {"rel": _STYLESHEET, "href": url})
            link._origin_line = element.origin_line
            assert element.parent is not None
            element.parent.insert_before(link, element)
            self._link(link, page, f"{page.path}:{markup.line(element)}")
        markup.set_text(element, self._css(sheet, page.path, f"{page.path}:{markup.line(element)}"))

    def _css(self, sheet: str, page: str, where: str) -> str:
        name, _, line = where.rpartition(":")

        def replace(reference: css.Reference) -> str:
            at = f"{name}:{int(line) + reference.line - 1}"
            if reference.kind == "import" and not is_remote(reference.url):
                return self._sheet(reference.url, page, at)
            read = {"image": self.picture, "font": self._font}.get(reference.kind, self.reference)
            return read(reference.url, page, at)

        _check_depth(sheet, where)
        return css.rewrite(sheet, replace)

    def _link(self, element: Element, page: project.Page, where: str) -> None:
        relations = set((markup.get(element, "rel") or "").lower().split())
        href = (markup.get(element, "href") or "").strip()
        if relations & _DROPPED_LINKS or (relations & _LOADED_LINKS and is_remote(href)):
            markup.remove(element)
        elif href and _STYLESHEET in relations:
            if not is_font_service(href):  # those are fonts.py's, which knows the letters that the page uses
                element.attrs["href"] = self._sheet(href, page.path, where)
                element.attrs.pop("integrity", None)
        elif href and relations & _LOADED_LINKS:
            element.attrs["href"] = self.reference(href, page.path, where)

    def _sheet(self, href: str, page: str, where: str) -> str:
        """Localises a linked style sheet and all that it points at; returns its path in the bundle."""
        path = self.reference(href, page, where)
        plain = project.split(path)[0]
        file = self.files.get(plain)
        if file is None or plain in self._sheets:
            return path
        self._sheets.add(plain)
        written = project.read_text(file, plain)
        filled = written if is_remote(href) else placeholders.fill(written, self.source.placeholders)
        _check_depth(filled, plain)
        sheet, services = css.take_imports(filled, is_font_service)
        self.font_sheets += services
        base = absolute(href) if is_remote(href) else ""

        def replace(reference: css.Reference) -> str:
            return self._from_sheet(reference, plain, base)

        rewritten = css.rewrite(sheet, replace)
        if rewritten != sheet or services or filled != written:
            self.files[plain] = self.library.store(rewritten.encode())
        return path

    def _from_sheet(self, reference: css.Reference, sheet: str, base: str) -> str:
        url, where = reference.url, f"{sheet}:{reference.line}"
        if base and not project.has_scheme(url) and not url.startswith("#"):
            url = assets.join(base, url)
        elif project.is_local(url) and not url.startswith("/"):
            # A sheet's addresses are meant from its own folder, whatever lies elsewhere.
            url = posixpath.normpath(posixpath.join("/", posixpath.dirname(sheet), url))
        if not is_remote(url) and not project.is_local(url):
            return url
        read = {"import": self._sheet, "font": self._font}.get(reference.kind, self.picture)
        path = read(url, sheet, where)
        return path if project.has_scheme(path) else posixpath.relpath("/" + path, "/" + posixpath.dirname(sheet))

    def _frame(self, element: Element, page: project.Page, where: str) -> None:
        if "srcdoc" in element.attrs:  # stronger than `src`
            self.srcdocs.append((page.path, element))
            return
        src = (markup.get(element, "src") or "").strip()
        if not src or not (is_remote(src) or project.is_local(src)):
            return
        if is_remote(src):
            self.problems.append(f"{where}: {src}: a page from elsewhere cannot be rendered without a network")
            return
        path = element.attrs["src"] = self.reference(src, page.path, where)
        plain = project.split(path)[0]
        if plain in self.files and plain not in self.frames:
            self.frames.append(plain)

    def reference(self, value: str, page: str, where: str) -> str:
        """The path in the bundle of what `value` names in `page`; an absent file is noted, its name returned as is."""
        value = value.strip()
        if is_remote(value):
            return self._remote(value, where)
        if value.lower().startswith("file:"):
            self.problems.append(f"{where}: {value}: only files of the project can be used, named by relative paths")
            return value
        if not project.is_local(value):
            return value
        return self._local(value, page, where)

    def picture(self, value: str, page: str, where: str) -> str:
        """As `reference`; but one that cannot be had is warned about, and missing in the render."""
        value = value.strip()
        if not is_remote(value):
            if not (absence := self._absence(value, page)):
                return self.reference(value, page, where)
            self._go_without(f"{value}: {absence}", "put the file in place, or correct the reference", where)
            return value
        try:
            return self.fetched(value)
        except assets.Unavailable as error:
            remedy = "put the picture into the project, or try again when its server answers"
            self._go_without(f"{value}: {error}", remedy, where)
            return value

    def _absence(self, value: str, page: str) -> str:
        """Why no file is where `value` points; empty when one is there, in the project or not, or nothing is meant."""
        if not project.is_local(value):
            return ""
        written, _ = project.split(value)
        try:
            is_there = self.source.file(project.resolve(self.source, page, written)) is not None
        except project.OutsideProjectError:
            is_there = _exists(self.source.root / posixpath.normpath(posixpath.join(posixpath.dirname(page), written)))
        return "" if is_there else why_missing(value)

    def _go_without(self, said: str, remedy: str, where: str) -> None:
        self.findings.append(
            model.Finding(
                severity=model.Severity.WARNING,
                code="picture-unavailable",
                message=f"{said}; the render goes on without this picture",
                remedy=remedy,
                where=where,
            )
        )

    def _font(self, value: str, page: str, where: str) -> str:
        """A font as data, which Chromium has ready at once; a path when it is too large for that."""
        known = set(self.files)
        path = self.reference(value, page, where)
        plain = project.split(path)[0].lstrip("/")
        file, kind = self.files.get(plain), _FONT_TYPES.get(posixpath.splitext(plain)[1].lower())
        if file is None or kind is None or file.stat().st_size > FONT_LIMIT_BYTES:
            return path
        if plain not in known:
            del self.files[plain]
        return f"data:{kind};base64,{base64.b64encode(file.read_bytes()).decode()}"

    def inline_sheets(self, document: Document) -> None:
        """Puts linked style sheets of the bundle where their links stand, so that all rules are in one document."""
        for url in dict.fromkeys(self.font_sheets):
            markup.part(document, "head").append_child(markup.new("link", {"rel": _STYLESHEET, "href": url}))
        for link in markup.find(document, "link"):
            path = project.split(markup.get(link, "href") or "")[0].lstrip("/")
            if _STYLESHEET not in (markup.get(link, "rel") or "").lower().split() or path not in self.files:
                continue
            folder = posixpath.dirname(path)
            sheet = css.rewrite(
                project.read_text(self.files[path], path),
                lambda reference, folder=folder: _from_root(reference.url, folder),  # type: ignore[misc]
            )
            media = {"media": value} if (value := markup.get(link, "media")) else {}
            markup.replace(link, markup.new("style", media, sheet.replace("</", "<\\/")))

    def _local(self, value: str, page: str, where: str) -> str:
        written, suffix = project.split(value)
        try:
            path = project.resolve(self.source, page, written)
        except project.OutsideProjectError:
            self.problems.append(f"{where}: {value}: leads out of the project")
            return value
        file = self.source.file(path)
        if file is None:
            self.problems.append(f"{where}: {value}: {why_missing(value)}")
            return value
        self.files.setdefault(path, self.filled(path, file))
        return value if path == written else assets.quoted(path) + suffix

    def _remote(self, url: str, where: str) -> str:
        try:
            return self.fetched(url)
        except assets.Unavailable as error:
            self.problems.append(f"{where}: {url}: {error}")
            return url

    def fetched(self, url: str) -> str:
        """The path in the bundle of what is at `url`; Unavailable when nothing is."""
        fetched = self.library.fetch(absolute(url))
        path = posixpath.join(REMOTE, hashlib.sha256(url.encode()).hexdigest()[:12], assets.file_name(url))
        self.files.setdefault(path, fetched.file)
        return path


def _from_root(url: str, folder: str) -> str:
    if not project.is_local(url) or url.startswith("/"):
        return url
    return posixpath.normpath(posixpath.join(folder, url))


def is_remote(reference: str) -> bool:
    """Whether the reference is an http or https address."""
    return reference.strip().lower().startswith(("http://", "https://", "//"))


def is_font_service(href: str) -> bool:
    """Whether a style sheet comes from a service that answers with font faces."""
    return is_remote(href) and assets.host_of(absolute(href)) in FONT_HOSTS


def absolute(url: str) -> str:
    """The address with its scheme."""
    return f"https:{url}" if url.strip().startswith("//") else url.strip()


def _is_inside(element: Element, name: str, value: str) -> bool:
    # `<use href="#icon">` points into its own document, and only an image button has a source.
    return value.startswith("#") or (element.name == "input" and name == "src" and element.attrs.get("type") != "image")


def _exists(file: Path) -> bool:
    try:
        return file.exists()
    except (OSError, ValueError):  # a name longer than the file system allows, or of bytes that it does not
        return False


def _check_depth(sheet: str, where: str) -> None:
    if css.is_too_deep(sheet):
        raise errors.CompositionError(
            f"{where}: styles are nested more than {css.DEPTH_LIMIT} levels deep", remedy="close their brackets"
        )
    if _ENDLESS_NUMBER.search(sheet):
        raise errors.CompositionError(f"{where}: a number of more than 4300 digits", remedy="shorten it")


def why_missing(value: str) -> str:
    """What to say of a reference to a file that is not there."""
    name = posixpath.basename(value)
    if any(mark in value for mark in _PLACEHOLDERS) or (name.startswith("__") and name.endswith("__")):
        return "a template placeholder that nothing has filled in"
    return "no such file in the project"
