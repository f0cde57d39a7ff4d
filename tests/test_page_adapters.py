"""Every adapter against its fixture: the page says what it shows and what it should show, in numbers."""

from collections.abc import Iterator
from typing import Any

import pytest
from page_support import film, launch
from playwright.sync_api import Browser, sync_playwright

pytestmark = pytest.mark.browser

# Fixture, and the adapter it must have been seen by; None: the clock alone moves it.
FIXTURES = {
    "anime": "anime",
    "anime4": "anime",
    "css": "css",
    "d3": "d3",
    "gsap": "gsap",
    "iframe": None,
    "lottie": "lottie",
    "raf": None,
    "smil": "smil",
    "three": "three",
    "waapi": "waapi",
}
LAST = 59


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launch(playwright.chromium)
        yield browser
        browser.close()


def visit(browser: Browser, fixture: str, *frames: int) -> list[list[float]]:
    """What the fixture shows at each of `frames`, in one fresh session."""
    with film(browser, f"{fixture}.html") as session:
        session.ready()
        seen: list[list[float]] = []
        for frame in frames:
            session.seek(frame)
            seen.append(session.js("probe()"))
        return seen


def expected(browser: Browser, fixture: str, *frames: int) -> list[Any]:
    with film(browser, f"{fixture}.html") as session:
        return [session.js(f"expected({frame} / 30)") for frame in frames]


@pytest.mark.parametrize("fixture", FIXTURES)
def test_it_shows_each_frame_where_it_belongs(browser: Browser, fixture: str) -> None:
    frames = (0, 1, 17, LAST)
    seen = visit(browser, fixture, *frames)
    for shown, wanted in zip(seen, expected(browser, fixture, *frames), strict=True):
        assert shown == pytest.approx(wanted, abs=0.51 if fixture == "three" else 1e-3)
    assert visit(browser, fixture, 0) == seen[:1]
    assert visit(browser, fixture, LAST) == seen[-1:]


@pytest.mark.parametrize("fixture", FIXTURES)
def test_stepping_and_a_direct_seek_agree(browser: Browser, fixture: str) -> None:
    assert visit(browser, fixture, *range(18))[-1] == visit(browser, fixture, 17)[0]


@pytest.mark.parametrize("fixture", FIXTURES)
def test_ready_names_the_adapter_that_found_it(browser: Browser, fixture: str) -> None:
    with film(browser, f"{fixture}.html") as session:
        said = session.ready()
        adapter = FIXTURES[fixture]
        assert adapter is None or adapter in said["adapters"]
        assert [warning["code"] for warning in said["warnings"]] == (["frame_loop"] if fixture == "raf" else [])
