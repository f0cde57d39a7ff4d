"""Template placeholders, `__KEY__` and `{{KEY}}`: filled from `--set`, found where nothing fills them. Pure: no I/O."""

import json
import re
from collections.abc import Iterator, Mapping

_MARK = re.compile(r"__([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*)__|\{\{\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*\}\}")
# One that is not closed reaches to the end, as in browsers; else each would be looked for through the whole rest.
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
# Globals that renderers define for pages are spelled the same way.
_RESERVED = "HF_"


def fill(text: str, values: Mapping[str, str]) -> str:
    """`text` with every placeholder replaced that `values` names; others stay as they are."""
    if not values:
        return text
    return _MARK.sub(lambda match: values.get(_name(match), match[0]), text)


def fill_json(text: str, values: Mapping[str, str]) -> str:
    """As `fill`, for JSON: what would end a string is escaped, and numbers can stand outside of strings as they are."""
    return fill(text, {name: json.dumps(value)[1:-1] for name, value in values.items()})


def names(text: str) -> set[str]:
    """The keys of all placeholders in `text`."""
    return {_name(match) for match in _MARK.finditer(text)}


def unfilled(text: str) -> Iterator[tuple[str, int]]:
    """(placeholder as written, line) of all that still stand in a page, once each per line."""
    shown = _COMMENT.sub(lambda match: "\n" * match[0].count("\n"), text)
    found = {
        (match[0], shown.count("\n", 0, match.start()) + 1): None
        for match in _MARK.finditer(shown)
        if not _is_code(shown, match)
    }
    yield from found


def _is_code(text: str, match: re.Match[str]) -> bool:
    """Whether it is a property or a literal of a script that happens to look alike."""
    before = text[match.start() - 1] if match.start() else ""
    return _name(match).startswith(_RESERVED) or before in {".", "$", "{"} or before.isalnum()


def _name(match: re.Match[str]) -> str:
    return match[1] or match[2]
