"""How much memory a worker's browser holds, and when it is time for a fresh one. Linux only.

What counts is what the processes of its tree have to themselves: reading that takes 0.2 ms for the six of a browser,
their exact shares of common pages (smaps_rollup) take 37 ms. To find the processes takes 4 ms.
"""

import os
from collections.abc import Callable
from pathlib import Path

from capture import pool, probe, tree

LOOK_S = 1.0
SEARCH_S = 10.0  # for processes that the browser has started meanwhile
# A page that needs much from its first block on is not leaking: a fresh one would need as much again.
GROWTH = 2
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Footprint:
    """The memory of the process `pid` and all below it, once the browser has drawn something."""

    def __init__(self, pid: int, *, limit_bytes: int, may_go: Callable[[], bool] = lambda: True) -> None:
        """`may_go` is asked about a browser that has outgrown its limit."""
        self._pid = pid
        self._limit_bytes = limit_bytes
        self._may_go = may_go
        self._pids: list[int] = []
        self._searched_s: float | None = None
        self._looked_s: float | None = None
        self._first_bytes: int | None = None

    def has_outgrown(self, now_s: float) -> bool:
        """Whether it is over its limit, has grown, and may go; looks once a second at most."""
        if self._looked_s is not None and now_s - self._looked_s < LOOK_S:
            return False
        self._looked_s = now_s
        size_bytes = self._size_bytes(now_s)
        if self._first_bytes is None:
            self._first_bytes = size_bytes
        return size_bytes > max(self._limit_bytes, GROWTH * self._first_bytes) and self._may_go()

    def _size_bytes(self, now_s: float) -> int:
        if self._searched_s is None or now_s - self._searched_s >= SEARCH_S:
            self._searched_s = now_s
            self._pids = [self._pid, *tree.descendants(self._pid)]
        return sum(map(own_bytes, self._pids))


def memory_is_short() -> bool:
    """Whether this host has too little for the workers that run on it."""
    return pool.Memory(probe.memory_available(), pressure=probe.memory_pressure()).is_short


def own_bytes(pid: int) -> int:
    """The resident bytes that no file backs and nobody shares; 0 for a process that has ended."""
    try:
        _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text().split()
    except (OSError, ValueError):
        return 0
    return max(0, int(resident) - int(shared)) * _PAGE_BYTES
