"""Chunks on a real agent with scripted workers: files, journal, retries, acknowledgements, order of messages."""

import dataclasses
import os
from pathlib import Path

import agent_support as support
import pytest

from capture import protocol
from capture.faults import FaultCode
from capture.protocol import Ack, Cancel, Captured, Done, Failed, FrameRange, Note, Resized, Started, Trim, Trimmed


def prepare(coordinator: support.Coordinator, **changes: object) -> tuple[Path, str]:
    """Workspace and bundle."""
    workspace = support.open_workspace(coordinator, **changes)
    return workspace, support.push_bundle(coordinator, workspace, {"index.html": b"<html>"})


def two_workers(**changes: object) -> dict[str, object]:
    return {"workers": 2, **changes}


@pytest.mark.parametrize(
    ("faults", "notes"),
    [
        ({}, 0),
        ({"53": ["browser_crashed"]}, 1),
        ({"53": ["die"], "60": ["out_of_memory"]}, 2),
        ({"53": ["truncate"], "60": ["skip"]}, 1),
    ],
    ids=["nothing", "a crash", "two crashes", "damaged files"],
)
def test_whatever_fails_once_the_frames_are_the_same(tmp_path: Path, faults: dict[str, list[str]], notes: int) -> None:
    with support.agent(tmp_path, {"faults": faults}) as coordinator:
        workspace, bundle = prepare(coordinator, **two_workers())
        started = coordinator.ask(support.order(bundle, 50, 80), Started)
        assert started == Started(chunk="c1", attempt=1, directory="runs/r1/c1", workers=2, why="2 asked for")
        assert coordinator.hear(Done) == Done("c1", 1)
        assert len([note for note in coordinator.of(Note) if note.level == "warning"]) == notes
        found = support.digests(workspace / "runs/r1/c1")
        assert found == {f"frame_{frame.index - 50:06d}.jpg": frame.sha256 for frame in coordinator.captured().values()}
        assert sorted(coordinator.captured()) == list(range(50, 80))


def test_todo_alone_is_captured_under_the_names_of_the_chunk(tmp_path: Path) -> None:
    with support.agent(tmp_path, {}) as coordinator:
        workspace, bundle = prepare(coordinator, **two_workers())
        todo = (FrameRange(50, 55), FrameRange(60, 65))
        coordinator.ask(support.order(bundle, 50, 150, todo=todo), Done)
        names = sorted(support.digests(workspace / "runs/r1/c1"))
        assert names == [f"frame_{local:06d}.jpg" for local in [*range(5), *range(10, 15)]]


def test_a_frame_that_always_fails_ends_the_chunk_with_both_indices_and_the_console(tmp_path: Path) -> None:
    with support.agent(tmp_path, {"faults": {"63": ["seek_failed"] * 9}}) as coordinator:
        _, bundle = prepare(coordinator, **two_workers())
        fault = coordinator.ask(support.order(bundle), Failed).fault
        assert (fault.code, fault.frame, fault.local_frame) == (FaultCode.SEEK_FAILED, 63, 13)
        assert fault.console == ("a line",)
        assert set(range(50, 63)) <= set(coordinator.captured())
        coordinator.ask(support.order(bundle, 0, 20, chunk="c2"), Done)


def test_a_worker_that_dies_at_every_start_ends_the_chunk_with_its_last_words(tmp_path: Path) -> None:
    with support.agent(tmp_path, {"start_faults": {"start": ["die"] * 99}}) as coordinator:
        _, bundle = prepare(coordinator)
        fault = coordinator.ask(support.order(bundle), Failed).fault
        assert (fault.code, fault.frame) == (FaultCode.WORKER_DIED, None)
        assert fault.message == "worker ended: exit status 7"


def test_what_a_dead_worker_leaves_running_is_killed_while_the_chunk_goes_on(tmp_path: Path) -> None:
    daemons = tmp_path / "daemons"
    script = {"daemon": str(daemons), "faults": {"0": ["die"]}, "frame_s": 0.02}
    with support.agent(tmp_path, script) as coordinator:
        _, bundle = prepare(coordinator, workers=1)
        coordinator.ask(support.order(bundle, 0, 30), Done)
        first, second = map(int, daemons.read_text().split())
        support.eventually(lambda: not support.is_alive(first), "the dead worker's daemon is dead")
        assert support.is_alive(second)


def test_workers_stay_warm_for_the_next_chunk_of_the_same_spec(tmp_path: Path) -> None:
    with support.agent(tmp_path, {}) as coordinator:
        _, bundle = prepare(coordinator, **two_workers())
        first, second = support.order(bundle, 0, 30), support.order(bundle, 30, 60, chunk="c2")
        coordinator.say(first, second)
        assert [coordinator.hear(Done).chunk for _ in range(2)] == ["c1", "c2"]
        before = [note for note in coordinator.of(Note) if note.text.startswith("started")]
        assert 1 <= len(before) <= 2
        other = dataclasses.replace(second.spec, jpeg_quality=50)
        coordinator.ask(dataclasses.replace(second, chunk="c3", spec=other), Done)
        assert len([note for note in coordinator.of(Note) if note.text.startswith("started")]) > len(before)


def test_a_run_that_comes_back_captures_only_what_it_lacks(tmp_path: Path) -> None:
    with support.agent(tmp_path, {"frame_s": 0.02}) as coordinator:
        workspace, bundle = prepare(coordinator, **two_workers())
        coordinator.say(support.order(bundle, 0, 500))
        for _ in range(3):
            coordinator.hear(protocol.Captured)
    directory = workspace / "runs/r1/c1"
    before = support.digests(directory)
    assert len(before) > 5
    (directory / "frame_000001.jpg").write_bytes(b"\xff\xd8\xff\xd9")
    with support.agent(tmp_path, {"faults": {"0": ["internal"]}}) as coordinator:
        support.open_workspace(coordinator, **two_workers())
        coordinator.ask(support.order(bundle, 0, 500, attempt=2), Done)
        assert sorted(coordinator.captured()) == list(range(500))
        assert before.items() <= support.digests(directory).items()
    with support.agent(tmp_path, {"faults": {"0": ["internal"]}}) as coordinator:
        support.open_workspace(coordinator, **two_workers())
        changed = dataclasses.replace(support.order(bundle, 0, 500).spec, jpeg_quality=50)
        failed = coordinator.ask(dataclasses.replace(support.order(bundle, 0, 500), spec=changed), Failed)
        assert failed.fault.code is FaultCode.INTERNAL


def test_acknowledged_frames_are_deleted_and_not_missed(tmp_path: Path) -> None:
    with support.agent(tmp_path, {"frame_s": 0.02}) as coordinator:
        workspace, bundle = prepare(coordinator, **two_workers())
        coordinator.say(support.order(bundle, 50, 110))
        told = coordinator.hear(protocol.Captured).frames
        coordinator.say(Ack("c1", protocol.ranges_of(frame.index for frame in told)))
        coordinator.hear(Done)
        left = {int(name[6:12]) + 50 for name in support.digests(workspace / "runs/r1/c1")}
        assert left == set(range(50, 110)) - {frame.index for frame in told}


def test_capture_waits_while_frames_are_not_fetched(tmp_path: Path) -> None:
    with support.agent(tmp_path, {"frame_s": 0.005}) as coordinator:
        limits = protocol.Limits(disk_bytes=2000)  # ten of these pictures
        workspace, bundle = prepare(coordinator, workers=1, limits=limits)
        coordinator.say(support.order(bundle, 50, 150))
        while "waits until frames are fetched" not in coordinator.hear(Note).text:
            pass
        assert len(support.digests(workspace / "runs/r1/c1")) < 60
        coordinator.say(Ack("c1", protocol.ranges_of(coordinator.captured())))
        while isinstance(message := coordinator.hear((Captured, Done)), Captured):
            coordinator.say(Ack("c1", protocol.ranges_of(frame.index for frame in message.frames)))
        assert sorted(coordinator.captured()) == list(range(50, 150))


def test_segments_that_take_too_much_room_are_given_up_and_come_as_frames(tmp_path: Path) -> None:
    with support.agent(tmp_path, {"frame_s": 0.005}) as coordinator:
        _, bundle = prepare(coordinator, workers=1, limits=protocol.Limits(disk_bytes=2000))
        whole = FrameRange(50, 150)
        coordinator.say(support.order(bundle, 50, 150), protocol.Encode("c1", 1, (whole,), ()))
        given_up = coordinator.hear(protocol.Unencoded)
        assert given_up == protocol.Unencoded("c1", 1, whole, "its frames take too much room")


def test_a_segment_of_which_frames_were_fetched_is_not_made(tmp_path: Path) -> None:
    with support.agent(tmp_path, {"frame_s": 0.02}) as coordinator:
        _, bundle = prepare(coordinator, workers=1)
        coordinator.say(support.order(bundle, 50, 90), protocol.Encode("c1", 1, (FrameRange(50, 90),), ()))
        told = coordinator.hear(protocol.Captured).frames
        coordinator.say(Ack("c1", protocol.ranges_of(frame.index for frame in told)))
        coordinator.hear(Done)
        coordinator.ask(support.order(bundle, 0, 30, chunk="c2"), Done)
        assert coordinator.of(protocol.Unencoded) == []


def test_a_cancelled_chunk_stops_and_keeps_its_frames(tmp_path: Path) -> None:
    with support.agent(tmp_path, {"frame_s": 0.02}) as coordinator:
        workspace, bundle = prepare(coordinator, **two_workers())
        coordinator.say(support.order(bundle, 0, 900), support.order(bundle, 0, 900, chunk="c2"))
        coordinator.hear(protocol.Captured)
        coordinator.say(Cancel("c2"), Cancel("c1"), Cancel("unknown"))
        ends = [coordinator.hear(Failed) for _ in range(2)]
        assert [(end.chunk, end.fault.code) for end in ends] == [
            ("c2", FaultCode.CANCELLED),
            ("c1", FaultCode.CANCELLED),
        ]
        assert set(coordinator.captured()) <= {int(name[6:12]) for name in support.digests(workspace / "runs/r1/c1")}
        coordinator.ask(support.order(bundle, 0, 8, chunk="c3"), Done)


def test_a_chunk_without_its_bundle_is_refused(tmp_path: Path) -> None:
    with support.agent(tmp_path, {}) as coordinator:
        support.open_workspace(coordinator)
        assert "never prepared" in coordinator.ask(support.order("ab" * 32), Failed).fault.message


def test_progress_is_said_at_most_four_times_a_second(tmp_path: Path) -> None:
    with support.agent(tmp_path, {"frame_s": 0.005}) as coordinator:
        _, bundle = prepare(coordinator, **two_workers())
        coordinator.ask(support.order(bundle, 0, 400), Done)
        assert 2 <= len(coordinator.of(protocol.Captured)) <= 40
        assert sorted(coordinator.captured()) == list(range(400))


def test_the_tail_that_a_chunk_is_asked_to_leave_is_not_captured_and_the_rest_is(tmp_path: Path) -> None:
    with support.agent(tmp_path, {"frame_s": 0.02}) as coordinator:
        workspace, bundle = prepare(coordinator, **two_workers())
        coordinator.say(support.order(bundle, 50, 950), support.order(bundle, 950, 990, chunk="c2"))
        coordinator.hear(protocol.Captured)
        coordinator.say(Trim("c2", 1, 960), Trim("c1", 1, 150), Trim("c1", 7, 60), Trim("unknown", 1, 5))
        stops = {said.chunk: said.stop for said in (coordinator.hear(Trimmed), coordinator.hear(Trimmed))}
        assert stops == {"c1": max(150, stops["c1"]), "c2": 960}
        assert [coordinator.hear(Done).chunk for _ in range(2)] == ["c1", "c2"]
        assert sorted(coordinator.captured()) == [*range(50, stops["c1"]), *range(950, 960)]
        assert len(support.digests(workspace / "runs/r1/c1")) == stops["c1"] - 50


def test_short_memory_takes_a_worker_back_and_the_next_chunk_begins_without_it(tmp_path: Path) -> None:
    free, cores = tmp_path / "free", len(os.sched_getaffinity(0))
    if cores == 1:
        pytest.skip("one core: there is no worker to take back")

    def let_be_free(size_bytes: int) -> None:
        free.with_suffix(".new").write_text(str(size_bytes))
        free.with_suffix(".new").replace(free)

    let_be_free(1 << 40)
    prelude = f"capture.agent.probe.memory_available = lambda: int(pathlib.Path({str(free)!r}).read_text())"
    with support.agent(tmp_path, {"frame_s": 0.1}, prelude=prelude) as coordinator:
        _, bundle = prepare(coordinator)
        # Six seconds of work: more than it takes to see that memory is short, less than a trial of more is worth.
        before = coordinator.ask(support.order(bundle, 0, 60 * cores), Started).workers
        coordinator.hear(protocol.Captured)
        let_be_free(0)
        fewer = coordinator.hear(Resized)
        assert fewer == Resized(chunk="c1", attempt=1, before=before, workers=before - 1, why="memory is short")
        let_be_free(1 << 40)
        coordinator.say(Cancel("c1"))
        began = coordinator.ask(support.order(bundle, 0, 15 * cores, chunk="c2"), Started)
        assert (began.workers, began.why) == (before - 1, f"{before - 1} proved best here")


def test_a_number_that_was_asked_for_outlasts_short_memory(tmp_path: Path) -> None:
    prelude = "capture.agent.probe.memory_available = lambda: 0"
    with support.agent(tmp_path, {"frame_s": 0.02}, prelude=prelude) as coordinator:
        _, bundle = prepare(coordinator, **two_workers())
        coordinator.ask(support.order(bundle, 0, 250), Done)
        assert coordinator.of(Resized) == []
