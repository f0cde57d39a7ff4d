"""A frame in which nothing changed is a link to the one before it; a frame in which anything changed never is."""

import hashlib
import itertools
import sys
from pathlib import Path

import browser_support as support
import pytest
import test_worker as worker_support
from hypothesis import given
from hypothesis import strategies as st
from page_support import CONFIG

from capture import page as page_runtime
from capture import protocol, shutter
from capture.protocol import Block, BlockDone, CaptureMode, FrameRange, FrameWritten, ImageFormat, Misjudged, Ready
from capture.recorder import Recorder
from capture.repeats import CHECK_EVERY, REST_FRAMES_MAX, Repeats
from capture.session import RepeatIsWrong

FRAMES = range(30)
# Everything stands still but for what the film is about; `at(t => ...)` draws a time without moving anything else.
FILM = """<!doctype html><html><head><style>body {{ margin: 0; background: #eee }} #root {{ position: relative }}
  .box {{ position: absolute; left: 20px; top: 60px; width: 40px; height: 40px; background: #369 }}
  {style}</style></head><body>
<div id="root" data-composition-id="film" data-width="320" data-height="180" data-duration="10">
  <div class="box" id="box"></div>{body}</div>
<script>
  const box = document.getElementById("box");
  const at = draw => addEventListener("hf-seek", event => draw(event.detail.time));
  {script}
</script></body></html>"""
CANVAS = '<canvas id="canvas" width="60" height="60"></canvas>'
ADVERSARIES = {
    "a step": {"script": "at(t => { box.style.left = t < 0.7 ? '20px' : '21px'; });"},
    "one pixel, for one frame": {
        "script": "at(t => { box.style.width = Math.abs(t - 0.7) < 0.01 ? '41px' : '40px'; });",
    },
    "a word": {"body": "<p id='p'>a</p>", "script": "at(t => { p.textContent = t < 0.7 ? 'a' : 'b'; });"},
    "a counter of animation frames": {
        "body": "<p id='p'></p>",
        "script": "const tick = now => { p.textContent = Math.floor(now / 400); requestAnimationFrame(tick); };"
        " requestAnimationFrame(tick);",
    },
    "noise on a canvas": {
        "body": CANVAS,
        "script": "const c = canvas.getContext('2d'); at(t => { const k = Math.floor(t * 3);"
        " for (let i = 0; i < 60; i++)"
        " { c.fillStyle = `rgb(${(i * 37 + k * 91) % 256},0,0)`; c.fillRect(i, 0, 1, 60); } });",
    },
    "a colour in WebGL": {
        "body": CANVAS,
        "script": "const g = canvas.getContext('webgl'); at(t => { g.clearColor(t < 0.7 ? 1 : 0.99, 0, 0, 1);"
        " g.clear(g.COLOR_BUFFER_BIT); });",
    },
    "a caret of CSS": {
        "style": "@keyframes caret { 50% { opacity: 0 } }"
        " #caret { position: absolute; left: 90px; width: 2px; height: 20px; background: #000;"
        " animation: caret 0.8s steps(1) infinite }",
        "body": "<i id='caret'></i>",
    },
    "what is drawn after a wait": {
        "script": "addEventListener('hf-seek', event => event.detail.waitUntil(new Promise(done => setTimeout(() => {"
        " box.style.top = event.detail.time < 0.7 ? '60px' : '61px'; done(); }, 30))));",
    },
    "what moves out of sight": {
        "style": "#root { overflow: hidden }",
        "script": "at(t => { box.style.left = `${5000 + t}px`; });",
    },
    "a colour behind alpha": {
        "script": "at(t => { box.style.backgroundColor = `rgba(0, 0, 0, ${t < 0.7 ? 0.5 : 0.504})`; });",
    },
}  # fmt: skip


def film(folder: Path, **parts: str) -> Path:
    return support.bundle(folder, FILM.format(**{"style": "", "body": "", "script": "", **parts}))


def captured(
    bundle: Path, *, repeats: bool, frames: range = FRAMES, image: ImageFormat = ImageFormat.JPEG
) -> dict[int, str]:
    with support.session(bundle, CaptureMode.BEGIN_FRAME, image=image) as opened:
        opened.open(page_runtime.source(CONFIG))
        return {n: hashlib.sha256(picture).hexdigest() for n, picture in opened.capture(frames, repeats=repeats)}


@pytest.mark.browser
@pytest.mark.parametrize("name", ADVERSARIES)
def test_a_change_however_small_is_captured(tmp_path: Path, name: str) -> None:
    bundle = film(tmp_path / "bundle", **ADVERSARIES[name])
    truth = captured(bundle, repeats=False, image=ImageFormat.PNG)
    assert captured(bundle, repeats=True, image=ImageFormat.PNG) == truth
    assert (len(set(truth.values())) == 1) == (name == "what moves out of sight")


@pytest.mark.browser
def test_a_page_that_stands_still_is_photographed_only_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = film(tmp_path / "bundle")
    taken = []
    shoot = shutter.BeginFrames.shoot

    def counted(camera: shutter.BeginFrames, deadline: float, *, is_last: bool = True) -> bytes:
        taken.append(is_last)
        return shoot(camera, deadline, is_last=is_last)

    monkeypatch.setattr(shutter.BeginFrames, "shoot", counted)
    assert len(captured(bundle, repeats=True)) == len(FRAMES)
    # The first frame until it has settled, its repeat, and the checks.
    assert len(taken) <= 6 + 1 + len(FRAMES) // CHECK_EVERY + 1
    taken.clear()
    captured(bundle, repeats=False)
    assert len(taken) >= len(FRAMES)


@pytest.mark.browser
def test_a_browser_that_sees_no_change_where_there_is_one_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = film(tmp_path / "bundle", **ADVERSARIES["a step"])
    monkeypatch.setattr(shutter.BeginFrames, "has_moved", lambda *_: False)
    with pytest.raises(RepeatIsWrong):
        captured(bundle, repeats=True, frames=range(40))


# The same lie in a real worker, whose process it has to be told in.
LIAR = """
import sys
from capture import shutter, worker
shutter.BeginFrames.has_moved = lambda *_: False
sys.exit(worker.main())
"""


@pytest.mark.browser
def test_a_worker_that_was_misled_says_so_and_captures_the_block_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_support, "COMMAND", [sys.executable, "-c", LIAR])
    order = Block(frames=FrameRange(0, 40), offset=0, directory=str(tmp_path / "frames"))
    heard: list[protocol.Message] = []
    with worker_support.running() as worker:
        worker.send(worker_support.setup(tmp_path, FILM.format(**{"style": "", "body": ""} | ADVERSARIES["a step"])))
        assert isinstance(worker.receive(), Ready)
        worker.send(order)
        while not heard or not isinstance(heard[-1], BlockDone):
            heard.append(worker.receive())
    (place,) = [n for n, message in enumerate(heard) if isinstance(message, Misjudged)]
    assert [message.frame.index for message in heard[:place] if isinstance(message, FrameWritten)] == [0]
    again = {
        message.frame.index: message.frame.sha256 for message in heard[place:] if isinstance(message, FrameWritten)
    }
    assert list(again) == list(order.frames)
    assert [frame for frame in again if again[frame] != again[0]] == list(range(21, 40))
    for frame, digest in again.items():
        file = tmp_path / "frames" / protocol.frame_name(frame, ImageFormat.PNG)
        assert hashlib.sha256(file.read_bytes()).hexdigest() == digest


def test_a_repeat_is_a_link_that_is_told_of_after_the_next_picture(tmp_path: Path) -> None:
    told: list[int] = []
    recorder = Recorder(ImageFormat.PNG, lambda frame: told.append(frame.index))
    block = Block(frames=FrameRange(10, 15), offset=10, directory=str(tmp_path))
    first, second = bytes([1, 2, 3]), bytes([4, 5])
    for frame in (10, 11, 12):
        recorder.add(block, frame, first, took_ms=5)
    assert told == [10]
    recorder.add(block, 13, second, took_ms=5)
    assert told == [10, 11, 12, 13]
    recorder.add(block, 14, second, took_ms=5)
    recorder.forget()
    recorder.settle()
    assert told == [10, 11, 12, 13]
    files = [tmp_path / protocol.frame_name(index, ImageFormat.PNG) for index in range(5)]
    assert [file.read_bytes() for file in files] == [first] * 3 + [second] * 2
    assert len({file.stat().st_ino for file in files}) == 2
    assert len(list(tmp_path.iterdir())) == 5


def test_a_repeat_of_a_file_that_is_gone_or_already_the_same_file_is_written(tmp_path: Path) -> None:
    recorder = Recorder(ImageFormat.PNG, lambda _: None)
    block = Block(frames=FrameRange(0, 9), offset=0, directory=str(tmp_path))
    picture = b"picture"
    recorder.add(block, 0, picture, took_ms=1)
    (tmp_path / protocol.frame_name(0, ImageFormat.PNG)).unlink()
    recorder.add(block, 1, picture, took_ms=1)
    recorder.add(block, 2, picture, took_ms=1)
    recorder.add(block, 1, picture, took_ms=1)  # captured again: both names are one file
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        protocol.frame_name(index, ImageFormat.PNG) for index in (1, 2)
    ]
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {picture}


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=300))
def test_a_page_is_watched_only_after_two_equal_pictures_and_checked_often_enough(
    film: list[tuple[bool, bool]],
) -> None:
    """Each frame: whether it has changed, and whether it ends a block."""
    page = Repeats()
    unchecked, is_watched_before = 0, False
    for has_changed, is_last in film:
        if page.is_watched and not has_changed:
            is_checked = page.stood_still(is_last=is_last)
            unchecked = 0 if is_checked else unchecked + 1
            assert is_checked or not is_last
            assert unchecked < CHECK_EVERY
            continue
        unchecked = 0
        if page.is_watched:
            page.moved()
            assert not page.is_watched
        is_watched_before = page.drew(is_same=not has_changed)
        assert is_watched_before == page.is_watched
        assert not (is_watched_before and has_changed)


def test_a_page_that_always_moves_when_asked_is_asked_ever_more_rarely() -> None:
    page, asked = Repeats(), []
    for frame in range(1000):
        if page.is_watched:
            asked.append(frame)
            page.moved()
        page.drew(is_same=True)
    gaps = [after - before for before, after in itertools.pairwise(asked)]
    assert gaps == sorted(gaps)
    assert max(gaps) <= REST_FRAMES_MAX + 2
    assert len(asked) < 25


def test_a_page_that_stood_still_is_asked_again_at_once() -> None:
    page = Repeats()
    for _ in range(3):
        page.drew(is_same=True)
        page.stood_still(is_last=False)
        page.moved()
        assert page.drew(is_same=False) is False
        assert page.drew(is_same=True) is True
