import json
from pathlib import Path

import pytest
from composition_support import page, read, tree
from hypothesis import given
from hypothesis import strategies as st

from fleet import errors, model
from fleet.composition import markup, scripts, variables

DECLARED = [
    {"id": "Main Title", "type": "string", "default": "Hi"},
    {"id": "size", "type": "number", "default": 2.5},
    {"id": "flag", "type": "boolean", "default": True},
    {"id": "empty", "type": "string", "default": ""},
    {"id": "theme", "type": "enum", "default": "dark", "options": [{"value": "dark"}, "light"]},
]


def root(entries: object = DECLARED) -> str:
    written = json.dumps(entries).replace("'", "&#39;")
    size = "data-width='64' data-height='48'"
    return f"<div data-composition-id='main' {size} data-duration='1' data-composition-variables='{written}'>"


def sheet(compiled: model.Composition) -> str:
    return "\n".join(
        markup.text(style) for style in markup.find(tree(compiled), "style") if variables.SHEET in style.attrs
    )


def test_declared_defaults_become_custom_properties_of_their_element(tmp_path: Path) -> None:
    compiled = read(tmp_path, {"index.html": page(root=root())})
    assert sheet(compiled) == '[data-hf-var-scope="1"]{--main-title:Hi;--size:2.5;--theme:dark}'
    assert compiled.findings == ()
    assert "window.__hfVariables=" not in compiled.document


def test_defaults_of_the_page_itself_belong_to_the_whole_document(tmp_path: Path) -> None:
    html = f"""<html data-composition-variables='[{{"id":"a","default":"1px"}}]'><body>{root([])}</div>"""
    assert sheet(read(tmp_path, {"index.html": html})) == ":root{--a:1px}"


def test_overrides_are_the_first_script_and_win_over_authored_css(tmp_path: Path) -> None:
    html = page(root=root(), head="<script>mine()</script><style>.x{--size: 9; --main-title:A}</style>")
    compiled = read(tmp_path, {"index.html": html}, variables={"Main Title": "</script>", "theme": "light"})
    assert sheet(compiled) == '[data-hf-var-scope="1"]{--theme:light;--main-title:/script}'
    first, second = markup.find(tree(compiled), "script")
    assert markup.text(first) == 'window.__hfVariables={"Main Title":"\\u003c/script>","theme":"light"};'
    assert markup.text(second) == "mine()"


def test_unknown_names_and_options_are_warned_about(tmp_path: Path) -> None:
    compiled = read(tmp_path, {"index.html": page(root=root())}, variables={"titel": "x", "theme": "drak"})
    assert [(f.severity, f.code, f.where) for f in compiled.findings] == [
        (model.Severity.WARNING, "unknown-variable", "index.html:1"),
        (model.Severity.WARNING, "unknown-option", "index.html:1"),
    ]
    assert compiled.findings[0].remedy == "declared variables: `Main Title`, `empty`, `flag`, `size`, `theme`"


def test_a_mounted_composition_gets_its_defaults_and_its_hosts_values(tmp_path: Path) -> None:
    html = """<html data-composition-variables='[{"id":"a","default":"html"},{"id":"c","default":"c"}]'>
        <body><p data-composition-id="scene" data-composition-variables='[{"id":"b","default":"root"}]'></p></body>"""
    host = (
        """<div data-composition-id="scene" data-composition-src="s.html" data-variable-values='{"c": "host"}'></div>"""
    )
    compiled = read(tmp_path, {"index.html": page(host + host), "s.html": html}, variables={"a": "over"})
    values = {"a": "html", "b": "root", "c": "host"}
    table = scripts.literal({"scene__hf1": values, "scene__hf2": values})
    assert f"window.__hfVariablesByComp=Object.assign({{}},window.__hfVariablesByComp,{table});" in compiled.document
    assert sheet(compiled).splitlines()[:2] == [
        '[data-composition-id="scene__hf1"]{--a:over;--c:host;--b:root}',
        '[data-composition-id="scene__hf2"]{--a:over;--c:host;--b:root}',
    ]


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("data-composition-variables='[{]'", r"index\.html.*: data-composition-variables is no JSON"),
        ("data-composition-src='s.html' data-variable-values='{'", r"index\.html:1: data-variable-values is no JSON"),
        ("data-composition-src='s.html' data-variable-values='[]'", r"index\.html:1: .* is no JSON object"),
    ],
)
def test_broken_json_names_file_and_attribute(tmp_path: Path, attribute: str, message: str) -> None:
    with pytest.raises(errors.CompositionError, match=message):
        read(
            tmp_path,
            {"index.html": page(f"<div {attribute}></div>"), "s.html": '<p data-composition-id="s"></p>'},
        )


@given(st.text())
def test_a_property_name_is_always_plain(name: str) -> None:
    plain = variables.property_of(name)
    assert plain.startswith("--")
    assert set(plain) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
    )
)
def test_a_literal_is_the_value_and_holds_no_markup(value: object) -> None:
    written = scripts.literal(value)
    assert json.loads(written) == value
    assert "<" not in written
