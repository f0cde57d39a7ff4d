"""Features that would render wrong in silence: found by name, refused before any host is asked.

One row per feature; a feature that becomes supported loses its row. What most pages can do without is only noted.
"""

from collections.abc import Iterable, Iterator

from justhtml import Document, Element

from fleet import errors, model
from fleet.composition import markup, scripts

# Elements and attributes -> the feature they need.
_ATTRIBUTES = {
    "data-requires-webgpu": "webgpu",
    "data-color-grading": "colour-grading",
    "data-hf-edit-base-x": "studio-offsets",
    "data-hf-edit-base-y": "studio-offsets",
    "data-fx-chain": "audio-fx",
    "data-fx-carve": "audio-fx",
}
# Words in scripts -> the feature they need.
_WORDS = {
    "new mapboxgl.Map": "live-maps",
    "new maplibregl.Map": "live-maps",
    "new google.maps.": "live-maps",
    "L.tileLayer(": "live-maps",
    'setAttribute("data-color-grading"': "colour-grading",
    "setAttribute('data-color-grading'": "colour-grading",
    "dataset.colorGrading =": "colour-grading",
}
# Asked for by libraries that draw in another way where it is absent; a page that cannot is refused when it says so.
_WEBGPU = "navigator.gpu"
_HINTS = {
    "animated-image": "show it by an `<img>` of the main page, without srcset",
    "video-in-iframe": "put the `<video>` into the page itself, or into a sub-composition",
}


def check(document: Document, page: str) -> None:
    """CompositionError that names every unsupported feature of the page, with its line."""
    _refuse(list(dict.fromkeys(_features(document))), page)


def check_frame(document: Document, page: str) -> None:
    """The same for what only pages inside the page lack."""
    found = [e for e in markup.walk(document, templates=True) if e.name == "video" and not is_hidden(e)]
    _refuse([("video-in-iframe", markup.line(element)) for element in found], page)


def check_script(source: str, page: str) -> None:
    """The same for a script in a file of its own."""
    _refuse([(feature, 1 + offset) for offset, feature in _in_script(source)], page)


def notes(document: Document, page: str) -> Iterator[model.Finding]:
    """What the scripts of the page ask for and do not get, once for each that asks."""
    for element in markup.walk(document, templates=True):
        if element.name == "script" and scripts.runs(element):
            yield from notes_of_script(markup.text(element), page, markup.line(element))


def notes_of_script(source: str, page: str, line: int = 1) -> Iterator[model.Finding]:
    """The same for one script, which starts at `line` of `page`."""
    if (at := source.find(_WEBGPU)) >= 0:
        yield model.Finding(
            severity=model.Severity.WARNING,
            code="no-webgpu",
            message="a script asks for WebGPU, which no host offers: the page shows what it shows without",
            remedy="draw with WebGL, which every host has",
            where=f"{page}:{line + source.count(chr(10), 0, at)}",
        )


def check_moving(paths: Iterable[str]) -> None:
    """CompositionError that names images which move by themselves where nothing can hold them to the clock."""
    for path in paths:
        _refuse([("animated-image", 0)], path)


def _refuse(found: list[tuple[str, int]], page: str) -> None:
    if not found:
        return
    lines = [f"{page}:{line}: the composition needs `{name}`, which is not supported yet" for name, line in found]
    hints = [_HINTS[feature] for feature, _ in found if feature in _HINTS]
    raise errors.CompositionError("\n".join(lines), remedy=hints[0] if hints else f"remove it from `{page}`")


def _features(document: Document) -> Iterator[tuple[str, int]]:
    for element in markup.walk(document, templates=True):
        line = markup.line(element)
        for name in element.attrs:
            if name in _ATTRIBUTES:
                yield _ATTRIBUTES[name], line
        if element.name == "script" and scripts.runs(element):
            for offset, feature in _in_script(markup.text(element)):
                yield feature, line + offset


def _in_script(source: str) -> Iterator[tuple[int, str]]:
    for word, feature in _WORDS.items():
        if (at := source.find(word)) >= 0:
            yield source.count("\n", 0, at), feature


def is_hidden(element: Element) -> bool:
    """Whether the element, or one around it, is never shown."""
    return "data-hidden" in element.attrs or any("data-hidden" in outer.attrs for outer in markup.ancestors(element))
