"""Which hosts draw the same pixels, asked outside of a render: every host draws the same frames, and is sorted.

Everything is taken by screenshots, which every host can do: a host without begin-frame capture is compared, too.
"""

import asyncio
import importlib.resources
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from capture import wire
from capture.protocol import CaptureMode, FrameFile
from fleet import costs, parity, render, rundir, sentences, transports
from fleet import plan as planning
from fleet.errors import FleetError
from fleet.link import Link
from fleet.model import Host
from fleet.muster import Mustered
from fleet.parity import Drawn
from fleet.request import Request
from fleet.transports.base import Dialer
from fleet.work import Work

VERSION = 1
CLASS_NAMES = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS = 6  # of a digest: enough to see that two are equal
CHECK_S = 300.0  # of one host: a push, a browser's first start, a heavy page


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One host: its class, A for the largest, with its frames and what tells it from A; or why it has none."""

    host: str
    name: str = ""
    frames: tuple[FrameFile, ...] = ()
    differs: str = ""
    trouble: str = ""


async def run(hosts: Sequence[Host], composition: Path | None, directory: Path) -> tuple[Row, ...]:
    """All hosts, those of the largest class first; without a composition, of the built-in page.

    Raises what reading the composition raises. `directory` is for the run's files.
    """
    reference = importlib.resources.files(__package__).joinpath("reference.html")
    with importlib.resources.as_file(reference) as built_in:
        request = Request(composition=composition or built_in, output=directory / "none.mp4", hosts=tuple(hosts))
        # Reading starts event loops of its own.
        prepared = await asyncio.to_thread(render.prepare, request)
    work = Work(
        plan=prepared.plan,
        bundle=prepared.bundle,
        stills=prepared.stills,
        directory=rundir.create(directory, rundir.new_name(planning.digest(prepared.plan))),
        workers=None,
    )
    async with transports.dialer(work.directory.path, prepared.agent, hosts) as dialer:
        return rows(await asyncio.gather(*(_ask(host, work, dialer) for host in hosts)))


def rows(found: Sequence[Drawn | Row]) -> tuple[Row, ...]:
    """What each host drew, or the row that says why it did not, sorted into classes."""
    classes = parity.classes(each for each in found if isinstance(each, Drawn))
    sorted_rows = []
    for number, one in enumerate(classes):
        usual = parity.traits(classes[0].members[0].mustered)
        for member in one.members:
            differs = parity.differences(parity.traits(member.mustered), usual) if number else ""
            name = CLASS_NAMES[number % len(CLASS_NAMES)]
            sorted_rows.append(
                Row(host=member.mustered.host.name, name=name, frames=member.frames, differs=sentences.clean(differs))
            )
    return (*sorted_rows, *(each for each in found if isinstance(each, Row)))


def table(found: Sequence[Row]) -> Table:
    """The rows for people, 80 columns wide."""
    shown = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold", width=80)
    for heading, width in (("host", 16), ("class", 5), ("frames", 14), ("ms", 5)):
        shown.add_column(heading, max_width=width, overflow="fold")
    shown.add_column("differs in", overflow="fold")
    for row in found:
        digests = "\n".join(f"{frame.index}: {frame.sha256[:DIGITS]}" for frame in row.frames)
        each_ms = "\n".join(str(frame.took_ms) for frame in row.frames)
        shown.add_row(row.host, row.name or "-", digests, each_ms, Text(row.trouble or row.differs))
    return shown


def plain(found: Sequence[Row]) -> dict[str, Any]:
    """The rows for programs."""
    return {"v": VERSION, "classes": len({row.name for row in found if row.name}), "hosts": wire.to_plain(tuple(found))}


async def _ask(host: Host, work: Work, dialer: Dialer) -> Drawn | Row:
    log = logging.getLogger(f"fleetrender.parity.{host.name}")
    try:
        async with (
            asyncio.timeout(CHECK_S),
            dialer.open(host) as transport,
            transport.start_agent() as channel,
        ):
            link = Link(host, work, transport=transport, channel=channel, emit=lambda _: None, log=log)
            return await _draw(link, work)
    except TimeoutError:
        return Row(host=host.name, trouble=f"no answer within {CHECK_S:.0f} s")
    except FleetError as error:
        return Row(host=host.name, trouble=sentences.clean(str(error).removeprefix(f"{host.name}: ")))


async def _draw(link: Link, work: Work) -> Drawn | Row:
    mustered: Mustered = await link.muster()
    await link.bring_bundle()
    spec = planning.spec(work.plan, CaptureMode.SCREENSHOT)
    frames = parity.canaries(work.plan.frames, costs.FLAT, sequential=work.plan.sequential)
    drawn = await link.draw_canaries(spec, frames)
    await link.say_goodbye()
    if drawn is None:
        return Row(host=link.host.name, trouble="its browser cannot draw them; a render would tell why")
    return Drawn(mustered, drawn)
