"""SSH hosts of this machine with parts of a core, for the scripts that measure fleets. Control groups of version 1."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from sshd import Sshd

PERIOD_US = 100_000
# Other work on this machine must not take what a quota allows.
SHARES = 200_000


@contextlib.contextmanager
def to(server: Sshd, cores: float) -> Iterator[None]:
    """The server, and all that it starts, with so much CPU."""
    group = Path("/sys/fs/cgroup/cpu", f"frt-{server.user}")
    group.mkdir()
    try:
        (group / "cpu.shares").write_text(str(SHARES))
        (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
        (group / "cpu.cfs_quota_us").write_text(str(round(PERIOD_US * cores)))
        assert server.process is not None
        (group / "cgroup.procs").write_text(str(server.process.pid))
        yield
    finally:
        for pid in (group / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                (group.parent / "cgroup.procs").write_text(pid)
        group.rmdir()
