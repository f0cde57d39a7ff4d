"""Reads a project and compiles it: one self-contained document and its assets. READ THIS FIRST, top to bottom."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fleet import model
from fleet.assets import Library
from fleet.composition import assets, entry, markup, project, refuse, root, scripts


def read(path: Path, *, variables: Mapping[str, Any], cache: Path, offline: bool = False) -> model.Composition:
    """The composition at `path`, a directory with index.html or an .html file; nothing is fetched after this.

    Raises ConfigError when there is no such composition, and CompositionError, with file and line, when it is wrong.
    """
    source = project.locate(path)
    files = assets.Assets(source, Library(cache, offline=offline))
    page = _open(source, source.entry, files)
    entry.complete(page.document)
    facts = root.facts(page.document, page.path)
    files.check()
    scripts.inline(page.document, files.scripts)
    del variables
    entry.finish(page.document)
    return model.Composition(
        name=source.name,
        document=markup.serialise(page.document),
        width=facts.width,
        height=facts.height,
        duration_s=facts.duration_s,
        fps=facts.fps,
        assets=files.all(),
    )


def _open(source: project.Project, path: str, files: assets.Assets) -> project.Page:
    page = source.page(path)
    scripts.remove_runtimes(page.document)
    refuse.check(page.document, page.path)
    files.localise(page)
    return page
