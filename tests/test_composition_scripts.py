import contextlib
import html
import itertools
import json
import re
from fractions import Fraction
from pathlib import Path

import composition_support as support
import pytest
from composition_support import NEEDS_NPM, page, paths, read, tree
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet import composition, errors, model
from fleet.composition import fonts, markup, moving, speech

GIF = b"GIF89a\2\0\2\0\x80\0\0\0\0\0\xff\xff\xff%s;"
IMAGE = b"\x21\xf9\4\0\0\0\0\0\x2c\0\0\0\0\2\0\2\0\0\2\2\x8c\x53\0"


def test_files_that_scripts_name_are_in_the_bundle(tmp_path: Path) -> None:
    script = """fetch("data/a.json"); load(`frames/shot_${n}.png`); x = 'data/' + name; const s = "seen.txt";"""
    files = dict.fromkeys(
        ("data/b.csv", "frames/shot_1.png", "frames/shot_2.png", "frames/other.png", "seen.txt", "unseen.txt",
         "deep/model.bin", "node_modules/x.js", ".git/config", "README"), "x"
    )  # fmt: skip
    files |= {"data/a.json": '{"uri": "deep/model.bin"}', "scene.html": "never"}
    compiled = read(tmp_path, {**files, "index.html": page(f"<script>{script}</script>")})
    assert paths(compiled) == [
        "data/a.json", "data/b.csv", "deep/model.bin", "frames/shot_1.png", "frames/shot_2.png", "seen.txt"
    ]  # fmt: skip


def test_files_at_the_top_are_in_the_bundle_when_a_name_ends_like_theirs(tmp_path: Path) -> None:
    files = dict.fromkeys(("lava.png", "rock.png", "voice.mp3", "notes.txt", "deep/other.png"), "x")
    script = "a = name + '.png'; b = `${word}.mp3?v=1`; const x = '.txt'; if (y) {z}.txt;"
    compiled = read(tmp_path, {**files, "index.html": page(f"<script>{script}</script>")})
    assert paths(compiled) == ["lava.png", "rock.png", "voice.mp3"]


def test_scripts_of_the_project_are_read_too(tmp_path: Path) -> None:
    files = {"js/app.js": 'gl = canvas.getContext("webgl2"); fetch("data/a.json")', "data/a.json": "{}"}
    compiled = read(tmp_path, {**files, "index.html": page('<script src="js/app.js" defer></script>')})
    assert paths(compiled) == ["data/a.json", "js/app.js"]
    assert compiled.has_webgl
    assert not read(tmp_path / "plain", {"index.html": page("<script>gsap.to()</script>")}).has_webgl
    with pytest.raises(errors.CompositionError, match=r"^js/app\.js:2: .*`live-maps`"):
        read(
            tmp_path / "map",
            {"js/app.js": "\nnew mapboxgl.Map()", "index.html": page('<script src="js/app.js"></script>')},
        )


def test_a_script_that_asks_for_webgpu_is_told_that_there_is_none(tmp_path: Path) -> None:
    body = '<script src="app.js"></script>\n<script>\nconst isFast = !!navigator.gpu;</script>'
    compiled = read(tmp_path, {"app.js": "\nif (navigator.gpu) start()", "index.html": page(body)})
    assert [(f.code, f.where) for f in compiled.findings] == [("no-webgpu", "index.html:3"), ("no-webgpu", "app.js:2")]


def test_data_from_elsewhere_that_cannot_be_had_is_warned_about(tmp_path: Path) -> None:
    script = '<script>\nfetch("https://data.example/x.json"); xmlns = "http://www.w3.org/2000/svg";</script>'
    compiled = read(tmp_path, {"index.html": page(script)})
    said = [("remote-at-run-time", "index.html:2"), ("text-at-run-time", "")]
    assert [(f.code, f.where) for f in compiled.findings] == said


def test_a_picture_from_elsewhere_that_cannot_be_had_is_warned_about(tmp_path: Path) -> None:
    head = '<style>\nbody { background: url("https://pictures.example/b.png") }</style>'
    compiled = read(tmp_path, {"index.html": page('<img src="https://pictures.example/a.png">', head=head)})
    said = [("picture-unavailable", "index.html:2"), ("picture-unavailable", "index.html:2")]
    assert [(f.code, f.where) for f in compiled.findings] == said
    with pytest.raises(errors.CompositionError, match=r"a\.mp4: .*offline"):
        read(tmp_path / "film", {"index.html": page('<video src="https://pictures.example/a.mp4"></video>')})


def test_a_script_runs_where_it_did_when_its_text_cannot_stand_there(tmp_path: Path) -> None:
    body = "<script>one()</script><p></p><script>two()</script><script type=module>three()</script>"
    document = tree(read(tmp_path, {"index.html": page(body)}))
    assert [markup.text(script) for script in markup.find(document, "script")] == ["three()", "one()", "two()"]


def test_authors_scripts_come_after_the_wait_for_fonts(tmp_path: Path) -> None:
    face = '<style>@font-face { font-family: "Own"; src: url("own.woff2") }</style>'
    files = {"index.html": page("<script>one()</script>", head=face), "own.woff2": "x"}
    last, own = markup.find(tree(read(tmp_path / "inline", files)), "script")[-2:]
    assert (markup.get(last, "src"), markup.text(own)) == ("/__fleet_fonts.js", "one()")
    files |= {"index.html": page('<script src="a.js"></script><p></p>', head=face), "a.js": "one()"}
    first, *rest = markup.find(tree(read(tmp_path / "file", files)), "script")
    assert [markup.get(script, "src") for script in (first, *rest)] == ["/__fleet_fonts.js", "a.js"]
    files |= {"index.html": page(head=f"{face}<script>addEventListener('load', one)</script>")}
    assert markup.get(markup.find(tree(read(tmp_path / "head", files)), "script")[-1], "src") == "/__fleet_fonts.js"


def test_a_page_inside_the_page_is_compiled_as_well(tmp_path: Path) -> None:
    inner = '<img src="dot.png"><iframe src="inner.html"></iframe>'
    compiled = read(
        tmp_path,
        {"index.html": page('<iframe src="inner.html"></iframe>'), "inner.html": inner, "dot.png": "x"},
    )
    assert paths(compiled) == ["dot.png", "inner.html"]
    with pytest.raises(errors.CompositionError, match=r"inner\.html:1: gone\.css: no such file"):
        read(
            tmp_path / "missing",
            {
                "index.html": page('<iframe src="inner.html"></iframe>'),
                "inner.html": '<link rel="stylesheet" href="gone.css">',
            },
        )
    with pytest.raises(errors.CompositionError, match="a page from elsewhere"):
        read(tmp_path / "remote", {"index.html": page('<iframe src="https://x.example/"></iframe>')})


def test_a_page_written_into_the_page_is_compiled_as_well(tmp_path: Path) -> None:
    inner = html.escape(
        '<img src="dot.png"><script src="js/a.js"></script><iframe srcdoc="<img src=two.png>"></iframe>'
    )
    files = {"dot.png": "x", "two.png": "x", "js/a.js": 'import("./b.js")', "js/b.js": ""}
    compiled = read(tmp_path, {**files, "index.html": page(f'<iframe src="gone.html" srcdoc="{inner}"></iframe>')})
    assert paths(compiled) == ["dot.png", "js/a.js", "js/b.js", "two.png"]
    (host,) = markup.find(tree(compiled), "iframe")
    inside = markup.parse(host.attrs["srcdoc"] or "")
    (image,) = markup.find(inside, "img")
    assert image.attrs["src"] == "/dot.png"
    (innermost,) = markup.find(inside, "iframe")
    assert 'src="/two.png"' in (innermost.attrs["srcdoc"] or "")
    with pytest.raises(errors.CompositionError, match=r"index\.html \(srcdoc\):1: gone\.css: no such file"):
        read(
            tmp_path / "missing", {"index.html": page('<iframe srcdoc="<link rel=stylesheet href=gone.css>"></iframe>')}
        )


def test_a_page_in_a_folder_finds_its_files_and_its_fonts(tmp_path: Path) -> None:
    inner = """<p>text</p><link rel="stylesheet" href="style.css"><style>b{background:url(dot.png)}</style>
    <img src="dot.png" srcset="dot.png 1x, ../top.png 2x"><use href="#a"></use><script src="code.js"></script>"""
    files = {"in/dot.png": "x", "top.png": "x", "in/code.js": "", "in/style.css": "i{background:url(dot.png)}"}
    body = page('<iframe src="in/page.html"></iframe><div data-composition-src="scenes/one.html"></div>')
    scene = '<template><div data-composition-id="one"><iframe srcdoc="<img src=dot.png>"></iframe></div></template>'
    files |= {"index.html": body, "in/page.html": inner, "scenes/one.html": scene, "scenes/dot.png": "y"}
    compiled = read(tmp_path, files)
    (file,) = [asset.file for asset in compiled.assets if asset.path == "in/page.html"]
    text = Path(file).read_text(encoding="utf-8")
    assert 'src="/in/dot.png" srcset="/in/dot.png 1x, /top.png 2x"' in text
    assert text.count('url("/in/dot.png")') == 2
    assert '<script src="/in/code.js">' in text
    assert 'href="#a"' in text
    assert fonts.MARK in text  # text without a family is drawn by ours there too
    assert "/scenes/dot.png" in compiled.document


def test_an_image_that_moves_is_marked_for_the_page(tmp_path: Path) -> None:
    body = page('<img src="a.gif">')
    still = read(tmp_path / "still", {"index.html": body, "a.gif": GIF % IMAGE})
    assert (paths(still), moving.MARK in still.document) == (["a.gif"], False)
    moved = read(tmp_path / "moving", {"index.html": body, "a.gif": GIF % (IMAGE * 2)})
    (image,) = markup.find(tree(moved), "img")
    assert image.attrs[moving.MARK] == "image/gif"


@pytest.mark.parametrize(
    "body",
    [
        '<div style="background: url(a.gif)"></div>',
        '<img src="a.gif"><div style="background: url(a.gif)"></div>',
        '<img src="a.gif" srcset="a.gif 2x">',
        '<script>new Image().src = "a.gif"</script>',
        '<iframe src="inner.html"></iframe>',
    ],
)
def test_an_image_that_moves_by_the_wall_clock_is_refused(tmp_path: Path, body: str) -> None:
    files: dict[str, str | bytes] = {
        "index.html": page(body),
        "inner.html": '<img src="a.gif">',
        "a.gif": GIF % (IMAGE * 2),
    }
    with pytest.raises(errors.CompositionError, match=r"a\.gif:0: the composition needs `animated-image`"):
        read(tmp_path, files)


@given(st.binary(max_size=200))
def test_what_moves_is_told_from_any_bytes(data: bytes) -> None:
    for start in (b"GIF89a\2\0\2\0\x80\0\0", b"\x89PNG", b"RIFF....WEBPVP8X", b""):
        assert moving.type_of(start + data) in {"", "image/gif", "image/png", "image/webp"}


@NEEDS_NPM
def test_modules_from_a_cdn_come_with_their_neighbours(tmp_path: Path) -> None:
    url = "https://cdn.jsdelivr.net/npm/three@0.184.0/build/three.module.js"
    script = f'<script type="module">import * as THREE from "{url}";</script>'
    support.write(tmp_path, {"index.html": page(script)})
    compiled = composition.read(tmp_path, variables={}, cache=support.CACHE)
    found = modules_of(compiled)
    assert set(found) == {"three.core.js", "three.module.js"}
    assert f'import * as THREE from "/{found["three.module.js"][0]}";' in compiled.document
    assert f'from"/{found["three.core.js"][0]}"' in found["three.module.js"][1].replace(" ", "").replace("'", '"')


@NEEDS_NPM
def test_a_cdn_for_modules_that_cannot_be_reached_is_replaced_by_the_modules_of_packages(tmp_path: Path) -> None:
    orbit = "https://cdn.jsdelivr.net/npm/three@0.184.0/examples/jsm/controls/OrbitControls.js/+esm"
    script = f"""<script type="module">import * as THREE from "https://esm.sh/three@0.184.0";
    import {{ OrbitControls }} from "{orbit}"; import gsap from "https://esm.sh/gsap@3.14.2?min";</script>"""
    support.write(tmp_path, {"index.html": page(script)})
    compiled = composition.read(tmp_path, variables={}, cache=support.CACHE)
    found = modules_of(compiled)
    names = [Path(path).name for path in paths(compiled)]
    assert sorted(names) == [
        "CSSPlugin.js",
        "OrbitControls.js",
        "gsap-core.js",
        "index.js",
        "three.core.js",
        "three.module.js",
    ]
    # By one address wherever it is imported: two copies would not know each other's objects.
    assert f'import * as THREE from "/{found["three.module.js"][0]}";' in compiled.document
    assert f"from '/{found['three.module.js'][0]}'" in found["OrbitControls.js"][1]  # written as 'three'
    assert f'import gsap from "/{found["index.js"][0]}"' in compiled.document


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('import "a"; import b from "./b.js";import*as c from"c"', ["a", "./b.js", "c"]),
        ("export { d,\n  e as f } from '../d.js'; export*from'e'", ["../d.js", "e"]),
        ("const x = await import( 'f' ), y = import(name)", ["f"]),
        ("say('Taken from \"https://x.example/\"'); gsap.to({ from: 'center' }); Array.from('abc')", []),
    ],
)
def test_imports_are_told_from_other_words(source: str, found: list[str]) -> None:
    assert speech.with_imports(source, str) == source
    marked = speech.with_imports(source, lambda name: f"<{name}>")
    assert re.findall("<(.*?)>", marked) == found


def modules_of(compiled: model.Composition) -> dict[str, tuple[str, str]]:
    """Path in the bundle and text of every script, by file name."""
    files = [(asset.path, Path(asset.file).read_text(encoding="utf-8")) for asset in compiled.assets]
    return {Path(path).name: (path, text) for path, text in files}


@NEEDS_NPM
def test_an_import_map_leads_into_the_bundle(tmp_path: Path) -> None:
    three = "https://cdn.jsdelivr.net/npm/three@0.184.0/"
    table = {"three": f"{three}build/three.module.js", "three/addons/": f"{three}examples/jsm/", "mine": "./js/mine.js"}
    body = f"""<script type="importmap">{json.dumps({"imports": table})}</script>
    <script type="module">import "./js/app.js"; import "mine"; import "absent";</script>"""
    app = 'import { EffectComposer } from "three/addons/postprocessing/EffectComposer.js"; import "../lib/util.js";'
    files = {"index.html": page(body), "js/app.js": app, "js/mine.js": "", "lib/util.js": "export const one = 1;"}
    support.write(tmp_path, files)
    compiled = composition.read(tmp_path, variables={}, cache=support.CACHE)
    found = modules_of(compiled)
    assert set(found) >= {"three.module.js", "EffectComposer.js", "CopyShader.js", "Pass.js", "app.js", "util.js"}
    (script, *_) = [e for e in markup.find(tree(compiled), "script") if e.attrs.get("type") == "importmap"]
    imports = json.loads(markup.text(script))["imports"]
    assert imports["three"] == f"/{found['three.module.js'][0]}"
    assert imports["mine"] == "/js/mine.js"
    assert imports["three/addons/postprocessing/EffectComposer.js"] == f"/{found['EffectComposer.js'][0]}"
    assert f"'/{found['CopyShader.js'][0]}'" in found["EffectComposer.js"][1]  # written as ../shaders/CopyShader.js
    assert '"/lib/util.js"' in found["app.js"][1]


@NEEDS_NPM
def test_scripts_from_a_cdn_are_pasted_in(tmp_path: Path) -> None:
    url = "https://cdn.jsdelivr.net/npm/gsap@3.14.2/dist/gsap.min.js"
    tags = f'<script src="{url}" integrity="x" crossorigin data-keep></script><script src="{url}" defer></script>'
    local = '<script src="node_modules/gsap/dist/gsap.min.js"></script>'
    support.write(tmp_path, {"index.html": page(head=tags + local)})
    compiled = composition.read(tmp_path, variables={}, cache=support.CACHE)
    pasted, deferred, known = markup.find(tree(compiled), "script")
    assert pasted.attrs == {"data-keep": ""}
    assert "GSAP 3.14.2" in markup.text(pasted)[:40]
    assert [deferred.attrs["src"]] == paths(compiled)
    assert "GSAP 3.15.0" in markup.text(known)[:40]


PIECES = [
    "<div data-composition-id=m data-duration=1>", "</div>", "<template>", "</template>", "<script>", "</script>",
    "<style>", "</style>", "<svg>", "<p style='background:url(x'>", "<audio src=a.wav>", "<img src=>",
    "<img src='%zz'>", "<div data-composition-src=s.html>", "<link rel=stylesheet href=//[>", "<!--", "-->", "{", "}",
    "<div data-composition-id=s data-composition-src=s.html data-start='s + 1'>", "<script src=https://[x></script>",
    "<iframe src=index.html>", "@import 'x", "url(", "\0", "\ud7ff", "<table><b>", "<body>", "<frameset>",
    "<html data-composition-variables='['>", "<base href=https://x.example/>", "<img srcset=', ,'>",
    "<source src=..>", "<use href='#'>", "<img src='/'>", "<img src='.'>",
]  # fmt: skip
COUNTER = itertools.count()


@settings(deadline=None)  # some of them start ffprobe
@given(st.lists(st.sampled_from(PIECES), max_size=14), st.lists(st.sampled_from(PIECES), max_size=8))
def test_a_broken_project_compiles_or_ends_in_a_named_error(
    tmp_path_factory: pytest.TempPathFactory, entry: list[str], scene: list[str]
) -> None:
    folder = tmp_path_factory.getbasetemp() / f"broken-{next(COUNTER)}"
    # Every other exception fails the test.
    with contextlib.suppress(errors.CompositionError):
        read(folder, {"index.html": "".join(entry), "s.html": "".join(scene), "a.wav": "x"})


def test_mentions_need_a_whole_name_or_a_beginning() -> None:
    known = ["a/b.png", "a/c.png", "top.json", "a/deep/d.png"]
    assert speech.mentioned('"a/b.png"', known) == {"a/b.png"}
    assert speech.mentioned('"a/" + x', known) == {"a/b.png", "a/c.png", "a/deep/d.png"}
    assert speech.mentioned("`a/deep/${x}`", known) == {"a/deep/d.png"}
    assert speech.mentioned("top.js", known) == set()


def test_webgl_is_where_a_canvas_has_its_time_and_everywhere_when_it_has_none(tmp_path: Path) -> None:
    script = '<script>canvas.getContext("webgl")</script>'
    clip = '<section data-start="1" data-duration="1" class="clip"><canvas></canvas></section>'
    compiled = read(tmp_path / "timed", {"index.html": page(clip + script)})
    assert compiled.gl_spans == ((Fraction(1), Fraction(2)),)
    assert read(tmp_path / "plain", {"index.html": page(clip)}).gl_spans == ()
    untimed = read(tmp_path / "untimed", {"index.html": page(f"<canvas></canvas>{script}")})
    assert untimed.gl_spans == ((Fraction(0), untimed.duration_s),)
