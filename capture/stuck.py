"""Scripts that do not end: whether one keeps a page from everything else, and where.

DevTools reaches into running scripts with few commands only, and may ask where they are only if it said so beforehand.
"""

import time

from capture import cdp
from capture.console import clean

# A page that only waits, for a picture or a promise, answers within milliseconds.
ANSWER_S = 3.0
LINE_CHARS = 100


class Watch:
    """Knows the scripts of one page, so that one which does not end can be named; WebAssembly runs slower meanwhile."""

    def __init__(self, connection: cdp.Connection, session: str, *, timeout_s: float) -> None:
        self._connection, self._session = connection, session
        self._scripts: dict[str, tuple[str, int]] = {}  # address, and the line of it where the script begins
        self._stacks: list[list[cdp.Params]] = []
        connection.on("Debugger.scriptParsed", self._parsed)
        connection.on("Debugger.paused", self._paused)
        connection.call("Debugger.enable", {}, session, timeout_s=timeout_s)
        # `debugger` statements would stop the page as well.
        connection.call("Debugger.setBreakpointsActive", {"active": False}, session, timeout_s=timeout_s)

    def place(self) -> str:
        """Function, file and source line of the script that runs now; empty when it is none of the page's own."""
        self._stacks.clear()
        self._call("Debugger.pause", {})
        self._connection.wait_until(lambda: bool(self._stacks), time.monotonic() + ANSWER_S, "the script pauses")
        # What the runtime itself injects has no address.
        frame = next((frame for frame in self._stacks[-1] if self._script(frame)[0]), None)
        place = "" if frame is None else self._described(frame)
        self._call("Debugger.resume", {})
        return place

    def _script(self, frame: cdp.Params) -> tuple[str, int]:
        return self._scripts.get(str(frame["location"]["scriptId"]), ("", 0))

    def _described(self, frame: cdp.Params) -> str:
        url, first_line = self._script(frame)
        script = str(frame["location"]["scriptId"])
        lines = str(self._call("Debugger.getScriptSource", {"scriptId": script})["scriptSource"]).split("\n")
        index = int(frame["location"]["lineNumber"]) - first_line
        text = lines[index] if 0 <= index < len(lines) else ""
        if len(text) > 2 * LINE_CHARS:  # minified
            text = text[max(0, int(frame["location"].get("columnNumber", 0)) - LINE_CHARS // 2) :]
        file = url.rpartition("/")[2]
        return f"{clean(file)}, function `{clean(str(frame['functionName'])) or '(top)'}`: {clean(text, LINE_CHARS)}"

    def _call(self, method: str, params: cdp.Params) -> cdp.Params:
        return self._connection.call(method, params, self._session, timeout_s=ANSWER_S)

    def _parsed(self, params: cdp.Params, _session: str | None) -> None:
        self._scripts[str(params.get("scriptId"))] = (str(params.get("url", "")), int(params.get("startLine", 0)))

    def _paused(self, params: cdp.Params, _session: str | None) -> None:
        self._stacks.append(list(params.get("callFrames", [])))


def endless(connection: cdp.Connection, session: str, watch: Watch | None) -> str | None:
    """Ends the script that keeps the page busy and says where it was, as far as known; None when there is none.

    Raises what a connection raises when the browser does not answer to this either.
    """
    asked = connection.send("Runtime.evaluate", {"expression": "0"}, session)
    if connection.reply_within(asked, ANSWER_S) is not None:
        return None
    place = watch.place() if watch is not None else ""
    connection.call("Runtime.terminateExecution", {}, session, timeout_s=ANSWER_S)
    return place
