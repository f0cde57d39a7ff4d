"""A host key is trusted on a person's answer or for a named fingerprint, and in no other way."""

import asyncio
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import sshd

from fleet import errors, trust
from fleet.hostkeys import ScannedKey
from fleet.model import Host
from fleet.trust import Outcome

OURS = "SHA256:ours"
KEY = ScannedKey(host="a", address="a", port=22, algorithm="ssh-ed25519", fingerprint=OURS, line="")


def key(*known: str) -> ScannedKey:
    return dataclasses.replace(KEY, known=tuple(f"ssh-ed25519 {each}" for each in known))


@pytest.mark.parametrize(
    ("scanned", "fingerprints", "replace", "outcome"),
    [
        (key(OURS), (), False, Outcome.KNOWN),
        (key(OURS), ("SHA256:other",), True, Outcome.KNOWN),
        (key(), (), False, None),
        (key(), (OURS,), False, Outcome.TRUSTED),
        (key(), ("SHA256:other",), False, Outcome.REFUSED),
        (key("SHA256:old"), (OURS,), False, Outcome.CHANGED),
        (key("SHA256:old"), (), True, None),
        (key("SHA256:old"), (OURS,), True, Outcome.REPLACED),
        (key("SHA256:old"), ("SHA256:other",), True, Outcome.REFUSED),
    ],
    ids=range(9),
)
def test_only_a_named_fingerprint_is_trusted_without_asking(
    scanned: ScannedKey, fingerprints: tuple[str, ...], replace: bool, outcome: Outcome | None
) -> None:
    assert trust.judge(scanned, fingerprints=frozenset(fingerprints), replace=replace) is outcome


def test_jump_hosts_come_before_those_behind_them_and_once() -> None:
    outer = Host(name="outer")
    inner = Host(name="inner", jump=outer)
    hosts = (Host(name="a", jump=inner), Host(name="here", transport="local"), Host(name="b", jump=outer))
    assert [host.name for host in trust.reached(hosts)] == ["outer", "inner", "a", "b"]


def never(_: ScannedKey) -> bool:
    pytest.fail("somebody was asked")


def run(
    *hosts: Host, ask: trust.Ask = never, fingerprints: tuple[str, ...] = (), replace: bool = False
) -> dict[str, trust.Verdict]:
    verdicts = asyncio.run(trust.run(hosts, fingerprints=frozenset(fingerprints), replace=replace, ask=ask))
    return {verdict.host.name: verdict for verdict in verdicts}


needs_sshd = [pytest.mark.sshd, pytest.mark.skipif(not sshd.IS_AVAILABLE, reason=sshd.WHY_NOT)]


@pytest.fixture(scope="module")
def server() -> Iterator[sshd.Sshd]:
    with sshd.start(number=21) as running:
        yield running


@pytest.fixture
def host(server: sshd.Sshd, tmp_path: Path) -> Host:
    found = server.host(tmp_path)
    Path(found.known_hosts or "").unlink()
    return found


def known(host: Host) -> str:
    path = Path(host.known_hosts or "")
    return path.read_text() if path.exists() else ""


class TestWithARealServer:
    pytestmark = needs_sshd

    def test_a_new_key_is_trusted_when_the_answer_is_yes(self, server: sshd.Sshd, host: Host) -> None:
        shown: list[str] = []

        def yes(key: ScannedKey) -> bool:
            shown.append(key.fingerprint)
            return True

        assert run(host, ask=yes)[host.name].outcome is Outcome.TRUSTED
        assert shown == [server.host_key.get_fingerprint()]
        assert known(host).split() == server.known_hosts_line.split()[:3]
        assert run(host)[host.name].outcome is Outcome.KNOWN

    def test_no_answer_but_yes_writes_anything(self, host: Host) -> None:
        verdict = run(host, ask=lambda _: False)[host.name]
        assert verdict.outcome is Outcome.REFUSED
        assert isinstance(verdict.error, errors.HostKeyError)
        assert "ssh_host_ed25519_key.pub" in verdict.error.remedy
        assert known(host) == ""

    def test_a_changed_key_is_kept_out_until_replace_is_said(self, server: sshd.Sshd, host: Host) -> None:
        Path(host.known_hosts or "").write_text(server.known_hosts_line + "\n")
        old = server.host_key.get_fingerprint()
        server.rotate_host_key()
        new = server.host_key.get_fingerprint()
        before = known(host)
        verdict = run(host, fingerprints=(new,))[host.name]
        assert verdict.outcome is Outcome.CHANGED
        assert old in str(verdict.error)
        assert new in str(verdict.error)
        assert known(host) == before
        assert run(host, fingerprints=(new,), replace=True)[host.name].outcome is Outcome.REPLACED
        assert run(host)[host.name].outcome is Outcome.KNOWN
        assert len(known(host).splitlines()) == 1

    def test_a_host_that_is_down_does_not_stop_the_others(self, server: sshd.Sshd, host: Host) -> None:
        down = dataclasses.replace(host, name="down", port=1)
        verdicts = run(down, host, fingerprints=(server.host_key.get_fingerprint(),))
        assert verdicts["down"].outcome is Outcome.UNREACHABLE
        assert isinstance(verdicts["down"].error, errors.HostUnreachable)
        assert verdicts[host.name].outcome is Outcome.TRUSTED

    def test_a_host_behind_a_jump_host_is_scanned_once_that_one_is_trusted(self, server: sshd.Sshd, host: Host) -> None:
        jump = dataclasses.replace(host, name="gate")
        behind = dataclasses.replace(host, jump=jump)
        refused = run(behind, ask=lambda _: False)
        assert refused[host.name].outcome is Outcome.UNREACHABLE
        assert "gate is not trusted" in str(refused[host.name].error)
        accepted = run(behind, fingerprints=(server.host_key.get_fingerprint(),))
        assert [verdict.outcome for verdict in accepted.values()] == [Outcome.TRUSTED] * 2
