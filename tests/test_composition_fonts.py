import base64
import re
from pathlib import Path

import composition_support as support
import pytest
import uharfbuzz
from composition_support import NEEDS_NPM, page, read, tree
from hypothesis import given
from hypothesis import strategies as st

from fleet import composition, errors, model
from fleet.composition import fallback, families, fonts, letters, markup, speech, stacks

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
        (".a{font-family:var(--f, serif)}", ".a{font-family:var(--f,Inter, serif)}"),
        (":root{--g:var(--f, var(--e, serif), x)}", ":root{--g:var(--f, var(--e,Inter, serif), x)}"),
        (".a{font-family:var(--defined, serif)}", ".a{font-family:var(--defined, serif)}"),
        (".a{font:500 18px/1.4 ui-monospace, x}", ".a{font:500 18px/1.4 Cousine, ui-monospace, x}"),
        (".a{font:18px serif}", ".a{font:18px Tinos, serif}"),
        (".a{font:italic 1em/2 -apple-system,x}", ".a{font:italic 1em/2 Arimo, -apple-system,x}"),
        (".a{font:18px Lato, serif}.b{font:caption}", ".a{font:18px Lato, serif}.b{font:caption}"),
        ("@font-face{font-family:serif;src:url(x)}", "@font-face{font-family:serif;src:url(x)}"),
        (".serif:hover{color:serif}", ".serif:hover{color:serif}"),
    ],
)
def test_a_list_that_begins_with_a_generic_family_gets_ours_before_it(sheet: str, expected: str) -> None:
    assert families.with_primary(sheet, {"--defined"}) == expected
    assert families.with_primary(expected, {"--defined"}) == expected


@pytest.mark.parametrize(
    ("sheet", "expected"),
    [
        (".a{font-family:sans-serif}", '.a{font-family: "Arimo",sans-serif}'),
        (".a{font-family:-apple-system,Lato,serif}", '.a{font-family:-apple-system,Lato, "Tinos",serif}'),
        (".a{font:700 1em ui-monospace, monospace}", '.a{font:700 1em ui-monospace, "Cousine", monospace}'),
        (".a{font-family:var(--f,system-ui)}", f'.a{{font-family:var(--f, "{families.SYSTEM}",system-ui)}}'),
        (".a{font-family:ui-serif!important}", '.a{font-family: "Tinos",ui-serif!important}'),
        (".a{font-family:Lato, serif}", ".a{font-family:Lato, serif}"),
    ],
)
def test_generic_families_of_a_page_inside_are_those_of_a_machine(sheet: str, expected: str) -> None:
    assert families.with_primary(sheet, is_inner=True) == expected


@given(st.text(max_size=80))
def test_any_text_is_a_sheet(sheet: str) -> None:
    families.with_primary(sheet)
    families.with_primary(sheet, is_inner=True)
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
    assert asked.families() == ["Anton SC", "Lato", "Inter", "Oswald", "Poppins", "Open Sans"]
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


BASE = "<style>body{font-family:Lato}</style>"


def faces(compiled: model.Composition) -> list[tuple[str, str, str]]:
    (style,) = [s for s in markup.find(tree(compiled), "style") if fonts.MARK in s.attrs]
    found = [face for face in families.faces(markup.text(style)) if face.letters != "U+10FFFF"]
    assert all(face.url.startswith("data:font/woff2;base64,d09GM") for face in found)
    return [(face.family, face.weight, face.letters[:6]) for face in found]


def online(folder: Path, html: str, *, substitute_fonts: bool = False) -> model.Composition:
    support.write(folder, {"index.html": html})
    return composition.read(folder, variables={}, cache=support.CACHE, substitute_fonts=substitute_fonts)


@NEEDS_NPM
def test_embedded_families_come_with_the_weights_that_are_used(tmp_path: Path) -> None:
    style = "<style>body{font-family:sans-serif;font-weight:500}b{font-family:Menlo}</style>"
    compiled = online(tmp_path, page("<p>x</p>", head=style))
    inter = [("Inter", weight, "") for weight in ("400", "500", "700", "900")]
    assert faces(compiled) == [*inter, *(("Menlo", weight, "") for weight in ("400", "500", "700"))]
    assert compiled.findings == ()


@NEEDS_NPM
def test_letters_beyond_latin_bring_their_own_faces(tmp_path: Path) -> None:
    compiled = online(tmp_path, page("<p>\u0141\u00f3d\u017a</p>", head=BASE))
    assert faces(compiled) == [
        ("Lato", weight, letters) for weight in ("400", "700", "900") for letters in ("", "U+100-")
    ]


@NEEDS_NPM
def test_a_linked_font_service_that_is_out_of_reach_is_replaced(tmp_path: Path) -> None:
    link = '<link rel="stylesheet" href="https://fonts.googleapis.com/css2?family=Bungee&display=swap">'
    style = "<style>body{font-family:Bungee}</style>"
    compiled = online(tmp_path, page("<p>x</p>", head=link + style))
    assert "fonts.googleapis.com" not in compiled.document
    assert {family for family, _, _ in faces(compiled)} == {"Bungee"}


@NEEDS_NPM
@pytest.mark.parametrize(
    ("axes", "expected"),
    [("wght@100..900", ("Sora", "100 800", "")), ("wght@400;800", ("Sora", "400", ""))],
)
def test_a_linked_range_of_weights_is_one_variable_font(
    tmp_path: Path, axes: str, expected: tuple[str, str, str]
) -> None:
    link = f'<link rel="stylesheet" href="https://fonts.googleapis.com/css2?family=Sora:{axes}&display=swap">'
    compiled = online(tmp_path, page("<p>x</p>", head=f"{link}<style>body{{font-family:Sora;font-weight:450}}</style>"))
    assert faces(compiled)[0] == expected


@NEEDS_NPM
def test_a_first_choice_that_nobody_has_stops_the_render_unless_another_may_stand_for_it(tmp_path: Path) -> None:
    text = "index.html:1: no source has the font family `fleetrender absent sans`"
    html = page('<p style="font-family:Fleetrender Absent Sans">x</p><p style="font-family:Inter">x</p>', head=BASE)
    with pytest.raises(errors.CompositionError, match=text) as failure:
        online(tmp_path, html)
    assert "--substitute-fonts" in failure.value.remedy
    compiled = online(tmp_path, html, substitute_fonts=True)
    assert [(f.severity, f.code, f.where) for f in compiled.findings] == [
        (model.Severity.WARNING, "font-unresolved", "index.html:1")
    ]
    # Its name stands for a font of ours, so that no host shows one of its own.
    assert "Fleetrender Absent Sans" in {family for family, _, _ in faces(compiled)}


@NEEDS_NPM
def test_a_canvas_shows_what_machines_show_for_a_generic_family(tmp_path: Path) -> None:
    script = "<canvas></canvas><script>const g = c.getContext('2d'); g.font = '32px system-ui, serif'</script>"
    compiled = online(tmp_path, page(script, head=BASE))
    assert {families.SYSTEM, "Arimo"} <= {family for family, _, _ in faces(compiled)}


def test_fonts_of_systems_are_replaced_only_where_a_style_sheet_names_them_by_font_family() -> None:
    asked = families.ask([":root{--f:Georgia,serif} .a{font:20px Arial} .b{font:1em Verdana} .c{font:1em Lato}"], [])
    assert asked.of_machines() == {"arial", "verdana"}
    assert families.ask([".a{font:20px Arial} .b{font-family:arial}"], []).of_machines() == set()
    assert families.ask([".a{font:9px Arial} .b{font-family:var(--f)} i{--f:Arial}"], []).of_machines() == set()


@NEEDS_NPM
def test_a_font_of_a_system_is_what_machines_have_for_it(tmp_path: Path) -> None:
    script = "<script>a.style.cssText = `font-family:Courier New`; b.style.cssText = `font-family:Consolas`</script>"
    listed = '<svg><text font-family="Arial">x</text></svg><p style="font:9px Georgia,serif">x</p>'
    compiled = online(tmp_path, page(listed + script, head=BASE))
    shown = dict(re.findall(r'font-family:"([^"]+)";src:url\("[^,]*,([^"]*)"\)', compiled.document))
    other = online(tmp_path / "2", page('<p style="font-family:Arimo;font:9px Impact,serif">x</p>', head=BASE))
    known = dict(re.findall(r'font-family:"([^"]+)";src:url\("[^,]*,([^"]*)"\)', other.document))
    assert (shown["Arial"], shown["Georgia"]) == (known["Arimo"], known["Impact"])
    assert shown["Courier New"] != shown["Consolas"] == ""


@NEEDS_NPM
def test_a_font_that_is_asked_of_the_machine_alone_is_what_follows_it_in_its_list(tmp_path: Path) -> None:
    sheet = "@font-face{font-family:Inter;src:local('Inter')} body{font-family:Inter, sans-serif}"
    compiled = online(tmp_path / "a", page("<p>x</p>", head=f"<style>{sheet}</style>"))
    assert [finding.code for finding in compiled.findings] == ["font-local"]
    shown = re.findall(r'font-family:"Inter";src:url\("[^,]+,([^"]+)"\)', compiled.document)
    arimo = online(tmp_path / "b", page('<p style="font-family:Impact, sans-serif">x</p>', head=BASE))
    assert shown == re.findall(r'font-family:"Impact";src:url\("[^,]+,([^"]+)"\)', arimo.document) != []


@NEEDS_NPM
def test_emoji_that_are_joined_out_of_several_are_one_picture(tmp_path: Path) -> None:
    compiled = online(tmp_path, page("<p>\U0001f44d\U0001f3fd</p>", head=BASE))
    (data,) = re.findall(r'font-family:"fleetrender fallback";src:url\("[^,]+,([^"]+)"\)', compiled.document)
    buffer = uharfbuzz.Buffer()
    buffer.add_str("\U0001f44d\U0001f3fd")
    buffer.guess_segment_properties()
    uharfbuzz.shape(uharfbuzz.Font(uharfbuzz.Face(base64.b64decode(data))), buffer)
    assert len(buffer.glyph_infos) == 1


@NEEDS_NPM
def test_a_list_of_which_nobody_has_a_family_shows_the_font_of_its_generic_one(tmp_path: Path) -> None:
    shown = []
    for number, listed in enumerate(("Impact, sans-serif", "Impact, system-ui, sans-serif", "Impact, serif", "Arimo")):
        compiled = online(tmp_path / str(number), page(f'<p style="font-family:{listed}">x</p>', head=BASE))
        family = re.escape(listed.partition(",")[0])
        rules = re.findall(rf'font-family:"{family}";src:url\("([^"]+)"\);font-style:normal;', compiled.document)
        shown.append(rules[0])
    assert shown[0] == shown[3]
    assert len(set(shown)) == 3


@NEEDS_NPM
def test_a_later_choice_that_nobody_has_is_hidden_and_said(tmp_path: Path) -> None:
    listed = "Inter, Fleetrender Absent Sans, Hiragino Sans"
    html = page(f'<p style="font-family:{listed}">x</p>', head=BASE)
    compiled = online(tmp_path, html)
    assert [f.code for f in compiled.findings] == ["font-unresolved"]
    hidden = '@font-face{font-family:"%s";src:url("data:font/woff2,");unicode-range:U+10FFFF}'
    assert hidden % "Hiragino Sans" in compiled.document
    # What follows it is shown, as by a browser that lacks it.
    assert hidden % "Fleetrender Absent Sans" in compiled.document


@NEEDS_NPM
def test_a_font_of_one_system_gives_way_to_the_next_of_its_list(tmp_path: Path) -> None:
    html = page('<p style="font-family:Impact, Inter">x</p><p style="font-family:Iowan Old Style, serif">x</p>')
    compiled = online(tmp_path, html)
    assert [f.code for f in compiled.findings] == ["font-unresolved", "font-unresolved"]
    # Nothing follows the second but what a host has.
    assert {family for family, _, _ in faces(compiled)} >= {"Inter", "Iowan Old Style"}
    assert "Impact" not in {family for family, _, _ in faces(compiled)}


def last_faces(compiled: model.Composition) -> set[str]:
    """The ranges of the family of last resort."""
    (style,) = [s for s in markup.find(tree(compiled), "style") if fonts.MARK in s.attrs]
    return {face.letters for face in families.faces(markup.text(style)) if face.family == fallback.FAMILY}


@NEEDS_NPM
def test_characters_that_the_families_lack_come_from_files_of_their_script(tmp_path: Path) -> None:
    script = "<script>el.textContent = 'say \\u6c34' // not \u706b\n</script>"
    compiled = online(tmp_path, page(f"<p>Hello \u65e5\u672c \u0645</p>{script}", head=BASE))
    assert last_faces(compiled) == {"U+65E5", "U+672C", "U+6C34", "U+645"}
    assert f'body{{font-family:Lato,"{fallback.FAMILY}"}}' in compiled.document
    assert compiled.findings == ()


def test_symbols_are_those_of_the_generic_family_that_most_lists_name_first() -> None:
    arial = fallback.symbols([["lato", "sans-serif"]])
    dejavu = fallback.symbols([["lato", "system-ui", "sans-serif"], ["x", "system-ui"], ["y", "sans-serif"], ["z"]])
    assert arial == tuple(reversed(dejavu))
    assert fallback.sources("\u2192", (), dejavu)[:2] == dejavu


@NEEDS_NPM
def test_symbols_come_light_and_bold_and_what_stands_with_them_too(tmp_path: Path) -> None:
    compiled = online(tmp_path, page("<p>\u2192 \u2713 \u65e5</p>", head=BASE))
    (style,) = [s for s in markup.find(tree(compiled), "style") if fonts.MARK in s.attrs]
    found = [face for face in families.faces(markup.text(style)) if face.family == fallback.FAMILY]
    assert sorted((face.letters, face.weight) for face in found) == [
        (letters, weight) for letters in ("U+2192", "U+2713", "U+65E5") for weight in ("100 500", "501 900")
    ]
    assert len({face.url for face in found}) == 5  # the bold ones are files of their own, where there are any


@NEEDS_NPM
def test_covered_text_leaves_the_lists_alone(tmp_path: Path) -> None:
    compiled = online(tmp_path, page("<p>Hello</p>", head=BASE))
    assert "body{font-family:Lato}" in compiled.document
    assert fallback.FAMILY not in compiled.document


@NEEDS_NPM
def test_a_character_that_no_font_has_is_named_with_its_place(tmp_path: Path) -> None:
    html = page("<p>a</p>\n<p>\U00012000</p>", head=BASE)
    with pytest.raises(errors.CompositionError, match=r"\U00012000 \(U\+12000, index.html:2\)"):
        online(tmp_path, html)
    (finding,) = online(tmp_path, html, substitute_fonts=True).findings
    assert (finding.code, finding.where) == ("character-undrawn", "index.html:2")


@NEEDS_NPM
def test_a_private_character_is_no_reason_to_stop(tmp_path: Path) -> None:
    (finding,) = online(tmp_path, page("<p>a</p>\n<p>\uf8ff</p>", head=BASE)).findings
    assert (finding.code, finding.where) == ("character-undrawn", "index.html:2")


@pytest.mark.parametrize(
    ("sheet", "expected"),
    [
        (".a{font-family:Lato}", '.a{font-family:Lato,"F"}'),
        (".a{font-family:Lato, serif!important}", '.a{font-family:Lato, "F", serif!important}'),
        (".a{font-family:Lato!important}", '.a{font-family:Lato,"F"!important}'),
        (
            ".a{font:italic 700 40px/1.2 Anton, sans-serif;top:0}",
            '.a{font:italic 700 40px/1.2 Anton, "F", sans-serif;top:0}',
        ),
        (":root{--f:Lato, serif;--g:1px, 2px;--h:Lato}", ':root{--f:Lato, "F", serif;--g:1px, 2px;--h:Lato}'),
        (".a{font-family:var(--f), serif}", '.a{font-family:var(--f), "F", serif}'),
        (".a{font-family:inherit;font:inherit;font:caption}", ".a{font-family:inherit;font:inherit;font:caption}"),
        ("@font-face{font-family:Lato;src:url(x)}", "@font-face{font-family:Lato;src:url(x)}"),
    ],
)
def test_the_last_family_stands_before_generic_ones(sheet: str, expected: str) -> None:
    assert stacks.with_last(sheet, "F") == expected


def test_faces_name_no_font_of_the_machine() -> None:
    sheet = "@font-face{font-family:A;src:local('A'), url(a.woff2) format('woff2'), local(B)}"
    assert stacks.without_local(sheet) == '@font-face{font-family:A;src: url(a.woff2) format("woff2")}'
    assert stacks.without_local(".a{color:red}") == ".a{color:red}"
    assert stacks.without_local("@font-face{font-family:A;src:local(A),local(B)}") == "@font-face{}"
    twice = "@font-face{font-family:A;src:local(A);src:url(a.woff2)}"
    assert stacks.without_local(twice) == "@font-face{font-family:A;src:;src:url(a.woff2)}"


@given(st.text(max_size=80))
def test_any_text_can_be_rewritten(text: str) -> None:
    stacks.with_last(text, "F")
    stacks.without_local(text + "local(x)")
    letters.of_sheet(text)
    letters.of_script(text)


def test_what_a_script_says_is_in_its_strings() -> None:
    source = "const a = 'x\\u{1F600}' + `\\ud83d\\ude01` // \u2502 don't\n/* \u2500 ' */ + \"&rarr;\""
    assert letters.shapes(letters.of_script(source)) == frozenset("x\U0001f600\U0001f601\u2192")


def test_what_a_style_sheet_writes_is_in_its_strings() -> None:
    sheet = r'.a::after{content:"\2713" attr(x) "b";font-family:"\2605"}@font-face{src:url("\2606")}'
    assert letters.shapes(letters.of_sheet(sheet)) == frozenset("\u2713b")


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("", "\u4e2d", fallback.SIMPLIFIED),
        ("zh-Hant-HK", "\u4e2d", fallback.TRADITIONAL),
        ("zh", "\u3042", fallback.SIMPLIFIED),
        ("en", "\u3042\u4e2d", fallback.JAPANESE),
        ("ko", "\u4e2d", fallback.KOREAN),
        ("", "\ud55c\u4e2d", fallback.KOREAN),
    ],
)
def test_han_characters_follow_the_language_then_the_text(language: str, text: str, expected: fallback.Package) -> None:
    assert fallback.sources("\u4e2d", fallback.east_asian(language, text))[0] == expected


def test_emoji_are_pictures_by_themselves_or_by_their_selector() -> None:
    assert fallback.pictures("a\u2713 \u2764\ufe0f \u2764 \u2705 \U0001f389 12\ufe0f") == frozenset(
        "\u2764\u2705\U0001f3892"
    )


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("c.font = '48px \"Playfair Display\"'", ["Playfair Display"]),
        ("ctx.font = '700 48px Space Mono, serif'", ["Space Mono, serif"]),
        ("ctx.font = `${size}px Lato`", ["Lato"]),
        ("gsap.to(a, {fontFamily: 'Bungee'})", ["Bungee"]),
        ("el.innerHTML = '<b style=\"font-family: Anton, serif\">'", ["Anton, serif"]),
        ("a.fontFamily = `${x}`; '12px'", []),
    ],
)
def test_families_that_scripts_set_are_found(source: str, expected: list[str]) -> None:
    assert [", ".join(families.listed(found)) for found in speech.fonts(source)] == expected


def test_a_font_of_the_project_is_data_and_asks_nobody(tmp_path: Path) -> None:
    style = "<style>@font-face{font-family:Own;src:url(own.woff2)}p{font-family:own}</style>"
    compiled = read(tmp_path, {"index.html": page("<p>x</p>", head=style), "own.woff2": WOFF2})
    assert 'url("data:font/woff2;base64,d09GMiBkYXRh")' in compiled.document
    assert (compiled.assets, compiled.findings) == ((), ())
