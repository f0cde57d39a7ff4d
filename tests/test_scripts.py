"""Where it may not install, `scripts/install` says exactly what to install, and ends with 2."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# All that the script itself needs, and nothing of what it looks for.
TOOLS = ("bash", "cat", "dirname", "env", "id", "sh", "setpriv")


@pytest.fixture
def readable() -> Iterator[Path]:
    """A directory that every user may enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.mark.parametrize("script", ["demo", "test"])
def test_without_root_the_missing_packages_are_named(readable: Path, script: str) -> None:
    tools, checkout = readable / "bin", readable / "checkout"
    tools.mkdir()
    for tool in TOOLS:
        (tools / tool).symlink_to(shutil.which(tool) or tool)
    shutil.copytree(ROOT / "scripts", checkout / "scripts")
    unprivileged = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*unprivileged, "bash", str(checkout / "scripts" / script)],
        env={"PATH": str(tools), "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    missing, _, hint = done.stderr.partition("hint: ")
    for package in ("python3", "chromium-headless-shell", "ffmpeg", "rsync", "npm"):
        assert package in missing
    for manager in ("apt-get", "dnf", "pacman", "zypper"):
        assert manager in hint
    assert not (checkout / ".venv").exists()
