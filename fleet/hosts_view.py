"""Hosts and findings as tables of 80 columns, and as JSON. Pure: values in, renderables and plain values out.

Nothing that a host said reaches the terminal before its control characters are gone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from rich.table import Table
from rich.text import Text

from capture import protocol, wire
from fleet import checks
from fleet.checks import Examined
from fleet.doctor import Coordinator
from fleet.model import Finding, Host, Severity

VERSION = 1
UNKNOWN = "-"

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}
_STATES = {Severity.ERROR: "FAIL", Severity.WARNING: "warn", Severity.NOTE: "ok"}
_GIB = 1 << 30
# What the other columns of 80 leave to a host's name, and to the name and the path of its browser together.
_HOST_WIDTH = 14
_NAME_AND_PATH_WIDTH = 35
# A host whose key was refused, or who was never asked, has shown no key that we trust.
_BEFORE_KEY = ("unreachable", "silent", "configuration", "failed")


def clean(text: str) -> str:
    """`text` on one line and without anything that commands a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def hosts_table(hosts: Iterable[Host]) -> Table:
    """One row per host: where it is, how it is reached, what it is called, and the limits that matter most."""
    table = _table("host", "login", "groups, tags", "workers", "memory")
    for host in hosts:
        workers = str(host.limits.workers or "auto")
        memory = _short(host.limits.memory_bytes) if host.limits.memory_bytes else UNKNOWN
        table.add_row(host.name, login(host), ", ".join((*host.groups, *host.tags)) or UNKNOWN, workers, memory)
    return table


def login(host: Host) -> str:
    """user@address:port, and through whom."""
    if host.transport == "local":
        return "this machine"
    user = f"{host.user}@" if host.user else ""
    address = f"[{host.address}]" if ":" in host.address else host.address
    port = "" if host.port == 22 else f":{host.port}"
    return f"{user}{address}{port}" + (f" via {host.jump.name}" if host.jump else "")


def machines_table(fleet: Iterable[Examined], findings: Sequence[Finding]) -> Table:
    """One row per host: whether it can take part, and what kind of machine it is."""
    table = _table("host", "state", "key", "answer", "python", "rsync", "cores", "memory", "shm", "disk", "clock")
    for each in fleet:
        state = worst(finding for finding in findings if finding.where == each.host.name)
        shown = Text(_STATES[state] if state else "ok", style=_STYLES[state] if state else "green")
        table.add_row(Text(each.host.name), shown, _key(each), *_machine(each))
    return table


def browsers_table(fleet: Iterable[Examined]) -> Table:
    """One row per host that has a browser: which, where, and what it can do."""
    fleet = tuple(fleet)
    names_width = max((min(len(each.host.name), _HOST_WIDTH) for each in fleet), default=0)
    table = _table("host", "chromium", "frames by", "WebGL by", "fonts", "browser")
    for each in fleet:
        if each.facts is None or each.facts.chromium is None:
            continue
        version = ".".join(map(str, checks.version(each.facts.chromium_version))) or UNKNOWN
        mode = each.browser.mode.value.replace("_", "-") if each.browser else UNKNOWN
        cells = (
            version,
            mode,
            _gl(each),
            each.facts.fonts_digest[:4],
            _end(each.facts.chromium, _NAME_AND_PATH_WIDTH - max(names_width, len("host"))),
        )
        table.add_row(Text(each.host.name), *(Text(clean(cell)) for cell in cells))
    return table


def tools_table(found: Coordinator) -> Table:
    """The coordinator's own tools, one per row."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for name, tool in (
        ("ffmpeg", found.ffmpeg),
        ("ffprobe", found.ffprobe),
        ("rsync", found.rsync),
        ("npm", found.npm),
    ):
        version = ".".join(map(str, checks.version(tool.said))) if tool else ""
        table.add_row(name, Text(version or UNKNOWN), Text(clean(tool.path) if tool else "not found"))
    table.add_row("python", found.python, "")
    table.add_row("encoders", "", ", ".join(found.encoders) or "none that we need")
    table.add_row("runs", "", Text(clean(found.state_directory)))
    return table


def findings_table(findings: Iterable[Finding]) -> Table:
    """One row per finding, worst first, with what to do about it; hosts that share one share its row."""
    order = list(Severity)
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(max_width=_HOST_WIDTH, overflow="fold")
    table.add_column(overflow="fold")
    for finding in sorted(_shared(findings), key=lambda each: order.index(each.severity)):
        text = Text.assemble(clean(finding.message), "\n", ("hint: ", "bold"), clean(finding.remedy))
        table.add_row(Text(finding.severity.value, style=_STYLES[finding.severity]), Text(finding.where), text)
    return table


def _shared(findings: Iterable[Finding]) -> list[Finding]:
    """Findings that differ in their host only, as one."""
    limit = "--limit {}"
    groups: dict[Finding, list[str]] = {}
    for finding in findings:
        remedy = finding.remedy.replace(limit.format(finding.where), limit)
        groups.setdefault(replace(finding, where="", remedy=remedy), []).append(finding.where)
    return [
        replace(finding, where=", ".join(names), remedy=finding.remedy.replace(limit, limit.format(",".join(names))))
        for finding, names in groups.items()
    ]


def worst(findings: Iterable[Finding]) -> Severity | None:
    """The gravest severity among `findings`."""
    order = list(Severity)
    return min((finding.severity for finding in findings), key=order.index, default=None)


def hosts_plain(hosts: Iterable[Host]) -> dict[str, Any]:
    """What `hosts list --json` prints."""
    return {"v": VERSION, "hosts": [wire.to_plain(host) for host in hosts]}


def fleet_plain(fleet: Sequence[Examined], findings: Sequence[Finding]) -> dict[str, Any]:
    """What `hosts check --json` prints."""
    usable = {each.host.name for each in checks.usable(fleet, findings)}
    return {
        "v": VERSION,
        "usable": len(usable),
        "hosts": [
            {
                "name": each.host.name,
                "login": login(each.host),
                "usable": each.host.name in usable,
                "facts": wire.to_plain(each.facts),
                "browser": wire.to_plain(each.browser),
                "latency_s": each.latency_s,
                "clock_skew_s": each.clock_skew_s,
                "findings": [wire.to_plain(finding) for finding in findings if finding.where == each.host.name],
            }
            for each in fleet
        ],
    }


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for heading in headings:
        # Numbers and versions stay whole; names and logins give way when the line is full.
        is_elastic = heading in ("login", "groups, tags")
        width = _HOST_WIDTH if heading == "host" else None
        table.add_column(
            heading, no_wrap=not is_elastic, overflow="fold" if is_elastic else "ellipsis", max_width=width
        )
    return table


def _key(each: Examined) -> str:
    if each.host.transport == "local":
        return UNKNOWN
    code = each.failure.code if each.failure else ""
    if code == "host-key":
        return "no"
    return "?" if code in _BEFORE_KEY else "ok"


def _machine(each: Examined) -> tuple[Text, ...]:
    facts = each.facts
    if facts is None:
        return (Text(UNKNOWN),) * 8
    cells = (
        UNKNOWN if each.latency_s is None else _milliseconds(each.latency_s),
        facts.python,
        facts.rsync_version or UNKNOWN,
        f"{facts.cores:.3g}" if facts.cores == facts.cpu_count else f"{facts.cores:.3g}/{facts.cpu_count}",
        _short(min(facts.memory_available_bytes, facts.memory_limit_bytes or facts.memory_available_bytes)),
        _short(facts.shm_bytes),
        _short(facts.disk_free_bytes),
        UNKNOWN if each.clock_skew_s is None else f"{each.clock_skew_s:+.0f}s",
    )
    return tuple(Text(clean(cell)) for cell in cells)


def _gl(each: Examined) -> str:
    if each.browser is None:
        return UNKNOWN
    renderer = each.browser.gl_renderer
    if checks.SOFTWARE_GL in renderer:
        return checks.SOFTWARE_GL
    return renderer.removeprefix("ANGLE (")[: len(checks.SOFTWARE_GL)] or UNKNOWN


def _end(path: str, width: int) -> str:
    """The end of a long path, which tells more than its beginning."""
    return path if len(path) <= width else "…" + path[1 - width :]


def cleaned(found: protocol.Cleaned, *, is_trial: bool) -> str:
    """What went, or would go, from one host."""
    counts = (("run", found.runs), ("bundle", found.bundles), ("file", found.blobs), ("agent", found.agents))
    what = ", ".join(f"{count} {word}{'' if count == 1 else 's'}" for word, count in counts if count)
    verb = "would free" if is_trial else "freed"
    return f"{what}, {verb} {_short(found.size_bytes)}" if what else "nothing to clean"


def _milliseconds(seconds: float) -> str:
    milliseconds = seconds * 1000
    return f"{milliseconds:.1f}ms" if milliseconds < 10 else f"{milliseconds:.0f}ms"


def _short(size_bytes: int) -> str:
    if size_bytes >= 10 * _GIB:
        return f"{size_bytes / _GIB:.0f}G"
    return f"{size_bytes / _GIB:.2g}G" if size_bytes >= _GIB else f"{size_bytes / (1 << 20):.0f}M"
