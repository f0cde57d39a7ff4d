"""Checks of elements and attributes: each a pure function from a page to its findings."""

from collections import Counter
from collections.abc import Iterator

from justhtml import Element

from fleet.composition import markup, placeholders, root, values
from fleet.composition.lint.reading import Page, Whole
from fleet.model import Finding

_MEDIA = frozenset({"video", "audio"})
_LENGTHS = ("data-duration", "data-end", "data-composition-duration")
_OLD = {"data-layer": "data-track-index", "data-end": "data-duration", "data-track": "data-track-index"}


def root_without_size(page: Page, _whole: Whole) -> Iterator[Finding]:
    """A root that gives no size is rendered as an upright phone, which is rarely meant."""
    top = _root(page)
    if top is None or (values.pixels(markup.get(top, "data-width")) and values.pixels(markup.get(top, "data-height"))):
        return
    size = f"{root.DEFAULT_WIDTH}x{root.DEFAULT_HEIGHT}"
    yield page.warning(
        markup.line(top),
        "root-without-size",
        message=f"the root gives no `data-width` and `data-height`; what is missing comes from {size}",
        remedy='add `data-width="1920" data-height="1080"`',
    )


def root_without_duration(page: Page, _whole: Whole) -> Iterator[Finding]:
    """A root that does not say its length costs the start of a browser before every render."""
    top = _root(page)
    if top is None or any(values.positive(markup.get(top, name)) for name in _LENGTHS if name != "data-end"):
        return
    yield page.note(
        markup.line(top),
        "duration-measured",
        message="the root gives no `data-duration`; its page is asked for it in a browser",
        remedy='add `data-duration="5"`, in seconds, to save that start',
    )


def unreadable_time(page: Page, _whole: Whole) -> Iterator[Finding]:
    """A time that is no number counts as absent."""
    for element in page.elements():
        for name in _LENGTHS:
            written = markup.get(element, name)
            if written and values.number(written) is None and not placeholders.names(written):
                yield _unreadable(page, element, name, written)
        written = markup.get(element, "data-start")
        if written and values.start(written) is None and not placeholders.names(written):
            yield _unreadable(page, element, "data-start", written)


def _unreadable(page: Page, element: Element, name: str, written: str) -> Finding:
    return page.warning(
        markup.line(element),
        "time-unreadable",
        message=f"{name}={written!r} is no number and counts as absent",
        remedy="write seconds without a unit, as in `2.5`",
    )


def unknown_start_target(page: Page, whole: Whole) -> Iterator[Finding]:
    """A start that refers to an element that is not there counts as 0."""
    for element in page.elements():
        start = values.start(markup.get(element, "data-start"))
        if isinstance(start, values.After) and start.target not in whole.names:
            yield page.warning(
                markup.line(element),
                "start-unknown-target",
                message=f"`data-start` refers to `{start.target}`, which no element is called; it counts as 0",
                remedy="name the id of an element, or write seconds",
            )


def media_without_source(page: Page, _whole: Whole) -> Iterator[Finding]:
    """A media element that plays nothing."""
    for element in page.elements():
        if element.name not in _MEDIA or {"src", "data-var-src"} & set(element.attrs):
            continue
        if not any("src" in source.attrs for source in markup.find(element, "source")):
            yield page.warning(
                markup.line(element),
                "media-without-source",
                message=f"this <{element.name}> has no `src`: it shows and sounds nothing",
                remedy="name its file in `src`, or remove it",
            )


def repeated_media_id(page: Page, _whole: Whole) -> Iterator[Finding]:
    """Two media elements of one id: scripts that ask for it get the first."""
    media = [element for element in page.elements() if element.name in _MEDIA and markup.get(element, "id")]
    counts = Counter(markup.get(element, "id") for element in media)
    seen: set[str | None] = set()
    for element in media:
        identity = markup.get(element, "id")
        if counts[identity] > 1 and identity in seen:
            yield page.warning(
                markup.line(element),
                "media-repeated-id",
                message=f"a second media element has the id `{identity}`",
                remedy="give each an id of its own",
            )
        seen.add(identity)


def host_without_id(page: Page, _whole: Whole) -> Iterator[Finding]:
    """A mounting element without an id takes that of what it mounts."""
    for element in page.elements():
        if root.SOURCE in element.attrs and not markup.get(element, root.ID):
            yield page.note(
                markup.line(element),
                "host-without-id",
                message=f"this `{root.SOURCE}` has no `{root.ID}`; it takes the id written in its file",
                remedy=f"add `{root.ID}` with that id",
            )


def old_attribute(page: Page, _whole: Whole) -> Iterator[Finding]:
    """Attributes of earlier versions of the format."""
    for element in page.elements():
        for name, now in _OLD.items():
            if name in element.attrs and "data-start" in element.attrs:
                yield page.note(
                    markup.line(element), "old-attribute", message=f"`{name}` is an old name", remedy=f"write `{now}`"
                )


def unfilled_placeholder(page: Page, _whole: Whole) -> Iterator[Finding]:
    """A placeholder of a template that nothing has filled in."""
    for written, line in placeholders.unfilled(page.text):
        key = written.strip("_{} ")
        yield page.warning(
            line,
            "placeholder-unfilled",
            message=f"nothing fills in the placeholder `{written}`",
            remedy=f"pass `--set {key}=VALUE`",
        )


def _root(page: Page) -> Element | None:
    return root.choose(page.document) if page.is_entry else None


CHECKS = (
    root_without_size,
    root_without_duration,
    unreadable_time,
    unknown_start_target,
    media_without_source,
    repeated_media_id,
    host_without_id,
    old_attribute,
    unfilled_placeholder,
)
