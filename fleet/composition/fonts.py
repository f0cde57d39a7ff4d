"""Fonts are files of the bundle, so that the same letters look the same on every host.

A list that begins with a generic family gets Inter before it. Families that the page does not bring along come from
where `faces.py` finds them; characters that they lack come from `fallback.py`, as one more family that every list has
before its generic ones. What no source has stops the render, unless substitutes are accepted.
"""

import base64
import functools
import importlib.resources
import json
import re
import unicodedata
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from justhtml import Document, Element

from fleet import errors, model
from fleet.assets import Library
from fleet.composition import assets, css, faces, fallback, families, fontnotes, glyphs, letters, markup, speech, stacks
from fleet.composition.assets import Assets
from fleet.composition.families import Face

MARK = "data-hyperframes-deterministic-fonts"
# What text without any family is drawn with: the metrics and shapes of Chromium's own standard font.
_STANDARD = "fleetrender standard"
_OURS: dict[str, Callable[[faces.Wanted, Library], Iterator[tuple[Face, bytes]]]] = {
    _STANDARD: faces.standard,
    families.SYSTEM: functools.partial(faces.meant, families.SYSTEM_FONT),
}
_CONTROLS = frozenset({"button", "input", "select", "textarea"})
_FIXED_WIDTH = frozenset({"code", "kbd", "pre", "samp", "tt"})
# Fonts of one system that only serve other scripts: their characters come from our own fonts for these.
_FOREIGN = re.compile(
    r"emoji|symbol|hiragino|yu ?gothic|meiryo|yahei|pingfang|heiti|simhei|simsun|songti|malgun|apple sd|nanum"
    r"|noto sans|noto serif|source han|droid sans|thonburi|geeza|ms p?gothic|ms p?mincho"
)
_BASE_SELECTOR = re.compile(r"(?:^|[\s,}>])(?:html|body|:root|\*)\s*$")
# Weights that scripts set: `fontWeight: 600`, `font-weight="600"`.
_SCRIPTED_WEIGHT = re.compile(r"font-?weight[\"']?\s*[:=,]\s*[\"']?([1-9]00)\b", re.IGNORECASE)
_TEXT_FILES = frozenset({".json", ".txt", ".csv", ".tsv", ".srt", ".vtt", ".svg", ".geojson"})


@dataclass(slots=True)
class _Families:
    """Families by lower-case name: how each is written, its faces, and what these can draw."""

    names: dict[str, str]
    faces: dict[str, list[tuple[Face, bytes]]]
    drawn: dict[str, frozenset[str] | None]  # None: an authored font that cannot be read, and is not judged
    stand_ins: dict[str, list[tuple[Face, bytes]]]  # of families that nobody has: what their lists show instead

    def lack(self, stack: list[str], text: frozenset[str]) -> frozenset[str]:
        """The characters that no family of a list draws."""
        for key in stack:
            if key in self.drawn:
                can = self.drawn[key]
                text = text - can if can is not None else frozenset()
        return text


def embed(
    document: Document,
    files: Assets,
    language: str = "",
    *,
    is_substitute_accepted: bool = False,
    is_inner: bool = False,
) -> list[model.Finding]:
    """Puts every family and character that the document asks for into it, as data.

    `is_inner`: it is a page inside the page, whose generic families are those of a machine.
    CompositionError lists the families and characters that cannot be had; accepted, they are warnings.
    """
    unread = families.only_local([markup.text(e) for e in markup.walk(document, templates=True) if e.name == "style"])
    _sanitise(document, is_inner=is_inner)
    links = [link for link in markup.find(document, "link") if assets.is_font_service(markup.get(link, "href") or "")]
    shown = letters.of_document(document)
    text = "\n".join([shown, *map(letters.of_script, files.spoken), *_file_texts(files)])
    asked = _asked(document, files.spoken, has_text=bool(letters.shapes(_visible(document))))
    if is_inner:
        asked.replaced.clear()
    linked = {name.lower() for link in links for name, _ in _linked(link)}
    left = {key: families.ON_MACHINES.get(key, "") for key in asked.of_machines() - linked}
    left |= dict.fromkeys(unread - linked, "")
    found = _resolve(asked, links, _wanted(asked, links, files.spoken, text), document, files, left)
    missing = [key for key in found.names if not found.faces[key] and key not in left.keys() | asked.doubtful()]
    gaps: frozenset[str] = frozenset()
    for stack in asked.stacks():
        gaps |= found.lack(stack, letters.shapes(text))
    han = fallback.east_asian(markup.get(markup.part(document, "html"), "lang") or language, text)
    drawn = fallback.pictures(text)
    order = functools.partial(fallback.sources, han=han, symbols=fallback.symbols(asked.stacks()))
    last, absent = fallback.find(gaps, drawn if drawn & gaps else frozenset(), order, files.library)
    absent -= frozenset().union(*(drawn for drawn in found.drawn.values() if drawn))
    _write(document, asked, found, last)
    for link in links:
        markup.remove(link)  # hosts have no network, and the faces say the same
    problems, notes = _judge(files, asked, missing, absent & letters.shapes(shown))
    if problems and not is_substitute_accepted:
        raise errors.CompositionError(
            "\n".join(finding.message for finding in problems),
            remedy="put the fonts into the project with @font-face rules, or accept others with `--substitute-fonts`",
        )
    local = [fontnotes.unread(files, key) for key in found.names if key in unread - linked]
    return [*problems, *notes, *local, *fontnotes.unknown_text(files)]


def _sanitise(document: Document, *, is_inner: bool) -> None:
    elements = list(markup.walk(document, templates=True))
    sheets = [markup.text(element) for element in elements if element.name == "style"]
    styles = [style for element in elements if (style := markup.get(element, "style"))]
    defined: set[str] = set().union(*map(families.defines, [*sheets, *styles]))
    for element in elements:
        if element.name == "style":
            sheet = stacks.without_local(markup.text(element))
            markup.set_text(element, families.with_primary(sheet, defined, is_inner=is_inner))
        if style := markup.get(element, "style"):
            element.attrs["style"] = families.with_primary(style, defined, is_inner=is_inner)
        if (listed := markup.get(element, "data-font-family")) and families.names_generic(listed):
            element.attrs["data-font-family"] = f"{families.PRIMARY}, {listed}"


def _visible(document: Document) -> str:
    body = markup.part(document, "body")
    return "".join(markup.text(e) for e in markup.walk(body, templates=True) if e.name not in {"script", "style"})


def _asked(document: Document, spoken: Iterable[str], *, has_text: bool) -> families.Asked:
    elements = list(markup.walk(document, templates=True))
    sheets = [markup.text(element) for element in elements if element.name == "style"]
    asked = families.ask(sheets, [style for element in elements if (style := markup.get(element, "style"))])
    asked.replaced += _attributes(elements, "data-font-family")
    asked.lists += _attributes(elements, "data-font-family") + _attributes(elements, "font-family")
    asked.guessed += [families.listed(value) for source in spoken for value in speech.guessed_fonts(source)]
    scripted = [families.listed(value) for source in spoken for value in speech.fonts(source)]
    asked.lists += scripted
    asked.lists += [[families.stand_in(names)] for names in scripted if names and names[0].lower() in families.GENERIC]
    names = {element.name for element in elements}
    if has_text and not _has_base(document, sheets):
        asked.lists.append([_STANDARD])
    if names & _CONTROLS:
        asked.lists.append([families.CONTROLS])
    if any("getContext" in source and ".font" in source for source in spoken):
        asked.lists.append([families.stand_in(["sans-serif"])])
    if names & _FIXED_WIDTH:
        asked.lists.append([families.FIXED])
    return asked


def _attributes(elements: list[Element], name: str) -> list[list[str]]:
    return [families.listed(value) for element in elements if (value := markup.get(element, name))]


def _has_base(document: Document, sheets: list[str]) -> bool:
    """Whether all text inherits a family that the author chose."""
    roots = [markup.part(document, "html"), markup.part(document, "body")]
    if any("font" in (markup.get(element, "style") or "") for element in roots):
        return True
    rules = (rule.rpartition("{") for sheet in sheets for rule in sheet.split("}"))
    return any(
        _BASE_SELECTOR.search(part)
        for selector, _, content in rules
        if re.search(r"(?:^|[;\s])font(?:-family)?\s*:", content)
        for part in selector.rpartition("{")[2].split(",")
    )


def _file_texts(files: Assets) -> Iterator[str]:
    for path, file in files.files.items():
        if speech.extension(path) in _TEXT_FILES:
            yield letters.unescaped(file.read_bytes().decode("utf-8", errors="replace"))


def _linked(link: Element) -> Iterator[tuple[str, str]]:
    """(family, what is asked of it) of every family in a font service's address."""
    query = urllib.parse.urlsplit(markup.get(link, "href") or "").query
    for key, value in urllib.parse.parse_qsl(query):
        for written in value.split("|") if key == "family" else ():
            name, _, axes = written.partition(":")
            yield name.strip(), axes


def _wanted(asked: families.Asked, links: list[Element], spoken: Iterable[str], text: str) -> faces.Wanted:
    scripted = {int(weight) for source in spoken for weight in _SCRIPTED_WEIGHT.findall(source)}
    axes = "|".join(axes for link in links for _, axes in _linked(link))
    linked = {int(part) for part in re.findall(r"(?<![0-9])[1-9]00(?![0-9])", axes)}
    # Styles may show a letter in its other case; a font without the space is not the first of any list.
    wanted = frozenset(f"{text}{text.upper()}{text.lower()} ")
    ranged = {
        name.lower(): frozenset(axes.partition("@")[0].split(","))
        for link in links
        for name, axes in _linked(link)
        if ".." in axes
    }
    weights = frozenset(asked.weights | linked | scripted)
    return faces.Wanted(weights, asked.is_italic or "ital" in axes, wanted, axes=ranged)


def _resolve(
    asked: families.Asked,
    links: list[Element],
    wanted: faces.Wanted,
    document: Document,
    files: Assets,
    left: Mapping[str, str],
) -> _Families:
    """Faces of every family; those `left` to machines have the font named there, or none, as machines do."""
    linked = {name.lower(): name for link in links for name, _ in _linked(link)}
    names = {name.lower(): name for name in asked.families()}
    names |= {key: name for key, name in linked.items() if key not in asked.brought}
    served = faces.served(links, files.library)
    public = {key: name for key, name in names.items() if key not in _OURS and key not in left}
    files.library.prefetch(faces.packages(public, served))
    found = {key: list(faces.of_family(name, key, wanted, served, files.library)) for key, name in public.items()}
    found |= {key: list(_OURS[key](wanted, files.library)) for key in names if key in _OURS}
    wanted_left = {key: font for key, font in left.items() if key in names}
    found |= {key: list(faces.meant(font, wanted, files.library)) for key, font in wanted_left.items()}
    drawn: dict[str, frozenset[str] | None] = {key: _drawn(pairs) for key, pairs in found.items() if pairs}
    drawn |= _authored(document, files)
    stand_ins = _stand_ins(asked, drawn, wanted, files)
    drawn |= {key: _drawn(pairs) for key, pairs in stand_ins.items()}
    return _Families(names, found, drawn, stand_ins)


def _stand_ins(
    asked: families.Asked, drawn: Mapping[str, frozenset[str] | None], wanted: faces.Wanted, files: Assets
) -> dict[str, list[tuple[Face, bytes]]]:
    """For each list of which no family can be had: its first one, and the font of its generic family."""
    chosen: dict[str, str] = {}
    for stack in asked.stacks():
        is_lost = _first(stack) not in families.GENERIC and not any(name in drawn for name in stack)
        if is_lost and (name := families.meant(stack)):
            chosen.setdefault(_first(stack), name)
    return {key: pairs for key, name in chosen.items() if (pairs := list(faces.meant(name, wanted, files.library)))}


def _drawn(pairs: list[tuple[Face, bytes]]) -> frozenset[str]:
    return frozenset().union(*(face.letters_of(glyphs.characters(data) or frozenset()) for face, data in pairs))


def _authored(document: Document, files: Assets) -> dict[str, frozenset[str] | None]:
    found: dict[str, frozenset[str] | None] = {}
    for style in (e for e in markup.walk(document, templates=True) if e.name == "style"):
        for face in families.faces(markup.text(style)):
            data = glyphs.inside(face.url)
            if data is None and (file := files.files.get(face.url.lstrip("/"))) is not None:
                data = file.read_bytes()
            can = glyphs.characters(data) if data is not None else None
            key = face.family.lower()
            known = found.get(key, frozenset())
            found[key] = face.letters_of(can) | known if can is not None and known is not None else None
    return found


def _write(document: Document, asked: families.Asked, found: _Families, last: list[tuple[Face, bytes]]) -> None:
    rules = [_rule(found.names[key], face, data) for key, pairs in found.faces.items() for face, data in pairs]
    rules += [_rule(fallback.FAMILY, face, data) for face, data in last]
    substitute = next((found.faces[key] for key in (families.PRIMARY.lower(), _STANDARD) if found.faces.get(key)), [])
    for key, pairs in found.faces.items():
        if not pairs:  # under its name, so that no host shows one of its own
            alone = substitute if _stands_alone(key, asked, found) and not _FOREIGN.search(key) else []
            chosen = found.stand_ins.get(key) or alone
            rules += [_rule(found.names[key], face, data) for face, data in chosen] or [_nothing(found.names[key])]
    asked_for = {name.lower() for stack in asked.lists for name in stack}
    rules += _defaults(document, asked_for)
    if last:
        _append(document)
    head = markup.part(document, "head")
    if last or any(".font" in markup.text(script) for script in markup.find(document, "script")):
        markup.prepend(head, markup.new("script", {MARK: "true"}, _script(has_last=bool(last))))
    if rules:
        markup.prepend(head, markup.new("style", {MARK: "true"}, "\n".join(rules)))
    if families.FIXED.lower() in {name.lower() for name in found.names.values()}:
        _size_fixed(document)


def _size_fixed(document: Document) -> None:
    """Gives fixed-width elements the size that browsers give them, once they stand there and before scripts measure."""
    if not any(element.name in _FIXED_WIDTH for element in markup.walk(document, templates=True)):
        return
    body = markup.part(document, "body")
    last = next((n for n in reversed(body.children or ()) if getattr(n, "name", "") not in {"script", "#text"}), None)
    children = list(body.children or ())
    after = children.index(last) + 1 if last is not None else 0
    script = markup.new("script", {MARK: "true"}, _resource("fixed.js").replace("%MARK%", MARK))
    body.insert_before(script, children[after] if after < len(children) else None)


def _stands_alone(key: str, asked: families.Asked, found: _Families) -> bool:
    """Whether some list has nothing else to show; any other falls through to its next family, as in a browser."""
    return any(key in stack and not any(found.drawn.get(name) for name in stack) for stack in asked.stacks())


def _defaults(document: Document, asked: set[str]) -> Iterator[str]:
    """Rules without weight, which every rule of the author's beats, for what browsers draw by a font of the system."""
    names = {element.name for element in markup.walk(document, templates=True)}
    last = css.quote(fallback.FAMILY)
    if _STANDARD in asked:
        yield f":where(html){{font-family:{css.quote(_STANDARD)},{last}}}"
    for elements, family in ((_CONTROLS, families.CONTROLS), (_FIXED_WIDTH, families.FIXED)):
        if used := sorted(names & elements):
            yield f":where({','.join(used)}){{font-family:{css.quote(family)},{last}}}"


def _append(document: Document) -> None:
    for element in markup.walk(document, templates=True):
        if element.name == "style":
            markup.set_text(element, stacks.with_last(markup.text(element), fallback.FAMILY))
        if style := markup.get(element, "style"):
            element.attrs["style"] = stacks.with_last(style, fallback.FAMILY)
        for name in ("data-font-family", "font-family"):
            if value := markup.get(element, name):
                listed = stacks.with_last(f"font-family:{value}", fallback.FAMILY)
                element.attrs[name] = listed.removeprefix("font-family:")


def _script(*, has_last: bool) -> str:
    last = css.quote(fallback.FAMILY) if has_last else "null"
    stand_ins = json.dumps({**families.STAND_INS, "": families.UNNAMED})
    return f"{_resource('stacks.js')}\n__fleetStacks({stand_ins}, {last});"


def _resource(name: str) -> str:
    return importlib.resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _rule(name: str, face: Face, data: bytes) -> str:
    kind = "woff2" if data[:4] == b"wOF2" else "woff" if data[:4] == b"wOFF" else "ttf"
    source = f"data:font/{kind};base64,{base64.b64encode(data).decode()}"
    ranges = f"unicode-range:{face.letters};" if face.letters else ""
    return (
        f'@font-face{{font-family:{css.quote(name)};src:url("{source}");font-style:{face.style};'
        f"font-weight:{face.weight};font-display:block;{ranges}}}"
    )


def _nothing(name: str) -> str:
    return f'@font-face{{font-family:{css.quote(name)};src:url("data:font/woff2,");unicode-range:U+10FFFF}}'


def _judge(
    files: Assets, asked: families.Asked, missing: list[str], absent: frozenset[str]
) -> tuple[list[model.Finding], list[model.Finding]]:
    """What stops the render, and what is only said."""
    needed = {_first(stack) for stack in asked.stacks()} - families.OF_A_SYSTEM
    problems = [_unresolved(files, key) for key in missing if key in needed and not _FOREIGN.search(key)]
    notes = [_unresolved(files, key) for key in missing if key not in needed and not _FOREIGN.search(key)]
    # What a private character looks like is known to one font only: no source can have it, and every other machine
    # shows a box as well.
    private = frozenset(c for c in absent if unicodedata.category(c) == "Co")
    notes += [fontnotes.undrawn(files, private)] if private else []
    return [*problems, *([fontnotes.undrawn(files, absent - private)] if absent - private else [])], notes


def _first(stack: list[str]) -> str:
    return stack[0]


def _unresolved(files: Assets, key: str) -> model.Finding:
    own = {_STANDARD: "the standard font of pages that name none", families.SYSTEM: "the font of `system-ui`"}
    return fontnotes.unresolved(files, key, own.get(key, f"the font family `{key}`"))
