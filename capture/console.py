"""The last words of a page: console messages and uncaught exceptions, bounded and without control characters."""

import re
from collections import deque
from collections.abc import Callable

from capture import cdp

LINES_MAX = 50
LINE_LENGTH_MAX = 300
# Terminals act on C0, DEL and C1; the bidirectional overrides make text look like other text.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")


class Console:
    """Keeps the newest lines that any page of one connection writes."""

    def __init__(self, connection: cdp.Connection, on_error: Callable[[str], None]) -> None:
        """`on_error` is told what pages say with console.error()."""
        self._on_error = on_error
        self._lines: deque[str] = deque(maxlen=LINES_MAX)
        connection.on("Runtime.consoleAPICalled", self._called)
        connection.on("Runtime.exceptionThrown", self._thrown)
        connection.on("Log.entryAdded", self._logged)

    def tail(self) -> tuple[str, ...]:
        """The lines kept, oldest first."""
        return tuple(self._lines)

    def _called(self, params: cdp.Params, _session: str | None) -> None:
        words = (str(item.get("value", item.get("description", item.get("type")))) for item in params.get("args", []))
        kind, said = str(params.get("type", "log")), " ".join(words)
        self._add(kind, said)
        if kind == "error":
            self._on_error(clean(f"console error: {said}"))

    def _thrown(self, params: cdp.Params, _session: str | None) -> None:
        details = params.get("exceptionDetails", {})
        text = details.get("exception", {}).get("description") or details.get("text", "")
        self._add("uncaught", f"{text} ({details.get('url', '')}:{details.get('lineNumber', 0) + 1})")

    def _logged(self, params: cdp.Params, _session: str | None) -> None:
        entry = params.get("entry", {})
        self._add(str(entry.get("level", "log")), f"{entry.get('text', '')} {entry.get('url', '')}")

    def _add(self, level: str, text: str) -> None:
        self._lines.append(f"{level}: {clean(text)}")


def clean(text: str, length: int = LINE_LENGTH_MAX) -> str:
    """`text` on one line, without control characters, at most `length` long."""
    line = _UNSAFE.sub(" ", text[: 4 * length]).strip()
    return line if len(line) <= length else f"{line[: length - 3]}..."
