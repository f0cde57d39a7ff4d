"""What only a composition's page can tell: how long it lasts, how loud its scripts make it. One load, no frame.

For roots that do not say their length, and for scripts that name a volume; asked once each, before anything is planned.
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from capture import browser, page
from capture.faults import CaptureError
from capture.protocol import PAGE_LIMIT_S, CaptureMode, ImageFormat, RenderSpec
from capture.session import Session

# No frame is drawn, so the rate decides nothing; the page wants one.
FPS = Fraction(30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Where the bundle's files lie, the size of the page, and the browser to use."""

    bundle: str
    profile: str
    width: int
    height: int
    chromium: str | None = None
    chromium_args: tuple[str, ...] = ()
    sandbox: bool = True
    page_limit_s: float = PAGE_LIMIT_S
    duration_s: Fraction = Fraction(0)  # 0: it is the page that says
    is_listening: bool = False
    listening_limit_s: float = PAGE_LIMIT_S  # after the page is ready


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A media element by its render id, and (second, gain) wherever its gain changes, ascending."""

    id: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the page says of itself, or `problem`: why it said nothing, with the FaultCode of a page that failed."""

    duration_s: float = 0.0
    volumes: tuple[Volume, ...] = ()
    adapters: tuple[str, ...] = ()
    problem: str = ""
    code: str = ""
    console: tuple[str, ...] = ()


def measure(asked: Asked) -> Measured:
    """Opens the composition and reads its length. Every failure is an answer too."""
    chromium = browser.find(asked.chromium)
    if chromium is None:
        return Measured(problem="no Chromium was found here")
    try:
        with browser.start(
            chromium,
            mode=CaptureMode.SCREENSHOT,
            size=(asked.width, asked.height),
            profile=Path(asked.profile),
            sandbox=asked.sandbox,
            extra=asked.chromium_args,
        ) as started:
            return _ask(started, asked)
    except CaptureError as error:
        return Measured(problem=error.message)


def _ask(started: browser.Browser, asked: Asked) -> Measured:
    spec, limit_s = _spec(asked), asked.page_limit_s
    session = Session(
        started.connection,
        spec,
        bundle=Path(asked.bundle),
        note=lambda _: None,
        limit_s=limit_s,
        # It is asked once, so an endless script must be named at once; nothing is drawn that could become slow.
        watches_scripts=True,
    )
    config = replace(page.config(spec, limit_s=limit_s), is_listening=asked.is_listening)
    try:
        ready = session.open(page.source(config))
        heard = session.ask("__fleet.volumes()", timeout_s=asked.listening_limit_s) if asked.is_listening else None
    except CaptureError as error:
        return Measured(problem=error.message, code=error.code.value, console=session.console())
    return Measured(duration_s=_seconds(ready), adapters=_names(ready.get("adapters")), volumes=_volumes(heard))


def _seconds(ready: dict[str, object]) -> float:
    found = ready.get("duration_s")
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else 0.0


def _names(found: object) -> tuple[str, ...]:
    return tuple(str(name) for name in found) if isinstance(found, list) else ()


def _volumes(found: object) -> tuple[Volume, ...]:
    if not isinstance(found, dict):
        return ()
    return tuple(
        Volume(id=str(name), points=tuple((float(at), float(gain)) for at, gain in points))
        for name, points in found.items()
    )


def _spec(asked: Asked) -> RenderSpec:
    return RenderSpec(
        bundle="",
        width=asked.width,
        height=asked.height,
        fps=FPS,
        frame_count=1,
        duration_s=asked.duration_s,
        image=ImageFormat.PNG,
        jpeg_quality=95,
        mode=CaptureMode.SCREENSHOT,
    )
