"""Facts in, findings out: what is wrong with a host, or with a fleet of them, and what to do about it. Pure: no I/O.

Each check is one function of one host and stands in one table. An error means that the host cannot take part.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from capture.protocol import BrowserFacts, CaptureMode, HostFacts
from fleet.model import Finding, Host, Severity

GIB = 1 << 30
MIB = 1 << 20

PYTHON_MIN = (3, 11)  # tomllib, asyncio.timeout and exception groups of the agent
CHROMIUM_MAJOR_MIN = 120  # the oldest we have reason to believe in; nobody mends older ones
RSYNC_MIN = (3, 4, 0)  # protocol 32, upstream's mark for "the holes of January 2025 are closed"
KERNEL_MIN = (4, 18)  # the oldest that a supported distribution still ships (RHEL 8)
MEMORY_MIN_BYTES = 512 * MIB  # one Chromium with an empty 1080p page, and the agent
MEMORY_GOOD_BYTES = 2 * GIB  # two workers
DISK_MIN_BYTES = 1 * GIB  # a bundle, a browser profile and a few hundred unfetched frames
DISK_GOOD_BYTES = 5 * GIB
SHM_GOOD_BYTES = 256 * MIB  # containers default to 64 MiB; the agent then keeps Chromium out of /dev/shm
CLOCK_SKEW_MAX_S = 60.0  # certificates and the dates in logs; frames never depend on it
LATENCY_GOOD_S = 0.25
SOFTWARE_GL = "SwiftShader"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a question got no answer; `code` as in Finding."""

    code: str
    message: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What is known of one host: what it says of itself, and what was measured from here; None is not known."""

    host: Host
    facts: HostFacts | None = None
    failure: Failure | None = None  # why there are no facts
    browser: BrowserFacts | None = None
    browser_failure: Failure | None = None
    latency_s: float | None = None  # one round trip of our own protocol
    clock_skew_s: float | None = None  # its clock minus ours
    noise: str = ""  # what the login shell printed before the agent spoke
    is_encoder: bool = False  # it is to send segments


Check = Callable[[Examined, HostFacts], Finding | None]


def run(fleet: Sequence[Examined]) -> tuple[Finding, ...]:
    """All findings, host by host in the order given, those that compare hosts last; `where` is the host's name."""
    return tuple(finding for each in fleet for finding in judge(each)) + compare(fleet)


def judge(examined: Examined) -> tuple[Finding, ...]:
    """What can be said of one host by itself, worst first."""
    findings = [_failure(examined, failure) for failure in (examined.failure, examined.browser_failure) if failure]
    if examined.facts:
        findings += [found for check in HOST_CHECKS if (found := check(examined, examined.facts))]
    order = list(Severity)
    return tuple(sorted(findings, key=lambda finding: order.index(finding.severity)))


def compare(fleet: Sequence[Examined]) -> tuple[Finding, ...]:
    """What only shows when hosts are put side by side."""
    findings = [_unlike_most(fleet, *row) for row in _SHARED]
    return (*(each for found in findings for each in found), *_same_machine(fleet))


def usable(fleet: Sequence[Examined], findings: Iterable[Finding]) -> tuple[Examined, ...]:
    """The hosts that can take part: they answered, and no error is about them."""
    out = {finding.where for finding in findings if finding.severity is Severity.ERROR}
    return tuple(each for each in fleet if each.facts is not None and each.host.name not in out)


def version(text: str | None) -> tuple[int, ...]:
    """The first dotted number in `text`; empty when there is none."""
    found = re.search(r"[0-9]{1,9}(?:\.[0-9]{1,9})*", text or "")
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def _failure(examined: Examined, failure: Failure) -> Finding:
    return _finding(examined, Severity.ERROR, failure.code, failure.message, failure.remedy)


def _finding(examined: Examined, severity: Severity, code: str, message: str, remedy: str) -> Finding:
    return Finding(severity=severity, code=code, message=message, remedy=remedy, where=examined.host.name)


def _setup(examined: Examined) -> str:
    return f"fleetrender hosts setup --limit {examined.host.name}"


def python_version(it: Examined, facts: HostFacts) -> Finding | None:
    """The agent needs Python 3.11."""
    if version(facts.python) >= PYTHON_MIN:
        return None
    message = f"Python {facts.python} is too old: 3.11 or newer is needed"
    remedy = "install a newer one and name it in hosts.toml: python = /usr/bin/python3.11"
    return _finding(it, Severity.ERROR, "python-old", message, remedy)


def kernel_version(it: Examined, facts: HostFacts) -> Finding | None:
    """Older kernels are untried."""
    if version(facts.kernel) >= KERNEL_MIN:
        return None
    message = f"kernel {facts.kernel} is older than {_dotted(KERNEL_MIN)}, the oldest that is tried"
    return _finding(it, Severity.WARNING, "kernel-old", message, "upgrade the host's system")


def chromium_present(it: Examined, facts: HostFacts) -> Finding | None:
    """No browser, no frames."""
    if facts.chromium:
        return None
    if it.host.chromium:
        message, remedy = f"no Chromium at {it.host.chromium}", "correct `chromium` in hosts.toml, or remove it"
    else:
        message, remedy = "no Chromium is installed", _setup(it)
    return _finding(it, Severity.ERROR, "chromium-missing", message, remedy)


def chromium_version(it: Examined, facts: HostFacts) -> Finding | None:
    """Old browsers are untried and unpatched; one that says no version does not run."""
    found = version(facts.chromium_version)
    if not facts.chromium or (found and found[0] >= CHROMIUM_MAJOR_MIN):
        return None
    if not found:
        message = f"{facts.chromium} does not tell its version, so it probably does not run"
        remedy = f"run it there: {facts.chromium} --version"
    else:
        message = f"Chromium {_dotted(found)} is older than {CHROMIUM_MAJOR_MIN}, the oldest that is tried"
        remedy = "upgrade it there"
    return _finding(it, Severity.WARNING, "chromium-old", message, remedy)


def gl_backend(it: Examined, facts: HostFacts) -> Finding | None:  # noqa: ARG001  # one signature for all checks
    """WebGL drawn by hardware differs from host to host."""
    if it.browser is None or SOFTWARE_GL in it.browser.gl_renderer:
        return None
    renderer = it.browser.gl_renderer or "nothing"
    message = f"WebGL is drawn by {renderer} and not by {SOFTWARE_GL}: its pixels differ from other hosts"
    remedy = "remove GL flags from `chromium_args`, or render compositions without WebGL only"
    return _finding(it, Severity.WARNING, "gl-not-software", message, remedy)


def capture_mode(it: Examined, facts: HostFacts) -> Finding | None:  # noqa: ARG001  # as above
    """Screenshots work everywhere and take longer."""
    if it.browser is None or it.browser.mode is CaptureMode.BEGIN_FRAME:
        return None
    message = f"frames are taken as screenshots, the slower way: {it.browser.mode_why}"
    return _finding(it, Severity.NOTE, "mode-screenshot", message, "use chromium-headless-shell")


def rsync_present(it: Examined, facts: HostFacts) -> Finding | None:
    """Frames come back by rsync, except from this machine itself."""
    if facts.rsync or it.host.transport == "local":
        return None
    message = "no rsync is installed" if it.host.rsync == "rsync" else f"no rsync at {it.host.rsync}"
    return _finding(it, Severity.ERROR, "rsync-missing", message, _setup(it))


def ffmpeg_present(it: Examined, facts: HostFacts) -> Finding | None:
    """Hosts that send segments encode them."""
    if facts.ffmpeg or not it.is_encoder:
        return None
    remedy = "install the same FFmpeg there as here, or pass `--return frames`"
    return _finding(it, Severity.ERROR, "ffmpeg-missing", "no FFmpeg is installed, which encodes segments", remedy)


def rsync_version(it: Examined, facts: HostFacts) -> Finding | None:
    """Older versions have known holes unless the distribution mended them."""
    if not facts.rsync or it.host.transport == "local" or version(facts.rsync_version) >= RSYNC_MIN:
        return None
    message = f"rsync {facts.rsync_version or 'of unknown version'}: before 3.4.0 it has known security holes"
    remedy = "upgrade it, unless the distribution has patched it: apt-get install --only-upgrade rsync"
    return _finding(it, Severity.WARNING, "rsync-old", message, remedy)


def cores(it: Examined, facts: HostFacts) -> Finding | None:
    """Less than one core captures, slowly."""
    if facts.cores >= 1:
        return None
    message = f"only {facts.cores:.2g} of {facts.cpu_count} cores may be used (cgroup quota)"
    return _finding(it, Severity.WARNING, "cores-few", message, "raise the CPU limit of the container or service")


def memory(it: Examined, facts: HostFacts) -> Finding | None:
    """Every worker is a browser."""
    limits = (facts.memory_available_bytes, facts.memory_limit_bytes, it.host.limits.memory_bytes)
    available = min(limit for limit in limits if limit is not None)
    if available >= MEMORY_GOOD_BYTES:
        return None
    severity = Severity.ERROR if available < MEMORY_MIN_BYTES else Severity.WARNING
    message = f"{_size(available)} of memory may be used; a worker takes about {_size(MEMORY_MIN_BYTES)}"
    remedy = "stop other programs there, or raise the memory limit (container, or `limits` in hosts.toml)"
    return _finding(it, severity, "memory-low", message, remedy)


def shared_memory(it: Examined, facts: HostFacts) -> Finding | None:
    """Chromium passes pixels through /dev/shm when it is large enough."""
    if facts.shm_bytes >= SHM_GOOD_BYTES:
        return None
    message = f"shared memory (/dev/shm) has only {_size(facts.shm_bytes)}: Chromium uses slower files instead"
    remedy = "docker run --shm-size=1g, or: mount -o remount,size=1g /dev/shm"
    return _finding(it, Severity.WARNING, "shm-small", message, remedy)


def huge_pages(it: Examined, facts: HostFacts) -> Finding | None:
    """Chromium passes every frame on in fresh memory, 32 MB of it at 1080p, which comes page by page."""
    if facts.has_huge_pages is not False:
        return None
    message = "memory comes in pages of 4 KiB: capture takes less CPU with transparent huge pages"
    folder = "/sys/kernel/mm/transparent_hugepage"
    remedy = (
        f"where nothing else minds, as root: echo always >{folder}/enabled; echo within_size >{folder}/shmem_enabled"
    )
    return _finding(it, Severity.NOTE, "pages-small", message, remedy)


def disk(it: Examined, facts: HostFacts) -> Finding | None:
    """Frames wait on the host's disk until they are fetched."""
    if facts.disk_free_bytes >= DISK_GOOD_BYTES:
        return None
    severity = Severity.ERROR if facts.disk_free_bytes < DISK_MIN_BYTES else Severity.WARNING
    message = f"{_size(facts.disk_free_bytes)} free where frames are kept ({facts.workspace})"
    return _finding(it, severity, "disk-low", message, "free some, or set `workdir` in hosts.toml to a larger disk")


def fonts(it: Examined, facts: HostFacts) -> Finding | None:
    """Text needs at least one font."""
    if facts.fonts_count:
        return None
    remedy = "apt-get install fonts-liberation fonts-noto-color-emoji"
    return _finding(it, Severity.WARNING, "fonts-none", "no fonts are installed", remedy)


def root(it: Examined, facts: HostFacts) -> Finding | None:
    """Chromium refuses to sandbox root."""
    if not facts.is_root:
        return None
    message = "Chromium runs as root, where its sandbox cannot work"
    if it.host.transport == "local" or not it.host.sandbox:
        # One's own machine, often a container: whoever is root there has chosen to be.
        return _finding(it, Severity.WARNING, "root", message, "render only compositions that you trust")
    remedy = "log in as an ordinary user, or set `sandbox = false` in hosts.toml and render only what you trust"
    return _finding(it, Severity.ERROR, "root", message, remedy)


def sandbox(it: Examined, facts: HostFacts) -> Finding | None:
    """A composition is a program from somewhere; the sandbox keeps it in its page."""
    is_on = facts.can_sandbox if it.browser is None else it.browser.has_sandbox
    if is_on or facts.is_root:
        return None
    if not it.host.sandbox:
        message, remedy = "Chromium's sandbox is off, as hosts.toml says", "render only compositions that you trust"
        return _finding(it, Severity.WARNING, "sandbox-off", message, remedy)
    message = "Chromium's sandbox needs unprivileged user namespaces, which this host does not allow"
    remedy = "sysctl kernel.unprivileged_userns_clone=1, or set sandbox = false in hosts.toml for this host"
    return _finding(it, Severity.WARNING, "sandbox-impossible", message, remedy)


def clock(it: Examined, facts: HostFacts) -> Finding | None:  # noqa: ARG001  # as above
    """Nothing in a render compares clocks; certificates and people do."""
    if it.clock_skew_s is None or abs(it.clock_skew_s) <= CLOCK_SKEW_MAX_S:
        return None
    direction = "ahead of" if it.clock_skew_s > 0 else "behind"
    message = f"its clock is {abs(it.clock_skew_s):.0f} s {direction} this machine's"
    return _finding(it, Severity.WARNING, "clock-skew", message, "timedatectl set-ntp true")


def latency(it: Examined, facts: HostFacts) -> Finding | None:  # noqa: ARG001  # as above
    """A far host works; it only starts and ends chunks later."""
    if it.latency_s is None or it.latency_s <= LATENCY_GOOD_S:
        return None
    message = f"an answer takes {it.latency_s * 1000:.0f} ms"
    return _finding(it, Severity.NOTE, "latency-high", message, "a wired or nearer host would start sooner")


def shell_noise(it: Examined, facts: HostFacts) -> Finding | None:  # noqa: ARG001  # as above
    """A login shell that prints delays every start and breaks other tools."""
    if not it.noise:
        return None
    message = f"its login shell prints before any command: {it.noise[:60]!r}"
    remedy = "put this first in ~/.bashrc there: [[ $- == *i* ]] || return"
    return _finding(it, Severity.NOTE, "shell-noise", message, remedy)


HOST_CHECKS: tuple[Check, ...] = (
    python_version, kernel_version, chromium_present, chromium_version, gl_backend, capture_mode,
    rsync_present, rsync_version, ffmpeg_present,
    cores, memory, shared_memory, huge_pages, disk, fonts, root, sandbox, clock, latency, shell_noise,
)  # fmt: skip


def _browser_version(it: Examined) -> str | None:
    """The numbers alone: the browser and its command line name the product differently."""
    told = it.browser.version if it.browser else it.facts and it.facts.chromium_version
    return _dotted(version(told)) if told else None


def _gl_label(it: Examined) -> str | None:
    """SwiftShader is part of the browser build, so its own version adds nothing."""
    if it.browser is None:
        return None
    return SOFTWARE_GL if SOFTWARE_GL in it.browser.gl_renderer else it.browser.gl_renderer or "nothing"


Value = Callable[[Examined], str | None]

# What must be one for all hosts of a render, how bad it is when it is not, and what makes it so.
_SHARED: tuple[tuple[Severity, str, str, Value, str], ...] = (
    (
        Severity.ERROR, "browser-differs", "Chromium",
        _browser_version,
        "install the same build on all hosts, or leave it out: --limit '!{host}'",
    ),
    (
        Severity.ERROR, "gl-differs", "WebGL renderer",
        _gl_label,
        "remove GL flags from `chromium_args`, or leave it out: --limit '!{host}'",
    ),
    (
        Severity.ERROR, "architecture-differs", "architecture",
        lambda it: it.facts.architecture if it.facts else None,
        "render on hosts of one architecture: --limit '!{host}'",
    ),
    (
        Severity.WARNING, "fonts-differ", "fonts digest",
        lambda it: it.facts.fonts_digest[:12] if it.facts else None,
        "install the same fonts on all hosts, or let the composition bring its own with @font-face",
    ),
)  # fmt: skip


def _unlike_most(
    fleet: Sequence[Examined], severity: Severity, code: str, what: str, value: Value, remedy: str
) -> list[Finding]:
    """One finding for each host whose value is not the most common; of equally common ones the first host's counts."""
    values = [(each, found) for each in fleet if (found := value(each))]
    counts: Counter[Any] = Counter(found for _, found in values)
    if len(counts) < 2:
        return []
    ((common, count),) = counts.most_common(1)
    return [
        _finding(
            each,
            severity,
            code,
            f"{what} {found[:80]} is unlike that of {count} other {'host' if count == 1 else 'hosts'}: {common[:40]}",
            remedy.format(host=each.host.name),
        )
        for each, found in values
        if found != common
    ]


def _same_machine(fleet: Sequence[Examined]) -> list[Finding]:
    first: dict[str, str] = {}
    findings = []
    for each in fleet:
        if each.facts is None or not each.facts.machine_id:
            continue
        other = first.setdefault(each.facts.machine_id, each.host.name)
        if other != each.host.name:
            message = f"is the same machine as {other}: they share its cores and its render lock"
            findings.append(_finding(each, Severity.WARNING, "same-machine", message, "name each machine once"))
    return findings


def _size(size_bytes: int) -> str:
    if size_bytes >= GIB:
        return f"{size_bytes / GIB:.1f} GiB"
    return f"{size_bytes / MIB:.0f} MiB"


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))
