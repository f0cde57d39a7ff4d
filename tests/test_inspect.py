"""`fleetrender inspect`: one screen of facts and findings, or the same as JSON."""

import json
import subprocess
from pathlib import Path

import composition_support as support
import pytest
from fleetrender_support import ROOT, Ended, command, environment
from media_support import ffmpeg

from fleet import inspect_view, inspection
from fleet.composition import contents, lint, project

ROOT_ELEMENT = '<div data-composition-id="m" data-width="320" data-height="180" data-duration="2" data-fps="24">'
WARNED = '\n<p data-start="0" data-duration="1s">'
BROKEN = '\n<audio src="tone.mp3"></audio>' + WARNED


def run(tmp_path: Path, body: str, *arguments: str) -> Ended:
    """Inspects a project with this body on a terminal of 80 columns."""
    folder = support.write(tmp_path / "project", {"index.html": support.page(body, root=ROOT_ELEMENT)})
    done = subprocess.run(
        command("inspect", folder, *arguments),
        cwd=tmp_path,
        env=environment(tmp_path) | {"PYTHONPATH": str(ROOT), "COLUMNS": "80"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def test_facts_and_findings_fit_on_a_narrow_screen(tmp_path: Path) -> None:
    ended = run(tmp_path, WARNED)
    assert ended.code == 0, ended.stderr
    lines = [line.rstrip() for line in ended.stdout.splitlines()]
    assert max(map(len, lines)) <= 80
    assert "size         320x180" in lines
    assert "length       2 s, as its root says" in lines
    assert "frames       48 at 24 fps" in lines
    assert "warning  index.html:2: data-duration='1s' is no number and counts as absent" in lines
    assert lines[-1] == "ready to render: 1 warning"


def test_an_error_ends_with_its_exit_code_and_what_else_is_wrong_is_told_too(tmp_path: Path) -> None:
    ended = run(tmp_path, BROKEN, "--json")
    assert ended.code == 4
    told = json.loads(ended.stdout)
    assert (told["ok"], told["render"]) == (False, None)
    assert [(each["severity"], each["where"]) for each in told["findings"]] == [
        ("error", "index.html:2"),
        ("warning", "index.html:3"),
    ]


@pytest.mark.ffmpeg
@pytest.mark.parametrize("has_header", [False, True], ids=["empty", "without its pictures"])
def test_a_video_that_does_not_decode_is_found_with_its_place(tmp_path: Path, has_header: bool) -> None:
    clip = tmp_path / "project" / "clip.mp4"
    clip.parent.mkdir()
    coding = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-movflags", "+faststart"]
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x48:d=1", *coding, str(clip))
    whole = clip.read_bytes()
    pictures = whole.index(b"mdat") + 4
    clip.write_bytes(whole[:pictures] + b"\0" * (len(whole) - pictures) if has_header else b"")
    ended = run(tmp_path, '\n<video src="clip.mp4" muted data-start="0" data-duration="1"></video>', "--json")
    told = json.loads(ended.stdout)["findings"]
    assert [(each["code"], each["where"]) for each in told if each["code"].startswith("video")] == [
        ("video-blank", "index.html:2")
    ]


def test_strictness_turns_a_warning_into_a_failure(tmp_path: Path) -> None:
    source = project.locate(support.write(tmp_path, {"index.html": support.page(WARNED)}))
    held = contents.look(lint.pages(source))
    inspected = inspection.Inspected(name="x", contents=held, render=None, findings=lint.run(source))
    assert (inspected.stops(strict=False), inspected.stops(strict=True)) == (False, True)
    assert inspect_view.verdict(inspected, strict=True) == "this cannot be rendered: 1 warning"


def test_contents_are_counted_as_written(tmp_path: Path) -> None:
    body = """<p style="filter: blur(2px)"></p><p style="backdrop-filter:none;mix-blend-mode:screen"></p>
        <canvas></canvas>
        <style>@keyframes a{} .b{--filter:1}</style><script src="https://cdn.example/three@0.1/three.min.js"></script>
        <script>window.addEventListener("hf-seek", draw); document.createElement('canvas')</script>"""
    source = project.locate(support.write(tmp_path, {"index.html": support.page(body)}))
    held = contents.look(lint.pages(source))
    assert held == contents.Contents(
        pages=("index.html",),
        scripts=("https://cdn.example/three@0.1/three.min.js",),
        adapters=("css", "three", "hf-seek"),
        elements=4,
        clips=0,
        canvases=2,
        filters=2,
        blends=1,
    )
    inspected = inspection.Inspected(name="x", contents=held, render=None, findings=())
    assert inspection.costs(inspected) == ("2 CSS filters", "1 blend mode", "2 canvas elements")
    assert inspect_view.verdict(inspected, strict=True) == "ready to render: nothing to say"


def test_fonts_are_those_that_the_document_brings() -> None:
    face = '@font-face{{font-family:"{}";font-weight:{};src:url(data:x)}}'
    sheet = "".join(face.format(*each) for each in (("B", "700"), ("A", "100 900"), ("B", "400")))
    assert contents.fonts(f"<style>{sheet}</style>") == ("A 100-900", "B 400 700")


def test_sizes_are_told_in_units_that_one_can_read() -> None:
    assert [inspect_view.size(count) for count in (0, 1023, 1024, 3 << 20)] == ["0 B", "1023 B", "1 KiB", "3.0 MiB"]
