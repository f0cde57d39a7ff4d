"""How commands print: results to standard output, the rest to standard error, nothing of it as markup."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console, RenderableType

from fleet import errors


def result(*rows: RenderableType) -> None:
    """Prints rows of a result, for people."""
    console = Console(highlight=False, markup=False)
    for row in rows:
        # A command in a line of text must survive being copied; tables wrap inside their columns.
        console.print(row, soft_wrap=isinstance(row, str))


def result_json(plain: dict[str, Any]) -> None:
    """Prints a result for programs."""
    sys.stdout.write(json.dumps(plain, indent=2) + "\n")


def progress(text: str) -> None:
    """Says what takes a moment, when somebody is watching."""
    console = Console(stderr=True, highlight=False, markup=False)
    if console.is_terminal:
        console.print(text, style="dim")


def has_person() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty()


def ask(question: str) -> str:
    """The answer in lower case; empty when there is none. Standard output stays clean."""
    sys.stderr.write(f"{question} ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower()


def count(number: int, noun: str) -> str:
    """`1 host`, `2 hosts`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def raise_all(failed: Sequence[errors.FleetError]) -> None:
    """Raises what failed for single hosts: itself when it is one, as a list when there are more."""
    if len(failed) == 1:
        raise failed[0]
    if failed:
        rows = "\n".join(f"  {error}\n      {error.remedy}" for error in failed)
        raise errors.FleetLost(f"{len(failed)} hosts failed\n{rows}", remedy="other hosts are done; repeat for these")
