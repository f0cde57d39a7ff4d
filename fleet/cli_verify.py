"""`fleetrender verify`: arguments in, one call, text or JSON out."""

import asyncio
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from capture import wire
from fleet import console, rundir, verify
from fleet.errors import ExitCode
from fleet.sentences import clean

VERSION = 1


def verify_command(
    target: Annotated[str, typer.Argument(metavar="OUTPUT|RUN", help="A finished video, or a run by name or folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Prove an output again: its bytes, frames and sound against what its run recorded. Exit code 6 when it differs."""
    found = verify.find(target, rundir.state_root())
    console.progress("verifying ...")
    verified = asyncio.run(verify.run(found))
    if as_json:
        console.result_json({"v": VERSION, "ok": not verified.problems, **wire.to_plain(verified)})
    else:
        console.result(_table(verified), "", _verdict(verified))
    if verified.problems:
        raise typer.Exit(ExitCode.VERIFICATION)


def _table(verified: verify.Verified) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for check in verified.checks:
        mark = Text("wrong", style="bold red") if check.problem else Text("ok", style="green")
        table.add_row(mark, check.name, Text(clean("; ".join(filter(None, (check.seen, check.problem))))))
    return table


def _verdict(verified: verify.Verified) -> str:
    problems = len(verified.problems)
    said = f"{console.count(problems, 'check')} of {len(verified.checks)} failed" if problems else "verified"
    return f"{clean(verified.output)}, run {verified.run}: {said}"
