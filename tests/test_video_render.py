"""Videos through the whole program: every frame shows the right frame of its source, wherever it was captured."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import video_support as support
from fleetrender_support import fleetrender

pytestmark = [pytest.mark.browser, pytest.mark.ffmpeg]

FRAMES = 24
SCRIPT = """
const gl = document.getElementById("gl").getContext("webgl2", {preserveDrawingBuffer: true});
const program = gl.createProgram();
for (const [type, source] of [
  [gl.VERTEX_SHADER, "attribute vec2 p; varying vec2 u;" +
    "void main() { u = vec2(p.x * .5 + .5, .5 - p.y * .5); gl_Position = vec4(p, 0, 1); }"],
  [gl.FRAGMENT_SHADER, "precision mediump float; varying vec2 u; uniform sampler2D s;" +
    "void main() { gl_FragColor = texture2D(s, u); }"],
]) {
  const shader = gl.createShader(type);
  gl.shaderSource(shader, source);
  gl.compileShader(shader);
  gl.attachShader(program, shader);
}
gl.linkProgram(program);
gl.useProgram(program);
gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([-1, -1, 3, -1, -1, 3]), gl.STATIC_DRAW);
gl.enableVertexAttribArray(0);
gl.vertexAttribPointer(0, 2, gl.FLOAT, false, 0, 0);
gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
const flat = document.getElementById("flat").getContext("2d");
addEventListener("hf-seek", () => {
  const video = document.getElementById("plain");
  if (video.readyState < 2 || video.videoWidth !== 160) throw new Error("the video says that it has not loaded");
  flat.clearRect(0, 0, 160, 90);
  flat.drawImage(video, 0, 0, 160, 90);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, video);
  gl.drawArrays(gl.TRIANGLES, 0, 3);
});
document.getElementById("plain").play();
"""
# Name -> attributes, and the frame of the source at frame n of the film, at 12 frames a second; None shows nothing.
VIDEOS: dict[str, tuple[str, Callable[[int], int | None]]] = {
    "plain": ('data-start="0" data-duration="2"', lambda n: n),
    "trim": ('data-start="0" data-duration="2" data-media-start="0.5"', lambda n: min(n + 6, 23)),
    "fast": ('data-start="0" data-duration="2" data-playback-rate="2"', lambda n: min(2 * n, 23)),
    "loop": ('data-start="0" data-duration="2" data-media-start="1.5" loop', lambda n: 18 + n % 6),
    "late": ('data-start="0.7" data-duration="0.5"', lambda n: n - 9 if 9 <= n < 15 else None),
}
CANVASES = {"flat": VIDEOS["plain"][1], "gl": VIDEOS["plain"][1]}


def box(index: int) -> tuple[int, int, int, int]:
    return 160 * (index % 3), 90 * (index // 3), 160, 90


def project(folder: Path) -> Path:
    folder.mkdir()
    support.clip(folder / "clip.mp4", FRAMES, fps="12")
    names = [*VIDEOS, *CANVASES]
    place = {name: "left:{}px;top:{}px".format(*box(names.index(name))) for name in names}
    videos = [
        f'<video id="{name}" muted src="clip.mp4" {attributes} style="{place[name]}"></video>'
        for name, (attributes, _) in VIDEOS.items()
    ]
    canvases = [f'<canvas id="{name}" width="160" height="90" style="{place[name]}"></canvas>' for name in CANVASES]
    # No width and no height: the size must come from the pictures.
    (folder / "index.html").write_text(
        "<!doctype html><style>body { margin: 0; background: #345 } video, canvas { position: absolute }</style>"
        '<div data-composition-id="main" data-no-timeline data-start="0" data-duration="2" data-fps="12" '
        f'data-width="480" data-height="270">{"".join(videos + canvases)}</div><script>{SCRIPT}</script>'
    )
    return folder


def test_every_frame_shows_the_right_frame_of_each_video_however_the_film_is_split(tmp_path: Path) -> None:
    film = project(tmp_path / "film")
    split = fleetrender(
        tmp_path, "run", film, "--workers", "2", "--chunk-frames", "8", "--keep", "--json", "-o", "a.mp4"
    )
    assert split.code == 0, split.stderr
    (run,) = (tmp_path / "state" / "runs").iterdir()
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    starts = {event["chunk"]: event["frames"]["start"] for event in events if event["type"] == "chunk.ordered"}
    assert len(starts) == 3
    seen = [{name: value(n) for name, (_, value) in VIDEOS.items()} for n in range(FRAMES)]
    for n, wanted in enumerate(seen):
        wanted |= {name: value(n) for name, value in CANVASES.items()}
    found = [dict[str, int | None]() for _ in range(FRAMES)]
    for chunk, start in starts.items():
        files = sorted((run / "chunks" / chunk).iterdir())
        assert [file.name for file in files] == [f"frame_{number:06d}.jpg" for number in range(len(files))]
        boxes = [box(index) for index in range(len(seen[0]))]
        for number, shown in enumerate(support.numbers(files, boxes, width=480, height=270), start):
            found[number] = dict(zip(seen[0], shown, strict=True))
    assert found == seen
    whole = fleetrender(tmp_path, "run", film, "--workers", "1", "--json", "-o", "b.mp4")
    assert whole.code == 0, whole.stderr
    assert whole.result["sha256"] == split.result["sha256"]
