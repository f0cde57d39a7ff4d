"""What control groups allow this process: CPU quota and use, memory; versions 1 and 2, the strictest of nested ones.

How long tasks have waited for memory, too, in the groups that tell.

Every path is read below `root`, so that a test can show any host.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

# Version 1 writes "no limit" as the largest page-aligned 64-bit number; no real machine has an exbibyte.
_UNLIMITED_BYTES = 1 << 60


@dataclass(frozen=True, slots=True)
class Allowance:
    """Limits in force here; None is none. Page cache that can be dropped counts as free."""

    cpu_quota: float | None  # cores
    memory_limit_bytes: int | None
    memory_free_bytes: int | None  # below the group that has least left


@dataclass(frozen=True, slots=True)
class CpuGroup:
    """A group with a quota, in cores, and the file that says what its processes have used: unit to a millisecond."""

    quota: float
    folder: Path
    usage: Path
    per_ms: int

    def used_ms(self) -> int:
        """Core-milliseconds since the group was made."""
        text = _read(self.usage)
        used = next(map(int, _values(text, "usage_usec")), None) if " " in text else _number(text)
        return (used or 0) // self.per_ms


@dataclass(frozen=True, slots=True)
class _Mount:
    version: int
    controllers: frozenset[str]
    group: str  # the group that is mounted: "/" unless this is a container without its own cgroup namespace
    point: str


def read(root: Path = Path("/")) -> Allowance:
    """What the groups of this process allow; groups that cannot be read limit nothing."""
    quotas = [quota for folder, version in _folders(root, "cpu") if (quota := _quota(folder, version)) is not None]
    memory = [limit for folder, version in _folders(root, "memory") if (limit := _memory(folder, version)) is not None]
    return Allowance(
        cpu_quota=min(quotas, default=None),
        memory_limit_bytes=min((limit for limit, _ in memory), default=None),
        memory_free_bytes=min((free for _, free in memory), default=None),
    )


def tightest(root: Path = Path("/")) -> CpuGroup | None:
    """The group of this process with the least CPU quota, if it also counts what is used."""
    groups = []
    for folder, version in _folders(root, "cpu"):
        quota = _quota(folder, version)
        # Version 1 counts in nanoseconds, where it counts beside the quota at all.
        usage, per_ms = (folder / "cpu.stat", 1000) if version == 2 else (folder / "cpuacct.usage", 1_000_000)
        if quota is not None and usage.exists():
            groups.append(CpuGroup(quota, folder, usage, per_ms))
    return min(groups, key=lambda group: group.quota, default=None)


def memory_pressure(root: Path = Path("/")) -> float:
    """The percentage of the last ten seconds in which some task waited for memory, here or on the whole host.

    0 where the kernel does not say.
    """
    groups = [folder / "memory.pressure" for folder, version in _folders(root, "memory") if version == 2]
    return max(_stalled(_read(path)) for path in (root / "proc/pressure/memory", *groups))


def _stalled(text: str) -> float:
    found = re.search(r"^some avg10=([0-9.]+)", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def _folders(root: Path, controller: str) -> Iterator[tuple[Path, int]]:
    """Folders of the groups that this process is in, innermost first, with their version."""
    groups = _own_groups(root, controller)
    for mount in _mounts(root):
        path = groups.get(mount.version)
        if path is None or (mount.version == 1 and controller not in mount.controllers):
            continue
        base = root / mount.point.lstrip("/")
        # A group outside of what is mounted is another namespace's name for the group that is mounted.
        inside = path.removeprefix(mount.group.rstrip("/")) if path.startswith(mount.group) else ""
        folder = base / inside.lstrip("/")
        while folder != base and base in folder.parents:
            yield folder, mount.version
            folder = folder.parent
        yield base, mount.version


def _own_groups(root: Path, controller: str) -> dict[int, str]:
    """This process's group by version, out of lines such as `4:memory:/a/b` and `0::/a/b`."""
    groups = {}
    for line in _read(root / "proc/self/cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            groups[2] = path
        elif controller in controllers.split(","):
            groups[1] = path
    return groups


def _mounts(root: Path) -> Iterator[_Mount]:
    for line in _read(root / "proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        fields, (kind, *_, options) = before.split(), after.split()
        if kind in ("cgroup", "cgroup2"):
            yield _Mount(1 if kind == "cgroup" else 2, frozenset(options.split(",")), fields[3], fields[4])


def _quota(folder: Path, version: int) -> float | None:
    if version == 2:
        words = _read(folder / "cpu.max").split()
        quota, period = _number(words[0] if words else ""), _number(words[1] if len(words) > 1 else "")
    else:
        quota, period = _number(_read(folder / "cpu.cfs_quota_us")), _number(_read(folder / "cpu.cfs_period_us"))
    return quota / period if quota and period and quota > 0 else None


def _memory(folder: Path, version: int) -> tuple[int, int] | None:
    """Limit and what is left of it."""
    names = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    limit, used = (_number(_read(folder / name)) for name in names)
    if limit is None or used is None or limit >= _UNLIMITED_BYTES:
        return None
    # Frames that were written and then fetched are active pages of files, and as easily dropped as others.
    prefix = "" if version == 2 else "total_"
    keys = {f"{prefix}inactive_file", f"{prefix}active_file"}
    droppable = sum(map(int, _values(_read(folder / "memory.stat"), keys)))
    return limit, max(0, limit - used + droppable)


def _values(text: str, keys: Collection[str]) -> Iterator[str]:
    return (words[1] for line in text.splitlines() if len(words := line.split()) == 2 and words[0] in keys)


def _number(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:  # absent, or "max"
        return None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
