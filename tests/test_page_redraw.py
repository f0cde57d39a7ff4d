"""When a frame is drawn from scratch: where Chromium would keep something of the frames drawn before it."""

from collections.abc import Iterator

import page_support as support
import pytest
from playwright.sync_api import Browser, sync_playwright

pytestmark = pytest.mark.browser

# What `act(frame)` does to the elements is done while the frame is sought.
PAGE = """
  <style>
    #outer, #inner, #wide {{ position: absolute; width: 100px; height: 50px; transform-origin: 0 0 }}
    #wide {{ width: 1200px; transform-origin: 50% 0 }}
    #far {{ transform: scale(0.01) }}
  </style>
  <div id="outer"><div id="inner"></div></div><div id="wide"></div>
  <div id="far"><div id="shrunk"></div></div>
  <svg><g id="group"></g></svg>
  <script>
    window.__timelines = {{ main: gsap.timeline({{ paused: true }}) }};
    const place = (element, transform) => {{ element.style.transform = transform }};
    const act = (frame) => {{ {act} }};
    addEventListener("hf-seek", ({{ detail }}) => act(Math.round(detail.time * 30)));
  </script>
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = support.launch(playwright.chromium)
        yield opened
        opened.close()


def redrawn(browser: Browser, act: str, *frames: int) -> list[int]:
    """Which of `frames` are drawn from scratch when they are sought one after the other."""
    with support.film(browser, support.composition(PAGE.format(act=act))) as film:
        film.ready()
        found = []
        before = film.js("document.documentElement.style.willChange")
        for frame in frames:
            film.seek(frame)
            after = film.js("document.documentElement.style.willChange")
            if after != before:
                found.append(frame)
            before = after
        return found


@pytest.mark.parametrize(
    "act",
    [
        pytest.param("", id="nothing is written"),
        pytest.param("place(outer, `translateX(${frame}px)`)", id="it moves by pixels"),
        pytest.param("place(wide, `scale(${1 + frame * 5e-5})`)", id="it grows by little, and its edges move by more"),
        pytest.param("outer.style.opacity = 0.5 + frame / 100", id="it becomes less translucent"),
        pytest.param("outer.style.color = `rgb(${frame} 0 0)`", id="its colour changes"),
        pytest.param(
            "place(outer, `translateX(${10 * frame}px)`); place(inner, `translateX(${9 * frame}px)`)",
            id="it moves along with what it is in",
        ),
        pytest.param(
            "outer.style.visibility = 'hidden'; place(outer, `translateX(${frame * 0.005}px)`)", id="it is not seen"
        ),
        pytest.param(
            "outer.getAnimations().length || outer.animate([{left: 0}, {left: '5px'}], 9000)",
            id="an animation moves nothing by transforms",
        ),
    ],
)
def test_a_frame_that_chromium_draws_by_itself_is_left_to_it(browser: Browser, act: str) -> None:
    # The first places of all elements are news.
    assert redrawn(browser, act, 10, 11, 12, 13, 14) == [10]


@pytest.mark.parametrize(
    "act",
    [
        pytest.param("place(outer, `translateX(${frame * 0.009}px)`)", id="it drifts"),
        pytest.param("place(outer, `scale(${1 + frame * 5e-5})`)", id="it grows by little"),
        pytest.param("place(outer, `rotate(${frame * 5e-5}rad)`)", id="it turns by little"),
        pytest.param("place(outer, `perspective(900px) translateZ(${frame * 0.01}px)`)", id="it comes nearer in space"),
        pytest.param("outer.style.translate = `${frame * 0.01}px`", id="it drifts by its own property"),
        pytest.param("place(shrunk, `translateX(${frame * 0.5}px)`)", id="what it is in makes little of its movement"),
        pytest.param("group.setAttribute('transform', `translate(${frame * 0.01})`)", id="it drifts in a drawing"),
        pytest.param("outer.style.setProperty('--x', frame)", id="a variable changes"),
        pytest.param("outer.className = `at${frame}`", id="a class changes"),
        pytest.param(
            "place(outer, `translateX(${10 * frame}px)`); place(inner, `translateX(${-10.005 * frame}px)`)",
            id="it moves against what it is in",
        ),
        pytest.param(
            "outer.getAnimations().length || outer.animate([{translate: 0}, {translate: '5px'}], 90000)",
            id="an animation is slow",
        ),
    ],
)
def test_a_frame_in_which_chromium_may_overlook_something_is_drawn_from_scratch(browser: Browser, act: str) -> None:
    assert redrawn(browser, act, 10, 11, 12, 13) == [10, 11, 12, 13]


def test_a_frame_after_a_gap_is_drawn_from_scratch(browser: Browser) -> None:
    assert redrawn(browser, "", 3, 4, 9, 10, 11, 20) == [3, 9, 20]


def test_what_becomes_opaque_is_drawn_from_scratch_once(browser: Browser) -> None:
    assert redrawn(browser, "outer.style.opacity = Math.min(1, frame / 13)", 10, 11, 12, 13, 14) == [10, 13]


def test_a_place_is_compared_with_all_at_which_it_may_have_been_drawn(browser: Browser) -> None:
    # 12 is far from 11, and near to 10, which may still be what is drawn.
    steps = "{10: 0, 11: 0.015, 12: -0.01, 13: 1, 14: 2}"
    assert redrawn(browser, f"place(outer, `translateX(${{{steps}[frame]}}px)`)", 10, 11, 12, 13, 14) == [10, 11, 12]
