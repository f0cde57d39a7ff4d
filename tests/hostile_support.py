"""A coordinator in this process with hosts whose agents lie, and what is to be looked at afterwards."""

import contextlib
import dataclasses
import io
import json
import os
import re
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import media_support as media
import pytest
from rich.console import Console

from fleet import agentzip, events, model, progress, render, request, terminal
from fleet.errors import FleetError

PACKAGE = "hostile_agent_package"
SIZE = (64, 48)
FRAMES = 30
COMPOSITION = f"""<!doctype html><html><head><meta charset="utf-8"></head><body>
<div data-composition-id="m" data-width="{SIZE[0]}" data-height="{SIZE[1]}" data-start="0" data-duration="{{}}"></div>
</body></html>"""


@contextlib.contextmanager
def agent(directory: Path) -> Iterator[agentzip.AgentZip]:
    """The agent that lies, as a zip."""
    package = directory / "sources" / PACKAGE
    package.mkdir(parents=True)
    (still,) = media.make_stills(directory, 1, size=f"{SIZE[0]}x{SIZE[1]}", suffix="jpg")
    (package / "__init__.py").write_text("")
    (package / "picture.py").write_text(f"DATA = {still.read_bytes()!r}\n")
    (package / "__main__.py").write_bytes(Path(__file__).with_name("hostile_agent.py").read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(directory / "sources"))
        yield agentzip.build(directory / "built", PACKAGE)


def composition(directory: Path, seconds: int = 1) -> Path:
    """A composition that needs no measuring."""
    directory.mkdir()
    (directory / "index.html").write_text(COMPOSITION.format(seconds))
    return directory


def local(directory: Path, name: str, case: str = "") -> model.Host:
    """A host that is this machine, with a workspace of its own."""
    return model.Host(name=name, transport="local", workdir=str(directory / "hosts" / name), env=own(case))


def own(case: str) -> tuple[tuple[str, str], ...]:
    return (("FLEET_HOSTILE", case),)


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a run ended, and all that it said."""

    error: BaseException | None
    report: dict[str, Any]
    run: Path
    shown: str  # on terminals
    wall_s: float

    def texts(self) -> Iterator[tuple[str, str]]:
        """Every text that the run has left or shown, JSON taken apart as a reader of it would."""
        yield "screens", self.shown
        yield "error", f"{self.error}\n{getattr(self.error, 'remedy', '')}"
        for file in sorted(self.run.rglob("*")):
            if file.suffix in (".jsonl", ".json", ".log", ".html"):
                text = file.read_text(encoding="utf-8")
                yield file.name, text
                if file.suffix.startswith(".json"):
                    lines = text.splitlines() if file.suffix == ".jsonl" else [text]
                    for number, line in enumerate(lines):
                        for inner in strings(json.loads(line)):
                            yield f"{file.name}:{number}", inner


def strings(plain: Any) -> Iterator[str]:
    if isinstance(plain, str):
        yield plain
    elif isinstance(plain, dict):
        for name, value in plain.items():
            yield from strings(name)
            yield from strings(value)
    elif isinstance(plain, list):
        for value in plain:
            yield from strings(value)


def unfit(text: str) -> list[str]:
    """The characters in `text` that a terminal would act on."""
    return sorted({repr(char) for char in text if char != "\n" and unicodedata.category(char) in ("Cc", "Cf", "Cs")})


# Rich draws its own table in colours; these sequences are its, everything else is somebody's.
OWN_ESCAPES = re.compile(r"\x1b\[[0-9;]*[mAK]|\x1b\[2K|\x1b\[\?25[lh]|\r")


async def render_with(
    directory: Path,
    prepared: render.Prepared,
    agent: agentzip.AgentZip,
    hosts: Sequence[model.Host],
    *,
    heard: Callable[[events.Event], None] = lambda _: None,
    keep: bool = True,
    **changes: Any,
) -> Ended:
    """One render into `directory`; $FLEETRENDER_STATE is one for all renders of a test."""
    asked = request.Request(
        composition=directory / "c",
        output=directory / f"{hosts[0].name}.mp4",
        hosts=tuple(hosts),
        keep=keep,
        chunk_frames=1 if len(hosts) > 1 else None,
        **changes,
    )
    plain, coloured = io.StringIO(), io.StringIO()
    names = tuple(host.name for host in hosts)
    screens: list[progress.Screen] = [
        progress.PlainScreen(plain, names),
        terminal.RichScreen(Console(file=coloured, force_terminal=True, width=200, height=100), names),
    ]
    error: BaseException | None = None
    runs: list[str] = []
    began_s = time.monotonic()

    def read(record: events.Record) -> None:
        if isinstance(record.event, events.RunStarted):
            runs.append(record.event.run)
        heard(record.event)
        for screen in screens:
            screen.handle(record)

    try:
        await render.run(asked, dataclasses.replace(prepared, agent=agent), [read])
    except FleetError as caught:
        error = caught
    screens[1].tick()
    for screen in screens:
        screen.close()
    run = Path(os.environ["FLEETRENDER_STATE"], "runs", runs[0])
    return Ended(
        error=error,
        report=json.loads((run / "report.json").read_text()),
        run=run,
        shown=plain.getvalue() + OWN_ESCAPES.sub("", coloured.getvalue()),
        wall_s=time.monotonic() - began_s,
    )


def tree(directory: Path) -> dict[str, tuple[int, int]]:
    """Everything below a directory: kind and size of each."""
    return {
        str(path.relative_to(directory)): (path.lstat().st_mode, path.lstat().st_size if path.is_file() else 0)
        for path in directory.rglob("*")
    }


def memory_bytes() -> int:
    """What this process has in memory."""
    text = Path("/proc/self/status").read_text()
    found = re.search(r"^VmRSS:\s+(\d+) kB$", text, re.MULTILINE)
    assert found
    return int(found[1]) * 1024
