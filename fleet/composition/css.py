"""CSS by its tokens: addresses in it, imports, and scoping to one mounted composition. Pure: no I/O."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import tinycss2
from tinycss2 import ast

# At-rules whose blocks hold style rules; all others hold declarations, keyframes or nothing.
_GROUPS = frozenset({"media", "supports", "container", "layer", "scope", "starting-style", "document", "-moz-document"})
# Functions whose string argument is an address.
_ADDRESS_FUNCTIONS = frozenset({"url", "src"})
_IMAGE_SETS = frozenset({"image-set", "-webkit-image-set"})
_TIMING = frozenset({"data-start", "data-duration"})
# Far more than people nest, and far less than Python's own limit.
DEPTH_LIMIT = 100
_BRACKET = re.compile(r"[][(){}]")
COMPOSITION_ID = "data-composition-id"
AUTHORED_ID = "data-hf-authored-id"
INNER_ROOT = "data-hf-inner-root"


@dataclass(frozen=True, slots=True)
class Reference:
    """One address in a style sheet: as written, its line in the sheet, and what it is: image, font or import."""

    url: str
    line: int
    kind: str


def is_too_deep(sheet: str) -> bool:
    """Whether brackets stand in brackets beyond what is read here; they are counted in strings too, as a first look."""
    depth = deepest = 0
    for bracket in _BRACKET.finditer(sheet):
        depth += 1 if bracket[0] in "([{" else -1
        deepest = max(deepest, depth)
    return deepest > DEPTH_LIMIT and _depth(tinycss2.parse_component_value_list(sheet)) > DEPTH_LIMIT


def _depth(tokens: list[Any]) -> int:
    depth = 0
    while tokens:
        inner = (getattr(token, "arguments", None) or getattr(token, "content", None) or [] for token in tokens)
        tokens = [token for some in inner for token in some]
        depth += 1
    return depth


def rewrite(sheet: str, replace: Callable[[Reference], str]) -> str:
    """`sheet` with every address run through `replace`; the very same text when none changed."""
    tokens = tinycss2.parse_component_value_list(sheet)
    return _written(tokens) if _rewrite_list(tokens, replace, "image") else sheet


def _rewrite_list(tokens: list[Any], replace: Callable[[Reference], str], kind: str) -> bool:
    changed = False
    after = ""  # name of the at-rule that we are in the prelude of
    for index, token in enumerate(tokens):
        if token.type == "at-keyword":
            after = token.lower_value
        elif token.type in {"url", "string"}:
            if (new := _replaced(token, replace, "import" if after == "import" else kind)) is not None:
                tokens[index] = new
                changed = True
        elif token.type == "function":
            changed |= _rewrite_function(token, replace, "import" if after == "import" else kind)
        elif token.type == "literal" and token.value == ";":
            after = ""
        elif token.type in {"{} block", "() block", "[] block"}:
            changed |= _rewrite_list(token.content, replace, "font" if after == "font-face" else kind)
            after = "" if token.type == "{} block" else after
    return changed


def _rewrite_function(token: Any, replace: Callable[[Reference], str], kind: str) -> bool:
    if token.lower_name not in _ADDRESS_FUNCTIONS | _IMAGE_SETS:
        return _rewrite_list(token.arguments, replace, kind) if _has_addresses(token.arguments) else False
    changed = False
    for index, argument in enumerate(token.arguments):
        if argument.type == "function":
            changed |= _rewrite_function(argument, replace, kind)
        elif argument.type in {"string", "url"} and (new := _address(argument, replace, kind)) is not None:
            token.arguments[index] = new
            changed = True
    return changed


def _has_addresses(tokens: Iterable[Any]) -> bool:
    return any(token.type in {"url", "function"} for token in tokens)


def _replaced(token: Any, replace: Callable[[Reference], str], kind: str) -> Any | None:
    if token.type == "string" and kind != "import":
        return None  # `content: "x"`, a font name: text, no address
    return _address(token, replace, kind)


def _address(token: Any, replace: Callable[[Reference], str], kind: str) -> Any | None:
    value = token.value.strip()
    new = replace(Reference(value, token.source_line, kind))
    if new == value:
        return None
    quoted = quote(new)
    if token.type == "string":
        return ast.StringToken(token.source_line, token.source_column, new, quoted)
    return ast.URLToken(token.source_line, token.source_column, new, f"url({quoted})")


def quote(text: str) -> str:
    """`text` as a CSS string."""
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    plain = text.replace("\\", "\\\\").replace('"', '\\"')
    # Newlines end a string, and `</style` would end the element around it.
    return plain.replace("\n", "\\a ").replace("\r", "\\d ").replace("\f", "\\c ").replace("<", "\\3c ")


def take_imports(sheet: str, is_wanted: Callable[[str], bool]) -> tuple[str, list[str]]:
    """`sheet` without the `@import`s of wanted addresses, and those addresses in order."""
    kept: list[Any] = []
    taken: list[str] = []
    for rule in tinycss2.parse_stylesheet(sheet):
        address = _imported(rule)
        if address is not None and is_wanted(address):
            taken.append(address)
        else:
            kept.append(rule)
    return (_written(_without_errors(kept)), taken) if taken else (sheet, [])


def _imported(rule: Any) -> str | None:
    if rule.type != "at-rule" or rule.lower_at_keyword != "import":
        return None
    for token in rule.prelude:
        if token.type in {"string", "url"}:
            return str(token.value)
        if token.type == "function" and token.lower_name == "url":
            return next((str(argument.value) for argument in token.arguments if argument.type == "string"), None)
    return None


def _without_errors(nodes: Iterable[Any]) -> list[Any]:
    return [node for node in nodes if node.type != "error"]  # what a browser would drop, too


def _written(nodes: Iterable[Any]) -> str:
    # An escaped `<` comes back as itself. `</` only ever stands in strings and comments: there `<\/` means the same.
    return str(tinycss2.serialize(nodes)).replace("</", "<\\/")


def attribute(name: str, value: str) -> str:
    """The selector of elements whose attribute has exactly this value."""
    return f"[{name}={quote(value)}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """One mounted composition, as its own style sheets and scripts speak of it."""

    authored_id: str  # what its author called it
    runtime_id: str  # unique in the whole document
    root_id: str = ""  # DOM id of its root, which the mounted copy carries as data-hf-authored-id

    @property
    def selector(self) -> str:
        """The element that mounts it."""
        return attribute(COMPOSITION_ID, self.runtime_id)

    @property
    def box(self) -> str:
        """The composition's own box: the kept inner root, or the mounting element when there is none."""
        return f"{self.selector}:not(:has([{INNER_ROOT}])), {self.selector} > [{INNER_ROOT}]"


def scoped(sheet: str, scope: Scope) -> str:
    """`sheet` with every style rule confined to `scope`; keyframes, font faces and nested rules stay as they are."""
    rules = _without_errors(tinycss2.parse_stylesheet(sheet))
    for rule in rules:
        _scope_rule(rule, scope)
    return _written(rules)


def _scope_rule(rule: Any, scope: Scope) -> None:
    if rule.type == "qualified-rule":
        rule.prelude = tinycss2.parse_component_value_list(
            ",".join(_scope_selector(selector, scope) for selector in _split(rule.prelude))
        )
    elif rule.type == "at-rule" and rule.content is not None and rule.lower_at_keyword in _GROUPS:
        inner = _without_errors(tinycss2.parse_blocks_contents(rule.content))
        for nested in inner:
            _scope_rule(nested, scope)
        rule.content = inner


def _split(prelude: list[Any]) -> Iterator[list[Any]]:
    selector: list[Any] = []
    for token in prelude:
        if token.type == "literal" and token.value == ",":
            yield selector
            selector = []
        else:
            selector.append(token)
    yield selector


def _scope_selector(tokens: list[Any], scope: Scope) -> str:
    before, core, behind = _trimmed(tokens)
    if not core:
        return str(tinycss2.serialize(tokens))
    if _is_document(core):
        return f"{before}{scope.box}{behind}"
    if len(core) == 1 and core[0].type == "literal" and core[0].value == "*":
        return f"{before}*{behind}"
    core, names_root = _normalised(core, scope)
    if names_root and len(core) == 1:
        return f"{before}{scope.box}{behind}"
    prefix = "" if names_root else f"{scope.selector} "
    return f"{before}{prefix}{tinycss2.serialize(core)}{behind}"


def _trimmed(tokens: list[Any]) -> tuple[str, list[Any], str]:
    space = [token.type in {"whitespace", "comment"} for token in tokens]
    start = space.index(False) if False in space else len(tokens)
    stop = len(tokens) - space[::-1].index(False) if False in space else start
    return tinycss2.serialize(tokens[:start]), tokens[start:stop], tinycss2.serialize(tokens[stop:])


def _is_document(core: list[Any]) -> bool:
    if len(core) == 1 and core[0].type == "ident":
        return core[0].lower_value in {"html", "body"}
    return (
        len(core) == 2
        and core[0].type == "literal"
        and core[0].value == ":"
        and core[1].type == "ident"
        and core[1].lower_value == "root"
    )


def _normalised(tokens: list[Any], scope: Scope) -> tuple[list[Any], bool]:
    """The selector in terms of the mounted document, and whether it names the composition itself."""
    result: list[Any] = []
    names_root = False
    for token in tokens:
        if token.type == "hash" and scope.root_id and token.value == scope.root_id:
            result += tinycss2.parse_component_value_list(attribute(AUTHORED_ID, scope.root_id))
        elif _attribute_test(token) == (COMPOSITION_ID, scope.authored_id):
            result = _without_timing(result)
            result += tinycss2.parse_component_value_list(scope.selector)
            names_root = True
        elif _is_timing(token) and result and _attribute_test(result[-1]) == (COMPOSITION_ID, scope.runtime_id):
            continue  # mounting moves these attributes to other names
        else:
            if token.type == "function":
                token.arguments, _ = _normalised(token.arguments, scope)
            result.append(token)
    return result, names_root


def _attribute_test(token: Any) -> tuple[str, str] | None:
    """(name, value) of `[name="value"]`; None for every other token."""
    if token.type != "[] block":
        return None
    parts = [part for part in token.content if part.type not in {"whitespace", "comment"}]
    if len(parts) != 3 or parts[0].type != "ident" or parts[2].type not in {"string", "ident"}:
        return None
    if parts[1].type != "literal" or parts[1].value != "=":
        return None
    return parts[0].lower_value, parts[2].value


def _is_timing(token: Any) -> bool:
    test = _attribute_test(token)
    return test is not None and test[0] in _TIMING


def _without_timing(tokens: list[Any]) -> list[Any]:
    while tokens and _is_timing(tokens[-1]):
        tokens = tokens[:-1]
    return tokens
