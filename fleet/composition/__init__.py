"""Reads a project and compiles it: one self-contained document and its assets. READ THIS FIRST, top to bottom."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fleet import model
from fleet.assets import Library
from fleet.composition import assets, entry, markup, mount, project, refuse, root, scripts, sound
from fleet.composition.variables import apply as apply_variables


def read(path: Path, *, variables: Mapping[str, Any], cache: Path, offline: bool = False) -> model.Composition:
    """The composition at `path`, a directory with index.html or an .html file; nothing is fetched after this.

    Raises ConfigError when there is no such composition, and CompositionError, with file and line, when it is wrong.
    """
    source = project.locate(path)
    files = assets.Assets(source, Library(cache, offline=offline))
    media = sound.Media(files.files)
    page = _open(source, source.entry, files, media)
    entry.complete(page.document)
    facts = root.facts(page.document, page.path)
    mounting = mount.Mounting(page.document, lambda inner: _open(source, inner, files, media), source)
    mounting.run(page.path)
    files.check()
    apply_variables(page.document, page.path, variables, mounting.table)
    scripts.settle(page.document)
    scripts.inline(page.document, files.scripts)
    sound.assign_render_ids(page.document)
    entry.finish(page.document)
    return model.Composition(
        name=source.name,
        document=markup.serialise(page.document),
        width=facts.width,
        height=facts.height,
        duration_s=facts.duration_s,
        fps=facts.fps,
        assets=files.all(),
        audio=sound.tracks(page.document, facts.duration_s, media),
        findings=(*mounting.table.findings, *media.findings),
    )


def _open(source: project.Project, path: str, files: assets.Assets, media: sound.Media) -> project.Page:
    page = source.page(path)
    scripts.remove_runtimes(page.document)
    refuse.check(page.document, page.path)
    files.localise(page)
    sound.stamp(page, media)
    return page
