"""What scripts say: addresses written in them, files of the project they may ask for, libraries they draw with.

Reads texts as texts; nothing here understands JavaScript, and nothing needs to. Pure: no I/O.
"""

import posixpath
import re
import urllib.parse
from collections.abc import Callable, Iterable, Iterator

# A whole string literal that is an address of a file.
_LITERAL = re.compile(r"""(["'`])((?:https?:)?//[^\s"'`\\$<>{}]+)\1""")
# `import a, { b } from "x"`, `export * from "x"`, `import "x"`, `import("x")`; prose has its `from` without the rest.
_IMPORT = re.compile(
    r"""((?:\bimport|\bexport)\b[\w\s{},*$/]*?\bfrom\s*|\bimport\s*|\bimport\s*\(\s*)(["'])([^"'\s\\]+)\2"""
)
DATA = frozenset({
    ".json", ".geojson", ".topojson", ".csv", ".tsv", ".txt", ".glsl", ".xml", ".wasm", ".bin", ".glb", ".gltf", ".hdr",
    ".exr", ".ktx2", ".png", ".jpg", ".jpeg", ".webp", ".avif", ".gif", ".svg", ".mp3", ".wav", ".ogg", ".m4a", ".mp4",
    ".webm", ".woff", ".woff2", ".ttf", ".otf", ".css", ".js", ".mjs", ".lottie",
})  # fmt: skip
MODULES = frozenset({".js", ".mjs"})
_GL = ("webgl", "three.", "pixi", "babylon", "regl", "twgl", "curtains")
# `fontFamily: "Lato"`, `font-family: Lato;` in a string, `ctx.font = "700 48px Lato"`.
_FAMILIES = (
    re.compile(r"""font-?family["']?\s*[:=,]\s*\\?(["'`])((?:(?!\1).){1,200})\1""", re.IGNORECASE),
    re.compile(r"""font-family\s*:\s*()([^;"'`{}<>\n\\]{1,200})""", re.IGNORECASE),
    re.compile(
        r"""()["'`][^"'`\n]{0,60}[\d}](?:px|pt|r?em)(?:/[\w.]+)?\s+"""
        r"""((?:[\w ,-]{2}|"[^"\n]*"|'[^'\n]*')(?:[\w ,-]|"[^"\n]*"|'[^'\n]*'){0,200})["'`]"""
    ),
)
_FAMILY_NAME = re.compile(r"""["']?[A-Za-z][A-Za-z0-9 _-]*["']?""")
_FETCH = re.compile(r"""\bfetch\(\s*(?:(["'`])([^"'`$]*)\1)?|\bnew XMLHttpRequest\b""")
# Loops of one's own, tweens outside of timelines, pictures read back or drawn over: each may be harmless, and none is
# needed by a page whose timelines say it all.
_STATE = re.compile(
    r"requestAnimationFrame|setAnimationLoop|gsap\s*\.\s*(?:to|from|fromTo|delayedCall)\s*\(|ticker\s*\.\s*add"
    r"|drawImage|getImageData|putImageData|readPixels|autoClear|\.BLEND\b|createFramebuffer|RenderTarget"
    r"|copyTex(?:Sub)?Image"
)
# What is called at every frame, and what adds up there: numbers, or the strokes of a canvas that is not cleared.
_CALLBACK = re.compile(r"hf-seek|onUpdate|\.\s*call\s*\(|\.\s*eventCallback\s*\(")
_GROWTH = re.compile(r"[\w\])]\s*[-+*]=|getContext\s*\(\s*[\"'`]2d")
_TEMPLATE = re.compile(r"`[^`]*`")  # shaders stand there, and add all the time
# Libraries have all of this; the ones that compositions load are larger, save some that are smaller than a long scene.
_AUTHORED_CHARS = 48 * 1024
# `music.volume = 0`, `gsap.to(music, { volume: 0 })`.
_VOLUME = re.compile(r"""\.\s*(?:volume|muted)\s*[-+*/]?=(?!=)|\bvolume\b["']?\s*:""")
# The end of a file's name whose beginning is computed: `+ ".png"`, `${name}.png`.
_ENDING = re.compile(r"""(?:\+\s*["'`]|\})(\.[A-Za-z0-9]{1,8})["'`?#]""")
# Where the name of a file ends inside a script.
_NAME_ENDS = re.compile(r"[\"'`$\s(){}<>,;\\?#*]")


def addresses(source: str) -> Iterator[tuple[str, int]]:
    """(address, line) of every string literal that is the address of a data file or module."""
    for match in _LITERAL.finditer(source):
        if extension(match[2]) in DATA:
            yield match[2], source.count("\n", 0, match.start()) + 1


def with_addresses(source: str, replace: Callable[[str], str]) -> str:
    """`source` with each of those addresses run through `replace`."""
    return _LITERAL.sub(
        lambda m: f"{m[1]}{replace(m[2])}{m[1]}" if extension(m[2]) in DATA else m[0],
        source,
    )


def extension(address: str) -> str:
    """Lower-case file extension of an address, dot included."""
    return posixpath.splitext(address.partition("?")[0].partition("#")[0])[1].lower()


def with_imports(source: str, replace: Callable[[str], str]) -> str:
    """`source` with each module specifier that is written out run through `replace`."""
    return _IMPORT.sub(lambda m: f"{m[1]}{m[2]}{replace(m[3])}{m[2]}", source)


def draws_with_gl(texts: Iterable[str]) -> bool:
    """Whether any script may use WebGL."""
    return any(word in text.lower() for text in texts for word in _GL)


def fonts(source: str) -> Iterator[str]:
    """Family lists that a script sets, on elements and canvases."""
    for pattern in _FAMILIES:
        for match in pattern.finditer(source):
            names = [name.strip() for name in match[2].split(",")]
            if names and all(_FAMILY_NAME.fullmatch(name) for name in names):
                yield ",".join(names)


def fetches_unknown(source: str, known: Iterable[str]) -> bool:
    """Whether a script asks for data at run time that is none of the `known` files."""
    paths = set(known)
    return any(posixpath.normpath(match[2] or "").lstrip("/") not in paths for match in _FETCH.finditer(source))


def may_keep_state(texts: Iterable[str]) -> bool:
    """Whether a script of the page's author has what lets one frame depend on another, used well or not."""
    return any(
        _STATE.search(text) or (_CALLBACK.search(text) and _GROWTH.search(_TEMPLATE.sub("", text)))
        for text in texts
        if len(text) <= _AUTHORED_CHARS
    )


def sets_volume(texts: Iterable[str]) -> bool:
    """Whether a script may change how loud an element is."""
    return any(_VOLUME.search(text) for text in texts)


def mentioned(text: str, paths: Iterable[str]) -> set[str]:
    """The project paths that `text` may ask for.

    Those written out in full, and those that begin like a name that the text leaves unfinished, such as
    `frames/shot_` + number. Of files at the top of the project those that end like such a name, as in name + `.png`.
    """
    known = set(paths)
    endings = set(_ENDING.findall(text))
    found = {path for path in known if "." in path and (_is_written(path, text) or _ends_so(path, endings))}
    for folder in {posixpath.dirname(path) for path in known} - {""}:
        for beginning in _beginnings(text, f"{folder}/"):
            if beginning not in known:
                found |= {path for path in known if path.startswith(beginning)}
    return found


def _is_written(path: str, text: str) -> bool:
    return path in text or urllib.parse.quote(path) in text


def _ends_so(path: str, endings: set[str]) -> bool:
    return "/" not in path and posixpath.splitext(path)[1] in endings


def _beginnings(text: str, folder: str) -> set[str]:
    found: set[str] = set()
    at = text.find(folder)
    while at >= 0:
        end = _NAME_ENDS.search(text, at + len(folder))
        found.add(text[at : end.start() if end else len(text)])
        at = text.find(folder, at + len(folder))
    return found
