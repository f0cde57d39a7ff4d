"""What people read and scripts parse: tables of 80 columns, JSON, questions, and errors with exit codes."""

import dataclasses
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hosts_support
import pytest
import sshd
import typer.testing
from rich.console import Console

from fleet import checks, cli_hosts, console, errors, hosts_view
from fleet.checks import Examined
from fleet.model import Finding, Severity

EXAMPLE = Path(__file__).parent.parent / "hosts.example.toml"
NAMES = [path.stem for path in sorted(hosts_support.FACTS.glob("*.json"))]

needs_sshd = [pytest.mark.sshd, pytest.mark.skipif(not sshd.IS_AVAILABLE, reason=sshd.WHY_NOT)]


def fleet(*names: str) -> list[Examined]:
    return [
        hosts_support.examined(name, **({"facts_machine_id": name} if hosts_support.examined(name).facts else {}))
        for name in names
    ]


def shown(*rows: Any) -> list[str]:
    terminal = Console(width=80, highlight=False, markup=False)
    with terminal.capture() as captured:
        for row in rows:
            terminal.print(row)
    return captured.get().splitlines()


def call(*arguments: str, cwd: Path | None = None) -> typer.testing.Result:
    before = Path.cwd()
    os.chdir(cwd or before)
    try:
        return typer.testing.CliRunner().invoke(cli_hosts.app, arguments)
    finally:
        os.chdir(before)


def failure(result: typer.testing.Result) -> errors.FleetError:
    assert isinstance(result.exception, errors.FleetError), result.output
    return result.exception


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    text = re.sub(r"^(identity|ssh_config) .*\n", "", EXAMPLE.read_text(), flags=re.MULTILINE)
    (tmp_path / "hosts.toml").write_text(text)
    (tmp_path / "hosts.toml").chmod(0o644)
    return tmp_path


def test_list_shows_every_host_within_80_columns(inventory: Path) -> None:
    result = call("list", cwd=inventory)
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["host", "studio-1", *(f"r{n:02d}" for n in range(1, 9))]
    assert max(map(len, lines)) <= 80
    assert "render@10.0.0.18 via bastion" in lines[-1]


def test_list_gives_scripts_everything(inventory: Path) -> None:
    plain = json.loads(call("list", "--json", "--limit", "night,!r0[2-8]", cwd=inventory).stdout)
    assert plain["v"] == 1
    (host,) = plain["hosts"]
    assert (host["name"], host["limits"]["workers"], host["jump"]["name"]) == ("r01", 4, "bastion")


@pytest.mark.parametrize("command", ["list", "check", "trust", "setup"])
def test_a_missing_hosts_file_is_named_with_exit_2(command: str, tmp_path: Path) -> None:
    error = failure(call(command, cwd=tmp_path))
    assert (str(error), error.exit_code) == ("hosts.toml: no such hosts file", 2)


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_host_fits_into_80_columns(name: str) -> None:
    one = fleet(name)
    findings = checks.run(one)
    machines, browsers = shown(hosts_view.machines_table(one, findings)), shown(hosts_view.browsers_table(one))
    assert max(map(len, machines + browsers)) <= 80
    assert not any("…" in line for line in machines)
    assert not any("SwiftShad…" in line or "…" in line.split()[1] for line in browsers)
    text = " ".join(" ".join(shown(hosts_view.findings_table(findings))).split())
    for finding in findings:
        assert re.sub(r"\s+", "", finding.message) in re.sub(r"\s+", "", text)
        assert re.sub(r"\s+", "", finding.remedy) in re.sub(r"\s+", "", text)


def test_states_can_be_told_without_colour() -> None:
    several = fleet("workstation", "docker-root", "asleep")
    lines = shown(hosts_view.machines_table(several, checks.run(several)))
    assert [line.split()[1] for line in lines] == ["state", "ok", "warn", "FAIL"]
    assert "\x1b" not in "".join(lines)


def test_hosts_that_share_a_finding_share_its_row() -> None:
    def finding(host: str) -> Finding:
        remedy = f"fleetrender hosts setup --limit {host}"
        return Finding(severity=Severity.ERROR, code="rsync-missing", message="no rsync", remedy=remedy, where=host)

    text = "\n".join(shown(hosts_view.findings_table([finding("r1"), finding("r2")])))
    assert text.count("no rsync") == 1
    assert "r1, r2" in text
    assert "hosts setup --limit r1,r2" in text


def test_a_host_cannot_command_the_terminal() -> None:
    hostile = "\x1b]0;owned\x07\x1b[2J[bold]x[/]\r\n"
    (one,) = fleet("gpu-host")
    assert one.facts is not None
    assert one.browser is not None
    one = dataclasses.replace(
        one,
        facts=dataclasses.replace(one.facts, python=hostile, chromium=hostile, workspace=hostile, disk_free_bytes=0),
        browser=dataclasses.replace(one.browser, gl_renderer=hostile),
        noise=hostile,
    )
    findings = checks.run([one])
    screen = shown(
        hosts_view.machines_table([one], findings),
        hosts_view.browsers_table([one]),
        hosts_view.findings_table(findings),
    )
    assert all(letter.isprintable() for line in screen for letter in line)


def test_check_json_names_each_host_its_facts_and_findings() -> None:
    several = fleet("workstation", "fresh-ubuntu", "asleep")
    plain = json.loads(json.dumps(hosts_view.fleet_plain(several, checks.run(several))))
    assert plain["usable"] == 1
    assert [host["usable"] for host in plain["hosts"]] == [True, False, False]
    assert plain["hosts"][0]["facts"]["chromium_version"] == "156.0.8078.79"
    assert plain["hosts"][2]["facts"] is None
    assert plain["hosts"][2]["findings"] == [
        {
            "severity": "error",
            "code": "unreachable",
            "message": "no answer within 10 s",
            "remedy": "wake it",
            "where": "asleep",
        }
    ]


def test_one_failed_host_is_its_own_error_and_several_are_a_list() -> None:
    one = errors.HostUnreachable("a", "refused", remedy="start sshd")
    with pytest.raises(errors.HostUnreachable):
        console.raise_all([one])
    with pytest.raises(errors.FleetLost, match=r"2 hosts failed\n  a: refused\n      start sshd\n  b: gone"):
        console.raise_all([one, errors.HostLost("b", "gone", remedy="r")])
    console.raise_all([])


@pytest.fixture(scope="module")
def server() -> Iterator[sshd.Sshd]:
    with sshd.start(number=31, bashrc="[ -d $HOME/bin ] && export PATH=$HOME/bin\n") as running:
        yield running


@pytest.fixture
def written(server: sshd.Sshd, tmp_path: Path) -> Path:
    """A directory with a hosts.toml that names the server; nothing is trusted yet."""
    (tmp_path / "hosts.toml").write_text(
        f'version = 1\n[[host]]\nname = "{server.name}"\naddress = "{server.address}"\nport = {server.port}\n'
        f'user = "{server.user}"\nidentity = "{server.identity}"\n'
    )
    (tmp_path / "hosts.toml").chmod(0o644)
    return tmp_path


def trusted(server: sshd.Sshd, written: Path) -> Path:
    (written / "hosts.known_hosts").write_text(server.known_hosts_line + "\n")
    return written


class TestTrust:
    pytestmark = needs_sshd

    def test_a_named_fingerprint_is_trusted_and_told(self, server: sshd.Sshd, written: Path) -> None:
        result = call("trust", "--fingerprint", server.host_key.get_fingerprint(), server.name, cwd=written)
        assert (result.exception, result.stdout) == (None, f"{server.name}: trusted now\n")
        assert call("trust", cwd=written).stdout == f"{server.name}: trusted already\n"

    def test_without_a_terminal_fingerprints_are_shown_and_nothing_is_trusted(
        self, server: sshd.Sshd, written: Path
    ) -> None:
        result = call("trust", cwd=written)
        error = failure(result)
        assert error.exit_code == 5
        assert f"--fingerprint {server.host_key.get_fingerprint()}" in error.remedy
        assert server.host_key.get_fingerprint() in result.stderr
        assert result.stdout == f"{server.name}: not trusted\n"
        assert not (written / "hosts.known_hosts").exists()

    def test_what_is_no_fingerprint_and_whom_nobody_knows_are_errors(self, written: Path) -> None:
        assert failure(call("trust", "--fingerprint", "MD5:aa:bb", cwd=written)).exit_code == 2
        assert failure(call("trust", "nobody", cwd=written)).exit_code == 2

    @pytest.mark.parametrize(("answer", "told"), [("y", "trusted now"), ("a", "trusted now"), ("", "not trusted")])
    def test_a_person_at_a_terminal_is_asked(self, server: sshd.Sshd, written: Path, answer: str, told: str) -> None:
        ours, theirs = pty.openpty()
        code = "from fleet import cli_hosts; cli_hosts.app(['trust'])"
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=written,
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(EXAMPLE.parent)},
        )
        os.close(theirs)
        os.write(ours, f"{answer}\n".encode())
        stdout, stderr = process.communicate(timeout=60)
        os.close(ours)
        assert stdout.startswith(f"{server.name}: {told}")
        assert server.host_key.get_fingerprint() in stderr
        assert (written / "hosts.known_hosts").exists() == (told == "trusted now")


class TestCheck:
    pytestmark = needs_sshd

    @pytest.mark.browser
    def test_a_real_host_is_checked_from_key_to_pixel(self, server: sshd.Sshd, written: Path) -> None:
        result = call("check", "--json", cwd=trusted(server, written))
        assert result.exception is None, result.output
        (host,) = json.loads(result.stdout)["hosts"]
        assert host["usable"]
        assert host["browser"]["mode"] == "begin_frame"
        assert host["facts"]["rsync"].endswith("rsync")
        assert not list(server.home.glob(".cache/fleetrender/*/runs/*"))

    def test_no_usable_host_is_exit_5_and_the_table_says_why(self, server: sshd.Sshd, written: Path) -> None:
        result = call("check", cwd=written)
        assert failure(result).exit_code == 5
        assert "0 of 1 host can render" in result.stdout
        assert server.host_key.get_fingerprint() in re.sub(r"\s+", "", result.stdout)
        assert max(map(len, result.stdout.splitlines())) <= 80


APT = """#!/bin/sh
[ "$3" = update ] && exit 0
shift 5
for package in "$@"; do ln -sf /bin/true $HOME/bin/$package; done
"""
SUDO = """#!/bin/sh
[ "$1" = -n ] && shift
exec "$@"
"""


class TestSetup:
    pytestmark = needs_sshd

    @pytest.fixture
    def bare(self, server: sshd.Sshd, written: Path) -> Iterator[Path]:
        """The programs of a host that has python3 and nothing else of what we need, and no sudo."""
        programs = server.home / "bin"
        programs.mkdir()
        programs.chmod(0o777)
        for name in ("sh", "id", "ls", "grep", "env", "ln", "true", "python3"):
            (programs / name).symlink_to(f"/usr/bin/{name}")
        trusted(server, written)
        yield programs
        for program in programs.iterdir():
            program.unlink()
        programs.rmdir()

    def test_a_host_that_lacks_nothing_is_left_alone(self, server: sshd.Sshd, written: Path) -> None:
        result = call("setup", cwd=trusted(server, written))
        assert result.exception is None
        assert result.stdout.startswith(f"{server.name}: nothing to do")

    def test_a_dry_run_says_the_commands_and_does_nothing(self, bare: Path, written: Path) -> None:
        program(bare / "sudo", SUDO)
        program(bare / "apt-get", "#!/bin/sh\ntouch $HOME/ran\n")
        result = call("setup", "--dry-run", cwd=written)
        assert result.exception is None
        head, *steps = result.stdout.splitlines()
        assert re.match(r"r31: lacks rsync, chromium(, fonts)? \(Debian", head)
        assert steps[0] == "  as root: env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 update"
        assert "install --yes --no-install-recommends rsync" in steps[1]
        assert not (bare.parent / "ran").exists()

    def test_a_user_without_sudo_sees_the_steps_and_a_clear_error(self, bare: Path, written: Path) -> None:
        result = call("setup", "--yes", cwd=written)
        error = failure(result)
        assert isinstance(error, errors.HostUnfit)
        assert "cannot become root: there is no sudo" in str(error)
        assert "apt-get" in result.stdout

    def test_nothing_is_done_unasked(self, bare: Path, written: Path) -> None:
        program(bare / "sudo", SUDO)
        error = failure(call("setup", cwd=written))
        assert (error.exit_code, error.remedy) == (2, "add --yes to do it without asking")

    def test_steps_are_done_once_and_repeated_without_harm(self, bare: Path, written: Path) -> None:
        program(bare / "sudo", SUDO)
        program(bare / "apt-get", APT)
        first = call("setup", "--yes", cwd=written)
        assert first.exception is None, first.output
        assert first.stdout.splitlines()[-1] == "r31: done"
        assert (bare / "chromium-headless-shell").exists()
        assert call("setup", "--yes", cwd=written).stdout.startswith("r31: nothing to do")

    def test_steps_that_bring_nothing_are_told(self, bare: Path, written: Path) -> None:
        program(bare / "sudo", SUDO)
        program(bare / "apt-get", "#!/bin/sh\nexit 0\n")
        assert "still lacks rsync, chromium" in str(failure(call("setup", "--yes", cwd=written)))


def program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def test_clean_says_what_would_go_and_then_what_went(tmp_path: Path) -> None:
    work = tmp_path / "work"
    (tmp_path / "hosts.toml").write_text(
        f'version = 1\n[[host]]\nname = "here"\naddress = "localhost"\ntransport = "local"\nworkdir = "{work}"\n'
    )
    assert call("clean", cwd=tmp_path).stdout == "here: nothing to clean\n"
    (machine,) = work.iterdir()
    (machine / "runs" / "past").mkdir()
    (machine / "runs" / "past" / "frame").write_bytes(b"x" * (3 << 20))
    os.utime(machine / "runs" / "past", (0, 0))
    assert call("clean", "--dry-run", cwd=tmp_path).stdout == "here: 1 run, would free 3M\n"
    assert call("clean", "--older-than", "7d", cwd=tmp_path).stdout == "here: 1 run, freed 3M\n"
    assert list((machine / "runs").iterdir()) == []
    assert "an age is written like" in str(failure(call("clean", "--older-than", "soon", cwd=tmp_path)))
