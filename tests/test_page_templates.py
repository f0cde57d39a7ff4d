"""Compositions that are mounted inside the page, and the variables that compositions are given."""

from collections.abc import Iterator
from typing import Any

import pytest
from page_support import Film, composition, film, launch
from playwright.sync_api import Browser, sync_playwright

pytestmark = pytest.mark.browser

HOST = '[data-composition-id="scene"]'
BOX = f"{HOST}:not(:has([data-hf-inner-root])), {HOST} > [data-hf-inner-root]"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launch(playwright.chromium)
        yield browser
        browser.close()


def mounted(
    content: str, hosts: str = '<div data-composition-id="scene" data-start="0.5" data-duration="1"></div>'
) -> str:
    template = f'<template id="scene-template">{content}</template>'
    root = "<script>window.__timelines.main = gsap.timeline({paused: true})</script>"
    return composition(f"{hosts}{template}{root}")


@pytest.mark.parametrize(
    ("css", "scoped"),
    [
        ("p, .a > .b:is(i, b) { color: red; }", f"{HOST} p, {HOST} .a > .b:is(i, b) {{ color: red; }}"),
        ("body { color: red; }", f"{BOX} {{ color: red; }}"),
        (f'{HOST}[data-start="0"] {{ color: red; }}', f"{BOX} {{ color: red; }}"),
        (f"{HOST} .a {{ color: red; }}", f"{HOST} .a {{ color: red; }}"),
        ("* { color: red; }", "* { color: red; }"),
        (
            '#own .a, [href="#own"], #owner { color: red; }',
            f'{HOST} [data-hf-authored-id="own"] .a, {HOST} [href="#own"], {HOST} #owner {{ color: red; }}',
        ),
        ("@media all { p { color: red; } }", f"@media all {{ {HOST} p {{ color: red; }} }}"),
        ("@keyframes k { 0% { color: red; } }", "@keyframes k { 0% { color: red; } }"),
    ],
)
def test_css_of_a_mounted_composition_stays_inside_its_host(browser: Browser, css: str, scoped: str) -> None:
    html = mounted(f'<style>{css}</style><div id="own" data-composition-id="scene"></div>')
    with film(browser, html) as session:
        session.js("setTimeout(() => window.__timelines.scene = gsap.timeline({paused: true}), 0)")
        session.ready()
        rules: str = session.js("[...document.head.querySelector('style').sheet.cssRules].map((r) => r.cssText).join()")
        assert " ".join(rules.split()) == scoped


SCENE = (
    '<style>.dot { width: 10px; height: 10px; }</style><div id="own" data-composition-id="scene" data-width="100" '
    'data-composition-variables=\'[{"id":"word","type":"string","default":"hello"}]\'><b class="dot"></b></div>'
    "<script>var leaked = 1; const tl = gsap.timeline({paused: true});"
    "tl.to('.dot', {x: 60, duration: 2, ease: 'none'});"
    "document.querySelector('#own').dataset.word = window.__hyperframes.getVariables().word;"
    "document.getElementById('own').dataset.same = document.querySelectorAll('.dot').length;"
    "window.__timelines = window.__timelines || {}; window.__timelines['scene'] = tl;</script>"
)


def test_a_template_is_mounted_and_plays_in_its_hosts_window(browser: Browser) -> None:
    with film(browser, mounted(SCENE)) as session:
        assert session.ready()["warnings"] == []
        session.seek(30)
        inner = "document.querySelector('[data-hf-inner-root]')"
        assert session.js("gsap.getProperty('.dot', 'x')") == 15
        assert session.js(f"[{inner}.dataset.hfAuthoredId, {inner}.dataset.word, {inner}.style.width]") == [
            "own",
            "hello",
            "100px",
        ]
        assert session.js("typeof leaked") == "undefined"


def test_one_template_mounted_twice_is_two_compositions(browser: Browser) -> None:
    hosts = (
        '<div id="one" data-composition-id="scene" data-start="0" data-duration="1"></div>'
        '<div id="two" data-composition-id="scene" data-start="1" data-duration="1" '
        'data-variable-values=\'{"word": "bye"}\'></div>'
    )
    with film(browser, mounted(SCENE, hosts)) as session:
        assert session.ready()["warnings"] == []
        session.seek(45)
        assert session.js("[...document.querySelectorAll('.dot')].map((dot) => gsap.getProperty(dot, 'x'))") == [45, 15]
        assert session.js("[one.dataset.compositionId, two.dataset.compositionId]") == ["scene__hf1", "scene__hf2"]
        words = "[...document.querySelectorAll('[data-hf-inner-root]')].map((e) => e.dataset.word + e.dataset.same)"
        assert session.js(words) == ["hello1", "bye1"]


def test_a_scene_with_a_broken_script_is_reported_and_the_others_play(browser: Browser) -> None:
    broken = '<div data-composition-id="scene" data-no-timeline></div><script>nonsense()</script>'
    with film(browser, mounted(broken)) as session:
        said = session.ready()["warnings"]
        assert {"code": "page_error", "message": "composition scene: nonsense is not defined"} in said


DECLARED = '[{"id":"accentColor","type":"color","default":"red"},{"id":"title","type":"string","default":"Title"}]'


def variables_page(overrides: str = "{}") -> str:
    head = f"<script>window.__hfVariables = {overrides}</script>"
    body = (
        "<script>window.got = __hyperframes.getVariables()</script>"
        '<h1 id="h" data-var-text="title">old<i>kept</i></h1><p id="p" style="color: var(--accentcolor)">p</p>'
        "<script>window.__timelines.main = gsap.timeline({paused: true})</script>"
    )
    return composition(body, head=head, attributes=f"data-composition-variables='{DECLARED}'")


def values(session: Film) -> list[Any]:
    found: list[Any] = session.js("[got, h.innerHTML, getComputedStyle(p).color]")
    return found


def test_variables_have_their_declared_defaults(browser: Browser) -> None:
    with film(browser, variables_page()) as session:
        session.ready()
        assert values(session) == [
            {"accentColor": "red", "title": "Title"},
            "Title<i>kept</i>",
            "rgb(255, 0, 0)",
        ]


def test_overrides_win_everywhere(browser: Browser) -> None:
    with film(browser, variables_page('{"accentColor": "blue; x", "title": "New"}')) as session:
        session.ready()
        assert values(session)[1] == "New<i>kept</i>"
        assert session.js("getComputedStyle(root).getPropertyValue('--accentcolor')") == "blue x"


def test_text_is_fitted_in_steps(browser: Browser) -> None:
    with film(browser, variables_page()) as session:
        wide = session.js("__hyperframes.fitTextFontSize('word '.repeat(400))")
        assert wide == {"fontSize": 42, "fits": False}
        assert session.js("__hyperframes.fitTextFontSize('word')") == {"fontSize": 78, "fits": True}
