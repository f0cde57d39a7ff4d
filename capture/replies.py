"""What DevTools and the page answer: a value, or an error of ours."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from capture import cdp
from capture.console import clean
from capture.faults import CaptureError, FaultCode

# The page's promise, with its rejection as a value: DevTools would wrap the message in a stack trace.
_SETTLED = "{call}.then(value => ({{value}}), error => ({{error: String((error && error.message) || error)}}))"


def question(call: str) -> cdp.Params:
    """Parameters of the Runtime.evaluate whose reply `value` reads; `call` is JavaScript for a promise."""
    return {"expression": _SETTLED.format(call=call), "awaitPromise": True, "returnByValue": True}


@contextmanager
def translated(refused: FaultCode) -> Iterator[None]:
    """DevTools' failures as ours, save that something is late."""
    try:
        yield
    except cdp.Closed as error:
        raise CaptureError(FaultCode.BROWSER_CRASHED, f"the browser went away: {error}") from error
    except cdp.Refused as error:
        # Only a command that runs the page's own code can fail because of the page, e.g. because it left.
        code = refused if error.method == "Runtime.evaluate" else FaultCode.BROWSER_CRASHED
        raise CaptureError(code, str(error)) from error


def value(reply: cdp.Params, code: FaultCode) -> Any:
    """What the page's promise resolved to; its rejection as CaptureError, with the page's own code if it gave one."""
    if "exceptionDetails" in reply:
        details = reply["exceptionDetails"]
        text = details.get("exception", {}).get("description") or details.get("text", "")
        raise CaptureError(code, clean(str(text)))
    settled = reply["result"].get("value") or {}
    if "error" in settled:
        raise _rejection(str(settled["error"]), code)
    return settled.get("value")


def _rejection(message: str, code: FaultCode) -> CaptureError:
    try:
        told = json.loads(message)
        return CaptureError(FaultCode(told["code"]), clean(str(told["message"])))
    except (ValueError, TypeError, KeyError):
        return CaptureError(code, clean(message))
