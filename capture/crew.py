"""The worker processes of an agent: started, spoken to, killed. Decides nothing.

What they say and that they ended is reported from their threads, in the order in which it happened.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import capture
from capture import protocol, tree
from capture.protocol import LINE_LIMIT_BYTES, Block, FromWorker, Open, ProtocolError, RenderSpec, Setup, ToWorker

# The kernel then picks a browser before it picks us, and us only after everything else.
OOM_SCORE = 500
_EXIT_GRACE_S = 1.0  # between a worker's last line and its exit status, in either order
_STDERR_LINES = 20
_STDERR_LINE_CHARS = 500
# A worker's whole environment beside what describes the user: frames must not depend on a host's locale or zone.
_FIXED = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


@dataclass(frozen=True, slots=True)
class Said:
    """A worker's message."""

    worker: int
    message: FromWorker


@dataclass(frozen=True, slots=True)
class Gone:
    """A worker has ended: how, and the tail of its standard error."""

    worker: int
    pid: int
    how: str
    last_words: tuple[str, ...]


@dataclass(slots=True)
class _Member:
    process: subprocess.Popen[bytes]
    spec: RenderSpec
    is_open: bool
    is_ready: bool = False


def command(*words: str) -> list[str]:
    """How this very code is started again, from a zip application as from a checkout."""
    return [sys.executable, "-ISE", str(Path(capture.__file__).parent), *words]


class Crew:
    """Workers by number. All methods are for the agent's main thread."""

    def __init__(
        self,
        report: Callable[[Said | Gone], None],
        *,
        environment: Mapping[str, str],
        nice: int,
        argv: Sequence[str],
    ) -> None:
        """`argv` starts a worker; `environment` is added to ours."""
        self._report = report
        self._environment = _environment(environment)
        self._nice = nice
        self._argv = argv
        self._members: dict[int, _Member] = {}
        self._pids: set[int] = set()  # started and not yet reaped

    def hire(self, number: int, setup: Setup) -> None:
        """Starts a worker and tells it what it will capture."""
        process = self.start(self._argv)
        self._members[number] = _Member(process, setup.spec, setup.is_open)
        _Listener(number, process, Path(setup.profile_directory), self._report).start()
        self._send(number, setup)

    def start(self, argv: Sequence[str]) -> "subprocess.Popen[bytes]":
        """Starts a process that counts as ours until `ended`: niced, first in line for the OOM killer."""
        process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self._environment
        )
        self._pids.add(process.pid)
        with contextlib.suppress(OSError):  # it ended already
            Path(f"/proc/{process.pid}/oom_score_adj").write_text(str(OOM_SCORE))
            os.setpriority(os.PRIO_PROCESS, process.pid, min(19, max(0, self._nice)))
        return process

    def give(self, number: int, block: Block) -> None:
        """Sends a block."""
        self._send(number, block)

    def dismiss(self, number: int) -> None:
        """Kills a worker and its browser; there is nothing in them worth waiting for."""
        member = self._members.pop(number, None)
        if member is not None and member.process.poll() is None:
            tree.kill(member.process.pid)

    def ended(self, number: int | None, pid: int) -> None:
        """A process of ours has been reaped; kills what it left running."""
        self._members.pop(-1 if number is None else number, None)
        self._pids.discard(pid)
        tree.kill_adopted(self._pids)

    def mark_ready(self, number: int) -> None:
        """The worker has loaded its page."""
        if member := self._members.get(number):
            member.is_ready = True

    def warm(self, spec: RenderSpec) -> dict[int, bool]:
        """Workers that run for `spec`, and whether they are ready; all others are dismissed."""
        for number in [number for number, member in self._members.items() if member.spec != spec]:
            self.dismiss(number)
        return {number: member.is_ready for number, member in self._members.items()}

    def open(self) -> None:
        """Has every worker load its page that was started before the composition was here."""
        for number, member in self._members.items():
            if not member.is_open:
                member.is_open = True
                self._send(number, Open())

    def _send(self, number: int, message: ToWorker) -> None:
        if member := self._members.get(number):
            with contextlib.suppress(BrokenPipeError):  # it has ended; Gone is on its way
                stdin = cast("IO[bytes]", member.process.stdin)
                stdin.write(protocol.encode(message))
                stdin.flush()


def how_ended(code: int) -> str:
    """An exit status in words."""
    return f"signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"exit status {code}"


class _Listener:
    """Passes on what one worker says, and that it ended.

    The end is the process's, not that of its output: an orphan that inherited the pipe would hide it.
    """

    def __init__(
        self, number: int, process: "subprocess.Popen[bytes]", profile: Path, report: Callable[[Said | Gone], None]
    ) -> None:
        self._number = number
        self._process = process
        self._profile = profile
        self._report = report
        self._words: deque[str] = deque(maxlen=_STDERR_LINES)
        self._pipes = [threading.Thread(target=read, daemon=True) for read in (self._listen, self._keep_tail)]

    def start(self) -> None:
        """Starts its threads, which end with the worker."""
        for thread in (*self._pipes, threading.Thread(target=self._await_end, daemon=True)):
            thread.start()

    def _listen(self) -> None:
        try:
            for message in _messages(cast("IO[bytes]", self._process.stdout)):
                self._report(Said(self._number, message))
        except ProtocolError as error:
            self._words.append(f"said what is no message: {error}")
        try:
            self._process.wait(_EXIT_GRACE_S)
        except subprocess.TimeoutExpired:
            tree.kill(self._process.pid)  # a worker without a voice is as good as dead

    def _keep_tail(self) -> None:
        while line := cast("IO[bytes]", self._process.stderr).readline(_STDERR_LINE_CHARS):
            self._words.append(line.decode(errors="replace").rstrip())

    def _await_end(self) -> None:
        code = self._process.wait()
        for thread in self._pipes:
            thread.join(_EXIT_GRACE_S)
        shutil.rmtree(self._profile, ignore_errors=True)
        self._report(Gone(self._number, self._process.pid, how_ended(code), tuple(self._words)))


def _messages(stdout: IO[bytes]) -> Iterator[FromWorker]:
    while line := stdout.readline(LINE_LIMIT_BYTES + 1):
        message = protocol.decode(line)
        if not isinstance(message, FromWorker):
            raise ProtocolError(f"not for an agent: {line[:80]!r}")
        yield message


def _environment(added: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "LANGUAGE" and not name.startswith("LC_")}
    return {**kept, **_FIXED, **added}
