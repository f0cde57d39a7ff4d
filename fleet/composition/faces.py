"""Files of one family: out of the npm packages that HyperFrames embeds, a linked font service, or @fontsource."""

import contextlib
import posixpath
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from justhtml import Element

from fleet import npm
from fleet.assets import Library, Unavailable
from fleet.composition import families, markup
from fleet.composition.families import Face

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
_STANDARD_VERSION = "5.3.0"
_OTHERS_VERSION = "5"
_OTHERS_WEIGHTS = (400, 700)
_SERVICE = "https://fonts.googleapis.com/css2?family={}&display=block"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What faces of a family are needed for one document."""

    weights: frozenset[int]
    is_italic: bool
    text: frozenset[str]
    axes: Mapping[str, frozenset[str]] = field(
        default_factory=dict
    )  # of families asked for with a range, in lower case


def served(links: list[Element], library: Library) -> list[Face]:
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


def packages(names: Mapping[str, str], served: list[Face]) -> Iterator[npm.File]:
    """The manifests of the packages that families, by lower-case name, are likely to be taken from."""
    linked = {face.family.lower() for face in served}
    for key, name in names.items():
        canonical = _CANONICAL.get(key) or families.STANDS_FOR.get(key)
        version = _EMBEDDED[canonical][0] if canonical is not None else _OTHERS_VERSION
        package = _package(canonical or name)
        if package and (canonical is not None or key not in linked):
            yield npm.File(name=package, version=version, path="package.json")


def standard(wanted: Wanted, library: Library) -> Iterator[tuple[Face, bytes]]:
    """Faces for text that names no family: with the metrics of Times New Roman, which Chromium looks for."""
    yield from _packaged("Tinos", _STANDARD_VERSION, {400, 700}, wanted, library)


def meant(name: str, wanted: Wanted, library: Library) -> Iterator[tuple[Face, bytes]]:
    """Faces of the font that a machine would show for a generic family, under its own name; none for no name."""
    version = _EMBEDDED[name][0] if name in _EMBEDDED else _STANDARD_VERSION
    yield from _packaged(name, version, {400, 700}, wanted, library)


def of_family(
    name: str, key: str, wanted: Wanted, served: list[Face], library: Library
) -> Iterator[tuple[Face, bytes]]:
    """Faces of the family and their data; none when no source has it."""
    canonical = _CANONICAL.get(key) or families.STANDS_FOR.get(key)
    if canonical is not None:
        version, weights = _EMBEDDED[canonical]
        yield from _packaged(canonical, version, wanted.weights.union(weights), wanted, library)
        return
    linked = [face for face in served if face.family.lower() == key]
    found = list(_fetched(linked, wanted, library))
    if not found and key in wanted.axes:
        found = list(_variable(name, wanted, wanted.axes[key], library))
    if not found:
        found = list(_packaged(name, _OTHERS_VERSION, wanted.weights.union(_OTHERS_WEIGHTS), wanted, library))
    yield from found or _fetched(_from_service(name, library), wanted, library)


def _from_service(name: str, library: Library) -> list[Face]:
    try:
        sheet = library.fetch(_SERVICE.format(urllib.parse.quote_plus(name))).read()
    except Unavailable:
        return []
    return families.faces(sheet.decode("utf-8", errors="replace"))


def _fetched(found: list[Face], wanted: Wanted, library: Library) -> Iterator[tuple[Face, bytes]]:
    for face in found:
        if face.has_any(wanted.text):
            try:
                yield face, library.fetch(face.url).read()
            except Unavailable:
                return  # half a family would look like two


def _packaged(
    name: str, version: str, weights: Iterable[int], wanted: Wanted, library: Library
) -> Iterator[tuple[Face, bytes]]:
    package = npm.File(name=_package(name), version=version)
    for sheet in _sheets(sorted(weights), is_italic=wanted.is_italic) if package.name else ():
        try:
            yield from _of_sheet(package, sheet, wanted, library)
        except (Unavailable, UnicodeDecodeError):
            continue  # a weight that the family does not have


def _variable(name: str, wanted: Wanted, axes: frozenset[str], library: Library) -> Iterator[tuple[Face, bytes]]:
    """Faces with a range of weights, or of all the usual axes; none when the family has one weight at a time."""
    package = npm.File(name=_package(name).replace("@fontsource", "@fontsource-variable"), version=_OTHERS_VERSION)
    # An axis that was not asked for would still act: browsers set the one for optical sizes by themselves.
    sheets = ("wght",) if axes <= {"wght", "ital"} else ("standard", "full", "wght")
    for style in ("", "-italic") if wanted.is_italic else ("",):
        for sheet in sheets if package.name else ():
            with contextlib.suppress(Unavailable, UnicodeDecodeError):
                yield from list(_of_sheet(package, f"{sheet}{style}.css", wanted, library))
                break


def _of_sheet(package: npm.File, sheet: str, wanted: Wanted, library: Library) -> Iterator[tuple[Face, bytes]]:
    text = library.package_file(replace(package, path=sheet)).read().decode()
    for face in sorted(map(_for_all_if_latin, families.faces(text)), key=lambda face: face.letters != ""):
        if face.has_any(wanted.text):
            yield face, library.package_file(replace(package, path=posixpath.normpath(face.url))).read()


def _package(name: str) -> str:
    """The npm package of a family; empty when its name cannot be one."""
    folded = "-".join(name.lower().split())
    is_plain = all(c.isascii() and (c.isalnum() or c == "-") for c in folded)
    return f"@fontsource/{folded}" if folded and is_plain else ""


def _sheets(weights: Iterable[int], *, is_italic: bool) -> Iterator[str]:
    for weight in weights:
        yield f"{weight}.css"
        if is_italic:
            yield f"{weight}-italic.css"


def _for_all_if_latin(face: Face) -> Face:
    # As HyperFrames embeds it: the Latin file is for every letter, and those of other scripts come after it.
    if "-latin-" in face.url and "-latin-ext-" not in face.url:
        return replace(face, letters="")
    return face
