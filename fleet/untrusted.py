"""Text that hosts and pages say, made fit for terminals, logs and reports. Pure: no I/O.

`cleaned` does it for whole messages where they come in, so that nobody behind that border has to remember it.
"""

import dataclasses
import re
import unicodedata
from typing import Any, TypeVar

T = TypeVar("T")

# Whole sequences, so that no `[31m` stays behind; whatever is no known sequence loses its escape character below.
_ESCAPE = re.compile(r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)")
# Cc: escape sequences start there. Cf: bidi overrides and invisible marks. Cs: cannot be encoded at all.
_UNFIT = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
TEXT_MAX = 300  # a page can put a novel into one console line
FIELD_MAX = 2000  # of one string in a message; the longest honest ones are notes


def clean(text: str, limit: int = TEXT_MAX) -> str:
    """`text` on one line without anything that moves a cursor, changes colours or reorders what stands beside it."""
    short = " ".join(_fit(text).split())
    return short if len(short) <= limit else short[: limit - 1] + "…"


def paragraph(text: str, limit: int = FIELD_MAX) -> str:
    """`text` cleaned line by line; those after the first are indented, so that none can pass for a line of ours."""
    lines = [" ".join(_fit(line).split()) for line in text[: 4 * limit].splitlines()]
    kept = "\n  ".join(line for line in lines if line)
    return kept if len(kept) <= limit else kept[: limit - 1] + "…"


def cleaned(message: T) -> T:
    """The frozen dataclass `message` with every string in it, however deep, without control characters and short."""
    changes = {}
    for field in dataclasses.fields(message):  # type: ignore[arg-type]  # asked of dataclasses only
        value = getattr(message, field.name)
        fit = _cleaned(value)
        if fit != value:
            changes[field.name] = fit
    return dataclasses.replace(message, **changes) if changes else message  # type: ignore[type-var]  # as above


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return value if value.isascii() and value.isprintable() and len(value) <= FIELD_MAX else _short(value)
    if isinstance(value, tuple):
        return tuple(map(_cleaned, value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return cleaned(value)
    return value


def _short(text: str) -> str:
    fit = _fit(text).strip()
    return fit if len(fit) <= FIELD_MAX else fit[: FIELD_MAX - 1] + "…"


def _fit(text: str) -> str:
    # Blanks stay as they are: a path may have two of them in a row.
    text = _ESCAPE.sub("", text)
    return "".join(" " if unicodedata.category(char) in _UNFIT else char for char in text)
