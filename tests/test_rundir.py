"""The log of a run survives a crash, resume finds the right run, and one output has one writer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from capture.protocol import FrameRange
from fleet import events, rundir
from fleet.errors import ConfigError, LockHeld

DIGEST = "ab" * 32


def started(output: str = "/v/out.mp4", plan: str = DIGEST) -> events.RunStarted:
    return events.RunStarted(
        run="r", composition="c", output=output, plan=plan, frames=FrameRange(0, 9), fps="30/1", width=4, height=3
    )


def write_log(directory: rundir.RunDirectory, *happened: events.Event) -> None:
    log = rundir.EventLog(directory.events, [])
    for event in happened:
        log.emit(event)
    log.close()


def test_events_are_read_back_as_they_were_emitted(tmp_path: Path) -> None:
    seen: list[events.Record] = []
    log = rundir.EventLog(tmp_path / "events.jsonl", [seen.append])
    log.emit(started())
    log.emit(events.Warned("h", "m\x1b[31m\n"))
    log.close()
    assert [record.event for record in rundir.read_events(tmp_path / "events.jsonl")] == [one.event for one in seen]


def test_a_last_line_cut_by_a_crash_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = rundir.EventLog(path, [])
    log.emit(started())
    log.emit(events.Warned("h", "m"))
    log.close()
    os.truncate(path, path.stat().st_size - 10)
    assert [record.event for record in rundir.read_events(path)] == [started()]


def test_a_resumed_log_continues_the_clock(tmp_path: Path) -> None:
    log = rundir.EventLog(tmp_path / "events.jsonl", [], resumed_at_s=100.0)
    assert log.now_s() >= 100.0
    log.close()


def test_resume_finds_the_newest_unfinished_run_of_this_plan_and_output(tmp_path: Path) -> None:
    failed = events.RunFinished(exit_code=5, output="/v/out.mp4")
    fine = events.RunFinished(exit_code=0, output="/v/out.mp4")
    unfinished = rundir.create(tmp_path, rundir.new_name(DIGEST))
    write_log(unfinished, started(), failed)
    for happened in ([started(), fine], [started("/v/other.mp4")], [started(plan="ab" * 31 + "cd")], []):
        write_log(rundir.create(tmp_path, rundir.new_name(DIGEST)), *happened)
    found = rundir.find_unfinished(tmp_path, DIGEST, "/v/out.mp4")
    assert found is not None
    assert found.path == unfinished.path
    assert rundir.find_unfinished(tmp_path, "cd" * 32, "/v/out.mp4") is None


def test_one_output_has_one_writer_and_the_second_is_told_who(tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    with (
        rundir.output_lock(tmp_path, output),
        pytest.raises(LockHeld, match=f"pid {os.getpid()}"),
        rundir.output_lock(tmp_path, output),
    ):
        pass
    with rundir.output_lock(tmp_path, output), rundir.output_lock(tmp_path, tmp_path / "another.mp4"):
        pass


def test_the_lock_of_a_killed_run_is_free(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from fleet import rundir\n"
        "with rundir.output_lock(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[1], 'out.mp4')):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(LockHeld), rundir.output_lock(tmp_path, tmp_path / "out.mp4"):
            pass
        holder.kill()
        holder.wait(timeout=10)
        with rundir.output_lock(tmp_path, tmp_path / "out.mp4"):
            pass


def test_directories_of_a_run_are_private_and_refused_when_others_may_write_into_them(tmp_path: Path) -> None:
    run = rundir.create(tmp_path / "state", rundir.new_name(DIGEST))
    for path in (tmp_path / "state", tmp_path / "state" / "runs", run.path, run.quarantine, run.logs):
        assert path.stat().st_mode & 0o777 == 0o700
    run.quarantine.chmod(0o770)
    with pytest.raises(ConfigError, match="others may write") as caught:
        rundir.RunDirectory(run.path)
    assert f"chmod go-w {run.quarantine}" in caught.value.remedy


def test_an_event_is_kept_without_its_secrets(tmp_path: Path) -> None:
    run = rundir.create(tmp_path, rundir.new_name(DIGEST))
    write_log(run, events.Warned("r1", "GET https://me:hunter2@example.com/?token=hunter2 failed"))
    assert "hunter2" not in run.events.read_text()
