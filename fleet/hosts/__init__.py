"""Which hosts there are: hosts.toml, or `user@h1,user@h2`, and which of them `--limit` leaves.

The rules of the file are in `reader.py`, its keys in `keys.py`; here is the I/O and the choosing.
"""

import fnmatch
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path

from fleet import errors
from fleet.hosts import keys, reader
from fleet.hosts.reader import parse
from fleet.model import Host

__all__ = ["LOCAL", "ad_hoc", "load", "parse", "select"]

# This machine as a fleet of one: what runs when no hosts are named.
LOCAL = Host(name="local", transport="local")
# Far more than the largest honest file; a wrong path (a log, a video) should fail at once.
FILE_BYTES_MAX = 4 * 1024 * 1024

_LOGIN = re.compile(
    r"(?:(?P<user>[^@\s]+)@)?(?:\[(?P<v6>[0-9A-Fa-f:.%]+)\]|(?P<name>" + keys.NAME + r"))(?::(?P<port>[0-9]{1,5}))?"
)


def load(source: str) -> tuple[Host, ...]:
    """The hosts that `--hosts` names: a file, or logins separated by commas; ConfigError says what is wrong."""
    if ("@" in source or "," in source) and not Path(source).exists():
        return ad_hoc(source)
    path = Path(source)
    text = _read(path)
    return parse(text, file=source, directory=str(path.absolute().parent), home=str(Path.home()), exists=os.path.isfile)


def ad_hoc(logins: str) -> tuple[Host, ...]:
    """The hosts of `user@h1,user@h2:2222`, as a hosts.toml in the current directory would have them."""
    home, names = str(Path.home()), [login.strip() for login in logins.split(",") if login.strip()]
    common = {
        "known_hosts": str(Path.cwd() / reader.KNOWN_HOSTS),
        "ssh_config": reader.default_ssh_config(home, os.path.isfile),
    }
    hosts = tuple(_login(name, common) for name in names)
    for index, host in enumerate(hosts):
        if host.name.casefold() in {other.name.casefold() for other in hosts[:index]}:
            remedy = "name each host once; a hosts.toml can give two logins of one host two names"
            raise errors.ConfigError(f"--hosts: {host.name} is named twice", remedy=remedy)
    return hosts


def select(hosts: Iterable[Host], pattern: str) -> tuple[Host, ...]:
    """The hosts that `--limit` leaves, in their order: names, tags, groups and `r*`; `!` takes away; empty keeps all.

    ConfigError when a part of the pattern matches no host, or when none is left.
    """
    hosts = tuple(hosts)
    parts = [part.strip() for part in pattern.split(",") if part.strip()]
    wanted = [_matching(hosts, part) for part in parts if not part.startswith("!")]
    unwanted = [_matching(hosts, part[1:].strip()) for part in parts if part.startswith("!")]
    chosen = set().union(*wanted) if wanted else {host.name for host in hosts}
    chosen -= set().union(*unwanted)
    if not chosen:
        raise errors.ConfigError(
            f"--limit '{pattern}' leaves no host", remedy="`fleetrender hosts list` shows them all"
        )
    return tuple(host for host in hosts if host.name in chosen)


def _matching(hosts: tuple[Host, ...], part: str) -> set[str]:
    labels = {host.name: (host.name, *host.tags, *host.groups) for host in hosts}
    matching = {name for name, of in labels.items() if any(fnmatch.fnmatchcase(label, part) for label in of)}
    if not matching:
        known = dict.fromkeys(label for of in labels.values() for label in of)
        remedy = reader.did_you_mean(part, known) or "`fleetrender hosts list` shows names, tags and groups"
        raise errors.ConfigError(f"--limit: no host, tag or group `{part}`", remedy=remedy)
    return matching


def _read(path: Path) -> str:
    try:
        found = path.stat()
        if stat.S_ISREG(found.st_mode) and found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise errors.ConfigError(
                f"{path}: others may write this file, and it decides where programs are started",
                remedy=f"chmod go-w {path}",
            )
        with path.open(encoding="utf-8") as file:
            text = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError as error:
        remedy = "write one after hosts.example.toml, or name logins: --hosts user@host1,user@host2"
        raise errors.ConfigError(f"{path}: no such hosts file", remedy=remedy) from error
    except UnicodeDecodeError as error:
        raise errors.ConfigError(f"{path}: not UTF-8 text (byte {error.start})", remedy="save it as UTF-8") from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise errors.ConfigError(f"{path}: cannot be read: {reason}", remedy="--hosts takes a file") from error
    if len(text) > FILE_BYTES_MAX:
        raise errors.ConfigError(f"{path}: too large for a hosts file", remedy="is this the right file?")
    return text


def _login(login: str, common: dict[str, str | None]) -> Host:
    found = _LOGIN.fullmatch(login)
    port = int(found["port"] or 22) if found else 0
    user = found["user"] if found else None
    if found is None or not 0 < port < 65536:
        remedy = "write user@host or user@host:port, separated by commas"
        raise errors.ConfigError(f"--hosts: `{login}` is no login", remedy=remedy)
    try:
        user = keys.CONNECTION["user"].parse(user) if user else None
    except ValueError as error:
        raise errors.ConfigError(f"--hosts: the user of `{login}` {error}", remedy="write user@host") from error
    address = found["v6"] or found["name"]
    name = re.sub(r"[^A-Za-z0-9.-]+", "-", address).strip("-") or "v6"
    return Host(name=name, address=address, port=port, user=user, **common)  # type: ignore[arg-type]  # str | None
