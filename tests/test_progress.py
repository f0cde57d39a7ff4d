"""Screens draw: exactly as wide as the terminal, no higher, and without a terminal nothing but lines."""

import dataclasses
import fcntl
import functools
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from events_support import RUN, STARTED, ordered, ready, record, started, verified
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from capture.protocol import FrameRange
from fleet import events, progress, terminal, view
from fleet.errors import ConfigError
from fleet.progress import EventLines, PlainScreen
from fleet.view import View

ROOT = Path(__file__).parent.parent
TIMESTAMPED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d ")
# Plays the recorded run on whatever stderr is.
PLAY = """
import sys, time
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/tests"]
from events_support import RUN
from fleet import progress
with progress.readers(as_json=False, events=sys.argv[2] or None, hosts=("studio-1", "studio-2")) as readers:
    for record in RUN:
        for read in readers:
            read(record)
        time.sleep(0.05)
"""


def folded(records: list[events.Record], hosts: tuple[str, ...] = ()) -> View:
    return functools.reduce(view.fold, records, view.expecting(hosts))


def fleet(names: list[str], count: int = 1_800) -> View:
    records = [record(0, dataclasses.replace(STARTED, frames=FrameRange(0, count)))]
    for at, name in enumerate(names):
        records += [
            record(1, ready(name)),
            record(2, ordered(f"c{at}", name, at * 100, at * 100 + 100)),
            record(3, started(f"c{at}", name)),
            record(5, verified(f"c{at}", name, at * 100, at * 100 + 40)),
        ]
    return folded(records)


def test_the_screen_at_eighty_columns() -> None:
    it = folded(RUN[:18], hosts=("studio-1", "studio-2", "nuc-3"))
    assert terminal.screen_text(it, 9.0, width=80, height=24).plain.splitlines() == [
        "launch 1920x1080 30 fps frames 0:60 plan 7f3a91c2                               ",
        "host     range done                     fps wrk note                            ",
        "studio-1 -     25 frames                        lost: connection reset          ",
        "studio-2 30:60 ---------------------    1.7   2 2 cores                         ",
        "nuc-3    -     0 frames                         connecting                      ",
        "attic    -     0 frames                         left out: no route to host      ",
        "total    35/60 ############---------    5.8   2 ETA 0:04                        ",
        "! attic: left out: no route to host (hint: check the cable)                     ",
        "! studio-1: lost: connection reset                                              ",
        "! studio-2: chunk c0002 failed at frame 42: the page threw (seek_failed)        ",
    ]


@given(
    names=st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=60), max_size=30, unique=True),
    width=st.integers(40, 200),
    height=st.integers(10, 60),
    count=st.integers(1, 20_000_000),
)
def test_every_line_is_exactly_as_wide_as_the_terminal_and_all_of_them_fit(
    names: list[str], width: int, height: int, count: int
) -> None:
    lines = terminal.screen_text(fleet(names, count), 6.0, width=width, height=height).plain.split("\n")
    assert {cell_len(line) for line in lines} == {width}
    assert len(lines) < height


def test_hosts_that_do_not_fit_are_counted() -> None:
    lines = terminal.screen_text(fleet([f"h{at}" for at in range(40)]), 6.0, width=80, height=24).plain.splitlines()
    assert lines[-2].strip() == "and 24 more hosts, see `--events`"
    assert len(lines) == 20


def test_plain_lines_have_a_timestamp_each_and_a_summary_a_minute() -> None:
    file, now = io.StringIO(), [0.0]
    screen = PlainScreen(file, clock=lambda: now[0])
    for one in RUN[:14]:
        screen.handle(one)
    for now[0] in range(1, 120):
        screen.tick()
    lines = file.getvalue().splitlines()
    assert lines[0] == (
        "2026-03-01T22:00:00+01:00 "
        "run r1 started: launch 1920x1080 30 fps frames 0:60, plan 7f3a91c2, output /tmp/launch.mp4"
    )
    assert lines[-2:] == [
        "2026-03-01T22:01:00+01:00 30/60 frames, 50 %, 0.0 frames/s, 2 of 3 hosts capturing, ETA unknown yet",
        "2026-03-01T22:02:00+01:00 30/60 frames, 50 %, 0.0 frames/s, 2 of 3 hosts capturing, ETA unknown yet",
    ]


def play(*, stderr: int, events_to: str = "") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", PLAY, str(ROOT), events_to],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env={"PATH": "/usr/bin:/bin", "TERM": "xterm-256color"},
        timeout=60,
        check=True,
    )


def test_without_a_terminal_there_are_only_lines() -> None:
    played = play(stderr=subprocess.PIPE)
    lines = played.stderr.decode().splitlines()
    assert played.stdout == b""
    assert b"\x1b" not in played.stderr
    assert b"\r" not in played.stderr
    assert all(TIMESTAMPED.match(line) for line in lines)
    assert lines[-1].endswith(
        "/tmp/launch.mp4  4.5 MB, 60 frames, 2.00 s of video in 0:13 (4.6 frames/s)"
        "; degraded: some hosts were lost or left out"
    )


def test_on_a_terminal_rows_are_redrawn_in_place_and_the_cursor_comes_back() -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    try:
        play(stderr=theirs)
        os.close(theirs)
        shown = b""
        while chunk := _read(ours):
            shown += chunk
    finally:
        os.close(ours)
    text = shown.decode()
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1
    assert "\x1b[1A" in text  # moves up to redraw
    assert "total    60/60" in text
    assert "60 frames, 2.00 s of video in 0:13" in text


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # how Linux says that the other end of a pty is closed
        return b""


def test_events_go_to_stdout_as_the_lines_of_the_log() -> None:
    played = play(stderr=subprocess.PIPE, events_to="-")
    assert [events.from_line(line) for line in played.stdout.decode().splitlines()] == RUN


def test_events_go_to_a_file(tmp_path: Path) -> None:
    play(stderr=subprocess.PIPE, events_to=str(tmp_path / "events.jsonl"))
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    assert [json.loads(line)["type"] for line in lines][:2] == ["run.started", "host.refused"]


def test_events_to_nowhere_are_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match=r"--events: .* cannot be written: No such file"),
        progress.readers(as_json=False, events=str(tmp_path / "no" / "events.jsonl")),
    ):
        pass


def test_events_and_the_result_cannot_share_stdout() -> None:
    with pytest.raises(ConfigError, match="both write to stdout"), progress.readers(as_json=True, events="-"):
        pass


def test_a_reader_whose_pipe_is_gone_falls_silent() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", buffering=1, closefd=False) as file:
        read = progress._guarded(EventLines(file).handle)
        for one in RUN:
            read(one)
        os.dup2(os.open(os.devnull, os.O_WRONLY), writing)
    os.close(writing)


def test_a_preview_is_one_line_per_fact() -> None:
    preview = {"composition": "launch", "audio_tracks": 0, "bundle": {"files": 3, "digest": "ab"}, "findings": []}
    assert progress.preview_text(preview) == (
        "composition   launch\naudio tracks  0\nbundle        files 3, digest ab\nfindings      none"
    )
