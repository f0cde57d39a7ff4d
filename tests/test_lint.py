"""What is said about a project before it is rendered: findings by file and line, and what they stop."""

import json
from pathlib import Path

import composition_support as support
import pytest
from composition_support import page, read, write
from hypothesis import given
from hypothesis import strategies as st

from fleet import composition, errors, findings
from fleet.composition import lint, markup, placeholders, project
from fleet.model import Severity

GSAP = '<script src="https://cdn.jsdelivr.net/npm/gsap@3/dist/gsap.min.js"></script>'
MAIN = 'window.__timelines = {}; window.__timelines["main"] = tl;'


def codes(folder: Path, files: dict[str, str | bytes], **values: str) -> list[tuple[str, str]]:
    """(code, place) of every finding."""
    source = project.locate(write(folder, files), values)
    return [(finding.code, finding.where) for finding in lint.run(source)]


def script(source: str, *, before: str = GSAP) -> str:
    return page(f"{before}\n<script>\n{source}</script>")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (page(), []),
        (page(root='<div data-composition-id="m" data-duration="1">'), [("root-without-size", 1)]),
        (page(root='\n<div data-composition-id="m" data-width="9" data-height="9">'), [("duration-measured", 2)]),
        (page('\n<p data-start="1,5" data-duration="2s">'), [("time-unreadable", 2), ("time-unreadable", 2)]),
        (page('<p data-start="intro + 1">'), [("start-unknown-target", 1)]),
        (page('<i id="intro"></i><p data-start="intro + 1">'), []),
        (page("<audio></audio>\n<video><source></video>"), [("media-without-source", 1), ("media-without-source", 2)]),
        (page('<audio><source src="a.mp3"></audio>'), []),
        (page('<audio id="a" src="a.mp3"></audio>\n<audio id="a" src="b.mp3"></audio>'), [("media-repeated-id", 2)]),
        (page('<p data-start="0" data-layer="2">'), [("old-attribute", 1)]),
        (page("\n<b>__TITLE__</b> {{ name }}<!-- __NOT_THIS__ -->"), [("placeholder-unfilled", 2)] * 2),
        (script("if (window.__HF_VIRTUAL_TIME__) { a.__THREE__ = `${{a}}` }"), []),
        (script(f"const tl = gsap.timeline();\n{MAIN}"), []),
        (script("const tl = gsap.timeline();"), [("timeline-not-registered", 3)]),
        (script(f"const tl = gsap.timeline();\n{MAIN}", before=""), [("gsap-missing", 3)]),
        (script("// gsap.timeline()\n/* repeat: -1 */ const url = 'https://a.example/gsap.to(';"), []),
        (script("window.__timelines = {};\nwindow.__timelines['intro'] = 1;"), [("timeline-of-nobody", 4)]),
        (script("window.__timelines.main = 1; if (__timelines['x'] === 2) {}"), []),
        (script("a({repeat: -1});\nb({ repeat : -1 })"), [("endless-repeat", 3), ("endless-repeat", 4)]),
        (script("requestAnimationFrame(draw);\nrequestAnimationFrame(draw)"), [("frame-loop", 3)]),
        (script("a({ motionPath: 1 })"), [("gsap-plugin-missing", 3)]),
        (script("new SplitText('a')", before=GSAP.replace("gsap.min", "SplitText.min")), []),
    ],
)
def test_each_check_finds_what_it_is_for_and_nothing_else(
    tmp_path: Path, text: str, expected: list[tuple[str, int]]
) -> None:
    assert codes(tmp_path, {"index.html": text}) == [(code, f"index.html:{line}") for code, line in expected]


def test_mounted_pages_are_read_as_well_and_share_what_they_load(tmp_path: Path) -> None:
    host = '<div data-composition-id="inner" data-composition-src="compositions/a.html"></div>'
    inner = (
        '<template><div data-composition-id="inner">\n<script>gsap.to("a", {});window.__timelines.outer = 1;</script>'
    )
    found = codes(tmp_path, {"index.html": page(GSAP + host + host), "compositions/a.html": inner})
    assert found == [("timeline-of-nobody", "compositions/a.html:2")]


def test_an_index_that_shows_nothing_beside_a_page_that_would_is_an_error(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"index.html": page(), "scene.html": page('<p class="clip" data-start="0">')}
    with pytest.raises(errors.CompositionError, match=r"index\.html:1: the root shows nothing.*scene\.html"):
        read(tmp_path, files)
    assert codes(tmp_path / "project", {"index.html": page('<script>a.innerHTML = "x"</script>')}) == []
    mounted = page('<div data-composition-id="main" data-composition-src="scene.html"></div>')
    assert codes(tmp_path / "project", {"index.html": mounted}) == []


def test_placeholders_are_filled_in_pages_scripts_and_sheets(tmp_path: Path) -> None:
    head = '<link rel="stylesheet" href="a.css"><script src="a.js"></script>'
    root = support.ROOT.replace('data-duration="2"', 'data-duration="__SECONDS__"')
    files: dict[str, str | bytes] = {
        "index.html": page('<b title="{{ title }}"></b>', head=head, root=root),
        "a.css": "b{color:{{colour}}}",
        "a.js": "const title = '__TITLE__';",
    }
    values = {"SECONDS": "3", "title": "Hi & bye", "colour": "red", "TITLE": "x"}
    compiled = composition.read(
        write(tmp_path / "project", files), variables={}, placeholders=values, cache=tmp_path / "cache", offline=True
    )
    assert compiled.duration_s == 3
    assert [b.attrs["title"] for b in markup.find(support.tree(compiled), "b")] == ["Hi & bye"]
    assert "b{color:red}" in compiled.document
    (asset,) = (asset for asset in compiled.assets if asset.path == "a.js")
    assert Path(asset.file).read_text() == "const title = 'x';"
    assert compiled.findings == ()
    assert (tmp_path / "project" / "a.js").read_text() == files["a.js"]


def test_placeholders_in_data_are_filled_and_keep_it_json(tmp_path: Path) -> None:
    data = '{"title": "{{ title }}", "seconds": __SECONDS__}'
    body = """<script>fetch("data/a.json"); const b = "b.json";</script>"""
    files: dict[str, str | bytes] = {"index.html": page(body), "data/a.json": data, "b.json": '["__SECONDS__"]'}
    compiled = composition.read(
        write(tmp_path / "project", files),
        variables={},
        placeholders={"title": 'Say "hi"', "SECONDS": "3"},
        cache=tmp_path / "cache",
        offline=True,
    )
    read = {asset.path: json.loads(Path(asset.file).read_text()) for asset in compiled.assets}
    assert read == {"data/a.json": {"title": 'Say "hi"', "seconds": 3}, "b.json": ["3"]}
    assert compiled.findings == ()


def test_a_value_that_no_placeholder_wants_is_named(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"index.html": page(), "a.js": "x('__USED__')"}
    assert codes(tmp_path, files, USED="1", TYPO="2") == [("placeholder-unused", "index.html")]


@given(st.text(), st.dictionaries(st.sampled_from(["A", "B_1", "name"]), st.text(alphabet="xyz")))
def test_filling_changes_placeholders_only(text: str, values: dict[str, str]) -> None:
    assert placeholders.fill(text, {}) == text
    filled = placeholders.fill(f"{text} __A__ {{{{ name }}}}", values)
    assert filled.endswith(f" {values.get('A', '__A__')} {values.get('name', '{{ name }}')}")


def test_errors_stop_a_render_and_strictness_adds_to_them(tmp_path: Path) -> None:
    notes = lint.run(project.locate(write(tmp_path, {"index.html": page("<b>__TITLE__</b>")})))
    findings.refuse(notes)
    findings.refuse(notes, strict_variables=True)
    with pytest.raises(errors.CompositionError, match=r"index\.html:1: nothing fills in .*__TITLE__") as caught:
        findings.refuse(notes, strict=True)
    assert caught.value.remedy == "pass `--set TITLE=VALUE`; or render without `--strict`"


def test_an_unknown_variable_stops_only_when_asked(tmp_path: Path) -> None:
    compiled = read(tmp_path, {"index.html": page()}, variables={"nobody": 1})
    findings.refuse(compiled.findings)
    with pytest.raises(errors.CompositionError, match="no composition declares the variable `nobody`"):
        findings.refuse(compiled.findings, strict_variables=True)


def test_an_error_of_many_lines_is_as_many_findings() -> None:
    error = errors.CompositionError("index.html:3: a.png: no such file\npage console: x\ncss/b.css:9: bad", remedy="r")
    found = [(each.where, each.message, each.severity) for each in findings.of_error(error)]
    assert found == [
        ("index.html:3", "a.png: no such file\npage console: x", Severity.ERROR),
        ("css/b.css:9", "bad", Severity.ERROR),
    ]


@pytest.mark.ffmpeg
def test_a_broken_sound_is_a_warning_and_stops_a_strict_render(tmp_path: Path) -> None:
    compiled = read(tmp_path, {"index.html": page('<audio id="a" src="a.mp3"></audio>'), "a.mp3": b"no sound"})
    findings.refuse(compiled.findings)
    with pytest.raises(errors.CompositionError, match=r"a\.mp3 is no media file"):
        findings.refuse(compiled.findings, strict=True)
