"""What cores did: counted on a host, told in messages, folded into one bar for each machine."""

import dataclasses
import functools
import io
import os
from pathlib import Path
from typing import Any

import pytest
from events_support import RUN, STARTED, record
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from capture import cores as host_cores
from capture.cores import CoreMeter, Cores
from capture.protocol import CoreUse
from fleet import cores, events, progress, report, telling, view
from fleet.cores import Load

STAT = """cpu  300 30 300 900 90 0 30 60 0 0
cpu0 100 10 100 300 30 0 10 20 0 0
cpu1 200 20 200 600 60 0 20 40 0 0
intr 1 2 3
"""
USE = CoreUse(place="m", cores=2.0, steps_ms=(1000, 1000), busy_ms=(2000, 500))


def told(at_s: float, host: str, use: CoreUse = USE, **changes: object) -> tuple[float, events.CoresUsed]:
    return at_s, events.CoresUsed(host, dataclasses.replace(use, **changes))  # type: ignore[arg-type]


def machine(root: Path, stat: str = STAT) -> Path:
    for name, text in {"proc/stat": stat, "proc/sys/kernel/random/boot_id": "40e8cf32-687e-4ede\n"}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_waiting_and_what_other_machines_took_is_not_busy(tmp_path: Path) -> None:
    found = host_cores.find(machine(tmp_path), frozenset({0, 1}))
    assert found is not None
    assert (found.place, found.count) == ("40e8cf32", 2.0)
    assert found.busy_ms() == 660 * 1000 // os.sysconf("SC_CLK_TCK")


def test_only_the_cores_that_may_be_used_count(tmp_path: Path) -> None:
    found = host_cores.find(machine(tmp_path), frozenset({1}))
    assert found is not None
    assert (found.count, found.busy_ms()) == (1.0, 440 * 1000 // os.sysconf("SC_CLK_TCK"))


def test_a_quota_that_binds_is_a_place_of_its_own(tmp_path: Path) -> None:
    group = machine(tmp_path) / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (tmp_path / "proc/self").mkdir()
    (tmp_path / "proc/self/cgroup").write_text("0::/\n")
    mount = "31 23 0:28 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw\n"
    (tmp_path / "proc/self/mountinfo").write_text(mount)
    (group / "cpu.max").write_text("50000 100000\n")
    (group / "cpu.stat").write_text("usage_usec 1500000\n")
    found = host_cores.find(tmp_path, frozenset({0, 1}))
    assert found is not None
    assert (found.place, found.count, found.busy_ms()) == (f"40e8cf32-{group.stat().st_ino}", 0.5, 1500)


def test_a_system_without_proc_says_nothing(tmp_path: Path) -> None:
    assert host_cores.find(tmp_path) is None
    assert CoreMeter(None).take() is None


def test_this_machine_is_busy_while_we_count() -> None:
    found = host_cores.find()
    assert found is not None
    before_ms = found.busy_ms()
    while found.busy_ms() == before_ms:  # our own spinning makes it so
        pass
    assert 0 < found.count <= (os.cpu_count() or 1)


def test_steps_grow_with_the_time_that_has_passed() -> None:
    now_s = [0.0]
    meter = CoreMeter(Cores("m", 2.0, lambda: int(now_s[0] * 1500)), lambda: now_s[0])
    for tick in range(1, 10_001):  # a thousand seconds
        now_s[0] = tick / 10
        meter.tick()
    use = meter.take()
    assert use is not None
    assert use.steps_ms[:4] == (300, 300, 300, 300)
    assert use.steps_ms[-2] == 10_000
    assert len(use.steps_ms) < 500
    assert sum(use.steps_ms) == 1_000_000
    assert sum(use.busy_ms) == 1_500_000
    now_s[0] += 0.1
    again = meter.take()
    assert again is not None
    assert (again.steps_ms, again.busy_ms) == ((100,), (150,))
    assert meter.take() is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"busy_ms": (1,)},
        {"steps_ms": (0, 1)},
        {"busy_ms": (-1, 0)},
        {"cores": 1e9},
        {"cores": 0.0},
        {"place": "m" * 99},
    ],
    ids=["unequal", "no time", "given back", "too many cores", "none", "long"],
)
def test_what_cannot_be_is_no_message(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"cores|steps"):
        dataclasses.replace(USE, **wrong)


def test_a_run_is_cut_into_equal_times() -> None:
    (load,) = cores.fold([told(2.0, "a")], 3.0)
    assert load.shares == (1.0,) * 10 + (0.25,) * 10 + (None,) * 10
    assert (load.hosts, load.is_coordinator, load.cores) == (("a",), False, 2.0)
    assert load.busy_s == pytest.approx(2.5)
    assert load.mean == pytest.approx(0.625)


def test_one_machine_is_told_of_once_and_by_who_saw_all_of_it() -> None:
    late = told(1.0, "a", steps_ms=(1000,), busy_ms=(0,), cores=64.0)
    first, second = cores.fold([late, told(1.0, "b", place="other"), told(2.0, "")], 2.0)
    assert (first.hosts, first.is_coordinator, first.cores) == (("a",), True, 2.0)
    assert first.mean == pytest.approx(0.625)
    assert (second.hosts, second.is_coordinator) == (("b",), False)


def test_two_hosts_on_one_machine_are_one_row() -> None:
    (load,) = cores.fold([told(2.0, "a"), told(2.0, "b")], 2.0)
    assert load.hosts == ("a", "b")
    assert load.busy_s == pytest.approx(2.5)


@given(
    steps=st.lists(st.tuples(st.integers(1, 20_000), st.integers(0, 50_000)), min_size=1, max_size=60),
    end_s=st.floats(0, 400),
    late_s=st.floats(0, 400),
)
def test_shares_are_parts_of_the_cores_whatever_a_host_says(
    steps: list[tuple[int, int]], end_s: float, late_s: float
) -> None:
    steps_ms, busy_ms = zip(*steps, strict=True)
    (load,) = cores.fold([told(late_s, "a", steps_ms=steps_ms, busy_ms=busy_ms)], end_s)
    assert len(load.shares) == cores.BUCKETS
    assert all(share is None or 0 <= share <= 1 for share in load.shares)
    assert 0 <= load.mean <= 1
    assert load.busy_s <= sum(busy_ms) / 1000 + 1e-6
    assert cell_len(cores.bar(load.shares, is_ascii=False)) == len(cores.bar(load.shares, is_ascii=True))


def load(name: str, mean: float, cores_: float = 2.0) -> Load:
    shares = (None, 0.0, 0.5, *(mean,) * 27)
    return Load(hosts=(name,), is_coordinator=False, cores=cores_, busy_s=1.0, mean=mean, shares=shares)


def test_bars_stand_below_each_other_in_characters_that_the_terminal_has() -> None:
    loads = [load("studio", 1.0, 16.0), dataclasses.replace(load("", 0.07), hosts=())]
    assert cores.lines(loads, is_ascii=False) == [
        "cores  studio   ▁▅███████████████████████████  100 % of 16 busy",
        "cores  here     ▁▅▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁    7 % of 2 busy",
    ]
    assert cores.lines(loads, is_ascii=True)[
        0
    ] == "cores  studio   _=***************************  100 % of 16 busy".replace("*", "#")


def test_of_a_large_fleet_those_that_idle_are_shown() -> None:
    rows = cores.lines([load(f"rack-{at}", at / 20) for at in range(20)], is_ascii=False)
    assert [row.split()[1] for row in rows[:-1]] == [f"rack-{at}" for at in range(cores.ROWS_MAX)]
    assert rows[-1] == "cores  and 12 more, which idled less: see `cores` in the report"


@given(
    name=st.text(st.characters(codec="ascii"), max_size=60),
    mean=st.floats(0, 1),
    count=st.floats(0.1, 8192).map(lambda count: round(count, 2)),
)
def test_no_line_is_wider_than_eighty_columns(name: str, mean: float, count: float) -> None:
    (line,) = cores.lines([load(name, mean, count)], is_ascii=True)
    assert cell_len(line) <= 80
    assert line.isprintable()


def test_the_log_becomes_numbers_in_the_report_and_bars_at_the_end() -> None:
    log = [record(0, STARTED), record(2, events.CoresUsed("local", USE)), record(2, events.CoresUsed("", USE))]
    folded = report.fold([*log, record(2, RUN[-1].event)])
    assert folded["cores"] == [
        {
            "hosts": ["local"],
            "is_coordinator": True,
            "cores": 2.0,
            "busy_s": 2.5,
            "mean": 0.625,
            "shares": [1.0] * 15 + [0.25] * 15,
        }
    ]
    it = functools.reduce(view.fold, [*log, record(2, RUN[-1].event)], view.View())
    assert telling.core_bars(it, "utf-8") == ["cores  local  " + "█" * 15 + "▃" * 15 + "   62 % of 2 busy"]
    assert telling.core_bars(it, None) == ["cores  local  " + "#" * 15 + ":" * 15 + "   62 % of 2 busy"]


def test_without_a_terminal_bars_are_lines_too() -> None:
    shown = io.BytesIO()
    screen = progress.PlainScreen(io.TextIOWrapper(shown, encoding="latin-1"))
    for one in (record(0, STARTED), record(2, events.CoresUsed("", USE)), record(2, RUN[-1].event)):
        screen.handle(one)
    assert shown.getvalue().decode().splitlines()[-1].endswith(f"cores  here  {'#' * 15}{':' * 15}   62 % of 2 busy")
