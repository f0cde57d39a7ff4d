"""Video: which elements show pictures, when, and from where in their file. The elements themselves never load.

What a frame shows is `fleet/stills.py`'s, decoding is `fleet/video.py`'s.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from urllib.parse import quote

from justhtml import Document, Element

from fleet import ffprobe, model, stills
from fleet.composition import markup, refuse, sound, speech, timing
from fleet.composition.assets import Assets

_ALPHA_FORMATS = ("yuva", "rgba", "bgra", "argb", "abgr", "gbrap", "ya8", "ya16", "pal8")
_RGB_FORMATS = ("rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "pal8", "gray", "ya")
_HDR_TRANSFERS = frozenset({"smpte2084", "arib-std-b67"})
# ffprobe's names of matrices -> those of FFmpeg's scale filter.
_MATRICES = {
    "bt709": "bt709", "smpte170m": "smpte170m", "bt470bg": "bt470", "fcc": "fcc", "smpte240m": "smpte240m",
    "bt2020nc": "bt2020", "bt2020c": "bt2020",
}  # fmt: skip
# Where a file says nothing, Chromium takes small pictures for BT.601, as television did.
HD_HEIGHT = 720


def name_sources(document: Document) -> None:
    """Writes the first <source> of a video as its own `src`, so that every video says alike what it plays."""
    for element in _videos(document):
        if not markup.get(element, "src"):
            inner = (src for source in markup.find(element, "source") if (src := markup.get(source, "src")))
            if src := next(inner, ""):
                element.attrs["src"] = src


def slots(document: Document, total_s: Fraction, media: sound.Media) -> tuple[model.VideoSlot, ...]:
    """Every video that can be seen, in document order; each gets the size of its pictures, and nothing to load."""
    resolver = timing.Resolver(document)
    found = []
    for element in _videos(document):
        element.attrs.pop("autoplay", None)
        element.attrs["preload"] = "none"
        if not markup.get(element, "src") or refuse.is_hidden(element) or not resolver.is_mounted(element):
            continue
        footage = _footage(element, media)
        if footage is None:
            _blank(element)
            continue
        # Without data, a video takes its size from its poster: layout is then what it is for a video that has loaded.
        element.attrs["poster"] = _empty_picture(footage.width, footage.height)
        slot = _slot(element, footage, resolver, total_s)
        found.append(dataclasses.replace(slot, where=media.place_of(element)))
    return tuple(found)


def blank_table(found: Iterable[model.VideoSlot]) -> bytes:
    """What the page reads when it is not to be drawn yet: the videos, and no still of any."""
    return stills.Stills(tuple(stills.of_slot(slot, 0, ()) for slot in found)).table()


def unneeded(document: Document, files: Assets, found: Iterable[model.VideoSlot]) -> set[str]:
    """Paths in the bundle that nothing but the videos names: hosts get stills instead of them."""
    sources = {slot.footage.file for slot in found}
    paths = {path for path, file in files.files.items() if str(file) in sources}
    texts = [*files.spoken, *_other_attributes(document)]
    return paths - {path for text in texts for path in speech.mentioned(text, paths)}


def _other_attributes(document: Document) -> Iterator[str]:
    for element in markup.walk(document, templates=True):
        if element.name != "video" and not (element.name == "source" and _is_in_video(element)):
            yield from (value for value in element.attrs.values() if value)


def _is_in_video(element: Element) -> bool:
    return any(outer.name == "video" for outer in markup.ancestors(element))


def _videos(document: Document) -> list[Element]:
    return [element for element in markup.walk(document, templates=True) if element.name == "video"]


def _slot(element: Element, footage: model.Footage, resolver: timing.Resolver, total_s: Fraction) -> model.VideoSlot:
    start = resolver.media_start(element)
    return model.VideoSlot(
        id=markup.get(element, sound.RENDER_ID) or "",
        footage=footage,
        start_s=start,
        duration_s=resolver.duration(element) or max(Fraction(0), total_s - start),
        media_start_s=sound.in_point(element),
        rate=sound.rate(element),
        is_loop="loop" in element.attrs,
    )


def _footage(element: Element, media: sound.Media) -> model.Footage | None:
    """What the element's file holds; None, with a warning, when it has no picture to show."""
    where = media.place_of(element)
    file = media.file_of(element)
    if file is None:
        src = (markup.get(element, "src") or "")[:80]
        media.warn("video-blank", f"{src} is no file of the project; the video stays blank", "name a file", where)
        return None
    facts = media.facts(file)
    pictures = facts.of_kind("video") if facts is not None else ()
    number = next((n for n, stream in enumerate(pictures) if not stream.is_cover), None)
    if facts is None or number is None:
        media.warn("video-blank", f"{file.name} holds no pictures; the video stays blank", "replace the file", where)
        return None
    footage = footage_of(file, number, pictures[number], facts.duration_s)
    if footage.duration_s is not None and sound.in_point(element) >= footage.duration_s:
        said = f"{file.name} ends before its in-point; the video stays blank"
        media.warn("video-past-end", said, "lower `data-media-start`", where)
        return None
    return footage


def footage_of(file: Path, number: int, stream: ffprobe.Stream, duration_s: Fraction | None) -> model.Footage:
    """What decoding the video stream `number` of `file` must know; `duration_s` is the container's."""
    width, height = round(stream.width * stream.pixel_aspect), stream.height
    if stream.rotation % 180:
        width, height = height, width
    colours, matrix, _, transfer = stream.colour
    is_rgb = stream.pixel_format.startswith(_RGB_FORMATS)
    return model.Footage(
        file=str(file),
        stream=number,
        codec=stream.codec,
        width=width,
        height=height,
        is_stretched=stream.pixel_aspect != 1,
        duration_s=stream.duration_s or duration_s,
        has_alpha=stream.has_alpha_mode or stream.pixel_format.startswith(_ALPHA_FORMATS),
        matrix=_MATRICES.get(matrix, "bt709" if height >= HD_HEIGHT else "bt601"),
        is_full_range=colours == "pc" or stream.pixel_format.startswith("yuvj") or is_rgb,
        is_hdr=transfer in _HDR_TRANSFERS,
    )


def _blank(element: Element) -> None:
    for name in ("src", "poster", sound.RENDER_ID):
        element.attrs.pop(name, None)
    for source in markup.find(element, "source"):
        markup.remove(source)


def _empty_picture(width: int, height: int) -> str:
    picture = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"/>'
    return f"data:image/svg+xml,{quote(picture)}"
