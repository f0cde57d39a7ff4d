"""Facts give findings: one JSON file per kind of host says what it looks like and what we must say about it."""

import dataclasses
from collections import Counter
from typing import Any

import pytest
from hosts_support import FACTS, examined, read
from hypothesis import given
from hypothesis import strategies as st

from fleet import checks
from fleet.checks import Examined
from fleet.model import Host, Severity


def fleet(**changes_by_host: dict[str, Any]) -> list[Examined]:
    return [
        examined("workstation", host=Host(name=name), **{"facts_machine_id": name, **changes})
        for name, changes in changes_by_host.items()
    ]


@pytest.mark.parametrize("name", sorted(path.stem for path in FACTS.glob("*.json")))
def test_a_host_gets_exactly_the_findings_its_file_names(name: str) -> None:
    findings = checks.judge(examined(name))
    assert [f"{each.severity.value} {each.code}" for each in findings] == read(name)["findings"]
    assert all(each.message and each.remedy and each.where == name for each in findings)


@pytest.mark.parametrize("check", checks.HOST_CHECKS, ids=lambda check: check.__name__)
def test_every_check_fails_for_some_host_and_passes_for_another(check: checks.Check) -> None:
    known = [each for path in FACTS.glob("*.json") if (each := examined(path.stem)).facts]
    assert {check(each, each.facts) is None for each in known if each.facts} == {True, False}


def test_root_is_refused_over_ssh_unless_the_hosts_file_gives_up_the_sandbox_and_told_here() -> None:
    over_ssh = examined("docker-root")
    for host in (
        dataclasses.replace(over_ssh.host, sandbox=False),
        dataclasses.replace(over_ssh.host, transport="local"),
    ):
        findings = checks.judge(dataclasses.replace(over_ssh, host=host))
        assert [finding.severity for finding in findings if finding.code == "root"] == [Severity.WARNING]


def test_hosts_with_errors_or_without_facts_are_not_usable() -> None:
    hosts = [examined(name) for name in ("workstation", "fresh-ubuntu", "asleep", "docker-root", "trusting-host")]
    assert [each.host.name for each in checks.usable(hosts, checks.run(hosts))] == ["workstation", "trusting-host"]
    silent = [Examined(host=Host(name="silent"))]
    assert checks.usable(silent, checks.run(silent)) == ()


def test_equal_hosts_compare_without_findings() -> None:
    assert checks.compare(fleet(a={}, b={}, c={})) == ()


@pytest.mark.parametrize(
    ("change", "severity", "code"),
    [
        ({"browser_version": "155.0.1"}, Severity.ERROR, "browser-differs"),
        ({"browser_gl_renderer": "llvmpipe"}, Severity.ERROR, "gl-differs"),
        ({"facts_architecture": "aarch64"}, Severity.ERROR, "architecture-differs"),
        ({"facts_fonts_digest": "77c0"}, Severity.WARNING, "fonts-differ"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_host_that_is_unlike_the_others_is_named(change: dict[str, Any], severity: Severity, code: str) -> None:
    (finding,) = checks.compare(fleet(a={}, b=change, c={}))
    assert (finding.severity, finding.code, finding.where) == (severity, code, "b")
    assert "unlike that of 2 other hosts" in finding.message


def test_of_two_unlike_hosts_the_first_one_counts() -> None:
    (finding,) = checks.compare(fleet(a={}, b={"browser_version": "155.0.1"}))
    assert finding.where == "b"


def test_browsers_are_compared_by_facts_where_no_probe_was_possible() -> None:
    unprobed = {"browser": None, "facts_chromium_version": "Chromium 155.0.1"}
    (finding,) = checks.compare(fleet(a={}, b={}, c=unprobed))
    assert (finding.code, finding.where) == ("browser-differs", "c")
    same = {"browser": None, "facts_chromium_version": "Chromium 156.0.8078.79 built on Debian"}
    assert checks.compare(fleet(a={"browser_version": "HeadlessChrome/156.0.8078.79"}, b=same)) == ()


def test_a_machine_under_two_names_is_noticed() -> None:
    (finding,) = checks.compare(fleet(a={}, b={"facts_machine_id": "a"}))
    assert (finding.code, finding.where) == ("same-machine", "b")
    assert "same machine as a" in finding.message


def test_hosts_that_did_not_answer_are_not_compared() -> None:
    assert checks.compare([*fleet(a={}), examined("asleep"), Examined(host=Host(name="x"))]) == ()


@given(st.lists(st.sampled_from(["1.0", "2.0", "3.0"]), max_size=9))
def test_those_who_are_left_agree_and_are_the_most(versions: list[str]) -> None:
    hosts = fleet(**{f"h{n}": {"browser_version": version} for n, version in enumerate(versions)})
    left = [each.browser.version for each in checks.usable(hosts, checks.compare(hosts)) if each.browser]
    assert len(set(left)) <= 1
    assert len(left) == max(Counter(versions).values(), default=0)


@given(st.text(max_size=30) | st.none())
def test_a_version_is_found_in_anything(text: str | None) -> None:
    assert all(number >= 0 for number in checks.version(text))


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("Chromium 156.0.8078.79 built on Debian", (156, 0, 8078, 79)), ("3.11.2+", (3, 11, 2)), ("v?", ()), (None, ())],
)
def test_versions_are_read_as_numbers(text: str | None, numbers: tuple[int, ...]) -> None:
    assert checks.version(text) == numbers
