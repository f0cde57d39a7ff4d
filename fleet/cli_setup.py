"""The dialogue of `fleetrender hosts setup`: look, say what would be done, ask, do it, one host after the other."""

import getpass
import importlib.metadata
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from fleet import admin, console, errors, hosts_view, provision
from fleet.model import Host


def run(chosen: Sequence[Host], *, dry_run: bool, yes: bool) -> None:
    """Sets up `chosen`, which are hosts by SSH; raises at the end for those where something is left to do."""
    looked = [_look(host) for host in chosen]
    for found in looked:
        console.result(*_setup_rows(found))
    failed = [found.error for found in looked if found.error]
    failed += [_obstacle(found.host, found.plan) for found in looked if found.plan.obstacles]
    ready = [found for found in looked if found.plan.steps and not found.error]
    if ready and not dry_run and _is_wanted(yes=yes, count=len(ready)):
        password = _sudo_password(ready)
        failed += [error for found in ready if (error := _carry_out(found, password))]
    console.raise_all(failed)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Looked:
    """What setup found out about one host before it does anything."""

    host: Host
    system: provision.System = field(default_factory=provision.System)
    plan: provision.Provision = field(default_factory=provision.Provision)
    asks_for_password: bool = False
    error: errors.FleetError | None = None


def _look(host: Host) -> _Looked:
    console.progress(f"looking at {host.name} ...")
    found = _Looked(host=host)
    try:
        with admin.connect(host) as connection:
            found = replace(found, system=admin.look(host, connection))
            found = replace(found, plan=_provision(host, found.system))
            if provision.needs_root(found.plan, found.system):
                asks = admin.asks_for_password(host, connection, found.system)
                found = replace(found, asks_for_password=asks)
    except errors.FleetError as error:
        return replace(found, error=error)
    return found


def _provision(host: Host, system: provision.System) -> provision.Provision:
    return provision.plan(
        system,
        playwright=importlib.metadata.version("playwright"),
        own_browser=host.chromium is not None,
        own_python=host.python != "python3",
    )


def _setup_rows(found: _Looked) -> list[str]:
    name = found.host.name
    if not found.system.user:
        return [f"{name}: could not be looked at"]
    if not found.plan.lacks:
        return [f"{name}: nothing to do ({hosts_view.clean(found.system.name)})"]
    rows = [f"{name}: lacks {', '.join(found.plan.lacks)} ({hosts_view.clean(found.system.name)})"]
    return rows + [f"  {step}" for step in found.plan.steps]


def _obstacle(host: Host, plan: provision.Provision) -> errors.FleetError:
    message, remedy = plan.obstacles[0]
    return errors.HostUnfit(host.name, hosts_view.clean(message), remedy=remedy)


def _is_wanted(*, yes: bool, count: int) -> bool:
    if yes:
        return True
    if not console.has_person():
        raise errors.ConfigError("nobody is there to ask", remedy="add --yes to do it without asking")
    return console.ask(f"do this on {console.count(count, 'host')}? [y/N]") in ("y", "yes")


def _sudo_password(ready: Sequence[_Looked]) -> str | None:
    """The password for sudo, asked for once and kept in memory only; None where no host wants one."""
    asking = [found for found in ready if found.asks_for_password]
    if not asking:
        return None
    if not console.has_person():
        raise errors.ConfigError(
            f"sudo asks for a password on {asking[0].host.name}, and nobody is there to type it",
            remedy="run it in a terminal, or let sudo work without a password there (NOPASSWD)",
        )
    return getpass.getpass(f"password for sudo on {console.count(len(asking), 'host')}: ", stream=sys.stderr)


def _carry_out(found: _Looked, password: str | None) -> errors.FleetError | None:
    host, is_root = found.host, found.system.is_root
    try:
        with admin.connect(host) as connection:
            for step in found.plan.steps:
                console.progress(f"{host.name}: {step}")
                secret = password if found.asks_for_password else None
                admin.carry_out(host, connection, step, is_root=is_root, password=secret)
            left = _provision(host, admin.look(host, connection))
    except errors.FleetError as error:
        return error
    if left.steps:
        message = f"still lacks {', '.join(left.lacks)} after all steps"
        return errors.HostUnfit(host.name, message, remedy="install that by hand, then `fleetrender hosts check`")
    console.result(f"{host.name}: done")
    return None
