"""A coordinator small enough to read: starts a real agent process and speaks to it over its pipes."""

import dataclasses
import hashlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

from capture import protocol, tree
from capture.protocol import (
    Capture,
    Captured,
    CaptureMode,
    FrameFile,
    FrameRange,
    Hello,
    ImageFormat,
    Limits,
    Message,
    RenderSpec,
)

T = TypeVar("T", bound=Message)

REPOSITORY = Path(__file__).parent.parent
WORKER = Path(__file__).with_name("agent_worker.py")
TIMEOUT_S = 30.0

SPEC = RenderSpec(
    bundle="",
    width=64,
    height=48,
    fps=Fraction(30),
    frame_count=1000,
    duration_s=Fraction(100, 3),
    image=ImageFormat.JPEG,
    jpeg_quality=80,
    mode=CaptureMode.SCREENSHOT,
)


class Coordinator:
    """The other end of an agent's pipes. Every wait fails the test after `TIMEOUT_S`."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        self.heard: list[Message] = []
        self._lines: queue.Queue[bytes] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def say(self, *messages: Message) -> None:
        self.say_bytes(b"".join(map(protocol.encode, messages)))

    def say_bytes(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def hear(self, kind: type[T] | tuple[type[T], ...], timeout_s: float = TIMEOUT_S) -> T:
        """The next message of `kind`; everything before it is kept in `heard`."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {kind} within {timeout_s} s; heard {self.heard[-5:]}") from None
            assert line, f"the agent ended before {kind}; heard {self.heard[-5:]}"
            message = protocol.decode(line)
            self.heard.append(message)
            if isinstance(message, kind):
                return message

    def ask(self, message: Message, kind: type[T]) -> T:
        self.say(message)
        return self.hear(kind)

    def hang_up(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def wait(self, timeout_s: float = TIMEOUT_S) -> int:
        return self.process.wait(timeout_s)

    def captured(self) -> dict[int, FrameFile]:
        """Every frame that was announced so far."""
        return {frame.index: frame for told in self.heard if isinstance(told, Captured) for frame in told.frames}

    def of(self, kind: type[T]) -> list[T]:
        return [message for message in self.heard if isinstance(message, kind)]

    def end(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            tree.kill(self.process.pid)
            self.process.wait(5)
        self._reader.join(5)
        self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(b"")


@contextmanager
def agent(
    root: Path, script: dict[str, Any] | None = None, *, program: Sequence[str] = ("-m", "capture"), prelude: str = ""
) -> Iterator[Coordinator]:
    """An agent with its workspace below `root`; `script` replaces its workers by scripted ones without a browser.

    `prelude` is run before that one, and may change what the host says of itself.
    """
    if script is None:
        argv = [sys.executable, *program, "agent", "--workspace", str(root)]
    else:
        code = (
            f"import sys, pathlib, capture.agent\n{prelude}\ncapture.agent.run(pathlib.Path(sys.argv[1]), sys.argv[2:])"
        )
        worker = [sys.executable, "-ISE", str(WORKER), str(REPOSITORY), json.dumps(script)]
        argv = [sys.executable, "-c", code, str(root), *worker]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=REPOSITORY)
    coordinator = Coordinator(process)
    try:
        yield coordinator
    finally:
        coordinator.end()


def hello(**changes: Any) -> Hello:
    values: dict[str, Any] = {"version": protocol.VERSION, "run": "r1", "lease_s": 60.0, "limits": Limits()}
    return Hello(**(values | changes))


def open_workspace(coordinator: Coordinator, **changes: Any) -> Path:
    """Hello and lock; returns the workspace."""
    facts = coordinator.ask(hello(**changes), protocol.Facts)
    coordinator.ask(protocol.Acquire(), protocol.Granted)
    return Path(facts.facts.workspace)


def push(workspace: Path, data: bytes) -> str:
    """Puts a blob where a push would; returns its digest."""
    digest = hashlib.sha256(data).hexdigest()
    (workspace / "incoming" / digest).write_bytes(data)
    return digest


def manifest(files: dict[str, bytes]) -> bytes:
    entries = [
        {"path": path, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        for path, data in sorted(files.items())
    ]
    return json.dumps({"files": entries}, separators=(",", ":"), sort_keys=True).encode()


def push_bundle(coordinator: Coordinator, workspace: Path, files: dict[str, bytes]) -> str:
    """Pushes all blobs of a bundle and has it prepared; returns its digest."""
    for data in files.values():
        push(workspace, data)
    digest = push(workspace, manifest(files))
    coordinator.ask(protocol.Prepare(digest), protocol.Prepared)
    return digest


def order(bundle: str, start: int = 50, stop: int = 80, *, chunk: str = "c1", **changes: Any) -> Capture:
    frames = FrameRange(start, stop)
    values: dict[str, Any] = {"chunk": chunk, "attempt": 1, "frames": frames, "todo": (frames,)}
    return Capture(spec=dataclasses.replace(SPEC, bundle=bundle), **(values | changes))


def digests(directory: Path) -> dict[str, str]:
    """sha256 of every frame file by its name."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(directory.glob("frame_*"))}


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


def eventually(check: Callable[[], bool], what: str, timeout_s: float = 5.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not check():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.02)


def processes_of(workspace: Path) -> set[int]:
    """Everything that an agent of `workspace` ever started and that still lives."""
    mark = f"{tree.WORKSPACE_VARIABLE}={workspace}".encode()
    found = set()
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in environment.read_bytes().split(b"\0"):
                found.add(int(environment.parent.name))
        except OSError:
            continue
    return {pid for pid in found if is_alive(pid)}


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    os.kill(pid, number)
