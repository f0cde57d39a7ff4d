"""Quotas and memory limits of control groups, on hosts drawn as directory trees."""

from pathlib import Path

import pytest

from capture.cgroups import Allowance, memory_pressure, read, tightest

MIB = 1024 * 1024
V2 = "31 23 0:28 {root} /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw\n"
V1 = (
    "32 31 0:29 {root} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 {root} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
)
NOTHING = Allowance(None, None, None)


def draw(root: Path, *, groups: str, mounts: str, files: dict[str, str]) -> Path:
    texts = {"proc/self/cgroup": groups, "proc/self/mountinfo": mounts}
    texts |= {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_a_host_without_groups_limits_nothing(tmp_path: Path) -> None:
    assert read(tmp_path) == NOTHING


def test_the_strictest_of_nested_groups_counts_in_version_2(tmp_path: Path) -> None:
    files = {
        "cpu.max": "max 100000\n",
        "a/cpu.max": "150000 100000\n",
        "a/b/cpu.max": "400000 100000\n",
        "a/memory.max": "max\n",
        "a/memory.current": "1\n",
        "a/b/memory.max": f"{1000 * MIB}\n",
        "a/b/memory.current": f"{900 * MIB}\n",
        "a/b/memory.stat": f"anon 5\ninactive_file {300 * MIB}\nactive_file {7 * MIB}\n",
    }
    host = draw(tmp_path, groups="0::/a/b\n", mounts=V2.format(root="/"), files=files)
    assert read(host) == Allowance(1.5, 1000 * MIB, 407 * MIB)


def test_the_strictest_of_nested_groups_counts_in_version_1(tmp_path: Path) -> None:
    files = {
        "cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
        "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        "cpu,cpuacct/a/cpu.cfs_quota_us": "50000\n",
        "cpu,cpuacct/a/cpu.cfs_period_us": "100000\n",
        "memory/memory.limit_in_bytes": "9223372036854771712\n",
        "memory/memory.usage_in_bytes": "5\n",
        "memory/m/memory.limit_in_bytes": f"{512 * MIB}\n",
        "memory/m/memory.usage_in_bytes": f"{100 * MIB}\n",
        "memory/m/memory.stat": f"total_inactive_file {40 * MIB}\n",
    }
    groups = "5:memory:/m\n3:cpu,cpuacct:/a/deep\n0::/\n"
    host = draw(tmp_path, groups=groups, mounts=V1.format(root="/"), files=files)
    assert read(host) == Allowance(0.5, 512 * MIB, 452 * MIB)


@pytest.mark.parametrize("own", ["/docker/xyz", "/docker/xyz/inner"])
def test_in_a_container_the_mounted_group_is_the_root(tmp_path: Path, own: str) -> None:
    files = {"cpu.max": "200000 100000\n"}
    host = draw(tmp_path, groups=f"0::{own}\n", mounts=V2.format(root="/docker/xyz"), files=files)
    assert read(host).cpu_quota == 2.0


def test_a_group_of_another_namespace_stands_for_the_mounted_one(tmp_path: Path) -> None:
    host = draw(tmp_path, groups="0::/../sibling\n", mounts=V2.format(root="/"), files={"cpu.max": "100000 100000\n"})
    assert read(host).cpu_quota == 1.0


def test_damaged_files_limit_nothing(tmp_path: Path) -> None:
    files = {"cpu.max": "rubbish\n", "memory.max": "", "memory.current": "x"}
    host = draw(tmp_path, groups="0::/\n", mounts=V2.format(root="/"), files=files)
    assert read(host) == NOTHING


@pytest.mark.parametrize(
    ("groups", "mounts", "files"),
    [
        (
            "0::/a/b\n",
            V2.format(root="/"),
            {
                "a/cpu.max": "150000 100000\n",
                "a/cpu.stat": "usage_usec 2500000\nuser_usec 1\n",
                "a/b/cpu.max": "400000 100000\n",
                "a/b/cpu.stat": "usage_usec 7\n",
            },
        ),
        (
            "3:cpu,cpuacct:/a\n0::/\n",
            V1.format(root="/"),
            {
                "cpu,cpuacct/a/cpu.cfs_quota_us": "150000\n",
                "cpu,cpuacct/a/cpu.cfs_period_us": "100000\n",
                "cpu,cpuacct/a/cpuacct.usage": "2500000000\n",
            },
        ),
    ],
    ids=["version 2", "version 1"],
)
def test_the_group_with_the_least_quota_says_what_was_used(
    tmp_path: Path, groups: str, mounts: str, files: dict[str, str]
) -> None:
    group = tightest(draw(tmp_path, groups=groups, mounts=mounts, files=files))
    assert group is not None
    assert (group.quota, group.folder.name, group.used_ms()) == (1.5, "a", 2500)


def test_a_quota_without_a_count_beside_it_says_nothing(tmp_path: Path) -> None:
    files = {"cpu,cpuacct/a/cpu.cfs_quota_us": "50000\n", "cpu,cpuacct/a/cpu.cfs_period_us": "100000\n"}
    assert tightest(draw(tmp_path, groups="3:cpu,cpuacct:/a\n", mounts=V1.format(root="/"), files=files)) is None


PRESSURE = "some avg10={} avg60=0.00 avg300=0.00 total=5\nfull avg10=99.00 avg60=0.00 avg300=0.00 total=1\n"


def test_the_pressure_of_the_host_or_of_the_worst_group_counts(tmp_path: Path) -> None:
    files = {"memory.pressure": PRESSURE.format("1.00"), "a/memory.pressure": PRESSURE.format("12.50")}
    host = draw(tmp_path, groups="0::/a\n", mounts=V2.format(root="/"), files=files)
    assert memory_pressure(host) == 12.5
    (host / "proc/pressure").mkdir()
    (host / "proc/pressure/memory").write_text(PRESSURE.format("40.01"))
    assert memory_pressure(host) == 40.01


def test_a_kernel_that_does_not_measure_pressure_has_none(tmp_path: Path) -> None:
    host = draw(tmp_path, groups="0::/\n", mounts=V2.format(root="/"), files={"memory.pressure": "rubbish"})
    assert memory_pressure(host) == 0.0
