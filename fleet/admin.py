"""Work on hosts that a person watches: one after the other, with sudo where needed. Used by `hosts setup` alone.

fabric by itself would trust any host key, read its own configuration files and wait without end; `connect` is the only
way to a connection here, and it does none of that.
"""

import asyncio
import getpass
import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import fabric
import invoke.exceptions
import paramiko
from invoke import runners

from fleet import errors, provision
from fleet.model import Host
from fleet.provision import Step, System
from fleet.transports import identity, knownhosts

HANDSHAKE_S = 15.0  # banner, login, channel: each; paramiko's own limit for the last is an hour
LOOK_S = 30.0
STEP_S = 1800.0  # a distribution's mirror can be slow; apt itself gives up sooner
KEEPALIVE_S = 5
SAID_LINES = 6


@contextmanager
def connect(host: Host) -> Iterator[fabric.Connection]:
    """A connection to `host`, through its jump hosts, every key verified; closed on exit. HostError without one."""
    with ExitStack() as stack:
        gateway = stack.enter_context(connect(host.jump)) if host.jump else None
        connection = _prepare(host, gateway)
        stack.callback(connection.close)
        with _translated(host):
            connection.open()
            connection.transport.set_keepalive(KEEPALIVE_S)
        yield connection


def look(host: Host, connection: fabric.Connection) -> System:
    """What is installed on `host`, and who we are there."""
    result = _run(host, connection, f"sh -c '{provision.LOOK}'", LOOK_S)
    return provision.parse(result.stdout)


def asks_for_password(host: Host, connection: fabric.Connection, system: System) -> bool:
    """Whether sudo wants a password; HostUnfit when there is no sudo."""
    if "sudo" not in system.has:
        raise errors.HostUnfit(
            host.name,
            f"{system.user} cannot become root: there is no sudo",
            remedy=f"let root do it: `fleetrender hosts setup --hosts root@{host.address}`, or ask its administrator",
        )
    return bool(_run(host, connection, "sudo -n true", LOOK_S).exited)


def carry_out(host: Host, connection: fabric.Connection, step: Step, *, is_root: bool, password: str | None) -> None:
    """Runs one step to its end; HostUnfit with its last lines when it fails."""
    command = shlex.join(step.argv)
    if not step.as_root or is_root:
        result = _run(host, connection, command, STEP_S)
    elif password is None:
        result = _run(host, connection, f"sudo -n {command}", STEP_S)
    else:
        result = _run(host, connection, command, STEP_S, password=password)
    if result.exited:
        said = "\n".join((result.stdout + result.stderr).strip().splitlines()[-SAID_LINES:])
        raise errors.HostUnfit(
            host.name,
            f"`{command}` ended with status {result.exited}: {said or 'it printed nothing'}",
            remedy="mend that on the host, then run setup again: it goes on where it stopped",
        )


def _prepare(host: Host, gateway: fabric.Connection | None) -> fabric.Connection:
    credentials = asyncio.run(identity.choose(host))
    address, port, user = _endpoint(host)
    # lazy: no fabric.yaml, no ssh_config; what it may know is given here.
    config = fabric.Config(lazy=True, ssh_config=paramiko.SSHConfig())
    config.merge()
    connection = fabric.Connection(
        address,
        user=user,
        port=port,
        config=config,
        gateway=gateway,
        forward_agent=False,
        connect_timeout=host.connect_timeout_s,
        connect_kwargs={
            "pkey": _private_key(host, credentials),
            "look_for_keys": host.identity is None,
            "allow_agent": credentials.agent_path is not None,
            "banner_timeout": HANDSHAKE_S,
            "auth_timeout": HANDSHAKE_S,
            "channel_timeout": HANDSHAKE_S,
        },
    )
    # Keys are looked up by the host's name in the inventory, and filed under the name that paramiko will ask for.
    name = knownhosts.endpoint(address, port)
    known = knownhosts.lookup(host)
    for key in set(known.keys) - set(known.revoked):
        algorithm, data = key.export_public_key("openssh").decode().split()[:2]
        entry = paramiko.hostkeys.HostKeyEntry.from_line(f"{name} {algorithm} {data}")
        if entry is not None:  # a kind of key that paramiko does not speak
            connection.client.get_host_keys().add(name, entry.key.get_name(), entry.key)
    connection.client.set_missing_host_key_policy(paramiko.RejectPolicy())
    return connection


def _private_key(host: Host, credentials: identity.Credentials) -> paramiko.PKey | None:
    """The configured identity; None leaves login to the ssh agent, and to ~/.ssh when nothing is configured.

    Read here: given a file name, paramiko tries it as every kind of key and reports only the last attempt.
    """
    if host.identity is None or credentials.agent_path is not None:
        return None
    try:
        return paramiko.PKey.from_path(Path(host.identity).expanduser())
    except (paramiko.SSHException, paramiko.UnknownKeyType, ValueError, OSError) as error:
        raise errors.HostAuthError(
            host.name,
            f"identity {host.identity} cannot be read: {error}",
            remedy="add it to the ssh agent instead: ssh-add, and remove `identity` for this host",
        ) from error


def _endpoint(host: Host) -> tuple[str, int, str]:
    """Address, port and user, after the user's ssh configuration has had its say, as the run path does it."""
    if not host.ssh_config:
        return host.address, host.port, host.user or getpass.getuser()
    found = paramiko.SSHConfig.from_path(str(Path(host.ssh_config).expanduser())).lookup(host.address)
    if found.keys() & {"proxyjump", "proxycommand"}:
        raise errors.ConfigError(
            f"{host.name}: {host.ssh_config} reaches it through ProxyJump or ProxyCommand",
            remedy="declare the jump host in hosts.toml: [jump.NAME], and jump = NAME for the host",
        )
    port = int(found.get("port", host.port)) if host.port == 22 else host.port
    return found["hostname"], port, host.user or found.get("user") or getpass.getuser()


def _run(
    host: Host, connection: fabric.Connection, command: str, timeout_s: float, *, password: str | None = None
) -> runners.Result:
    """The finished command; its exit status is for the caller to judge."""
    options = {"hide": True, "warn": True, "pty": False, "in_stream": False, "timeout": timeout_s}
    with _translated(host):
        result: runners.Result = (
            connection.run(command, **options)
            if password is None
            else connection.sudo(command, password=password, **options)
        )
    return result


@contextmanager
def _translated(host: Host) -> Iterator[None]:
    """Failures of fabric and paramiko as ours."""
    trust = f"`{knownhosts.trust_command(host)}`"
    try:
        yield
    except paramiko.BadHostKeyException as error:
        message = "its host key has changed: it is not the one we trust"
        raise errors.HostKeyError(host.name, message, remedy=f"ask its owner, then {trust} --replace") from error
    except paramiko.AuthenticationException as error:
        remedy = "add your key to its authorized_keys, or correct `user` and `identity` in hosts.toml"
        raise errors.HostAuthError(host.name, f"the login was refused: {error}", remedy=remedy) from error
    except invoke.exceptions.AuthFailure as error:
        remedy = "type the password of the user on that host; --limit sets up hosts with other passwords separately"
        raise errors.HostUnfit(host.name, "sudo did not accept the password", remedy=remedy) from error
    except invoke.exceptions.CommandTimedOut as error:
        message = f"a command did not end within {error.timeout:g} s"
        raise errors.HostLost(host.name, message, remedy="see what hangs there, then run setup again") from error
    except paramiko.SSHException as error:
        if "not found in known_hosts" in str(error):
            remedy = f"compare its fingerprint, then {trust}"
            raise errors.HostKeyError(host.name, "its host key is unknown", remedy=remedy) from error
        raise errors.HostUnreachable(host.name, f"SSH failed: {error}", remedy="see the log of its sshd") from error
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "the connection ended"
        remedy = "check that the host is on and that its sshd listens; `address` and `port` in hosts.toml"
        raise errors.HostUnreachable(host.name, f"no connection: {reason}", remedy=remedy) from error
