"""What checks look at: one page of the project as its author wrote it, and what all pages have in common."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from justhtml import Document, Element

from fleet.composition import markup, scripts
from fleet.composition.root import ID
from fleet.model import Finding, Severity

# Good enough to keep a commented-out line from being found; `//` of an address does not begin a comment.
_COMMENT = re.compile(r"/\*.*?\*/|(?<![:\"'`\\])//[^\n]*", re.DOTALL)
# An inline script of this size is a library that was pasted in; what it needs it has.
LIBRARY_CHARS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """What is true of all pages together, because they become one document."""

    scripts: frozenset[str]  # addresses
    names: frozenset[str]  # ids, which a start may refer to
    compositions: frozenset[str]  # ids of compositions
    has_library: bool  # a script of the project's own, which may bring anything along


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page: `text` as parsed, with placeholders filled."""

    path: str
    text: str
    document: Document
    is_entry: bool

    def elements(self) -> Iterator[Element]:
        """All elements, those in templates included."""
        return markup.walk(self.document, templates=True)

    def scripts(self) -> Iterator[tuple[str, int]]:
        """(source without comments, first line) of every inline script that runs."""
        for element in self.elements():
            if element.name == "script" and scripts.runs(element) and not markup.get(element, "src"):
                yield without_comments(markup.text(element)), markup.line(element)

    def matches(self, pattern: re.Pattern[str]) -> Iterator[tuple[re.Match[str], int]]:
        """(match, line) of a pattern in the inline scripts, libraries left out."""
        for source, first in self.scripts():
            if len(source) < LIBRARY_CHARS:
                yield from ((match, first + source.count("\n", 0, match.start())) for match in pattern.finditer(source))

    def finding(self, severity: Severity, line: int, code: str, *, message: str, remedy: str) -> Finding:
        """A judgement about one line of this page."""
        return Finding(severity=severity, code=code, message=message, remedy=remedy, where=f"{self.path}:{line}")

    def warning(self, line: int, code: str, *, message: str, remedy: str) -> Finding:
        """A warning about one line of this page."""
        return self.finding(Severity.WARNING, line, code, message=message, remedy=remedy)

    def note(self, line: int, code: str, *, message: str, remedy: str) -> Finding:
        """A note about one line of this page."""
        return self.finding(Severity.NOTE, line, code, message=message, remedy=remedy)


def without_comments(source: str) -> str:
    """JavaScript without comments, on the same lines."""
    return _COMMENT.sub(lambda match: "\n" * match[0].count("\n"), scripts.with_few_open_comments(source))


def whole(pages: list[Page]) -> Whole:
    """What the pages have in common."""
    elements = [element for page in pages for element in page.elements()]
    addresses = frozenset(src for e in elements if e.name == "script" and (src := markup.get(e, "src")))
    pasted = any(len(source) >= LIBRARY_CHARS for page in pages for source, _ in page.scripts())
    identities = frozenset(found for e in elements if (found := markup.get(e, ID)))
    return Whole(
        scripts=addresses,
        names=identities | {found for e in elements if (found := markup.get(e, "id"))},
        compositions=identities,
        has_library=pasted or any("://" not in src for src in addresses),
    )
