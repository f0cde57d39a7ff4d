"""The facts of this host: what it is, has and allows. Judges nothing; `fleet/checks.py` does.

Pulls in no browser: what the browser can do is another probe's question.
"""

import contextlib
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from capture import browser, cgroups, encoder
from capture.protocol import HostFacts

_TIMEOUT_S = 20.0
# Shells of non-interactive logins leave these out of PATH on some systems.
_EXTRA_PATH = ("/usr/local/bin", "/usr/bin", "/bin", "/opt/homebrew/bin")
_FONT_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts")
_FONT_SUFFIXES = frozenset({".ttf", ".otf", ".ttc", ".otc", ".pfb", ".pcf", ".woff", ".woff2"})
# Which of these a CPU has decides what code Skia and SwiftShader run, and with it how they round.
_VECTORS = ("sse4_1", "avx", "avx2", "fma", "avx512f")
_HUGE_PAGES = "/sys/kernel/mm/transparent_hugepage"
# Asks the kernel itself, in a process of its own: sysctls and security modules each tell only a part.
_TRY_USER_NAMESPACE = "import ctypes,sys; sys.exit(ctypes.CDLL(None).unshare(0x10000000) != 0)"


def facts(workspace: Path, chromium: str | None = None) -> HostFacts:
    """Everything about this host. `chromium` is the configured path, if any."""
    # Three programs take longer than all the rest: they are asked at the same time, and first.
    found = browser.find(chromium)
    rsync = _which("rsync")
    about_browser = _Program([found, "--version"]) if found else None
    about_sandbox = _Program([sys.executable, "-ISc", _TRY_USER_NAMESPACE])
    about_rsync = _Program([rsync, "--version"]) if rsync else None
    allowance = cgroups.read()
    affinity = len(os.sched_getaffinity(0))
    fonts = sorted(_fonts())
    disk = os.statvfs(_existing(workspace))
    return HostFacts(
        python=platform.python_version(),
        kernel=platform.release(),
        architecture=platform.machine(),
        machine_id=machine_id(),
        is_root=os.geteuid() == 0,
        workspace=str(workspace),
        cpu_count=os.cpu_count() or affinity,
        cpu_affinity=affinity,
        cpu_quota=allowance.cpu_quota,
        memory_total_bytes=_memory("MemTotal"),
        memory_available_bytes=memory_available(),
        memory_limit_bytes=allowance.memory_limit_bytes,
        disk_free_bytes=disk.f_bavail * disk.f_frsize,
        shm_bytes=_shm_bytes(),
        chromium=found,
        chromium_version=browser.version(about_browser.answer()) if about_browser else None,
        rsync=rsync,
        ffmpeg=encoder.find(),
        rsync_version=_rsync_version(about_rsync.answer()) if about_rsync else None,
        fonts_digest=hashlib.sha256("\n".join(fonts).encode()).hexdigest(),
        fonts_count=len(fonts),
        unix_time_s=time.time(),
        can_sandbox=about_sandbox.is_well(),
        cpu_model=_cpu("model name"),
        cpu_vectors=tuple(flag for flag in _VECTORS if flag in _cpu("flags").split()),
        has_huge_pages=_has_huge_pages(),
    )


def machine_id() -> str:
    """Twelve digits that differ between hosts, also between containers of one image that share a home."""
    identity = _text("/etc/machine-id") or _text("/var/lib/dbus/machine-id")
    return hashlib.sha256(f"{identity.strip()} {platform.node()}".encode()).hexdigest()[:12]


def memory_available() -> int:
    """Bytes that new processes can use without swapping, here and now."""
    by_host, by_group = _memory("MemAvailable"), cgroups.read().memory_free_bytes
    return by_host if by_group is None else min(by_host, by_group)


def memory_pressure() -> float:
    """The percentage of the last seconds in which some task waited for memory; 0 where the kernel does not say."""
    return cgroups.memory_pressure()


def oom_kills() -> int:
    """How many processes the kernel has killed for memory since it started; 0 where it does not say."""
    found = re.search(r"^oom_kill (\d+)$", _text("/proc/vmstat"), re.MULTILINE)
    return int(found[1]) if found else 0


def _fonts() -> Iterator[str]:
    """Name and size of every font file.

    Files rather than `fc-list`: hosts without that program then still compare equal to hosts that have it.
    """
    for folder in _FONT_FOLDERS:
        for place, _, names in os.walk(Path(folder).expanduser()):
            fonts = (Path(place, name) for name in names if Path(name).suffix.lower() in _FONT_SUFFIXES)
            yield from (f"{font.name} {font.stat().st_size}" for font in fonts if font.is_file())


def _rsync_version(said: str) -> str | None:
    found = re.search(r"version (\S+)", said)
    return found[1] if found else None


class _Program:
    """A program that was started to say a few words, or to end well."""

    def __init__(self, argv: list[str]) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        with contextlib.suppress(OSError):
            self._process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )

    def answer(self) -> str:
        """What it says; nothing when it does not end, or not well."""
        if self._process is None:
            return ""
        try:
            said, _ = self._process.communicate(timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            return ""
        return "" if self._process.returncode else said.decode(errors="replace")

    def is_well(self) -> bool:
        """Whether it ends well."""
        self.answer()
        return self._process is not None and self._process.returncode == 0


def _which(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(_EXTRA_PATH))


def _memory(key: str) -> int:
    found = re.search(rf"^{key}:\s+(\d+) kB$", _text("/proc/meminfo"), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _cpu(key: str) -> str:
    found = re.search(rf"^{key}\s*: (.*)$", _text("/proc/cpuinfo"), re.MULTILINE)
    return found[1].strip() if found else ""


def _shm_bytes() -> int:
    try:
        shm = os.statvfs("/dev/shm")  # noqa: S108 - Chromium's shared memory lives there, not ours
    except OSError:
        return 0
    return shm.f_blocks * shm.f_frsize


def _has_huge_pages() -> bool | None:
    settings = [re.search(r"\[(\w+)\]", _text(f"{_HUGE_PAGES}/{name}")) for name in ("enabled", "shmem_enabled")]
    own, shared = (found and found[1] for found in settings)
    return own == "always" and shared in ("always", "within_size", "force") if own else None


def _existing(folder: Path) -> Path:
    return next(place for place in (folder, *folder.parents) if place.exists())


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
