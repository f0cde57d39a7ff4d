"""The page runtime in a real Chromium: clock, visibility, timelines, readiness, and what it refuses."""

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from page_support import BEGIN_FRAME_FLAGS, CONFIG, FLAGS, Film, PageFault, composition, film, launch, with_fps
from playwright.sync_api import Browser, sync_playwright

from capture import page as page_runtime

pytestmark = pytest.mark.browser

BOX = '<div id="box" style="width:20px;height:20px;background:red"></div>'
TIMELINE = "const tl = gsap.timeline({paused: true}); tl.to('#box', {x: 60, duration: 2, ease: 'none'})"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launch(playwright.chromium)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def begin_frame_browser(browser: Browser) -> Iterator[Browser]:
    controlled = launch(browser.browser_type, FLAGS + BEGIN_FRAME_FLAGS)
    yield controlled
    controlled.close()


def animated(script: str, body: str = BOX, **rest: Any) -> str:
    """A composition whose root timeline `tl` is built by `script`."""
    register = "window.__timelines = window.__timelines || {}; window.__timelines['main'] = tl;"
    return composition(f"{body}<script>const tl = gsap.timeline({{paused: true}});{script};{register}</script>", **rest)


def x_of(session: Film, selector: str = "#box") -> float:
    value: float = session.js(f"gsap.getProperty('{selector}', 'x')")
    return value


def shown(session: Film, *selectors: str) -> list[bool]:
    return [
        session.js(
            "(s) => { const e = document.querySelector(s); const c = getComputedStyle(e);"
            "return c.visibility === 'visible' && e.getClientRects().length > 0 }".replace("(s)", f"(s = '{selector}')")
        )
        for selector in selectors
    ]


def test_ready_says_length_warnings_and_adapters(browser: Browser) -> None:
    with film(browser, animated("tl.to('#box', {x: 60, duration: 2})")) as session:
        assert session.ready() == {"duration_s": 2, "warnings": [], "adapters": ["css", "gsap", "waapi"]}


def test_time_comes_from_the_absolute_frame_and_the_exact_rate(browser: Browser) -> None:
    ntsc = with_fps(Fraction(30000, 1001))
    with film(browser, animated("tl.to('#box', {x: 2, duration: 2, ease: 'none'})"), config=ntsc) as session:
        session.ready()
        session.seek(15)
        assert session.js("__hf.duration") == 2
        assert session.js("performance.now()") == 15 * 1001 / 30000 * 1000
        assert x_of(session) == pytest.approx(0.5005, abs=1e-3)


def test_source_is_one_script_that_knows_the_render(browser: Browser) -> None:
    text = page_runtime.source(CONFIG)
    assert '"fpsNumerator": 30' in text
    positions = [text.index(f"fleet.{name} = ") for name in ("clock", "random", "timeline", "seek", "ready")]
    assert positions == sorted(positions)
    names = [f'name: "{name}"' for name in ("anime", "css", "d3", "gsap", "lottie", "smil", "three", "waapi")]
    assert [text.index(name) for name in names] == sorted(text.index(name) for name in names)


def test_the_page_cannot_see_the_runtime_by_enumeration(browser: Browser) -> None:
    with film(browser, animated("")) as session:
        assert session.js("Object.keys(window).includes('__fleet')") is False
        assert session.js("typeof fleet") == "undefined"


# Clips


def test_a_clip_shows_from_its_start_to_before_its_end(browser: Browser) -> None:
    body = '<div id="clip" data-start="0.5" data-duration="0.5">clip</div>'
    with film(browser, animated("", body)) as session:
        session.ready()
        seen = []
        for frame in (0, 14, 15, 29, 30, 59):
            session.seek(frame)
            seen.append(shown(session, "#clip")[0])
        assert seen == [False, False, True, True, False, False]


def test_starts_that_add_up_to_a_frame_begin_at_it(browser: Browser) -> None:
    body = '<div data-composition-id="scene" data-start="0.1"><p id="in" data-start="0.2">in</p></div>'
    with film(browser, animated("window.__timelines.scene = gsap.timeline({paused: true})", body)) as session:
        session.ready()
        seen = []
        for frame in (8, 9):
            session.seek(frame)
            seen.append(shown(session, "#in")[0])
        assert 0.1 + 0.2 > 0.3
        assert seen == [False, True]


def test_the_root_is_held_when_the_film_lasts_longer_than_its_timeline(browser: Browser) -> None:
    page = animated("tl.to('#box', {x: 30, duration: 1})").replace("data-duration=", "data-composition-duration=")
    with film(browser, page) as session:
        session.ready()
        session.seek(45)
        assert shown(session, "#root", "#box") == [True, True]


def test_tweens_of_nested_scenes_with_one_target_begin_from_where_it_stood_first(browser: Browser) -> None:
    inner = '<div data-composition-id="inner" data-start="0.5" data-duration="1"><b class="dot">dot</b></div>'
    body = f'<div data-composition-id="outer" data-start="0" data-duration="2">{inner}</div>'
    line = "window.__timelines.{0} = gsap.timeline({{paused: true}}).to('.dot', {{x: 60, duration: 1, ease: 'none'}});"
    with film(browser, animated(line.format("outer") + line.format("inner"), body)) as session:
        session.ready()
        session.seek(*range(31))
        assert x_of(session, ".dot") == 30


def test_where_tweens_of_one_target_overlap_the_later_one_wins(browser: Browser) -> None:
    tweens = "tl.to('#box', {x: 90, duration: 1, ease: 'none'}).to('#box', {x: 0, duration: 1, ease: 'none'}, 0.5)"
    with film(browser, animated(tweens)) as session:
        session.ready()
        session.seek(*range(25))
        assert x_of(session, "#box") == pytest.approx(45 * 0.7)


def test_a_transition_runs_while_a_timeline_moves_its_end(browser: Browser) -> None:
    body = '<div id="box" style="transition: transform 1s linear">box</div>'
    with film(browser, animated("tl.to('#box', {y: 300, duration: 1, ease: 'none'})", body)) as session:
        session.ready()
        session.seek(*range(16))
        at = [session.js("new DOMMatrix(getComputedStyle(box).transform).f")]
        session.seek(*range(16, 61))
        at.append(session.js("new DOMMatrix(getComputedStyle(box).transform).f"))
        assert 15 < at[0] < 60
        assert at[1] == pytest.approx(300)


def test_a_clip_outside_its_ancestors_window_stays_hidden(browser: Browser) -> None:
    body = '<div id="out" data-start="0" data-duration="1">out<p id="in" data-start="0" data-duration="2">in</p></div>'
    with film(browser, animated("", body)) as session:
        session.ready()
        session.seek(15)
        assert shown(session, "#out", "#in") == [True, True]
        session.seek(30)
        assert shown(session, "#out", "#in") == [False, False]


def test_what_its_author_made_visible_hides_with_its_clip(browser: Browser) -> None:
    inner = '<p id="in" style="visibility: visible">in</p><p id="plain">plain</p>'
    body = f'<div id="clip" data-start="0" data-duration="0.5">{inner}</div>'
    with film(browser, animated("tl.set('#plain', {visibility: 'visible'}, 0.1)", body)) as session:
        session.ready()
        seen = []
        for frame in (10, 20, 11):
            session.seek(frame)
            seen.append(shown(session, "#in", "#plain"))
        assert seen == [[True, True], [False, False], [True, True]]


def test_the_still_of_a_video_has_its_box_with_its_border(browser: Browser) -> None:
    style = "position:absolute;left:10px;top:20px;width:100px;height:50px;border:8px solid rgb(255, 0, 0)"
    body = f'<video data-hf-render-id="v" data-start="0" data-duration="1" style="{style}"></video>'
    with film(browser, animated("", body)) as session:
        session.ready()
        session.seek(1)
        still = "document.querySelector('video').nextElementSibling"
        box = session.js(f"JSON.parse(JSON.stringify({still}.getBoundingClientRect()))")
        assert [box[name] for name in ("x", "y", "width", "height")] == [10, 20, 116, 66]
        assert session.js(f"getComputedStyle({still}).border") == "8px solid rgb(255, 0, 0)"
        assert session.js(f"getComputedStyle({still}).visibility") == "visible"


def test_a_hidden_leaf_in_flow_leaves_the_flow(browser: Browser) -> None:
    body = '<section><p id="a" data-start="0" data-duration="1">a</p><p id="b" data-start="1">b</p></section>'
    with film(browser, animated("", body)) as session:
        session.ready()
        session.seek(0)
        top = session.js("a.offsetTop")
        session.seek(30)
        assert session.js("[getComputedStyle(a).display, b.offsetTop]") == ["none", top]


def test_data_hidden_hides_and_gives_the_display_back(browser: Browser) -> None:
    body = '<div id="clip" data-start="0" style="display:flex" data-hidden>clip</div>'
    with film(browser, animated("", body)) as session:
        session.ready()
        session.seek(0)
        assert session.js("clip.style.display") == "none"
        session.js("clip.removeAttribute('data-hidden')")
        session.seek(1)
        assert session.js("clip.style.display") == "flex"


@pytest.mark.parametrize(
    ("start", "first_frame"),
    [("0.5", 15), ("intro", 30), ("intro + 0.5", 45), ("intro - 0.5", 15), ("nobody", 0), ("me", 0)],
)
def test_a_start_may_refer_to_the_end_of_another_clip(browser: Browser, start: str, first_frame: int) -> None:
    body = f'<p id="intro" data-start="0" data-duration="1">i</p><p id="me" data-start="{start}">m</p>'
    with film(browser, animated("", body)) as session:
        session.ready()
        session.seek(first_frame)
        assert shown(session, "#me") == [True]
    if first_frame:
        with film(browser, animated("", body)) as session:
            session.ready()
            session.seek(first_frame - 1)
            assert shown(session, "#me") == [False]


def test_starts_inside_a_host_count_from_the_host(browser: Browser) -> None:
    body = (
        '<div id="host" data-composition-id="scene" data-no-timeline data-start="1" data-duration="1">'
        '<p id="inner" data-start="0.5" data-duration="0.25">inner</p></div>'
    )
    with film(browser, animated("", body)) as session:
        session.ready()
        assert session.js("[host.dataset.duration ?? null, host.dataset.hfAuthoredDuration]") == [None, "1"]
        session.seek(44)
        assert shown(session, "#host", "#inner") == [True, False]
        session.seek(45)
        assert shown(session, "#host", "#inner") == [True, True]
        session.seek(53)
        assert shown(session, "#inner") == [False]


def test_the_root_gets_its_size_and_its_children_a_place(browser: Browser) -> None:
    body = '<div id="clip" data-start="0">text</div><div id="plain">plain</div>'
    with film(browser, animated("", body)) as session:
        session.ready()
        assert session.js("[root.style.width, root.style.height, root.style.position, root.style.overflow]") == [
            "320px", "180px", "relative", "hidden",
        ]  # fmt: skip
        assert session.js("root.style.getPropertyValue('--comp-width')") == "320px"
        assert session.js("[getComputedStyle(clip).position, getComputedStyle(plain).position]") == [
            "absolute",
            "static",
        ]
        assert session.js("[getComputedStyle(document.body).margin, document.body.style.overflow]") == ["0px", "hidden"]


# Timelines


def test_the_last_state_is_held_past_the_timelines_end(browser: Browser) -> None:
    with film(browser, animated("tl.from('#box', {x: 100, duration: 1})")) as session:
        session.ready()
        session.seek(59)
        assert x_of(session) == 0


def test_a_from_tween_is_in_place_on_the_first_frame(browser: Browser) -> None:
    with film(browser, animated("tl.from('#box', {x: 100, duration: 1, ease: 'none'})")) as session:
        session.ready()
        session.seek(0)
        assert x_of(session) == 100


def test_a_set_at_time_zero_is_applied_on_the_first_frame(browser: Browser) -> None:
    with film(browser, animated("tl.set('#box', {x: 7}, 0); tl.to('#box', {x: 9, duration: 1}, 1)")) as session:
        session.ready()
        session.seek(0)
        assert x_of(session) == 7


def test_a_timeline_of_sets_alone_renders(browser: Browser) -> None:
    with film(browser, animated("tl.set('#box', {x: 7}, 0)")) as session:
        session.ready()
        session.seek(0)
        assert x_of(session) == 7


def test_calls_up_to_the_first_frame_fire_in_order_and_once(browser: Browser) -> None:
    script = "window.log = []; for (const at of [1.2, 0.4, 0.8, 1.9]) tl.call(() => log.push(at), null, at)"
    with film(browser, animated(script)) as session:
        session.ready()
        assert session.js("log") == []
        session.seek(40)
        assert session.js("log") == [0.4, 0.8, 1.2]
        session.seek(41, 59)
        assert session.js("log") == [0.4, 0.8, 1.2, 1.9]


CHILD = (
    '<div id="host" data-composition-id="scene" data-start="1" data-duration="1"><i id="inner">i</i></div>'
    "<script>{ const child = gsap.timeline({paused: true}); child.to('#inner', {x: 30, duration: 1, ease: 'none'});"
    "window.__timelines['scene'] = child }</script>"
)


def test_a_childs_timeline_starts_with_its_host(browser: Browser) -> None:
    with film(browser, animated("tl.to('#box', {x: 60, duration: 2, ease: 'none'})", BOX + CHILD)) as session:
        session.ready()
        session.seek(15)
        assert (x_of(session), x_of(session, "#inner")) == (15, 0)
        session.seek(45)
        assert (x_of(session), x_of(session, "#inner")) == (45, 15)


def test_children_alone_make_the_film(browser: Browser) -> None:
    with film(browser, composition(CHILD.replace("<script>", "<script>window.__timelines ||= {};"))) as session:
        said = session.ready()
        assert [warning["code"] for warning in said["warnings"]] == ["timeline_missing"]
        session.seek(45)
        assert x_of(session, "#inner") == 15


def test_a_child_with_a_rate_and_an_in_point_plays_at_its_own_pace(browser: Browser) -> None:
    child = CHILD.replace('data-duration="1"', 'data-duration="1" data-playback-rate="0.5" data-media-start="0.25"')
    with film(browser, animated("tl.to('#box', {x: 60, duration: 2})", BOX + child)) as session:
        session.ready()
        session.seek(31, 45)
        assert x_of(session, "#inner") == 15


def test_a_late_timeline_is_waited_for_and_bound(browser: Browser) -> None:
    script = f"setTimeout(() => {{ {TIMELINE}; window.__timelines['main'] = tl }}, 700)"
    with film(browser, composition(f"{BOX}<script>{script}</script>")) as session:
        assert session.ready()["warnings"] == []
        session.seek(30)
        assert x_of(session) == 30


def test_the_array_form_of_the_registry_is_understood(browser: Browser) -> None:
    with film(browser, composition(f"{BOX}<script>{TIMELINE}; window.__timelines = [tl]</script>")) as session:
        session.ready()
        session.seek(30)
        assert x_of(session) == 30


# In what order declarations were first written says nothing about the picture.
STATE = (
    "[...document.querySelectorAll('#root, #root *')]"
    ".map((e) => [e.id, ...e.style.cssText.split(/; ?/).filter(Boolean).sort()])"
)


@pytest.mark.parametrize("frame", [1, 17, 30, 44, 59])
def test_a_direct_seek_and_stepping_give_the_same_document(browser: Browser, frame: int) -> None:
    script = (
        "tl.from('#box', {x: -50, rotation: 20, duration: 0.7, ease: 'back.out(2)'})"
        ".to('#box', {x: 80, scale: 1.5, duration: 0.9}, '<0.3').set('#box', {opacity: 0.5}, 1.1)"
        ".fromTo('#clip', {y: 10}, {y: 40, stagger: 0.1, duration: 0.4, repeat: 2, yoyo: true}, 0.2)"
    )
    html = animated(script, BOX + CHILD + '<p id="clip" data-start="0.3" data-duration="1.2">c</p>')
    with film(browser, html) as session:
        session.ready()
        session.seek(frame)
        direct = session.js(STATE)
    with film(browser, html) as session:
        session.ready()
        session.seek(*range(frame + 1))
        assert session.js(STATE) == direct


def test_a_tween_outside_of_timelines_follows_the_clock_over_a_jump(browser: Browser) -> None:
    with film(browser, animated("gsap.to('#box', {x: 60, duration: 2, ease: 'none'})")) as session:
        session.ready()
        session.seek(45)
        assert x_of(session) == 45


def test_what_callbacks_start_is_the_same_after_a_jump(browser: Browser) -> None:
    script = (
        "window.drawn = []; const at = (s, f) => tl.call(f, null, s);"
        "at(0.31, () => box.animate({letterSpacing: ['0px', '100px']}, {duration: 2000, fill: 'both'}));"
        "at(0.52, () => box.classList.add('wide')); at(0.73, () => drawn.push(Math.random(), Date.now()));"
        "at(0.9, () => gsap.to('#box', {rotation: 100, duration: 2, ease: 'none'}));"
        "at(1.01, () => box.classList.add('lit'))"
    )
    head = (
        "<style>#box { text-indent: 0px; transition: text-indent 2s linear } #box.wide { text-indent: 100px }"
        "@keyframes lit { to { word-spacing: 50px } } #box.lit { animation: lit 1s linear both }</style>"
    )
    state = (
        "(() => { const c = getComputedStyle(box);"
        "return [c.letterSpacing, c.textIndent, c.wordSpacing, c.transform, ...drawn] })()"
    )
    html = animated(script, head=head)
    with film(browser, html) as session:
        session.ready()
        session.seek(50)
        direct = session.js(state)
    with film(browser, html) as session:
        session.ready()
        session.seek(*range(51))
        assert session.js(state) == direct
    assert len(set(direct)) == 6


def test_a_jump_makes_up_for_the_last_update_of_what_ended_and_draws_nothing_else(browser: Browser) -> None:
    script = (
        "window.log = []; const note = (name) => function () { log.push([name, this.time()]) };"
        "const shared = {x: 10, duration: 0.5, onUpdate: note('a')};"
        "tl.to('#box', shared, 0).to({}, shared, 0.2).to({}, {duration: 1.5, onUpdate: note('b')}, 0.1)"
    )
    with film(browser, animated(script)) as session:
        session.ready()
        session.js("log.length = 0")
        session.seek(30)
        assert session.js("log") == [["a", 0.5], ["a", 0.5], ["b", 0.9]]
        session.js("log.length = 0")
        session.seek(31)
        assert session.js("log") == [["b", pytest.approx(31 / 30 - 0.1, abs=1e-6)]]


def test_an_update_that_ends_on_the_way_comes_before_what_follows_it(browser: Browser) -> None:
    script = (
        "tl.to({}, {duration: 0.5, onUpdate: () => { box.title = 'updated' }}).call(() => { box.title = 'called' })"
    )
    with film(browser, animated(script)) as session:
        session.ready()
        session.seek(30)
        assert session.js("box.title") == "called"


def test_listeners_of_hf_seek_are_called_once_for_a_frame_and_awaited(browser: Browser) -> None:
    script = (
        "window.times = []; window.done = 0; addEventListener('hf-seek', (event) => { times.push(event.detail.time);"
        "event.detail.waitUntil(new Promise((resolve) => setTimeout(() => { done += 1; resolve() }, 30))) })"
    )
    with film(browser, animated(script)) as session:
        session.ready()
        session.seek(45)
        assert session.js("[times, done, __hfThreeTime]") == [[1.5], 1, 1.5]
        session.js("__hfReseekGpu(1.5)")
        assert session.js("times") == [1.5, 1.5]


@pytest.mark.parametrize(
    "listener",
    ["() => { throw new Error('no model') }", "(e) => e.detail.waitUntil(Promise.reject(new Error('no model')))"],
)
def test_a_listener_that_fails_fails_the_frame(browser: Browser, listener: str) -> None:
    fault = refusal(browser, animated(f"addEventListener('hf-seek', {listener})"), 3)
    assert (fault.code, "no model" in fault.message) == ("seek_failed", True)


def test_pictures_that_a_frame_shows_first_are_there(browser: Browser) -> None:
    script = "tl.call(() => { pic.src = '/dot.png'; box.style.backgroundImage = 'url(/dot.png?2)' }, null, 0.5)"
    with film(browser, animated(script, BOX + '<img id="pic">')) as session:
        session.ready()
        session.seek(20)
        assert session.js("[pic.complete, pic.naturalWidth]") == [True, 1]
        loaded = session.js("performance.getEntriesByType('resource').map((entry) => entry.name)")
        assert any(name.endswith("/dot.png?2") for name in loaded)


def test_a_missing_picture_is_a_warning(browser: Browser) -> None:
    with film(browser, animated("", '<img src="/gone.png">')) as session:
        assert [warning["code"] for warning in session.ready()["warnings"]] == ["media_load_failed"]


def test_a_length_that_differs_from_the_plans_is_a_warning(browser: Browser) -> None:
    with film(browser, animated("", duration_s=3)) as session:
        assert [warning["code"] for warning in session.ready()["warnings"]] == ["duration_mismatch"]


def test_the_runtime_can_be_read_from_a_zip(tmp_path: Path) -> None:
    archive = tmp_path / "capture.pyz"
    package = Path(page_runtime.__file__).parent.parent
    with zipfile.ZipFile(archive, "w") as packed:
        for file in package.rglob("*"):
            if file.suffix in {".py", ".js"}:
                packed.write(file, f"capture/{file.relative_to(package)}")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from fractions import Fraction; from capture import page;"
        "config = page.PageConfig(fps=Fraction(30), duration_s=Fraction(2), width=320, height=180);"
        "print(page.source(config), end='')"
    )
    command = [sys.executable, "-I", "-S", "-c", code, str(archive)]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == page_runtime.source(CONFIG)


def test_with_begin_frame_control_a_seek_needs_no_frame(begin_frame_browser: Browser) -> None:
    script = "tl.call(() => { pic.src = '/dot.png'; box.style.backgroundImage = 'url(/dot.png?2)' }, null, 0.1)"
    face = "@font-face { font-family: F; src: url(/gone.woff2) } #late { font-family: F }"
    body = f'{BOX}<img id="pic"><p id="late" data-start="0.2" hidden>late</p><style>{face}</style>'
    with film(begin_frame_browser, animated(f"{script}; tl.set('#late', {{display: 'block'}}, 0.2)", body)) as session:
        control = session.page.context.new_cdp_session(session.page)
        session.js("() => { __fleet.ready().then((said) => { window.said = said }) }")
        for _ in range(100):
            control.send("HeadlessExperimental.beginFrame")
            if session.js("window.said"):
                break
        assert session.js("window.said.duration_s") == 2
        session.seek(10)
        assert session.js("[pic.naturalWidth, document.fonts.status]") == [1, "loaded"]
        # Asked for when its text was first laid out, and settled before the frame was called ready.
        assert session.js("[...document.fonts].map((face) => face.status)") == ["error"]


# Refusals and readiness


def refusal(browser: Browser, html: str, *frames: int) -> PageFault:
    with film(browser, html) as session:
        try:
            session.ready()
            session.seek(*frames)
        except PageFault as fault:
            return fault
    pytest.fail("the page was not refused")


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ('<video id="v" data-start="0" src="a.mp4"></video>', "video"),
        ("<canvas data-requires-webgpu></canvas>", "WebGPU"),
        ("<script>navigator.gpu.requestAdapter()</script>", "WebGPU"),
        ('<div data-color-grading="{}"></div>', "colour grading"),
        ('<div class="maplibregl-map"></div>', "live maps"),
        ('<div data-composition-src="x.html"></div>', "data-composition-src"),
        ("<script>__hf.transitions = [{time: 1, shader: 'glitch'}]</script>", "shader transitions"),
        ('<img src="/two.gif">', "animated images"),
    ],
)
def test_what_is_not_covered_is_refused_by_name(browser: Browser, body: str, name: str) -> None:
    fault = refusal(browser, animated("", body))
    assert fault.code == "feature_unsupported"
    assert name in fault.message


def test_a_page_that_asks_for_webgpu_takes_its_other_way(browser: Browser) -> None:
    script = "<script>if ('gpu' in navigator || navigator.gpu) navigator.gpu.requestAdapter()</script>"
    with film(browser, animated("", script)) as session:
        assert [warning["code"] for warning in session.ready()["warnings"]] == []


def test_a_page_finds_the_same_machine_on_every_host(browser: Browser) -> None:
    script = (
        "<script>if (`${[navigator.hardwareConcurrency, navigator.deviceMemory]}` !== '4,8') throw 'other'</script>"
    )
    with film(browser, animated("", script)) as session:
        assert [warning["code"] for warning in session.ready()["warnings"]] == []


def test_sound_is_not_refused(browser: Browser) -> None:
    with film(browser, animated("", '<audio id="a" data-start="0" data-duration="1" src="a.mp3"></audio>')) as session:
        assert session.ready()["duration_s"] == 2


def test_no_duration_is_an_error(browser: Browser) -> None:
    fault = refusal(browser, '<div data-composition-id="main" data-no-timeline></div>')
    assert fault.code == "zero_duration"
    assert "data-duration" in fault.message


def test_the_timeline_gives_the_length_where_none_is_declared(browser: Browser) -> None:
    html = animated("tl.to('#box', {x: 1, duration: 2})").replace('data-duration="2"', "")
    with film(browser, html) as session:
        assert session.ready()["duration_s"] == 2


def test_an_exception_in_a_callback_fails_the_frame_with_the_adapters_name(browser: Browser) -> None:
    fault = refusal(browser, animated("tl.call(() => { throw new Error('no such scene') }, null, 0.5)"), 20)
    assert fault.code == "seek_failed"
    assert "gsap" in fault.message
    assert "no such scene" in fault.message


def test_a_frame_that_is_no_whole_number_is_refused(browser: Browser) -> None:
    with film(browser, animated("")) as session:
        session.ready()
        with pytest.raises(PageFault, match="seek_failed"):
            session.call("__fleet.seek(1.5)")


def test_a_page_without_any_timeline_library_is_not_waited_for(browser: Browser) -> None:
    html = composition("<p>still</p>").replace('<script src="/npm/gsap/dist/gsap.min.js"></script>', "")
    with film(browser, html) as session:
        session.page.set_default_timeout(10_000)
        assert [warning["code"] for warning in session.ready()["warnings"]] == ["timeline_missing"]


def test_a_script_that_fails_to_load_cuts_the_wait_and_is_named(browser: Browser) -> None:
    with film(browser, composition('<script src="/gone.js"></script>')) as session:
        said = session.ready()["warnings"]
        assert {warning["code"] for warning in said} == {"timeline_missing", "page_error"}
        assert any("/gone.js" in warning["message"] for warning in said)
