"""What a start does not import: each of these takes longer than most of what it needs."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from fleetrender_support import EXAMPLES, ROOT, environment

HEAVY = ("asyncssh", "cryptography", "email.message", "fabric", "http.client", "paramiko", "playwright", "pydantic")
# Terminals and fonts that a page brings along are not everywhere.
SELDOM = ("brotli", "fontTools", "rich", "uharfbuzz")


@pytest.mark.parametrize(
    ("modules", "unused"),
    [
        ("fleet.cli, fleet.render, fleet.progress", (*HEAVY, *SELDOM)),
        ("fleet.cli_bench, fleet.cli_hosts, fleet.cli_inspect, fleet.cli_verify", HEAVY),
        ("capture.agent, capture.worker, capture.examine", (*HEAVY, *SELDOM)),
    ],
    ids=["a render from cron", "the help of every command", "an agent and its workers"],
)
def test_nothing_heavy_is_imported_that_is_not_used(modules: str, unused: tuple[str, ...]) -> None:
    code = f"import {modules}, sys; print(*(name for name in {unused} if name in sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == []


def test_nothing_heavy_reads_the_options_of_a_render(tmp_path: Path) -> None:
    code = "from fleet.__main__ import main; main()"
    asked = [sys.executable, "-X", "importtime", "-c", code, "run", str(EXAMPLES / "barcode"), "--dry-run", "--json"]
    ended = subprocess.run(asked, env=environment(tmp_path) | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    imported = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}
    assert {"fleet.cli", "fleet.render"} < imported
    assert imported & {*HEAVY, *SELDOM} == set()


def test_commands_beside_run_are_still_there() -> None:
    said = subprocess.run([sys.executable, "-m", "fleet", "--help"], capture_output=True, text=True, check=True).stdout
    for name in ("run", "doctor", "hosts", "inspect", "snapshot", "verify"):
        assert f" {name} " in said


def test_the_version_is_said() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "fleet", "--version"], capture_output=True, text=True, check=True
    ).stdout
    assert said == f"fleetrender {metadata.version('fleetrender')}\n"
