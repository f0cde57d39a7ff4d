"""The worker over its real protocol: blocks in, frames out, and certain death."""

import dataclasses
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import browser_support as support
import pytest

from capture import blocks, browser, footprint, frames, png, protocol, tree
from capture.faults import Fault, FaultCode, Retry
from capture.protocol import (
    Block,
    BlockDone,
    BlockFailed,
    CaptureMode,
    FrameFile,
    FrameRange,
    FrameWritten,
    ImageFormat,
    Message,
    Note,
    Ready,
    Setup,
    Stages,
)
from capture.worker import FRAMES_PER_BROWSER, needs_fresh_page

COMMAND = [sys.executable, "-c", "import sys; from capture import worker; sys.exit(worker.main())"]
ROOT = Path(__file__).parent.parent
ANSWER_TIMEOUT_S = 60.0
DEATH_TIMEOUT_S = 5.0


class Running:
    """A worker process and the lines between it and the test."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self._stdin, self._stdout = process.stdin, process.stdout
        self._buffer = b""

    def send(self, message: Message) -> None:
        os.write(self._stdin.fileno(), protocol.encode(message))

    def hang_up(self) -> None:
        self._stdin.close()

    def receive(self) -> Message:
        """The next message that is not a note."""
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([self._stdout], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "the worker said nothing in time"
            data = os.read(self._stdout.fileno(), 1 << 16)
            assert data, f"the worker ended with {self.process.wait()}"
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        message = protocol.decode(line)
        return self.receive() if isinstance(message, Note) else message

    def frames_of(self, block: Block) -> list[FrameFile]:
        """Sends a block and returns what it wrote."""
        self.send(block)
        written = [self.receive() for _ in block.frames]
        assert self.receive() == BlockDone(block.frames)
        return [message.frame for message in written if isinstance(message, FrameWritten)]

    def stages_of(self, block: Block) -> Stages:
        """Sends a block and returns what its frames took."""
        self.send(block)
        while not isinstance(done := self.receive(), BlockDone):
            assert isinstance(done, FrameWritten)
        return done.stages

    def failure(self) -> Fault:
        """The fault with which the worker ends, after any frames."""
        while isinstance(message := self.receive(), FrameWritten | Ready):
            pass
        assert isinstance(message, BlockFailed), message
        return message.fault


@contextmanager
def running() -> Iterator[Running]:
    process = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    with process:
        try:
            yield Running(process)
        finally:
            process.kill()


def setup(directory: Path, document: str = support.COMPOSITION, mode: CaptureMode = CaptureMode.BEGIN_FRAME) -> Setup:
    (directory / "frames").mkdir()
    return Setup(
        spec=support.spec(mode),
        bundle_directory=str(support.bundle(directory / "bundle", document)),
        profile_directory=str(directory / "profile"),
        chromium=support.chromium(),
        chromium_args=(),
        sandbox=True,
    )


def block(directory: Path, start: int, stop: int, offset: int) -> Block:
    return Block(frames=FrameRange(start, stop), offset=offset, directory=str(directory / "frames"))


@pytest.mark.browser
@pytest.mark.parametrize("mode", list(CaptureMode), ids=lambda mode: str(mode.value))
def test_frames_are_numbered_in_their_chunk_show_their_absolute_number_and_match_their_digest(
    tmp_path: Path, mode: CaptureMode
) -> None:
    directory = tmp_path / "frames"
    with running() as worker:
        worker.send(setup(tmp_path, mode=mode))
        assert worker.receive() == Ready(("frame_loop",))
        written = worker.frames_of(block(tmp_path, 50, 54, 50)) + worker.frames_of(block(tmp_path, 60, 62, 50))
        worker.hang_up()
        assert worker.process.wait(DEATH_TIMEOUT_S) == 0
    assert [frame.index for frame in written] == [50, 51, 52, 53, 60, 61]
    assert not (tmp_path / "profile").exists()
    for frame in written:
        data = (directory / protocol.frame_name(frame.index - 50, ImageFormat.PNG)).read_bytes()
        assert support.barcode(data) == frame.index
        assert frame == frames.write(data, directory=directory, frame=frame.index, offset=50, image=ImageFormat.PNG)


@pytest.mark.browser
def test_a_page_that_is_only_slow_is_drawn_once_a_frame_after_a_jump_too(tmp_path: Path) -> None:
    slow = "<script>addEventListener('hf-seek', () => { let x = 0; for (let n = 0; n < 3e7; n++) x ^= n; });</script>"
    with running() as worker:
        worker.send(setup(tmp_path, support.COMPOSITION + slow))
        assert worker.receive() == Ready(("frame_loop",))
        worker.frames_of(block(tmp_path, 0, 2, 0))
        stages = worker.stages_of(block(tmp_path, 10, 13, 0))
    assert (stages.frames, stages.paint.messages, stages.screenshot.messages) == (3, 0, 3)
    # Asked again while it ran whether it waits for anything, at most once: the answer comes when its script has ended.
    assert 3 <= stages.seek.messages <= 6
    assert min(stages.seek.ms, stages.screenshot.ms, stages.write.ms) > 0


@pytest.mark.browser
def test_a_page_that_is_always_slow_is_not_asked_why_in_every_frame(tmp_path: Path) -> None:
    slow = "<script>addEventListener('hf-seek', () => { let x = 0; for (let n = 0; n < 3e7; n++) x ^= n; });</script>"
    with running() as worker:
        worker.send(setup(tmp_path, support.COMPOSITION + slow))
        assert worker.receive() == Ready(("frame_loop",))
        worker.frames_of(block(tmp_path, 0, 10, 0))
        stages = worker.stages_of(block(tmp_path, 10, 30, 0))
    assert stages.paint.messages == 0
    assert 20 <= stages.seek.messages < 30  # one to seek, and a question now and then


@pytest.mark.browser
def test_missing_and_damaged_files_are_captured_again_into_the_same_names_with_the_same_bytes(tmp_path: Path) -> None:
    chunk, directory, image = FrameRange(50, 66), tmp_path / "frames", ImageFormat.PNG
    with running() as worker:
        worker.send(setup(tmp_path))
        assert worker.receive() == Ready(("frame_loop",))
        first = worker.frames_of(block(tmp_path, 50, 66, 50))
        for index in range(5):
            (directory / protocol.frame_name(index, image)).unlink()
        for index in range(10, 15):
            path = directory / protocol.frame_name(index, image)
            path.write_bytes(path.read_bytes()[:100])
        missing = frames.find_missing(directory, len(chunk), image, support.SIZE)
        todo = blocks.absolute(missing, chunk)
        assert todo == (FrameRange(50, 55), FrameRange(60, 65))
        # They lie before the last frame captured: the worker takes a fresh page for them by itself.
        again = [worker.frames_of(b) for b in blocks.distribute(chunk, todo, workers=1, directory=str(directory))]
    assert [frame for part in again for frame in part] == [frame for frame in first if frame.index - 50 in missing]
    assert frames.find_missing(directory, len(chunk), image, support.SIZE) == ()


@pytest.mark.browser
def test_a_killed_browser_fails_the_block_and_leaves_only_whole_frames(tmp_path: Path) -> None:
    with running() as worker:
        worker.send(setup(tmp_path))
        assert worker.receive() == Ready(("frame_loop",))
        worker.send(block(tmp_path, 100, 300, 100))
        assert isinstance(worker.receive(), FrameWritten)
        os.kill(support.browser_of(worker.process.pid), signal.SIGKILL)
        fault = worker.failure()
        assert worker.process.wait(DEATH_TIMEOUT_S) == 1
    assert fault.code is FaultCode.BROWSER_CRASHED
    assert "SIGKILL" in fault.message
    assert fault.frame is not None
    assert fault.local_frame == fault.frame - 100
    files = sorted((tmp_path / "frames").iterdir())
    assert [file.name for file in files] == [protocol.frame_name(n, ImageFormat.PNG) for n in range(fault.local_frame)]
    assert all(frames.is_whole(file, ImageFormat.PNG, support.SIZE) for file in files)


@pytest.mark.browser
@pytest.mark.parametrize("mode", list(CaptureMode), ids=lambda mode: str(mode.value))
def test_a_killed_page_fails_the_block(tmp_path: Path, mode: CaptureMode) -> None:
    with running() as worker:
        worker.send(setup(tmp_path, mode=mode))
        assert worker.receive() == Ready(("frame_loop",))
        worker.send(block(tmp_path, 0, 300, 0))
        assert isinstance(worker.receive(), FrameWritten)
        chromium = support.browser_of(worker.process.pid)
        renderers = [pid for pid in tree.descendants(chromium) if "--type=renderer" in browser.command_line(pid)]
        for pid in renderers:
            with suppress(ProcessLookupError):  # one that fell with another
                os.kill(pid, signal.SIGKILL)
        fault = worker.failure()
    assert fault.code is FaultCode.BROWSER_CRASHED
    assert fault.message.startswith("the page's process ended")


@pytest.mark.browser
@pytest.mark.parametrize("mode", list(CaptureMode), ids=lambda mode: str(mode.value))
def test_a_killed_gpu_process_fails_the_block_before_an_empty_canvas_is_taken_for_a_frame(
    tmp_path: Path, mode: CaptureMode
) -> None:
    canvas = """<canvas id="gl" width="320" height="60" style="position:absolute;top:100px;left:0"></canvas><script>
      const gl = document.getElementById("gl").getContext("webgl");
      const paint = () => { gl.clearColor(1, 0, 0, 1); gl.clear(gl.COLOR_BUFFER_BIT); requestAnimationFrame(paint); };
      requestAnimationFrame(paint);
    </script>"""
    with running() as worker:
        worker.send(setup(tmp_path, support.COMPOSITION + canvas, mode=mode))
        assert worker.receive() == Ready(("frame_loop",))
        worker.frames_of(block(tmp_path, 0, 2, 0))
        worker.send(block(tmp_path, 2, 300, 0))
        chromium = support.browser_of(worker.process.pid)
        for pid in tree.descendants(chromium):
            if "--type=gpu-process" in browser.command_line(pid):
                with suppress(ProcessLookupError):  # one that fell with another
                    os.kill(pid, signal.SIGKILL)
        fault = worker.failure()
    assert fault.code.retry is Retry.REPLACE
    assert fault.local_frame is not None
    for index in range(fault.local_frame):
        picture = (tmp_path / "frames" / protocol.frame_name(index, ImageFormat.PNG)).read_bytes()
        assert png.rows(picture)[120][160] == (255, 0, 0)


@pytest.mark.browser
def test_a_killed_worker_takes_its_browser_along(tmp_path: Path) -> None:
    with running() as worker:
        worker.send(setup(tmp_path))
        assert worker.receive() == Ready(("frame_loop",))
        worker.send(block(tmp_path, 0, 300, 0))
        assert isinstance(worker.receive(), FrameWritten)
        below = tree.descendants(worker.process.pid)
        assert len(below) >= 3
        worker.process.kill()
        assert support.wait_until(lambda: not any(map(support.is_alive, below)), DEATH_TIMEOUT_S)


@pytest.mark.browser
@pytest.mark.parametrize("is_busy", [True, False], ids=["busy", "idle"])
def test_end_of_input_ends_worker_and_browser(tmp_path: Path, is_busy: bool) -> None:
    with running() as worker:
        worker.send(setup(tmp_path))
        assert worker.receive() == Ready(("frame_loop",))
        if is_busy:
            worker.send(block(tmp_path, 0, 300, 0))
            assert isinstance(worker.receive(), FrameWritten)
        below = tree.descendants(worker.process.pid)
        worker.hang_up()
        assert worker.process.wait(DEATH_TIMEOUT_S) == 0
        assert support.wait_until(lambda: not any(map(support.is_alive, below)), DEATH_TIMEOUT_S)
    assert not (tmp_path / "profile").exists()
    assert len(list((tmp_path / "frames").iterdir())) < 300


@pytest.mark.browser
def test_a_failing_composition_is_reported_with_both_indices_its_console_and_a_picture(tmp_path: Path) -> None:
    trouble = """<script>
      console.error("about to fail");
      const look = ms => { if (ms > 1800) document.body.style.background = "lime"; requestAnimationFrame(look); };
      requestAnimationFrame(look);
      const fail = ms => { if (ms > 1800) throw new Error("no such scene"); requestAnimationFrame(fail); };
      requestAnimationFrame(fail);
    </script>"""
    with running() as worker:
        worker.send(setup(tmp_path, support.COMPOSITION + trouble))
        assert worker.receive() == Ready(("frame_loop",))
        worker.send(block(tmp_path, 53, 60, 50))
        fault = worker.failure()
    assert (fault.code, fault.frame, fault.local_frame) == (FaultCode.SEEK_FAILED, 55, 5)
    assert "no such scene" in fault.message
    assert "error: about to fail" in fault.console
    assert fault.screenshot == "failure.png"
    assert frames.is_whole(tmp_path / "frames" / "failure.png", ImageFormat.PNG, support.SIZE)


def test_a_browser_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    missing = Setup(
        spec=support.spec(),
        bundle_directory=str(tmp_path / "bundle"),
        profile_directory=str(tmp_path / "profile"),
        chromium="/nowhere/chromium",
        chromium_args=(),
        sandbox=True,
    )
    with running() as worker:
        worker.send(missing)
        fault = worker.failure()
    assert fault.code is FaultCode.BROWSER_MISSING
    assert "/nowhere/chromium" in fault.message


def test_a_program_that_is_no_browser_is_named_with_its_last_words(tmp_path: Path) -> None:
    liar = tmp_path / "chromium"
    liar.write_text("#!/bin/sh\necho 'libnss3.so: cannot open shared object file' >&2\nexit 127\n")
    liar.chmod(0o755)
    (tmp_path / "bundle").mkdir()
    with running() as worker:
        worker.send(
            Setup(
                spec=support.spec(),
                bundle_directory=str(tmp_path / "bundle"),
                profile_directory=str(tmp_path / "profile"),
                chromium=str(liar),
                chromium_args=(),
                sandbox=True,
            )
        )
        fault = worker.failure()
    assert fault.code is FaultCode.BROWSER_LAUNCH
    assert "exit status 127: libnss3.so" in fault.message


@pytest.mark.browser
@pytest.mark.parametrize(("browser_bytes", "is_fresh"), [(1, True), (1 << 30, False)])
def test_a_browser_that_leaks_makes_room_for_a_fresh_one_between_blocks(
    tmp_path: Path, browser_bytes: int, is_fresh: bool
) -> None:
    leak = """<script>
      const kept = [], leak = () => { kept.push(new Uint8Array(16 << 20).fill(1)); requestAnimationFrame(leak); };
      requestAnimationFrame(leak);
    </script>"""
    with running() as worker:
        worker.send(dataclasses.replace(setup(tmp_path, support.COMPOSITION + leak), browser_bytes=browser_bytes))
        assert worker.receive() == Ready(("frame_loop",))
        worker.frames_of(block(tmp_path, 0, 2, 0))
        worker.frames_of(block(tmp_path, 2, 14, 0))  # from here on it is watched: it doubles at least
        first = support.browser_of(worker.process.pid)
        time.sleep(footprint.LOOK_S)
        worker.frames_of(block(tmp_path, 14, 16, 0))
        assert (support.browser_of(worker.process.pid) != first) is is_fresh
    pictures = [(tmp_path / "frames" / protocol.frame_name(index, ImageFormat.PNG)) for index in range(16)]
    assert [support.barcode(picture.read_bytes()) for picture in pictures] == list(range(16))


@pytest.mark.parametrize(
    ("start", "last", "captured", "is_fresh"),
    [
        (50, None, 0, False),
        (50, 49, 10, False),
        (50, 40, 10, False),
        (50, 50, 10, True),
        (10, 50, 10, True),
        (51, 50, FRAMES_PER_BROWSER, True),
    ],
)
def test_a_page_never_goes_back_and_is_not_kept_for_ever(
    start: int, last: int | None, captured: int, is_fresh: bool
) -> None:
    found = Block(frames=FrameRange(start, start + 8), offset=0, directory="d")
    assert needs_fresh_page(found, last=last, captured=captured) is is_fresh
