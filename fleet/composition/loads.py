"""What scripts load: script files, and files of the project by name. What they import is the work of `modules`."""

import posixpath

from justhtml import Element

from fleet import assets
from fleet.composition import markup, modules, project, scripts, speech
from fleet.composition.assets import Assets, absolute, is_remote

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
        if not modules.is_map(element):
            markup.set_text(element, modules.spoken(files, markup.text(element), page, where))
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
    modules.local(files, project.split(path)[0].lstrip("/"))
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


def _module(files: Assets, url: str, where: str) -> str:
    try:
        return modules.remote(files, url, where)
    except assets.Unavailable as error:
        files.problems.append(f"{where}: {url}: {error}")
        return url


def add_mentioned(files: Assets, document: str) -> None:
    """Adds the files of the project that the document or its scripts may ask for by name."""
    paths = files.source.files()
    texts = [document, *files.spoken]
    while texts:
        found = {path for text in texts for path in speech.mentioned(text, paths)} - set(files.files)
        texts = []
        for path in sorted(found):
            if (file := files.source.file(path)) is not None:
                files.files[path] = file = files.filled(path, file)
                texts += [project.read_text(file, path)] if speech.extension(path) in _TEXTS else []
