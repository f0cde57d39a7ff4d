"""Family lists rewritten, so that each ends in fonts of the bundle before any font of a host. Pure: no I/O."""

from collections.abc import Callable
from typing import Any

import tinycss2

from fleet.composition import css, families
from fleet.composition.families import Declaration

_SYSTEM_FONTS = frozenset({"caption", "icon", "menu", "message-box", "small-caption", "status-bar"})


def with_last(sheet: str, name: str) -> str:
    """`sheet` with the family `name` in every list: before the first generic family, or at the end."""
    return _edited(sheet, lambda declaration: _append(declaration, name))


def without_local(sheet: str) -> str:
    """`sheet` whose @font-face rules name no font of the machine; those that name nothing else bring no family."""
    return _edited(sheet, _drop_local) if "local(" in sheet.lower() else sheet


def _edited(sheet: str, edit: Callable[[Declaration], bool]) -> str:
    tokens = tinycss2.parse_component_value_list(sheet)
    # From the end, so that earlier places stay where they are.
    changed = [edit(declaration) for declaration in reversed(list(families.declarations(tokens)))]
    return str(tinycss2.serialize(tokens)).replace("</", "<\\/") if any(changed) else sheet


def _append(declaration: Declaration, name: str) -> bool:
    if declaration.is_face:
        return False
    start = declaration.start
    if declaration.name == "font":
        start += families.size_end(declaration.value)
    entries = _entries(declaration.tokens, start, _value_end(declaration))
    if not entries or not _is_list(declaration, [families.named(declaration.tokens[a:b]) for a, b in entries]):
        return False
    for begin, end in entries:
        if families.named(declaration.tokens[begin:end]).lower() in families.GENERIC and not _is_quoted(
            declaration.tokens[begin:end]
        ):
            _insert(declaration.tokens, begin, f" {css.quote(name)},")
            return True
    if declaration.name.startswith("--"):
        return False  # whoever uses it has a list of his own around it
    _insert(declaration.tokens, entries[-1][1], f",{css.quote(name)}")
    return True


def _is_list(declaration: Declaration, names: list[str]) -> bool:
    if declaration.name.startswith("--"):
        return len(names) > 1
    if declaration.name not in {"font-family", "font"}:
        return False
    return bool(names[0]) and not (len(names) == 1 and names[0].lower() in families.KEYWORDS | _SYSTEM_FONTS)


def _insert(tokens: list[Any], at: int, text: str) -> None:
    tokens[at:at] = tinycss2.parse_component_value_list(text)


def _value_end(declaration: Declaration) -> int:
    important = [i for i in range(declaration.start, declaration.stop) if _is_literal(declaration.tokens[i], "!")]
    return important[0] if important else declaration.stop


def _entries(tokens: list[Any], start: int, stop: int) -> list[tuple[int, int]]:
    commas = [index for index in range(start, stop) if _is_literal(tokens[index], ",")]
    edges = [start, *(comma + 1 for comma in commas)]
    return [(a, b) for a, b in zip(edges, [*commas, stop], strict=True) if families.named(tokens[a:b])]


def _is_quoted(tokens: list[Any]) -> bool:
    return any(token.type == "string" for token in tokens)


def _is_literal(token: Any, value: str) -> bool:
    return bool(token.type == "literal" and token.value == value)


def _is_address(token: Any) -> bool:
    return bool(token.type == "url" or (token.type == "function" and token.lower_name == "url"))


def _drop_local(declaration: Declaration) -> bool:
    if not declaration.is_face or declaration.name != "src":
        return False
    entries = _entries(declaration.tokens, declaration.start, declaration.stop)
    pieces = [declaration.tokens[a:b] for a, b in entries]
    kept = [piece for piece in pieces if not any(t.type == "function" and t.lower_name == "local" for t in piece)]
    if len(kept) == len(pieces):
        return False
    if not kept and not any(_is_address(token) for token in declaration.tokens):
        declaration.tokens.clear()
        return True
    comma = tinycss2.parse_component_value_list(",")
    joined = [token for index, piece in enumerate(kept) for token in ([*comma, *piece] if index else piece)]
    declaration.tokens[declaration.start : declaration.stop] = joined
    return True
