"""`fleetrender bench`: arguments in, one call, table, JSON or picture out. Imports what it uses when it is called."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from fleet.errors import ConfigError

CHUNKS = "1,2,3,6"
SUFFIXES = (".svg", ".png")
EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "launch"  # there in a checkout


def bench(
    composition: Annotated[
        Path | None,
        typer.Argument(
            help="A folder with index.html, or an .html file.", show_default="examples/launch of a checkout"
        ),
    ] = None,
    chunks: Annotated[str, typer.Option(metavar="N,N,...", help="Settings: numbers of equal chunks.")] = CHUNKS,
    iterations: Annotated[int, typer.Option(min=1, max=1000, help="Of each setting, after one that warms up.")] = 5,
    hosts: Annotated[
        str | None,
        typer.Option("--hosts", "-H", metavar="FILE", help="hosts.toml, or user@h1,user@h2. Without: this machine."),
    ] = None,
    limit: Annotated[
        str | None, typer.Option(metavar="'TAG,!HOST'", help="Only these hosts: names, tags, groups.")
    ] = None,
    frames: Annotated[str | None, typer.Option(metavar="A:B", help="Frames A up to but not including B.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Browsers per host.", show_default="what each host can feed")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result object and nothing else.")] = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.svg|.png", help="Draw walls and scaling; needs matplotlib.")
    ] = None,
    output_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep each round's video and events.", show_default="nothing is kept"),
    ] = None,
) -> None:
    """Render COMPOSITION again and again in 1, 2, 3, 6 chunks: wall, spread, chunk times, first frame."""
    from fleet import bench as benchmark
    from fleet import bench_run, bench_view, console, render
    from fleet import plan as planning
    from fleet import request as requests

    chosen = composition or _example()
    settings = benchmark.parse_chunks(chunks)
    if plot is not None:
        check_plot(plot)
    request = requests.Request(
        composition=chosen,
        output=Path("bench.mp4"),  # of each round, in a folder of its own
        hosts=requests.choose_hosts(hosts, limit),
        frames=planning.parse_frames(frames) if frames else None,
        workers=workers,
    )
    prepared = render.prepare(request)
    for count in settings:
        benchmark.chunk_frames(len(prepared.plan.frames), count)
    asked = bench_run.Asked(
        composition=chosen,
        options=_options({"--hosts": hosts, "--limit": limit, "--frames": frames, "--workers": workers}),
        settings=settings,
        iterations=iterations,
        keep=output_dir,
    )
    with bench_view.RoundsScreen(len(settings) * iterations, len(prepared.plan.frames)) as screen:
        rounds = bench_run.run(asked, prepared.plan, screen)
    found = benchmark.settings(rounds)
    result = benchmark.plain(found, prepared.composition.name, prepared.plan)
    if plot is not None:
        from fleet import bench_plot

        bench_plot.draw(plot, result, found)
    if as_json:
        console.result_json(result)
    else:
        console.result(bench_view.table(found), *bench_view.notes(result, found))


def _options(given: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(str(word) for name, value in given.items() if value is not None for word in (name, value))


def _example() -> Path:
    if not EXAMPLE.is_dir():
        raise ConfigError("no composition was named", remedy="name one: `fleetrender bench my-video`")
    return EXAMPLE


def check_plot(path: Path) -> None:
    """ConfigError, before anything is rendered, for a picture that could not be drawn in the end."""
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"--plot: {path.name} is no picture", remedy=f"name it `{path.stem or 'bench'}.svg` or .png")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"--plot: there is no folder {path.absolute().parent}", remedy="make it, or name another")
    if importlib.util.find_spec("matplotlib") is None:
        raise ConfigError("--plot needs matplotlib", remedy='`pip install "fleetrender[bench]"`, or leave `--plot` out')
