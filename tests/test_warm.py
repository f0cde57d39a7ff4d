"""Browsers that are started before their composition is here: used when it comes, gone when it does not."""

import dataclasses
import hashlib
from pathlib import Path

import agent_support as support

from capture import protocol
from capture.protocol import Done, Failed, Note, Warm

FILES = {"index.html": b"<html>"}
BUNDLE = hashlib.sha256(support.manifest(FILES)).hexdigest()
SPEC = dataclasses.replace(support.SPEC, bundle=BUNDLE)


def started(coordinator: support.Coordinator) -> int:
    """How many workers have said so; each as soon as it runs."""
    return sum(note.text.startswith("started") for note in coordinator.of(Note))


def warm(tmp_path: Path, coordinator: support.Coordinator, spec: protocol.RenderSpec = SPEC) -> Path:
    """The workspace, when two workers run that were told of no bundle yet."""
    workspace = support.open_workspace(coordinator, workers=2)
    coordinator.say(Warm(spec, frames=30))
    while started(coordinator) < 2:
        coordinator.hear(Note)
    return workspace


def test_workers_that_were_started_early_capture_when_the_bundle_is_here(tmp_path: Path) -> None:
    with support.agent(tmp_path, {}) as coordinator:
        workspace = warm(tmp_path, coordinator)
        assert support.push_bundle(coordinator, workspace, FILES) == BUNDLE
        coordinator.ask(support.order(BUNDLE), Done)
        assert sorted(coordinator.captured()) == list(range(50, 80))
        assert started(coordinator) == 2


def test_a_composition_that_turns_out_otherwise_gets_fresh_workers(tmp_path: Path) -> None:
    with support.agent(tmp_path, {}) as coordinator:
        workspace = warm(tmp_path, coordinator, dataclasses.replace(SPEC, sequential=True))
        early = support.processes_of(workspace)
        support.push_bundle(coordinator, workspace, FILES)
        coordinator.ask(support.order(BUNDLE), Done)
        assert started(coordinator) > 2
        support.eventually(lambda: not early & support.processes_of(workspace), "the early workers are gone")


def test_what_fails_early_is_told_when_a_chunk_needs_it(tmp_path: Path) -> None:
    with support.agent(tmp_path, {"start_faults": {"start": ["browser_launch"] * 9}}) as coordinator:
        workspace = support.open_workspace(coordinator, workers=1)
        coordinator.say(Warm(SPEC, frames=30))
        coordinator.ask(protocol.Ping(1), protocol.Pong)
        support.push_bundle(coordinator, workspace, FILES)
        assert not coordinator.of(Failed)
        assert "as scripted" in coordinator.ask(support.order(BUNDLE), Failed).fault.message


def test_no_worker_outlives_a_run_that_ends_before_its_first_chunk(tmp_path: Path) -> None:
    with support.agent(tmp_path, {}) as coordinator:
        workspace = warm(tmp_path, coordinator)
        assert len(support.processes_of(workspace)) >= 2
        coordinator.say(protocol.Bye())
        assert coordinator.wait() == 0
        support.eventually(lambda: not support.processes_of(workspace), "nothing is left")


def test_nothing_is_started_without_the_lock(tmp_path: Path) -> None:
    with support.agent(tmp_path, {}) as coordinator:
        coordinator.ask(support.hello(), protocol.Facts)
        assert "before acquire" in coordinator.ask(Warm(SPEC, frames=30), protocol.Stopping).reason
