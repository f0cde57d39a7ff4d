"""`fleetrender hosts ...` and `fleetrender doctor`: arguments in, one call, text or JSON out.

Results go to standard output, questions and progress to standard error. Failures are raised for `cli.main` to print.
"""

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console, RenderableType

from capture import protocol, wire
from fleet import (
    agentzip,
    checks,
    cleaning,
    console,
    draining,
    errors,
    hosts,
    hosts_view,
    matrix,
    rundir,
    survey,
    transports,
)
from fleet import doctor as coordinator
from fleet.checks import Examined
from fleet.hosts import keys
from fleet.model import Finding, Host, Severity

if TYPE_CHECKING:
    from fleet.hostkeys import ScannedKey

HOSTS_FILE = "hosts.toml"

app = typer.Typer(name="hosts", help="See, trust, check and set up the hosts that render.", no_args_is_help=True)

HostsOption = Annotated[
    str, typer.Option("--hosts", "-H", metavar="FILE", help="Hosts file, or logins: user@h1,user@h2.")
]
LimitOption = Annotated[
    str, typer.Option("--limit", metavar="PATTERN", help="Only these names, tags and groups: 'studio,!r07'.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


@app.command("list")
def list_hosts(hosts_file: HostsOption = HOSTS_FILE, limit: LimitOption = "", as_json: JsonOption = False) -> None:
    """List the hosts, as groups, ranges and defaults make them."""
    chosen = hosts.select(hosts.load(hosts_file), limit)
    if as_json:
        console.result_json(hosts_view.hosts_plain(chosen))
    else:
        console.result(hosts_view.hosts_table(chosen))


@app.command()
def check(
    composition: Annotated[
        Path | None, typer.Argument(help="What --parity draws.", show_default="a small built-in page")
    ] = None,
    hosts_file: HostsOption = HOSTS_FILE,
    limit: LimitOption = "",
    parity: Annotated[bool, typer.Option("--parity", help="Have every host draw the same frames; compare.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Ask every host whether it can render, and say what to do where it cannot."""
    chosen = hosts.select(hosts.load(hosts_file), limit)
    if parity:
        _check_parity(chosen, composition, as_json=as_json)
        return
    if composition is not None:
        raise errors.ConfigError("hosts check: a composition is drawn with --parity only", remedy="add `--parity`")
    console.progress(f"asking {console.count(len(chosen), 'host')} ...")
    fleet = asyncio.run(_examine(chosen))
    findings = checks.run(fleet)
    if as_json:
        console.result_json(hosts_view.fleet_plain(fleet, findings))
    else:
        console.result(*_fleet_screen(fleet, findings))
    if not checks.usable(fleet, findings):
        raise errors.FleetLost("no host can render", remedy="mend what is listed above as an error, then check again")


def _check_parity(chosen: Sequence[Host], composition: Path | None, *, as_json: bool) -> None:
    console.progress(f"having {console.count(len(chosen), 'host')} draw ...")
    with tempfile.TemporaryDirectory(prefix="fleetrender-") as directory:
        rows = asyncio.run(matrix.run(chosen, composition, Path(directory)))
    if as_json:
        console.result_json(matrix.plain(rows))
    else:
        console.result(matrix.table(rows))
    if odd := [row.host for row in rows if row.name != "A"]:
        raise errors.FleetLost(
            f"{console.count(len(odd), 'host')} would not render with the others: {', '.join(odd)}",
            remedy="make them like the hosts of class A, or leave them out with `--limit`",
        )


@app.command("trust")
def trust_hosts(
    names: Annotated[list[str] | None, typer.Argument(help="Hosts or jump hosts; default: all.")] = None,
    hosts_file: HostsOption = HOSTS_FILE,
    limit: LimitOption = "",
    fingerprint: Annotated[
        list[str] | None,
        typer.Option("--fingerprint", metavar="SHA256:...", help="Accept this key without asking. Repeatable."),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Also accept keys in place of others.")] = False,
) -> None:
    """Accept host keys after comparing their fingerprints. Nothing else ever does.

    On a host, its fingerprint is shown by: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub
    """
    from fleet import trust  # asyncssh takes its time to import, also for the help of every command

    wanted = frozenset(fingerprint or ())
    if wrong := next((each for each in wanted if not each.startswith(trust.FINGERPRINT)), None):
        raise errors.ConfigError(f"--fingerprint: `{wrong}` is none", remedy="write it as SHA256:...")
    reached = trust.reached(hosts.select(hosts.load(hosts_file), limit))
    chosen = hosts.select(reached, ",".join(names or ()))
    verdicts = asyncio.run(trust.run(chosen, fingerprints=wanted, replace=replace, ask=_asker()))
    for verdict in verdicts:
        console.result(f"{verdict.host.name}: {verdict.outcome.value}")
    console.raise_all([verdict.error for verdict in verdicts if verdict.error])


@app.command()
def drain(host: Annotated[str, typer.Argument(help="Its name, as the run shows it.")]) -> None:
    """Have the render that is going on let go of HOST: it ends what its workers have begun; others do the rest."""
    draining.ask(rundir.state_root(), host)
    console.result(f"{host}: gets no more frames, and leaves when its workers are done with theirs")


@app.command()
def setup(
    hosts_file: HostsOption = HOSTS_FILE,
    limit: LimitOption = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")] = False,
) -> None:
    """Install Chromium, rsync and python3 where they are missing. Says what it will do before it does."""
    from fleet import cli_setup  # fabric takes its time to import, and nothing else needs it

    chosen = [host for host in hosts.select(hosts.load(hosts_file), limit) if host.transport == "ssh"]
    cli_setup.run(chosen, dry_run=dry_run, yes=yes)


@app.command()
def clean(
    hosts_file: HostsOption = HOSTS_FILE,
    limit: LimitOption = "",
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="AGE", help="Not used for so long: 90m, 24h, 7d.")
    ] = "24h",
    max_size: Annotated[
        str | None, typer.Option("--max-size", metavar="SIZE", help="Also the oldest bundles above this: 10G.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
) -> None:
    """Delete old runs, bundles and agents on the hosts. Never what is in use: a host that renders is left alone."""
    try:
        order = protocol.Clean(
            older_than_s=keys.age(older_than), max_bytes=keys.size(max_size) if max_size else None, is_trial=dry_run
        )
    except ValueError as error:
        raise errors.ConfigError(f"hosts clean: {error}", remedy="`fleetrender hosts clean --help`") from error
    chosen = hosts.select(hosts.load(hosts_file), limit)
    outcomes = asyncio.run(_clean(chosen, order))
    for host, outcome in zip(chosen, outcomes, strict=True):
        if isinstance(outcome, protocol.Cleaned):
            console.result(f"{host.name}: {hosts_view.cleaned(outcome, is_trial=dry_run)}")
    console.raise_all([outcome for outcome in outcomes if isinstance(outcome, errors.FleetError)])


async def _clean(chosen: Sequence[Host], order: protocol.Clean) -> list[protocol.Cleaned | errors.FleetError]:
    with tempfile.TemporaryDirectory(prefix="fleetrender-") as directory:
        agent = agentzip.build(Path(directory))
        async with transports.dialer(Path(directory), agent, chosen) as dialer:
            return await cleaning.run(chosen, dialer, order)


def doctor(
    hosts_file: HostsOption = HOSTS_FILE,
    as_json: JsonOption = False,
) -> None:
    """Check this machine: its tools, its browser, and where runs are kept."""
    console.progress("looking around ...")
    found = coordinator.gather(_known_hosts(hosts_file))
    fleet = asyncio.run(_examine((hosts.LOCAL,)))
    findings = (*coordinator.judge(found), *checks.run(fleet))
    if as_json:
        plain = {"coordinator": wire.to_plain(found)} | hosts_view.fleet_plain(fleet, findings)
        console.result_json(plain)
    else:
        console.result(hosts_view.tools_table(found), "", *_fleet_screen(fleet, findings))
    if hosts_view.worst(findings) is Severity.ERROR:
        raise errors.ConfigError("this machine lacks something", remedy="mend what is listed above as an error")


def _known_hosts(hosts_file: str) -> str | None:
    if hosts_file == HOSTS_FILE and not Path(hosts_file).exists():
        return None
    return next((host.known_hosts for host in hosts.load(hosts_file)), None)


async def _examine(chosen: Sequence[Host]) -> tuple[Examined, ...]:
    with tempfile.TemporaryDirectory(prefix="fleetrender-") as directory:
        agent = agentzip.build(Path(directory))
        async with transports.dialer(Path(directory), agent, chosen) as dialer:
            return await survey.ask(chosen, dialer.open)


def _fleet_screen(fleet: Sequence[Examined], findings: Sequence[Finding]) -> list[RenderableType]:
    screen: list[RenderableType] = [hosts_view.machines_table(fleet, findings)]
    if any(each.facts and each.facts.chromium for each in fleet):
        screen += ["", hosts_view.browsers_table(fleet)]
    if findings:
        screen += ["", hosts_view.findings_table(findings)]
    usable = len(checks.usable(fleet, findings))
    return [*screen, "", f"{usable} of {console.count(len(fleet), 'host')} can render"]


def _asker() -> "Callable[[ScannedKey], bool]":
    """Asks the person at the terminal about one key after the other; "all" answers for those that follow."""
    terminal, is_all = Console(stderr=True, highlight=False), False

    def ask(key: "ScannedKey") -> bool:
        nonlocal is_all
        terminal.print(f"\n{key.host} at {key.address} port {key.port} presents", markup=False)
        terminal.print(f"  {key.algorithm} {key.fingerprint}", markup=False, soft_wrap=True)
        for known in key.known:
            terminal.print(f"  instead of {known}", markup=False, soft_wrap=True)
        if is_all and not key.known:  # a changed key is always a question of its own
            return True
        if not console.has_person():
            return False  # nobody is there; the fingerprints of all hosts are shown all the same
        answer = console.ask("is it the right one? [y]es, [N]o, yes to [a]ll that are new:")
        is_all = answer in ("a", "all")
        return is_all or answer in ("y", "yes")

    return ask
