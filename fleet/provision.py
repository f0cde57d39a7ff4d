"""What a host lacks, and the steps that bring it. Pure: no I/O; `admin.py` looks and carries out.

Every step may be repeated, and a host that lacks nothing has none. Only what is certain is done: for systems whose
packages we cannot name for sure, the owner is told what to install.
"""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from fleet import checks

# One line and no quote, backslash or exclamation mark but double quotes: it stands between single quotes, and every
# login shell leaves it alone there.
LOOK = (
    ". /etc/os-release 2>/dev/null; "
    'echo "id=$ID"; echo "like=$ID_LIKE"; echo "version=$VERSION_ID"; echo "name=$PRETTY_NAME"; '
    'echo "uid=$(id -u)"; echo "user=$(id -un)"; echo "home=$HOME"; '
    'echo "python=$(python3 -c "import platform; print(platform.python_version())" 2>/dev/null)"; '
    "for p in sudo rsync chromium-headless-shell chrome-headless-shell chromium chromium-browser google-chrome"
    ' google-chrome-stable; do command -v $p >/dev/null && echo "has=$p"; done; '
    'ls $HOME/.cache/ms-playwright 2>/dev/null | grep -q ^chromium && echo "has=playwright-browser"; '
    'ls /usr/share/fonts/truetype /usr/share/fonts/opentype 2>/dev/null | grep -q . && echo "has=fonts"; true'
)

_BROWSERS = ("chromium-headless-shell", "chrome-headless-shell", "google-chrome", "google-chrome-stable")
# On Ubuntu these only start the snap, which may not read the files that we bring.
_SYSTEM_BROWSERS = ("chromium", "chromium-browser")
_APT = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=120")
_DEBIAN_WITH_SHELL = (12,)  # first Debian with a package chromium-headless-shell

# For systems that are not ours to change: what their owner installs. "python" is python3 there.
_ADVICE = {
    "fedora": "dnf install chromium rsync python3",
    "rhel": "dnf install epel-release && dnf install chromium rsync python3.11",
    "arch": "pacman -S --needed chromium rsync python",
    "suse": "zypper install chromium rsync python311",
    "alpine": "apk add chromium rsync python3",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """What a look at a host found."""

    id: str = ""
    like: tuple[str, ...] = ()
    version: str = ""
    name: str = "unknown system"
    user: str = ""
    home: str = ""
    is_root: bool = False
    python: str = ""
    has: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Step:
    """One command on the host."""

    argv: tuple[str, ...]
    as_root: bool

    def __str__(self) -> str:
        return ("as root: " if self.as_root else "") + shlex.join(self.argv)


@dataclass(frozen=True, slots=True)
class Provision:
    """What is missing, the steps that bring it, and what no step of ours can bring, as sentences with a remedy."""

    lacks: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    obstacles: tuple[tuple[str, str], ...] = ()


def parse(text: str) -> System:
    """What LOOK printed, whatever the login shell printed around it."""
    rows = [line.split("=", 1) for line in text.splitlines() if "=" in line]
    last = {key.strip(): value.strip() for key, value in rows}
    return System(
        id=last.get("id", ""),
        like=tuple(last.get("like", "").split()),
        version=last.get("version", ""),
        name=last.get("name", "") or "unknown system",
        user=last.get("user", ""),
        home=last.get("home", ""),
        is_root=last.get("uid") == "0",
        python=last.get("python", ""),
        has=frozenset(value.strip() for key, value in rows if key.strip() == "has"),
    )


def plan(system: System, *, playwright: str, own_browser: bool = False, own_python: bool = False) -> Provision:
    """The steps for `system`; `own_browser` and `own_python` say that hosts.toml names one, so none is installed.

    `playwright` is the version whose browser build goes to systems that package none.
    """
    lacks = tuple(_lacks(system, own_browser=own_browser, own_python=own_python))
    if not lacks:
        return Provision(lacks)
    if "debian" not in (system.id, *system.like) and system.id != "ubuntu":
        return Provision(lacks, obstacles=(_advice(system),))
    obstacles = tuple(_obstacles(system, lacks))
    return Provision(lacks, tuple(_apt_steps(system, lacks, playwright)), obstacles)


def needs_root(provision: Provision, system: System) -> bool:
    """Whether some step needs rights that the user does not have by itself."""
    return not system.is_root and any(step.as_root for step in provision.steps)


def _lacks(system: System, *, own_browser: bool, own_python: bool) -> Iterator[str]:
    if not own_python and checks.version(system.python) < checks.PYTHON_MIN:
        yield "python3"
    if "rsync" not in system.has:
        yield "rsync"
    browsers = {*_BROWSERS, "playwright-browser"} | (set() if system.id == "ubuntu" else {*_SYSTEM_BROWSERS})
    if not own_browser and not browsers & system.has:
        yield "chromium"
    if "fonts" not in system.has:
        yield "fonts"


def _obstacles(system: System, lacks: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if "python3" in lacks and system.python:
        message = f"its Python is {system.python}, and {system.name} packages none from 3.11 on"
        yield message, "install one by hand, and set `python` of this host in hosts.toml to its path"


def _apt_steps(system: System, lacks: tuple[str, ...], playwright: str) -> Iterator[Step]:
    packages: list[str] = [name for name in ("python3", "rsync") if name in lacks]
    if "python3" in lacks and system.python:
        packages.remove("python3")  # it is there and too old: the package would be the same
    if "fonts" in lacks:
        packages.append("fonts-liberation")
    by_playwright = "chromium" in lacks and system.id == "ubuntu"
    if "chromium" in lacks:
        packages.append("python3-venv" if by_playwright else _chromium_package(system))
    if packages:
        yield Step((*_APT, "update"), as_root=True)
        yield Step((*_APT, "install", "--yes", "--no-install-recommends", *packages), as_root=True)
    if by_playwright:
        yield from _playwright_steps(system, playwright)


def _chromium_package(system: System) -> str:
    has_shell = system.id == "debian" and (checks.version(system.version) or _DEBIAN_WITH_SHELL) >= _DEBIAN_WITH_SHELL
    return "chromium-headless-shell" if has_shell else "chromium"


def _playwright_steps(system: System, version: str) -> Iterator[Step]:
    """Ubuntu packages Chromium as a snap only, so the build that Playwright pins takes its place."""
    folder = f"{system.home}/.local/share/fleetrender/playwright"
    program = f"{folder}/bin/playwright"
    yield Step(("python3", "-m", "venv", folder), as_root=False)
    yield Step((f"{folder}/bin/pip", "install", "--quiet", f"playwright=={version}"), as_root=False)
    yield Step((program, "install-deps", "chromium-headless-shell"), as_root=True)
    yield Step((program, "install", "chromium-headless-shell"), as_root=False)


def _advice(system: System) -> tuple[str, str]:
    family = next((each for each in (system.id, *system.like) if each in _ADVICE), "")
    family = "suse" if system.id.startswith("opensuse") else family
    message = f"{system.name} is no system whose packages we install"
    return (
        message,
        f"as root there: {_ADVICE[family]}" if family else "install chromium, rsync and python3 (3.11) there",
    )
