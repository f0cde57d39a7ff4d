"""Reads a project and compiles it: one self-contained document and its assets. READ THIS FIRST, top to bottom."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fleet import model
from fleet.assets import Library
from fleet.composition import (
    assets,
    entry,
    fonts,
    loads,
    markup,
    mount,
    project,
    refuse,
    root,
    scripts,
    sound,
    speech,
    videos,
)
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
    for path_inside in files.frames:  # grows while it is read
        inside = _open(source, path_inside, files, media)
        refuse.check_frame(inside.document, inside.path)
        scripts.inline(inside.document, files.scripts)
        files.add(path_inside, markup.serialise(inside.document).encode())
    files.check()
    files.inline_sheets(page.document)
    faces = fonts.embed(page.document, files.library, files.spoken)
    apply_variables(page.document, page.path, variables, mounting.table)
    scripts.settle(page.document)
    loads.add_mentioned(files, markup.serialise(page.document))
    files.check_images()
    scripts.inline(page.document, files.scripts)
    videos.name_sources(page.document)
    sound.assign_render_ids(page.document)
    entry.finish(page.document)
    audio = sound.tracks(page.document, facts.duration_s, media)
    slots = videos.slots(page.document, facts.duration_s, media)
    unneeded = videos.unneeded(page.document, files, slots)
    return model.Composition(
        name=source.name,
        document=markup.serialise(page.document),
        width=facts.width,
        height=facts.height,
        duration_s=facts.duration_s,
        fps=facts.fps,
        assets=tuple(asset for asset in files.all() if asset.path not in unneeded),
        has_webgl=speech.draws_with_gl(files.spoken),
        audio=audio,
        videos=slots,
        findings=(*files.findings, *mounting.table.findings, *faces, *media.findings),
    )


def _open(source: project.Project, path: str, files: assets.Assets, media: sound.Media) -> project.Page:
    page = source.page(path)
    scripts.remove_runtimes(page.document)
    refuse.check(page.document, page.path)
    files.localise(page)
    loads.localise(files, page)
    sound.stamp(page, media)
    return page
