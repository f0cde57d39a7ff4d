"""What a project is made of: scripts, animation libraries, fonts, and what makes its frames slow. Pure: no I/O."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from fleet.composition import families, markup
from fleet.composition.lint.reading import Page

# Words in pages and in the addresses of their scripts, by the library that they speak of.
_LIBRARIES = {
    "gsap": re.compile(r"\bgsap\b", re.IGNORECASE),
    "css": re.compile(r"@(?:-webkit-)?keyframes\b"),
    "waapi": re.compile(r"\.animate\s*\("),
    "anime": re.compile(r"\banime(?:js)?\b", re.IGNORECASE),
    "lottie": re.compile(r"lottie|bodymovin", re.IGNORECASE),
    "three": re.compile(r"\bTHREE\.|\bthree(?:@|\.module|\.min|\.js)"),
    "d3": re.compile(r"\bd3\s*\.|\bd3@"),
    "smil": re.compile(r"<animate(?:Transform|Motion)?\b"),
    "frame loop": re.compile(r"\brequestAnimationFrame\s*\("),
    "hf-seek": re.compile(r"[\"'`]hf-seek[\"'`]"),
}
_FILTER = re.compile(r"(?<![\w-])(?:-webkit-)?(?:backdrop-)?filter\s*:|\bbackdropFilter\s*:", re.IGNORECASE)
_BLEND = re.compile(r"mix-blend-mode\s*:|mixBlendMode\s*:")
_CANVAS = re.compile(r"createElement\(\s*[\"'`]canvas[\"'`]")
_UNSEEN = frozenset({"html", "head", "body", "script", "style", "link", "meta", "title", "template"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Counts are of what is written; scripts may make more of it."""

    pages: tuple[str, ...]
    scripts: tuple[str, ...]  # addresses, as written
    adapters: tuple[str, ...]
    elements: int
    clips: int
    canvases: int
    filters: int
    blends: int


def look(pages: Iterable[Page]) -> Contents:
    """What the pages of a project hold together."""
    pages = tuple(pages)
    elements = [element for page in pages for element in page.elements()]
    addresses = dict.fromkeys(src for e in elements if e.name == "script" and (src := markup.get(e, "src")))
    text = "\n".join(page.text for page in pages)
    return Contents(
        pages=tuple(page.path for page in pages),
        scripts=tuple(addresses),
        adapters=tuple(name for name, words in _LIBRARIES.items() if words.search(text)),
        elements=sum(element.name not in _UNSEEN for element in elements),
        clips=sum("data-start" in element.attrs for element in elements),
        canvases=sum(element.name == "canvas" for element in elements) + len(_CANVAS.findall(text)),
        filters=len(_FILTER.findall(text)),
        blends=len(_BLEND.findall(text)),
    )


def fonts(document: str) -> tuple[str, ...]:
    """Each family that a compiled document brings along, with its weights: `Inter 400 700`."""
    tree = markup.parse(document)
    weights: dict[str, set[str]] = {}
    for style in markup.find(tree, "style"):
        if "@font-face" in markup.text(style):
            for face in families.faces(markup.text(style)):
                weights.setdefault(face.family, set()).add(face.weight.replace(" ", "-"))
    return tuple(f"{family} {' '.join(sorted(found))}" for family, found in sorted(weights.items()))
