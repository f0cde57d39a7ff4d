"""What a render of a composition would be, and what is wrong with it, without rendering. One value for all readers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from capture.protocol import PAGE_LIMIT_S
from fleet import agentzip, bundle, composition, findings, measure, model, rundir, sentences
from fleet import plan as planning
from fleet.composition import contents, lint, project
from fleet.errors import CompositionError
from fleet.model import Finding, Severity

VERSION = 1
# A page of this many elements lays out in tens of milliseconds, for every frame.
MANY_ELEMENTS = 3000


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The composition, and all that decides how it is compiled."""

    composition: Path
    variables: Mapping[str, Any] = field(default_factory=dict)
    placeholders: Mapping[str, str] = field(default_factory=dict)
    fps: Fraction | None = None
    substitute_fonts: bool = False
    page_limit_s: float = PAGE_LIMIT_S


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file of the bundle."""

    path: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Render:
    """What would be rendered."""

    width: int
    height: int
    fps: Fraction
    frame_count: int
    duration_s: Fraction
    is_measured: bool
    has_webgl: bool
    files: tuple[File, ...]  # largest first
    fonts: tuple[str, ...]
    audio: tuple[model.AudioTrack, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """`render` is None when the composition cannot be compiled; then a finding says why."""

    name: str
    contents: contents.Contents
    render: Render | None
    findings: tuple[Finding, ...]

    def stops(self, *, strict: bool) -> bool:
        """Whether a render would be refused."""
        stopping = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
        return any(finding.severity in stopping for finding in self.findings)


def inspect(asked: Asked) -> Inspected:
    """Compiles and plans; ConfigError when there is no such composition, every other fault is a finding."""
    source = project.locate(asked.composition, asked.placeholders)
    pages = lint.pages(source)
    render, found = _compiled(asked, source)
    return Inspected(name=source.name, contents=contents.look(pages), render=render, findings=found)


def _compiled(asked: Asked, source: project.Project) -> tuple[Render | None, tuple[Finding, ...]]:
    cache = rundir.cache_root()
    try:
        compiled = composition.read(
            asked.composition,
            variables=asked.variables,
            placeholders=asked.placeholders,
            cache=cache,
            substitute_fonts=asked.substitute_fonts,
            measure=measure.Ruler(agentzip.build(cache / "agents"), page_limit_s=asked.page_limit_s),
        )
        bundled = bundle.build(compiled, cache / "bundles")
        plan = planning.make(compiled, bundled.digest, "", fps=asked.fps)
    except CompositionError as error:
        notes = [finding for finding in lint.run(source) if finding.severity is not Severity.ERROR]
        return None, (*findings.of_error(error), *notes)
    return _render(compiled, bundled, plan), compiled.findings


def _render(compiled: model.Composition, bundled: model.Bundle, plan: model.Plan) -> Render:
    files = [File(path=blob.path, size_bytes=blob.size_bytes) for blob in bundled.blobs if blob.path]
    return Render(
        width=plan.width,
        height=plan.height,
        fps=plan.fps,
        frame_count=plan.frame_count,
        duration_s=plan.duration_s,
        is_measured=compiled.is_measured,
        has_webgl=compiled.has_webgl,
        files=tuple(sorted(files, key=lambda file: (-file.size_bytes, file.path))),
        fonts=contents.fonts(compiled.document),
        audio=compiled.audio,
    )


def costs(inspected: Inspected) -> tuple[str, ...]:
    """What makes frames slow, dearest first; empty when nothing does."""
    held, render = inspected.contents, inspected.render
    hints = [
        (render is not None and render.has_webgl, "WebGL, drawn by the CPU on every host"),
        (held.filters > 0, sentences.plural(held.filters, "CSS filter")),
        (held.blends > 0, sentences.plural(held.blends, "blend mode")),
        (held.canvases > 0, sentences.plural(held.canvases, "canvas element")),
        (held.elements >= MANY_ELEMENTS, f"{held.elements} elements"),
    ]
    return tuple(text for holds, text in hints if holds)
