"""Where it may not install, `scripts/install` says exactly what to install, and ends with 2."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# All that the script itself needs, and nothing of what it looks for.
TOOLS = ("bash", "cat", "dirname", "env", "id", "sh", "setpriv")


@pytest.mark.parametrize("script", ["demo", "test"])
def test_without_root_the_missing_packages_are_named(tmp_path: Path, script: str) -> None:
    tools, checkout = tmp_path / "bin", tmp_path / "checkout"
    tools.mkdir()
    for tool in TOOLS:
        (tools / tool).symlink_to(shutil.which(tool) or tool)
    shutil.copytree(ROOT / "scripts", checkout / "scripts")
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o755)
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
