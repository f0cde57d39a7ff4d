"""Text that hosts and pages say, made fit for terminals, logs and reports. Pure: no I/O.

`cleaned` does it for whole messages where they come in, so that nobody behind that border has to remember it.
Secrets that people put into addresses and headers are taken out on the same way, and once more before events are kept.
"""

import dataclasses
import re
import unicodedata
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

# Whole sequences, so that no `[31m` stays behind; whatever is no known sequence loses its escape character below.
_ESCAPE = re.compile(r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)")
# Cc: escape sequences start there. Cf: bidi overrides and invisible marks. Cs: cannot be encoded at all.
_UNFIT = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# What is written like a secret, by its name or by its place in an address. Words around it stay: they say what failed.
_NAME = r"(?:[a-z0-9]+[_-])*(?:token|secret|passw(?:or)?d|pwd|api[_-]?key|signature|sig|credentials?|session[_-]?id)"
_SECRETS = (
    (re.compile(r"(?i)\b((?:https?|wss?|ftp)://)[^\s/@\"'<>]+@"), r"\1***@"),
    (re.compile(r"(?i)\b(" + _NAME + r"[\"']?\s*=\s*[\"']?)[^\s&#\"'<>;,)]+"), r"\1***"),
    (re.compile(r"(?i)([\"']" + _NAME + r"[\"']\s*:\s*[\"'])[^\"']+"), r"\1***"),
    (re.compile(r"(?i)\b((?:proxy-)?authorization[\"']?\s*[=:]\s*[\"']?(?:[a-z]+ )?)[^\s\"'<>;,)]+"), r"\1***"),
    (re.compile(r"(?i)\b((?:set-)?cookie[\"']?\s*[=:]\s*[\"']?)[^\s\"'<>,)]+"), r"\1***"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), "***"),
)
TEXT_MAX = 300  # a page can put a novel into one console line
FIELD_MAX = 2000  # of one string in a message; the longest honest ones are notes


def clean(text: str, limit: int = TEXT_MAX) -> str:
    """`text` on one line without anything that moves a cursor, changes colours or reorders what stands beside it."""
    short = " ".join(_fit(text).split())
    return short if len(short) <= limit else short[: limit - 1] + "…"


def paragraph(text: str, limit: int = FIELD_MAX) -> str:
    """`text` cleaned line by line; those after the first are indented, so that none can pass for a line of ours."""
    lines = [" ".join(_fit(line).split()) for line in redact(text[: 4 * limit]).splitlines()]
    kept = "\n  ".join(line for line in lines if line)
    return kept if len(kept) <= limit else kept[: limit - 1] + "…"


def redact(text: str) -> str:
    """`text` without passwords in addresses, tokens, cookies and private keys; nothing else of it changes."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def redacted(value: T) -> T:
    """The frozen dataclass `value` with every string in it redacted, however deep."""
    return _mapped(value, redact)


def cleaned(message: T) -> T:
    """The frozen dataclass `message` with every string in it, however deep, without control characters and short."""
    return _mapped(message, _short)


def _mapped(message: T, change: Callable[[str], str]) -> T:
    changes = {}
    for field in dataclasses.fields(message):  # type: ignore[arg-type]  # asked of dataclasses only
        value = getattr(message, field.name)
        fit = _changed(value, change)
        if fit != value:
            changes[field.name] = fit
    return dataclasses.replace(message, **changes) if changes else message  # type: ignore[type-var]  # as above


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, tuple):
        return tuple(_changed(item, change) for item in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _mapped(value, change)
    return value


def _short(text: str) -> str:
    if text.isascii() and text.isalnum() and len(text) <= FIELD_MAX:  # digests, of which there are many
        return text
    fit = _fit(text).strip()
    return fit if len(fit) <= FIELD_MAX else fit[: FIELD_MAX - 1] + "…"


def _fit(text: str) -> str:
    # Blanks stay as they are: a path may have two of them in a row.
    text = redact(_ESCAPE.sub("", text))
    return "".join(" " if unicodedata.category(char) in _UNFIT else char for char in text)
