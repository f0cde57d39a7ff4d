"""Images that move by themselves: found in their bytes, marked in the page, where the runtime shows their frames.

An `<img>` is all that can be driven: anywhere else, such an image would run by the wall clock, and is refused.
"""

from collections.abc import Mapping
from pathlib import Path

from justhtml import Document, Element

from fleet.composition import markup, project

MARK = "data-fleet-moving"  # the attribute whose value is the image's type; read by capture/page/stills.js
_SUFFIXES = frozenset({".gif", ".png", ".apng", ".webp"})
# PNG and WebP tell near their start that they move; behind such a lot of metadata nobody looks.
_HEAD_BYTES = 64 * 1024


def mark(document: Document, files: Mapping[str, Path]) -> tuple[str, ...]:
    """Marks every `<img>` of the document whose file moves; returns the paths of files that move somewhere else."""
    types = {path: kind for path, file in files.items() if (kind := _type_of(file))}
    uses = dict.fromkeys(types, 0)
    for image in markup.find(document, "img"):
        path = _path(image)
        if path in types and _is_plain(image):
            image.attrs[MARK] = types[path]
            uses[path] += 1
    if not types:
        return ()
    text = markup.serialise(document)
    return tuple(path for path in sorted(types) if uses[path] == 0 or text.count(path) > uses[path])


def _path(image: Element) -> str:
    return project.split(markup.get(image, "src") or "")[0].lstrip("/")


def _is_plain(image: Element) -> bool:
    return "srcset" not in image.attrs and not any(outer.name == "picture" for outer in markup.ancestors(image))


def _type_of(file: Path) -> str:
    if file.suffix.lower() not in _SUFFIXES:
        return ""
    try:
        with file.open("rb") as opened:
            head = opened.read(_HEAD_BYTES)
            return type_of(head + opened.read() if head.startswith(b"GIF") else head)
    except OSError:
        return ""


def type_of(data: bytes) -> str:
    """The media type of an image that moves, empty for one that does not; PNG and WebP by their first bytes."""
    if data.startswith(b"GIF8"):
        return "image/gif" if _gif_images(data) > 1 else ""
    if data.startswith(b"\x89PNG") and 0 <= data.find(b"acTL") < (data.find(b"IDAT") % len(data)):
        return "image/png"
    is_webp = data[:4] == b"RIFF" and data[8:16] == b"WEBPVP8X"
    return "image/webp" if is_webp and data[20:21] and data[20] & 2 else ""


def _gif_images(data: bytes) -> int:
    """Images in a GIF: after the header, blocks of a kind, each a chain of sub-blocks that ends with an empty one."""
    count = 0
    try:
        at = 13 + _table_bytes(data[10])
        while data[at] != 0x3B:
            if data[at] == 0x2C:
                count += 1
                at += 10 + _table_bytes(data[at + 9]) + 1
            else:
                at += 2
            while data[at]:
                at += data[at] + 1
            at += 1
    except IndexError:  # cut off: browsers show what is there
        pass
    return count


def _table_bytes(flags: int) -> int:
    return 3 << (flags % 8 + 1) if flags & 0x80 else 0
