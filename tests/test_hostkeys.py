import asyncio
from pathlib import Path

import asyncssh
import pytest
import sshd

from fleet import errors, hostkeys, model
from fleet.transports import knownhosts


def scanned(host: model.Host, key: asyncssh.SSHKey) -> hostkeys.ScannedKey:
    return hostkeys.ScannedKey(
        host=host.name,
        address=host.address,
        port=host.port,
        algorithm=key.get_algorithm(),
        fingerprint=key.get_fingerprint(),
        line=knownhosts.line(host, key),
    )


@pytest.fixture(scope="module")
def old() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


@pytest.fixture(scope="module")
def new() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


def test_a_host_is_known_by_its_name_whatever_its_address(tmp_path: Path, old: asyncssh.SSHKey) -> None:
    known_hosts = tmp_path / "hosts.known_hosts"
    host = model.Host(name="r1", address="10.0.0.1", port=2222, known_hosts=str(known_hosts))
    hostkeys.write(known_hosts, [scanned(host, old)])
    moved = model.Host(name="r1", address="10.9.9.9", known_hosts=str(known_hosts))
    assert knownhosts.lookup(moved).fingerprints == (f"ssh-ed25519 {old.get_fingerprint()}",)


def test_another_host_at_the_same_address_is_not_known(tmp_path: Path, old: asyncssh.SSHKey) -> None:
    known_hosts = tmp_path / "hosts.known_hosts"
    host = model.Host(name="r1", address="10.0.0.1", known_hosts=str(known_hosts))
    hostkeys.write(known_hosts, [scanned(host, old)])
    other = model.Host(name="r2", address="10.0.0.1", known_hosts=str(known_hosts))
    assert knownhosts.lookup(other).fingerprints == ()


def test_writing_a_key_twice_changes_nothing(tmp_path: Path, old: asyncssh.SSHKey) -> None:
    known_hosts = tmp_path / "hosts.known_hosts"
    known_hosts.write_text("# ours\n")
    key = scanned(model.Host(name="r1", address="10.0.0.1"), old)
    hostkeys.write(known_hosts, [key])
    hostkeys.write(known_hosts, [key])
    assert known_hosts.read_text() == f"# ours\n{key.line}\n"
    assert [file.name for file in tmp_path.iterdir()] == ["hosts.known_hosts"]


def test_another_key_is_refused_and_the_file_stays(tmp_path: Path, old: asyncssh.SSHKey, new: asyncssh.SSHKey) -> None:
    known_hosts = tmp_path / "hosts.known_hosts"
    host = model.Host(name="r1", address="10.0.0.1")
    hostkeys.write(known_hosts, [scanned(host, old)])
    with pytest.raises(errors.HostKeyError, match="another host key is trusted already"):
        hostkeys.write(known_hosts, [scanned(host, new)])
    assert known_hosts.read_text() == scanned(host, old).line + "\n"


def test_replacing_drops_the_old_key_of_that_host_only(old: asyncssh.SSHKey, new: asyncssh.SSHKey) -> None:
    one, two = (model.Host(name=name, address="10.0.0.1") for name in ("r1", "r2"))
    text = f"{scanned(one, old).line}\n{scanned(two, old).line}\n"
    merged = hostkeys.merge(text, [scanned(one, new)], replace=True)
    assert merged == f"{scanned(two, old).line}\n{scanned(one, new).line}\n"


def test_a_host_without_known_hosts_file_is_an_error_not_a_free_pass() -> None:
    with pytest.raises(errors.HostKeyError, match="no known_hosts file is configured"):
        knownhosts.lookup(model.Host(name="r1", address="10.0.0.1"))


@pytest.mark.sshd
@pytest.mark.skipif(not sshd.IS_AVAILABLE, reason=sshd.WHY_NOT)
def test_scanning_tells_unknown_known_and_changed_apart(tmp_path: Path) -> None:
    known_hosts = tmp_path / "hosts.known_hosts"
    with sshd.start(number=10) as server:
        host = server.host(tmp_path, known_hosts=str(known_hosts))
        unknown = asyncio.run(hostkeys.scan(host))
        assert unknown.line == server.known_hosts_line
        assert (unknown.is_known, unknown.has_changed) == (False, False)
        hostkeys.write(known_hosts, [unknown])
        known = asyncio.run(hostkeys.scan(host))
        assert (known.is_known, known.has_changed) == (True, False)
        server.rotate_host_key()
        changed = asyncio.run(hostkeys.scan(host))
        assert (changed.is_known, changed.has_changed) == (False, True)


def test_scanning_a_host_that_is_down_says_so(tmp_path: Path) -> None:
    host = model.Host(name="r1", address="127.0.0.1", port=1, known_hosts=str(tmp_path / "none"))
    with pytest.raises(errors.HostUnreachable, match="connection refused"):
        asyncio.run(hostkeys.scan(host))
