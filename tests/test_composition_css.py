import string

import pytest
import tinycss2
from hypothesis import given
from hypothesis import strategies as st

from fleet.composition import css

SCOPE = css.Scope(authored_id="intro", runtime_id="intro__hf1", root_id="my.root")
HOST = '[data-composition-id="intro__hf1"]'
BOX = f"{HOST}:not(:has([data-hf-inner-root])), {HOST} > [data-hf-inner-root]"


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        (".a", f"{HOST} .a"),
        (".a > .b ~ c:hover", f"{HOST} .a > .b ~ c:hover"),
        (".a,.b", f"{HOST} .a,{HOST} .b"),
        (':is(.a, .b) [title="x, y"]', f'{HOST} :is(.a, .b) [title="x, y"]'),
        ("*", "*"),
        ("*::before", f"{HOST} *::before"),
        ("body", BOX),
        ("HTML", BOX),
        (":root", BOX),
        ("body.dark", f"{HOST} body.dark"),
        (":root .x", f"{HOST} :root .x"),
        ('[data-composition-id="intro"]', BOX),
        ("[data-composition-id=intro]", BOX),
        ("[data-composition-id='intro'][data-start=\"0\"]", BOX),
        ('[data-start="0"][data-composition-id="intro"][data-duration="2"] .t', f"{HOST} .t"),
        ('[data-composition-id="intro"] [data-start="0"]', f'{HOST} [data-start="0"]'),
        ('.x [data-composition-id="intro"]:hover', f".x {HOST}:hover"),
        ('.a:not([data-composition-id="intro"])', f"{HOST} .a:not({HOST})"),
        ('[data-composition-id="other"] .t', f'{HOST} [data-composition-id="other"] .t'),
        (r"#my\.root .t", f'{HOST} [data-hf-authored-id="my.root"] .t'),
        (r"#my\.rootling", rf"{HOST} #my\.rootling"),
        ("#other", f"{HOST} #other"),
    ],
)
def test_a_selector_is_confined_to_its_composition(selector: str, expected: str) -> None:
    assert css.scoped(f"{selector}{{color:red}}", SCOPE) == f"{expected}{{color:red}}"


@pytest.mark.parametrize(
    "sheet",
    [
        "@keyframes k{from{a:b}50.50%{c:d}}",
        "@-webkit-keyframes k{to{a:b}}",
        '@font-face{font-family:"F";src:url(f.woff2)}',
        '@property --p{syntax:"<number>";inherits:false}',
        "@layer base,more;",
        '@import "x.css";',
    ],
)
def test_what_is_global_stays_global(sheet: str) -> None:
    assert css.scoped(sheet, SCOPE) == sheet


def test_rules_inside_groups_are_confined_and_nested_ones_follow_their_parent() -> None:
    sheet = "@media (min-width:1px){@supports (display:grid){.a{.b &{c:d} e:f}}}"
    assert (
        css.scoped(sheet, SCOPE)
        == f"@media (min-width:1px){{@supports (display:grid){{{HOST} .a{{.b &{{c:d}} e:f}}}}}}"
    )


def test_ids_with_quotes_cannot_break_out_of_the_selector() -> None:
    scope = css.Scope(authored_id="x", runtime_id='a"]{}</style>')
    assert css.scoped(".a{b:c}", scope) == '[data-composition-id="a\\"]{}<\\/style>"] .a{b:c}'


NAMES = st.text(string.ascii_letters, min_size=1, max_size=6)
SIMPLE = st.one_of(NAMES, NAMES.map(".{}".format), NAMES.map("#{}".format), NAMES.map('[title="{}, x"]'.format))
COMPOUND = st.lists(SIMPLE, min_size=1, max_size=4).map(" > ".join)


@given(st.lists(COMPOUND, min_size=1, max_size=4), st.sampled_from(["{}", "@media print{{{}}}", "@layer x{{{}}}"]))
def test_every_selector_gets_its_own_scope_and_nothing_else_changes(selectors: list[str], group: str) -> None:
    rest = [s for s in selectors if s.lower() not in {"html", "body"}]
    sheet = group.format(f"{','.join(rest) or '.z'}{{color:red}}")
    scoped = css.scoped(sheet, SCOPE)
    assert scoped.count(HOST) == max(1, len(rest))
    assert scoped.replace(f"{HOST} ", "") == sheet


@given(st.text(max_size=60))
def test_scoping_never_fails_and_never_ends_the_style_element(sheet: str) -> None:
    assert "</style" not in css.scoped(sheet, SCOPE).lower()


def test_every_address_is_seen_with_its_line_and_kind() -> None:
    sheet = """@import url(a.css); @import "b.css" screen;
        .x{background:url(  c.png ),image-set("d.png" 1x,url('e.png') 2x);content:"no"}
        @font-face{font-family:"no";src:local("no"),url("f.woff2")}
        @media print{.y{--z:url(g.png);mask:cross-fade(url(h.png),red)}}"""
    seen: list[tuple[str, int, str]] = []

    def note(reference: css.Reference) -> str:
        seen.append((reference.url, reference.line, reference.kind))
        return reference.url

    assert css.rewrite(sheet, note) is sheet
    assert seen == [
        ("a.css", 1, "import"),
        ("b.css", 1, "import"),
        ("c.png", 2, "image"),
        ("d.png", 2, "image"),
        ("e.png", 2, "image"),
        ("f.woff2", 3, "font"),
        ("g.png", 4, "image"),
        ("h.png", 4, "image"),
    ]


@given(st.text())
def test_a_rewritten_address_reads_back_as_itself(address: str) -> None:
    address = address.replace("\0", "").strip()
    new = css.rewrite('@import "x";.a{background:url(x)}', lambda _: address)
    found: list[str] = []

    def note(reference: css.Reference) -> str:
        found.append(reference.url)
        return reference.url

    css.rewrite(new, note)
    valid = "".join(c if not 0xD800 <= ord(c) <= 0xDFFF else "\ufffd" for c in address)
    assert found == [valid, valid]
    assert not any(rule.type == "error" for rule in tinycss2.parse_stylesheet(new))


def test_remote_imports_are_taken_out() -> None:
    sheet = '@import url("https://x/y");@import "local.css";.a{b:c}'
    assert css.take_imports(sheet, lambda url: url.startswith("https:")) == (
        '@import "local.css";.a{b:c}',
        ["https://x/y"],
    )
