"""What scripts import: modules from elsewhere and of the project, with all that they import, and import maps.

An import of a file that can be had is rewritten to the path of that file in the bundle; a bare name is left to the
page's import map, which is given an entry for each name that it resolves by a prefix.
"""

import contextlib
import dataclasses
import hashlib
import json
import posixpath
from typing import Any

from justhtml import Document, Element

from fleet import assets, esm, model, npm
from fleet.composition import markup, placeholders, project, refuse, speech
from fleet.composition.assets import REMOTE, Assets, absolute, is_remote

_MAP_TYPE = "importmap"


def is_map(element: Element) -> bool:
    """Whether a script element is an import map."""
    return (markup.get(element, "type") or "").strip().lower() == _MAP_TYPE


def spoken(files: Assets, source: str, base: str, where: str) -> str:
    """Notes what a script says; the script, with the data and modules that it loads in the bundle.

    `base` is the address or project path of the file that it stands in, `where` its file and line.
    """
    files.spoken.append(source)
    name, _, line = where.rpartition(":")
    lines = dict(speech.addresses(source))

    def replace(url: str) -> str:
        return _wanted(files, url, f"{name}:{int(line) + lines[url] - 1}")

    return speech.with_addresses(_with_imports(files, source, base, where), replace)


def _wanted(files: Assets, url: str, where: str) -> str:
    """The path of what may be loaded from `url`; what cannot be had is said, and stays as it is."""
    try:
        return f"/{remote(files, url, where)}"
    except assets.Unavailable as error:
        files.findings.append(_unfetched(url, where, str(error)))
        return url


def _unfetched(url: str, where: str, why: str) -> model.Finding:
    return model.Finding(
        severity=model.Severity.WARNING,
        code="remote-at-run-time",
        message=f"a script names {url}, which cannot be had: {why}; if it loads it, the render will fail",
        remedy="put the file into the project and name it by its path",
        where=where,
    )


def remote(files: Assets, url: str, where: str) -> str:
    """The path of a remote script or data file, its imports brought along; Unavailable when there is none."""
    kind = speech.extension(url)
    if kind not in speech.MODULES and kind in speech.DATA:
        return files.fetched(url)
    address, fetched = _fetched(files, absolute(url))
    name = assets.file_name(address)
    name = name if speech.extension(address) in speech.MODULES else f"{name}.js"  # hosts tell a script by its name
    path = posixpath.join(REMOTE, hashlib.sha256(address.encode()).hexdigest()[:12], name)
    if path not in files.files:
        files.files[path] = fetched.file
        source = fetched.read().decode("utf-8", errors="replace")
        if (rewritten := _with_imports(files, source, address, where)) != source:
            files.add(path, rewritten.encode())
    return path


def _fetched(files: Assets, address: str) -> tuple[str, assets.Fetched]:
    """A module and the address by which it is known, its package's own file when its CDN cannot be reached."""
    try:
        return address, files.library.fetch(address)
    except assets.Unavailable as direct:
        package = esm.package_of(address)
        if package is None:
            raise
        for path in esm.candidates(_manifest(files, package), package.path):
            file = dataclasses.replace(package, path=path)
            with contextlib.suppress(assets.Unavailable):
                return esm.address(file), files.library.package_file(file)
        raise assets.Unavailable(f"{direct}; npm package {package.name} has no such ES module") from direct


def _manifest(files: Assets, package: npm.File) -> dict[str, Any]:
    written = files.library.package_file(dataclasses.replace(package, path="package.json")).read()
    try:
        said = json.loads(written)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def local(files: Assets, path: str) -> None:
    """Reads a script of the project once, with all that it says and imports."""
    if path in files.read or path not in files.files:
        return
    files.read.add(path)
    written = project.read_text(files.files[path], path)
    source = placeholders.fill(written, files.source.placeholders)
    refuse.check_script(source, path)
    files.findings += refuse.notes_of_script(source, path)
    if (rewritten := spoken(files, source, path, f"{path}:1")) != written:
        files.add(path, rewritten.encode())


def _with_imports(files: Assets, source: str, base: str, where: str) -> str:
    return speech.with_imports(source, lambda specifier: _imported(files, specifier, base, where))


def _imported(files: Assets, specifier: str, base: str, where: str) -> str:
    if is_remote(specifier):
        return _wanted(files, specifier, where)
    if specifier.startswith(("./", "../", "/")):
        if not is_remote(base):
            return _beside(files, specifier, base)
        return _wanted(files, assets.join(base, specifier), where)
    if project.has_scheme(specifier):
        return specifier
    if (package := esm.package_of(base)) is not None:
        return _wanted(files, esm.dependency(specifier, package, _manifest(files, package)), where)
    files.bare.setdefault(specifier, where)
    return specifier


def _beside(files: Assets, specifier: str, base: str) -> str:
    """A module of the project that one of its files imports; a name that is no file stays as it is."""
    written, suffix = project.split(specifier)
    try:
        path = project.resolve(files.source, base, written)
        file = files.source.file(path)
    except project.OutsideProjectError:
        return specifier
    if file is None:
        return specifier
    files.files.setdefault(path, file)
    if speech.extension(path) in speech.MODULES:
        local(files, path)
    return f"/{assets.quoted(path)}{suffix}"


def complete_maps(files: Assets, document: Document, page: str) -> None:
    """Makes every import map of the document lead into the bundle, for the names that scripts import."""
    for element in [e for e in markup.walk(document, templates=True) if e.name == "script" and is_map(e)]:
        try:
            said = json.loads(markup.text(element))
        except ValueError:
            continue  # a browser says so, and imports nothing by it
        if not isinstance(said, dict):
            continue
        where = f"{page}:{markup.line(element)}"
        tables = [said.get("imports"), *_values(said.get("scopes"))]
        for table in tables:
            if isinstance(table, dict):
                _complete(files, table, page, where)
        markup.set_text(element, json.dumps(said).replace("</", "<\\/"))


def _values(said: Any) -> list[Any]:
    return list(said.values()) if isinstance(said, dict) else []


def _complete(files: Assets, table: dict[str, Any], page: str, where: str) -> None:
    for name, address in list(table.items()):
        if isinstance(address, str) and not name.endswith("/"):
            table[name] = _imported(files, address, page, where)
    # Modules that come by one name may ask for another.
    while names := [name for name in files.bare if name not in table and _prefix(table, name)]:
        for name in names:
            prefix = _prefix(table, name)
            address = table[prefix] + name[len(prefix) :]
            table[name] = _imported(files, address, page, files.bare[name])


def _prefix(table: dict[str, Any], name: str) -> str:
    """The longest entry that ends with a slash and begins the name; empty when there is none."""
    fitting = [key for key in table if key.endswith("/") and name.startswith(key) and isinstance(table[key], str)]
    return max(fitting, key=len, default="")
