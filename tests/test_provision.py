"""What a host lacks becomes steps that may be repeated; what is not certain becomes advice."""

import re
import shlex
import shutil
import subprocess

import pytest

from fleet import provision
from fleet.provision import Step, System

DEBIAN = System(id="debian", version="12", name="Debian GNU/Linux 12 (bookworm)", user="ada", home="/home/ada")
COMPLETE = frozenset({"rsync", "chromium-headless-shell", "fonts"})
APT = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=120")


def system(**changes: object) -> System:
    values = {
        "id": "debian",
        "version": "12",
        "name": "Debian 12",
        "user": "ada",
        "home": "/home/ada",
        "python": "3.11.2",
    }
    return System(**values | changes)  # type: ignore[arg-type]


def plan(of: System) -> provision.Provision:
    return provision.plan(of, playwright="1.2.3")


def test_a_host_that_lacks_nothing_has_no_steps() -> None:
    assert plan(system(has=COMPLETE)) == provision.Provision(lacks=())
    assert plan(system(id="fedora", like=(), has=COMPLETE | {"chromium"})) == provision.Provision(lacks=())


def test_debian_gets_what_it_lacks_in_one_installation() -> None:
    assert plan(system(python="")) == provision.Provision(
        lacks=("python3", "rsync", "chromium", "fonts"),
        steps=(
            Step((*APT, "update"), as_root=True),
            Step(
                (
                    *(*APT, "install", "--yes", "--no-install-recommends"),
                    *("python3", "rsync", "fonts-liberation", "chromium-headless-shell"),
                ),
                as_root=True,
            ),
        ),
    )
    (_, install) = plan(system(has=COMPLETE - {"rsync"})).steps
    assert install.argv[-2:] == ("--no-install-recommends", "rsync")


@pytest.mark.parametrize(
    ("of", "package"),
    [
        (system(version="11"), "chromium"),
        (system(version="13"), "chromium-headless-shell"),
        (system(version="", name="Debian GNU/Linux trixie/sid"), "chromium-headless-shell"),
        (system(id="raspbian", like=("debian",)), "chromium"),
    ],
    ids=["debian 11", "debian 13", "debian sid", "raspbian"],
)
def test_the_browser_package_is_the_one_that_the_system_has(of: System, package: str) -> None:
    assert plan(of).steps[-1].argv[-1] == package


def test_ubuntu_gets_the_build_that_playwright_pins() -> None:
    # The snap that Ubuntu calls chromium may not read our files, so it does not count as a browser.
    ubuntu = system(
        id="ubuntu", version="24.04", like=("debian",), has=frozenset({"rsync", "fonts", "chromium-browser"})
    )
    folder = "/home/ada/.local/share/fleetrender/playwright"
    _, install, *by_playwright = plan(ubuntu).steps
    assert install.argv[-1] == "python3-venv"
    assert by_playwright == [
        Step(("python3", "-m", "venv", folder), as_root=False),
        Step((f"{folder}/bin/pip", "install", "--quiet", "playwright==1.2.3"), as_root=False),
        Step((f"{folder}/bin/playwright", "install-deps", "chromium-headless-shell"), as_root=True),
        Step((f"{folder}/bin/playwright", "install", "chromium-headless-shell"), as_root=False),
    ]
    with_browser = system(id="ubuntu", has=frozenset({"rsync", "fonts", "playwright-browser"}))
    assert plan(with_browser).steps == ()


def test_what_hosts_toml_names_is_not_installed() -> None:
    bare = system(python="", has=frozenset({"rsync", "fonts"}))
    assert provision.plan(bare, playwright="1", own_browser=True, own_python=True).lacks == ()


@pytest.mark.parametrize(
    ("family", "command"),
    [
        ({"id": "fedora"}, "dnf install chromium"),
        ({"id": "rocky", "like": ("rhel", "centos", "fedora")}, "epel-release"),
        ({"id": "manjaro", "like": ("arch",)}, "pacman -S"),
        ({"id": "opensuse-tumbleweed", "like": ("opensuse", "suse")}, "zypper install"),
        ({"id": "alpine"}, "apk add"),
        ({"id": "plan9"}, "install chromium, rsync and python3"),
        ({"id": ""}, "install chromium, rsync and python3"),
    ],
    ids=lambda value: str(value.get("id")) if isinstance(value, dict) else "",
)
def test_other_systems_get_advice_and_no_step(family: dict[str, object], command: str) -> None:
    found = plan(system(**family))
    assert found.steps == ()
    ((_, remedy),) = found.obstacles
    assert command in remedy


def test_an_old_python_is_an_obstacle_and_the_rest_is_installed_all_the_same() -> None:
    found = plan(system(version="11", python="3.9.2"))
    ((message, _),) = found.obstacles
    assert message.startswith("its Python is 3.9.2")
    assert "python3" not in found.steps[-1].argv
    assert "rsync" in found.steps[-1].argv


def test_root_needs_no_sudo() -> None:
    assert provision.needs_root(plan(system()), system())
    assert not provision.needs_root(plan(system(is_root=True)), system(is_root=True))
    assert not provision.needs_root(plan(system(has=COMPLETE)), system(has=COMPLETE))


def test_a_look_survives_what_the_shell_prints_around_it() -> None:
    text = """Welcome! = hello
id=debian
like=
version=12
name=Debian GNU/Linux 12 (bookworm)
uid=0
user=root
home=/root
python=3.11.2
has=rsync
has=fonts
bye
"""
    assert provision.parse(text) == System(
        id="debian",
        version="12",
        name="Debian GNU/Linux 12 (bookworm)",
        user="root",
        home="/root",
        is_root=True,
        python="3.11.2",
        has=frozenset({"rsync", "fonts"}),
    )
    assert provision.parse("") == System()


def test_no_login_shell_has_a_say_in_what_a_look_does() -> None:
    assert not re.search(r"['!\\\n]", provision.LOOK)


@pytest.mark.parametrize("shell", [name for name in ("sh", "bash", "dash", "zsh", "csh", "fish") if shutil.which(name)])
def test_a_look_works_on_this_machine(shell: str) -> None:
    done = subprocess.run([shell, "-c", f"sh -c '{provision.LOOK}'"], capture_output=True, text=True, check=True)
    found = provision.parse(done.stdout)
    assert found.id
    assert found.user
    assert found.home
    assert ("rsync" in found.has) == bool(shutil.which("rsync"))


def test_a_step_is_shown_as_it_could_be_typed() -> None:
    assert str(Step(("echo", "a b"), as_root=True)) == "as root: echo 'a b'"
    assert shlex.split(str(Step(("echo", "a b"), as_root=False))) == ["echo", "a b"]
