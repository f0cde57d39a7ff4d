"""Font families in style sheets: which are asked for, which are brought along, which stand for others. No I/O."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import tinycss2

# Whatever a host happens to have installed; as the first choice of a list these decide pixels.
GENERIC = frozenset({
    "sans-serif", "serif", "monospace", "cursive", "fantasy", "system-ui", "ui-sans-serif", "ui-serif", "ui-monospace",
    "ui-rounded", "emoji", "math", "fangsong", "-apple-system", "blinkmacsystemfont",
})  # fmt: skip
KEYWORDS = frozenset({"inherit", "initial", "unset", "revert", "revert-layer"})
# What the generic families of a `font` are on most Linux machines: free fonts of the same metrics.
FIXED = "Cousine"
_STANDARD = "Arimo"
# DejaVu Sans, which authors who name it do not get: HyperFrames shows Inter for it.
SYSTEM = "fleetrender system"
SYSTEM_FONT = "DejaVu Sans"
_MEANT = {"sans-serif": _STANDARD, "serif": "Tinos", "monospace": FIXED, "system-ui": SYSTEM_FONT}
# The same by names that style sheets can use, and what text is shown in when no name of its list means anything.
STAND_INS = {**_MEANT, "system-ui": SYSTEM}
UNNAMED = "Tinos"
# Fonts that Linux machines have, by names that authors use for them; they know no others of those below.
ON_MACHINES = {
    **dict.fromkeys(("arial", "helvetica", "liberation sans"), _STANDARD),
    **dict.fromkeys(("times", "times new roman", "liberation serif"), "Tinos"),
    **dict.fromkeys(("courier", "courier new", "liberation mono"), FIXED),
    "dejavu sans": SYSTEM_FONT,
}
_GENERIC_FONTS = {"monospace": FIXED, "ui-monospace": FIXED, "serif": "Tinos", "ui-serif": "Tinos"}
PRIMARY = "Inter"
_VARIABLES_DEPTH = 4  # variables that stand for variables; more is a circle
_VARIANTS_LIMIT = 16  # themes that give one variable another value; a list has one variable, rarely two
_TEXT = ("Inter", "helvetica", "helvetica neue", "helvetica bold", "arial", "sf pro", "sf pro display", "sf pro text",
         "sf pro rounded", "avenir", "avenir next", "lucida grande", "geneva", "optima", "verdana", "tahoma",
         "trebuchet ms", "calibri", "candara", "corbel", "lucida sans", "lucida sans unicode", "noto sans",
         "dejavu sans", "liberation sans")  # fmt: skip
_FIXED = ("JetBrains Mono", "courier", "courier new", "sf mono", "menlo", "monaco", "consolas", "lucida console",
          "lucida sans typewriter", "andale mono", "dejavu sans mono", "liberation mono")  # fmt: skip
_BOOK = ("EB Garamond", "garamond", "georgia", "palatino", "palatino linotype", "book antiqua", "cambria", "times",
         "times new roman", "dejavu serif", "liberation serif")  # fmt: skip
_WIDE = ("Montserrat", "futura", "din alternate", "arial black")
# Fonts of one system or another, and the free font that HyperFrames shows in their place on all of them.
STANDS_FOR: dict[str, str] = {
    **{name: group[0] for group in (_TEXT, _FIXED, _BOOK, _WIDE) for name in group[1:]},
    "bebas neue": "League Gothic",
    "noto sans japanese": "Noto Sans JP",
    "segoe ui": "Roboto",
}

# Fonts of one system that nothing stands for: an author who names one means the next of the list anywhere else.
OF_A_SYSTEM = frozenset({
    "american typewriter", "apple chancery", "avenir next condensed", "bahnschrift", "baskerville", "big caslon",
    "bodoni 72", "bookman old style", "bradley hand", "brush script mt", "century gothic", "century schoolbook",
    "chalkboard", "chalkboard se", "chalkduster", "charter", "cochin", "comic sans ms", "constantia", "copperplate",
    "didot", "franklin gothic medium", "gabriola", "gill sans", "gill sans mt", "haettenschweiler", "helveticaneue",
    "helvetica neue light", "helveticaneue-light", "hoefler text", "impact", "ink free", "iowan old style", "luminari",
    "marker felt", "ms sans serif", "ms serif", "new york", "noteworthy", "palatino lt std", "papyrus", "perpetua",
    "phosphate", "rockwell", "segoe print", "segoe script", "segoe ui light", "segoe ui semibold", "segoe ui variable",
    "seravek", "sf compact", "sf pro icons", "sfmono-regular", "sitka text", "skia", "snell roundhand",
    "superclarendon", "trattatello", "zapfino",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """One @font-face: weight and style as written, the address of its data, the letters it is for."""

    family: str
    weight: str
    style: str
    url: str
    letters: str = ""  # unicode-range; empty means all

    def has_any(self, text: frozenset[str]) -> bool:
        """Whether the face is for any letter of `text`."""
        return not self.letters or bool(self.letters_of(text))

    def letters_of(self, text: frozenset[str]) -> frozenset[str]:
        """The letters of `text` that the face is for."""
        if not self.letters:
            return text
        ranges = list(_ranges(self.letters))
        return frozenset(c for c in text if any(low <= ord(c) <= high for low, high in ranges))


def _ranges(letters: str) -> Iterator[tuple[int, int]]:
    for part in letters.split(","):
        low, _, high = part.strip().upper().removeprefix("U+").partition("-")
        try:
            yield int(low.replace("?", "0"), 16), int((high or low).replace("?", "F"), 16)
        except ValueError:
            continue


def listed(value: list[Any] | str) -> list[str]:
    """The names of a family list, quotes removed; `var(...)` stays one entry as written."""
    tokens = tinycss2.parse_component_value_list(value) if isinstance(value, str) else value
    names: list[str] = []
    current: list[Any] = []
    for token in [*tokens, tinycss2.parse_one_component_value(",")]:
        if token.type == "literal" and token.value == ",":
            names.append(named(current))
            current = []
        elif token.type != "comment":
            current.append(token)
    return [name for name in names if name]


def named(tokens: list[Any]) -> str:
    """The one name that these tokens are, quotes and `!important` removed."""
    strings = [token.value for token in tokens if token.type == "string"]
    text = strings[0] if strings else tinycss2.serialize(tokens).partition("!")[0]
    return " ".join(str(text).split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """One `name: value`. `tokens[start:stop]` is the value; `tokens` is the very list that the sheet is made of."""

    name: str
    tokens: list[Any]
    start: int
    stop: int
    is_face: bool  # inside @font-face

    @property
    def value(self) -> list[Any]:
        """The tokens of the value."""
        return self.tokens[self.start : self.stop]


@dataclass(slots=True)
class Asked:
    """What the style sheets of one document ask for."""

    lists: list[list[str]]  # every family list, in order
    properties: dict[str, list[list[str]]]  # custom property -> each of its values as a family list
    brought: set[str]  # lower-case names that an authored @font-face provides
    weights: set[int]
    is_italic: bool = False
    replaced: list[list[str]] = field(default_factory=list)  # the lists in which others are put for fonts of systems

    def of_machines(self) -> set[str]:
        """Lower-case fonts of systems that nothing is put for: HyperFrames reads `font-family` in style sheets only."""
        names = {name.lower() for names in self.replaced for stack in self._resolved(names) for name in stack}
        return {key for key in map(str.lower, self.families()) if key in STANDS_FOR and key not in names}

    def stacks(self) -> list[list[str]]:
        """Every family list as lower-case names, variables replaced, one list for each value that a variable has."""
        found = [[name.lower() for name in stack] for names in self.lists for stack in self._resolved(names)]
        return [stack for stack in found if stack and not KEYWORDS.intersection(stack)]

    def families(self) -> list[str]:
        """Names asked for that neither the sheets nor the system should provide, in order, each once."""
        found: dict[str, str] = {}
        for name in (name for names in self.lists for stack in self._resolved(names) for name in stack):
            key = name.lower()
            if key not in GENERIC | KEYWORDS | self.brought:
                found.setdefault(key, name)
        return list(found.values())

    def _resolved(self, names: list[str], depth: int = 0) -> list[list[str]]:
        stacks: list[list[str]] = [[]]
        for name in names:
            choices = self._choices(name, depth) if name.lower().startswith("var(") else [[name]]
            stacks = [[*stack, *choice] for stack in stacks for choice in choices][:_VARIANTS_LIMIT]
        return stacks

    def _choices(self, written: str, depth: int) -> list[list[str]]:
        """What `var(--x, fallback)` may stand for."""
        arguments = getattr(tinycss2.parse_one_component_value(written), "arguments", [])
        variable, comma = _variable(arguments)
        values = [*self.properties.get(variable, []), listed(arguments[comma + 1 :])]
        if depth == _VARIABLES_DEPTH:
            return [[]]
        return [stack for value in values if value for stack in self._resolved(value, depth + 1)] or [[]]


def _variable(arguments: list[Any]) -> tuple[str, int]:
    """The name in `var(--x, fallback)`, and where its comma is; past the end when it has none."""
    name = next((token.value for token in arguments if token.type == "ident"), "")
    comma = next((i for i, t in enumerate(arguments) if t.type == "literal" and t.value == ","), len(arguments))
    return name, comma


def ask(sheets: list[str], inline: list[str]) -> Asked:
    """Collects from whole style sheets and from `style` attributes."""
    asked = Asked(lists=[], properties={}, brought=set(), weights=set())
    for text in [*sheets, *inline]:
        for declaration in declarations(tinycss2.parse_component_value_list(text)):
            _collect(asked, declaration.name, declaration.value, is_face=declaration.is_face)
    return asked


def _collect(asked: Asked, name: str, value: list[Any], *, is_face: bool) -> None:
    if is_face:
        asked.brought |= {family.lower() for family in listed(value)} if name == "font-family" else set()
    elif name in {"font-family", "font"}:
        asked.lists.append(listed(value if name == "font-family" else _after_size(value)))
        asked.replaced += asked.lists[-1:] if name == "font-family" else []
    elif name.startswith("--"):
        asked.properties.setdefault(name, []).append(listed(value))
    if name in {"font-weight", "font"}:
        asked.weights |= {token.int_value for token in value if token.type == "number" and _is_weight(token.int_value)}
    if name in {"font-style", "font"} and any(t.type == "ident" and t.lower_value == "italic" for t in value):
        asked.is_italic = True


def _after_size(value: list[Any]) -> list[Any]:
    return value[size_end(value) :]


def size_end(value: list[Any]) -> int:
    """Where the names of a `font` value begin; its end when it has none."""
    # `italic 700 40px/1.2 Anton, serif`: the names follow the last number, or a computed size.
    sizes = [
        index
        for index, token in enumerate(value)
        if token.type in {"dimension", "percentage", "number"}
        or (token.type == "function" and token.lower_name in {"calc", "clamp", "min", "max"})
    ]
    return sizes[-1] + 1 if sizes else len(value)


def _is_weight(number: int | None) -> bool:
    return number is not None and 100 <= number <= 900 and number % 100 == 0


def with_primary(sheet: str, defined: Collection[str] = (), *, is_inner: bool = False) -> str:
    """`sheet` with our own font put before every list, or custom property, that begins with a generic family.

    So do the lists that stand in for a variable which is none of the `defined` ones. In pages inside the page, which
    HyperFrames leaves to the machine, it is the font that machines show.
    """
    tokens = tinycss2.parse_component_value_list(sheet)
    found = [(d, place) for d in declarations(tokens) if (place := _generic_first(d, defined)) is not None]
    for declaration, (inside, at) in reversed(found):  # from the end, so that earlier places stay where they are
        name = f" {_generic_font(declaration)}" if declaration.name == "font" else PRIMARY
        if is_inner:
            stop = declaration.stop if inside is declaration.tokens else len(inside)
            name, at = _stand_in_at(inside, at, stop)
        inside[at:at] = tinycss2.parse_component_value_list(f"{name},")
    return str(tinycss2.serialize(tokens)).replace("</", "<\\/") if found else sheet


def _generic_first(declaration: Declaration, defined: Collection[str]) -> tuple[list[Any], int] | None:
    """Where our own font belongs: a list of tokens, and a place in it."""
    if declaration.is_face:
        return None
    if declaration.name == "font":
        at = declaration.start + size_end(declaration.value)
        return (declaration.tokens, at) if _is_generic(declaration.tokens[at : declaration.stop]) else None
    if declaration.name != "font-family" and not declaration.name.startswith("--"):
        return None
    return _place(declaration.tokens, declaration.start, declaration.stop, defined)


def _generic_font(declaration: Declaration) -> str:
    # HyperFrames puts Inter before the lists of `font-family` alone.
    return _GENERIC_FONTS.get(listed(_after_size(declaration.value))[0].lower(), _STANDARD)


def stand_in(names: Iterable[str]) -> str:
    """The family that shows what machines show for a list without fonts of its own."""
    return next((STAND_INS[name.lower()] for name in names if name.lower() in STAND_INS), UNNAMED)


def _stand_in_at(tokens: list[Any], start: int, stop: int) -> tuple[str, int]:
    """(font, place) for a list: browsers pass over generic families of other systems."""
    begin = start
    for index in range(start, stop + 1):
        if index < stop and not (tokens[index].type == "literal" and tokens[index].value == ","):
            continue
        if (font := STAND_INS.get(named(tokens[begin:index]).lower())) is not None:
            return f' "{font}"', begin
        begin = index + 1
    return f' "{UNNAMED}"', start


def _place(tokens: list[Any], start: int, stop: int, defined: Collection[str]) -> tuple[list[Any], int] | None:
    first = next((token for token in tokens[start:stop] if token.type not in {"whitespace", "comment"}), None)
    if first is not None and first.type == "function" and first.lower_name == "var":
        arguments = first.arguments
        variable, comma = _variable(arguments)
        return None if variable in defined else _place(arguments, comma + 1, len(arguments), defined)
    return (tokens, start) if _is_generic(tokens[start:stop]) else None


def meant(names: Iterable[str]) -> str:
    """The free font that Linux machines show for the first generic family of a list; empty when they know none."""
    return next((_MEANT[name.lower()] for name in names if name.lower() in _MEANT), "")


def defines(sheet: str) -> set[str]:
    """The custom properties that a sheet gives a value."""
    found = declarations(tinycss2.parse_component_value_list(sheet))
    return {d.name for d in found if d.name.startswith("--") and tinycss2.serialize(d.value).strip()}


def names_generic(value: str) -> bool:
    """Whether a family list begins with a generic family."""
    return _is_generic(tinycss2.parse_component_value_list(value))


def _is_generic(value: list[Any]) -> bool:
    names = listed(value)
    return bool(names) and names[0].lower() in GENERIC


def faces(sheet: str) -> list[Face]:
    """Every @font-face of the sheet that names an address, WOFF2 before others."""
    found: list[Face] = []
    for rule in tinycss2.parse_stylesheet(sheet, skip_comments=True, skip_whitespace=True):
        if rule.type != "at-rule" or rule.lower_at_keyword != "font-face" or rule.content is None:
            continue
        values = {declaration.name: declaration.value for declaration in declarations(rule.content)}
        addresses = list(_addresses(values.get("src", [])))
        if addresses:
            best = next((address for address in addresses if ".woff2" in address), addresses[0])
            found.append(_face(values, best))
    return found


def only_local(sheets: list[str]) -> set[str]:
    """Families, lower-case, that @font-face rules take from the machine alone."""
    had = {face.family.lower() for sheet in sheets for face in faces(sheet)}
    return ask([sheet for sheet in sheets if "local(" in sheet.lower()], []).brought - had


def _face(values: dict[str, list[Any]], url: str) -> Face:
    def text(name: str, default: str) -> str:
        return " ".join(tinycss2.serialize(values.get(name, [])).split()) or default

    return Face(
        family=next(iter(listed(values.get("font-family", []))), ""),
        weight=text("font-weight", "400"),
        style=text("font-style", "normal"),
        url=url,
        letters=text("unicode-range", ""),
    )


def _addresses(value: list[Any]) -> Iterator[str]:
    for token in value:
        if token.type == "url":
            yield token.value
        elif token.type == "function" and token.lower_name == "url":
            yield from (argument.value for argument in token.arguments if argument.type == "string")


def declarations(tokens: list[Any], *, is_face: bool = False) -> Iterator[Declaration]:
    """Every declaration at any depth, in order."""
    keyword = ""
    index = 0
    while index < len(tokens):
        token = tokens[index]
        if token.type == "at-keyword":
            keyword = token.lower_value
        elif token.type == "{} block":
            yield from declarations(token.content, is_face=keyword == "font-face")
            keyword = ""
        elif token.type == "ident" and (colon := _colon(tokens, index)):
            stop = _end(tokens, colon)
            name = token.value if token.value.startswith("--") else token.lower_value
            yield Declaration(name=name, tokens=tokens, start=colon + 1, stop=stop, is_face=is_face)
            index = stop - 1
        index += 1


def _colon(tokens: list[Any], index: int) -> int:
    for at in range(index + 1, len(tokens)):
        if tokens[at].type == "literal" and tokens[at].value == ":":
            return at
        if tokens[at].type not in {"whitespace", "comment"}:
            break
    return 0


def _end(tokens: list[Any], start: int) -> int:
    for at in range(start + 1, len(tokens)):
        if tokens[at].type == "{} block" or (tokens[at].type == "literal" and tokens[at].value == ";"):
            return at
    return len(tokens)
