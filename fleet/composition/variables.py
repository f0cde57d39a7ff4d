"""Composition variables: declared defaults, values of a mounting element, overrides of the render, as JSON and as CSS.

Values never change size, length or frame rate.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from justhtml import Document, Element

from fleet import errors, model
from fleet.composition import css, markup, scripts

DECLARED = "data-composition-variables"
VALUES = "data-variable-values"
SHEET = "data-hf-composition-variables"
_SCOPE = "data-hf-var-scope"
# What could end the declaration that a value is substituted into.
_UNSAFE_IN_CSS = re.compile(r"[;{}<>\r\n]")
_NOT_A_NAME = re.compile(r"[^a-z0-9]+")

Values = dict[str, Any]


@dataclass(slots=True)
class Table:
    """The values of every mounted composition, by its id in the document."""

    mounted: dict[str, Values] = field(default_factory=dict)
    findings: list[model.Finding] = field(default_factory=list)


def declared(element: Element, where: str) -> Values:
    """Defaults declared on one element."""
    return {entry["id"]: entry["default"] for entry in _declarations(element, where) if "default" in entry}


def given(host: Element, where: str) -> Values:
    """The values that a mounting element passes in."""
    written = markup.get(host, VALUES)
    if not written:
        return {}
    values = _parsed(written, f"{where}: {VALUES}")
    if not isinstance(values, dict):
        raise _unreadable(f"{where}: {VALUES} is no JSON object")
    return values


def _declarations(element: Element, where: str) -> list[dict[str, Any]]:
    written = markup.get(element, DECLARED)
    if not written:
        return []
    entries = _parsed(written, f"{where}: {DECLARED}")
    if not isinstance(entries, list):
        return []  # an older form, which the format reads as no declaration
    return [entry for entry in entries if isinstance(entry, dict) and isinstance(entry.get("id"), str)]


def _parsed(written: str, what: str) -> Any:
    try:
        return json.loads(written)
    except (ValueError, RecursionError) as error:
        raise _unreadable(f"{what} is no JSON: {error}") from error


def _unreadable(message: str) -> errors.CompositionError:
    return errors.CompositionError(message, remedy="correct the JSON; in HTML, quote the attribute with single quotes")


def check(declarers: Iterable[tuple[Element, str]], values: Mapping[str, Any], table: Table) -> None:
    """Notes every value that is not among the options of its declaration."""
    for element, where in declarers:
        for entry in _declarations(element, where):
            options, value = _options(entry), values.get(entry["id"])
            if not options or value is None or str(value) in options or str(value) == str(entry.get("default")):
                continue
            table.findings.append(
                model.Finding(
                    severity=model.Severity.WARNING,
                    code="unknown-option",
                    message=f"variable `{entry['id']}` has no option {value!r}",
                    remedy=f"choose one of: {', '.join(options)}",
                    where=where,
                )
            )


def _options(entry: Mapping[str, Any]) -> list[str]:
    options = entry.get("options")
    values = [o.get("value") if isinstance(o, dict) else o for o in options] if isinstance(options, list) else []
    return [str(value) for value in values if isinstance(value, str | int | float)]


def apply(document: Document, page: str, overrides: Mapping[str, Any], table: Table) -> None:
    """Writes overrides, and the style sheet that defines every variable before any script runs, into the document."""
    _style(document, page, overrides, table)
    written = [
        (element, f"{page}:{markup.line(element)}") for element in _declarers(document) if not _is_mounted(element)
    ]
    if overrides:
        names = {name for element in _declarers(document) for name in declared(element, page)}
        where = written[0][1] if written else page
        table.findings += [_unknown(name, names, where) for name in sorted(overrides) if name not in names]
        source = f"window.__hfVariables={scripts.literal(dict(overrides))};"
        markup.prepend(markup.part(document, "head"), markup.new("script", data=source))
    check(written, overrides, table)


def _is_mounted(element: Element) -> bool:
    return css.INNER_ROOT in element.attrs


def _unknown(name: str, names: Iterable[str], where: str) -> model.Finding:
    known = ", ".join(f"`{known}`" for known in sorted(names)) or "none"
    return model.Finding(
        severity=model.Severity.WARNING,
        code="unknown-variable",
        message=f"no composition declares the variable `{name}`",
        remedy=f"declared variables: {known}",
        where=where,
    )


def script_of(table: Table) -> str:
    """The script that gives mounted compositions their values; empty when there are none."""
    if not table.mounted:
        return ""
    return (
        f"window.__hfVariablesByComp=Object.assign({{}},window.__hfVariablesByComp,{scripts.literal(table.mounted)});"
    )


def _style(document: Document, page: str, overrides: Mapping[str, Any], table: Table) -> None:
    authored = "\n".join(markup.text(style) for style in markup.find(document, "style"))
    rules = [_rule(css.attribute(css.COMPOSITION_ID, identity), _layered(values, {}, overrides, authored))
             for identity, values in table.mounted.items()]  # fmt: skip
    html = markup.part(document, "html")
    rules.append(_rule(":root", _layered(declared(html, page), {}, overrides, authored)))
    for number, element in enumerate((e for e in _declarers(document) if e is not html), 1):
        values = _layered(declared(element, page), _values_around(element, page), overrides, authored)
        if values:
            element.attrs[_SCOPE] = str(number)
            rules.append(_rule(css.attribute(_SCOPE, str(number)), values))
    if any(rules):
        markup.part(document, "head").append_child(markup.new("style", {SHEET: ""}, "\n".join(filter(None, rules))))


def _declarers(document: Document) -> list[Element]:
    return markup.with_attribute(document, DECLARED)


def _values_around(element: Element, page: str) -> Values:
    outer = next((outer for outer in markup.ancestors(element) if VALUES in outer.attrs), None)
    return given(outer, page) if outer is not None else {}


def _layered(defaults: Values, host: Values, overrides: Mapping[str, Any], authored: str) -> Values:
    """Defaults yield to a property that the author's CSS defines; a host's values and overrides do not."""
    values = {name: value for name, value in defaults.items() if not _is_defined(name, authored)}
    values |= {name: value for name, value in host.items() if name in defaults}
    return values | {name: value for name, value in overrides.items() if name in defaults or name in host}


def _is_defined(name: str, authored: str) -> bool:
    return re.search(rf"{re.escape(property_of(name))}\s*:", authored) is not None


def property_of(name: str) -> str:
    """The CSS custom property of a variable: `Accent Color` is `--accent-color`."""
    return f"--{_NOT_A_NAME.sub('-', name.lower()).strip('-')}"


def _rule(selector: str, values: Mapping[str, Any]) -> str:
    lines = [f"{property_of(name)}:{_in_css(value)}" for name, value in values.items() if _has_css(value)]
    return f"{selector}{{{';'.join(lines)}}}" if lines else ""


def _has_css(value: Any) -> bool:
    return (isinstance(value, str) and value != "") or (isinstance(value, int | float) and not isinstance(value, bool))


def _in_css(value: Any) -> str:
    return _UNSAFE_IN_CSS.sub("", str(value))
