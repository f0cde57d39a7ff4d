"""What the probe of a browser found, kept on its host for agents to come: a launch that every warm start would pay.

The name of the file is a digest of all that the finding depends on: kernel and boot, user, driver, every file beside
the browser, flags, arguments and what of the environment reaches its libraries. So what has changed is not found. What
slips through all the same, workers notice: each compares the version that its own browser tells (`capture/worker.py`).
"""

import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path

from capture import browser, wire
from capture.protocol import BrowserFacts, CaptureMode, HostFacts

# Another way of probing must not find what this one kept.
RECIPE = 1
AGE_S = 24 * 3600.0  # whatever nobody has thought of costs one launch a day
# A folder without it holds a script, or a program that starts a browser from elsewhere: that may change unseen.
RENDERER = "libvk_swiftshader.so"
_ENVIRONMENT = re.compile(r"LD_.*|VK_.*|.*GL.*|MESA_.*|GALLIUM_.*|CHROM.*")
_SYSTEM = ("/proc/sys/kernel/random/boot_id", "/proc/version", "/proc/driver/nvidia/version")


class Remembered:
    """The one finding that holds for this host, browser and way of starting it, as far as can be seen."""

    def __init__(self, folder: Path, chromium: str, args: Sequence[str], *, sandbox: bool, facts: HostFacts) -> None:
        known = _identity(chromium, args, sandbox=sandbox, facts=facts)
        name = hashlib.sha256(json.dumps(known).encode()).hexdigest() if known else ""
        self._file = folder / name if name else None

    def read(self) -> BrowserFacts | None:
        """What a probe found here, or None when none is known, or not to be relied on."""
        if self._file is None:
            return None
        try:
            is_old = abs(time.time() - self._file.stat().st_mtime) > AGE_S
            return None if is_old else wire.from_plain(BrowserFacts, json.loads(self._file.read_text()))
        except (OSError, ValueError, wire.WireError):
            return None

    def write(self, found: BrowserFacts) -> None:
        """Keeps `found`, in place of all others; not being able to is no failure."""
        if self._file is None:
            return
        part = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(mode=0o700, exist_ok=True)
            self.forget()
            part.write_text(json.dumps(wire.to_plain(found)))
            part.replace(self._file)

    def forget(self) -> None:
        """Keeps nothing any more, of whichever browser."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                for file in self._file.parent.iterdir():
                    file.unlink()


def _identity(chromium: str, args: Sequence[str], *, sandbox: bool, facts: HostFacts) -> object:
    """All that the finding depends on; None when that cannot be told."""
    program = Path(chromium).resolve()
    try:
        files = sorted(_stamp(entry) for entry in os.scandir(program.parent))
    except OSError:
        return None
    if not (program.parent / RENDERER).is_file():
        return None
    flags = browser.flags(mode=CaptureMode.BEGIN_FRAME, size=(0, 0), profile=Path(), sandbox=sandbox)
    environment = sorted((name, text) for name, text in os.environ.items() if _ENVIRONMENT.fullmatch(name))
    system = [_text(path) for path in _SYSTEM]
    devices = sorted(map(str, Path("/dev/dri").glob("*")))
    user = [os.geteuid(), facts.can_sandbox, facts.cpu_model, facts.cpu_vectors]
    return [RECIPE, str(program), files, flags, list(args), environment, system, devices, user]


def _stamp(entry: "os.DirEntry[str]") -> tuple[str, int, int, int, int]:
    found = entry.stat()
    return entry.name, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
