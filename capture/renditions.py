"""GL backends tried on a composition's own frames: what one of them costs, and how alike its picture is SwiftShader's.

A browser compares the pictures, for nothing else on a host could decode them. Whether a backend is used is not decided
here.
"""

import base64
import json
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from capture import browser, browser_probe, cdp, examine, frames, tree
from capture.faults import CaptureError
from capture.protocol import EQUAL_DB, CaptureMode, FrameCost, GlBackend, Rendition, Setup

# Of capturing, for each backend; frames that a slow page does not come to in this time are left out.
BUDGET_S = 4.0
COMPARE_TIMEOUT_S = 10.0  # two pictures of 4K take about 1 s
_SIZE = (64, 64)  # of the page that compares; it draws nothing
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PEAK = 255
_MEAN_SQUARED_ERROR = """
(async (pictures, channels) => {
  const pixels = async (picture) => {
    const bytes = Uint8Array.from(atob(picture), (character) => character.charCodeAt(0));
    const bitmap = await createImageBitmap(new Blob([bytes]));
    const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0);
    return context.getImageData(0, 0, bitmap.width, bitmap.height).data;
  };
  const [one, other] = await Promise.all(pictures.map(pixels));
  let sum = 0;
  for (let at = 0; at < one.length; at += 4) {
    for (let channel = at; channel < at + channels; channel++) {
      sum += (one[channel] - other[channel]) ** 2;
    }
  }
  return sum / ((one.length / 4) * channels);
})"""


@dataclass(frozen=True, slots=True)
class _Drawn:
    """What one backend made of the frames; the cost is of those after the first, which pays for what others reuse."""

    renderer: str
    pictures: dict[int, bytes]
    cost: FrameCost


def try_backends(setup: Setup, backends: Sequence[GlBackend], wanted: Sequence[int]) -> tuple[Rendition, ...]:
    """Draws the frames `wanted`, at least two, with SwiftShader and with each of `backends`.

    CaptureError when SwiftShader cannot draw them; what is wrong with a backend is in its rendition.
    """
    reference = _draw(setup, GlBackend.SWIFTSHADER, wanted)
    return tuple(_rendition(setup, gl, reference) for gl in backends)


def _rendition(setup: Setup, gl: GlBackend, reference: _Drawn) -> Rendition:
    try:
        drawn = _draw(setup, gl, list(reference.pictures))
        decibels = compare(setup, reference.pictures, drawn.pictures)
    except CaptureError as error:
        return Rendition(gl=gl, fault=f"{error.code.value}: {error.message}")
    except (cdp.Closed, cdp.TimedOut, cdp.Refused) as error:
        return Rendition(gl=gl, fault=f"its pictures cannot be compared: {error}")
    files = (frames.described(picture, frame) for frame, picture in drawn.pictures.items())
    return Rendition(
        gl=gl,
        renderer=drawn.renderer,
        frames=tuple(files),
        decibels=decibels,
        cost=drawn.cost,
        swiftshader=reference.cost,
    )


def _draw(setup: Setup, gl: GlBackend, wanted: Sequence[int]) -> _Drawn:
    """The frames `wanted` in one fresh page: at least two, then while there is time."""
    pictures: dict[int, bytes] = {}
    began_s = cpu_before_s = 0.0
    with examine.opened(replace(setup, spec=replace(setup.spec, gl=gl))) as (started, session):
        deadline = time.monotonic() + BUDGET_S
        for frame, picture in session.capture(wanted):
            if not pictures:
                began_s, cpu_before_s = time.monotonic(), _cpu_s(started.pid)
            pictures[frame] = picture
            if len(pictures) > 1 and time.monotonic() > deadline:
                break
        wall_s, cpu_s = time.monotonic() - began_s, _cpu_s(started.pid) - cpu_before_s
        told = session.ask(f"Promise.resolve({browser_probe.GL_SCRIPT})", timeout_s=setup.page_limit_s)
    _, renderer = json.loads(told)
    per_frame = 1000 / max(1, len(pictures) - 1)
    return _Drawn(str(renderer), pictures, FrameCost(cpu_ms=cpu_s * per_frame, wall_ms=wall_s * per_frame))


def compare(setup: Setup, ours: dict[int, bytes], theirs: dict[int, bytes]) -> tuple[float, ...]:
    """PSNR in dB of each of `theirs`, at most EQUAL_DB; cdp's errors when they cannot be decoded."""
    differing = {frame: picture for frame, picture in theirs.items() if picture != ours[frame]}
    found = dict.fromkeys(theirs, EQUAL_DB)
    if differing:
        with browser.start(
            setup.chromium,
            mode=CaptureMode.SCREENSHOT,
            size=_SIZE,
            profile=Path(setup.profile_directory),
            sandbox=setup.sandbox,
            extra=setup.chromium_args,
        ) as started:
            session = _blank_page(started.connection)
            channels = 4 if setup.spec.is_transparent else 3
            for frame, picture in differing.items():
                call = f"{_MEAN_SQUARED_ERROR}({json.dumps([_text(ours[frame]), _text(picture)])}, {channels})"
                found[frame] = decibels(_evaluate(started.connection, session, call))
    return tuple(found.values())


def decibels(mean_squared_error: float) -> float:
    """PSNR of eight-bit pictures in dB, at most EQUAL_DB."""
    if mean_squared_error <= 0:
        return EQUAL_DB
    return min(EQUAL_DB, 10 * math.log10(_PEAK**2 / mean_squared_error))


def _blank_page(connection: cdp.Connection) -> str:
    tab = connection.call("Target.createTarget", {"url": "about:blank"}, timeout_s=COMPARE_TIMEOUT_S)
    target = {"targetId": tab["targetId"], "flatten": True}
    return str(connection.call("Target.attachToTarget", target, timeout_s=COMPARE_TIMEOUT_S)["sessionId"])


def _evaluate(connection: cdp.Connection, session: str, call: str) -> float:
    asked = {"expression": call, "awaitPromise": True, "returnByValue": True}
    answer = connection.call("Runtime.evaluate", asked, session, timeout_s=COMPARE_TIMEOUT_S)
    if "exceptionDetails" in answer:
        raise cdp.Refused("Runtime.evaluate", str(answer["exceptionDetails"].get("text", "")))
    return float(answer["result"]["value"])


def _text(picture: bytes) -> str:
    return base64.b64encode(picture).decode()


def _cpu_s(pid: int) -> float:
    """CPU time of a process and of all below it, so far."""
    return sum(_ticks(each) for each in (pid, *tree.descendants(pid))) / _TICKS_PER_S


def _ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])  # user and system
