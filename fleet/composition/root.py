"""The root composition: which element it is, its size, length and frame rate. Changes nothing but an absent length."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from justhtml import Document, Element

from fleet import errors
from fleet.composition import markup, values

ID = "data-composition-id"
SOURCE = "data-composition-src"
SEQUENTIAL = "data-fleet-sequential"
# The format's own defaults for a root that does not say: an upright phone.
DEFAULT_WIDTH, DEFAULT_HEIGHT = 1080, 1920
# 8K on the long side; beyond that Chromium has no surface to paint on.
SIDE_LIMIT = 8192
DURATION_LIMIT_S = 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the root says of the whole render."""

    width: int
    height: int
    duration_s: Fraction | None  # None: the page's timelines must say it
    fps: Fraction | None
    sequential: bool | None  # whether frames depend on earlier ones; None when the author does not say


def choose(document: Document) -> Element | None:
    """The root element: the one marked `data-root`, else the first that no other composition encloses."""
    candidates = markup.with_attribute(document, ID)
    for element in candidates:
        if markup.get(element, "data-root") == "true":
            return element
    return next(
        (element for element in candidates if not any(ID in outer.attrs for outer in markup.ancestors(element))), None
    )


def facts(document: Document, page: str) -> Facts:
    """Size, length and frame rate; CompositionError names what is missing or impossible, with its line."""
    root = choose(document)
    if root is None:
        raise errors.CompositionError(
            f"{page}: no element has `{ID}`",
            remedy=f'give the outermost element `{ID}="main" data-width="1920" data-height="1080" data-duration="5"`',
        )
    where = f"{page}:{markup.line(root)}"
    width, height = _size(root, where)
    return Facts(
        width=width,
        height=height,
        duration_s=_duration(root, where),
        fps=_rate(root, where),
        sequential=None if (written := markup.get(root, SEQUENTIAL)) is None else written.strip().lower() != "false",
    )


def _size(root: Element, where: str) -> tuple[int, int]:
    width = values.pixels(markup.get(root, "data-width")) or DEFAULT_WIDTH
    height = values.pixels(markup.get(root, "data-height")) or DEFAULT_HEIGHT
    if max(width, height) > SIDE_LIMIT:
        raise errors.CompositionError(
            f"{where}: {width}x{height} is larger than {SIDE_LIMIT} pixels on a side",
            remedy="lower `data-width` and `data-height`",
        )
    return width, height


def _duration(root: Element, where: str) -> Fraction | None:
    duration = values.positive(markup.get(root, "data-duration")) or values.positive(
        markup.get(root, "data-composition-duration")
    )
    if duration is not None:
        _check_length(duration, f"{where}: data-duration={values.written(duration)}")
    return duration


def _check_length(duration: Fraction, what: str) -> None:
    if duration > DURATION_LIMIT_S:
        raise errors.CompositionError(f"{what} is longer than a day", remedy="give it in seconds")


def state_duration(document: Document, page: str, measure: Callable[[], Fraction] | None) -> Fraction:
    """Measures the page, and writes its length down where hosts read it. CompositionError when that cannot be."""
    root = choose(document)
    assert root is not None
    where = f"{page}:{markup.line(root)}"
    written = markup.get(root, "data-duration")
    what = "has no `data-duration`" if written is None else f"has data-duration={written!r}, which is no length"
    if measure is None:
        raise errors.CompositionError(
            f"{where}: the root composition {what}", remedy='add its length in seconds, as in `data-duration="5"`'
        )
    try:
        duration = measure()
    except errors.CompositionError as error:
        raise errors.CompositionError(f"{where}: the root composition {what}; {error}", remedy=error.remedy) from error
    _check_length(duration, f"{where}: the page lasts {values.written(duration)} s, which")
    root.attrs["data-duration"] = values.written(duration)
    return duration


def _rate(root: Element, where: str) -> Fraction | None:
    written = markup.get(root, "data-fps")
    if written is None:
        return None
    rate = values.rate(written)
    if rate is None:
        raise errors.CompositionError(
            f"{where}: data-fps={written!r} is no frame rate from {values.FPS_MIN} to {values.FPS_MAX}",
            remedy='write an integer or a fraction, as in `data-fps="30"` or `data-fps="30000/1001"`',
        )
    return rate
