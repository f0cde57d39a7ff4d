"""Captures one film split in several ways, by real agents, planned and decided as a render would.

All films share two agents, of one worker and of two; their browsers stay open from one split of a film to the next.
tests/test_invariance_fixtures.py and tests/test_invariance_more_fixtures.py share the films out, so that both run
side by side.
"""

import asyncio
import dataclasses
import itertools
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import agent_support
import fleetrender_support
import pytest

from capture import protocol
from capture.protocol import Captured, CaptureMode, Done, Examine, Examined, Failed, FrameRange, RenderSpec, Started
from fleet import hosts, muster, render, resume, stepping
from fleet import plan as planning
from fleet.render import Prepared
from fleet.request import Request

EXAMPLES = fleetrender_support.EXAMPLES
FOLDER = Path(__file__).parent / "compositions"
FIXTURES = sorted(path.parent for path in FOLDER.glob("*/index.html"))
# Few frames, and yet the whole of a film.
FPS = Fraction(5)
DONE_S = 120.0
LEASE_S = 600.0  # nobody pings, and the first reading of a project may fetch fonts

Digests = dict[int, str]


@dataclass(frozen=True, slots=True)
class Site:
    """An agent with its lock, and names for its chunks."""

    coordinator: agent_support.Coordinator
    workspace: Path
    numbers: Iterator[int]

    def bring(self, prepared: Prepared, frames: Sequence[FrameRange]) -> None:
        """The bundle, and the stills that `frames` show."""
        stills = prepared.stills.needed(frames)
        for blob in (*prepared.bundle.blobs, *stills):
            shutil.copyfile(blob.file, self.workspace / "incoming" / blob.sha256)
        self.coordinator.ask(protocol.Prepare(prepared.bundle.digest), protocol.Prepared)
        lacking = self.coordinator.ask(protocol.Offer(tuple(blob.sha256 for blob in stills)), protocol.Missing)
        assert lacking.digests == ()

    def capture(self, spec: RenderSpec, frames: FrameRange) -> Digests:
        """Digest of every frame of one chunk."""
        order = protocol.Capture(chunk=f"c{next(self.numbers)}", attempt=1, frames=frames, todo=(frames,), spec=spec)
        started = self.coordinator.ask(order, Started)
        assert ("warming up" in started.why) == (spec.sequential and frames.start > 0)
        heard = len(self.coordinator.heard)
        ended = self.coordinator.hear((Done, Failed), DONE_S)
        assert isinstance(ended, Done), ended
        told = [message for message in self.coordinator.heard[heard:] if isinstance(message, Captured)]
        return {frame.index: frame.sha256 for message in told for frame in message.frames}


@dataclass(frozen=True, slots=True)
class Studio:
    """An agent of one worker, one of two, and the mode that a render would fix for them."""

    one: Site
    two: Site
    mode: CaptureMode


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """The frames of one film, captured in every way."""

    sequential: bool
    whole: Digests  # 1 chunk, 1 worker
    by_two: Digests  # 1 chunk, 2 workers
    by_chunks: Digests  # 3 chunks, 2 workers
    ranged: Digests  # --frames A:B

    def unequal(self) -> dict[str, list[int]]:
        """The frames of each split that are not the same bytes as in the whole."""
        wrong = {name: [n for n in split if split[n] != self.whole[n]] for name, split in self._splits().items()}
        return {name: frames for name, frames in wrong.items() if frames}

    def _splits(self) -> dict[str, Digests]:
        return {"by_two": self.by_two, "by_chunks": self.by_chunks, "ranged": self.ranged}


def check(studio: "Studio", project: Path, *, frames: FrameRange | None = None) -> Splits:
    """Captures the film in every way, and asserts that it moves and that all ways give the same bytes."""
    found = split(studio, project, frames=frames)
    assert len(set(found.whole.values())) > len(found.whole) // 3, "frames are to look different, or nothing is proven"
    assert found.unequal() == {}
    return found


@contextmanager
def studio(root: Path) -> Iterator[Studio]:
    """Both agents, with workspaces below `root`; what films load is shared with other test runs."""
    with ExitStack() as stack:
        environment = stack.enter_context(pytest.MonkeyPatch.context())
        environment.setenv("FLEETRENDER_CACHE", str(fleetrender_support.SHARED_CACHE))
        sites = []
        for workers in (1, 2):
            coordinator = stack.enter_context(agent_support.agent(root / f"host{workers}"))
            workspace = agent_support.open_workspace(coordinator, workers=workers, lease_s=LEASE_S)
            sites.append(Site(coordinator, workspace, itertools.count(1)))
        facts = sites[0].coordinator.of(protocol.Facts)[0].facts
        browser = sites[0].coordinator.ask(protocol.Probe(), protocol.Probed).browser
        choice = muster.choose((muster.Mustered(host=hosts.LOCAL, facts=facts, browser=browser),))
        yield Studio(one=sites[0], two=sites[1], mode=choice.mode)


def split(
    studio: Studio,
    project: Path,
    *,
    fps: Fraction | None = FPS,
    frames: FrameRange | None = None,
    sequential: bool | None = None,
) -> Splits:
    """Captures `project`, or `frames` of it, in every way; `sequential` overrules what a render would find."""
    request = Request(composition=project, output=Path("unused.mp4"), fps=fps, frames=frames)
    prepared = render.prepare(request)
    sequential = is_sequential(studio, prepared) if sequential is None else sequential
    span = prepared.plan.frames
    part = FrameRange(span.start + len(span) // 3 + 1, span.start + 2 * len(span) // 3 + 1)
    ranged = render.prepare(dataclasses.replace(request, frames=part))
    capture = partial(captured, studio, sequential=sequential)

    def by_one_worker() -> tuple[Digests, Digests]:
        return capture(studio.one, prepared, [span]), capture(studio.one, ranged, [part])

    with ThreadPoolExecutor() as beside:
        by_one = beside.submit(by_one_worker)
        by_chunks = capture(studio.two, prepared, shuffled_thirds(span))
        by_two = capture(studio.two, prepared, [span])
        whole, ranged_frames = by_one.result()
    return Splits(sequential=sequential, whole=whole, ranged=ranged_frames, by_chunks=by_chunks, by_two=by_two)


def shuffled_thirds(span: FrameRange) -> list[FrameRange]:
    """The second third, the last, which the same pages can go on to, and the first, for which they are too far."""
    first, second = (span.start + len(span) * third // 3 for third in (1, 2))
    return [FrameRange(first, second), FrameRange(second, span.stop), FrameRange(span.start, first)]


def captured(
    studio: Studio, site: Site, prepared: Prepared, chunks: Sequence[FrameRange], *, sequential: bool
) -> Digests:
    """All frames of `chunks`, captured in this order."""
    spec = dataclasses.replace(planning.spec(prepared.plan, studio.mode), sequential=sequential)
    site.bring(prepared, [FrameRange(0, prepared.plan.frames.stop)])
    found: Digests = {}
    for frames in chunks:
        found |= site.capture(spec, frames)
    assert sorted(found) == list(prepared.plan.frames)
    return found


def is_sequential(studio: Studio, prepared: Prepared) -> bool:
    """As a run decides it: declared, of no concern, or examined by the first host."""
    plan, site = prepared.plan, studio.one
    spec, samples = planning.spec(plan, studio.mode), stepping.samples(plan.frame_count)

    async def examine() -> Examined | None:
        site.bring(prepared, samples)
        site.coordinator.say(Examine(spec, samples))
        answer = site.coordinator.hear((Examined, Failed), DONE_S)
        return answer if isinstance(answer, Examined) else None

    known = resume.fixed_stepping((), declared=plan.sequential)
    has_hints = prepared.composition.may_keep_state and plan.frame_count > 1
    return asyncio.run(stepping.Stepping(known, has_hints=has_hints, emit=lambda _: None).decide("local", examine))
