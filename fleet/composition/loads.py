"""What scripts load: script files, modules with their neighbours, data from elsewhere, files of the project by name."""

import hashlib
import posixpath

from justhtml import Element

from fleet import assets, model
from fleet.composition import markup, placeholders, project, refuse, scripts, speech
from fleet.composition.assets import REMOTE, Assets, absolute, is_remote

# Local copies of GSAP that a project did not check in stand for this release, as in HyperFrames.
GSAP = "https://cdn.jsdelivr.net/npm/gsap@3.15.0/dist/"
_TEXTS = frozenset({".json", ".js", ".mjs", ".svg", ".css", ".geojson", ".topojson", ".csv", ".gltf"})


def localise(files: Assets, page: project.Page) -> None:
    """Rewrites what the scripts of `page` load to paths in the bundle; notes the text of those to be pasted in."""
    for element in list(markup.walk(page.document, templates=True)):
        if element.name == "script":
            _script(files, element, page.path, f"{page.path}:{markup.line(element)}")


def _script(files: Assets, element: Element, page: str, where: str) -> None:
    src = (markup.get(element, "src") or "").strip()
    if not src:
        markup.set_text(element, _spoken(files, markup.text(element), where))
        return
    if not is_remote(src):
        src = _local(files, src, page, where)
    if not is_remote(src):
        element.attrs["src"] = src
    elif scripts.is_immediate(element):
        _immediate(files, element, src, where)
    else:
        element.attrs["src"] = _module(files, src, where)
    element.attrs.pop("integrity", None)


def _local(files: Assets, src: str, page: str, where: str) -> str:
    if "gsap" in src and "/dist/" in src and not _exists(files, src, page):
        return GSAP + posixpath.basename(project.split(src)[0])
    path = files.reference(src, page, where)
    plain = project.split(path)[0].lstrip("/")
    if plain in files.files and plain not in files.read:
        files.read.add(plain)
        written = project.read_text(files.files[plain], plain)
        source = placeholders.fill(written, files.source.placeholders)
        refuse.check_script(source, plain)
        files.findings += refuse.notes_of_script(source, plain)
        if (rewritten := _spoken(files, source, f"{plain}:1")) != written:
            files.add(plain, rewritten.encode())
    return path


def _exists(files: Assets, reference: str, page: str) -> bool:
    try:
        path = project.resolve(files.source, page, project.split(reference)[0])
    except project.OutsideProjectError:
        return False
    return files.source.file(path) is not None


def _immediate(files: Assets, element: Element, src: str, where: str) -> None:
    element.attrs["src"] = src
    try:
        files.scripts[src] = files.library.fetch(absolute(src)).read().decode("utf-8-sig")
    except assets.Unavailable as error:
        files.problems.append(f"{where}: {src}: {error}")
    except UnicodeDecodeError:
        files.problems.append(f"{where}: {src}: not UTF-8 text")


def _spoken(files: Assets, source: str, where: str) -> str:
    """Notes what a script says; the script, with the data and modules that it loads from elsewhere in the bundle."""
    files.spoken.append(source)
    name, _, line = where.rpartition(":")
    lines = dict(speech.addresses(source))

    def replace(url: str) -> str:
        at = f"{name}:{int(line) + lines[url] - 1}"
        try:
            return f"./{_loaded(files, url, at)}"
        except assets.Unavailable as error:
            files.findings.append(_unfetched(url, at, str(error)))
            return url

    return speech.with_addresses(source, replace)


def _unfetched(url: str, where: str, why: str) -> model.Finding:
    return model.Finding(
        severity=model.Severity.WARNING,
        code="remote-at-run-time",
        message=f"a script names {url}, which cannot be had: {why}; if it loads it, the render will fail",
        remedy="put the file into the project and name it by its path",
        where=where,
    )


def _module(files: Assets, url: str, where: str) -> str:
    try:
        return _loaded(files, url, where)
    except assets.Unavailable as error:
        files.problems.append(f"{where}: {url}: {error}")
        return url


def _loaded(files: Assets, url: str, where: str) -> str:
    """The path of a remote script or data file; the modules that it imports from beside it come along."""
    if speech.extension(url) not in speech.MODULES:
        return files.fetched(url)
    fetched = files.library.fetch(absolute(url))
    # One folder for one remote folder: a relative import finds its neighbour there.
    base = hashlib.sha256(posixpath.dirname(url).encode()).hexdigest()[:12]
    path = posixpath.join(REMOTE, base, assets.file_name(url))
    if path not in files.files:
        files.files[path] = fetched.file
        for specifier in speech.imports(fetched.read().decode("utf-8", errors="replace")):
            if specifier.startswith("./") and "/" not in specifier[2:]:
                _module(files, assets.join(absolute(url), specifier), where)
    return path


def add_mentioned(files: Assets, document: str) -> None:
    """Adds the files of the project that the document or its scripts may ask for by name."""
    paths = files.source.files()
    texts = [document, *files.spoken]
    while texts:
        found = {path for text in texts for path in speech.mentioned(text, paths)} - set(files.files)
        texts = []
        for path in sorted(found):
            if (file := files.source.file(path)) is not None:
                files.files[path] = file
                texts += [project.read_text(file, path)] if speech.extension(path) in _TEXTS else []
