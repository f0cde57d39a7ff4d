"""Text in the real browser: no empty boxes, and no pixel by a host's own fonts."""

from fractions import Fraction
from pathlib import Path

import browser_support as support
import composition_support
import pytest
from composition_support import NEEDS_NPM

from capture import page, png
from capture.protocol import CaptureMode
from fleet import composition

pytestmark = pytest.mark.browser

CELL = 40
# Japanese, Arabic, Thai, Russian, Greek, Vietnamese, symbols and emoji.
CHARACTERS = "\u65e5\u672c\u3042\u0645\u0634\u0e2a\u0416\u03a9\u1ebf\u2713\u2605\U0001f389\U0001f600"
STYLE = """<style>body{margin:0;background:#fff;font:30px Inter, sans-serif} .last{font-weight:800}
b{position:absolute;width:40px;height:40px;overflow:hidden;line-height:40px;font-weight:400}</style>"""
NO_FONTS = '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig></fontconfig>'


def cells() -> str:
    """A page with each character in a square of its own."""
    places = [(index % 8 * CELL, index // 8 * CELL) for index in range(len(CHARACTERS))]
    return "".join(f'<b style="left:{x}px;top:{y}px">{c}</b>' for (x, y), c in zip(places, CHARACTERS, strict=True))


def still(tmp_path: Path, name: str, document: str) -> bytes:
    directory = support.bundle(tmp_path / name, document)
    with support.session(directory, CaptureMode.BEGIN_FRAME) as opened:
        opened.open(support.RUNTIME)
        ((_, picture),) = opened.capture([0])
    return picture


def compiled(tmp_path: Path, body: str) -> str:
    script = "<script>window.draw = () => {}</script>"
    files = {"index.html": composition_support.page(body + script, head=STYLE)}
    composition_support.write(tmp_path / "project", files)
    return composition.read(tmp_path / "project", variables={}, cache=composition_support.CACHE).document


@NEEDS_NPM
def test_every_character_has_a_shape_of_its_own(tmp_path: Path) -> None:
    rows = png.rows(still(tmp_path, "cells", compiled(tmp_path, cells())))
    shapes = [
        tuple(tuple(row[x : x + CELL]) for row in rows[y : y + CELL])
        for y, x in ((index // 8 * CELL, index % 8 * CELL) for index in range(len(CHARACTERS)))
    ]
    white = tuple((((255, 255, 255),) * CELL,) * CELL)
    assert white not in shapes
    assert len(set(shapes)) == len(CHARACTERS)  # empty boxes all look the same


@NEEDS_NPM
def test_fonts_of_the_host_decide_no_pixel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Unstyled, generic and unknown to everyone: what a host would draw with a font of its own.
    body = '<p>Inter</p><p id="p">generic</p><p style="font:20px DejaVu Sans">DejaVu</p><pre>pre</pre>'
    late = "<script>p.setAttribute('style', 'font-family:serif'); document.title = '\u2603'</script>"
    document = compiled(tmp_path, body + late) + '<i style="font:20px serif">\u0429 beyond the document</i>'
    pictures = [still(tmp_path, "usual", document)]
    (tmp_path / "fonts.conf").write_text(NO_FONTS)
    monkeypatch.setenv("FONTCONFIG_FILE", str(tmp_path / "fonts.conf"))
    pictures.append(still(tmp_path, "fontless", document))
    assert pictures[0] == pictures[1]
    assert len({pixel for row in png.rows(pictures[1]) for pixel in row}) > 8


MEASURES = """<p id="p" style="display:inline-block;font-size:30px">measured</p><script>
const made = document.createElement("b");
made.textContent = "measured";
made.style.cssText = "font-weight:800;display:inline-block";
document.body.append(made);
const context = document.createElement("canvas").getContext("2d");
context.font = "800 72px Inter";
const drawn = () => context.measureText("measured").width;
const widths = () => [...[p, made].map((text) => text.getBoundingClientRect().width), drawn()].join();
const early = widths();
window.addEventListener("hf-seek", () => {
  document.body.replaceChildren();
  document.body.style.background = early === now ? "#0000ff" : "#ff0000";
});
document.fonts.ready.then(() => (now = widths()));
let now = "";
</script>"""


@NEEDS_NPM
def test_a_script_that_measures_text_at_load_sees_its_font(tmp_path: Path) -> None:
    directory = support.bundle(tmp_path / "measures", compiled(tmp_path, MEASURES))
    config = page.PageConfig(fps=Fraction(30), duration_s=Fraction(2), width=support.SIZE[0], height=support.SIZE[1])
    with support.session(directory, CaptureMode.BEGIN_FRAME) as opened:
        opened.open(page.source(config))
        ((_, picture),) = opened.capture([0])
    assert {pixel for row in png.rows(picture) for pixel in row} == {(0, 0, 255)}
