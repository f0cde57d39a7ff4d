"""GL backends tried on a composition's own frames: what one of them costs, and how alike its picture is SwiftShader's.

SwiftShader's browser compares the pictures, for nothing else on a host could decode them. Whether a backend is used is
not decided here.
"""

import base64
import json
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from capture import browser_probe, cdp, examine, frames, tree
from capture.browser import Browser
from capture.faults import CaptureError
from capture.protocol import EQUAL_DB, PAGE_LIMIT_S, FrameCost, GlBackend, Rendition, Setup

# Of capturing, for each backend, and as much again for one beside it; frames that a slow page does not come to in this
# time are left out.
BUDGET_S = 4.0
LOOK_TIMEOUT_S = 10.0  # two pictures of 4K take about 0.5 s to compare
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PEAK = 255
# Most pixels of two pictures that are alike are equal: whole pixels are compared before channels are.
_MEAN_SQUARED_ERROR = """
(async (pictures, channels) => {
  const pixels = async (picture) => {
    const response = await fetch(`data:;base64,${picture}`);
    const bitmap = await createImageBitmap(await response.blob());
    const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0);
    return new Uint32Array(context.getImageData(0, 0, bitmap.width, bitmap.height).data.buffer);
  };
  const [one, other] = await Promise.all(pictures.map(pixels));
  if (one.length !== other.length) throw new Error("two sizes");
  let sum = 0;
  for (let at = 0; at < one.length; at++) {
    if (one[at] === other[at]) continue;
    for (let bit = 0; bit < 8 * channels; bit += 8) {
      sum += (((one[at] >>> bit) & 255) - ((other[at] >>> bit) & 255)) ** 2;
    }
  }
  return sum / (one.length * channels);
})"""


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A frame as one backend drew it, with the monotonic time and its browser's CPU time when it was there."""

    frame: int
    picture: bytes
    at_s: float
    cpu_s: float


def try_backends(
    setup: Setup, backends: Sequence[GlBackend], wanted: Sequence[int], *, limit_s: float = PAGE_LIMIT_S
) -> tuple[Rendition, ...]:
    """Draws the frames `wanted`, at least two, with SwiftShader and with those of `backends` that have a driver here.

    Returns a rendition for each of `backends`. A page that takes longer than `limit_s` to get ready, or for a frame, is
    not worth it. CaptureError when SwiftShader cannot draw them; what is wrong with a backend is in its rendition.
    """
    setup = replace(setup, page_limit_s=min(setup.page_limit_s, limit_s))
    found: dict[GlBackend, Rendition] = {}
    with ExitStack() as stack:
        theirs: dict[GlBackend, Browser] = {}
        for gl in backends:
            with _faults_kept(found, gl):
                started = stack.enter_context(examine.started(_with(setup, gl)))
                found[gl] = Rendition(gl=gl, renderer=_renderer(started.connection))
                if found[gl].is_as_asked:
                    theirs[gl] = started
        if theirs:
            ours = stack.enter_context(examine.started(_with(setup, GlBackend.SWIFTSHADER)))
            # What two drivers on one CPU have to share they share alike; a GPU is waited for, so nothing runs beside.
            is_at_once = setup.browsers > len(theirs) and all(found[gl].is_software for gl in theirs)
            drawing = _draw_all(setup, {GlBackend.SWIFTSHADER: ours, **theirs}, wanted, at_once=is_at_once)
            reference = drawing.pop(GlBackend.SWIFTSHADER).result()
            for gl, drawn in drawing.items():
                with _faults_kept(found, gl):
                    found[gl] = _compared(setup, ours.connection, reference, found[gl], drawn.result())
    return tuple(found[gl] for gl in backends)


def compare(
    connection: cdp.Connection, ours: Mapping[int, bytes], theirs: Mapping[int, bytes], *, channels: int
) -> tuple[float, ...]:
    """PSNR in dB of each of `theirs`, at most EQUAL_DB, in a tab of any browser; cdp's errors when it cannot decode."""
    differing = {frame: picture for frame, picture in theirs.items() if picture != ours[frame]}
    found = dict.fromkeys(theirs, EQUAL_DB)
    session = _blank_page(connection) if differing else ""
    for frame, picture in differing.items():
        call = f"{_MEAN_SQUARED_ERROR}({json.dumps([_text(ours[frame]), _text(picture)])}, {channels})"
        found[frame] = decibels(_evaluate(connection, session, call))
    return tuple(found.values())


def decibels(mean_squared_error: float) -> float:
    """PSNR of eight-bit pictures in dB, at most EQUAL_DB."""
    if mean_squared_error <= 0:
        return EQUAL_DB
    return min(EQUAL_DB, 10 * math.log10(_PEAK**2 / mean_squared_error))


@contextmanager
def _faults_kept(found: dict[GlBackend, Rendition], gl: GlBackend) -> Iterator[None]:
    """What goes wrong with `gl` becomes its rendition."""
    try:
        yield
    except CaptureError as error:
        found[gl] = Rendition(gl=gl, fault=f"{error.code.value}: {error.message}")
    except (cdp.Closed, cdp.TimedOut, cdp.Refused) as error:
        found[gl] = Rendition(gl=gl, fault=f"it cannot be judged: {error}")


def _with(setup: Setup, gl: GlBackend) -> Setup:
    profile = f"{setup.profile_directory}-{gl.value}"
    return replace(setup, spec=replace(setup.spec, gl=gl), profile_directory=profile)


def _renderer(connection: cdp.Connection) -> str:
    """What draws WebGL in a browser, as it names itself; empty when nothing does."""
    _, name = json.loads(_evaluate(connection, _blank_page(connection), browser_probe.GL_SCRIPT))
    return str(name)


def _draw_all(
    setup: Setup, browsers: Mapping[GlBackend, Browser], wanted: Sequence[int], *, at_once: bool
) -> "dict[GlBackend, Future[list[_Drawn]]]":
    """The frames as each browser draws them, or why it does not; all of them have ended.

    Threads begin only here: `browser.start` is for processes that have one.
    """
    threads = len(browsers) if at_once else 1
    with ThreadPoolExecutor(threads) as pool:
        return {
            gl: pool.submit(_draw, _with(setup, gl), started, wanted, budget_s=BUDGET_S * threads)
            for gl, started in browsers.items()
        }


def _draw(setup: Setup, started: Browser, wanted: Sequence[int], *, budget_s: float) -> list[_Drawn]:
    """The frames `wanted` in one fresh page: at least two, then while there is time."""
    drawn: list[_Drawn] = []
    session = examine.page_in(started, setup)
    deadline = time.monotonic() + budget_s
    for frame, picture in session.capture(wanted):
        drawn.append(_Drawn(frame, picture, time.monotonic(), _cpu_s(started.pid)))
        if len(drawn) > 1 and time.monotonic() > deadline:
            break
    return drawn


def _compared(
    setup: Setup,
    connection: cdp.Connection,
    reference: Sequence[_Drawn],
    rendition: Rendition,
    drawn: Sequence[_Drawn],
) -> Rendition:
    """`rendition` with the frames that both have come to."""
    count = min(len(reference), len(drawn))
    ours, theirs = ({each.frame: each.picture for each in some[:count]} for some in (reference, drawn))
    return replace(
        rendition,
        frames=tuple(frames.described(picture, frame) for frame, picture in theirs.items()),
        decibels=compare(connection, ours, theirs, channels=4 if setup.spec.is_transparent else 3),
        cost=_cost(drawn[:count]),
        swiftshader=_cost(reference[:count]),
    )


def _cost(drawn: Sequence[_Drawn]) -> FrameCost:
    """Of each frame after the first, which pays for what others reuse."""
    first, last, per_frame = drawn[0], drawn[-1], 1000 / max(1, len(drawn) - 1)
    return FrameCost(cpu_ms=(last.cpu_s - first.cpu_s) * per_frame, wall_ms=(last.at_s - first.at_s) * per_frame)


def _blank_page(connection: cdp.Connection) -> str:
    tab = connection.call("Target.createTarget", {"url": "about:blank"}, timeout_s=LOOK_TIMEOUT_S)
    target = {"targetId": tab["targetId"], "flatten": True}
    return str(connection.call("Target.attachToTarget", target, timeout_s=LOOK_TIMEOUT_S)["sessionId"])


def _evaluate(connection: cdp.Connection, session: str, call: str) -> Any:
    asked = {"expression": call, "awaitPromise": True, "returnByValue": True}
    answer = connection.call("Runtime.evaluate", asked, session, timeout_s=LOOK_TIMEOUT_S)
    if "exceptionDetails" in answer:
        raise cdp.Refused("Runtime.evaluate", str(answer["exceptionDetails"].get("text", "")))
    return answer["result"]["value"]


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
