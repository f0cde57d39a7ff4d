"""Pages inside the page, from files and from `srcdoc`: compiled like the page around them, with fonts of their own."""

from collections.abc import Callable
from dataclasses import dataclass

from justhtml import Document, Element

from fleet import model
from fleet.composition import css, fonts, markup, modules, project, refuse, scripts
from fleet.composition.assets import REFERENCES, Assets


@dataclass(frozen=True, slots=True)
class Frame:
    """One page inside; `host` is the `<iframe>` whose `srcdoc` it is, none for a file."""

    page: project.Page
    host: Element | None = None


def read(
    files: Assets, open_file: Callable[[str], project.Page], prepare: Callable[[project.Page], None]
) -> list[Frame]:
    """Every page inside the pages read so far, outer ones first."""
    found: list[Frame] = []
    files_read = srcdocs_read = 0  # each page read may name more of both
    while files_read < len(files.frames) or srcdocs_read < len(files.srcdocs):
        if files_read < len(files.frames):
            found.append(Frame(open_file(files.frames[files_read])))
            files_read += 1
        else:
            page, host = files.srcdocs[srcdocs_read]
            found.append(Frame(_written(page, host), host))
            prepare(found[-1].page)
            srcdocs_read += 1
        refuse.check_frame(found[-1].page.document, found[-1].page.path)
    return found


def _written(page: str, host: Element) -> project.Page:
    # Its addresses are meant from where the page around it lies; lines are counted from where it begins.
    return project.Page(f"{page} (srcdoc)", markup.parse(markup.get(host, "srcdoc") or ""))


def finish(frames: list[Frame], files: Assets, *, is_substitute_accepted: bool) -> list[model.Finding]:
    """Writes each page back where it came from, innermost first, and returns what is to be said of their fonts."""
    findings: list[model.Finding] = []
    for frame in reversed(frames):
        document = frame.page.document
        files.inline_sheets(document)
        modules.complete_maps(files, document, frame.page.path)
        findings += fonts.embed(document, files, is_substitute_accepted=is_substitute_accepted, is_inner=True)
        scripts.inline(document, files.scripts)
        _anchor(document)
        if frame.host is None:
            files.add(frame.page.path, markup.serialise(document).encode())
        else:
            frame.host.attrs["srcdoc"] = markup.serialise(document)
    return findings


def _anchor(document: Document) -> None:
    """Makes paths in the bundle absolute: a page in a folder would look for them below that folder."""
    for element in markup.walk(document, templates=True):
        names = [*REFERENCES.get(element.name, ()), *(("src",) if element.name in {"script", "iframe"} else ())]
        names += ["href"] if element.name == "link" else []
        for name in names:
            if value := markup.get(element, name):
                element.attrs[name] = _anchored(value)
        if srcset := markup.get(element, "srcset"):
            element.attrs["srcset"] = ", ".join(_anchored(part.strip()) for part in srcset.split(", "))
        if style := markup.get(element, "style"):
            element.attrs["style"] = css.rewrite(style, lambda reference: _anchored(reference.url))
        if element.name == "style":
            markup.set_text(element, css.rewrite(markup.text(element), lambda reference: _anchored(reference.url)))


def _anchored(value: str) -> str:
    return f"/{value}" if project.is_local(value) and not value.startswith(("/", ".")) else value
