"""Runs a command and says what it took with all that it started: wall, CPU seconds, peak memory.

The CPU time is that of every process that ended below a small parent which adopts orphans; Linux only.
"""

import ctypes
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
SAMPLE_S = 0.5  # a look at the memory of twenty processes costs about 10 ms
STOP_WAIT_S = 10.0


@dataclass(frozen=True)
class Cost:
    """`pss_mib` is the largest sum seen, every half second; `said` is the command's own output."""

    status: int
    wall_s: float
    cpu_s: float
    pss_mib: float
    said: str


def run(command: Sequence[str], environment: dict[str, str], *, timeout_s: float) -> Cost:
    """Runs `command` to its end, or kills it and all below it after `timeout_s`."""
    with tempfile.TemporaryDirectory() as directory:
        told, said = Path(directory, "told"), Path(directory, "said")
        with said.open("wb") as output:
            parent = subprocess.Popen(
                [sys.executable, __file__, str(told), *command],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
            peak = _Peak(parent.pid)
            peak.start()
            try:
                parent.wait(timeout_s)
            finally:
                if parent.poll() is None:
                    for pid in below(parent.pid):
                        with suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)
                    parent.wait(STOP_WAIT_S)
                peak.stop()
        status, wall_s, cpu_s = told.read_text().split()
        return Cost(int(status), float(wall_s), float(cpu_s), peak.bytes / (1 << 20), said.read_text(errors="replace"))


class _Peak(threading.Thread):
    """Looks at the memory of a process and all below it until told to stop."""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self.bytes = 0
        self._root = root
        self._is_over = threading.Event()

    def run(self) -> None:
        while not self._is_over.wait(SAMPLE_S):
            self.bytes = max(self.bytes, sum(map(pss, below(self._root))))

    def stop(self) -> None:
        self._is_over.set()
        self.join()


def below(root: int) -> list[int]:
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found, frontier = [], [root]
    while frontier := [pid for pid, parent in parents.items() if parent in frontier]:
        found += frontier
    return found


def pss(pid: int) -> int:
    with suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def main() -> None:
    """The small parent: `measured.py RESULT COMMAND...`."""
    told, command = Path(sys.argv[1]), sys.argv[2:]
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    began_s = time.monotonic()
    child = subprocess.Popen(command)
    status = child.wait()
    wall_s = time.monotonic() - began_s
    with suppress(ChildProcessError):  # until nothing is left
        while True:
            os.wait()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    told.write_text(f"{status} {wall_s} {used.ru_utime + used.ru_stime}")


if __name__ == "__main__":
    main()
