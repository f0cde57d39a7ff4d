"""TOML that knows its lines: `tomllib` reads the values, a small scanner says where each key stands.

Pure: no I/O. No maintained Python library keeps positions (tomlkit's request for it is open since 2019). The scanner
only ever sees text that `tomllib` has accepted, so it finds statements and judges nothing.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fleet import errors

Path = tuple[str | int, ...]

_PIECE = re.compile(
    r'''"""(?:\\.|[^\\])*?"""(?:"{0,2})'''  # up to two quotes may stand before the closing three
    r"""|\'\'\'.*?\'\'\'(?:'{0,2})"""
    r'''|"(?:\\.|[^"\\])*"'''
    r"""|'[^']*'"""
    r"|\#[^\n]*|[\[\]{}=\n]|[^\"'\#\[\]{}=\n]+",
    re.DOTALL,
)
_SYNTAX_ERROR = re.compile(r"(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)")


@dataclass(frozen=True, slots=True)
class Document:
    """The values of one TOML file, and the line of each of its keys."""

    file: str
    values: dict[str, Any]
    lines: dict[Path, int]

    def line(self, path: Path) -> int:
        """Line of `path`, or of the nearest table around it that has one; 1 for the file as a whole."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read(text: str, *, file: str) -> Document:
    """The document in `text`; ConfigError with file and line when it is not TOML."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax_error(str(error), text, file) from error
    except RecursionError as error:
        raise errors.ConfigError(f"{file}: nested too deeply", remedy="a hosts file needs three levels") from error
    return Document(file, values, _lines(text.replace("\r\n", "\n")))


def _syntax_error(message: str, text: str, file: str) -> errors.ConfigError:
    found = _SYNTAX_ERROR.fullmatch(message)
    what = found["what"] if found else message
    line = int(found["line"]) if found and found["line"] else text.count("\n") + 1
    what = what[:1].lower() + what[1:]
    return errors.ConfigError(
        f"{file}:{line}: not valid TOML: {what}",
        remedy=f"mend line {line}: strings need quotes, lists need [ ], one `key = value` per line",
    )


def _lines(text: str) -> dict[Path, int]:
    lines: dict[Path, int] = {}
    tables: Counter[Path] = Counter()  # how many [[x]] there were so far
    inside: Path = ()
    for line, head in _statements(text):
        if head.startswith("["):
            inside = _table(head, tables)
            path = inside
        else:
            path = inside + _key(head)
        for length in range(1, len(path) + 1):
            lines.setdefault(path[:length], line)
    return lines


def _table(header: str, tables: Counter[Path]) -> Path:
    path: Path = ()
    is_array = header.startswith("[[")
    *outer, last = _key(header.strip("[]"))
    for part in outer:
        path += (part,)
        if path in tables:
            path += (tables[path] - 1,)
    path += (last,)
    if is_array:
        tables[path] += 1
        path += (tables[path] - 1,)
    return path


def _key(text: str) -> Path:
    """The parts of a possibly dotted and quoted key, as tomllib itself reads them."""
    path: list[str | int] = []
    plain: Any = tomllib.loads(f"{text} = 0")
    while isinstance(plain, dict):
        ((part, plain),) = plain.items()
        path.append(part)
    return tuple(path)


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Line and head of each statement: `[header]` or `[[header]]` whole, of `key = value` the key."""
    line, depth, head, has_value, start = 1, 0, "", False, 1
    for piece in _PIECE.findall(text + "\n"):
        if piece == "\n" and depth == 0:
            if head.strip():
                yield start, head.strip()
            head, has_value = "", False
        elif piece[0] not in "#\n" and not has_value:
            start = line if not head.strip() else start
            has_value = piece == "="
            head += "" if has_value else piece
        depth += (piece in ("[", "{")) - (piece in ("]", "}"))
        line += piece.count("\n")
