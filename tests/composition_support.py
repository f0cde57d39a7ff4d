"""Projects on disk for the tests of the composition reader, and the compiled tree to look at."""

import dataclasses
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from justhtml import Document, Element

from fleet import composition, model
from fleet.composition import markup

# Kept between runs: what npm answered once need not be asked again.
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "fleetrender-tests"
# The system's own; None lets Playwright use the one it installed.
CHROMIUM = shutil.which("chromium-headless-shell")
ROOT = '<div id="root" data-composition-id="main" data-width="640" data-height="360" data-duration="2">'


def page(body: str = "", *, head: str = "", root: str = ROOT) -> str:
    """A whole page around the inside of its root."""
    return f"<!doctype html><html><head>{head}</head><body>{root}{body}</div></body></html>"


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """A project directory with these files."""
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def read(
    folder: Path, files: Mapping[str, str | bytes], *, entry: str = "", variables: Mapping[str, Any] | None = None
) -> model.Composition:
    """The composition made of these files, with an empty cache and no network; nothing is said of absent fonts."""
    write(folder / "project", files)
    compiled = composition.read(
        folder / "project" / entry,
        variables=variables or {},
        cache=folder / "cache",
        offline=True,
        substitute_fonts=True,
    )
    kept = [finding for finding in compiled.findings if finding.code not in {"font-unresolved", "character-undrawn"}]
    return dataclasses.replace(compiled, findings=tuple(kept))


def tree(compiled: model.Composition) -> Document:
    """The compiled document, parsed again as a browser would."""
    return markup.parse(compiled.document)


def by_id(document: Document, identity: str) -> Element:
    """The one element with this id."""
    (element,) = [e for e in markup.walk(document) if e.attrs.get("id") == identity]
    return element


def paths(compiled: model.Composition) -> list[str]:
    """Paths of the assets."""
    return [asset.path for asset in compiled.assets]


def npm_answers() -> bool:
    """Whether packages can be had."""
    command = ["npm", "view", "gsap@3.14.2", "version", "--fetch-retries=0", "--fetch-timeout=10000"]
    try:
        return subprocess.run(command, capture_output=True, timeout=30).returncode == 0
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False


NEEDS_NPM = pytest.mark.skipif(not npm_answers(), reason="the npm client or its registry is out of reach")
