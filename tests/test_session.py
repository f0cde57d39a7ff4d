"""A frame is the same bytes however it was reached; a composition cannot reach out; every failure has its code."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import browser_support as support
import pytest

from capture import frames, page, png
from capture.faults import CaptureError, FaultCode
from capture.protocol import CaptureMode, ImageFormat, Note

pytestmark = pytest.mark.browser

MODES = list(CaptureMode)
FRAMES = [*range(40, 46), 60, 61, 90]


@pytest.fixture(params=MODES, ids=lambda mode: str(mode.value))
def mode(request: pytest.FixtureRequest) -> CaptureMode:
    found: CaptureMode = request.param
    return found


def test_a_frame_is_the_same_bytes_first_after_its_predecessors_and_after_a_gap(
    tmp_path: Path, mode: CaptureMode
) -> None:
    bundle = support.bundle(tmp_path / "bundle")
    passed = support.digests(bundle, mode, FRAMES)
    assert support.digests(bundle, mode, FRAMES) == passed
    assert len(set(passed.values())) == len(FRAMES)
    for first in (43, 61):
        alone = support.digests(bundle, mode, [first, 90])
        assert alone == {frame: passed[frame] for frame in (first, 90)}


def test_both_modes_give_the_same_bytes(tmp_path: Path) -> None:
    bundle = support.bundle(tmp_path / "bundle")
    begin_frame, screenshot = (support.digests(bundle, mode, [7, 8]) for mode in MODES)
    assert begin_frame == screenshot


def test_every_frame_shows_its_own_number(tmp_path: Path, mode: CaptureMode) -> None:
    bundle = support.bundle(tmp_path / "bundle")
    with support.session(bundle, mode) as opened:
        opened.open(support.RUNTIME)
        for block in ([0, 1, 2], [1000, 1001], [65534]):
            read = [(frame, support.barcode(picture)) for frame, picture in opened.capture(block)]
            assert read == [(frame, frame) for frame in block]


def test_a_session_never_goes_back(tmp_path: Path) -> None:
    bundle = support.bundle(tmp_path / "bundle")
    with support.session(bundle, CaptureMode.BEGIN_FRAME) as opened:
        opened.open(support.RUNTIME)
        assert len(list(opened.capture([5, 6]))) == 2
        with pytest.raises(ValueError, match="never goes back"):
            next(opened.capture([6]))


def test_jpeg_frames_are_whole_and_of_the_asked_size(tmp_path: Path, mode: CaptureMode) -> None:
    bundle = support.bundle(tmp_path / "bundle")
    with support.session(bundle, mode, image=ImageFormat.JPEG) as opened:
        opened.open(support.RUNTIME)
        ((_, picture),) = opened.capture([3])
    assert frames.is_whole_image(picture, ImageFormat.JPEG, support.SIZE)


VIDEO = """<!doctype html><body style="margin:0"><div data-composition-id="c" data-width="320" data-height="180">
<video data-hf-render-id="v" data-start="0" data-duration="1" style="width:320px;height:180px;object-fit:fill"></video>
</div>"""


def test_the_still_of_the_next_frame_comes_while_this_one_is_drawn(tmp_path: Path) -> None:
    bundle = support.bundle(tmp_path / "bundle", VIDEO)
    stills = bundle / "__fleet_stills"
    stills.mkdir()
    video = {"first": 0, "stills": [0, 1, 2], "width": 8, "height": 8, "duration": 1}
    colours = ("red", "lime", "blue")
    (stills / "table.json").write_text(json.dumps({"names": [f"{one}.svg" for one in colours], "videos": {"v": video}}))
    for colour in colours:
        fill = f'<rect width="8" height="8" fill="{colour}"/>'
        (stills / f"{colour}.svg").write_text(
            f'<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8">{fill}</svg>'
        )
    with support.session(bundle, CaptureMode.BEGIN_FRAME) as opened:
        opened.open(page.source(page.config(support.spec(), limit_s=60)))
        captured = opened.capture([0, 1, 2])
        shown = [next(captured)]
        for still in stills.glob("*.svg"):
            still.unlink()
        shown.append(next(captured))
        assert [png.rows(picture)[0][0] for _, picture in shown] == [(255, 0, 0), (0, 255, 0)]
        with pytest.raises(CaptureError, match=r"the still blue\.svg of a video cannot be shown"):
            next(captured)


PAGE_THAT_NEEDS_FRAMES = """<!doctype html><body style="margin:0;background:#fff">
<script>
  const real = requestAnimationFrame;
  const drawn = () => new Promise(resolve => real(() => real(resolve)));
  window.prepare = drawn;
  window.draw = async frame => {
    await drawn();
    const image = new Image();
    image.src = "colour.svg?" + frame;
    await image.decode();
    document.body.replaceChildren(image);
  };
</script>"""
RED_SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="320" height="180">'
    b'<rect width="320" height="180" fill="red"/></svg>'
)


def test_a_page_that_waits_for_frames_and_decoded_images_gets_them(tmp_path: Path, mode: CaptureMode) -> None:
    bundle = support.bundle(tmp_path / "bundle", PAGE_THAT_NEEDS_FRAMES, colour_svg=RED_SVG)
    with support.session(bundle, mode) as opened:
        opened.open(support.RUNTIME)
        for _, picture in opened.capture([0, 5]):
            assert {pixel for row in png.rows(picture) for pixel in row} == {(255, 0, 0)}


REACHING_OUT = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
<script>
  %s
  const asked = %s;
  window.prepare = async () => {
    const answers = asked.map(url => fetch(url).then(r => r.status, () => "refused"));
    const socket = new Promise(resolve => {
      const ws = new WebSocket("ws://127.0.0.1:%d/");
      ws.onopen = () => resolve("open");
      ws.onerror = () => resolve("refused");
    });
    const worker = new Promise(resolve => {
      const code = `
        fetch("http://127.0.0.1:%d/worker").then(() => postMessage("open"), () => postMessage("refused"))`;
      new Worker(URL.createObjectURL(new Blob([code]))).onmessage = event => resolve(event.data);
    });
    tell(await Promise.all([...answers, socket, worker]));
  };
  window.draw = () => {};
</script>"""


@pytest.fixture
def listener() -> Iterator[tuple[int, list[str]]]:
    """A port of this machine that remembers who connects to it."""
    server = socket.create_server(("127.0.0.1", 0))
    visits: list[str] = []

    def accept() -> None:
        while True:
            try:
                visitor, address = server.accept()
            except OSError:
                return
            visits.append(str(address))
            visitor.close()

    thread = threading.Thread(target=accept)
    thread.start()
    yield server.getsockname()[1], visits
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


def test_a_composition_reaches_its_bundle_and_nothing_else(
    tmp_path: Path, mode: CaptureMode, listener: tuple[int, list[str]]
) -> None:
    port, visits = listener
    (tmp_path / "secret.txt").write_text("outside")
    asked = [
        "data.json",
        "missing.json",
        "..%2fsecret.txt",
        "https://example.com/tracker.js",
        f"http://127.0.0.1:{port}/fetch",
        "file:///etc/passwd",
        "data:text/plain,x",
    ]
    page = REACHING_OUT % (support.TELL, json.dumps(asked), port, port)
    bundle = support.bundle(tmp_path / "bundle", page, data_json=b"{}")
    notes: list[Note] = []
    with (
        support.session(bundle, mode, note=notes.append) as opened,
        pytest.raises(CaptureError) as caught,
    ):
        opened.open(support.RUNTIME)
    answers = json.loads(caught.value.message)
    assert answers == [200, 404, 404, "refused", "refused", "refused", 200, "refused", "refused"]
    assert visits == []
    texts = [note.text for note in notes]
    assert "blocked a request to the network: https://example.com/tracker.js" in texts
    assert f"blocked a request to the network: http://127.0.0.1:{port}/worker" in texts
    assert "not in the bundle: https://composition.invalid/missing.json" in texts
    assert {note.level for note in notes} == {"warning"}


RESTLESS = """<!doctype html><title>restless</title><body style="background:lime">
<script>
  window.draw = frame => {
    if (frame === 1) { alert("stop"); confirm("stop?"); window.open("about:blank"); }
    if (frame === 2) location.href = "https://example.com/away";
    if (frame === 3) location.reload();
    if (frame === 4) location.href = "other.html";
    return new Promise(resolve => setTimeout(resolve, 100));
  };
  onbeforeunload = event => event.preventDefault();
</script>"""


def test_dialogs_windows_and_departures_neither_hang_nor_change_the_page(tmp_path: Path, mode: CaptureMode) -> None:
    bundle = support.bundle(tmp_path / "bundle", RESTLESS, other_html=b"<body style='background:red'>")
    notes: list[Note] = []
    with support.session(bundle, mode, note=notes.append) as opened:
        opened.open(support.RUNTIME)
        pictures = {picture for _, picture in opened.capture(range(6))}
    assert len(pictures) == 1
    assert {pixel for row in png.rows(pictures.pop()) for pixel in row} == {(0, 255, 0)}
    texts = " | ".join(note.text for note in notes)
    assert "dismissed the dialog alert('stop')" in texts
    assert "kept the page from leaving for https://example.com/away" in texts
    assert "kept the page from leaving for https://composition.invalid/other.html" in texts


FAILING = """<!doctype html><script>
  console.log("before \\u001b[31mred", {a: 1}, 42);
  window.draw = frame => {
    if (frame === 1) throw new Error(JSON.stringify({code: "feature_unsupported", message: "no maps"}));
    if (frame === 2) throw new TypeError("x is undefined");
    if (frame === 3) location.href = "about:blank";
    if (frame === 4) for (;;);
    return new Promise(() => {});
  };
</script>"""


@pytest.mark.parametrize(
    ("frame", "code", "message"),
    [
        (1, FaultCode.FEATURE_UNSUPPORTED, "no maps"),
        (2, FaultCode.SEEK_FAILED, "x is undefined"),
        (3, FaultCode.SEEK_FAILED, "navigated"),
        (4, FaultCode.SCRIPT_ENDLESS, "frame 4 was not captured within its time: a script of the page does not end"),
        (5, FaultCode.FRAME_TIMEOUT, "frame 5 was not captured within"),
    ],
)
def test_a_failing_seek_has_a_code_the_frame_and_the_console(
    tmp_path: Path, mode: CaptureMode, frame: int, code: FaultCode, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with support.session(support.bundle(tmp_path / "bundle", FAILING), mode) as opened:
        opened.open(support.RUNTIME)
        if code in (FaultCode.SCRIPT_ENDLESS, FaultCode.FRAME_TIMEOUT):
            monkeypatch.setattr(opened, "_limit_s", 0.5)  # for what never comes; all else may take its time
        with pytest.raises(CaptureError, match=message) as caught:
            list(opened.capture([frame]))
        assert caught.value.code is code
        assert opened.frame == frame
        assert opened.console()[0] == "log: before  [31mred Object 42"


@pytest.mark.parametrize(
    ("script", "code", "message", "limit_s"),
    [
        ("window.prepare = () => new Promise(() => {})", FaultCode.PAGE_NOT_READY, "not ready after", 1),
        ("delete window.__fleet", FaultCode.PAGE_NOT_READY, "__fleet is not defined", 20),
        (
            """window.prepare = () => { throw new Error('{"code":"zero_duration","message":"no end"}') }""",
            FaultCode.ZERO_DURATION,
            "no end",
            20,
        ),
        ("document.write('<script src=nothing.js></' + 'script>'); for (;;);", FaultCode.SCRIPT_ENDLESS, "not end", 3),
    ],
)
def test_a_page_that_does_not_get_ready_has_a_code(
    tmp_path: Path, mode: CaptureMode, script: str, code: FaultCode, message: str, limit_s: float
) -> None:
    document = f"<!doctype html><script>{script}</script>"
    with (
        support.session(support.bundle(tmp_path / "bundle", document), mode, limit_s=limit_s) as opened,
        pytest.raises(CaptureError, match=message) as caught,
    ):
        opened.open(support.RUNTIME)
    assert caught.value.code is code


def test_what_the_page_warns_of_is_noted(tmp_path: Path) -> None:
    document = """<!doctype html><script>window.warnings = [{code: "media_load_failed", message: "a.png"}]</script>"""
    notes: list[Note] = []
    bundle = support.bundle(tmp_path / "bundle", document)
    with support.session(bundle, CaptureMode.BEGIN_FRAME, note=notes.append) as opened:
        opened.open(support.RUNTIME)
    assert notes == [Note("warning", "page", "media_load_failed: a.png")]


def test_a_page_sees_the_same_size_zone_and_language_everywhere(tmp_path: Path, mode: CaptureMode) -> None:
    script = """window.prepare = () => tell([
      innerWidth, innerHeight, devicePixelRatio, screen.width, screen.height, navigator.language,
      new Date(0).getTimezoneOffset(), Intl.DateTimeFormat().resolvedOptions().timeZone, (1234.5).toLocaleString(),
    ])"""
    document = f"<!doctype html><script>{support.TELL} {script}</script>"
    with (
        support.session(support.bundle(tmp_path / "bundle", document), mode) as opened,
        pytest.raises(CaptureError) as caught,
    ):
        opened.open(support.RUNTIME)
    width, height = support.SIZE
    assert json.loads(caught.value.message) == [width, height, 1, width, height, "en-US", 0, "UTC", "1,234.5"]


def test_scripts_have_the_memory_of_a_large_machine(tmp_path: Path) -> None:
    grow = "const held = []; for (let i = 0; i < 60; i++) held.push(new Array(1e6).fill(i + 0.5)); tell(held.length);"
    document = f"<!doctype html><script>{support.TELL} window.prepare = () => {{ {grow} }};</script>"
    with (
        support.session(support.bundle(tmp_path / "bundle", document), CaptureMode.BEGIN_FRAME) as opened,
        pytest.raises(CaptureError) as caught,
    ):
        opened.open(support.RUNTIME)
    assert json.loads(caught.value.message) == 60
