"""Projects nobody meant to write: whatever is wrong with one, reading it gives a composition or an error of ours."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet import composition
from fleet.errors import CompositionError, FleetError

EXAMPLES = 150
LENGTH_MAX = 40

PAGE = (
    '<!doctype html><html data-composition-variables=\'[{"id":"title","type":"string","default":"Hi"}]\'><head>'
    "<style>body{font-family:Inter;background:url(a.png)} .x{color:red} @import 'a.css';</style>"
    '<link rel="stylesheet" href="a.css"></head><body>'
    '<div data-composition-id="main" data-width="320" data-height="180" data-duration="2" data-fps="30">'
    '<div id="one" class="clip" data-start="0" data-duration="1" data-track-index="0">text</div>'
    '<div class="clip" data-start="one + 0.5" data-duration="0.5" data-track-index="1"><img src="a.png"></div>'
    '<audio id="sound" src="a.wav" data-start="one" data-duration="1" data-volume="0.5"></audio>'
    '<div data-composition-id="part" data-composition-src="part.html" data-start="0" data-duration="2" '
    'data-variable-values=\'{"title":"Ho"}\'></div>'
    "<script>window.__timelines = {}; const a = `__KEY__ ${1}`; /* c */</script></div></body></html>"
)
PART = (
    '<template id="part-template"><div data-composition-id="part" data-width="320" data-height="180">'
    "<style>#a{color:blue} [data-composition-id='part'] .b{width:1px}</style><b id='a'>part</b>"
    '<div data-composition-id="part" data-composition-src="part.html"></div>'
    "<script>document.querySelector('#a')</script></div></template>"
)
FILES: dict[str, bytes] = {
    "index.html": PAGE.encode(),
    "part.html": PART.encode(),
    "a.css": b"@font-face{font-family:Own;src:url(a.woff2)} p{font-family:Own}",
    "a.png": b"\x89PNG\r\n\x1a\n",
    "a.wav": b"RIFF",
    "a.woff2": b"wOF2",
}
# What breaks readers of numbers, markup, styles, scripts and paths.
RUBBISH = (
    "", "0", "-1", "NaN", "Infinity", "1e99", "1e-99", "9" * 400, "{", "}", "[", "(", ")", "<", ">", '"', "'", "`", "&",
    "<!--", "-->", "/*", "*/", "<![CDATA[", "</script>", "<script>", "<style>", "<template>", "</template>", "<svg>",
    "<math>", "<table>", "<frameset>", "<select>", "\0", "\ufeff", "\u202e", "%00", "../../..", "/etc/passwd", "file:///",
    "//x", "http://", "https://[", "data:", "url(", "@import url(part.html);", "@media{", "one", "part", "part.html",
    "index.html", "one + ", "one - 1e9", "true", "null", '{"id":1}', "[[[[", "\\", "\\u{110000}", "&#xD800;", "{{x}}",
    "__X__", "1/0", "240/0", "\U0001f600", "a b", "é", "var(--x)", "!important", ":root{", "#", "?", "%", "\r\n",
    "\x7f",
)  # fmt: skip


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all examples: what it holds is named by content."""
    return tmp_path_factory.mktemp("cache")


def ending(files: dict[str, bytes], cache: Path) -> FleetError | None:
    """The error of ours that reading a project ends in, if it does; everything else is raised."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            Path(folder, name).write_bytes(content)
        try:
            composition.read(Path(folder), variables={"title": "x"}, cache=cache, offline=True, substitute_fonts=True)
        except FleetError as error:
            return error
        return None


@st.composite
def broken(draw: st.DrawFn) -> dict[str, bytes]:
    """A valid project with a few pieces cut out, doubled or replaced by rubbish; sometimes by any bytes at all."""
    files = dict(FILES)
    for _ in range(draw(st.integers(1, 4))):
        name = draw(st.sampled_from(["index.html", "index.html", "index.html", "part.html", "a.css"]))
        content = files[name]
        at = draw(st.integers(0, len(content)))
        length = draw(st.integers(0, LENGTH_MAX))
        new = draw(
            st.one_of(
                st.sampled_from(RUBBISH).map(str.encode),
                st.just(content[at : at + length] * 3),
                st.sampled_from(RUBBISH).map(lambda text: text.encode() * 50),
                st.binary(max_size=8),
            )
        )
        files[name] = content[:at] + new + content[at + length :]
    return files


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
@given(files=broken())
def test_a_mutilated_project_is_read_or_refused_by_name(cache: Path, files: dict[str, bytes]) -> None:
    error = ending(files, cache)
    assert error is None or (str(error) and error.remedy)


@st.composite
def odd_attributes(draw: st.DrawFn) -> dict[str, bytes]:
    """The valid project with odd values of attributes that are read here."""
    text = PAGE
    for name in draw(st.lists(st.sampled_from(ATTRIBUTES), min_size=1, max_size=5)):
        value = draw(st.one_of(st.sampled_from(RUBBISH), st.text(max_size=12))).replace('"', "")
        text = text.replace(f" {name}=", f' {name}="{value}" x=', draw(st.integers(1, 3)))
    return FILES | {"index.html": text.encode("utf-8", "replace")}


ATTRIBUTES = (
    "data-start", "data-duration", "data-width", "data-height", "data-fps", "data-composition-id", "data-volume",
    "data-composition-src", "data-variable-values", "data-composition-variables", "src", "href", "id", "class", "rel",
)  # fmt: skip


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
@given(files=odd_attributes())
def test_any_value_of_an_attribute_is_read_or_refused_by_name(cache: Path, files: dict[str, bytes]) -> None:
    error = ending(files, cache)
    assert error is None or (str(error) and error.remedy)


def test_a_stray_equals_sign_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(page('<p ="320" title="x">y</p><template><b ==1>z</b></template>'))
    compiled = composition.read(tmp_path, variables={}, cache=tmp_path / "cache", offline=True, substitute_fonts=True)
    assert '<p title="x">y</p><template><b>z</b></template>' in compiled.document


def refusal(tmp_path: Path, files: dict[str, str]) -> str:
    """Why this project is refused."""
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(CompositionError) as caught:
        composition.read(tmp_path, variables={}, cache=tmp_path / "cache", offline=True, substitute_fonts=True)
    assert caught.value.remedy
    return str(caught.value)


def page(body: str, *, identity: str = "main", head: str = "") -> str:
    """A page around the inside of a composition."""
    root = f'<div data-composition-id="{identity}" data-width="320" data-height="180" data-duration="1">{body}</div>'
    return f"<!doctype html><html><head>{head}</head><body>{root}</body></html>"


def test_compositions_that_multiply_are_refused_before_they_fill_the_memory(tmp_path: Path) -> None:
    thrice = '<div data-composition-id="{0}" data-composition-src="{0}.html"></div>' * 3
    files = {f"a{n}.html": page(thrice.format(f"a{n + 1}"), identity=f"a{n}") for n in range(15)}
    found = refusal(tmp_path, {"index.html": page(thrice.format("a0")), **files, "a15.html": page("x", identity="a15")})
    assert "more than 2000 sub-compositions are mounted" in found


@pytest.mark.parametrize("rubbish", ["a{" * 20_000, "a{b:" + "(" * 20_000, "a:is(" * 20_000])
def test_endlessly_nested_styles_are_refused_with_their_line(tmp_path: Path, rubbish: str) -> None:
    assert "index.html:1: styles are nested" in refusal(
        tmp_path, {"index.html": page("x", head=f"<style>{rubbish}</style>")}
    )


@pytest.mark.parametrize(
    "body",
    [
        "<div>" * 5_000,
        "<svg>" + "<g>" * 5_000,
        "<template>" * 500,
        "<!--" * 50_000,
        f"<script>{'/*' * 50_000}</script>",
        f"<p {' '.join(f'a{n}=1' for n in range(5_000))}>",
    ],
    ids=["deep", "deep-svg", "templates", "comments", "script-comments", "attributes"],
)
def test_large_rubbish_that_browsers_show_is_read(tmp_path: Path, body: str) -> None:
    (tmp_path / "index.html").write_text(page(body))
    compiled = composition.read(tmp_path, variables={}, cache=tmp_path / "cache", offline=True, substitute_fonts=True)
    assert compiled.duration_s == 1
