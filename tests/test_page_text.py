"""Measuring text for authors, held against what the page's own layout says of the same text."""

from collections.abc import Iterator

import pytest
from page_support import Film, composition, film, launch
from playwright.sync_api import Browser, Error, sync_playwright

pytestmark = pytest.mark.browser

WORDS = "The quick brown fox   jumps over the lazy dog, well-known for incomprehensibilities"
FONT = "700 20px sans-serif"
# What a paragraph of the page takes: lines, and the width of the widest.
PARAGRAPH = """(text, font, width) => {
  const box = document.createElement("p");
  box.style.cssText = `margin: 0; position: absolute; overflow-wrap: break-word; text-rendering: geometricPrecision;
    font: ${font}; line-height: 40px; width: ${width}`;
  box.textContent = text;
  document.body.append(box);
  const range = document.createRange();
  range.selectNodeContents(box);
  const widths = [...range.getClientRects()].map(rect => rect.width);
  const found = [box.offsetHeight / 40, Math.max(...widths)];
  box.remove();
  return found;
}"""


@pytest.fixture(scope="module")
def session() -> Iterator[Film]:
    with sync_playwright() as playwright:
        browser: Browser = launch(playwright.chromium)
        # Rules of the page must not reach the measure.
        style = "<style>* { letter-spacing: 9px } p { letter-spacing: 0 }</style>"
        with film(browser, composition("", head=style)) as opened:
            yield opened
        browser.close()


@pytest.mark.parametrize("width", [1, 60, 150, 400, 2000])
def test_lines_are_those_of_the_page(session: Film, width: int) -> None:
    call = f"const p = __hyperframes.pretext, text = p.prepare({WORDS!r}, {FONT!r})"
    lines, widest = session.js(f"({PARAGRAPH})({WORDS!r}, {FONT!r}, '{width}px')")
    layout = session.js(f"(() => {{ {call}; return p.layout(text, {width}, 24) }})()")
    assert layout == {"lineCount": lines, "height": lines * 24}
    stats = session.js(f"(() => {{ {call}; return p.measureLineStats(text, {width}) }})()")
    assert stats == {"lineCount": lines, "maxLineWidth": pytest.approx(widest)}


def test_segments_add_up_to_the_natural_width(session: Film) -> None:
    call = f"const p = __hyperframes.pretext, text = p.prepareWithSegments({WORDS!r}, {FONT!r}, {{letterSpacing: 1}})"
    natural, widths, segments, children = session.js(
        f"(() => {{ {call}; return [p.measureNaturalWidth(text), text.widths, text.segments,"
        " document.querySelectorAll('fleet-text').length] })()"
    )
    assert "".join(segments) == " ".join(WORDS.split())
    assert natural == pytest.approx(sum(widths), abs=2)
    assert children == 0


def test_no_text_takes_no_line_and_a_foreign_handle_is_an_error(session: Film) -> None:
    call = "__hyperframes.pretext.layout(__hyperframes.pretext.prepare('', '20px serif'), 100, 24)"
    assert session.js(call) == {"lineCount": 0, "height": 0}
    with pytest.raises(Error, match=r"pass what prepare\(\)"):
        session.js("__hyperframes.pretext.layout({}, 1, 1)")
