"""What this host's browser can do, found with one launch: GL backend, begin-frame control, sandbox.

One probe per host, before the first chunk; six workers that each probed cost a third of a render upstream.
"""

import json
import os
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from capture import browser, cdp, png, shutter, tree
from capture.faults import CaptureError, FaultCode
from capture.protocol import BrowserFacts, CaptureMode, ImageFormat, RenderSpec

TIMEOUT_S = 30.0  # for each of the few commands; beginFrame on a browser that ignores it never answers
SIZE = (64, 48)
COLOUR = (12, 200, 34)
# The first frames of a tab come without a picture, or with the white page from before its content.
PICTURES_MAX = 20
PICTURE_PAUSE_S = 0.05
GL_SCRIPT = """
(() => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const gl = canvas.getContext("webgl");
  const info = gl && gl.getExtension("WEBGL_debug_renderer_info");
  if (!info) return JSON.stringify(["", ""]);
  return JSON.stringify([info.UNMASKED_VENDOR_WEBGL, info.UNMASKED_RENDERER_WEBGL].map(name => gl.getParameter(name)));
})()
"""
_SPEC = RenderSpec(
    bundle="",
    width=SIZE[0],
    height=SIZE[1],
    fps=Fraction(30),
    frame_count=PICTURES_MAX,
    duration_s=Fraction(1),
    image=ImageFormat.PNG,
    jpeg_quality=95,
    mode=CaptureMode.BEGIN_FRAME,
)


def probe(chromium: str, args: Sequence[str], *, sandbox: bool, profile_dir: Path) -> BrowserFacts:
    """Facts of `chromium` with `args`; CaptureError when it does not start or draws with anything but SwiftShader."""
    with browser.start(
        chromium, mode=CaptureMode.BEGIN_FRAME, size=SIZE, profile=profile_dir, sandbox=sandbox, extra=args
    ) as started:
        try:
            return _facts(started)
        except cdp.Closed as error:
            raise CaptureError(FaultCode.BROWSER_CRASHED, f"the browser went away: {started.ending()}") from error
        except (cdp.TimedOut, cdp.Refused) as error:
            raise CaptureError(FaultCode.BROWSER_LAUNCH, f"the browser cannot be used: {error}") from error


def _facts(started: browser.Browser) -> BrowserFacts:
    connection = started.connection
    session, refusal = _open(connection)
    vendor, renderer = _gl(connection, session)
    why_not = refusal or _begin_frame_fault(connection, session)
    return BrowserFacts(
        version=started.version,
        mode=CaptureMode.SCREENSHOT if why_not else CaptureMode.BEGIN_FRAME,
        mode_why=why_not or "begin-frame control drew the test page",
        gl_vendor=vendor,
        gl_renderer=renderer,
        has_sandbox=has_sandbox(started.pid),
    )


def _open(connection: cdp.Connection) -> tuple[str, str]:
    """The session of a tab, and why it is not under begin-frame control, if it is not."""
    background = f"rgb({','.join(map(str, COLOUR))})"
    url = f"data:text/html,<body style='margin:0;background:{background}'></body>"
    tab = {"url": url, "width": SIZE[0], "height": SIZE[1]}
    refusal = ""
    try:
        created = connection.call("Target.createTarget", {**tab, "enableBeginFrameControl": True}, timeout_s=TIMEOUT_S)
    except cdp.Refused as error:
        refusal = f"this browser has no begin-frame control ({error.message})"
        created = connection.call("Target.createTarget", {**tab, "newWindow": True}, timeout_s=TIMEOUT_S)
    target = {"targetId": created["targetId"], "flatten": True}
    return str(connection.call("Target.attachToTarget", target, timeout_s=TIMEOUT_S)["sessionId"]), refusal


def _gl(connection: cdp.Connection, session: str) -> tuple[str, str]:
    script = {"expression": GL_SCRIPT, "returnByValue": True}
    result = connection.call("Runtime.evaluate", script, session, timeout_s=TIMEOUT_S)["result"]
    vendor, renderer = json.loads(result.get("value") or '["", ""]')
    if "swiftshader" not in renderer.lower():
        message = f"WebGL must draw with SwiftShader, and draws with {renderer or 'nothing'}"
        raise CaptureError(FaultCode.BROWSER_LAUNCH, message)
    return vendor, renderer


def _begin_frame_fault(connection: cdp.Connection, session: str) -> str:
    """Why begin-frame control cannot be used; empty when a picture of the page has its colour everywhere."""
    camera = shutter.BeginFrames(connection, session, _SPEC)
    deadline = time.monotonic() + TIMEOUT_S
    fault = ""
    for frame in range(PICTURES_MAX):
        camera.enter(frame)
        try:
            fault = _picture_fault(camera.shoot(deadline))
        except cdp.TimedOut:
            return f"a frame was not drawn within {TIMEOUT_S:.0f} s"
        except cdp.Refused as error:
            return f"frames are refused ({error.message})"
        if not fault:
            break
        time.sleep(PICTURE_PAUSE_S)
    return fault


def _picture_fault(picture: bytes) -> str:
    try:
        rows = png.rows(picture)
    except ValueError as error:
        return f"the picture of the test page is unreadable: {error}"
    size = (len(rows[0]), len(rows)) if rows else (0, 0)
    colours = {pixel for row in rows for pixel in row}
    if size != SIZE:
        return f"the picture of the test page measures {size[0]}x{size[1]} instead of {SIZE[0]}x{SIZE[1]}"
    return (
        "" if colours == {COLOUR} else f"the picture of the test page shows {len(colours)} colours instead of {COLOUR}"
    )


def has_sandbox(pid: int) -> bool:
    """Whether a renderer below the browser `pid` has a process namespace of its own and a system call filter."""
    return any(
        _is_confined(child) for child in tree.descendants(pid) if "--type=renderer" in browser.command_line(child)
    )


def _is_confined(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    namespaces = len(fields.get("NSpid", "").split()) - len(_own_pids())
    return fields.get("Seccomp", "").strip() == "2" and namespaces > 0


def _own_pids() -> list[str]:
    status = Path(f"/proc/{os.getpid()}/status").read_text()
    return next((line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")), [""])
