import re
import urllib.parse
from fractions import Fraction
from pathlib import Path

import composition_support as support
import pytest
from composition_support import by_id, page, paths, read, tree

from fleet import bundle, composition, errors, findings
from fleet.composition import entry, fonts, markup, project


def test_size_length_and_rate_come_from_the_root(tmp_path: Path) -> None:
    size = 'data-width="1280px" data-height="720"'
    root = f'<div data-composition-id="a" {size} data-duration="3.3333" data-fps="30000/1001">'
    compiled = read(tmp_path, {"index.html": page(root=root)})
    assert (compiled.width, compiled.height) == (1280, 720)
    assert compiled.duration_s == Fraction("3.3333")
    assert compiled.fps == Fraction(30000, 1001)
    assert compiled.name == "project"


def test_a_root_that_says_nothing_is_an_upright_phone(tmp_path: Path) -> None:
    compiled = read(tmp_path, {"index.html": page(root='<div data-composition-id="a" data-composition-duration="4">')})
    assert (compiled.width, compiled.height, compiled.duration_s, compiled.fps) == (1080, 1920, Fraction(4), None)


def test_the_root_may_be_the_html_element_and_data_root_wins(tmp_path: Path) -> None:
    html = '<html data-composition-id="x" data-width="10" data-height="20" data-duration="1"><body><p></html>'
    assert read(tmp_path / "a", {"index.html": html}).width == 10
    marked = '<b data-composition-id="b" data-root="true" data-width="30" data-height="40" data-duration="1"></b>'
    assert read(tmp_path / "b", {"index.html": page(marked)}).width == 30


@pytest.mark.parametrize(
    ("root", "message"),
    [
        ("<div>", "index.html: no element has `data-composition-id`"),
        ('<div data-composition-id="a">', "index.html:2: the root composition has no `data-duration`"),
        ('<div data-composition-id="a" data-duration="5s">', "index.html:2: .* data-duration='5s'"),
        ('<div data-composition-id="a" data-duration="0">', "index.html:2: .* data-duration='0'"),
        ('<div data-composition-id="a" data-duration="90000">', "index.html:2: .*longer than a day"),
        ('<div data-composition-id="a" data-duration="1" data-width="9000">', "index.html:2: 9000x1920 is larger"),
        ('<div data-composition-id="a" data-duration="1" data-fps="29.97">', "index.html:2: data-fps='29.97'"),
        ('<div data-composition-id="a" data-duration="1" data-fps="0">', "index.html:2: data-fps='0'"),
    ],
)
def test_a_root_that_cannot_be_rendered_names_file_and_line(tmp_path: Path, root: str, message: str) -> None:
    with pytest.raises(errors.CompositionError, match=message) as caught:
        read(tmp_path, {"index.html": page(root=f"\n{root}")})
    assert caught.value.remedy


def test_a_path_that_does_not_exist_suggests_one_that_does(tmp_path: Path) -> None:
    support.write(tmp_path, {"intro/index.html": page(), "other/scene.html": page(), "notes.txt": ""})

    def refusal(name: str) -> str:
        with pytest.raises(errors.ConfigError) as caught:
            composition.read(tmp_path / name, variables={}, cache=tmp_path / "cache", offline=True)
        return f"{caught.value} | {caught.value.remedy}".replace(str(tmp_path), "T")

    assert refusal("intor") == "no such composition: T/intor | did you mean `T/intro`?"
    assert refusal("other") == "no `index.html` in T/other | name the page: `fleetrender run T/other/scene.html`"
    assert refusal("notes.txt").startswith("not a composition: T/notes.txt")
    assert refusal("zzz/yyy").endswith("`T/zzz` does not exist either: check the path")


def test_a_page_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    with pytest.raises(errors.CompositionError, match=r"index\.html: not UTF-8 text \(byte 0\)"):
        read(tmp_path, {"index.html": b"\xff<p>"})


def test_a_page_too_large_to_be_markup_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "index.html").open("wb") as sparse:
        sparse.truncate(project.PAGE_LIMIT_BYTES + 1)
    with pytest.raises(errors.CompositionError, match=r"index\.html: larger than"):
        composition.read(tmp_path, variables={}, cache=tmp_path / "cache", offline=True)


def test_a_fragment_gets_a_page_with_a_black_ground(tmp_path: Path) -> None:
    fragment = f"<style>.a{{color:red}}</style>{support.ROOT}<p>x</p></div>"
    document = tree(read(tmp_path, {"index.html": fragment}))
    head, body = markup.part(document, "head"), markup.part(document, "body")
    styles = [markup.text(style) for style in markup.find(head, "style") if fonts.MARK not in style.attrs]
    assert styles == [entry.TEXT_RENDERING, entry.FRAGMENT_STYLE]
    assert [child.name for child in body.children if child.name != "#text"] == ["style", "div"]
    assert body.attrs["style"] == "margin:0;overflow:hidden"
    assert document.children is not None
    assert document.children[0].name == "!doctype"


def test_a_whole_page_keeps_its_own_ground(tmp_path: Path) -> None:
    document = tree(read(tmp_path, {"index.html": page(head='<meta charset="latin-1"><title>t</title>')}))
    head = markup.part(document, "head")
    assert [child.name for child in head.children] == ["meta", "style", "title"]
    assert head.children[0].attrs == {"charset": "utf-8"}
    assert markup.text(head.children[1]) == entry.TEXT_RENDERING


def test_a_page_that_is_one_template_gets_an_element_that_shows_it(tmp_path: Path) -> None:
    inner = '<div data-composition-id="scene" data-width="320" data-height="180" data-duration="3"><p>x</div>'
    compiled = read(tmp_path, {"index.html": f'<template id="scene-template">{inner}</template>'})
    assert (compiled.width, compiled.height, compiled.duration_s) == (320, 180, Fraction(3))
    host = by_id(tree(compiled), "root")
    assert host.attrs == {
        "id": "root", "data-composition-id": "scene", "data-start": "0",
        "data-width": "320", "data-height": "180", "data-duration": "3",
    }  # fmt: skip
    assert host.children == []


def test_files_of_the_project_keep_their_paths(tmp_path: Path) -> None:
    body = """
        <img src="img/a%20b.png?x#y"><img srcset="img/s.png 1x, img/t.png 2x">
        <div style="background:url(img/c.png)"></div>
        <svg><image xlink:href="img/d.svg"/><use href="#local"/></svg><a href="nowhere.html">no asset</a>"""
    head = """<link rel="stylesheet" href="css/site.css"><script src="js/app.js"></script>
        <style>@font-face{font-family:F;src:url("fonts/f.woff2")} .g{content:"img/none.png"}</style>"""
    names = (
        "img/a b.png",
        "img/c.png",
        "img/d.svg",
        "img/s.png",
        "img/t.png",
        "js/app.js",
        "fonts/f.woff2",
        "img/e.png",
    )
    files: dict[str, str | bytes] = dict.fromkeys(names, b"x")
    sheet = ".x{background:url(../img/e.png)}"
    compiled = read(tmp_path, {**files, "index.html": page(body, head=head), "css/site.css": sheet})
    assert paths(compiled) == sorted({"css/site.css", *names} - {"fonts/f.woff2"})
    assert {asset.file for asset in compiled.assets} == {str(tmp_path / "project" / path) for path in paths(compiled)}
    # Fonts are ready at once as data, and rules are in one document wherever they were written.
    assert 'src:url("data:font/woff2;base64,eA==")' in compiled.document
    assert "<style>.x{background:url(img/e.png)}</style>" in compiled.document.replace('"', "")
    assert 'src="img/a%20b.png?x#y"' in compiled.document


def test_names_of_files_may_have_any_letters_and_begin_at_the_root(tmp_path: Path) -> None:
    body = """
        <img src="/img/é 1.png?v=2"><img src="img/%C3%A9%201.png#x"><img src="img/b%23%3F.png">
        <script>fetch("data/my%20file.json"); new Image().src = "img/ü 2.png";</script>"""
    head = '<link rel="stylesheet" href="/my css/site.css?v=3">'
    sheet = ".x{background:url('/img/sp ace.png?v=1')} .y{background:url(nä.png)}"
    names = {"img/é 1.png", "img/b#?.png", "data/my file.json", "img/ü 2.png", "img/sp ace.png", "my css/nä.png"}
    files: dict[str, str | bytes] = dict.fromkeys(names, b"{}")
    compiled = read(tmp_path, {**files, "index.html": page(body, head=head), "my css/site.css": sheet})
    assert set(paths(compiled)) == {*names, "my css/site.css"}
    images = [element.attrs["src"] or "" for element in markup.find(tree(compiled), "img")]
    assert [urllib.parse.unquote(urllib.parse.urlsplit(src).path).lstrip("/") for src in images] == [
        "img/é 1.png", "img/é 1.png", "img/b#?.png",
    ]  # fmt: skip
    found = re.findall(r"url\((.*?)\)", "".join(map(markup.text, markup.find(tree(compiled), "style"))))
    assert [urllib.parse.unquote(one.strip("\"'").partition("?")[0]) for one in found] == [
        "img/sp ace.png",
        "my css/nä.png",
    ]


def test_every_missing_file_is_named_with_its_line(tmp_path: Path) -> None:
    body = (
        '<audio src="a.mp3"></audio>\n<embed src="__LOGO__">\n'
        '<style>\n@font-face{font-family:f;src:url(b.woff2)}</style><video src="../../etc/x"></video>'
    )
    with pytest.raises(errors.CompositionError) as caught:
        read(tmp_path, {"index.html": page(body + '\n<script src="https://cdn.example/x.js"></script>')})
    assert str(caught.value).splitlines() == [
        "index.html:1: a.mp3: no such file in the project",
        "index.html:2: __LOGO__: a template placeholder that nothing has filled in",
        "index.html:4: b.woff2: no such file in the project",
        "index.html:4: ../../etc/x: leads out of the project",
        "index.html:5: https://cdn.example/x.js: not in the cache, and this run is offline",
    ]


def test_the_render_goes_on_without_pictures_that_are_not_there(tmp_path: Path) -> None:
    body = """<img src="a.png"><img srcset="b.png 1x, there.png 2x">
    <div style="background:url(../assets/c.png)"></div><video src="there.mp4" poster="__POSTER__"></video>
    <svg><image href="d.svg"/><use href="sprite.svg#x"/></svg>"""
    sheet = ".x{background:url(g.png)}"
    files = {"index.html": page(body, head='<link rel="stylesheet" href="css/s.css">'), "css/s.css": sheet}
    compiled = read(tmp_path, {**files, "there.png": "x", "there.mp4": "x"})
    missing = [f for f in compiled.findings if f.code == "picture-unavailable"]
    assert [(f.where, f.message.partition(":")[0]) for f in missing] == [
        ("css/s.css:1", "/css/g.png"),
        ("index.html:1", "a.png"),
        ("index.html:1", "b.png"),
        ("index.html:2", "../assets/c.png"),
        ("index.html:2", "__POSTER__"),
        ("index.html:3", "d.svg"),
        ("index.html:3", "sprite.svg#x"),
    ]
    with pytest.raises(errors.CompositionError, match="goes on without this picture"):
        findings.refuse(tuple(missing), strict=True)


def test_a_number_that_nothing_can_read_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(errors.CompositionError, match=r"^index\.html:1: a number of more than 4300 digits"):
        read(tmp_path, {"index.html": page(f'<p style="width:{"9" * 5000}px">x</p>')})


def test_a_picture_beside_the_project_is_refused_rather_than_left_out(tmp_path: Path) -> None:
    (tmp_path / "beside.png").write_bytes(b"x")
    with pytest.raises(errors.CompositionError, match=r"^index\.html:1: \.\./beside\.png: leads out of the project"):
        read(tmp_path, {"index.html": page('<img src="../beside.png">')})


def test_the_root_has_no_parent_as_in_a_browser(tmp_path: Path) -> None:
    body = '<img src="../img/a.png"><p style="background:url(../../img/a.png)">x</p>'
    compiled = read(tmp_path, {"index.html": page(body), "img/a.png": b"x"})
    assert paths(compiled) == ["img/a.png"]
    assert "../" not in compiled.document


def test_nothing_outside_the_project_is_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"x")
    for reference in ("../secret.png", "a/../../secret.png", "%2e%2e/secret.png", f"file://{secret}"):
        with pytest.raises(errors.CompositionError, match=r"out of the project|only files of the project"):
            read(tmp_path, {"index.html": page(f'<img src="{reference}">')})
    # A leading slash means the root of the project, as it does for the page's server.
    compiled = read(tmp_path, {"index.html": page(f'<img src="{secret}">')})
    assert [(finding.code, paths(compiled)) for finding in compiled.findings] == [("picture-unavailable", [])]


def test_a_link_that_the_author_placed_in_the_project_is_followed(tmp_path: Path) -> None:
    (tmp_path / "shared.png").write_bytes(b"x")
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "logo.png").symlink_to(tmp_path / "shared.png")
    assert paths(read(tmp_path, {"index.html": page('<img src="logo.png">')})) == ["logo.png"]


def test_a_page_below_compositions_names_files_from_the_projects_root(tmp_path: Path) -> None:
    scene = page('<img src="assets/a.png"><img src="../assets/b.png"><img src="near.png">')
    names = ("assets/a.png", "assets/b.png", "compositions/near.png")
    files: dict[str, str | bytes] = dict.fromkeys(names, b"x")
    compiled = read(
        tmp_path,
        {**files, "index.html": page(), "compositions/scene.html": scene},
        entry="compositions/scene.html",
    )
    assert compiled.name == "scene"
    assert paths(compiled) == sorted(names)
    assert [img.attrs["src"] for img in markup.find(tree(compiled), "img")] == list(names)


def test_runtimes_left_by_an_export_are_removed(tmp_path: Path) -> None:
    left = (
        '<script src="https://x.example/hyperframe.runtime.iife.js"></script><script data-hyperframes-preview-runtime>'
        "</script><script>window.__player = {}</script><script>window.__renderReady = true;</script>"
    )
    kept = "<script>window.__renderReady = true; start();</script>"
    document = tree(read(tmp_path, {"index.html": page(left + kept)}))
    assert [markup.text(script) for script in markup.find(document, "script")] == [
        "window.__renderReady = true; start();"
    ]


@pytest.mark.parametrize(
    ("body", "feature"),
    [
        ("<i data-color-grading></i>", "colour-grading"),
        ("<i data-x=3 data-hf-edit-base-x=0></i>", "studio-offsets"),
        ("<i data-requires-webgpu></i>", "webgpu"),
        ("<script>img.setAttribute('data-color-grading', '{}')</script>", "colour-grading"),
        ("<script>L.tileLayer('x').addTo(map)</script>", "live-maps"),
        ("<script>new google.maps.Map(x)</script>", "live-maps"),
        ("<i data-fx-chain></i>", "audio-fx"),
        ("<template><i data-fx-chain></i></template>", "audio-fx"),
        ("<script>new maplibregl.Map({})</script>", "live-maps"),
    ],
)
def test_what_is_not_supported_yet_is_refused_by_name(tmp_path: Path, body: str, feature: str) -> None:
    with pytest.raises(errors.CompositionError, match=rf"index\.html:[34]: the composition needs `{feature}`"):
        read(tmp_path, {"index.html": page("\n\n" + body)})


def test_a_hidden_video_is_no_feature(tmp_path: Path) -> None:
    read(tmp_path, {"index.html": page('<div data-hidden><video src="a.mp4"></video></div>'), "a.mp4": b"x"})


def test_equal_projects_give_equal_bundles_wherever_they_lie(tmp_path: Path) -> None:
    files = {"index.html": page('<img src="a.png">'), "a.png": "x"}
    digests = {
        bundle.build(read(tmp_path / place, files), tmp_path / place / "out").digest for place in ("one", "two/deeper")
    }
    assert len(digests) == 1
    assert str(tmp_path) not in read(tmp_path / "three", files).document
