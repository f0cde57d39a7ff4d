from pathlib import Path

import composition_support as support
import pytest
from composition_support import NEEDS_NPM, page, read, tree
from hypothesis import given
from hypothesis import strategies as st

from fleet import composition, model
from fleet.composition import families, fonts, markup

WOFF2 = b"wOF2 data"


@pytest.mark.parametrize(
    ("sheet", "expected"),
    [
        (".a{font-family:system-ui, x}", ".a{font-family:Inter,system-ui, x}"),
        (".a{color:red;font-family: serif!important}", ".a{color:red;font-family:Inter, serif!important}"),
        (":root{--mono:Monospace;--x:1px}", ":root{--mono:Inter,Monospace;--x:1px}"),
        (
            "@media print{.a{.b &{font-family:-apple-system}}}",
            "@media print{.a{.b &{font-family:Inter,-apple-system}}}",
        ),
        ("font-family:ui-serif;color:red", "font-family:Inter,ui-serif;color:red"),
        ('.a{font-family:"serif"}', '.a{font-family:Inter,"serif"}'),
        (".a{font-family:Georgia, serif}", ".a{font-family:Georgia, serif}"),
        (".a{font-family:var(--f, serif)}", ".a{font-family:var(--f, serif)}"),
        ("@font-face{font-family:serif;src:url(x)}", "@font-face{font-family:serif;src:url(x)}"),
        (".serif:hover{color:serif}", ".serif:hover{color:serif}"),
    ],
)
def test_a_list_that_begins_with_a_generic_family_gets_ours_before_it(sheet: str, expected: str) -> None:
    assert families.with_primary(sheet) == expected
    assert families.with_primary(expected) == expected


@given(st.text(max_size=80))
def test_any_text_is_a_sheet(sheet: str) -> None:
    families.with_primary(sheet)
    families.ask([sheet], [sheet]).families()
    families.faces(sheet)


def test_families_are_found_in_every_place_and_through_one_variable() -> None:
    asked = families.ask(
        [
            """:root{--display:"Anton SC", 'Lato'; --other:Foo}
            .a{font-family:var(--display, Oswald), Inter, sans-serif;font-weight:600}
            .b{font:italic 300 40px/1.2 Poppins, inherit}
            @font-face{font-family:Mine;src:url(x)} .c{font-family:mine}"""
        ],
        ["font-family: Open Sans"],
    )
    assert asked.families() == ["Anton SC", "Lato", "Oswald", "Inter", "Poppins", "Open Sans"]
    assert asked.weights == {300, 600}
    assert asked.is_italic


@pytest.mark.parametrize(
    ("letters", "text", "expected"),
    [
        ("", "x", True),
        ("U+0000-00FF", "x", True),
        ("U+0100-024F, U+1E00", "x", False),
        ("U+0100-024F,U+1E00", "\u1e00", True),
        ("u+4??", "\u0450", True),
        ("nonsense", "x", False),
    ],
)
def test_a_face_is_for_the_letters_it_names(letters: str, text: str, *, expected: bool) -> None:
    face = families.Face(family="F", weight="400", style="normal", url="x", letters=letters)
    assert face.has_any(frozenset(text)) is expected


def faces(compiled: model.Composition) -> list[tuple[str, str, str]]:
    (style,) = [s for s in markup.find(tree(compiled), "style") if fonts.MARK in s.attrs]
    found = families.faces(markup.text(style))
    assert all(face.url.startswith("data:font/woff2;base64,d09GM") for face in found)
    return [(face.family, face.weight, face.letters[:6]) for face in found]


def online(folder: Path, html: str) -> model.Composition:
    support.write(folder, {"index.html": html})
    return composition.read(folder, variables={}, cache=support.CACHE)


@NEEDS_NPM
def test_embedded_families_come_with_the_weights_that_are_used(tmp_path: Path) -> None:
    style = "<style>p{font-family:sans-serif;font-weight:500}b{font-family:Menlo}</style>"
    compiled = online(tmp_path, page("<p>x</p>", head=style))
    inter = [("Inter", weight, "") for weight in ("400", "500", "700", "900")]
    assert faces(compiled) == [*inter, *(("Menlo", weight, "") for weight in ("400", "500", "700"))]
    assert compiled.findings == ()


@NEEDS_NPM
def test_letters_beyond_latin_bring_their_own_faces(tmp_path: Path) -> None:
    compiled = online(tmp_path, page('<p style="font-family:Lato">\u0141\u00f3d\u017a</p>'))
    assert faces(compiled) == [
        ("Lato", weight, letters) for weight in ("400", "700", "900") for letters in ("", "U+100-")
    ]


@NEEDS_NPM
def test_a_linked_font_service_that_is_out_of_reach_is_replaced(tmp_path: Path) -> None:
    link = '<link rel="stylesheet" href="https://fonts.googleapis.com/css2?family=Bungee&display=swap">'
    compiled = online(tmp_path, page("<p>x</p>", head=link))
    assert "fonts.googleapis.com" not in compiled.document
    assert {family for family, _, _ in faces(compiled)} == {"Bungee"}


def test_a_family_that_nobody_has_is_warned_about_by_name(tmp_path: Path) -> None:
    compiled = read(tmp_path, {"index.html": page('<p style="font-family:Secret Sans">x</p>')})
    (finding,) = compiled.findings
    assert (finding.severity, finding.code) == (model.Severity.WARNING, "font-unresolved")
    assert "`Secret Sans`" in finding.message


def test_a_font_of_the_project_is_data_and_asks_nobody(tmp_path: Path) -> None:
    style = "<style>@font-face{font-family:Own;src:url(own.woff2)}p{font-family:own}</style>"
    compiled = read(tmp_path, {"index.html": page("<p>x</p>", head=style), "own.woff2": WOFF2})
    assert 'url("data:font/woff2;base64,d09GMiBkYXRh")' in compiled.document
    assert (compiled.assets, compiled.findings) == ((), ())
