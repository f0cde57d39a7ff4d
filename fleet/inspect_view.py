"""An inspection as text of 80 columns, and as JSON. Pure: values in, renderables and plain values out."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from rich.table import Table
from rich.text import Text

from capture import wire
from fleet import inspection
from fleet.hosts_view import clean
from fleet.inspection import Inspected, Render
from fleet.model import AudioTrack, Finding, Severity

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}
_NONE = "none"


def facts_table(inspected: Inspected) -> Table:
    """One row per fact."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for name, value in _facts(inspected):
        table.add_row(name, Text(clean(value)))
    return table


def findings_table(findings: Iterable[Finding]) -> Table:
    """One row per finding, worst first: where, what, and what to do about it."""
    order = list(Severity)
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in sorted(findings, key=lambda each: order.index(each.severity)):
        where = f"{clean(finding.where)}: " if finding.where else ""
        message = "\n".join(clean(line) for line in finding.message.splitlines())
        text = Text.assemble((where, "bold"), message, "\n", ("hint: ", "bold"), clean(finding.remedy))
        table.add_row(Text(finding.severity.value, style=_STYLES[finding.severity]), text)
    return table


def verdict(inspected: Inspected, *, strict: bool) -> str:
    """The last line: whether it can be rendered."""
    counts = Counter(finding.severity for finding in inspected.findings)
    said = ", ".join(
        f"{counts[severity]} {severity.value}{'' if counts[severity] == 1 else 's'}"
        for severity in Severity
        if counts[severity]
    )
    result = "this cannot be rendered" if inspected.stops(strict=strict) else "ready to render"
    return f"{result}: {said or 'nothing to say'}"


def plain(inspected: Inspected, *, strict: bool) -> dict[str, Any]:
    """What `inspect --json` prints."""
    return {
        "v": inspection.VERSION,
        "composition": inspected.name,
        "ok": not inspected.stops(strict=strict),
        "render": wire.to_plain(inspected.render) if inspected.render else None,
        "contents": wire.to_plain(inspected.contents),
        "costs": list(inspection.costs(inspected)),
        "findings": [wire.to_plain(finding) for finding in inspected.findings],
    }


def _facts(inspected: Inspected) -> Iterable[tuple[str, str]]:
    held, render = inspected.contents, inspected.render
    yield "composition", inspected.name
    if render is not None:
        yield from _render_facts(render)
    yield "pages", ", ".join(held.pages) or _NONE
    yield "elements", f"{held.elements}, {held.clips} of them timed"
    yield "scripts", "\n".join(held.scripts) or _NONE
    yield "adapters", ", ".join(held.adapters) or _NONE
    if render is not None:
        yield "fonts", ", ".join(render.fonts) or _NONE
        yield "sound", "; ".join(map(_track, render.audio)) or _NONE
    yield "cost", ", ".join(inspection.costs(inspected)) or "nothing unusual"


def _render_facts(render: Render) -> Iterable[tuple[str, str]]:
    source = "measured in a browser" if render.is_measured else "as its root says"
    yield "size", f"{render.width}x{render.height}"
    yield "length", f"{float(render.duration_s):g} s, {source}"
    yield "frames", f"{render.frame_count} at {render.fps} fps"
    total = sum(file.size_bytes for file in render.files)
    largest = ", ".join(f"{file.path} {size(file.size_bytes)}" for file in render.files[:3])
    noun = "file" if len(render.files) == 1 else "files"
    yield "bundle", f"{len(render.files)} {noun}, {size(total)}: {largest}{' ...' if len(render.files) > 3 else ''}"


def _track(track: AudioTrack) -> str:
    level = "" if track.gain == 1 else f" at {track.gain:.2g}"
    return f"{track.id} from {float(track.start_s):g} s for {float(track.duration_s):.4g} s{level}"


def size(size_bytes: int) -> str:
    """`640 B`, `72 KiB`, `1.3 MiB`."""
    if size_bytes < 1024:
        return f"{size_bytes} B"
    return f"{size_bytes / 1024:.0f} KiB" if size_bytes < 1 << 20 else f"{size_bytes / (1 << 20):.1f} MiB"
