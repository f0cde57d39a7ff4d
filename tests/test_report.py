"""The log of a run becomes one object with everything a person or a script asks afterwards."""

import dataclasses
import json

import pytest
from events_support import FINISHED, RUN, STARTED, changed, done, ordered, ready, record, started, verified

from capture.protocol import FrameRange
from fleet import report

# Of a frame, in the mean of 25.
STAGES = {
    "frames": 25,
    "seek": {"messages": 1.0, "ms": 3.0},
    "paint": {"messages": 0.0, "ms": 0.0},
    "screenshot": {"messages": 1.0, "ms": 40.0},
    "transfer": {"messages": 0.0, "ms": 0.0},
    "write": {"messages": 0.0, "ms": 0.12},
}


def test_a_run_with_a_loss_a_fault_and_a_refusal() -> None:
    folded = report.fold(RUN)
    hosts, chunks = folded.pop("hosts"), folded.pop("chunks")
    assert folded == {
        "v": 1,
        "run": "r1",
        "composition": "launch",
        "plan": "7f3a91c2" * 8,
        "width": 1920,
        "height": 1080,
        "fps": "30/1",
        "frames": "0:60",
        "frame_count": 60,
        "output": "/tmp/launch.mp4",
        "is_resumed": False,
        "exit_code": 0,
        "sha256": "ab" * 32,
        "size_bytes": 4_500_000,
        "message": "",
        "remedy": "",
        "degraded": True,
        "started_at": "2026-03-01T22:00:00+01:00",
        "ended_at": "2026-03-01T22:00:13+01:00",
        "frames_verified": 60,
        "segments_encoded": 1,
        "audio_tracks": 2,
        "mode": {"mode": "begin_frame", "browser": "Chromium 156", "why": "every host can"},
        "gl": None,
        "stepping": None,
        "pixels": None,
        "times_s": {
            "wall": 13.0,
            "until_first_order": 3.0,
            "until_first_frame": 7.0,
            "capture": 9.0,
            "encode": 0.0,
            "tail": 1.0,
            "tail_encode": 0.0,
            "tail_join": 1.0,
        },
        "frames_per_s": 4.62,
        "stages": STAGES,
        "warnings": [{"where": "index.html:12", "message": "no font `Foo`"}],
        "evidence": [],
        "audit": {"frames": 0, "equal": 0},
        "seams": {"drawn": 0, "equal": 0},
        "cores": [],
    }
    assert [(host["name"], host["state"], host["frames"], host["losses"]) for host in hosts] == [
        ("attic", "refused", 0, 0),
        ("studio-1", "lost", 25, 1),
        ("studio-2", "ready", 35, 0),
    ]
    assert hosts[2] == {
        "name": "studio-2",
        "state": "ready",
        "message": "",
        "cores": 4,
        "browser": "Chromium 156",
        "gl_renderer": "SwiftShader",
        "pixels": "",
        "workers": 2,
        "why": "2 cores",
        "frames": 35,
        "busy_s": 10.0,
        "frames_per_s": 3.5,
        "stages": STAGES,
        "chunks": 2,
        "losses": 0,
        "faults": [
            {
                "code": "seek_failed",
                "message": "the page threw",
                "frame": 42,
                "local_frame": None,
                "console": [],
                "screenshot": None,
            }
        ],
        "returns": "frames",
        "returns_why": "",
        "pushed_bytes": 0,
    }
    assert [
        (chunk["chunk"], chunk["attempt"], chunk["host"], chunk["verified"], chunk["outcome"]) for chunk in chunks
    ] == [
        ("c0001", 1, "studio-1", 25, "lost"),
        ("c0002", 1, "studio-2", 10, "failed"),
        ("c0002", 2, "studio-2", 20, "done"),
        ("c0001", 2, "studio-2", 5, "interrupted"),
    ]
    assert chunks[0] == {
        "chunk": "c0001",
        "attempt": 1,
        "host": "studio-1",
        "frames": "0:30",
        "todo": 30,
        "verified": 25,
        "workers": 2,
        "why": "2 cores",
        "workers_changed": [],
        "ordered_s": 3.0,
        "started_s": 4.0,
        "ended_s": 8.0,
        "outcome": "lost",
        "fault": None,
    }


@pytest.mark.parametrize("stop", range(len(RUN) + 1))
def test_a_log_may_end_anywhere(stop: int) -> None:
    folded = report.fold(RUN[:stop])
    assert json.loads(json.dumps(folded)) == folded
    assert folded["exit_code"] == (0 if stop == len(RUN) else None)


def test_a_resumed_run_is_one_run() -> None:
    log = [
        record(0, STARTED),
        record(1, ready("a")),
        record(2, ordered("c0001", "a", 0, 60)),
        record(3, verified("c0001", "a", 0, 30)),
        record(4, dataclasses.replace(STARTED, is_resumed=True, kept=(FrameRange(0, 30),))),
        record(5, ready("a")),
        record(5, ordered("c0001", "a", 0, 60, attempt=2)),
        record(6, started("c0001", "a", attempt=2)),
        record(7, verified("c0001", "a", 30, 60)),
        record(7, done("c0001", "a", attempt=2)),
    ]
    folded = report.fold(log)
    assert folded["is_resumed"]
    assert folded["frames_verified"] == 60
    assert folded["started_at"] == "2026-03-01T22:00:00+01:00"
    assert not folded["degraded"]
    assert [(chunk["verified"], chunk["outcome"]) for chunk in folded["chunks"]] == [(30, "interrupted"), (30, "done")]


def test_the_last_chunk_is_done_with_its_last_frame() -> None:
    log = [record(0, STARTED), record(1, ordered("c1", "a", 0, 60)), record(5, verified("c1", "a", 0, 60))]
    (chunk,) = report.fold([*log, record(9, FINISHED)])["chunks"]
    assert (chunk["ended_s"], chunk["outcome"]) == (5.0, "done")


def test_changes_of_workers_are_told_with_their_chunk_and_the_host_has_the_last_number() -> None:
    log = [
        record(0, STARTED),
        record(1, ready("a")),
        record(2, ordered("c1", "a", 0, 60)),
        record(3, started("c1", "a")),
        record(9, changed("c1", "a", 2, 3, "3 are 31% faster than 2")),
        record(12, changed("c1", "a", 4, 3, "4 are 2% faster than 3")),
    ]
    folded = report.fold(log)
    (chunk,), (host,) = folded["chunks"], folded["hosts"]
    assert (chunk["workers"], chunk["why"]) == (2, "2 cores")
    assert chunk["workers_changed"] == [
        {"at_s": 9.0, "before": 2, "workers": 3, "why": "3 are 31% faster than 2"},
        {"at_s": 12.0, "before": 4, "workers": 3, "why": "4 are 2% faster than 3"},
    ]
    assert (host["workers"], host["why"]) == (3, "4 are 2% faster than 3")
