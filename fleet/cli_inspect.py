"""`fleetrender inspect` and `fleetrender snapshot`: arguments in, one call, text or JSON out."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from capture.protocol import PAGE_LIMIT_S
from fleet import console, inspect_view, inspection, plan, render, snapshot
from fleet import request as requests
from fleet.errors import ExitCode

CompositionArgument = Annotated[
    Path, typer.Argument(help="A folder with index.html, or an .html file.", show_default="this folder")
]
FpsOption = Annotated[
    str | None, typer.Option(help="Such as 30 or 30000/1001.", show_default="the composition's, else 30")
]
VariablesOption = Annotated[str | None, typer.Option(metavar="JSON", help="Variables as a JSON object.")]
VariablesFileOption = Annotated[Path | None, typer.Option(metavar="FILE", help="The same from a file.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Fills in `__KEY__` and `{{KEY}}`. Repeatable."),
]
SubstituteOption = Annotated[
    bool, typer.Option("--substitute-fonts", help="Show other fonts for those that no source has.")
]
PageTimeoutOption = Annotated[
    float,
    typer.Option(
        "--page-timeout", metavar="SECONDS", min=1, max=3600, help="For a page to get ready, and for each frame."
    ),
]


def inspect(
    composition: CompositionArgument = Path(),
    fps: FpsOption = None,
    variables: VariablesOption = None,
    variables_file: VariablesFileOption = None,
    placeholders: SetOption = None,
    substitute_fonts: SubstituteOption = False,
    page_timeout: PageTimeoutOption = PAGE_LIMIT_S,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Say what a render of COMPOSITION would be, and what is wrong with it. Exit code 4 when there is an error."""
    inspected = inspection.inspect(
        inspection.Asked(
            composition=composition,
            variables=requests.read_variables(variables, variables_file),
            placeholders=requests.read_placeholders(placeholders or ()),
            substitute_fonts=substitute_fonts,
            fps=plan.parse_fps(fps) if fps else None,
            page_limit_s=page_timeout,
        )
    )
    if as_json:
        console.result_json(inspect_view.plain(inspected, strict=strict))
    else:
        console.result(inspect_view.facts_table(inspected), "")
        if inspected.findings:
            console.result(inspect_view.findings_table(inspected.findings), "")
        console.result(inspect_view.verdict(inspected, strict=strict))
    if inspected.stops(strict=strict):
        raise typer.Exit(ExitCode.COMPOSITION)


def take_snapshot(
    composition: CompositionArgument = Path(),
    at: Annotated[str | None, typer.Option("--at", metavar="S,S,...", help="Times in seconds.")] = None,
    frames: Annotated[
        str | None, typer.Option("--frames", metavar="N,A:B,...", help="Frames, and ranges without their end.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The folder for the stills.")] = Path(
        "snapshots"
    ),
    fps: FpsOption = None,
    variables: VariablesOption = None,
    variables_file: VariablesFileOption = None,
    placeholders: SetOption = None,
    substitute_fonts: SubstituteOption = False,
    page_timeout: PageTimeoutOption = PAGE_LIMIT_S,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of paths.")] = False,
) -> None:
    """Write PNG stills of COMPOSITION, exactly as a render captures them. Without times: five, evenly spread."""
    request = requests.Request(
        composition=composition,
        output=requests.output_folder(output),
        fps=plan.parse_fps(fps) if fps else None,
        variables=requests.read_variables(variables, variables_file),
        placeholders=requests.read_placeholders(placeholders or ()),
        substitute_fonts=substitute_fonts,
        page_limit_s=page_timeout,
    )
    prepared = render.prepare(request)
    wanted = snapshot.choose(prepared.plan, at=at, frames=frames)
    console.progress(f"capturing {console.count(len(wanted), 'frame')} ...")
    stills = asyncio.run(snapshot.run(prepared, wanted, request.output, page_limit_s=page_timeout))
    if as_json:
        console.result_json(snapshot.plain(prepared.plan, stills))
    else:
        console.result(*map(str, stills.values()))
