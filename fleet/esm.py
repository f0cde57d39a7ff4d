"""ES modules of npm packages: what addresses of CDNs that make them stand for, as files of packages. Pure: no I/O.

Such a CDN compiles what it serves. A package that ships ES modules needs none of that; one without has no stand-in.
"""

import posixpath
import re
import urllib.parse
from collections.abc import Mapping
from typing import Any

from fleet import npm

_ORIGIN = "https://esm.sh/"
_HOSTS = frozenset({"esm.sh", "esm.run", "cdn.skypack.dev"})
_JSDELIVR = "cdn.jsdelivr.net"
_MARK = "+esm"
_BUILD = re.compile(r"^(?:v\d+|stable)/")  # releases of the compiler in older addresses
# In the order in which a bundler for browsers takes them.
_CONDITIONS = ("browser", "import", "module", "default")
_PLAIN_RANGE = re.compile(r"[\^~]?\d[\w.+-]*")
_DEPENDENCIES = ("dependencies", "peerDependencies", "optionalDependencies")


def package_of(url: str) -> npm.File | None:
    """The package, and the name of the module inside it as importers write it, that a CDN address stands for."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return None
    path = urllib.parse.unquote(parts.path).strip("/")
    if parts.netloc == _JSDELIVR and path.startswith("npm/") and path.endswith(f"/{_MARK}"):
        return npm.file_at(path.removeprefix("npm/").removesuffix(_MARK).rstrip("/"))
    if parts.netloc in _HOSTS:
        return npm.file_at(_BUILD.sub("", path).removeprefix("*"))
    return None


def address(package: npm.File) -> str:
    """The one address of a file of a package, whichever address it was asked for by."""
    return f"{_ORIGIN}{package.name}@{package.version}/{package.path}"


def dependency(specifier: str, package: npm.File, manifest: Mapping[str, Any]) -> str:
    """The address of what a module of `package` imports by a bare name."""
    pieces = specifier.split("/")
    count = 2 if specifier.startswith("@") else 1
    name, rest = "/".join(pieces[:count]), pieces[count:]
    version = package.version if name == package.name else _version(name, manifest)
    return _ORIGIN + "/".join([f"{name}@{version}", *rest])


def _version(name: str, manifest: Mapping[str, Any]) -> str:
    tables = [table for key in _DEPENDENCIES if isinstance(table := manifest.get(key), dict)]
    wanted = next((str(table[name]) for table in tables if name in table), "")
    # Of `1 - 2` or `3 || 4` the newest; anything cleverer means what is newest of all.
    plain = [one for one in wanted.replace("||", " ").split() if _PLAIN_RANGE.fullmatch(one)]
    return plain[-1] if plain else "latest"


def candidates(manifest: Mapping[str, Any], module: str) -> list[str]:
    """Paths in the package that may hold its module of that name, likeliest first; none when it has no ES modules."""
    key = f"./{module}" if module else "."
    exported = _exported(manifest.get("exports"), key)
    if module:
        found = [exported, module, f"{module}.js", f"{module}.mjs", f"{module}/index.js"]
    else:
        found = [exported, manifest.get("module"), manifest.get("jsnext:main")]
        found += [manifest.get("main", "index.js")] if manifest.get("type") == "module" else []
    return list(dict.fromkeys(posixpath.normpath(one) for one in found if isinstance(one, str) and one))


def _exported(exports: Any, key: str) -> str | None:
    if not isinstance(exports, dict) or not any(name.startswith(".") for name in exports):
        return _chosen(exports) if key == "." else None
    if key in exports:
        return _chosen(exports[key])
    for pattern, target in exports.items():
        before, star, after = pattern.partition("*")
        if star and key.startswith(before) and key.endswith(after) and (chosen := _chosen(target)):
            return chosen.replace("*", key[len(before) : len(key) - len(after)])
    return None


def _chosen(target: Any) -> str | None:
    """The file that a browser's import is meant to get."""
    if isinstance(target, list):
        return next(filter(None, map(_chosen, target)), None)
    if isinstance(target, dict):
        return next(filter(None, (_chosen(target[name]) for name in _CONDITIONS if name in target)), None)
    return target if isinstance(target, str) else None
