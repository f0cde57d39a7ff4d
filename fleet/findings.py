"""What findings mean for a render: which stop it, and errors as findings. Pure: no I/O."""

import re
from collections.abc import Iterable, Iterator

from fleet.errors import CompositionError
from fleet.model import Finding, Severity

VARIABLES = frozenset({"unknown-variable", "unknown-option"})
_LOCATED = re.compile(r"(?P<where>[^\s:]+\.[A-Za-z0-9]+(?::[0-9]+)?): (?P<message>.+)")


def refuse(findings: Iterable[Finding], *, strict: bool = False, strict_variables: bool = False) -> None:
    """CompositionError that lists every finding that stops a render: errors, and what strictness adds."""
    stopping = [finding for finding in findings if _stops(finding, strict, strict_variables)]
    if not stopping:
        return
    remedy = stopping[0].remedy
    if stopping[0].severity is not Severity.ERROR:
        flag = "--strict" if strict else "--strict-variables"
        remedy = f"{remedy}; or render without `{flag}`"
    raise CompositionError("\n".join(sentence(finding) for finding in stopping), remedy=remedy)


def _stops(finding: Finding, strict: bool, strict_variables: bool) -> bool:
    return (
        finding.severity is Severity.ERROR
        or (strict and finding.severity is Severity.WARNING)
        or (strict_variables and finding.code in VARIABLES)
    )


def sentence(finding: Finding) -> str:
    """`file:line: message`."""
    return f"{finding.where}: {finding.message}" if finding.where else finding.message


def of_error(error: CompositionError) -> Iterator[Finding]:
    """An error as findings: one per line that names its place, what follows without one belongs to it."""
    groups: list[tuple[str, list[str]]] = []
    for line in str(error).splitlines():
        match = _LOCATED.fullmatch(line)
        if match is not None or not groups:
            groups.append((match["where"] if match else "", [match["message"] if match else line]))
        else:
            groups[-1][1].append(line)
    for where, lines in groups:
        yield Finding(
            severity=Severity.ERROR,
            code="cannot-render",
            message="\n".join(lines),
            remedy=error.remedy,
            where=where,
        )
