"""Lies over a real SSH connection: the agent's, and those of the host's rsync."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import hostile_support as support
import pytest
import sshd

from fleet import agentzip, errors, model, render, request, transports

pytestmark = [
    pytest.mark.sshd,
    pytest.mark.ffmpeg,
    pytest.mark.skipif(not sshd.IS_AVAILABLE, reason=sshd.WHY_NOT),
]


@pytest.fixture(scope="module")
def server() -> Iterator[sshd.Sshd]:
    with sshd.start(number=11) as server:
        yield server


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[agentzip.AgentZip]:
    with support.agent(tmp_path_factory.mktemp("agent")) as built:
        yield built


def lying_rsync(server: sshd.Sshd, kind: str) -> str:
    folder = server.home / "rsync"
    folder.mkdir(exist_ok=True)
    (folder / "kind").write_text(kind)
    program = folder / "rsync"
    source = Path(__file__).with_name("hostile_rsync.py").read_text()
    program.write_text(f"#!/usr/bin/python3\n{source}")
    program.chmod(0o755)
    return str(program)


def test_a_lying_agent_over_ssh_is_left_out_and_an_honest_one_renders(
    server: sshd.Sshd, agent: agentzip.AgentZip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEETRENDER_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("FLEETRENDER_CACHE", str(tmp_path / "cache"))
    asked = request.Request(composition=support.composition(tmp_path / "c"), output=tmp_path / "out.mp4")
    prepared = render.prepare(asked)
    cases = ("", "link_up", "a_million_notes", "frame_outside")
    hosts = [
        server.host(tmp_path, name=f"r11-{number}", workdir=f"~/w{number}", env=support.own(case))
        for number, case in enumerate(cases)
    ]
    for host in hosts:  # server.host gives all of them one file
        known = server.known_hosts_line.replace("fleet-r11,", f"fleet-{host.name},")
        with Path(host.known_hosts or "").open("a") as file:
            file.write(f"{known}\n")
    ended = asyncio.run(support.render_with(tmp_path, prepared, agent, hosts))
    assert ended.error is None
    assert ended.report["frames_verified"] == support.FRAMES
    assert {where for where, text in ended.texts() if support.unfit(text)} == set()
    assert not [path for path in ended.run.rglob("*") if path.is_symlink()]


@pytest.mark.parametrize(
    ("kind", "why"), [("zeros", "bytes that were agreed|protocol|understand"), ("talk", "understand|pull failed")]
)
def test_an_rsync_that_does_not_speak_rsync_ends_the_pull(
    server: sshd.Sshd, agent: agentzip.AgentZip, tmp_path: Path, kind: str, why: str
) -> None:
    with pytest.raises(errors.HostError, match=why) as caught:
        pull(server.host(tmp_path, rsync=lying_rsync(server, kind)), agent, tmp_path, server.home)
    assert support.unfit(str(caught.value)) == []
    assert list((tmp_path / "quarantine").iterdir()) == []


def test_an_rsync_that_sends_more_than_was_named_brings_nothing_more(
    server: sshd.Sshd, agent: agentzip.AgentZip, tmp_path: Path
) -> None:
    folder = server.home / "frame_000000.jpg"
    folder.mkdir(exist_ok=True)
    (folder / "evil").write_text("unasked")
    (server.home / "frame_000001.jpg").write_text("honest")
    host = server.host(tmp_path, rsync=lying_rsync(server, "recurse"))
    pull(host, agent, tmp_path, server.home)
    assert [path.name for path in (tmp_path / "quarantine").rglob("*")] == ["frame_000001.jpg"]
    assert not list(tmp_path.rglob("evil"))


def pull(host: model.Host, agent: agentzip.AgentZip, tmp_path: Path, directory: Path) -> None:
    async def main() -> None:
        async with transports.dialer(tmp_path, agent, [host]) as dialer, dialer.open(host) as transport:
            names = ["frame_000000.jpg", "frame_000001.jpg"]
            await transport.pull(str(directory), names, tmp_path / "quarantine", limit_bytes=1 << 20)

    (tmp_path / "quarantine").mkdir()
    asyncio.run(main())
