"""Fonts are files of the bundle, so that the same letters look the same on every host.

A list that begins with a generic family gets Inter before it. Families that the page does not bring along come from
the npm packages that HyperFrames embeds, from the font service that the page links, or from @fontsource.
"""

import base64
import posixpath
import re
import urllib.parse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from justhtml import Document, Element

from fleet import model, npm
from fleet.assets import Library, Unavailable
from fleet.composition import assets, css, families, markup
from fleet.composition.families import Face

MARK = "data-hyperframes-deterministic-fonts"
# The releases and weights that HyperFrames embeds: with them our letters are its letters.
_EMBEDDED: dict[str, tuple[str, tuple[int, ...]]] = {
    "Inter": ("5.2.8", (400, 700, 900)),
    "Montserrat": ("5.2.8", (400, 700, 900)),
    "Outfit": ("5.2.8", (400, 700, 900)),
    "Nunito": ("5.2.7", (400, 700, 900)),
    "Playfair Display": ("5.2.8", (400, 700, 900)),
    "Roboto": ("5.2.10", (400, 700, 900)),
    "Lato": ("5.2.7", (400, 700, 900)),
    "Poppins": ("5.2.7", (400, 700, 900)),
    "Oswald": ("5.2.8", (400, 700)),
    "Space Mono": ("5.2.9", (400, 700)),
    "IBM Plex Mono": ("5.2.7", (400, 700)),
    "JetBrains Mono": ("5.2.8", (400, 700)),
    "EB Garamond": ("5.2.7", (400, 700)),
    "Source Code Pro": ("5.2.7", (400, 700)),
    "Noto Sans JP": ("5.2.9", (400, 700)),
    "Open Sans": ("5.2.7", (400, 700)),
    "League Gothic": ("5.2.8", (400,)),
    "Archivo Black": ("5.2.8", (400,)),
}
_CANONICAL = {name.lower(): name for name in _EMBEDDED}
_OTHERS_VERSION = "5"
_OTHERS_WEIGHTS = (400, 700)
_SERVICE = "https://fonts.googleapis.com/css2?family={}&display=block"
# Weights that scripts set: `fontWeight: 600`, `font-weight="600"`.
_SCRIPTED_WEIGHT = re.compile(r"font-?weight[\"']?\s*[:=,]\s*[\"']?([1-9]00)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What faces of a family are needed for one document."""

    weights: frozenset[int]
    is_italic: bool
    text: frozenset[str]


def embed(document: Document, library: Library, spoken: Iterable[str]) -> list[model.Finding]:
    """Puts every family that the document asks for into it, as data; a warning for each that cannot be had.

    Data, because Chromium has such a face ready at once: a script that measures text while the page loads sees it.
    """
    _put_primary_first(document)
    links = [link for link in markup.find(document, "link") if assets.is_font_service(markup.get(link, "href") or "")]
    asked = _asked(document)
    linked = {name.lower(): name for link in links for name in _linked_families(link)}
    names = {name.lower(): name for name in asked.families()} | {
        key: name for key, name in linked.items() if key not in asked.brought
    }
    wanted = _wanted(document, asked, links, spoken)
    served = _served(links, library)
    rules: list[str] = []
    missing: list[str] = []
    for key, name in names.items():
        found = list(_faces(name, key, wanted, served, library))
        rules += [_rule(name, face, data) for face, data in found]
        missing += [] if found else [name]
    for link in links:
        markup.remove(link)  # hosts have no network, and the faces below say the same
    if rules:
        markup.prepend(markup.part(document, "head"), markup.new("style", {MARK: "true"}, "\n".join(rules)))
    return [_unresolved(name) for name in missing]


def _put_primary_first(document: Document) -> None:
    for element in markup.walk(document, templates=True):
        if element.name == "style":
            markup.set_text(element, families.with_primary(markup.text(element)))
        if style := markup.get(element, "style"):
            element.attrs["style"] = families.with_primary(style)
        if (listed := markup.get(element, "data-font-family")) and families.names_generic(listed):
            element.attrs["data-font-family"] = f"{families.PRIMARY}, {listed}"


def _asked(document: Document) -> families.Asked:
    elements = list(markup.walk(document, templates=True))
    asked = families.ask(
        [markup.text(element) for element in elements if element.name == "style"],
        [style for element in elements if (style := markup.get(element, "style"))],
    )
    asked.lists += [families.listed(value) for e in elements if (value := markup.get(e, "data-font-family"))]
    return asked


def _linked_families(link: Element) -> Iterator[str]:
    query = urllib.parse.urlsplit(markup.get(link, "href") or "").query
    for key, value in urllib.parse.parse_qsl(query):
        if key == "family":
            yield from (name.partition(":")[0].strip() for name in value.split("|"))


def _linked_weights(link: Element) -> Iterator[int]:
    query = urllib.parse.urlsplit(markup.get(link, "href") or "").query
    values = [value for key, value in urllib.parse.parse_qsl(query) if key == "family"]
    for part in re.split(r"[^0-9]+", " ".join(value.partition(":")[2] for value in values)):
        if part.isascii() and part.isdigit() and len(part) == 3 and part.endswith("00"):
            yield int(part)


def _wanted(document: Document, asked: families.Asked, links: list[Element], spoken: Iterable[str]) -> _Wanted:
    scripts = list(spoken)
    scripted = {int(weight) for text in scripts for weight in _SCRIPTED_WEIGHT.findall(text)}
    weights = asked.weights | {weight for link in links for weight in _linked_weights(link)} | scripted
    letters = frozenset("".join([markup.serialise(document), *scripts]))
    return _Wanted(frozenset(weights), asked.is_italic, letters)


def _served(links: list[Element], library: Library) -> list[Face]:
    """Faces that the linked font services answer with; none when they cannot be reached."""
    found: list[Face] = []
    for link in links:
        url = urllib.parse.urljoin("https:", markup.get(link, "href") or "")
        try:
            sheet = library.fetch(url).read().decode("utf-8", errors="replace")
        except Unavailable:
            continue
        found += families.faces(sheet)
    return found


def _faces(name: str, key: str, wanted: _Wanted, served: list[Face], library: Library) -> Iterator[tuple[Face, bytes]]:
    canonical = _CANONICAL.get(key) or families.STANDS_FOR.get(key)
    if canonical is not None:
        version, weights = _EMBEDDED[canonical]
        yield from _packaged(canonical, version, wanted.weights.union(weights), wanted, library)
        return
    linked = [face for face in served if face.family.lower() == key]
    found = list(_fetched(linked, wanted, library))
    if not found:
        found = list(_packaged(name, _OTHERS_VERSION, wanted.weights.union(_OTHERS_WEIGHTS), wanted, library))
    yield from found or _fetched(_from_service(name, library), wanted, library)


def _from_service(name: str, library: Library) -> list[Face]:
    try:
        sheet = library.fetch(_SERVICE.format(urllib.parse.quote_plus(name))).read()
    except Unavailable:
        return []
    return families.faces(sheet.decode("utf-8", errors="replace"))


def _fetched(found: list[Face], wanted: _Wanted, library: Library) -> Iterator[tuple[Face, bytes]]:
    for face in found:
        if face.has_any(wanted.text):
            try:
                yield face, library.fetch(face.url).read()
            except Unavailable:
                return  # half a family would look like two


def _packaged(
    name: str, version: str, weights: Iterable[int], wanted: _Wanted, library: Library
) -> Iterator[tuple[Face, bytes]]:
    package = f"@fontsource/{'-'.join(name.lower().split())}"
    if not all(c.isascii() and (c.isalnum() or c == "-") for c in package.removeprefix("@fontsource/")):
        return
    for sheet in _sheets(sorted(weights), is_italic=wanted.is_italic):
        try:
            text = library.package_file(npm.File(name=package, version=version, path=sheet)).read().decode()
            for face in sorted(map(_for_all_if_latin, families.faces(text)), key=lambda face: face.letters != ""):
                if face.has_any(wanted.text):
                    path = posixpath.normpath(face.url)
                    yield face, library.package_file(npm.File(name=package, version=version, path=path)).read()
        except (Unavailable, UnicodeDecodeError):
            continue  # a weight that the family does not have


def _sheets(weights: Iterable[int], *, is_italic: bool) -> Iterator[str]:
    for weight in weights:
        yield f"{weight}.css"
        if is_italic:
            yield f"{weight}-italic.css"


def _for_all_if_latin(face: Face) -> Face:
    # As HyperFrames embeds it: the Latin file is for every letter, and those of other scripts come after it.
    if "-latin-" in face.url and "-latin-ext-" not in face.url:
        return Face(family=face.family, weight=face.weight, style=face.style, url=face.url)
    return face


def _rule(name: str, face: Face, data: bytes) -> str:
    kind = "woff2" if data[:4] == b"wOF2" else "woff" if data[:4] == b"wOFF" else "ttf"
    source = f"data:font/{kind};base64,{base64.b64encode(data).decode()}"
    letters = f"unicode-range:{face.letters};" if face.letters else ""
    return (
        f'@font-face{{font-family:{css.quote(name)};src:url("{source}");font-style:{face.style};'
        f"font-weight:{face.weight};font-display:block;{letters}}}"
    )


def _unresolved(name: str) -> model.Finding:
    return model.Finding(
        severity=model.Severity.WARNING,
        code="font-unresolved",
        message=f"no source has the font family `{name}`; each host will show a font of its own",
        remedy=f"put the font file into the project and name it in an @font-face rule for `{name}`",
    )
