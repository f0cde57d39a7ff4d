"""Imported first by the scripts beside it: they run in the environment of this checkout, and measure its own code."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / ".venv" / "bin" / "python"

if Path(sys.prefix).resolve() != (ROOT / ".venv").resolve():
    if not PYTHON.exists():
        sys.exit(f"error: this checkout has no environment: {ROOT}\n\nhint: run `scripts/install --test` first")
    os.execv(PYTHON, [str(PYTHON), *sys.argv])
# What is installed has its bytecode beside it; without, each start compiles for half a second.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Whichever checkout the environment has installed.
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
