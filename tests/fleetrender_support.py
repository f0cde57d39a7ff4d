"""Runs the real `fleetrender` program with a state and cache directory of each test's own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
# The longest render of these tests takes half a minute on two idle cores.
RENDER_TIMEOUT_S = 280
# Scripts fetched for the examples are shared between test runs.
SHARED_CACHE = Path(os.environ.get("FLEETRENDER_TEST_CACHE") or Path.home() / ".cache" / "fleetrender-tests" / "cache")
# So is what else is named by its content. What hosts and frames cost is not: each test says how its hosts are.
_SHARED = ("agents", "blobs", "bundles", "urls")


@dataclass(frozen=True, slots=True)
class Ended:
    """How one command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def result(self) -> dict[str, Any]:
        """What `--json` printed."""
        found = json.loads(self.stdout)
        assert isinstance(found, dict)
        return found


def environment(home: Path) -> dict[str, str]:
    """What a cron job has, plus directories below `home`."""
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(home),
        "FLEETRENDER_STATE": str(home / "state"),
        "FLEETRENDER_CACHE": str(_cache(home)),
    }


def _cache(home: Path) -> Path:
    cache = home / "cache"
    for name in _SHARED:
        shared, own = (root / "coordinator" / name for root in (SHARED_CACHE, cache))
        for folder in (shared, own.parent):
            folder.mkdir(parents=True, exist_ok=True)
        if not own.is_symlink():
            own.symlink_to(shared)
    return cache


def command(*arguments: str | Path) -> list[str]:
    """The program of this checkout."""
    return [sys.executable, "-m", "fleet", *map(str, arguments)]


def fleetrender(home: Path, *arguments: str | Path, cwd: Path | None = None, **variables: str) -> Ended:
    """Runs a command to its end, without a terminal and without input, with more environment `variables`."""
    done = subprocess.run(
        command(*arguments),
        cwd=cwd or home,
        env=environment(home) | {"PYTHONPATH": str(ROOT)} | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RENDER_TIMEOUT_S,
    )
    return Ended(done.returncode, done.stdout, done.stderr)
