"""A run is asked to let go of a host by a file, and whoever asks learns whether anybody heard."""

import threading
import time
from pathlib import Path

import pytest

from fleet import draining
from fleet.errors import ConfigError


def run_directory(root: Path, name: str, log: str) -> Path:
    directory = root / "runs" / name
    directory.mkdir(parents=True)
    (directory / "events.jsonl").write_text(log)
    return directory


def test_the_run_that_goes_on_takes_the_request_and_crashed_ones_keep_nothing(tmp_path: Path) -> None:
    crashed = run_directory(tmp_path, "crashed", '{"type":"run.started"}\n')
    ended = run_directory(tmp_path, "ended", '{"type":"run.started"}\n{"type":"run.finished"}\n')
    going = run_directory(tmp_path, "going", '{"type":"run.started"}\n')
    seen: list[str] = []

    def look() -> None:
        deadline = time.monotonic() + 30
        while not seen and time.monotonic() < deadline:
            seen.extend(draining.taken(going, ["a", "b"]))

    thread = threading.Thread(target=look)
    thread.start()
    draining.ask(tmp_path, "a", wait_s=30)
    thread.join()
    assert seen == ["a"]
    assert [path.name for directory in (crashed, ended, going) for path in directory.iterdir()] == ["events.jsonl"] * 3


@pytest.mark.parametrize("host", ["a", "../a", ""])
def test_without_a_run_that_uses_the_host_the_request_is_refused(tmp_path: Path, host: str) -> None:
    crashed = run_directory(tmp_path, "crashed", "")
    with pytest.raises(ConfigError, match="no run on this machine uses such a host"):
        draining.ask(tmp_path, host, wait_s=0.2)
    assert [path.name for path in crashed.iterdir()] == ["events.jsonl"]


def test_a_request_for_a_host_of_another_run_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "drain.z").touch()
    assert draining.taken(tmp_path, ["a"]) == []
