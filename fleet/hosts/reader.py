"""The text of a hosts.toml to hosts: strict, all problems at once. Pure: no I/O; what exists is asked of a predicate.

Settings come from [defaults], then the host's groups in the order of the file, then the host itself; the last one wins,
except that `tags` add up and `env` and `limits` merge key by key.
"""

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from capture.protocol import Limits
from fleet import errors, toml
from fleet.hosts import keys
from fleet.model import Host

# A file in the wrong format could give one problem per line; more than a screen of them helps nobody.
PROBLEMS_SHOWN_MAX = 12
KNOWN_HOSTS = "hosts.known_hosts"

_SECRET = re.compile(r"pass(?!ive)|pasw|secret|token|credential", re.IGNORECASE)
# What people write who know ssh_config, Ansible or GNU parallel.
_SYNONYMS = {
    "hostname": "address", "host": "address", "ip": "address", "key": "identity", "keyfile": "identity",
    "identityfile": "identity", "ssh_key": "identity", "username": "user", "login": "user", "proxyjump": "jump",
    "proxy_jump": "jump", "bastion": "jump", "timeout": "connect_timeout", "browser": "chromium", "chrome": "chromium",
    "labels": "tags", "max_workers": "workers", "jobs": "workers", "slots": "workers", "cores": "workers",
    "directory": "workdir", "priority": "weight",
}  # fmt: skip
_ROOT = ("version", "defaults", "groups", "host", "jump")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with the file."""

    line: int
    message: str
    hint: str


@dataclass(slots=True)
class _Reader:
    document: toml.Document
    directory: str
    home: str
    exists: Callable[[str], bool]
    problems: list[Problem] = field(default_factory=list)

    def wrong(self, path: toml.Path, message: str, hint: str) -> None:
        self.problems.append(Problem(self.document.line(path), message, hint))

    def settings(self, path: toml.Path, plain: object, known: dict[str, keys.Key]) -> dict[str, Any]:
        """The values of one table, its inner tables and files included."""
        values = self.table(path, plain, known)
        if "limits" in values:
            values["limits"] = self.table((*path, "limits"), values["limits"], keys.LIMITS)
        if "env" in values:
            values["env"] = self.env((*path, "env"), values["env"])
        for name in values.keys() & {"identity", "known_hosts", "ssh_config"}:
            values[name] = self.file((*path, name), values[name], must_exist=name != "known_hosts")
        return values

    def table(self, path: toml.Path, plain: object, known: dict[str, keys.Key]) -> dict[str, Any]:
        if not isinstance(plain, dict):
            self.wrong(path, f"{self.place(path)} must be a table, not {keys.show(plain)}", "see hosts.example.toml")
            return {}
        values: dict[str, Any] = {}
        for name, item in plain.items():
            if name not in known:
                self.unknown(path, name, known)
                continue
            try:
                values[name] = known[name].parse(item)
            except ValueError as error:
                self.wrong(
                    (*path, name), f"`{name}` in {self.place(path)} {error}", f"for example: {known[name].example}"
                )
        return values

    def env(self, path: toml.Path, plain: dict[str, Any]) -> dict[str, str]:
        for name in plain:
            if not keys.ENV_NAME.fullmatch(name):
                message = f"{keys.show(name)} in {self.place(path)} is no name of an environment variable"
                self.wrong((*path, name), message, "letters, digits and underscores")
            elif _SECRET.search(name):
                message = f"`{name}` in {self.place(path)}: secrets do not belong in this file"
                self.wrong((*path, name), message, "a composition needs none; remove it")
        return self.table(path, plain, dict.fromkeys(plain, keys.ENV_VALUE))

    def file(self, path: toml.Path, value: str, *, must_exist: bool) -> str | None:
        if not value:
            return None
        name = resolve(value, base=self.directory, home=self.home)
        if must_exist and not self.exists(name):
            message = f"`{path[-1]}` in {self.place(path[:-1])}: no such file: {name}"
            self.wrong(path, message, f"mend the path, or remove `{path[-1]}`")
        return name

    def unknown(self, path: toml.Path, name: str, known: dict[str, keys.Key]) -> None:
        place = self.place(path)
        if _SECRET.search(name):
            hint = "log in with a key (`identity`, or ssh-agent); `fleetrender hosts setup` asks for a sudo password"
            self.wrong((*path, name), f"`{name}` in {place}: secrets do not belong in this file", hint)
        else:
            self.wrong((*path, name), f"unknown key `{name}` in {place}", _suggest_key(name, known))

    def reference(self, path: toml.Path, what: str, name: str, known: Iterable[str]) -> bool:
        known = tuple(known)
        if name not in known:
            hint = did_you_mean(name, known) or f"add [{what}.{name}], or mend the name"
            self.wrong(path, f"unknown {what.rstrip('s')} `{name}` in {self.place(path[:-1])}", hint)
        return name in known

    def place(self, path: toml.Path) -> str:
        """How a person would call the table at `path`: limits of [[host]] "r1"."""
        if path[0] == "host":
            name = self.document.values["host"][path[1]].get("name", f"number {int(path[1]) + 1}")
            depth, table = 2, f"[[host]] {keys.show(name)}"
        else:
            depth = 2 if path[0] in ("groups", "jump") else 1
            table = f"[{'.'.join(map(str, path[:depth]))}]"
        return " of ".join([*map(str, reversed(path[depth:])), table])

    def stop_if_wrong(self) -> None:
        if self.problems:
            raise _error(self.document.file, sorted(self.problems, key=lambda problem: problem.line))


@dataclass(frozen=True, slots=True)
class _Tables:
    """The file as values, every table by itself."""

    defaults: dict[str, Any]
    groups: dict[str, dict[str, Any]]
    jumps: dict[str, dict[str, Any]]
    hosts: tuple[dict[str, Any], ...]


def parse(text: str, *, file: str, directory: str, home: str, exists: Callable[[str], bool]) -> tuple[Host, ...]:
    """The hosts in `text`, which errors call `file`; `exists` says whether an absolute path is a file.

    ConfigError names file, line and key of everything that is wrong, with a suggestion for each.
    """
    reader = _Reader(toml.read(text, file=file), directory, home, exists)
    tables = _read(reader)
    _check_references(reader, tables)
    expanded = _expand(reader, tables)
    reader.stop_if_wrong()
    common = {
        "known_hosts": resolve(KNOWN_HOSTS, base=directory, home=home),
        "ssh_config": default_ssh_config(home, exists),
    }
    common |= {name: tables.defaults[name] for name in common if name in tables.defaults}
    return tuple(_host(each, values, tables, common) for each, values in expanded)


def resolve(path: str, *, base: str, home: str) -> str:
    """`path` made absolute: `~/` is `home`, anything relative is in `base`."""
    if path.startswith("~/"):
        return posixpath.join(home, path[2:])
    return posixpath.normpath(posixpath.join(base, path))


def default_ssh_config(home: str, exists: Callable[[str], bool]) -> str | None:
    """The user's own ssh_config, when there is one."""
    path = posixpath.join(home, ".ssh/config")
    return path if exists(path) else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A suggestion, or nothing when no known name is close."""
    folded = {each.casefold(): each for each in known}
    close = get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    return f"did you mean `{folded[close[0]]}`?" if close else ""


def _read(reader: _Reader) -> _Tables:
    root = reader.document.values
    for name in root.keys() - set(_ROOT):
        hint = did_you_mean(name, _ROOT) or _suggest_key(name, keys.DEFAULTS)
        reader.wrong((name,), f"unknown key `{name}` at the top of the file", hint)
    _check_version(reader, root)
    return _Tables(
        defaults=reader.settings(("defaults",), root.get("defaults", {}), keys.DEFAULTS),
        groups=_read_named(reader, "groups", keys.GROUP),
        jumps=_read_named(reader, "jump", keys.JUMP),
        hosts=_read_hosts(reader, root.get("host", [])),
    )


def _check_version(reader: _Reader, root: dict[str, Any]) -> None:
    if "version" not in root:
        reader.wrong((), "`version` is missing", "begin the file with: version = 1")
        return
    try:
        keys.VERSION.parse(root["version"])
    except ValueError as error:
        reader.wrong(("version",), f"`version` {error}", "this fleetrender reads version 1")


def _read_named(reader: _Reader, what: str, known: dict[str, keys.Key]) -> dict[str, dict[str, Any]]:
    tables = reader.document.values.get(what, {})
    if not isinstance(tables, dict) or not all(isinstance(each, dict) for each in tables.values()):
        reader.wrong((what,), f"`{what}` must hold tables", f"write them as [{what}.NAME]")
        return {}
    for name in tables:
        if not re.fullmatch(keys.NAME, name):
            reader.wrong((what, name), f"[{what}.{name}] is no usable name", "letters, digits, dots and dashes")
    return {name: reader.settings((what, name), plain, known) for name, plain in tables.items()}


def _read_hosts(reader: _Reader, plain: object) -> tuple[dict[str, Any], ...]:
    if not isinstance(plain, list) or not all(isinstance(each, dict) for each in plain):
        reader.wrong(("host",), "hosts must be written [[host]]", 'for example: [[host]], then name = "studio-1"')
        return ()
    if not plain:
        reader.wrong((), "no host is named", 'add one: [[host]], then name = "studio-1"')
    for index, each in enumerate(plain):
        if "name" not in each:
            reader.wrong(("host", index), "`name` is missing in [[host]]", 'for example: name = "studio-1"')
    return tuple(reader.settings(("host", index), each, keys.HOST) for index, each in enumerate(plain))


def _check_references(reader: _Reader, tables: _Tables) -> None:
    places: list[tuple[toml.Path, dict[str, Any]]] = [(("defaults",), tables.defaults)]
    places += [(("groups", name), values) for name, values in tables.groups.items()]
    places += [(("jump", name), values) for name, values in tables.jumps.items()]
    places += [(("host", index), values) for index, values in enumerate(tables.hosts)]
    for path, values in places:
        for group in values.get("groups", ()):
            reader.reference((*path, "groups"), "groups", group, tables.groups)
        if values.get("jump"):
            reader.reference((*path, "jump"), "jump", values["jump"], tables.jumps)
    for name, values in tables.groups.items():
        if name in _reach(values.get("groups", ()), lambda each: tables.groups.get(each, {}).get("groups", ())):
            message = f"group `{name}` includes itself through its `groups`"
            reader.wrong(("groups", name, "groups"), message, "remove one of them")
    for name, values in tables.jumps.items():
        if name in _reach((values.get("jump"),), lambda each: (tables.jumps.get(each, {}).get("jump"),)):
            reader.wrong(("jump", name, "jump"), f"jump host `{name}` jumps through itself", "remove one `jump`")


def _reach(start: Iterable[Any], following: Callable[[str], Iterable[Any]]) -> set[str]:
    reached: set[str] = set()
    ahead = [name for name in start if name]
    while ahead:
        name = ahead.pop()
        if name not in reached:
            reached.add(name)
            ahead += [each for each in following(name) if each]
    return reached


def _expand(reader: _Reader, tables: _Tables) -> list[tuple[keys.Expanded, dict[str, Any]]]:
    hosts: list[tuple[keys.Expanded, dict[str, Any]]] = []
    lines = {name.casefold(): reader.document.line(("jump", name)) for name in tables.jumps}
    for index, values in enumerate(tables.hosts):
        path: toml.Path = ("host", index, "name")
        for each in values.get("name", ()):
            first = lines.setdefault(each.name.casefold(), reader.document.line(path))
            if first != reader.document.line(path):
                reader.wrong(path, f'the name "{each.name}" is taken on line {first}', "names must be unique")
                break
        try:
            hosts += [
                (each, values | {"address": keys.address_of(values.get("address", each.name), each)})
                for each in values.get("name", ())
            ]
        except ValueError as error:
            hint = 'for example: name = "r[01:08]" with address = "10.0.0.{n+10}"'
            reader.wrong(("host", index, "address"), f"`address` {error}", hint)
    return hosts


def _host(each: keys.Expanded, values: dict[str, Any], tables: _Tables, common: dict[str, Any]) -> Host:
    joined = _reach(values.get("groups", ()), lambda name: tables.groups[name].get("groups", ()))
    groups = tuple(name for name in tables.groups if name in joined)  # file order decides precedence
    merged = _merge((tables.defaults, *(tables.groups[name] for name in groups), values))
    jump = merged.pop("jump", "")
    host = {
        "name": each.name,
        "groups": groups,
        "jump": _jump(jump, tables, common) if jump else None,
        "env": tuple(merged.pop("env", {}).items()),
        **_limits(merged.pop("limits", {})),
    }
    return Host(**dict(_renamed(merged)) | host | common)


def _jump(name: str, tables: _Tables, common: dict[str, Any]) -> Host:
    defaults = {key: value for key, value in tables.defaults.items() if key in keys.CONNECTION and key != "jump"}
    merged = defaults | tables.jumps[name]
    onward = merged.pop("jump", "")
    address = merged.pop("address", name)
    jump = _jump(onward, tables, common) if onward else None
    return Host(**dict(_renamed(merged)) | {"name": name, "address": address, "jump": jump} | common)


def _merge(layers: Iterable[dict[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            if name == "tags":
                merged[name] = tuple(dict.fromkeys((*merged.get(name, ()), *value)))
            elif isinstance(value, dict):
                merged[name] = merged.get(name, {}) | value
            else:
                merged[name] = value
    return merged


def _renamed(values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if name == "keepalive":
            yield from zip(("keepalive_s", "keepalive_count"), value, strict=True)
        elif name == "connect_timeout":
            yield "connect_timeout_s", value
        else:
            yield name, value


def _limits(values: dict[str, Any]) -> dict[str, Any]:
    limits = Limits(
        workers=values.get("workers"),
        memory_bytes=values.get("memory"),
        disk_bytes=values.get("disk"),
        nice=values.get("nice", 0),
    )
    return {"limits": limits, "bwlimit_bytes": values.get("bwlimit")}


def _suggest_key(name: str, known: dict[str, keys.Key]) -> str:
    meant = _SYNONYMS.get(name.casefold(), name)
    if meant in known:
        return f"did you mean `{meant}`?"
    if meant in keys.LIMITS:
        return f"it belongs in `limits`: limits = {{ {keys.LIMITS[meant].example} }}"
    if meant in keys.DEFAULTS:
        return f"`{meant}` belongs in [defaults]: it is one for the whole file"
    if meant in keys.HOST:
        return f"`{meant}` belongs in a [[host]]"
    return did_you_mean(name, known) or f"known keys: {', '.join(known)}"


def _error(file: str, problems: list[Problem]) -> errors.ConfigError:
    if len(problems) == 1:
        (only,) = problems
        return errors.ConfigError(f"{file}:{only.line}: {only.message}", remedy=only.hint)
    rows = [f"  {file}:{each.line}: {each.message}\n      {each.hint}" for each in problems[:PROBLEMS_SHOWN_MAX]]
    if len(problems) > PROBLEMS_SHOWN_MAX:
        rows.append(f"  and {len(problems) - PROBLEMS_SHOWN_MAX} more")
    head = f"{file} has {len(problems)} problems"
    return errors.ConfigError("\n".join([head, *rows]), remedy="mend these lines; hosts.example.toml shows every key")
