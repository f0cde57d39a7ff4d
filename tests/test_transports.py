"""What every transport promises; a new one is one more parameter here."""

import asyncio
import contextlib
import hashlib
import os
import shutil
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sshd
import transport_support as support

from capture import protocol
from fleet import agentzip, errors, model, transports
from fleet.transports import base, channel, local

ODD_NAMES = (
    "frame_000000.jpg",
    "two words",
    'it\'s "quoted"',
    "$(touch pwned) `id` !x",
    "-rf",
    "#comment",
    "; comment",
    "*?[a]",
    "new\nline",
    "ümlaut ☃",
    "~",
    "back\\slash",
)


@dataclass(frozen=True)
class Place:
    """A host to test against, and a directory of its user that we can look into."""

    host: model.Host
    directory: Path
    run: Path
    agent: agentzip.AgentZip

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[base.Transport]:
        async with transports.dialer(self.run, self.agent, [self.host]) as dialer, dialer.open(self.host) as transport:
            yield transport

    def give(self, name: str, data: bytes) -> Path:
        file = self.directory / name
        file.write_bytes(data)
        info = self.directory.stat()
        os.chown(file, info.st_uid, info.st_gid)
        return file


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[agentzip.AgentZip]:
    with support.echo_agent(tmp_path_factory.mktemp("agent")) as built:
        yield built


@pytest.fixture(scope="module")
def server() -> Iterator[sshd.Sshd]:
    if not sshd.IS_AVAILABLE:
        pytest.skip(sshd.WHY_NOT)
    with sshd.start(number=1) as server:
        yield server


def ssh_place(server: sshd.Sshd, tmp_path: Path, agent: agentzip.AgentZip) -> Place:
    directory = server.home / "files"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    shutil.chown(directory, server.user, server.user)
    (tmp_path / "run").mkdir()
    return Place(server.host(tmp_path), directory, tmp_path / "run", agent)


@pytest.fixture
def over_ssh(server: sshd.Sshd, tmp_path: Path, agent: agentzip.AgentZip) -> Place:
    return ssh_place(server, tmp_path, agent)


@pytest.fixture(params=["local", pytest.param("ssh", marks=pytest.mark.sshd)])
def place(request: pytest.FixtureRequest, tmp_path: Path, agent: agentzip.AgentZip) -> Place:
    if request.param == "ssh":
        return ssh_place(request.getfixturevalue("server"), tmp_path, agent)
    for name in ("run", "files"):
        (tmp_path / name).mkdir()
    host = model.Host(name="here", transport="local", workdir=str(tmp_path / "work"))
    return Place(host, tmp_path / "files", tmp_path / "run", agent)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - the file system sends no events
            await asyncio.sleep(0.005)


def blob(file: Path) -> model.Blob:
    data = file.read_bytes()
    return model.Blob(file.name, hashlib.sha256(data).hexdigest(), len(data), str(file))


async def first(messages: base.Channel) -> protocol.FromAgent:
    async with asyncio.timeout(30):
        return await anext(aiter(messages.receive()))


async def order(place: Place, text: str) -> protocol.FromAgent:
    """What the agent answers to `text`."""
    async with place.open() as transport, transport.start_agent() as messages:
        await messages.send(support.HELLO)
        assert await first(messages) == support.FACTS
        await messages.send(protocol.Prepare(text))
        return await first(messages)


def pull(place: Place, names: list[str], quarantine: Path, limit_bytes: int = 1 << 30) -> dict[str, bytes]:
    async def main() -> None:
        async with place.open() as transport:
            await transport.pull(str(place.directory), names, quarantine, limit_bytes=limit_bytes)

    quarantine.mkdir()
    asyncio.run(main())
    assert all(file.is_file() and not file.is_symlink() for file in quarantine.iterdir())
    return {file.name: file.read_bytes() for file in quarantine.iterdir()}


def test_the_agent_answers_and_ends_after_bye(place: Place) -> None:
    async def main() -> list[protocol.FromAgent]:
        async with place.open() as transport, transport.start_agent() as messages:
            await messages.send(support.HELLO)
            await messages.send(protocol.Ping(1))
            await messages.send(protocol.Bye())
            return [message async for message in messages.receive()]

    assert asyncio.run(main()) == [support.FACTS, protocol.Pong(1)]


def test_the_host_half_itself_says_its_facts(place: Place) -> None:
    real = Place(place.host, place.directory, place.run, agentzip.build(place.run))

    async def main() -> list[protocol.FromAgent]:
        async with real.open() as transport, transport.start_agent() as messages:
            await messages.send(support.HELLO)
            await messages.send(protocol.Bye())
            return [message async for message in messages.receive() if not isinstance(message, protocol.Note)]

    (answer,) = asyncio.run(main())
    assert isinstance(answer, protocol.Facts)
    assert answer.version == protocol.VERSION


def test_waiting_for_a_message_may_be_cancelled_and_resumed(place: Place) -> None:
    async def main() -> protocol.FromAgent:
        async with place.open() as transport, transport.start_agent() as messages:
            stream = aiter(messages.receive())
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await anext(stream)
            await messages.send(support.HELLO)
            return await anext(stream)

    assert asyncio.run(main()) == support.FACTS


def test_an_agent_that_exits_is_lost_with_its_status_and_last_words(place: Place) -> None:
    with pytest.raises(errors.HostLost, match="ended with status 7: Traceback: the disk is gone"):
        asyncio.run(order(place, "exit"))


def test_an_agent_that_says_why_it_stops_is_quoted(place: Place) -> None:
    async def main() -> None:
        async with place.open() as transport, transport.start_agent() as messages:
            await messages.send(support.HELLO)
            await messages.send(protocol.Prepare("stopping"))
            async for message in messages.receive():
                assert message in (support.FACTS, protocol.Stopping("no heartbeat"))

    with pytest.raises(errors.HostLost, match="status 0: no heartbeat"):
        asyncio.run(main())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("junk", "not a JSON line"), ("huge", "a line over 262144 bytes"), ("backwards", "it sent Ping")],
)
def test_what_is_no_message_of_an_agent_ends_the_conversation(place: Place, text: str, complaint: str) -> None:
    with pytest.raises(errors.HostUntrusted, match=complaint):
        asyncio.run(order(place, text))


def test_an_agent_that_floods_its_log_is_still_heard(place: Place) -> None:
    assert asyncio.run(order(place, "chatter")) == protocol.Prepared("chatter")


def test_the_environment_of_the_host_reaches_the_agent_unharmed(place: Place) -> None:
    value = "a 'b' \"c\" $HOME `id` ! ü"
    changed = model.Host(
        **{name: getattr(place.host, name) for name in place.host.__slots__} | {"env": (("FLEET_TEST", value),)}
    )
    answer = asyncio.run(order(Place(changed, place.directory, place.run, place.agent), "environment"))
    assert answer == protocol.Note("info", "agent", value)


@pytest.mark.parametrize("is_deaf", [False, True])
def test_the_agent_is_gone_when_the_channel_is_closed(
    place: Place, is_deaf: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "FAREWELL_S", 1.0)

    async def main() -> int:
        async with place.open() as transport, transport.start_agent() as messages:
            await messages.send(support.HELLO)
            await first(messages)
            await messages.send(protocol.Prepare("pid"))
            answer = await first(messages)
            assert isinstance(answer, protocol.Note)
            if is_deaf:
                await messages.send(protocol.Prepare("deaf"))
            return int(answer.text)

    pid = asyncio.run(main())
    asyncio.run(until(lambda: not Path(f"/proc/{pid}").exists()))


def test_blobs_are_stored_under_their_digests(place: Place, tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    files = [tmp_path / "assets" / name for name in ODD_NAMES]
    for file in files:
        file.write_bytes(file.name.encode() * 1000)
    big = tmp_path / "assets" / "big"
    big.write_bytes(os.urandom(1 << 20) * 20)
    blobs = [blob(file) for file in (*files, big)]

    async def main() -> None:
        async with place.open() as transport:
            await transport.push(blobs, str(place.directory))
            await transport.push([], str(place.directory))

    asyncio.run(main())
    assert {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in place.directory.iterdir()} == {
        blob.sha256: blob.sha256 for blob in blobs
    }
    # Not a link to the user's own file: editing that must not change what the digest promises.
    assert all(file.stat().st_nlink == 1 for file in place.directory.iterdir())


def test_a_cancelled_push_leaves_no_half_file_under_a_final_name(place: Place, tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(os.urandom(1 << 20) * 200)
    wanted = blob(big)

    async def main() -> None:
        async with place.open() as transport:
            pushing = asyncio.create_task(transport.push([wanted], str(place.directory)))
            await until(lambda: any(file.stat().st_size for file in place.directory.iterdir()))
            pushing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await pushing

    asyncio.run(main())
    for file in place.directory.iterdir():
        assert file.name != wanted.sha256 or file.stat().st_size == wanted.size_bytes


def test_odd_names_and_big_files_arrive_unchanged(place: Place, tmp_path: Path) -> None:
    sent = {name: name.encode() * 100 for name in ODD_NAMES} | {"big": os.urandom(1 << 20) * 20}
    for name, data in sent.items():
        place.give(name, data)
    assert pull(place, list(sent), tmp_path / "quarantine") == sent
    assert not (place.directory / "pwned").exists()


def test_a_missing_name_is_absent_and_the_others_arrive(place: Place, tmp_path: Path) -> None:
    place.give("here", b"1")
    assert pull(place, ["gone", "here"], tmp_path / "quarantine") == {"here": b"1"}


def test_only_what_was_asked_for_arrives(place: Place, tmp_path: Path) -> None:
    place.give("here", b"1")
    place.give("other", b"2")
    assert pull(place, ["here"], tmp_path / "quarantine") == {"here": b"1"}


def test_links_and_pipes_planted_as_frames_are_not_fetched(place: Place, tmp_path: Path) -> None:
    place.give("honest", b"1")
    (place.directory / "link").symlink_to("/etc/passwd")
    os.mkfifo(place.directory / "pipe")
    (place.directory / "folder").mkdir()
    arrived = pull(place, ["honest", "link", "pipe"], tmp_path / "quarantine")
    assert arrived == {"honest": b"1"}


def test_more_bytes_than_agreed_are_refused(place: Place, tmp_path: Path) -> None:
    place.give("frame", os.urandom(1 << 20) * 4)
    with pytest.raises(errors.HostUnfit, match="bytes that were agreed"):
        pull(place, ["frame"], tmp_path / "quarantine", limit_bytes=1 << 20)
    assert not (tmp_path / "quarantine" / "frame").exists()


def test_pulled_files_are_private_and_hold_no_odd_mode(place: Place, tmp_path: Path) -> None:
    place.give("frame", b"1").chmod(0o4755)
    pull(place, ["frame"], tmp_path / "quarantine")
    assert (tmp_path / "quarantine" / "frame").read_bytes() == b"1"
    mode = stat.S_IMODE((tmp_path / "quarantine" / "frame").stat().st_mode)
    assert not mode & 0o7077


async def greeted(transport: base.Transport) -> int:
    """The id of an agent that answers its greeting once."""
    async with transport.start_agent() as messages:
        await messages.send(support.HELLO)
        assert await first(messages) == support.FACTS
        await messages.send(protocol.Prepare("pid"))
        answer = await first(messages)
        assert isinstance(answer, protocol.Note)
        return int(answer.text)


def test_an_agent_that_began_early_is_greeted_once_and_used_once(tmp_path: Path, agent: agentzip.AgentZip) -> None:
    host = model.Host(name="here", transport="local", workdir=str(tmp_path / "work"))

    async def main() -> None:
        async with (
            local.begun(host, agent, support.HELLO) as early,
            transports.dialer(tmp_path, agent, [host], early=early) as dialer,
            dialer.open(host) as transport,
        ):
            process = early.process.process
            assert await greeted(transport) == process.pid
            assert process.returncode is not None
            assert await greeted(transport) != process.pid

    asyncio.run(main())


def test_an_agent_that_began_too_early_is_not_relied_on(tmp_path: Path, agent: agentzip.AgentZip) -> None:
    host = model.Host(name="here", transport="local", workdir=str(tmp_path / "work"))

    async def main() -> None:
        async with local.begun(host, agent, support.HELLO) as early:
            early.begun_s -= local.EARLY_S
            async with (
                transports.dialer(tmp_path, agent, [host], early=early) as dialer,
                dialer.open(host) as transport,
            ):
                assert await greeted(transport) != early.process.process.pid
            assert early.process.process.returncode is None
        assert early.process.process.returncode is not None

    asyncio.run(main())


def test_an_unknown_transport_names_those_that_exist(place: Place) -> None:
    async def main() -> None:
        async with transports.dialer(place.run, place.agent, ()) as dialer:
            dialer.open(model.Host(name="r9", transport="telnet"))

    with pytest.raises(errors.ConfigError, match="unknown transport `telnet`"):
        asyncio.run(main())
