from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from composition_support import CHROMIUM, ROOT, by_id, page, paths, read, tree
from justhtml import Document, Element
from playwright.sync_api import Page, sync_playwright

from capture import page as page_runtime
from fleet import errors
from fleet.composition import markup, scripts

SCENE = '<div id="scene-root" data-composition-id="scene" data-width="320" data-height="180" data-start="0">'


def scene(body: str, *, root: str = SCENE, head: str = "") -> str:
    return f"<!doctype html><html><head>{head}</head><body>{root}{body}</div></body></html>"


def host(identity: str = "scene", src: str = "scene.html", more: str = "") -> str:
    return f'<div id="host-{identity}" data-composition-id="{identity}" data-composition-src="{src}" {more}></div>'


def elements(parent: Element) -> list[Element]:
    return [child for child in parent.children if isinstance(child, Element)]


def sheets(document: Document) -> str:
    return "\n".join(markup.text(style) for style in markup.find(document, "style"))


def sources(document: Document) -> list[str]:
    return [markup.text(script) for script in markup.find(document, "script")]


def test_the_mounted_root_becomes_a_wrapper_inside_its_host(tmp_path: Path) -> None:
    files = {"index.html": page(host(more='data-start="1" style="left:5px"')), "scene.html": scene("<p>x</p>")}
    mounted = by_id(tree(read(tmp_path, files)), "host-scene")
    assert mounted.attrs == {
        "id": "host-scene",
        "data-composition-id": "scene",
        "data-start": "1",
        "data-width": "320",
        "data-height": "180",
        "data-composition-file": "scene.html",
        "style": "left:5px;width:320px;height:180px",
    }
    (wrapper,) = elements(mounted)
    assert wrapper.attrs == {
        "data-width": "320",
        "data-height": "180",
        "data-hf-authored-id": "scene-root",
        "data-hf-inner-root": "true",
        "style": "width:320px;height:180px",
    }
    assert [child.name for child in elements(wrapper)] == ["p"]


def test_a_host_keeps_the_size_it_has_and_a_root_without_one_fills_it(tmp_path: Path) -> None:
    files = {
        "index.html": page(host(more='data-width="64" data-height="36" style="width:50%"')),
        "scene.html": scene("", root='<div data-composition-id="scene" style="color:red;">'),
    }
    mounted = by_id(tree(read(tmp_path, files)), "host-scene")
    assert mounted.attrs["style"] == "width:50%;height:36px"
    assert elements(mounted)[0].attrs["style"] == "color:red;width:100%;height:100%"


def test_a_template_is_the_content_and_its_pages_head_is_not(tmp_path: Path) -> None:
    inner = f"<style>.in{{a:b}}</style>{SCENE}<b>x</b></div><script>inner()</script>"
    file = f"<head><style>.out{{a:b}}</style><link rel=stylesheet href=s.css></head><body><template>{inner}</template>"
    document = tree(read(tmp_path, {"index.html": page(host()), "scene.html": file, "s.css": ".linked{}"}))
    assert ".out" not in sheets(document)
    assert '[data-composition-id="scene"] .in{a:b}' in sheets(document)
    assert "\n.linked{}" in f"\n{sheets(document)}"
    assert "inner()" in sources(document)[-1]
    assert [child.name for child in elements(elements(by_id(document, "host-scene"))[0])] == ["b"]


def test_styles_come_last_in_the_head_and_scripts_last_in_the_body(tmp_path: Path) -> None:
    head = '<style>.h{a:b}</style><script src="lib.js"></script><script>first()</script>'
    body = '<style>.b{c:d}</style><script src="lib.js"></script><script src="own.js"></script><script>second()</script>'
    files = {
        "index.html": page(host() + "<script>outer()</script>", head='<script src="own.js"></script>'),
        "scene.html": scene(body, head=head),
        "lib.js": "",
        "own.js": "",
    }
    document = tree(read(tmp_path, files))
    last = elements(markup.part(document, "head"))[-1]
    assert markup.text(last) == '[data-composition-id="scene"] .h{a:b}\n\n[data-composition-id="scene"] .b{c:d}'
    found = markup.find(markup.part(document, "body"), "script")
    described = [script.attrs.get("src") or markup.text(script).strip().split("\n")[-2:][0] for script in found]
    assert described == ["lib.js", "outer()", "first()", "second()"]


def test_a_composition_mounted_twice_has_two_identities(tmp_path: Path) -> None:
    body = host() + host().replace("host-scene", "second")
    files = {"index.html": page(body), "scene.html": scene("<style>.a{b:c}</style><script>go()</script>")}
    document = tree(read(tmp_path, files))
    assert [by_id(document, name).attrs["data-composition-id"] for name in ("host-scene", "second")] == [
        "scene__hf1",
        "scene__hf2",
    ]
    assert by_id(document, "second").attrs["data-hf-original-composition-id"] == "scene"
    assert '[data-composition-id="scene__hf1"] .a' in sheets(document)
    assert '[data-composition-id="scene__hf2"] .a' in sheets(document)
    assert [s.split(",function")[0] for s in sources(document)[-2:]] == [
        '__fleetMounted({"authored":"scene","root":"scene-root","runtime":"scene__hf1"}',
        '__fleetMounted({"authored":"scene","root":"scene-root","runtime":"scene__hf2"}',
    ]


def test_compositions_inside_others_are_mounted_and_renamed(tmp_path: Path) -> None:
    files = {
        "index.html": page(host(src="compositions/a.html")),
        "compositions/a.html": scene(
            host("deep", "compositions/b.html") + '<img src="near.png"><img src="img/far.png">'
        ),
        "compositions/b.html": scene('<img src="../img/up.png">', root='<div data-composition-id="deep">'),
        "compositions/near.png": "x",
        "img/far.png": "x",
        "img/up.png": "x",
    }
    compiled = read(tmp_path, files)
    document = tree(compiled)
    deep = by_id(document, "host-deep")
    assert deep.attrs["data-composition-id"] == "deep__hf1"
    assert deep.attrs["data-composition-file"] == "compositions/b.html"
    images = [image.attrs["src"] or "" for image in markup.find(document, "img")]
    assert images == ["img/up.png", "compositions/near.png", "img/far.png"]
    assert paths(compiled) == sorted(images)


def test_a_host_without_an_id_takes_the_one_that_its_file_declares(tmp_path: Path) -> None:
    body = '<div id="h" data-composition-src="scene.html"></div>'
    document = tree(read(tmp_path, {"index.html": page(body), "scene.html": scene("<style>.a{b:c}</style>")}))
    assert "data-composition-id" not in by_id(document, "h").attrs
    assert elements(by_id(document, "h"))[0].attrs["data-composition-id"] == "scene"


def test_a_host_that_names_another_id_gets_all_content(tmp_path: Path) -> None:
    files = {
        "index.html": page(host("captions-host")),
        "scene.html": scene("<style>.a{b:c}</style><script>go()</script>") + "<i></i>",
    }
    document = tree(read(tmp_path, files))
    assert [child.name for child in elements(by_id(document, "host-captions-host"))] == ["div", "i"]
    assert '[data-composition-id="captions-host"] .a' in sheets(document)
    assert '__fleetMounted({"authored":"scene","root":"","runtime":"captions-host"}' in sources(document)[-1]


def test_modules_and_data_are_left_as_authored(tmp_path: Path) -> None:
    body = '<script type="module">let a</script><script type="application/json">{"a":1}</script>'
    document = tree(read(tmp_path, {"index.html": page(host()), "scene.html": scene(body)}))
    assert [(s.attrs.get("type"), markup.text(s)) for s in markup.find(document, "script")][0:1] == [
        ("application/json", '{"a":1}')
    ]
    assert markup.text(markup.find(document, "script")[-1]) == "let a"


def test_every_unusable_file_is_named_where_it_is_mounted(tmp_path: Path) -> None:
    body = "\n".join(
        [
            host("a", "gone.html"),
            host("b", "empty.html"),
            host("c", "../x.html"),
            host("d", "{{ SCENE }}.html"),
            host("e"),
        ]
    )
    with pytest.raises(errors.CompositionError) as caught:
        read(
            tmp_path,
            {
                "index.html": page(body),
                "empty.html": "",
                "scene.html": scene(host("f", "prose.html")),
                "prose.html": "x",
            },
        )
    assert str(caught.value).splitlines() == [
        "index.html:1: gone.html: no such file in the project",
        "index.html:2: empty.html: the file is empty or has no element with `data-composition-id`",
        "index.html:3: ../x.html: leads out of the project",
        "index.html:4: {{ SCENE }}.html: a template placeholder that nothing has filled in",
        "scene.html:1: prose.html: the file is empty or has no element with `data-composition-id`",
    ]


def test_a_composition_inside_itself_stays_empty_with_a_warning(tmp_path: Path) -> None:
    files = {"index.html": page(host()), "scene.html": scene(host("again"))}
    compiled = read(tmp_path, files)
    assert [(f.code, f.where) for f in compiled.findings] == [("circular-composition", "scene.html:1")]
    assert elements(by_id(tree(compiled), "host-again")) == []


def test_a_chain_that_never_ends_is_refused(tmp_path: Path) -> None:
    files = {f"s{n}.html": scene(host("scene", f"s{n + 1}.html")) for n in range(30)}
    with pytest.raises(errors.CompositionError, match=r"s19\.html:1: s20\.html: mounted more than 20 levels deep"):
        read(tmp_path, {"index.html": page(host(src="s0.html")), **files})


@pytest.mark.parametrize(
    "source",
    ['x = "</script><b>"', "x = `</SCRIPT >`", 'a = "<!-- <script>"; b = 1', "x = 1 // end", "/* <!-- */ f('<script')"],
)
def test_embedded_javascript_cannot_end_its_element(source: str) -> None:
    script = markup.new("script", data=scripts.embeddable(source))
    document = markup.parse("<body></body>")
    markup.part(document, "body").append_child(script)
    markup.part(document, "body").append_child(markup.new("i"))
    again = markup.parse(markup.serialise(document))
    assert [element.name for element in elements(markup.part(again, "body"))] == ["script", "i"]
    assert sources(again) == [scripts.embeddable(source)]


@pytest.fixture(scope="module")
def browser_page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser.new_page()
        browser.close()


GSAP = """
    window.calls = [];
    const note = (name) => (target) => { calls.push([name, target.map((e) => e.textContent)]); };
    class Plugin { static version = "1"; }
    window.Plugin = Plugin;
    window.gsap = { to: note("to"), timeline: () => ({ from: note("from"), to() {}, set() {}, fromTo() {} }),
      utils: { toArray: (x) => x, selector: () => 0 }, version: "3" };
    window.__hyperframes = { getVariables: () => ({ top: 1 }), other: () => 2 };
"""
INNER = """<p class="t" id="t">inner</p><script>
    var leak = 1;
    window.result = {
      one: document.querySelector(".t").textContent,
      all: document.querySelectorAll(".t").length,
      outside: document.querySelector(".outside"),
      root: document.querySelector('[data-composition-id="scene"]').id,
      bare: document.querySelectorAll('[data-composition-id="scene"][data-start="0"] .t').length,
      named: document.querySelector("#scene-root .t").textContent,
      byId: document.getElementById("t").textContent,
      rootById: document.getElementById("scene-root").dataset.hfInnerRoot,
      none: document.getElementById("outside"),
      created: document.createElement("b").tagName,
      title: document.title,
      variables: __hyperframes.getVariables(),
      sameVariables: window.__hyperframes.getVariables(),
      other: __hyperframes.other(),
      timer: typeof window.setTimeout(() => 0, 0),
      statics: window.Plugin.version,
      self: this === window,
      selector: gsap.utils.selector("#scene-root")(".t").length,
      list: gsap.utils.toArray(".t").length,
      version: gsap.version,
    };
    gsap.to(".t", {});
    gsap.timeline().from(".t", {});
    window.__timelines = window.__timelines || {};
    window.__timelines["scene"] = "line";
    window.seen = window.__timelines["scene"];
</script><script>throw new Error("broken")</script><script>window.after = true</script>"""


@pytest.mark.browser
def test_a_mounted_script_sees_its_own_composition_only(tmp_path: Path, browser_page: Page) -> None:
    outer = '<p class="t outside" id="t">outer</p><p id="outside"></p>'
    second = host(more='data-variable-values=\'{"title": "T</script>"}\'').replace("host-scene", "second")
    files = {
        "index.html": page(outer + host(more="data-hidden") + second, head=f"<title>T</title><script>{GSAP}</script>"),
        "scene.html": scene(INNER),
    }
    config = page_runtime.PageConfig(fps=Fraction(30), duration_s=Fraction(2), width=640, height=360)
    browser_page.add_init_script(page_runtime.source(config))
    browser_page.goto("about:blank")
    browser_page.set_content(read(tmp_path, files).document)
    assert browser_page.evaluate("result") == {
        "one": "inner", "all": 1, "outside": None, "root": "second", "bare": 1, "named": "inner", "byId": "inner",
        "rootById": "true", "none": None, "created": "B", "title": "T", "variables": {"title": "T</script>"},
        "sameVariables": {"title": "T</script>"}, "other": 2, "timer": "number", "statics": "1", "self": True,
        "selector": 1, "list": 1, "version": "3",
    }  # fmt: skip
    assert browser_page.evaluate("calls") == [["to", ["inner"]], ["from", ["inner"]]] * 2
    assert browser_page.evaluate("__timelines") == {"scene": "line", "scene__hf1": "line", "scene__hf2": "line"}
    assert browser_page.evaluate("[seen, after, typeof leak]") == ["line", True, "undefined"]


@pytest.mark.browser
def test_mounted_styles_reach_their_own_composition_only(tmp_path: Path, browser_page: Page) -> None:
    style = """<style>body{color:rgb(1,2,3)}.t{opacity:.5}#scene-root{margin:7px}
        [data-composition-id=scene] .u{opacity:.25}</style>"""
    files = {
        "index.html": page(f'<p class="t" id="outer">x</p>{host()}'),
        "scene.html": scene(f'{style}<p class="t" id="inner">x</p><p class="u" id="u">x</p>'),
    }
    browser_page.set_content(read(tmp_path, files).document)

    def computed(selector: str, name: str) -> object:
        return browser_page.evaluate(f"getComputedStyle(document.querySelector('{selector}')).{name}")

    assert [computed(s, "opacity") for s in ("#outer", "#inner", "#u")] == ["1", "0.5", "0.25"]
    assert [computed(s, "color") for s in ("body", "#inner")] == ["rgb(0, 0, 0)", "rgb(1, 2, 3)"]
    assert [computed(s, "marginTop") for s in ("#host-scene", "#host-scene > div")] == ["0px", "7px"]
    assert ROOT in files["index.html"]
