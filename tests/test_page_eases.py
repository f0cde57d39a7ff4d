"""The eases that HyperFrames adds to GSAP: the curves, and that every place where an ease may stand knows them."""

import math
from collections.abc import Callable, Iterator

import pytest
from page_support import Film, PageFault, composition, film, launch
from playwright.sync_api import Browser, sync_playwright

pytestmark = pytest.mark.browser

AT = (0.1, 0.3, 0.5, 0.9)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launch(playwright.chromium)
        yield browser
        browser.close()


def spring(bounce: float) -> Callable[[float], float]:
    def way(p: float) -> float:
        return 1 - math.exp((6 * bounce - 12) * p) * math.cos(math.tau * (1 + 1.5 * bounce) * p)

    return lambda p: way(p) / way(1)


CURVES: dict[str, Callable[[float], float]] = {
    "hold": lambda _: 0,
    "spring(0)": spring(0),
    "spring(0.5)": spring(0.5),
    "spring(7)": spring(1),
    "wiggle(3,easeOut)": lambda p: p + 0.16 * (1 - p) * math.sin(math.tau * 3 * p),
    "wiggle(2, easeInOut, 0.3)": lambda p: p + 0.3 * math.sin(math.pi * p) * math.sin(math.tau * 2 * p),
    "wiggle(1,anticipate)": lambda p: p - 0.12 * (1 - p) * math.sin(math.tau * p),
    "wiggle(4,uniform,0)": lambda p: p,
    "custom(M0,0 C0.5,0.5 0.5,0.5 1,1)": lambda p: p,
    "custom(M0,0 C0,1 1,0 1,1)": lambda p: {0.1: 0.3874, 0.3: 0.4898, 0.5: 0.5, 0.9: 0.6126}[p],
}


def timeline(tween: str) -> str:
    script = f"const tl = gsap.timeline({{paused: true}}); {tween}; window.__timelines = {{main: tl}};"
    return composition(f'<div id="box"></div><script>{script}</script>')


def x(session: Film) -> float:
    return float(session.js("gsap.getProperty('#box', 'x')"))


def test_each_ease_follows_its_curve_and_ends_at_its_ends(browser: Browser) -> None:
    with film(browser, timeline("tl.set('#box', {_auto: 1, x: 1})")) as session:
        for name, curve in CURVES.items():
            shown = session.js(f"[0, 1, {', '.join(map(str, AT))}].map(gsap.parseEase({name!r}))")
            assert shown == pytest.approx([0, 1, *map(curve, AT)], abs=1e-3), name
        assert session.js("gsap.parseEase('power1.in')(0.5)") == 0.25


def test_tweens_and_keyframes_take_them_by_name(browser: Browser) -> None:
    tween = "tl.to('#box', {x: 100, duration: 1, ease: 'spring(0.5)'})"
    keys = "tl.to('#box', {keyframes: [{x: 100, duration: 1, ease: 'wiggle(3,easeOut,0.4)'}, {x: 0, duration: 1}]})"
    for made, curve in ((tween, spring(0.5)), (keys, lambda p: p + 0.4 * (1 - p) * math.sin(math.tau * 3 * p))):
        with film(browser, timeline(made)) as session:
            session.ready()
            session.seek(17)
            assert x(session) == pytest.approx(100 * curve(17 / 30), abs=0.01)


@pytest.mark.parametrize("ease", ["spring(much)", "wiggle(0,easeOut)", "wiggle(2,sideways)", "custom(M0,0 L1,1)"])
def test_a_name_that_says_nothing_is_refused(browser: Browser, ease: str) -> None:
    made = timeline(f"tl.to('#box', {{x: 9, ease: {ease!r}}})")
    with film(browser, made) as session, pytest.raises(PageFault) as caught:
        session.ready()
    assert caught.value.code == "feature_unsupported"
    assert ease in caught.value.message
