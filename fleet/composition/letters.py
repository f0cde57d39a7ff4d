"""Every character that a document may show: its text, what its styles write, what its scripts say. Pure: no I/O."""

import html
import re
import unicodedata
from collections.abc import Iterable

import tinycss2
from justhtml import Document, Element, Node, Text

from fleet.composition import families, markup, scripts

_SILENT = frozenset({"script", "style"})
# Attributes that hold names, addresses and numbers, never text.
_NO_TEXT = frozenset({"class", "id", "style", "src", "href", "d", "points", "srcset", "lang", "font-family"})
# Comments are matched so that an apostrophe in one opens no string.
_LITERALS = re.compile(r"""//[^\n]*|/\*.*?\*/|("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)""", re.DOTALL)
_ESCAPE = re.compile(r"\\u\{([0-9a-fA-F]{1,6})\}|\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})")
# Controls, formats, surrogates, the unassigned, spaces: what has no shape of its own.
_SHAPELESS = frozenset({"Cc", "Cf", "Cs", "Cn", "Zs", "Zl", "Zp"})
_SELECTORS = range(0xFE00, 0xFE10)


def of_document(document: Document) -> str:
    """Text, attributes that may become text, strings of style sheets and of scripts."""
    return "\n".join(_texts(document))


def _texts(node: Node) -> Iterable[str]:
    for child in node.children or ():
        if isinstance(child, Text):
            yield child.data or ""
    for element in markup.walk(node, templates=True):
        for name, value in element.attrs.items():
            if value and name not in _NO_TEXT and not value.isascii():
                yield value  # a plain one is far more often a name or a number than a text
            elif value and "\\u" in value:
                yield unescaped(value)
        yield of_sheet(f"*{{{element.attrs.get('style') or ''}}}")
        yield _inside(element)


def _inside(element: Element) -> str:
    text = markup.text(element)
    if element.name == "style":
        return of_sheet(text)
    return of_script(text) if element.name == "script" else text


def of_sheet(sheet: str) -> str:
    """The strings of every declaration that does not name fonts, such as `content`."""
    tokens = tinycss2.parse_component_value_list(sheet)
    return "\n".join(
        str(token.value)
        for declaration in families.declarations(tokens)
        if declaration.name not in {"font-family", "font", "src"}
        for token in declaration.value
        if token.type == "string"
    )


def of_script(source: str) -> str:
    """The string literals of a script or of JSON, escapes and entities read."""
    literals = _LITERALS.finditer(scripts.with_few_open_comments(source))
    return html.unescape(unescaped("\n".join(match[1][1:-1] for match in literals if match[1])))


def unescaped(text: str) -> str:
    """`text` with JavaScript's numeric escapes read, halves of one character joined."""
    read = _ESCAPE.sub(lambda m: _character(int(m[1] or m[2] or m[3], 16), m[0]), text)
    return read.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _character(code: int, written: str) -> str:
    return chr(code) if code <= 0x10FFFF else written


def shapes(text: str) -> frozenset[str]:
    """The characters of `text` that need a glyph; those that a project draws by a font of its own included."""
    return frozenset(
        c for c in unicodedata.normalize("NFC", text)
        if ord(c) not in _SELECTORS and c != "\ufffd" and unicodedata.category(c) not in _SHAPELESS
    )  # fmt: skip
