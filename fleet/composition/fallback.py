"""Fonts for the characters that a page's own families lack, by script: only the files that have those characters."""

import dataclasses
import itertools
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from fleet import npm
from fleet.assets import Library, Unavailable
from fleet.composition import families, glyphs
from fleet.composition.families import Face

FAMILY = "fleetrender fallback"
_VARIABLE = "@fontsource-variable/"
_STATIC = "@fontsource/"


@dataclass(frozen=True, slots=True)
class Package:
    """An npm package of fonts, and the sheets in it that list its files: one for all text, or one for bold text too.

    A sheet that the package lacks is written out. `is_cut`: its files are large, and a page needs little of them.
    """

    name: str
    version: str
    sheets: tuple[str, ...] = ("index.css",)
    is_cut: bool = False


def _noto(script: str, version: str = "5") -> Package:
    return Package(f"{_VARIABLE}noto-sans-{script}", version)


# Releases are fixed, because another one may draw the same character otherwise.
LATIN = Package(f"{_VARIABLE}inter", "5.3.0")
EMOJI = Package(f"{_STATIC}noto-color-emoji", "5.3.2", ("emoji.css",), is_cut=True)
JAPANESE, KOREAN = _noto("jp", "5.3.1"), _noto("kr", "5.3.1")
SIMPLIFIED, TRADITIONAL = _noto("sc", "5.3.1"), _noto("tc", "5.3.1")
_GENERAL = Package(f"{_VARIABLE}noto-sans", "5.3.0")
# Arrows, boxes and stars look like this, and are this wide, wherever a browser takes a font of a Linux system for them:
# Arial's forms are what browsers mean by `sans-serif`, DejaVu's by `system-ui`.
_ARIAL = Package(
    "pdfjs-dist",
    "4.10.38",
    tuple(f'@font-face{{src:url("standard_fonts/LiberationSans-{style}.ttf")}}' for style in ("Regular", "Bold")),
    is_cut=True,
)
_DEJAVU = Package(f"{_STATIC}dejavu-sans", "5.3.0", ("400.css", "700.css"), is_cut=True)
_SYMBOLS = (
    Package(f"{_STATIC}noto-sans-symbols-2", "5.3.0"),
    Package(f"{_VARIABLE}noto-sans-symbols", "5.3.0"),
    Package(f"{_STATIC}noto-sans-math", "5.3.0"),
)
# First and last character of each script's blocks, and the package that draws it.
_BLOCKS: tuple[tuple[int, int, Package], ...] = (
    (0x0530, 0x058F, _noto("armenian")),
    (0x0590, 0x05FF, _noto("hebrew", "5.3.0")),
    (0x0600, 0x077F, _noto("arabic", "5.3.0")),
    (0x08A0, 0x08FF, _noto("arabic", "5.3.0")),
    (0x0900, 0x097F, _noto("devanagari", "5.3.0")),
    (0x0980, 0x09FF, _noto("bengali")),
    (0x0A00, 0x0A7F, _noto("gurmukhi")),
    (0x0A80, 0x0AFF, _noto("gujarati")),
    (0x0B80, 0x0BFF, _noto("tamil")),
    (0x0C00, 0x0C7F, _noto("telugu")),
    (0x0C80, 0x0CFF, _noto("kannada")),
    (0x0D00, 0x0D7F, _noto("malayalam")),
    (0x0D80, 0x0DFF, _noto("sinhala")),
    (0x0E00, 0x0E7F, _noto("thai", "5.3.0")),
    (0x0E80, 0x0EFF, _noto("lao")),
    (0x1000, 0x109F, _noto("myanmar")),
    (0x10A0, 0x10FF, _noto("georgian")),
    (0x1200, 0x139F, _noto("ethiopic")),
    (0x1780, 0x17FF, _noto("khmer")),
    (0xFB1D, 0xFB4F, _noto("hebrew", "5.3.0")),
    (0xFB50, 0xFDFF, _noto("arabic", "5.3.0")),
    (0xFE70, 0xFEFF, _noto("arabic", "5.3.0")),
    (0x1100, 0x11FF, KOREAN),
    (0x3130, 0x318F, KOREAN),
    (0xAC00, 0xD7FF, KOREAN),
    (0x3040, 0x30FF, JAPANESE),
    (0x31F0, 0x31FF, JAPANESE),
    (0x3100, 0x312F, TRADITIONAL),
)
# Han characters, and the punctuation and full-width forms that belong to them.
_HAN = ((0x2E80, 0x303F), (0x3190, 0x31EF), (0x3200, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0xFF00, 0xFFEF),
        (0x20000, 0x323AF))  # fmt: skip
# Characters below U+1F000 that are pictures by themselves; others are when U+FE0F follows.
_PICTURES = frozenset(
    "⌚⌛⏩⏪⏫⏬⏰⏳◽◾☔☕♈♉♊♋♌♍♎♏♐♑♒♓♿⚓⚡⚪⚫⚽⚾⛄⛅⛎⛔⛪⛲⛳⛵⛺⛽✅✊✋✨❌❎❓❔❕❗➕➖➗➰➿⬛⬜⭐⭕"  # noqa: RUF001
)
_KEYCAP = "\u20e3"
_AS_PICTURE = "\ufe0f"
_JOINING = frozenset("\u200d\ufe0f\u20e3")
_MEANT = frozenset({"system-ui", "sans-serif"})
# The same ranges for every file: Chromium picks the files of one weight of a family, and looks in no others.
_WEIGHTS = "100 900"
_LIGHTER_AND_BOLDER = ("100 500", "501 900")


def pictures(text: str) -> frozenset[str]:
    """The characters of `text` that are shown as emoji."""
    chosen = {before for before, mark in itertools.pairwise(text) if mark == _AS_PICTURE}
    return frozenset(c for c in text if c in _PICTURES or c in chosen or 0x1F000 <= ord(c) <= 0x1FAFF)


def east_asian(language: str, text: str) -> tuple[Package, ...]:
    """Where Han characters come from: the page's language decides, then kana and hangul in its text."""
    return tuple(dict.fromkeys([_first_han(language.lower(), text), SIMPLIFIED, TRADITIONAL, JAPANESE, KOREAN]))


def _first_han(language: str, text: str) -> Package:
    if language.startswith("zh"):
        is_traditional = any(mark in language for mark in ("hant", "-tw", "-hk", "-mo"))
        return TRADITIONAL if is_traditional else SIMPLIFIED
    if language.startswith("ja") or any("\u3040" <= c <= "\u30ff" for c in text):
        return JAPANESE
    if language.startswith("ko") or any("\uac00" <= c <= "\ud7a3" for c in text):
        return KOREAN
    return SIMPLIFIED


def symbols(lists: Iterable[list[str]]) -> tuple[Package, ...]:
    """Where arrows and the like come from: the first generic name of most family lists, lower-case, decides."""
    firsts = [next((name for name in names if name in _MEANT), "") for names in lists]
    is_system = firsts.count("system-ui") > firsts.count("sans-serif")
    return (_DEJAVU, _ARIAL) if is_system else (_ARIAL, _DEJAVU)


def sources(
    character: str, han: tuple[Package, ...], symbols: tuple[Package, ...] = (_ARIAL, _DEJAVU)
) -> tuple[Package, ...]:
    """The packages that may have the character, the best first."""
    code = ord(character)
    if package := next((package for low, high, package in _BLOCKS if low <= code <= high), None):
        return (package, _GENERAL)
    if any(low <= code <= high for low, high in _HAN):
        return han
    if code >= 0x2190 and unicodedata.category(character)[0] == "S":
        return (*symbols, *_SYMBOLS, LATIN, _GENERAL, JAPANESE, EMOJI)
    return (LATIN, _GENERAL, *_SYMBOLS, JAPANESE, _DEJAVU)


def find(
    missing: frozenset[str], drawn: frozenset[str], order: Callable[[str], tuple[Package, ...]], library: Library
) -> tuple[list[tuple[Face, bytes]], frozenset[str]]:
    """Faces for the missing characters, those of `drawn` as emoji, and the characters that no package has.

    `order` says where to look for a character, the best package first.
    """
    found = [
        (dataclasses.replace(face, letters=_ranges({*covered, *_JOINING})), data)
        for face, data, covered in (_from_package(EMOJI, drawn, library) if drawn else ())
    ]
    left = missing - {c for face, _ in found for c in face.letters_of(missing & (drawn | {_KEYCAP}))}
    for turn in range(max((len(order(character)) for character in left), default=0)):
        wanted: dict[Package, set[str]] = {}
        for character in sorted(left):
            if turn < len(candidates := order(character)):
                wanted.setdefault(candidates[turn], set()).add(character)
        library.prefetch(
            npm.File(name=package.name, version=package.version, path="package.json") for package in wanted
        )
        for package, characters in wanted.items():
            for face, data, covered in _from_package(package, frozenset(characters), library):
                found.append((face, data))
                left -= covered
    return list(_at_equal_weights(found)), left


def _at_equal_weights(found: list[tuple[Face, bytes]]) -> Iterator[tuple[Face, bytes]]:
    has_bold = any(face.weight != _WEIGHTS for face, _ in found)
    for face, data in found:
        for weight in _LIGHTER_AND_BOLDER if has_bold and face.weight == _WEIGHTS else (face.weight,):
            yield dataclasses.replace(face, weight=weight), data


def _from_package(
    package: Package, wanted: frozenset[str], library: Library
) -> Iterator[tuple[Face, bytes, frozenset[str]]]:
    """Files of the package that have any of the wanted characters, each for those that no earlier one has."""
    weights = _LIGHTER_AND_BOLDER if len(package.sheets) > 1 else (_WEIGHTS,)
    for sheet, weight in zip(package.sheets, weights, strict=True):
        left = wanted
        try:
            text = sheet if sheet.startswith("@") else _read(package, sheet, library).decode()
            for face in families.faces(text):
                if not face.has_any(left):
                    continue
                data = _read(package, _plain(package, face), library)
                if covered := left & (glyphs.characters(data) or frozenset()) & face.letters_of(left):
                    left -= covered
                    named = dataclasses.replace(face, letters=_ranges(covered), weight=weight)
                    yield named, _made_small(package, face, data, covered, library), covered
        except (Unavailable, UnicodeDecodeError):
            return


def _plain(package: Package, face: Face) -> str:
    # To cut a WOFF2 file is to unpack all of it in Python, which takes a minute for emoji; WOFF lies beside it.
    path = face.url.removeprefix("./")
    return path.removesuffix("2") if package.is_cut and path.endswith(".woff2") else path


def _made_small(package: Package, face: Face, data: bytes, covered: frozenset[str], library: Library) -> bytes:
    if not package.is_cut:
        return data
    key = f"cut with all features:{package.name}@{package.version}/{_plain(package, face)}:{''.join(sorted(covered))}"
    return library.made(key, lambda: glyphs.cut(data, covered))


def _read(package: Package, path: str, library: Library) -> bytes:
    return library.package_file(npm.File(name=package.name, version=package.version, path=path)).read()


def _ranges(characters: Iterable[str]) -> str:
    return ",".join(f"U+{ord(c):X}" for c in sorted(characters))
