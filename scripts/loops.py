"""An agent that holds a composition, and bare loops (`bare.py`) that draw its frames, for the benchmarks of capture."""

import dataclasses
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import checkout
from agent_support import Coordinator, hello

from capture import protocol, tree
from capture.protocol import Block, BlockDone, CaptureMode, FrameRange, Ready, Setup
from fleet import plan as planning
from fleet.render import Prepared

BARE = Path(__file__).with_name("bare.py")
LEASE_S = 7200.0  # nobody pings
CLOCK_HZ = os.sysconf("SC_CLK_TCK")
AGENT = "import pathlib, sys, capture.agent; capture.agent.run(pathlib.Path(sys.argv[1]), sys.argv[2:])"
WORKER = "import sys; from capture import worker; sys.exit(worker.main())"


@contextmanager
def agent(prepared: Prepared, worker: str = WORKER, *, workers: int) -> Iterator[tuple[Coordinator, Path]]:
    """An agent that holds its lock and the composition, and its workspace."""
    with tempfile.TemporaryDirectory(prefix="bench-floor-") as directory:
        command = [sys.executable, "-c", AGENT, directory, sys.executable, "-c", worker]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(command, **pipes, cwd=checkout.ROOT)
        coordinator = Coordinator(process)
        try:
            greeting = hello(lease_s=LEASE_S, workers=workers)
            workspace = Path(coordinator.ask(greeting, protocol.Facts).facts.workspace)
            coordinator.ask(protocol.Acquire(), protocol.Granted)
            bring(prepared, coordinator, workspace)
            yield coordinator, workspace
            coordinator.say(protocol.Bye())
        finally:
            coordinator.end()


def bring(prepared: Prepared, coordinator: Coordinator, workspace: Path) -> None:
    stills = prepared.stills.needed((FrameRange(0, prepared.plan.frames.stop),))
    for blob in (*prepared.bundle.blobs, *stills):
        (workspace / "incoming" / blob.sha256).write_bytes(Path(blob.file).read_bytes())
    coordinator.ask(protocol.Prepare(prepared.bundle.digest), protocol.Prepared)
    coordinator.ask(protocol.Offer(tuple(blob.sha256 for blob in stills)), protocol.Missing)


def spec(prepared: Prepared) -> protocol.RenderSpec:
    return planning.spec(prepared.plan, CaptureMode.BEGIN_FRAME)


def setup_for(prepared: Prepared, coordinator: Coordinator, workspace: Path, flags: Sequence[str] = ()) -> Setup:
    """What a bare loop is told; `flags` are Chromium's, beside those of a render."""
    return Setup(
        spec=spec(prepared),
        bundle_directory=str(workspace / "bundles" / prepared.bundle.digest),
        blobs_directory=str(workspace / "blobs"),
        profile_directory="",
        chromium=str(coordinator.of(protocol.Facts)[0].facts.chromium),
        chromium_args=tuple(flags),
        sandbox=True,
    )


@contextmanager
def loop(setup: Setup, profile: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """One bare loop, ready."""
    with subprocess.Popen([sys.executable, str(BARE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            tell(process, dataclasses.replace(setup, profile_directory=str(profile)))
            answer(process, Ready)
            yield process
        finally:
            process.stdin.close()


def draw(process: "subprocess.Popen[bytes]", frames: FrameRange) -> None:
    """Has one loop draw `frames`, and waits for it."""
    tell(process, Block(frames=frames, offset=0, directory=""))
    answer(process, BlockDone)


def tell(process: "subprocess.Popen[bytes]", message: Setup | Block) -> None:
    process.stdin.write(protocol.encode(message))
    process.stdin.flush()


def answer(process: "subprocess.Popen[bytes]", kind: type) -> None:
    said = process.stdout.readline()
    if not said or not isinstance(protocol.decode(said), kind):
        raise SystemExit("a bare loop ended: what it said is above")


def cpu_s(root: int) -> float:
    ticks = 0
    for pid in (root, *tree.descendants(root)):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / CLOCK_HZ
