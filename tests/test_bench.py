"""A benchmark: settings in turn, statistics by values, a table that fits, a picture, and nothing left when stopped."""

import dataclasses
import json
import math
import signal
import statistics
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import media_support as media
import pytest
from events_support import RUN, changed, record
from fleet_support import left_of
from fleetrender_support import ROOT, command, environment, fleetrender
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from fleet import bench, bench_run, bench_view, cli_bench
from fleet.bench import Crew, Machine, Round
from fleet.errors import ConfigError, ExitCode

HERE = Machine("local", 2.0, "Chromium 156")
PAGE = """<!doctype html><html><body>
<div data-composition-id="tiny" data-start="0" data-duration="0.2" data-width="64" data-height="64" data-no-timeline>
text</div></body></html>"""
WAIT_S = 60.0


def round_(chunks: int, wall_s: float, *chunks_s: float, sha256: str = "ab", workers: int = 2) -> Round:
    return Round(
        chunks=chunks,
        wall_s=wall_s,
        first_frame_s=wall_s / 10,
        chunks_s=chunks_s or (wall_s / 2,) * chunks,
        crews=(Crew(workers=workers, why=f"{workers} cores"),),
        machines=(HERE,),
        sha256=sha256,
    )


ROUNDS = [
    *(round_(1, 10.0, 8.0), round_(3, 6.0, 3.0, 2.0, 1.0)),
    *(round_(1, 11.0, 9.0), round_(3, 9.0, 4.0, 4.0, 4.0, workers=1)),
    *(round_(1, 12.0, 7.0), round_(3, 6.0, 3.0, 3.0, 3.0)),
]


PLAN = media.make_plan(660, width=1920, height=1080)


@pytest.mark.parametrize(("text", "settings"), [("1,2,3,6", (1, 2, 3, 6)), ("8", (8,)), ("6, 1,6", (1, 6))])
def test_settings_are_numbers_of_chunks(text: str, settings: tuple[int, ...]) -> None:
    assert bench.parse_chunks(text) == settings


@pytest.mark.parametrize("text", ["", "0", "1,", "two", "-1", "1001", "1;2", "²"])
def test_other_settings_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--chunks: "):
        bench.parse_chunks(text)


@given(frames=st.integers(1, 5000), chunks=st.integers(1, 1000))
def test_chunks_are_equal_and_as_many_as_asked_for(frames: int, chunks: int) -> None:
    try:
        size = bench.chunk_frames(frames, chunks)
    except ConfigError as error:
        possible = int(error.remedy.split("`")[1])
        assert possible < chunks
        assert bench.chunk_frames(frames, possible) >= 1
        return
    sizes = [min(size, frames - start) for start in range(0, frames, size)]
    assert len(sizes) == chunks
    assert set(sizes[:-1]) <= {size}


def test_rounds_take_the_settings_in_turn() -> None:
    assert bench.order((1, 2, 3), 2) == (1, 2, 3, 1, 2, 3)


@given(
    values=st.lists(st.floats(0, 1e6), min_size=2, max_size=40),
    share=st.integers(1, 99),
)
def test_percentiles_are_those_of_the_standard_library(values: list[float], share: int) -> None:
    expected = statistics.quantiles(values, n=100, method="inclusive")[share - 1]
    assert math.isclose(bench.percentile(values, share / 100), expected, abs_tol=1e-6)


def test_one_value_is_every_percentile() -> None:
    assert bench.percentile([3.0], 0.95) == 3.0


def test_a_setting_says_what_its_rounds_have_in_common() -> None:
    one, three = bench.settings(ROUNDS)
    assert (one.chunks, one.iterations) == (1, 3)
    assert (one.best_s, one.median_s, one.worst_s, one.std_s) == (10.0, 11.0, 12.0, 1.0)
    assert (one.worst_to_median, one.chunk_p50_s, one.chunk_p95_s) == (1.091, 8.0, 8.9)
    assert (one.host_s, one.host_worst_s, one.first_frame_s) == (8.0, 9.0, 1.1)
    assert (three.median_s, three.worst_s, three.std_s, three.worst_to_median) == (6.0, 9.0, 1.732, 1.5)
    assert (three.chunk_p50_s, three.chunk_p95_s, three.host_s, three.host_worst_s) == (3.0, 4.0, 9.0, 12.0)
    assert three.crews == (Crew(workers=2, why="2 cores"), Crew(workers=1, why="1 cores"))
    assert bench.speedups([one, three]) == (1.0, 11.0 / 6.0)


@given(walls=st.lists(st.floats(0.1, 1e4), min_size=1, max_size=9))
def test_the_median_lies_between_best_and_worst(walls: list[float]) -> None:
    (setting,) = bench.settings([round_(2, round(wall_s, 3)) for wall_s in walls])
    assert setting.best_s <= setting.median_s + 1e-3
    assert setting.median_s <= setting.worst_s + 1e-3
    assert setting.worst_to_median >= 0.999
    assert setting.std_s <= (setting.worst_s - setting.best_s) + 1e-3


def test_a_log_becomes_a_round() -> None:
    done = bench.round_of(2, RUN, wall_s=14.0004, first_frame_s=7.5)
    assert done == Round(
        chunks=2,
        wall_s=14.0,
        first_frame_s=7.5,
        chunks_s=(5.0, 6.0, 2.0, 2.0),
        crews=(Crew(workers=2, why="2 cores"),),
        machines=(Machine("studio-1", 2, "Chromium 156"), Machine("studio-2", 4, "Chromium 156")),
        sha256="ab" * 32,
        is_degraded=True,
    )


def test_a_crew_that_grows_is_told_as_what_it_was_and_as_what_it_became() -> None:
    grown = record(5.0, changed("c0001", "studio-1", 2, 3, "3 capture more"))
    done = bench.round_of(2, [*RUN[:11], grown, *RUN[11:]], wall_s=14.0, first_frame_s=7.5)
    assert done.crews == (Crew(workers=3, why="3 capture more"), Crew(workers=2, why="2 cores"))


def test_the_result_is_one_object() -> None:
    result = bench.plain(bench.settings(ROUNDS), "launch", PLAN)
    rows = result.pop("settings")
    assert result == {
        "v": 1,
        "composition": "launch",
        "width": 1920,
        "height": 1080,
        "fps": "30",
        "frames": 660,
        "iterations": 3,
        "hosts": [{"name": "local", "cores": 2.0, "browser": "Chromium 156"}],
        "identical_videos": True,
    }
    assert [(row["chunks"], row["speedup"], len(row["rounds"])) for row in rows] == [(1, 1.0, 3), (3, 1.833, 3)]
    assert json.loads(json.dumps(rows)) == rows


def test_videos_that_differ_and_hosts_that_were_lost_are_told() -> None:
    odd = dataclasses.replace(round_(3, 6.0, sha256="cd"), is_degraded=True)
    found = bench.settings([*ROUNDS, odd])
    result = bench.plain(found, "launch", PLAN)
    assert not result["identical_videos"]
    assert bench_view.notes(result, found)[-2:] == [
        "some hosts were lost or left out in 1 round: these walls say little",
        "VIDEOS DIFFER between rounds; worst/median is above 1.15 at 3",
    ]


def shown(rounds: list[Round]) -> list[str]:
    console = Console(width=80, record=True, file=None, quiet=False, force_terminal=False)
    with console.capture() as captured:
        console.print(bench_view.table(bench.settings(rounds)))
    return [line.rstrip() for line in captured.get().splitlines() if line.strip()]


def test_the_table_at_eighty_columns() -> None:
    assert shown(ROUNDS) == [
        "                              worst/  chunk  chunk  host  first",
        " chunks  median  worst   std  median    p50    p95  time  frame  wrk",
        " ───────────────────────────────────────────────────────────────────",
        "      1   11.00  12.00  1.00    1.09   8.00   8.90  8.00   1.10    2",
        "      3    6.00   9.00  1.73    1.50   3.00   4.00  9.00   0.60  1-2",
    ]


@given(wall_s=st.floats(0.001, 99_999), chunks=st.integers(1, bench.CHUNKS_MAX))
def test_no_row_is_cut_at_eighty_columns(wall_s: float, chunks: int) -> None:
    lines = shown([round_(chunks, wall_s, wall_s / 2), round_(chunks, wall_s / 3, wall_s, workers=64)])
    assert max(map(cell_len, lines)) <= 80
    assert "…" not in "".join(lines)


def test_what_the_table_does_not_say() -> None:
    found = bench.settings(ROUNDS[:4])
    assert bench_view.notes(bench.plain(found, "launch", PLAN), found) == [
        "launch: 1920x1080 30 fps, 660 frames, 2 iterations; times in seconds",
        "1 worker with 3 chunks: 1 cores",
        "2 workers with 1, 3 chunks: 2 cores",
        "all videos are the same, byte for byte; worst/median is above 1.15 at 3",
    ]


def test_without_a_terminal_each_round_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with bench_view.RoundsScreen(12, 60) as screen:
        screen.begin(0, 3)
        for each in RUN:
            screen.hear(each)
        screen.end(0, round_(3, 6.25))
        screen.begin(12, 1)
        screen.end(12, round_(1, 104.0))
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "warming up, 3 chunks          6.25 s, first frame after 0.62 s",
        "round 12 of 12, 1 chunk     104.00 s, first frame after 10.40 s",
    ]


def test_a_picture_is_what_its_suffix_says(tmp_path: Path) -> None:
    from fleet import bench_plot

    found = bench.settings(ROUNDS)
    result = bench.plain(found, "launch", PLAN)
    for name in ("walls.svg", "walls.png"):
        bench_plot.draw(tmp_path / name, result, found)
    assert ET.parse(tmp_path / "walls.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"
    header = (tmp_path / "walls.png").read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(header[16:20]), int.from_bytes(header[20:24])) == (1500, 630)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["walls.png", "walls.svg"]


def test_a_picture_that_cannot_be_drawn_is_refused_before_anything_is_rendered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli_bench.check_plot(tmp_path / "walls.SVG")
    with pytest.raises(ConfigError, match="is no picture"):
        cli_bench.check_plot(tmp_path / "walls.pdf")
    with pytest.raises(ConfigError, match="there is no folder"):
        cli_bench.check_plot(tmp_path / "new" / "walls.svg")
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(ConfigError, match="needs matplotlib") as refused:
        cli_bench.check_plot(tmp_path / "walls.png")
    assert 'pip install "fleetrender[bench]"' in refused.value.remedy


def test_a_round_that_fails_fails_the_benchmark_as_it_would_have_failed_alone() -> None:
    said = "2026-03-01 warning: error: no\nerror: frame 3: the page threw\n  at x.js:1\n\nhint: mend it\n"
    error = bench_run.failure(4, said)
    assert (str(error), error.remedy, error.exit_code) == (
        "frame 3: the page threw\n  at x.js:1",
        "mend it",
        ExitCode.COMPOSITION,
    )
    killed = bench_run.failure(-9, "")
    assert (str(killed), killed.exit_code) == ("a render ended with -9", ExitCode.BUG)


@pytest.mark.browser
@pytest.mark.ffmpeg
def test_a_tiny_composition_in_one_and_in_two_chunks(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(PAGE)
    ended = fleetrender(
        tmp_path, "bench", tmp_path, "--chunks", "1,2", "--iterations", "1", "--json", "--output-dir", "kept"
    )
    assert ended.code == 0, ended.stderr
    result = ended.result
    assert (result["frames"], result["identical_videos"]) == (6, True)
    for row, chunks in zip(result["settings"], (1, 2), strict=True):
        (one,) = row["rounds"]
        assert (row["chunks"], len(one["chunks_s"])) == (chunks, chunks)
        assert 0 < max(one["chunks_s"]) < row["first_frame_s"] + one["wall_s"]
        assert 0 < one["first_frame_s"] < one["wall_s"] == row["worst_s"]
    assert [line.partition(",")[0] for line in ended.stderr.splitlines()] == [
        "warming up",
        "round 1 of 2",
        "round 2 of 2",
    ]
    names = ["round-001-chunks-1.jsonl", "round-001-chunks-1.mp4", "round-002-chunks-2.jsonl", "round-002-chunks-2.mp4"]
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == names
    assert media.probe(tmp_path / "kept" / names[1]).streams[0].packets == 6
    assert not list((tmp_path / "state").glob("bench-*"))


@pytest.mark.browser
@pytest.mark.ffmpeg
def test_stopped_a_benchmark_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(PAGE)
    process = subprocess.Popen(
        command("bench", tmp_path, "--chunks", "1"),
        cwd=tmp_path,
        env=environment(tmp_path) | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline_s = time.monotonic() + WAIT_S
    while not list((tmp_path / "state").glob("bench-*/round/state/runs/*/events.jsonl")):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, stderr = process.communicate(timeout=WAIT_S)
    assert process.returncode == ExitCode.INTERRUPTED, stderr
    assert (out, "error: interrupted" in stderr) == ("", True)
    assert left_of(tmp_path) == []
    assert not list((tmp_path / "state").glob("bench-*"))
