import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fleet import programs
from fleet.errors import ConfigError, DeadlineError, VerificationError

ROOT = Path(__file__).parents[1]
# Prints the pid of a program that it has started and that would run for five minutes.
PARENT = """
import asyncio
from fleet import programs
asyncio.run(programs.run(("{sh}", "-c", "echo $$ >{pid}; exec {sleep} 300"), timeout_s=300))
"""


def run(*argv: str, timeout_s: float = 20) -> programs.Ended:
    return asyncio.run(programs.run(argv, timeout_s=timeout_s))


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_dead(pid: int, *, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(pid)


def test_output_exit_code_and_last_words_are_kept() -> None:
    ended = run("/bin/sh", "-c", "echo out; echo oops >&2; exit 3")
    assert (ended.code, ended.stdout, ended.stderr) == (3, b"out\n", "oops\n")
    assert str(ended.error("segment 0:60")) == "segment 0:60: sh ended with 3: oops"


def test_a_flood_of_messages_is_bounded_and_its_end_is_kept() -> None:
    ended = run("/bin/sh", "-c", "seq 1 100000 >&2")
    assert len(ended.stderr) == programs.STDERR_TAIL_BYTES
    assert ended.stderr.endswith("\n100000\n")


def test_death_by_signal_is_named() -> None:
    assert "killed by SIGKILL" in str(run("/bin/sh", "-c", "kill -9 $$").error("x"))


def test_a_full_disk_is_not_our_bug() -> None:
    ended = run("/bin/sh", "-c", "echo 'o.mp4: No space left on device' >&2; exit 1")
    assert isinstance(ended.error("x"), ConfigError)


def test_silence_ends_with_the_deadline_and_the_whole_group_dies(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    with pytest.raises(DeadlineError, match=r"/bin/sh gave no result within 0\.5 s"):
        run("/bin/sh", "-c", f"sleep 300 & echo $! $$ >{pids}; wait", timeout_s=0.5)
    for pid in pids.read_text().split():
        wait_until_dead(int(pid), within_s=5)


def test_an_error_of_the_feed_ends_the_program_and_is_raised(tmp_path: Path) -> None:
    pid = tmp_path / "pid"

    async def feed() -> AsyncIterator[bytes]:
        yield b"one"
        while not pid.exists():  # noqa: ASYNC110  a file cannot set an event
            await asyncio.sleep(0.01)
        raise VerificationError("frame 1 is damaged", remedy="")

    argv = ("/bin/sh", "-c", f"echo $$ >{pid}.part; mv {pid}.part {pid}; exec cat")
    with pytest.raises(VerificationError, match="frame 1"):
        asyncio.run(programs.run(argv, timeout_s=20, feed=feed()))
    wait_until_dead(int(pid.read_text()), within_s=5)


def test_a_program_that_stops_reading_decides_by_its_exit_code() -> None:
    async def feed() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield bytes(65536)

    ended = asyncio.run(programs.run(("/bin/sh", "-c", "head -c 10 >/dev/null; exit 4"), timeout_s=20, feed=feed()))
    assert ended.code == 4


def test_cancelling_kills_the_program(tmp_path: Path) -> None:
    pid = tmp_path / "pid"

    async def scenario() -> None:
        argv = ("/bin/sh", "-c", f"echo $$ >{pid}.part; mv {pid}.part {pid}; exec sleep 300")
        running = asyncio.create_task(programs.run(argv, timeout_s=300))
        while not pid.exists():  # noqa: ASYNC110  a file cannot set an event
            await asyncio.sleep(0.02)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(scenario())
    wait_until_dead(int(pid.read_text()), within_s=5)


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG")
@pytest.mark.parametrize("has_setpriv", [True, False])
def test_a_program_dies_with_a_parent_that_is_killed(tmp_path: Path, has_setpriv: bool) -> None:
    if has_setpriv and not shutil.which("setpriv"):
        pytest.skip("util-linux' setpriv is not installed")
    pid = tmp_path / "pid"
    code = PARENT.format(sh=shutil.which("sh"), sleep=shutil.which("sleep"), pid=pid)
    env = os.environ | ({} if has_setpriv else {"PATH": str(tmp_path)})
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=env)
    deadline = time.monotonic() + 20
    while (not pid.exists() or not pid.read_text().endswith("\n")) and time.monotonic() < deadline:
        time.sleep(0.05)
    child = int(pid.read_text())
    assert is_alive(child)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_until_dead(child, within_s=5)


def test_a_missing_ffmpeg_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="not on PATH: ffmpeg, ffprobe") as caught:
        programs.find_ffmpeg()
    assert "apt install ffmpeg" in caught.value.remedy


@pytest.mark.ffmpeg
def test_a_missing_encoder_is_found_before_any_work() -> None:
    asyncio.run(programs.require_encoders(["libx264", "aac"]))
    with pytest.raises(ConfigError, match="built without libx999, aacx"):
        asyncio.run(programs.require_encoders(["libx999", "aac", "aacx"]))
