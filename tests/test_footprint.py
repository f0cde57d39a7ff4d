"""The memory of a process tree: what it has to itself, looked at once a second, compared with what it began with."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from capture import footprint
from capture.footprint import Footprint
from capture.pool import MIB

# Holds as much memory as it is told to, in a child of its own.
HOLDER = """
import subprocess, sys
if sys.argv[1:]:
    sys.exit(subprocess.run([sys.executable, "-ISc", sys.argv[1]]).returncode)
held = b""
for line in sys.stdin:
    held = b"x" * int(line)
    print(flush=True)
"""


class Holder:
    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.pid = process.pid
        self._process = process

    def hold(self, size_bytes: int) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{size_bytes}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "\n"


@contextmanager
def holder() -> Iterator[Holder]:
    argv = [sys.executable, "-ISc", HOLDER, HOLDER]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Holder(process)


def test_a_tree_that_has_grown_over_its_limit_is_told_once_a_second_at_most() -> None:
    with holder() as tree:
        tree.hold(10 * MIB)
        watched = Footprint(tree.pid, limit_bytes=60 * MIB)
        assert not watched.has_outgrown(0.0)
        tree.hold(100 * MIB)
        assert not watched.has_outgrown(footprint.LOOK_S / 2)
        assert watched.has_outgrown(footprint.LOOK_S)


def test_one_that_was_large_from_the_start_has_not_grown() -> None:
    with holder() as tree:
        tree.hold(100 * MIB)
        watched = Footprint(tree.pid, limit_bytes=60 * MIB)
        assert not watched.has_outgrown(0.0)
        tree.hold(120 * MIB)
        assert not watched.has_outgrown(footprint.LOOK_S)


def test_what_is_dear_stays_until_it_may_go() -> None:
    answers = iter([False, True])
    with holder() as tree:
        tree.hold(10 * MIB)
        watched = Footprint(tree.pid, limit_bytes=60 * MIB, may_go=lambda: next(answers))
        assert not watched.has_outgrown(0.0)
        tree.hold(100 * MIB)
        assert not watched.has_outgrown(footprint.LOOK_S)
        assert watched.has_outgrown(2 * footprint.LOOK_S)


def test_a_process_that_has_ended_holds_nothing() -> None:
    with holder() as tree:
        pid = tree.pid
    assert footprint.own_bytes(pid) == 0
