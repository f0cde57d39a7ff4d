"""A small page runtime, pages and shorthands for tests that drive a real Chromium."""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

from capture import browser, png, tree
from capture.protocol import CaptureMode, ImageFormat, Note, RenderSpec
from capture.session import Session

SIZE = (320, 180)
BITS = 16

# The contract of the page runtime and nothing else: `draw(frame)` is the page's own.
RUNTIME = """
window.__fleet = {
  ready: async () => {
    if (window.prepare) await window.prepare();
    return {duration_s: 10, warnings: window.warnings || []};
  },
  seek: async frame => { await window.draw(frame); },
};
"""

# The frame number as 16 black and white columns, over something that moves, so that wrong pixels show too.
BARCODE = """<!doctype html><meta charset="utf-8">
<style>
  body { margin: 0; background: #fff; overflow: hidden; font: 30px sans-serif }
  #code { position: absolute; left: 0; bottom: 0; width: 320px; height: 40px; display: flex }
  #code div { width: 20px; height: 40px }
  #box { position: absolute; top: 20px; width: 60px; height: 60px; border-radius: 12px;
         background: linear-gradient(45deg, red, blue); box-shadow: 0 4px 12px #0008 }
</style>
<div id="box"></div><span id="n"></span><div id="code"></div>
<script>
  for (let bit = 0; bit < 16; bit++) code.append(document.createElement("div"));
  window.draw = frame => {
    n.textContent = "frame " + frame;
    box.style.transform = `translate(${frame % 250}px, 10px) rotate(${frame}deg)`;
    [...code.children].forEach((bar, bit) => { bar.style.background = frame >> bit & 1 ? "#000" : "#fff"; });
  };
</script>
"""


# The same page as a composition that moves by the clock of its animation frames, for the real page runtime.
COMPOSITION = BARCODE.replace(
    '<div id="box">',
    '<div data-composition-id="barcode" data-no-timeline data-width="320" data-height="180" data-start="0" '
    'data-duration="10"></div><div id="box">',
) + (
    "<script>const loop = ms => { draw(Math.round(ms * 30 / 1000)); requestAnimationFrame(loop); };"
    "requestAnimationFrame(loop);</script>"
)

# What a page found, told as the message of a failure: the one way out that every mode has.
TELL = 'const tell = found => { throw new Error(JSON.stringify({code: "internal", message: JSON.stringify(found)})) };'


def spec(mode: CaptureMode = CaptureMode.BEGIN_FRAME, image: ImageFormat = ImageFormat.PNG) -> RenderSpec:
    """A small render at 30 fps."""
    return RenderSpec(
        bundle="0" * 64,
        width=SIZE[0],
        height=SIZE[1],
        fps=Fraction(30),
        frame_count=300,
        duration_s=Fraction(10),
        image=image,
        jpeg_quality=90,
        mode=mode,
    )


def chromium() -> str:
    """The Chromium of this machine; the tests that ask for it cannot do without."""
    path = browser.find()
    assert path is not None, "no Chromium found: install chromium-headless-shell"
    return path


def bundle(directory: Path, document: str = BARCODE, **files: bytes) -> Path:
    """A bundle directory with `document` as index.html; the keyword `a_b` names the file `a.b`."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "index.html").write_text(document)
    for name, content in files.items():
        (directory / name.replace("_", ".")).write_bytes(content)
    return directory


@contextmanager
def session(
    directory: Path,
    mode: CaptureMode,
    *,
    image: ImageFormat = ImageFormat.PNG,
    note: Callable[[Note], None] = lambda _: None,
    limit_s: float = 60.0,
    watches_scripts: bool = False,
    program: str | None = None,
) -> Iterator[Session]:
    """A session on the bundle in `directory`, not yet opened; in the browser `program`, or the one that hosts use."""
    profile = directory.with_name(f"{directory.name}.profile")
    with browser.start(program or chromium(), mode=mode, size=SIZE, profile=profile, sandbox=True) as started:
        yield Session(
            started.connection,
            spec(mode, image),
            bundle=directory,
            note=note,
            limit_s=limit_s,
            watches_scripts=watches_scripts,
        )


def digests(directory: Path, mode: CaptureMode, frames: Iterable[int]) -> dict[int, str]:
    """sha256 of each frame, captured in one new session."""
    with session(directory, mode) as opened:
        opened.open(RUNTIME)
        return {frame: hashlib.sha256(picture).hexdigest() for frame, picture in opened.capture(frames)}


def barcode(picture: bytes) -> int:
    """The number that a frame of BARCODE shows."""
    line = png.rows(picture)[SIZE[1] - 20]
    return sum((line[20 * bit + 10][0] < 128) << bit for bit in range(BITS))


def is_alive(pid: int) -> bool:
    """Whether the process `pid` runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


def wait_until(is_met: Callable[[], bool], timeout_s: float) -> bool:
    """Whether `is_met` became true in time."""
    deadline = time.monotonic() + timeout_s
    while not is_met():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def browser_of(pid: int) -> int:
    """The main process of the browser below `pid`; the others have a type."""
    lines = {child: browser.command_line(child) for child in tree.descendants(pid)}
    return next(child for child, line in lines.items() if "--remote-debugging-pipe" in line and "--type=" not in line)
