"""Scripts of the compiled document: runtimes removed, remote ones pasted in, JavaScript written safely into HTML."""

import json
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Any

from justhtml import Document, Element

from fleet.composition import css, markup, speech
from fleet.model import Asset

# File names and texts by which pages that were exported with a HyperFrames runtime inside are known. Two runtimes
# would fight over every element.
_RUNTIME_FILES = (
    "hyperframe.runtime.iife.js",
    "hyperframes-runtime.modular.inline.js",
    "hyperframe-runtime.modular-runtime.inline.js",
)
_RUNTIME_ATTRIBUTE = "data-hyperframes-preview-runtime"
_RUNTIME_TEXTS = (
    "__hyperframeRuntimeBootstrapped",
    "__hyperframeRuntimeTeardown",
    "__HF_EXPORT_RENDER_SEEK_CONFIG",
    "window.__player =",
)
# A regular expression may look like the beginning of a comment; so many are rubbish.
OPEN_COMMENTS_LIMIT = 100
_RUNTIME_FLAGS = ("window.__playerReady", "window.__renderReady")
# Answered by the host's agent once fonts are loaded; no project can have such a path by accident.
GATE = "/__fleet_fonts.js"
_JAVASCRIPT = frozenset({"", "text/javascript", "application/javascript", "text/ecmascript", "application/ecmascript"})


def is_javascript(element: Element) -> bool:
    """Whether a script element is a classic script, rather than a module or a block of data."""
    return element.name == "script" and (markup.get(element, "type") or "").strip().lower() in _JAVASCRIPT


def runs(element: Element) -> bool:
    """Whether a browser runs the script, classic or module."""
    return is_javascript(element) or (markup.get(element, "type") or "").strip().lower() == "module"


def is_immediate(element: Element) -> bool:
    """Whether the script runs right where it stands, so that its text may stand there as well."""
    return is_javascript(element) and not {"defer", "async"} & set(element.attrs)


def texts(documents: Iterable[Document], files: Iterable[Asset]) -> list[str]:
    """What the scripts of these pages say: those written in them, and the files of the project that are scripts."""
    elements = [element for document in documents for element in markup.walk(document) if element.name == "script"]
    written = [markup.text(element) for element in elements if runs(element)]
    paths = [Path(asset.file) for asset in files if speech.extension(asset.path) in speech.MODULES]
    return written + [path.read_text(encoding="utf-8", errors="replace") for path in paths]


def with_few_open_comments(source: str) -> str:
    """JavaScript whose last comment is closed, or nearly: each `/*` without end is looked for through all the rest."""
    last = source.rfind("*/") + 1
    if source.count("/*", last) <= OPEN_COMMENTS_LIMIT:
        return source
    return source[:last] + source[last:].replace("/*", "")


def remove_runtimes(document: Document) -> None:
    """Takes out the player that an export or a preview left in the page."""
    for element in [e for e in markup.walk(document, templates=True) if e.name == "script"]:
        if _is_runtime(element):
            markup.remove(element)


def _is_runtime(element: Element) -> bool:
    src, source = markup.get(element, "src") or "", markup.text(element)
    if _RUNTIME_ATTRIBUTE in element.attrs or any(name in src for name in _RUNTIME_FILES):
        return True
    if any(text in source for text in _RUNTIME_TEXTS):
        return True
    name, equals, value = source.strip().rstrip(";").partition("=")
    return bool(equals) and name.strip() in _RUNTIME_FLAGS and value.strip() in {"true", "false"}


def inline(document: Document, sources: Mapping[str, str]) -> None:
    """Puts the text of fetched scripts where their addresses stand; other attributes stay."""
    for element in [e for e in markup.walk(document, templates=True) if e.name == "script"]:
        source = sources.get(markup.get(element, "src") or "")
        if source is not None and is_immediate(element):
            del element.attrs["src"]
            markup.set_text(element, embeddable(source))


def embeddable(source: str) -> str:
    """JavaScript that cannot end the script element around it."""
    # `</script` only ever stands in strings, templates, regular expressions and comments, where `<\/` means the same.
    text = _replace_ignoring_case(source, "</script", lambda found: "<\\" + found[1:])
    if "<!--" in text and "<script" in text.lower():
        # These two together make the HTML tokenizer look for a second end tag.
        text = text.replace("<!--", "<\\!--")
    return text


def _replace_ignoring_case(text: str, needle: str, replace: Any) -> str:
    lowered, pieces, start = text.lower(), [], 0
    if len(lowered) != len(text):  # some letters grow in lower case; ASCII ones never do
        lowered = "".join(c.lower() if c.isascii() else c for c in text)
    while (at := lowered.find(needle, start)) >= 0:
        pieces += [text[start:at], replace(text[at : at + len(needle)])]
        start = at + len(needle)
    return "".join([*pieces, text[start:]])


def literal(value: Any) -> str:
    """A JavaScript expression, safe inside a script element; keys are sorted, so equal values are equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).replace("<", "\\u003c")


def mounted(source: str, scope: css.Scope) -> str:
    """The script of a mounted composition as a call that confines it; the page runtime has the function."""
    names = {"authored": scope.authored_id, "runtime": scope.runtime_id, "root": scope.root_id}
    return f"__fleetMounted({literal(names)},function(document,gsap,window,__hyperframes){{\n{embeddable(source)}\n}});"


def hold(document: Document, libraries: Container[str]) -> None:
    """Has the authors' scripts wait for fonts: text that they measure has no other width by then.

    `libraries` are the addresses that only bring functions; they need not wait. A page without fonts or
    scripts has no wait at all.
    """
    elements = list(markup.walk(document, templates=True))
    has_fonts = any("@font-face" in markup.text(e) for e in elements if e.name == "style")
    if not has_fonts or not any(e.name == "script" and runs(e) for e in elements):
        return
    body = markup.part(document, "body")
    written = (s for s in markup.find(body, "script") if runs(s) and s.namespace == "html")
    own = (s for s in written if markup.get(s, "src") not in libraries)
    # Deferred scripts, modules and listeners of the head run after the body, so its end is early enough for them.
    first = next(own, None)
    (first.parent or body if first else body).insert_before(markup.new("script", {"src": GATE}), first)


def settle(document: Document) -> None:
    """Moves inline scripts of the body to its end, in order: authors' scripts see the whole page, as in HyperFrames."""
    body = markup.part(document, "body")
    for script in markup.find(body, "script"):
        if is_immediate(script) and "src" not in script.attrs and script.namespace == "html":
            body.append_child(script)
