"""What a start does not import: each of these takes longer than most of what it needs."""

import subprocess
import sys
from importlib import metadata

import pytest

HEAVY = ("asyncssh", "cryptography", "email.message", "fabric", "http.client", "paramiko", "playwright")


@pytest.mark.parametrize(
    "modules",
    [
        "fleet.cli, fleet.render, fleet.progress",
        "fleet.cli_bench, fleet.cli_hosts, fleet.cli_inspect, fleet.cli_verify",
        "capture.agent, capture.worker, capture.examine",
    ],
    ids=["a render on this machine", "the help of every command", "an agent and its workers"],
)
def test_nothing_heavy_is_imported_that_is_not_used(modules: str) -> None:
    code = f"import {modules}, sys; print(*(name for name in {HEAVY} if name in sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == []


def test_commands_beside_run_are_still_there() -> None:
    said = subprocess.run([sys.executable, "-m", "fleet", "--help"], capture_output=True, text=True, check=True).stdout
    for name in ("run", "doctor", "hosts", "inspect", "snapshot", "verify"):
        assert f" {name} " in said


def test_the_version_is_said() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "fleet", "--version"], capture_output=True, text=True, check=True
    ).stdout
    assert said == f"fleetrender {metadata.version('fleetrender')}\n"
