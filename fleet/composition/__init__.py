"""Reads a project and compiles it: one self-contained document and its assets. READ THIS FIRST, top to bottom."""

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from fleet import errors, findings, model, stills
from fleet.assets import Library
from fleet.composition import (
    assets,
    canvases,
    cuts,
    entry,
    fonts,
    frames,
    lint,
    loads,
    markup,
    modules,
    mount,
    moving,
    project,
    refuse,
    root,
    scripts,
    sound,
    speech,
    videos,
)
from fleet.composition.variables import apply as apply_variables

# Document, assets, width and height -> seconds.
Measure = Callable[[str, Iterable[model.Asset], int, int], Fraction]
# The same and the length -> what scripts make of volumes.
Listen = Callable[[str, Iterable[model.Asset], int, int, Fraction], sound.Heard]


def read(
    path: Path,
    *,
    variables: Mapping[str, Any],
    cache: Path,
    placeholders: Mapping[str, str] | None = None,
    offline: bool = False,
    substitute_fonts: bool = False,
    measure: Measure | None = None,
    listen: Listen | None = None,
) -> model.Composition:
    """The composition at `path`, a directory with index.html or an .html file; nothing is fetched after this.

    `measure` is asked for the length when the root does not say it, `listen` for volumes when scripts may set some.
    Raises ConfigError when there is no such composition, and CompositionError, with file and line, when it is wrong.
    """
    source = project.locate(path, placeholders)
    notes = lint.run(source)
    findings.refuse(notes)
    files = assets.Assets(source, Library(cache, offline=offline))
    media = sound.Media(files.files)
    page = _open(source, source.entry, files, media)
    entry.complete(page.document)
    facts = root.facts(page.document, page.path)
    mounting = mount.Mounting(page.document, lambda inner: _open(source, inner, files, media), source)
    mounting.run(page.path)
    inner = frames.read(
        files, lambda inside: _open(source, inside, files, media), lambda inside: _prepare(inside, files, media)
    )
    files.check()
    files.inline_sheets(page.document)
    apply_variables(page.document, page.path, variables, mounting.table)
    scripts.settle(page.document)
    modules.complete_maps(files, page.document, page.path)
    loads.add_mentioned(files, markup.serialise(page.document))
    faces = fonts.embed(page.document, files, is_substitute_accepted=substitute_fonts)
    faces += frames.finish(inner, files, is_substitute_accepted=substitute_fonts)
    refuse.check_moving(moving.mark(page.document, files.files))
    scripts.hold(page.document, files.scripts)
    scripts.inline(page.document, files.scripts)
    videos.name_sources(page.document)
    sound.assign_render_ids(page.document)
    sound.hide_groups(page.document)
    entry.finish(page.document)
    duration_s = facts.duration_s or _measured(page, facts, files, media, measure)
    audio = sound.tracks(page.document, duration_s, media, _heard(page, facts, files, media, listen, duration_s))
    slots = videos.slots(page.document, duration_s, media)
    unneeded = videos.unneeded(page.document, files, slots)
    has_webgl = speech.draws_with_gl(files.spoken)
    return model.Composition(
        name=source.name,
        document=markup.serialise(page.document),
        width=facts.width,
        height=facts.height,
        duration_s=duration_s,
        is_measured=facts.duration_s is None,
        fps=facts.fps,
        assets=tuple(asset for asset in files.all() if asset.path not in unneeded),
        has_webgl=has_webgl,
        gl_spans=canvases.spans(page.document, duration_s) if has_webgl else (),
        sequential=facts.sequential is True,
        may_keep_state=facts.sequential is None
        and speech.may_keep_state(scripts.texts([page.document, *(one.page.document for one in inner)], files.all())),
        audio=audio,
        videos=slots,
        cuts_s=cuts.find(page.document),
        findings=tuple(dict.fromkeys([*notes, *files.findings, *mounting.table.findings, *faces, *media.findings])),
    )


def _measured(
    page: project.Page, facts: root.Facts, files: assets.Assets, media: sound.Media, measure: Measure | None
) -> Fraction:
    def ask() -> Fraction:
        assert measure is not None
        known = _without_stills(page, files, media)
        return measure(markup.serialise(page.document), known, facts.width, facts.height)

    return root.state_duration(page.document, page.path, ask if measure is not None else None)


def _heard(
    page: project.Page,
    facts: root.Facts,
    files: assets.Assets,
    media: sound.Media,
    listen: Listen | None,
    duration_s: Fraction,
) -> sound.Heard:
    is_asked = any(sound.sounding(page.document)) and speech.sets_volume(scripts.texts([page.document], files.all()))
    if listen is None or not is_asked:
        return {}
    known = _without_stills(page, files, media)
    try:
        return listen(markup.serialise(page.document), known, facts.width, facts.height, duration_s)
    except errors.CompositionError as error:
        said = f"what scripts do to the volume is not known, and not followed: {error}"
        media.warn("volume-unheard", said, error.remedy, page.path)
        return {}


def _without_stills(page: project.Page, files: assets.Assets, media: sound.Media) -> tuple[model.Asset, ...]:
    """The files for a page of which no frame is made: it is told of its videos, and that they are blank."""
    table = files.library.store(videos.blank_table(videos.slots(page.document, Fraction(0), media)))
    return *files.all(), model.Asset(path=stills.TABLE, file=str(table))


def _open(source: project.Project, path: str, files: assets.Assets, media: sound.Media) -> project.Page:
    page = source.page(path)
    _prepare(page, files, media)
    return page


def _prepare(page: project.Page, files: assets.Assets, media: sound.Media) -> None:
    scripts.remove_runtimes(page.document)
    refuse.check(page.document, page.path)
    files.findings += refuse.notes(page.document, page.path)
    files.localise(page)
    loads.localise(files, page)
    sound.stamp(page, media)
