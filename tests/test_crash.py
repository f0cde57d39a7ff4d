"""The coordinator is killed with -9, again and again, and the run goes on to the very same file.

One run is killed in each of its phases at a random moment, then resumed to its end. $FLEETRENDER_CRASHES says how many
such runs there are: 1 unless it is set; 5 make the twenty moments that are tried by hand before a release.
"""

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import barcode
import pytest
import sshd
from fleet_support import (
    BARCODE,
    Running,
    check_left,
    hosts_toml,
    left_of,
    logged,
    run_directory,
    start,
    wait_until_empty,
)
from fleetrender_support import RENDER_TIMEOUT_S, fleetrender
from sshd import Sshd
from test_schedule import Fed, capture, ordered, ready, verified

from capture.protocol import FrameRange
from fleet import events
from fleet.orders import Capture
from fleet.schedule import Schedule

CRASHES = int(os.environ.get("FLEETRENDER_CRASHES", "1"))
FRAMES = 120
PHASES = ("preparing", "capturing", "encoding", "joining")


def resumed(*history: events.Event) -> Schedule:
    started = events.RunStarted(
        run="r", composition="c", output="o", plan="p", frames=FrameRange(0, 1000), fps="30/1", width=1, height=1
    )
    records = [events.Record("", float(second), event) for second, event in enumerate((started, *history))]
    return Schedule.replay(records, FrameRange(0, 1000), hosts=["a", "b"])


def given(schedule: Schedule, *happened: events.Event) -> list[Capture]:
    return [order for order in schedule.handle(*happened, now_s=100.0) if isinstance(order, Capture)]


def test_after_a_crash_each_host_goes_on_with_the_frames_that_it_may_still_hold() -> None:
    feed = Fed(1000, "a", "b")
    first, second = feed(ready("a"), ready("b"))
    schedule = resumed(ready("a"), ready("b"), ordered(first), ordered(second), verified(second, 500, 520))
    assert given(schedule, ready("b", 0.5)) == [
        capture("b", "c0002", FrameRange(500, 1000), FrameRange(520, 1000), attempt=2)
    ]
    assert given(schedule, ready("a", 8.0)) == [capture("a", "c0001", FrameRange(0, 500), attempt=2)]
    schedule.check()


def test_what_a_host_was_trimmed_to_is_all_that_it_gets_back() -> None:
    feed = Fed(1000, "a", "b")
    first, second = feed(ready("a"), ready("b"))
    tail = capture("b", "c0003", FrameRange(300, 500))
    trimmed = events.ChunkTrimmed(chunk="c0001", host="a", attempt=1, stop=300)
    done = events.ChunkDone(chunk="c0002", host="b", attempt=1)
    begun = (ready("a"), ready("b"), ordered(first), ordered(second))
    schedule = resumed(*begun, verified(second, 500, 1000), done, trimmed, ordered(tail))
    assert given(schedule, ready("a"), ready("b")) == [
        capture("a", "c0001", FrameRange(0, 500), FrameRange(0, 300), attempt=2),
        capture("b", "c0003", FrameRange(300, 500), attempt=2),
    ]
    schedule.check()


@pytest.fixture(scope="module")
def servers() -> Iterator[list[Sshd]]:
    if not sshd.IS_AVAILABLE:
        pytest.skip(sshd.WHY_NOT)
    with sshd.start(number=12) as first, sshd.start(number=13) as second:
        yield [first, second]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> str:
    """sha256 of the video when nothing happens."""
    home = tmp_path_factory.mktemp("reference")
    ended = fleetrender(home, "run", BARCODE, "--frames", f"0:{FRAMES}", "--json", "-o", "out.mp4")
    assert ended.code == 0, ended.stderr
    return str(ended.result["sha256"])


def wait_for_phase(running: Running, phase: str, dice: random.Random) -> None:
    """Returns at a random moment of `phase`, or when the run has ended."""
    count = dice.randrange(1, FRAMES // 2)
    deadline = time.monotonic() + RENDER_TIMEOUT_S
    while phase != "preparing" and running.process.poll() is None and time.monotonic() < deadline:
        seen = running.seen()
        if phase == "capturing" and sum(event["count"] for event in seen if event["type"] == "chunk.captured") >= count:
            return
        kept = sum(part["stop"] - part["start"] for event in seen for part in event.get("kept", ()))
        here = sum(len(event["frames"]) for event in seen if event["type"] == "chunk.verified")
        if phase == "encoding" and kept + here == FRAMES:
            break
        if phase == "joining" and sum(event["type"] == "segment.encoded" for event in seen) == FRAMES // 60:
            break
        time.sleep(0.01)
    time.sleep(dice.uniform(0.2, 1.5) if phase == "preparing" else dice.uniform(0.0, 0.3))


def crash(running: Running) -> None:
    """Kills a render; one that was quicker may have ended."""
    running.process.kill()
    _, stderr = running.process.communicate(timeout=60)
    assert running.process.returncode in (-signal.SIGKILL, 0), stderr


def held(server: Sshd, run: str) -> set[int]:
    """Absolute numbers of the frames of `run` that the host's journals and disk have."""
    found: set[int] = set()
    for journal in server.home.glob(f".cache/fleetrender/*/runs/{run}/*/frames.jsonl"):
        files = sorted(journal.parent.glob("frame_*.jpg"))
        lines = [json.loads(line) for line in journal.read_text().splitlines(keepends=True) if line.endswith("\n")]
        sizes = {file.stat().st_size for file in files}
        found |= {line["index"] for line in lines if line.get("size_bytes") in sizes} if files else set()
    return found


def unfetched(home: Path, servers: list[Sshd]) -> set[int]:
    """Frames that hosts hold and the coordinator has not."""
    here = {file["index"] for event in logged(home, "chunk.verified") for file in event["frames"]}
    return set().union(*(held(server, run_directory(home).name) for server in servers)) - here


def stop_until_hosts_hold_more(running: Running, home: Path, servers: list[Sshd]) -> None:
    """Stops a coordinator in mid-capture, so that it fetches nothing of what its hosts go on capturing."""
    running.process.send_signal(signal.SIGSTOP)
    deadline = time.monotonic() + 30  # the lease of the hosts is 45 s
    while not unfetched(home, servers):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def captured_anew(home: Path, servers: list[Sshd]) -> set[int]:
    """Frames that the last part of the run captured; those that a host had kept came without a time.

    Those that a host took over before all were back are left out: nobody knew yet that another one holds them.
    """
    lines = (run_directory(home) / "events.jsonl").read_text().splitlines()
    last: list[dict[str, Any]] = []
    keepers: dict[str, str] = {}
    back: set[str] = set()
    early: set[str] = set()
    for event in map(json.loads, lines):
        last.append(event)
        if event["type"] == "run.started":
            for of_an_earlier_part in (last, back, early):
                of_an_earlier_part.clear()
        elif event["type"] == "host.ready":
            back.add(event["host"])
        elif event["type"] == "chunk.ordered":
            if len(back) < len(servers) and keepers.get(event["chunk"]) != event["host"]:
                early.add(event["chunk"])
            keepers[event["chunk"]] = event["host"]
    files = [
        file
        for event in last
        if event["type"] == "chunk.verified" and event["chunk"] not in early
        for file in event["frames"]
    ]
    return {file["index"] for file in files if file["took_ms"] > 0}


@pytest.mark.sshd
@pytest.mark.browser
@pytest.mark.ffmpeg
@pytest.mark.parametrize("seed", range(CRASHES))
def test_a_coordinator_killed_in_every_phase_ends_with_the_same_file(
    tmp_path: Path, servers: list[Sshd], reference: str, seed: int
) -> None:
    dice = random.Random(seed)
    arguments = (BARCODE, "--hosts", hosts_toml(tmp_path, servers), "--frames", f"0:{FRAMES}", "-o", "out.mp4")
    (tmp_path / "out.mp4").write_bytes(b"earlier")
    there: set[int] = set()
    for phase in PHASES:
        running = start(tmp_path, *arguments, "--resume", "--workers", "1")
        wait_for_phase(running, phase, dice)
        if phase == "capturing":
            stop_until_hosts_hold_more(running, tmp_path, servers)
        crash(running)
        assert [wait_until_empty(server) for server in servers] == [[], []]
        assert left_of(tmp_path) == []
        if phase == "capturing":
            there = unfetched(tmp_path, servers)
        if phase == "encoding":  # every frame is here by now
            assert captured_anew(tmp_path, servers) & there == set()
    ended = fleetrender(tmp_path, "run", *arguments, "--json", "--resume")
    assert ended.code == 0, ended.stderr
    assert ended.result["sha256"] == reference
    assert barcode.read_file(tmp_path / "out.mp4") == list(range(FRAMES))
    check_left(tmp_path, servers)
