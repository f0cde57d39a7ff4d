"""Typer: arguments -> one call -> exit code. Nothing else prints errors or exits."""

import asyncio
import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from capture.protocol import PAGE_LIMIT_S
from fleet import busy as busy_policy
from fleet import formats, headstart, plan, untrusted
from fleet import request as requests
from fleet.errors import ExitCode, FleetError, Interrupted, Terminated
from fleet.halt import Halt
from fleet.model import Gl, Quality

app = typer.Typer(
    name="fleetrender",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(is_asked: bool) -> None:
    if is_asked:
        from importlib import metadata

        typer.echo(f"fleetrender {metadata.version('fleetrender')}")
        raise typer.Exit


@app.callback()
def fleetrender(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    """Render HTML compositions to video on the machines you already reach by SSH."""


@app.command("run")
def run_command(
    composition: Annotated[
        Path, typer.Argument(help="A folder with index.html, or an .html file.", show_default="this folder")
    ] = Path(),
    hosts: Annotated[
        str | None,
        typer.Option("--hosts", "-H", metavar="FILE", help="hosts.toml, or user@h1,user@h2. Without: this machine."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The video; its suffix chooses the format.", show_default="COMPOSITION.mp4"
        ),
    ] = None,
    format: Annotated[  # noqa: A002  the option's word
        str | None,
        typer.Option(metavar="FORMAT", help=f"{', '.join(formats.NAMES)}.", show_default="by the output's suffix"),
    ] = None,
    codec: Annotated[
        str | None, typer.Option(metavar="|".join(formats.CODECS), help="Of an mp4.", show_default=formats.CODECS[0])
    ] = None,
    fps: Annotated[
        str | None, typer.Option(help="Such as 30 or 30000/1001.", show_default="the composition's, else 30")
    ] = None,
    quality: Annotated[Quality, typer.Option(help="What to spend on encoding.")] = Quality.STANDARD,
    crf: Annotated[
        int | None, typer.Option(metavar="N", help="0 is best, 51 worst (webm: 63).", show_default="by quality")
    ] = None,
    bitrate: Annotated[
        str | None, typer.Option(metavar="RATE", help="Such as 8M: the average aimed at, instead of --crf.")
    ] = None,
    resolution: Annotated[
        str | None,
        typer.Option(metavar="WxH", help="Or 1080p, 4k, ...: whole multiples.", show_default="the composition's"),
    ] = None,
    loop: Annotated[
        int, typer.Option(metavar="N", min=0, max=65535, help="Plays of a gif after the first; 0: for ever.")
    ] = 0,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Browsers per host.", show_default="what each host can feed")
    ] = None,
    chunk_frames: Annotated[
        int | None, typer.Option(min=1, help="Frames per chunk.", show_default="by each host's speed")
    ] = None,
    max_hosts: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Use no more hosts.", show_default="as many as are useful")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say why each host got its range.")] = False,
    what_if: Annotated[
        str | None, typer.Option(metavar="hosts=+N", help="Predict the time with N more hosts; renders nothing.")
    ] = None,
    audit: Annotated[
        str | None, typer.Option(metavar="SHARE", help="Capture so many frames again at the end, compare: 1%.")
    ] = None,
    allow_mixed: Annotated[
        bool, typer.Option("--allow-mixed", help="Give whole scenes to hosts that draw other pixels.")
    ] = False,
    gl: Annotated[
        Gl | None, typer.Option(help="What may draw WebGL on every host.", show_default="hosts.toml's, else auto")
    ] = None,
    frames: Annotated[str | None, typer.Option(metavar="A:B", help="Frames A up to but not including B.")] = None,
    sequential: Annotated[
        bool, typer.Option("--sequential", help="Frames depend on each other: step through all.")
    ] = False,
    variables: Annotated[str | None, typer.Option(metavar="JSON", help="Variables as a JSON object.")] = None,
    variables_file: Annotated[Path | None, typer.Option(metavar="FILE", help="The same from a file.")] = None,
    placeholders: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Fills in `__KEY__` and `{{KEY}}`. Repeatable."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at warnings, not only at errors.")] = False,
    strict_variables: Annotated[
        bool, typer.Option("--strict-variables", help="Stop at a variable or option that nobody declares.")
    ] = False,
    substitute_fonts: Annotated[
        bool, typer.Option("--substitute-fonts", help="Show other fonts for those that no source has.")
    ] = False,
    page_timeout: Annotated[
        float,
        typer.Option(
            "--page-timeout", metavar="SECONDS", min=1, max=3600, help="For a page to get ready, and for each frame."
        ),
    ] = PAGE_LIMIT_S,
    limit: Annotated[
        str | None, typer.Option(metavar="'TAG,!HOST'", help="Only these hosts: names, tags, groups.")
    ] = None,
    busy: Annotated[
        str, typer.Option(metavar="skip|wait=10m|fail", help="What to do about hosts that render for others.")
    ] = "skip",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Plan, touch no host, say what would be done.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result object and nothing else.")] = False,
    events: Annotated[str | None, typer.Option(metavar="FILE|-", help="Every event as a JSON line.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with this render's last unfinished run.")] = False,
    returns: Annotated[
        str, typer.Option("--return", metavar="frames|segments|auto", help="What hosts send back: stills, or video.")
    ] = "frames",
    keep: Annotated[bool, typer.Option("--keep", help="Keep the captured frames.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Debug log on stderr.")] = False,
) -> None:
    """Render COMPOSITION to one verified video, on a fleet or on this machine."""
    logging.basicConfig(level=logging.DEBUG if verbose else logging.ERROR, stream=sys.stderr)
    chosen = requests.choose_format(output, format=format, codec=codec)
    request = requests.Request(
        composition=composition,
        output=requests.output_path(composition, output, chosen),
        format=chosen,
        crf=crf,
        bitrate_bps=plan.parse_bitrate(bitrate) if bitrate else None,
        resolution=resolution,
        loop=loop,
        hosts=requests.choose_hosts(hosts, limit, gl),
        fps=plan.parse_fps(fps) if fps else None,
        frames=plan.parse_frames(frames) if frames else None,
        quality=quality,
        sequential=sequential,
        variables=requests.read_variables(variables, variables_file),
        placeholders=requests.read_placeholders(placeholders or ()),
        strict=strict,
        strict_variables=strict_variables,
        workers=workers,
        page_limit_s=page_timeout,
        chunk_frames=chunk_frames,
        hosts_max=max_hosts,
        audit=requests.read_share(audit) if audit else 0.0,
        allow_mixed=allow_mixed,
        substitute_fonts=substitute_fonts,
        busy=busy_policy.parse(busy),
        returns=requests.read_returns(returns),
        resume=resume,
        keep=keep,
    )
    requests.check(request)
    more = requests.read_what_if(what_if) if what_if else None
    if dry_run or more is not None:
        _preview(request, more, as_json=as_json)
        return
    report = _render(request, as_json=as_json, events=events, explain=explain)
    if as_json:
        typer.echo(json.dumps(report))


def _preview(request: requests.Request, more: int | None, *, as_json: bool) -> None:
    from fleet import progress, render

    result = render.preview(request, render.prepare(request), more_hosts=more)
    if as_json:
        typer.echo(json.dumps(result))
    else:
        typer.echo(progress.preview_text(result) if more is None else result["prediction"])


def _render(request: requests.Request, *, as_json: bool, events: str | None, explain: bool) -> dict[str, Any]:
    with asyncio.Runner() as runner, headstart.given(runner, request) as head:
        # All that reads a composition takes a while to import: an agent on this machine starts meanwhile.
        from fleet import progress, render

        prepared = render.prepare(request, head)
        names = tuple(host.name for host in request.hosts)
        with progress.readers(as_json=as_json, events=events, hosts=names) as readers:
            tellers = [*readers, progress.explain] if explain else readers
            halt = Halt()
            return _interruptible(runner, render.run(request, prepared, tellers, halt), halt)


def _interruptible(runner: asyncio.Runner, work: Coroutine[Any, Any, dict[str, Any]], halt: Halt) -> dict[str, Any]:
    """Runs `work`; everything that it started ends with it, and the run can be resumed.

    The first SIGINT lets it end what is under way, where there is something; the second one, and SIGTERM, cancel it.
    """

    async def supervise() -> dict[str, Any]:
        task = asyncio.ensure_future(work)

        def stop(number: signal.Signals) -> None:
            if number == signal.SIGINT and halt.drain():
                return
            if number != signal.SIGINT and not task.cancelling():
                halt.exit_code = ExitCode.TERMINATED
            task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, stop, number)
        return await task

    try:
        return runner.run(supervise())
    except asyncio.CancelledError:
        kind = Terminated if halt.exit_code == ExitCode.TERMINATED else Interrupted
        raise kind("interrupted", remedy="add `--resume` to the same command to go on") from None


def add_others() -> None:
    """Adds every command but `run`, which starts sooner without what they import."""
    from fleet import cli_bench, cli_hosts, cli_inspect, cli_verify

    app.add_typer(cli_hosts.app, name="hosts")
    app.command("doctor")(cli_hosts.doctor)
    app.command("inspect")(cli_inspect.inspect)
    app.command("snapshot")(cli_inspect.take_snapshot)
    app.command("bench")(cli_bench.bench)
    app.command("verify")(cli_verify.verify_command)


def main() -> NoReturn:
    """The `fleetrender` program. Every failure ends here: its message, a hint, its exit code."""
    try:
        if sys.argv[1:2] != ["run"]:
            add_others()
        status = app(standalone_mode=False)
    except FleetError as error:
        _fail(str(error), error.remedy, error.exit_code)
    except typer.TyperException as error:
        _fail(error.format_message(), "`--help` after the command shows its options", ExitCode.CONFIG)
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted", "nothing was begun", ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has gone; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.BUG)
    except Exception:
        traceback.print_exc()
        _fail("this is a bug in fleetrender", "report it with the lines above", ExitCode.BUG)
    sys.exit(status if isinstance(status, int) else ExitCode.OK)


def _fail(message: str, remedy: str, code: ExitCode) -> NoReturn:
    typer.echo(f"error: {untrusted.redact(message)}\n\nhint: {untrusted.redact(remedy)}", err=True)
    sys.exit(code)
