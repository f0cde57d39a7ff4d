"""The product's property: a frame is the same bytes however the film is split, even if frames build on each other."""

import dataclasses
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import agent_support as support
import page_support
import pytest

from capture import protocol
from capture.protocol import CaptureMode, Done, Examine, Examined, ImageFormat, Loaded, Started
from fleet import stepping

pytestmark = pytest.mark.browser

FRAMES = 24
DONE_S = 90.0

# What every page shows: motion that each seek sets anew.
PURE = """
  <div id="keyed" class="box"></div><div id="waapi" class="box"></div><div id="tween" class="box"></div>
  <style>
    body { margin: 0; background: #fff }
    .box { position: absolute; width: 20px; height: 20px; background: #04c }
    canvas { position: absolute; width: 80px; height: 60px }
    #keyed { top: 0; animation: slide 1s linear both infinite alternate } #waapi { top: 24px } #tween { top: 48px }
    @keyframes slide { to { transform: translateX(200px) rotate(90deg) } }
  </style>
  <script>
    const timeline = gsap.timeline({paused: true});
    timeline.from("#tween", {x: 250, duration: 0.4}).to("#tween", {x: 100, rotation: 45, duration: 0.4});
    window.__timelines = {main: timeline};
    document.getElementById("waapi").animate([{left: 0}, {left: "240px"}], {duration: 900, fill: "both"});
  </script>
"""
# One of each kind of state that frames hand on to each other.
STATEFUL = """
  <div id="walker" class="box" style="top: 72px"></div><div id="loose" class="box" style="top: 96px"></div>
  <canvas id="trail" width="80" height="60" style="left: 0; top: 120px"></canvas>
  <canvas id="echo" width="80" height="60" style="left: 80px; top: 120px"></canvas>
  <canvas id="kept" width="80" height="60" style="left: 160px; top: 120px"></canvas>
  <canvas id="cleared" width="80" height="60" style="left: 240px; top: 120px"></canvas>
  <script>
    let x = 1, frame = 0;
    const walk = () => {
      x = (x * 7 + 3) % 241;
      walker.style.transform = `translateX(${x}px)`;
      requestAnimationFrame(walk);
    };
    requestAnimationFrame(walk);

    const pull = () => gsap.to("#loose", {x: (frame * 53) % 200, duration: 0.5, overwrite: true});

    const trails = trail.getContext("2d"), echoes = echo.getContext("2d");
    const paint = () => {
      trails.fillStyle = "rgba(255, 255, 255, 0.2)";
      trails.fillRect(0, 0, 80, 60);
      trails.fillStyle = "#c00";
      trails.fillRect((frame * 9) % 70, 20, 10, 10);
      echoes.drawImage(echo, 3, 1);
      echoes.fillStyle = `hsl(${frame * 40} 90% 50%)`;
      echoes.fillRect(0, 0, 12, 30);
    };

    const light = (canvas, preserveDrawingBuffer) => {
      const gl = canvas.getContext("webgl", {preserveDrawingBuffer, antialias: false});
      gl.enable(gl.SCISSOR_TEST);
      return () => {
        gl.scissor((frame * 11) % 70, (frame * 5) % 50, 10, 10);
        gl.clearColor(frame / 40, 0.5, 1 - frame / 40, 1);
        gl.clear(gl.COLOR_BUFFER_BIT);
      };
    };
    const lights = [light(kept, true), light(cleared, false)];
    addEventListener("hf-seek", () => { frame += 1; pull(); paint(); lights.forEach(draw => draw()); });
  </script>
"""


def document(body: str) -> bytes:
    page = page_support.composition(body, duration_s=FRAMES / 30)
    return page.replace("/npm/gsap/dist/", "").encode()


def spec(bundle: str, *, sequential: bool) -> protocol.RenderSpec:
    return dataclasses.replace(
        support.SPEC,
        bundle=bundle,
        width=320,
        height=180,
        frame_count=FRAMES,
        duration_s=Fraction(FRAMES, 30),
        image=ImageFormat.PNG,
        mode=CaptureMode.BEGIN_FRAME,
        sequential=sequential,
    )


def prepare(coordinator: support.Coordinator, body: str, workers: int) -> str:
    """The bundle of the page, on a host with so many workers."""
    workspace = support.open_workspace(coordinator, workers=workers)
    gsap = page_support.npm("gsap") / "dist/gsap.min.js"
    return support.push_bundle(coordinator, workspace, {"index.html": document(body), "gsap.min.js": gsap.read_bytes()})


def capture(
    root: Path, body: str, chunks: Sequence[tuple[int, int]], *, workers: int, sequential: bool
) -> dict[int, str]:
    """Digest of every frame of `chunks`, captured in this order by one agent."""
    with support.agent(root) as coordinator:
        bundle = prepare(coordinator, body, workers)
        for number, (start, stop) in enumerate(chunks):
            order = support.order(bundle, start, stop, chunk=f"c{number}")
            coordinator.say(dataclasses.replace(order, spec=spec(bundle, sequential=sequential)))
            is_warming_up = f"warming up 0:{start}" in coordinator.hear(Started).why
            assert is_warming_up == (sequential and start > 0)
            coordinator.hear(Done, DONE_S)
        return {index: file.sha256 for index, file in coordinator.captured().items()}


@pytest.mark.parametrize(
    ("body", "sequential"), [(PURE, False), (PURE + STATEFUL, True)], ids=["independent", "sequential"]
)
def test_frames_are_the_same_however_the_film_is_split(tmp_path: Path, body: str, sequential: bool) -> None:
    def split(name: str, chunks: Sequence[tuple[int, int]], workers: int) -> dict[int, str]:
        return capture(tmp_path / name, body, chunks, workers=workers, sequential=sequential)

    whole = split("whole", [(0, FRAMES)], 1)
    assert len(set(whole.values())) == FRAMES, "every frame is to look different, or nothing is proven"
    assert split("two", [(0, FRAMES)], 2) == whole
    assert split("three", [(16, FRAMES), (0, 8), (8, 16)], 2) == whole
    assert split("range", [(10, 15)], 1) == {frame: whole[frame] for frame in range(10, 15)}


@pytest.mark.parametrize(("body", "expected"), [(PURE, False), (PURE + STATEFUL, True)], ids=["pure", "stateful"])
def test_an_examination_tells_pages_whose_frames_build_on_each_other(tmp_path: Path, body: str, expected: bool) -> None:
    with support.agent(tmp_path) as coordinator:
        bundle = prepare(coordinator, body, 1)
        coordinator.say(Examine(spec(bundle, sequential=False), stepping.samples(FRAMES)))
        assert coordinator.hear(Examined, DONE_S).sequential is expected


def test_a_host_tells_what_its_pages_lack(tmp_path: Path) -> None:
    with support.agent(tmp_path, {}) as coordinator:
        workspace = support.open_workspace(coordinator, workers=2)
        bundle = support.push_bundle(coordinator, workspace, {"index.html": b""})
        coordinator.ask(support.order(bundle), Done)
        assert coordinator.of(Loaded) == [Loaded(())]
