"""The same connection as an `ssh` command line, for people to copy and reproduce. Pure: no I/O."""

import shlex

from fleet import model
from fleet.transports import knownhosts


def command(host: model.Host, *remote: str) -> list[str]:
    """Arguments of OpenSSH's client that reach `host` under the rules we use ourselves."""
    options = [
        f"HostKeyAlias={knownhosts.alias(host.name)}",
        f"UserKnownHostsFile={host.known_hosts or '/dev/null'}",
        "GlobalKnownHostsFile=/dev/null",
        "StrictHostKeyChecking=yes",
        "BatchMode=yes",
        f"ConnectTimeout={max(1, round(host.connect_timeout_s))}",
    ]
    if host.identity is not None:
        options.append("IdentitiesOnly=yes")
    if host.jump is not None:
        options.append(f"ProxyCommand={shlex.join([*command(host.jump), '-W', '[%h]:%p'])}")
    argv = ["ssh", "-F", host.ssh_config or "/dev/null", "-p", str(host.port)]
    if host.identity is not None:
        argv += ["-i", host.identity]
    for option in options:
        argv += ["-o", option]
    return [*argv, destination(host), *remote]


def destination(host: model.Host) -> str:
    """`user@address`, or the address alone when the user is left to ssh."""
    return f"{host.user}@{host.address}" if host.user else host.address


def where(host: model.Host) -> str:
    """Where `host` is, for messages: user, address, port and the way there."""
    way = f" (through {host.jump.name})" if host.jump else ""
    return f"{destination(host)}:{host.port}{way}"
