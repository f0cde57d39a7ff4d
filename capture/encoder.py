"""Makes one segment of the stills of this host, with the arguments that the coordinator gave; builds none of its own.

A process of its own does it, so that the agent stays quick to answer and FFmpeg ends with it.
"""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from capture import crew, ivf, tree, wire
from capture.protocol import SEGMENT_LIMIT_BYTES, SEGMENT_OUTPUT, Encode, FrameRange, ImageFormat, RenderSpec

# Generous: a 4K frame on one shared core takes about 1 s. Only a hang comes here.
START_LIMIT_S = 60.0
FRAME_LIMIT_S = 10.0
_WORDS_BYTES = 2000
_BUILD_CHARS = 8000
_EXTRA_PATH = ("/usr/local/bin", "/usr/bin", "/bin", "/opt/homebrew/bin")


class EncodeError(Exception):
    """The segment cannot be made here; the message says why."""


@dataclass(frozen=True, slots=True)
class Still:
    """One frame's file, and what must be in it."""

    file: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What the process is told: a still for each frame, in order."""

    argv: tuple[str, ...]
    image: ImageFormat
    width: int
    height: int
    fps: Fraction
    stills: tuple[Still, ...]
    output: str
    is_named: bool = False  # whether to say which FFmpeg it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What became of it; `why` not, when it is not empty."""

    size_bytes: int = 0
    sha256: str = ""
    build: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """The process `pid` has ended, and been reaped; `wish` is None for a rehearsal."""

    wish: Encode | None
    frames: FrameRange
    made: Made
    pid: int


def find() -> str | None:
    """Path of FFmpeg; shells of non-interactive logins leave folders out of PATH on some systems."""
    return shutil.which("ffmpeg") or shutil.which("ffmpeg", path=os.pathsep.join(_EXTRA_PATH))


def task(argv: tuple[str, ...], spec: RenderSpec, stills: Sequence[Still], output: Path, *, is_named: bool) -> Task:
    """The task to make a segment of a render's `stills`."""
    return Task(
        argv=argv,
        image=spec.image,
        width=spec.image_width,
        height=spec.image_height,
        fps=spec.fps,
        stills=tuple(stills),
        output=str(output),
        is_named=is_named,
    )


class Encoders:
    """Starts the processes, and reports the end of each from a thread of its own."""

    def __init__(
        self, start: "Callable[[Sequence[str]], subprocess.Popen[bytes]]", report: Callable[[Ended], None]
    ) -> None:
        self._start = start
        self._report = report

    def begin(self, asked: Task, wish: Encode | None, frames: FrameRange) -> None:
        """Begins; the end is reported in any case. OSError when no process can be started."""
        process = self._start(crew.command("encode"))
        wait = threading.Thread(target=self._wait, args=(process, asked, wish, frames), daemon=True)
        wait.start()

    def _wait(self, process: "subprocess.Popen[bytes]", asked: Task, wish: Encode | None, frames: FrameRange) -> None:
        limit_s = START_LIMIT_S + FRAME_LIMIT_S * len(frames)
        words = b""
        try:
            said, words = process.communicate(json.dumps(wire.to_plain(asked)).encode(), timeout=limit_s)
            made = wire.from_plain(Made, json.loads(said))
        except subprocess.TimeoutExpired:
            tree.kill(process.pid)
            process.communicate()
            made = Made(why=f"FFmpeg took more than {limit_s:.0f} s")
        except ValueError:
            tail = words[-_WORDS_BYTES:].decode(errors="replace")
            made = Made(why=f"the encoder ended with {crew.how_ended(process.returncode)}: {tail}")
        self._report(Ended(wish, frames, made, process.pid))


def main() -> int:
    """The process: a task on standard input, what became of it on standard output."""
    asked = wire.from_plain(Task, json.loads(sys.stdin.buffer.read()))
    try:
        made = make(asked)
    except (EncodeError, OSError) as error:
        made = Made(why=str(error))
    sys.stdout.write(json.dumps(wire.to_plain(made)))
    return 0


def make(asked: Task) -> Made:
    """Makes the segment, which appears under its name whole or not at all; EncodeError or OSError when it cannot."""
    program = find()
    if program is None:
        raise EncodeError("there is no ffmpeg on this host")
    output = Path(asked.output)
    part = output.with_name(f"{output.name}.part")
    argv = [program, *(f"file:{part}" if word == f"file:{SEGMENT_OUTPUT}" else word for word in asked.argv)]
    try:
        _encode(argv, asked)
        size_bytes = part.stat().st_size
        if size_bytes > SEGMENT_LIMIT_BYTES:
            raise EncodeError(f"a segment of {size_bytes} bytes is too large to be sent")
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)
    return Made(size_bytes=size_bytes, sha256=digest, build=_build(program) if asked.is_named else ())


def _encode(argv: list[str], asked: Task) -> None:
    with tempfile.TemporaryFile() as words:
        # What it says on its way is not read, and must not fill a pipe.
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=words) as process:
            assert process.stdin is not None
            try:
                with contextlib.suppress(BrokenPipeError):  # its exit code says why
                    for piece in feed(asked):
                        process.stdin.write(piece)
                    process.stdin.close()
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            words.seek(0)
            raise EncodeError(f"ffmpeg ended with {crew.how_ended(process.returncode)}: {_tail(words.read())}")


def feed(asked: Task) -> Iterator[bytes]:
    """What FFmpeg reads: each still once, however often it is repeated, and the last one again."""
    yield ivf.header(asked.image, asked.width, asked.height, asked.fps)
    shown = ""
    for place, still in enumerate(asked.stills):
        if still.sha256 == shown and place < len(asked.stills) - 1:
            continue
        data = Path(still.file).read_bytes()
        if hashlib.sha256(data).hexdigest() != still.sha256:
            raise EncodeError(f"{Path(still.file).name} is not what was announced")
        shown = still.sha256
        yield ivf.packet(place, data)


def _build(program: str) -> tuple[str, ...]:
    said = subprocess.run([program, "-version"], capture_output=True, timeout=START_LIMIT_S, check=False).stdout
    return tuple(said.decode(errors="replace")[:_BUILD_CHARS].splitlines())


def _tail(words: bytes) -> str:
    return words[-_WORDS_BYTES:].decode(errors="replace").strip()
