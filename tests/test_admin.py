"""Administration trusts no host key by itself, reads nobody's configuration, and ends."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest
import sshd

from fleet import admin, errors, model
from fleet.provision import Step

pytestmark = [pytest.mark.sshd, pytest.mark.skipif(not sshd.IS_AVAILABLE, reason=sshd.WHY_NOT)]

# Asks like sudo, knows one password, and becomes nobody.
SUDO = """#!/bin/sh
[ "$1" = -n ] && { [ "$2" = true ] && exit 1; echo "sudo: a password is required" >&2; exit 1; }
printf %s "$3" >&2
read -r password
[ "$password" = secret ] || { echo "Sorry, try again." >&2; exit 1; }
shift 3
exec "$@"
"""


@pytest.fixture(scope="module")
def server() -> Iterator[sshd.Sshd]:
    with sshd.start(number=7, bashrc="export PATH=$HOME/bin:$PATH\n") as running:
        yield running


@pytest.fixture
def host(server: sshd.Sshd, tmp_path: Path) -> model.Host:
    return server.host(tmp_path)


def refused(host: model.Host) -> errors.FleetError:
    with pytest.raises(errors.FleetError) as caught, admin.connect(host):
        pytest.fail("it was let in")
    return caught.value


def test_a_known_host_is_looked_at(host: model.Host) -> None:
    with admin.connect(host) as connection:
        system = admin.look(host, connection)
    assert (system.user, system.is_root) == (host.user, False)
    assert system.id


def test_an_unknown_host_key_is_refused(host: model.Host) -> None:
    assert host.known_hosts is not None
    Path(host.known_hosts).write_text("")
    error = refused(host)
    assert isinstance(error, errors.HostKeyError)
    assert isinstance(error.__cause__, paramiko.SSHException)
    assert "unknown" in str(error)
    assert "hosts trust" in error.remedy


def test_a_wrong_host_key_is_refused(host: model.Host) -> None:
    assert host.known_hosts is not None
    line = Path(host.known_hosts).read_text().split()
    other = paramiko.ECDSAKey.generate()
    Path(host.known_hosts).write_text(f"{line[0]} {other.get_name()} {other.get_base64()}\n")
    error = refused(host)
    assert isinstance(error, errors.HostKeyError)
    assert isinstance(error.__cause__, paramiko.BadHostKeyException)
    assert "changed" in str(error)


def test_the_key_of_another_host_does_not_stand_in(host: model.Host) -> None:
    assert host.known_hosts is not None
    known = Path(host.known_hosts)
    known.write_text(known.read_text().replace("fleet-r7,", "fleet-r8,"))
    assert isinstance(refused(host), errors.HostKeyError)


def test_the_users_own_known_hosts_and_configuration_do_not_count(
    host: model.Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert host.known_hosts is not None
    (tmp_path / ".ssh").mkdir()
    Path(host.known_hosts).rename(tmp_path / ".ssh/known_hosts")
    (tmp_path / ".ssh/config").write_text("Host *\n  StrictHostKeyChecking no\n")
    (tmp_path / ".fabric.yaml").write_text("forward_agent: true\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert isinstance(refused(host), errors.HostKeyError)


def test_a_refused_login_says_so(host: model.Host, tmp_path: Path) -> None:
    key = tmp_path / "other"
    paramiko.ECDSAKey.generate().write_private_key_file(str(key))
    error = refused(dataclasses.replace(host, identity=str(key)))
    assert isinstance(error, errors.HostAuthError)


def test_a_host_that_is_down_says_so(host: model.Host) -> None:
    error = refused(dataclasses.replace(host, port=1))
    assert isinstance(error, errors.HostUnreachable)


def test_a_step_runs_as_the_user(server: sshd.Sshd, host: model.Host) -> None:
    with admin.connect(host) as connection:
        admin.carry_out(host, connection, Step(("touch", "a file"), as_root=False), is_root=False, password=None)
    assert (server.home / "a file").exists()


def test_a_step_that_fails_shows_its_last_words(host: model.Host) -> None:
    with admin.connect(host) as connection, pytest.raises(errors.HostUnfit, match=r"`ls /nowhere`.*No such file"):
        admin.carry_out(host, connection, Step(("ls", "/nowhere"), as_root=False), is_root=False, password=None)


def test_a_user_without_sudo_is_told_before_anything_is_done(host: model.Host) -> None:
    with admin.connect(host) as connection:
        system = admin.look(host, connection)
        without = type(system)(user=system.user)
        with pytest.raises(errors.HostUnfit, match="cannot become root: there is no sudo") as caught:
            admin.asks_for_password(host, connection, without)
    assert "root@" in caught.value.remedy


@pytest.fixture
def sudo(server: sshd.Sshd) -> Iterator[Path]:
    program = server.home / "bin/sudo"
    program.parent.mkdir(exist_ok=True)
    program.write_text(SUDO)
    program.chmod(0o755)
    yield program
    program.unlink()


@pytest.mark.usefixtures("sudo")
def test_sudo_gets_the_password_once_and_the_step_runs(server: sshd.Sshd, host: model.Host) -> None:
    step = Step(("touch", "by sudo"), as_root=True)
    with admin.connect(host) as connection:
        system = admin.look(host, connection)
        assert admin.asks_for_password(host, connection, system)
        admin.carry_out(host, connection, step, is_root=False, password="secret")
    assert (server.home / "by sudo").exists()


@pytest.mark.usefixtures("sudo")
def test_a_wrong_sudo_password_is_told(host: model.Host) -> None:
    with admin.connect(host) as connection, pytest.raises(errors.HostUnfit, match="did not accept the password"):
        admin.carry_out(host, connection, Step(("true",), as_root=True), is_root=False, password="wrong")


@pytest.mark.usefixtures("sudo")
def test_without_a_password_sudo_never_waits_for_one(host: model.Host) -> None:
    with admin.connect(host) as connection, pytest.raises(errors.HostUnfit, match="a password is required"):
        admin.carry_out(host, connection, Step(("id",), as_root=True), is_root=False, password=None)


def test_hosts_behind_a_jump_host_are_verified_too(host: model.Host, tmp_path: Path) -> None:
    with sshd.start(number=8) as jump:
        behind = dataclasses.replace(host, jump=jump.host(tmp_path))
        with admin.connect(behind) as connection:
            assert admin.look(behind, connection).user == host.user
        Path(jump.host(tmp_path).known_hosts or "").write_text("")
        error = refused(behind)
    assert isinstance(error, errors.HostKeyError)
    assert error.host == "r8"
