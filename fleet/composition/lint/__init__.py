"""What an author should know before a render, with file and line: every page as written, checked one by one.

Only what HyperFrames refuses as well is an error; what it renders is rendered, with a warning.
"""

from collections.abc import Iterator
from pathlib import Path

from fleet.composition import markup, placeholders, project, root
from fleet.composition.lint import markup_checks, script_checks
from fleet.composition.lint.reading import Page, whole
from fleet.errors import CompositionError
from fleet.model import Finding, Severity

CHECKS = (*markup_checks.CHECKS, *script_checks.CHECKS)
# Elements that show nothing by themselves.
_UNSEEN = frozenset({"script", "style", "link", "meta", "template"})
# A script that fills an empty root.
_BUILDERS = ("appendChild", ".append(", "innerHTML", "insertAdjacent")
_FILLED_SUFFIXES = frozenset({".css", ".js", ".mjs", ".json", ".geojson"})
# A larger text is a library or data: no template of an author.
_FILLED_LIMIT_BYTES = 1 << 20


def run(source: project.Project) -> tuple[Finding, ...]:
    """Every finding about the pages of a project, in the order of its pages."""
    found = pages(source)
    common = whole(found)
    results = [finding for page in found for check in CHECKS for finding in check(page, common)]
    results += [*_blank_root(source, found), *_unused_placeholders(source, found)]
    return tuple(dict.fromkeys(results))


def pages(source: project.Project) -> list[Page]:
    """The entry and all that it mounts, each once; what cannot be read is the compiler's to report."""
    found: dict[str, Page] = {}
    queue = [source.entry]
    while queue:
        path = queue.pop(0)
        if path in found or (page := _page(source, path)) is None:
            continue
        found[path] = page
        queue += _mounted(source, page)
    return list(found.values())


def _page(source: project.Project, path: str) -> Page | None:
    try:
        text = source.text(path)
    except CompositionError:
        return None
    return Page(path=path, text=text, document=markup.parse(text), is_entry=path == source.entry)


def _mounted(source: project.Project, page: Page) -> Iterator[str]:
    for element in page.elements():
        written = (markup.get(element, root.SOURCE) or "").strip()
        if project.is_local(written):
            try:
                yield project.resolve(source, "", project.split(written)[0])
            except project.OutsideProjectError:
                continue


def _blank_root(source: project.Project, found: list[Page]) -> Iterator[Finding]:
    """An index that shows nothing beside a page that would: the wrong one is about to be rendered."""
    entry = next((page for page in found if page.is_entry), None)
    if entry is None or source.entry != project.ENTRY or not _is_blank(entry):
        return
    standalone = next((path for path in _pages_beside(source, found) if _has_clips(source, path)), None)
    if standalone is not None:
        yield Finding(
            severity=Severity.ERROR,
            code="blank-root",
            message=f"the root shows nothing, and `{standalone}` is a composition that nothing mounts",
            remedy=f"mount it with `{root.SOURCE}`, or render it itself: `{source.root / standalone}`",
            where=f"{entry.path}:1",
        )


def _is_blank(page: Page) -> bool:
    top = root.choose(page.document)
    if top is None or root.SOURCE in top.attrs or any(e.name not in _UNSEEN for e in markup.walk(top)):
        return False
    return not any(builder in source for source, _ in page.scripts() for builder in _BUILDERS)


def _pages_beside(source: project.Project, found: list[Page]) -> Iterator[str]:
    known = {page.path for page in found}
    for folder in (source.root, source.root / "compositions"):
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        paths = (file.relative_to(source.root).as_posix() for file in files)
        yield from (path for path in paths if Path(path).suffix.lower() in project.HTML_SUFFIXES and path not in known)


def _has_clips(source: project.Project, path: str) -> bool:
    page = _page(source, path)
    top = root.choose(page.document) if page is not None else None
    return top is not None and any(
        "data-start" in e.attrs or e.name in {"video", "audio", "img", "svg", "canvas"} for e in markup.walk(top)
    )


def _unused_placeholders(source: project.Project, found: list[Page]) -> Iterator[Finding]:
    unused = set(source.placeholders)
    texts = (source.raw(path) for path in [*(page.path for page in found), *_texts(source)] if unused)
    for text in texts:
        unused -= placeholders.names(text)
    for key in sorted(unused):
        yield Finding(
            severity=Severity.WARNING,
            code="placeholder-unused",
            message=f"no file has a placeholder `__{key}__` or `{{{{{key}}}}}`",
            remedy=f"check the spelling, or leave out `--set {key}=...`",
            where=source.entry,
        )


def _texts(source: project.Project) -> Iterator[str]:
    for path in source.files():
        file = source.root / path
        if file.suffix.lower() in _FILLED_SUFFIXES and file.stat().st_size <= _FILLED_LIMIT_BYTES:
            yield path
