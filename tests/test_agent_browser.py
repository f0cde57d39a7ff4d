"""The agent with real browsers: the same bytes for any number of workers, and after whatever happened on the way."""

import dataclasses
import hashlib
import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import agent_support as support
import pytest

from capture import browser, frames, png, protocol, remembered, tree
from capture.backlog import QUICK_BLOCK_FRAMES
from capture.faults import FaultCode
from capture.protocol import (
    EQUAL_DB,
    Allow,
    Captured,
    CaptureMode,
    Done,
    Failed,
    GlBackend,
    ImageFormat,
    Limits,
    Note,
    Probed,
    Started,
)
from fleet import agentzip

pytestmark = pytest.mark.browser

BITS = 10
SIZE = (160, 120)
# Draws the number of the frame as black and white columns, over something that moves between the columns' edges.
PAGE = """<!doctype html><meta charset="utf-8">
<style>
  body { margin: 0; background: #fff; overflow: hidden }
  #code { position: absolute; left: 0; bottom: 0; display: flex }
  #code div { width: 16px; height: 40px }
  #box { position: absolute; top: 10px; width: 40px; height: 40px; background: linear-gradient(45deg, red, blue) }
</style>
<div id="root" data-composition-id="main" data-start="0" data-duration="10" data-width="160" data-height="120">
  <div id="box"></div><div id="code"></div>
</div>
<script>
  for (let bit = 0; bit < 10; bit++) code.append(document.createElement("div"));
  const draw = frame => {
    box.style.transform = `translate(${frame % 100}px, 5px) rotate(${frame}deg)`;
    [...code.children].forEach((bar, bit) => { bar.style.background = frame >> bit & 1 ? "#000" : "#fff"; });
  };
  FAULT
  const seek = seconds => { const frame = Math.round(seconds * 30); fault(frame); draw(frame); };
  let now = 0;
  window.__timelines = {main: {
    duration: () => 10, totalDuration: () => 10, paused: () => true, pause() {}, play() {},
    time: t => t === undefined ? now : seek(now = t), seek: t => seek(now = t), totalTime: t => seek(now = t),
    getChildren: () => [],
  }};
</script>
"""
HARMLESS = "const fault = () => {};"
THROWING = 'const fault = frame => { if (frame === 63) { console.warn("at", frame); throw new Error("no way on"); } };'


def order(bundle: str, start: int, stop: int, mode: CaptureMode, *, chunk: str = "c1") -> protocol.Capture:
    made = support.order(bundle, start, stop, chunk=chunk)
    width, height = SIZE
    spec = dataclasses.replace(made.spec, width=width, height=height, image=ImageFormat.PNG, mode=mode)
    spec = dataclasses.replace(spec, frame_count=300, duration_s=Fraction(10))
    return dataclasses.replace(made, spec=spec)


def prepare(
    coordinator: support.Coordinator, fault: str = HARMLESS, **changes: object
) -> tuple[Path, str, CaptureMode]:
    """Workspace, bundle and mode of this host's browser."""
    workspace = support.open_workspace(coordinator, **changes)
    coordinator.say(protocol.Probe())
    mode = coordinator.hear(Probed).browser.mode
    bundle = support.push_bundle(coordinator, workspace, {"index.html": PAGE.replace("FAULT", fault).encode()})
    return workspace, bundle, mode


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Digests of frames 50 to 250, captured by one worker."""
    with support.agent(tmp_path_factory.mktemp("one")) as coordinator:
        workspace, bundle, mode = prepare(coordinator, workers=1)
        coordinator.ask(order(bundle, 50, 250, mode), Done)
        directory = workspace / "runs/r1/c1"
        for local in (0, 17, 199):
            assert barcode((directory / f"frame_{local:06d}.png").read_bytes()) == 50 + local
        return support.digests(directory)


def barcode(picture: bytes) -> int:
    line = png.rows(picture)[100]
    return sum((line[16 * bit + 8][0] < 128) << bit for bit in range(BITS))


def test_two_workers_capture_what_one_captures(tmp_path: Path, expected: dict[str, str]) -> None:
    with support.agent(tmp_path) as coordinator:
        workspace, bundle, mode = prepare(coordinator, workers=2)
        assert coordinator.ask(order(bundle, 50, 250, mode), Started).workers == 2
        coordinator.hear(Done)
        assert support.digests(workspace / "runs/r1/c1") == expected
        announced = {f"frame_{frame.index - 50:06d}.png": frame.sha256 for frame in coordinator.captured().values()}
        assert announced == expected


def test_browsers_that_started_before_the_bundle_was_here_capture_the_same(
    tmp_path: Path, expected: dict[str, str]
) -> None:
    page = {"index.html": PAGE.replace("FAULT", HARMLESS).encode()}
    bundle = hashlib.sha256(support.manifest(page)).hexdigest()
    with support.agent(tmp_path) as coordinator:
        workspace = support.open_workspace(coordinator, workers=1)
        mode = coordinator.ask(protocol.Probe(), Probed).browser.mode
        coming = order(bundle, 50, 70, mode)
        coordinator.say(protocol.Warm(coming.spec, frames=20))
        support.eventually(lambda: any(map(is_browser, support.processes_of(workspace))), "a browser runs", 20)
        support.push_bundle(coordinator, workspace, page)
        coordinator.ask(coming, Done)
        names = [f"frame_{local:06d}.png" for local in range(20)]
        assert support.digests(workspace / "runs/r1/c1") == {name: expected[name] for name in names}


def test_browsers_killed_in_mid_chunk_change_nothing(tmp_path: Path, expected: dict[str, str]) -> None:
    with support.agent(tmp_path) as coordinator:
        workspace, bundle, mode = prepare(coordinator, workers=2)
        coordinator.say(order(bundle, 50, 250, mode))
        coordinator.hear(Captured)
        # One of them captures, which one is not known; the other may be starting still, and fails in another way.
        for pid in browsers_below(workspace):
            support.kill(pid)
        coordinator.hear(Done)
        assert support.digests(workspace / "runs/r1/c1") == expected
        notes = [note.text for note in coordinator.of(Note)]
        assert any("browser_crashed" in text for text in notes), notes


def test_a_bounded_agent_waits_and_changes_nothing(tmp_path: Path, expected: dict[str, str]) -> None:
    with support.agent(tmp_path) as coordinator:
        workspace, bundle, mode = prepare(coordinator, workers=2)
        coordinator.say(order(bundle, 50, 250, mode))
        coordinator.say(Allow("c1", 1, 40))  # there before the first browser is
        while len(coordinator.captured()) < 40:
            coordinator.hear(Captured)
        most = 40 - 1 + QUICK_BLOCK_FRAMES  # a block that is begun is finished, and quick pages have long ones
        with suppress(AssertionError):  # when it has been silent for a second
            while len(coordinator.captured()) <= most:
                coordinator.hear(Captured, timeout_s=1.0)
        assert len(coordinator.captured()) <= most
        coordinator.say(Allow("c1", 1, 200))
        coordinator.hear(Done)
        assert support.digests(workspace / "runs/r1/c1") == expected


def test_a_frame_truncated_before_the_end_is_repaired(tmp_path: Path, expected: dict[str, str]) -> None:
    with support.agent(tmp_path) as coordinator:
        workspace, bundle, mode = prepare(coordinator, workers=1)
        coordinator.say(order(bundle, 50, 250, mode))
        first = coordinator.hear(Captured).frames[0]
        victim = workspace / f"runs/r1/c1/frame_{first.index - 50:06d}.png"
        os.truncate(victim, 50)
        assert not frames.is_whole(victim, ImageFormat.PNG, SIZE)
        coordinator.hear(Done)
        assert support.digests(workspace / "runs/r1/c1") == expected
        assert any("1 damaged frames" in note.text for note in coordinator.of(Note))


def test_a_page_that_always_throws_fails_with_its_words_and_its_picture(tmp_path: Path) -> None:
    with support.agent(tmp_path) as coordinator:
        workspace, bundle, mode = prepare(coordinator, fault=THROWING, workers=2)
        fault = coordinator.ask(order(bundle, 50, 250, mode), Failed).fault
        assert fault.code is FaultCode.SEEK_FAILED
        assert (fault.frame, fault.local_frame) == (63, 13)
        assert "no way on" in fault.message
        assert any("at 63" in line for line in fault.console)
        assert fault.screenshot == "failure.png"
        assert frames.is_whole(workspace / "runs/r1/c1/failure.png", ImageFormat.PNG, SIZE)
        assert set(range(50, 63)) <= set(coordinator.captured())


def test_an_agent_tries_backends_on_the_frames_of_a_composition(tmp_path: Path) -> None:
    with support.agent(tmp_path) as coordinator:
        _, bundle, mode = prepare(coordinator)
        spec = order(bundle, 0, 300, mode).spec
        tried = coordinator.ask(protocol.TryGl(spec, (GlBackend.VULKAN,), (100, 101, 102)), protocol.GlTried)
    (rendition,) = tried.renditions
    assert rendition.gl is GlBackend.VULKAN
    # Nothing here is drawn by WebGL, so what has a driver on this machine agrees, and what has none draws nothing.
    assert rendition.decibels == ((EQUAL_DB,) * 3 if rendition.is_as_asked else ()), rendition.fault


def counting(wrapper: Path, launches: Path) -> Path:
    """A browser that writes down how it was started."""
    wrapper.parent.mkdir(exist_ok=True)
    wrapper.write_text(f'#!/bin/sh\necho "$*" >> {launches}\nexec {browser.find()} "$@"\n')
    wrapper.chmod(0o755)
    return wrapper


def starts(launches: Path) -> list[str]:
    return [line for line in launches.read_text().splitlines() if "--remote-debugging-pipe" in line]


def test_six_workers_need_one_probe(tmp_path: Path) -> None:
    launches = tmp_path / "launches"
    wrapper = counting(tmp_path / "chromium", launches)
    with support.agent(tmp_path / "root") as coordinator:
        _, bundle, mode = prepare(coordinator, workers=6, chromium=str(wrapper))
        assert coordinator.ask(protocol.Probe(), Probed) == coordinator.of(Probed)[0]
        coordinator.ask(order(bundle, 0, 24, mode), Done)
        coordinator.ask(order(bundle, 24, 48, mode, chunk="c2"), Done)
        coordinator.ask(protocol.Probe(), Probed)
    probes = [line for line in starts(launches) if "--window-size=160,120" not in line]
    assert (len(probes), len(starts(launches))) == (1, 7)


def test_the_next_agent_launches_no_browser_to_know_it(tmp_path: Path) -> None:
    launches = tmp_path / "launches"
    wrapper = counting(tmp_path / "browser" / "chromium", launches)
    (wrapper.parent / remembered.RENDERER).touch()
    found = []
    for order in (protocol.Probe(), protocol.Probe(), protocol.Probe(is_fresh=True)):
        with support.agent(tmp_path / "root") as coordinator:
            support.open_workspace(coordinator, chromium=str(wrapper))
            found.append((coordinator.ask(order, Probed).browser.version, len(starts(launches))))
    version = found[0][0]
    assert found == [(version, 1), (version, 1), (version, 2)]


@pytest.mark.parametrize("who", ["guard", "agent"])
def test_a_killed_agent_takes_its_browsers_along(tmp_path: Path, who: str) -> None:
    with support.agent(tmp_path) as coordinator:
        _, bundle, mode = prepare(coordinator, workers=2)
        coordinator.say(order(bundle, 0, 300, mode))
        coordinator.hear(Captured)
        guard = coordinator.process.pid
        family = set(tree.descendants(guard))
        assert any("renderer" in command(pid) for pid in family)
        agent = int(Path(f"/proc/{guard}/task/{guard}/children").read_text().split()[0])
        support.kill({"guard": guard, "agent": agent}[who])
        support.eventually(lambda: not any(map(support.is_alive, family)), "browsers are gone")


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="this kernel does not group sessions")
def test_browsers_give_way_to_other_sessions(tmp_path: Path) -> None:
    with support.agent(tmp_path) as coordinator:
        workspace, bundle, mode = prepare(coordinator, limits=Limits(nice=7, workers=1))
        coordinator.say(order(bundle, 0, 300, mode))
        coordinator.hear(Captured)
        browsers = tree.descendants(browsers_below(workspace)[0])
        assert any("renderer" in command(pid) for pid in browsers)
        assert {Path(f"/proc/{pid}/autogroup").read_text().split()[-1] for pid in browsers} == {"7"}


def test_the_zip_that_hosts_receive_captures_the_same(tmp_path: Path, expected: dict[str, str]) -> None:
    built = agentzip.build(tmp_path / "built")
    with support.agent(tmp_path / "root", program=[str(built.path)]) as coordinator:
        workspace, bundle, mode = prepare(coordinator, workers=2)
        coordinator.ask(order(bundle, 50, 250, mode), Done)
        assert support.digests(workspace / "runs/r1/c1") == expected
        assert str(built.path) in command(worker_below(workspace))


def worker_below(workspace: Path) -> int:
    return next(pid for pid in support.processes_of(workspace) if command(pid).endswith(" worker "))


def browsers_below(workspace: Path) -> list[int]:
    """Oldest first: what such a process forks looks like it until it runs another program."""
    return sorted(filter(is_browser, support.processes_of(workspace)))


def is_browser(pid: int) -> bool:
    return "--remote-debugging-pipe" in command(pid) and "--type=" not in command(pid)


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""
