"""Every key of hosts.toml: how its value is read, an example, and what it does. Pure: no I/O.

Help texts, error hints and the documentation are made from these rows; a new key is one row here and its line in
hosts.example.toml.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fleet.model import Gl

# Host names become file names, ssh aliases and columns of an 80-column table.
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
ADDRESS = r"[A-Za-z0-9:][A-Za-z0-9._:%-]{0,252}"
# A range is typed by a person; a thousand hosts of one kind is past what one coordinator feeds.
RANGE_HOSTS_MAX = 1000

_RANGE = re.compile(r"\[([0-9]{1,9}):([0-9]{1,9})\]")
_PLACEHOLDER = re.compile(r"\{(?:name|n(?P<offset>[+-][0-9]{1,9})?)\}")
_SIZE = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?) ?(?P<prefix>[KMGT]?)(?P<unit>i?B)?")
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
_KEEPALIVE = re.compile(r"(?P<seconds>[0-9]{1,3}(?:\.[0-9]+)?)s ?x ?(?P<count>[0-9]{1,3})")


@dataclass(frozen=True, slots=True)
class Key:
    """One key: `parse` returns the value or raises ValueError with a sentence that begins "must"."""

    parse: Callable[[object], Any]
    example: str
    does: str


@dataclass(frozen=True, slots=True)
class Expanded:
    """One host of a range: `number` is what `{n}` means, None when the name is no range."""

    name: str
    number: int | None = None


def expand(name: str) -> tuple[Expanded, ...]:
    """`r[01:03]` as r01, r02 and r03, both ends included; a name without a range as itself."""
    found = _RANGE.search(name)
    if found is None:
        _check_name(name, name)
        return (Expanded(name),)
    first, last = int(found[1]), int(found[2])
    if not first <= last < first + RANGE_HOSTS_MAX:
        raise ValueError(f"must count upwards over at most {RANGE_HOSTS_MAX} hosts, not {found[0]}")
    width = len(found[1]) if found[1].startswith("0") else 0
    hosts = tuple(
        Expanded(f"{name[: found.start()]}{number:0{width}d}{name[found.end() :]}", number)
        for number in range(first, last + 1)
    )
    _check_name(hosts[0].name, name)
    return hosts


def address_of(template: str, host: Expanded) -> str:
    """`template` with `{n}`, `{n+10}` and `{name}` filled in for `host`; ValueError without a number for `{n}`."""

    def fill(found: re.Match[str]) -> str:
        if found[0] == "{name}":
            return host.name
        if host.number is None:
            raise ValueError(f'uses {found[0]}, but the name "{host.name}" is no range')
        return str(host.number + int(found["offset"] or 0))

    return _PLACEHOLDER.sub(fill, template)


def size(value: object) -> int:
    """Bytes in "8G" or "20MB": K, M, G, T and KiB count by 1024, KB and MB by 1000, as rsync has it."""
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if found is None or not float(found["number"]):
        raise ValueError(f'must be a size such as "8G" or "500MB", not {show(value)}')
    base = 1000 if found["unit"] == "B" else 1024
    return int(float(found["number"]) * base ** _POWERS[found["prefix"]])


def age(value: str) -> float:
    """Seconds in "90m", "24h" or "7d"."""
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)([smhd])", value)
    if found is None:
        raise ValueError(f'an age is written like "24h" or "7d", not {show(value)}')
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]]


def rate(value: object) -> int:
    """Bytes per second in "20MB/s"."""
    if not isinstance(value, str) or not value.endswith("/s"):
        raise ValueError(f'must be a rate such as "20MB/s", not {show(value)}')
    return size(value.removesuffix("/s"))


def keepalive(value: object) -> tuple[float, int]:
    """Seconds between two signs of life, and how many may be missed, in "5s x 3"."""
    found = _KEEPALIVE.fullmatch(value) if isinstance(value, str) else None
    if found is None or not float(found["seconds"]) or not int(found["count"]):
        raise ValueError(f'must be written like "5s x 3", not {show(value)}')
    return float(found["seconds"]), int(found["count"])


def show(value: object) -> str:
    """`value` as its author would write it, cut to a readable length."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    shown = json.dumps(value) if isinstance(value, str | int | float | bool) else str(value)
    return shown if len(shown) <= 40 else shown[:37] + "..."


def _check_name(name: str, written: str) -> None:
    if not re.fullmatch(NAME, name):
        raise ValueError(f"must be letters, digits, dots, dashes and underscores, not {show(written)}")


def _names(value: object) -> tuple[Expanded, ...]:
    if not isinstance(value, str):
        raise ValueError(f"must be a string, not {show(value)}")  # noqa: TRY004  # one error type for every parser
    return expand(value)


def _text(what: str, pattern: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ValueError(f"must be {what}, not {show(value)}")
        return value

    return parse


def _texts(what: str, pattern: str) -> Callable[[object], tuple[str, ...]]:
    def parse(value: object) -> tuple[str, ...]:
        if not isinstance(value, list):
            raise ValueError(f"must be a list of {what}, not {show(value)}")  # noqa: TRY004  # as above
        for item in value:
            if not isinstance(item, str) or not re.fullmatch(pattern, item):
                raise ValueError(f"must be a list of {what}, but holds {show(item)}")
        return tuple(value)

    return parse


def _number(low: float, high: float) -> Callable[[object], float]:
    def parse(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ValueError(f"must be a number from {low:g} to {high:g}, not {show(value)}")
        return float(value)

    return parse


def _integer(low: int, high: int) -> Callable[[object], int]:
    def parse(value: object) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"must be an integer from {low} to {high}, not {show(value)}")
        return value

    return parse


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {show(value)}")  # noqa: TRY004  # as above
    return value


def _transport(value: object) -> str:
    if value not in ("ssh", "local"):
        raise ValueError(f'must be "ssh" or "local", not {show(value)}')
    return str(value)


def _gl(value: object) -> Gl:
    try:
        return Gl(value)
    except ValueError:
        raise ValueError(f'must be "auto", "swiftshader" or "gpu", not {show(value)}') from None


_plain_address = _text("a name or an address", ADDRESS)
_template = _text("a name or an address", r"[A-Za-z0-9{:][A-Za-z0-9._:%{}+-]{0,252}")


def _address(value: object) -> str:
    template = _template(value)
    if re.search(r"[{}]", _PLACEHOLDER.sub("", template)):
        raise ValueError(f"must use only {{n}}, {{n+1}} or {{name}} in braces, not {show(value)}")
    return template


def _table(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"must be a table, not {show(value)}")  # noqa: TRY004  # as above
    return value


# Neither a leading dash, which would be read as an option, nor control characters, which no path of ours needs.
_file = _text("a path", r"(?:~/)?[^-~\x00-\x1f\x7f][^\x00-\x1f\x7f]*")
_remote_file = _text("a path", r"[^-~\x00-\x1f\x7f][^\x00-\x1f\x7f]*")
# The login shell of the host reads these words, whichever shell that is: nothing that any of them would take apart.
_command = _text("a command or path without blanks or quotes", r"[A-Za-z0-9_./+][A-Za-z0-9_./+-]*")
_labels = _texts("names", NAME)

VERSION = Key(_integer(1, 1), "version = 1", "format of this file")
ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
ENV_VALUE = Key(_text("one line of text", r"[^\x00-\x1f\x7f]*"), 'LANG = "C.UTF-8"', "one environment variable")

LIMITS: dict[str, Key] = {
    "workers": Key(_integer(1, 1024), "workers = 4", "never more browsers than this; default: as many as it can feed"),
    "memory": Key(size, 'memory = "8G"', "memory that all workers together may use"),
    "disk": Key(size, 'disk = "20G"', "disk that unfetched frames and bundles may use"),
    "nice": Key(_integer(0, 19), "nice = 10", "19 gives way to everything else on the host"),
    "bwlimit": Key(rate, 'bwlimit = "20MB/s"', "rate of each transfer to or from the host"),
}

# How to reach a machine; also the keys of a jump host.
CONNECTION: dict[str, Key] = {
    "user": Key(_text("a user name", r"[A-Za-z0-9_][A-Za-z0-9._@\\$-]{0,63}"), 'user = "render"', "who logs in"),
    "port": Key(_integer(1, 65535), "port = 22", "where sshd listens"),
    "identity": Key(_file, 'identity = "~/.ssh/id_ed25519"', "private key file; default: ssh-agent and ~/.ssh"),
    "jump": Key(_text("the name of a [jump.NAME], or empty", NAME + "|"), 'jump = "bastion"', "log in through it"),
    "connect_timeout": Key(_number(1, 300), "connect_timeout = 10", "seconds for connection and login"),
    "keepalive": Key(keepalive, 'keepalive = "5s x 3"', "sign of life every 5 s; lost when 3 are missed"),
}

SETTINGS: dict[str, Key] = CONNECTION | {
    "transport": Key(_transport, 'transport = "ssh"', '"local" is this machine itself, without SSH'),
    "tags": Key(_labels, 'tags = ["rack-a"]', "labels for --limit; those of groups and defaults are kept"),
    "python": Key(_command, 'python = "python3"', "Python 3.11 or newer on the host"),
    "chromium": Key(_remote_file, 'chromium = "/usr/bin/chromium"', "browser on the host; default: searched for"),
    "chromium_args": Key(
        _texts("flags", r"--[^\x00-\x1f\x7f]+"), 'chromium_args = ["--disable-dev-shm-usage"]', "extra flags"
    ),
    "sandbox": Key(_flag, "sandbox = true", "false only for hosts where Chromium's sandbox cannot work"),
    "gl": Key(_gl, 'gl = "auto"', '"gpu" where there is one, if it draws the same faster; "swiftshader" never changes'),
    "rsync": Key(_command, 'rsync = "rsync"', "rsync on the host"),
    "workdir": Key(_file, 'workdir = "~/.cache/fleetrender"', "where the host keeps bundles and frames"),
    "env": Key(_table, 'env = { LANG = "C.UTF-8" }', "environment of the host's workers; merged key by key"),
    "weight": Key(_number(0.01, 100), "weight = 1.5", "share of the frames before the host's speed is known"),
    "limits": Key(_table, "limits = { workers = 4 }", "what the host's owner lets us use; merged key by key"),
}

_GROUPS = Key(_labels, 'groups = ["studio"]', "take the settings of [groups.studio]; --limit knows them too")

DEFAULTS: dict[str, Key] = SETTINGS | {
    "known_hosts": Key(_file, 'known_hosts = "hosts.known_hosts"', "host keys we accept; relative to this file"),
    "ssh_config": Key(
        _text("a path, or empty for none", r"|(?:~/)?[^-~\x00-\x1f\x7f][^\x00-\x1f\x7f]*"),
        'ssh_config = "~/.ssh/config"',
        'read for aliases; "" ignores it',
    ),
}
GROUP: dict[str, Key] = SETTINGS | {"groups": _GROUPS}
HOST: dict[str, Key] = GROUP | {
    "name": Key(_names, 'name = "r[01:08]"', "unique; a range makes one host per number"),
    "address": Key(_address, 'address = "10.0.0.{n+10}"', "default: the name"),
}
JUMP: dict[str, Key] = CONNECTION | {
    "address": Key(_plain_address, 'address = "bastion.example.net"', "default: the name"),
}
