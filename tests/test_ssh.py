"""What only SSH can get wrong, against real servers."""

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncssh
import pytest
import sshd
import transport_support as support

from capture import protocol
from fleet import agentzip, errors, model, transports
from fleet.transports import base, bootstrap, bridge, channel, dial, openssh

pytestmark = [pytest.mark.sshd, pytest.mark.skipif(not sshd.IS_AVAILABLE, reason=sshd.WHY_NOT)]


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[agentzip.AgentZip]:
    with support.echo_agent(tmp_path_factory.mktemp("agent")) as built:
        yield built


@pytest.fixture(scope="module")
def server() -> Iterator[sshd.Sshd]:
    with sshd.start(number=2) as server:
        yield server


@pytest.fixture
def bashrc(server: sshd.Sshd) -> Iterator[Path]:
    """The user's rc file, which bash reads for commands by SSH too; restored afterwards."""
    yield server.home / ".bashrc"
    (server.home / ".bashrc").write_text("")
    server.set_shell("/bin/bash")


class Run:
    """One coordinator: opens hosts, starts agents, moves files."""

    def __init__(self, directory: Path, agent: agentzip.AgentZip) -> None:
        self.directory = directory
        self.agent = agent

    @contextlib.asynccontextmanager
    async def open(self, host: model.Host) -> AsyncIterator[base.Transport]:
        async with transports.dialer(self.directory, self.agent, [host]) as dialer, dialer.open(host) as transport:
            yield transport

    def connect(self, host: model.Host) -> None:
        async def main() -> None:
            async with self.open(host):
                pass

        asyncio.run(main())

    def greet(self, host: model.Host) -> None:
        """Starts the agent and hears it once."""

        async def main() -> None:
            async with self.open(host) as transport, transport.start_agent() as messages:
                await greet(messages)

        asyncio.run(main())

    def pull(self, host: model.Host, directory: Path, names: list[str]) -> dict[str, bytes]:
        quarantine = self.directory / "quarantine"
        quarantine.mkdir(exist_ok=True)

        async def main() -> None:
            async with self.open(host) as transport:
                await transport.pull(str(directory), names, quarantine, limit_bytes=1 << 30)

        asyncio.run(main())
        return {file.name: file.read_bytes() for file in quarantine.iterdir()}


async def greet(messages: base.Channel) -> None:
    await messages.send(support.HELLO)
    async with asyncio.timeout(30):
        answers = aiter(messages.receive())
        while isinstance(answer := await anext(answers), protocol.Note):
            assert answer.source == "shell"  # what the login shell printed comes first
        assert answer == support.FACTS


async def until(holds: Callable[[], bool], limit_s: float = 30) -> None:
    async with asyncio.timeout(limit_s):
        while not holds():  # noqa: ASYNC110 - other processes send no events
            await asyncio.sleep(0.01)


@pytest.fixture
def run(tmp_path: Path, agent: agentzip.AgentZip) -> Run:
    return Run(tmp_path, agent)


def fingerprint(server: sshd.Sshd) -> str:
    return f"ssh-ed25519 {server.host_key.get_fingerprint()}"


# Refusals.


def test_an_unknown_host_key_is_refused_and_shown(server: sshd.Sshd, tmp_path: Path, run: Run) -> None:
    host = server.host(tmp_path, known_hosts=str(tmp_path / "hosts.known_hosts"))
    with pytest.raises(errors.HostKeyError) as caught:
        run.connect(host)
    where = f"{server.user}@{server.address}:{server.port}"
    assert str(caught.value) == f"r2: host key of {where} is unknown: it presents {fingerprint(server)}"
    assert f"fleetrender hosts trust --hosts {tmp_path}/hosts.toml r2" in caught.value.remedy


def test_a_changed_host_key_is_refused_and_both_are_shown(server: sshd.Sshd, tmp_path: Path, run: Run) -> None:
    host = server.host(tmp_path)
    old = fingerprint(server)
    server.rotate_host_key()
    with pytest.raises(errors.HostKeyError) as caught:
        run.connect(host)
    assert f"has changed: known is {old}, it presents {fingerprint(server)}" in str(caught.value)


def test_a_host_key_of_another_kind_is_a_changed_one(server: sshd.Sshd, tmp_path: Path, run: Run) -> None:
    host = server.host(tmp_path)
    other = asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_public_key("openssh").decode()
    Path(host.known_hosts or "").write_text(f"fleet-r2 {other}")
    with pytest.raises(errors.HostKeyError, match=r"has changed: known is ecdsa-sha2-nistp256 .* it presents ssh-ed2"):
        run.connect(host)


def test_a_revoked_host_key_is_refused(server: sshd.Sshd, tmp_path: Path, run: Run) -> None:
    host = server.host(tmp_path)
    Path(host.known_hosts or "").write_text(f"{server.known_hosts_line}\n@revoked {server.known_hosts_line}\n")
    with pytest.raises(errors.HostKeyError, match="revoked"):
        run.connect(host)


def test_the_key_of_another_host_does_not_do(server: sshd.Sshd, tmp_path: Path, run: Run) -> None:
    host = server.host(tmp_path)
    Path(host.known_hosts or "").write_text(server.known_hosts_line.replace("fleet-r2", "fleet-r1"))
    with pytest.raises(errors.HostKeyError, match="is unknown"):
        run.connect(host)


def test_a_refused_user_key_is_not_tried_again(server: sshd.Sshd, tmp_path: Path, run: Run) -> None:
    stranger = tmp_path / "stranger"
    stranger.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key("openssh"))
    log = server.directory / "log"
    before = log.read_text().count("Connection from")
    with pytest.raises(errors.HostAuthError) as caught:
        run.connect(server.host(tmp_path, identity=str(stranger)))
    assert f"{server.user}@{server.address}:{server.port} refused identity {stranger}" in str(caught.value)
    assert f"ssh-copy-id -i {stranger} -p {server.port} {server.user}@{server.address}" in caught.value.remedy
    assert log.read_text().count("Connection from") == before + 1


def test_a_missing_identity_is_named(server: sshd.Sshd, tmp_path: Path, run: Run) -> None:
    with pytest.raises(errors.HostAuthError, match="/nowhere/key cannot be read: No such file"):
        run.connect(server.host(tmp_path, identity="/nowhere/key"))


def test_a_file_that_is_no_key_is_named(server: sshd.Sshd, tmp_path: Path, run: Run) -> None:
    (tmp_path / "text").write_text("hello")
    with pytest.raises(errors.HostAuthError, match="text is not a private key"):
        run.connect(server.host(tmp_path, identity=str(tmp_path / "text")))


def test_nobody_listening_is_said(server: sshd.Sshd, tmp_path: Path, run: Run) -> None:
    with pytest.raises(errors.HostUnreachable, match="connection refused"):
        run.connect(server.host(tmp_path, port=1))


def test_a_silent_host_is_given_up_after_its_connect_timeout(server: sshd.Sshd, tmp_path: Path, run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = server.host(tmp_path, address="127.0.0.1", port=silent.getsockname()[1], connect_timeout_s=0.3)
        with pytest.raises(errors.HostUnreachable, match=r"no answer within 0\.3 s"):
            run.connect(host)


def test_a_name_that_does_not_resolve_is_said(server: sshd.Sshd, tmp_path: Path, run: Run) -> None:
    with pytest.raises(errors.HostUnreachable, match="the name does not resolve"):
        run.connect(server.host(tmp_path, address="no-such-host.invalid"))


def test_failed_connections_leak_no_descriptors(server: sshd.Sshd, tmp_path: Path, run: Run) -> None:
    host = server.host(tmp_path, known_hosts=str(tmp_path / "none"))
    with contextlib.suppress(errors.HostKeyError):
        run.connect(host)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counted, not walked
    for _ in range(5):
        with contextlib.suppress(errors.HostKeyError):
            run.connect(host)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_a_server_that_drops_us_before_its_banner_is_tried_again(tmp_path: Path, run: Run) -> None:
    with sshd.start(number=3, settings=["MaxStartups 1:100:1"]) as server:
        host = server.host(tmp_path)

        async def main() -> None:
            with socket.create_connection((server.address, server.port)) as squatter:
                asyncio.get_running_loop().call_later(1.0, squatter.close)
                async with run.open(host):
                    pass

        asyncio.run(main())
        assert "MaxStartups" in (server.directory / "log").read_text()


# Identities.


@pytest.fixture
def encrypted(server: sshd.Sshd, tmp_path: Path) -> Path:
    path = tmp_path / "encrypted"
    key = asyncssh.read_private_key(server.identity)
    path.write_bytes(key.export_private_key("openssh", passphrase="secret", rounds=50))
    path.chmod(0o600)
    return path


@pytest.fixture
def ssh_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = tmp_path / "agent.sock"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    try:
        asyncio.run(until(path.exists))
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        yield path
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def test_an_encrypted_identity_without_agent_is_said(
    server: sshd.Sshd, tmp_path: Path, run: Run, encrypted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(errors.HostAuthError, match="is encrypted and no ssh agent is running") as caught:
        run.connect(server.host(tmp_path, identity=str(encrypted)))
    assert f"ssh-add {encrypted}" in caught.value.remedy


def test_an_encrypted_identity_works_once_the_agent_holds_it(
    server: sshd.Sshd, tmp_path: Path, run: Run, encrypted: Path, ssh_agent: Path
) -> None:
    host = server.host(tmp_path, identity=str(encrypted))
    with pytest.raises(errors.HostAuthError, match="the ssh agent does not hold it"):
        run.connect(host)
    subprocess.run(["ssh-add", "-q", server.identity], check=True, stdin=subprocess.DEVNULL)
    run.connect(host)


def test_without_identity_the_agents_keys_are_shown(
    server: sshd.Sshd, tmp_path: Path, run: Run, ssh_agent: Path
) -> None:
    subprocess.run(["ssh-add", "-q", server.identity], check=True, stdin=subprocess.DEVNULL)
    run.connect(server.host(tmp_path, identity=None))


# The user's own configuration, and the command that we show.


def test_the_users_ssh_configuration_is_used_when_named(server: sshd.Sshd, tmp_path: Path, run: Run) -> None:
    config = tmp_path / "config"
    config.write_text(
        f"Host alias\n HostName {server.address}\n Port {server.port}\n User {server.user}\n"
        f" IdentityFile {server.identity}\n UserKnownHostsFile none\n ForwardAgent yes\n RemoteCommand false\n"
    )
    host = server.host(tmp_path, address="alias", port=22, user=None, identity=None, ssh_config=str(config))
    run.greet(host)
    with pytest.raises(errors.HostKeyError):
        run.connect(server.host(tmp_path, ssh_config=str(config), known_hosts=str(tmp_path / "none")))


def test_a_proxy_of_the_users_ssh_configuration_is_refused(server: sshd.Sshd, tmp_path: Path, run: Run) -> None:
    (tmp_path / "config").write_text("Host *\n ProxyJump bastion\n")
    with pytest.raises(errors.ConfigError, match="ProxyJump"):
        run.connect(server.host(tmp_path, ssh_config=str(tmp_path / "config")))


def test_the_command_that_we_show_connects(server: sshd.Sshd, tmp_path: Path) -> None:
    jump = server.host(tmp_path, name="r2")
    for host in (jump, server.host(tmp_path, jump=jump)):
        command = openssh.command(host, "echo", "reached")
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=30)
        assert (done.returncode, done.stdout) == (0, b"reached\n"), done.stderr


# Jump hosts.


def test_hosts_behind_one_jump_share_one_connection_to_it(
    server: sshd.Sshd, tmp_path: Path, run: Run, agent: agentzip.AgentZip
) -> None:
    log = server.directory / "log"
    with sshd.start(number=3) as inner:
        jump = server.host(tmp_path)
        host = inner.host(tmp_path, jump=jump)
        before = log.read_text().count("Accepted publickey")

        async def greet_one(dialer: base.Dialer) -> None:
            async with dialer.open(host) as transport, transport.start_agent() as messages:
                await greet(messages)

        async def main() -> None:
            async with transports.dialer(tmp_path, agent, [host]) as dialer, asyncio.TaskGroup() as group:
                for _ in range(3):
                    group.create_task(greet_one(dialer))

        asyncio.run(main())
        assert log.read_text().count("Accepted publickey") == before + 1
        shut = inner.host(tmp_path, jump=jump, port=1)
        with pytest.raises(errors.HostUnreachable, match=r"r2 cannot connect to 127\.0\.0\.3:1"):
            run.connect(shut)


def test_a_jump_host_that_cannot_be_reached_is_the_one_named(server: sshd.Sshd, tmp_path: Path, run: Run) -> None:
    jump = server.host(tmp_path, name="bastion", port=1)
    with pytest.raises(errors.HostUnreachable, match=r"^bastion: .*connection refused"):
        run.connect(server.host(tmp_path, jump=jump))


def test_a_jump_host_that_forwards_nothing_is_said(server: sshd.Sshd, tmp_path: Path, run: Run) -> None:
    with sshd.start(number=3, settings=["AllowTcpForwarding no"]) as closed:
        host = server.host(tmp_path, jump=closed.host(tmp_path))
        with pytest.raises(errors.HostUnreachable) as caught:
            run.connect(host)
        assert "AllowTcpForwarding" in caught.value.remedy


# Bootstrap.


def test_the_agent_travels_once(server: sshd.Sshd, tmp_path: Path, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, bootstrap.__name__)
    shutil.rmtree(server.home / ".cache", ignore_errors=True)
    host = server.host(tmp_path)
    run.greet(host)
    run.greet(host)
    assert caplog.text.count("sending the agent") == 1
    stored = server.home / f".cache/fleetrender/agent/{run.agent.sha256}.pyz"
    assert [file.name for file in stored.parent.iterdir()] == [stored.name]
    stored.write_bytes(b"damaged")
    run.greet(host)
    assert stored.read_bytes() == run.agent.path.read_bytes()


@pytest.mark.parametrize("workdir", ["~/a 'b' $HOME `id` !x", "~/ümlaut"])
def test_the_work_directory_reaches_the_agent_unharmed(
    server: sshd.Sshd, tmp_path: Path, run: Run, workdir: str
) -> None:
    async def main() -> protocol.FromAgent:
        async with run.open(server.host(tmp_path, workdir=workdir)) as transport, transport.start_agent() as messages:
            await greet(messages)
            await messages.send(protocol.Prepare("workspace"))
            return await anext(aiter(messages.receive()))

    assert asyncio.run(main()) == protocol.Note("info", "agent", workdir)
    assert (server.home / workdir[2:] / "agent").is_dir()


@pytest.mark.parametrize(
    ("shell", "text"),
    [
        ("/bin/dash", ""),
        ("/bin/bash", "echo welcome; echo to stderr >&2; head -c 30000 /dev/zero | tr '\\0' x\n"),
        ("/bin/bash", "export PYTHONPATH=/nowhere PYTHONSTARTUP=x\n"),
    ],
)
def test_shells_and_their_noise_do_no_harm(
    server: sshd.Sshd, tmp_path: Path, run: Run, bashrc: Path, shell: str, text: str
) -> None:
    server.set_shell(shell)
    bashrc.write_text(text)
    run.greet(server.host(tmp_path))
    (server.home / "frame").write_bytes(b"1")
    assert run.pull(server.host(tmp_path), server.home, ["frame"]) == {"frame": b"1"}


def test_too_much_noise_is_quoted(server: sshd.Sshd, tmp_path: Path, run: Run, bashrc: Path) -> None:
    bashrc.write_text("yes welcome | head -c 200000\n")
    with pytest.raises(errors.HostUnfit, match=r"printed more than 65536 bytes.*welcome"):
        run.greet(server.host(tmp_path))


def test_a_shell_that_never_gets_to_python_is_given_up(
    server: sshd.Sshd, tmp_path: Path, run: Run, bashrc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "START_S", 1.0)
    bashrc.write_text("echo wait for it; sleep 600\n")
    with pytest.raises(errors.HostUnfit, match="did not start python within 1 s; it printed: wait for it"):
        run.greet(server.host(tmp_path))
    asyncio.run(until(lambda: not server.processes(), 5))


def test_an_rc_file_that_exits_is_said(server: sshd.Sshd, tmp_path: Path, run: Run, bashrc: Path) -> None:
    bashrc.write_text("echo go away; exit 3\n")
    with pytest.raises(errors.HostUnfit, match="ended with status 3 before python started: go away"):
        run.greet(server.host(tmp_path))


def test_a_user_without_login_shell_is_said(server: sshd.Sshd, tmp_path: Path, run: Run, bashrc: Path) -> None:
    server.set_shell("/usr/sbin/nologin")
    with pytest.raises(errors.HostUnfit, match="This account is currently not available"):
        run.greet(server.host(tmp_path))


def test_a_missing_python_is_said(server: sshd.Sshd, tmp_path: Path, run: Run) -> None:
    with pytest.raises(errors.HostUnfit, match=r"no `python3\.99` on the host"):
        run.greet(server.host(tmp_path, python="python3.99"))


def test_a_python_that_is_a_shim_does(server: sshd.Sshd, tmp_path: Path, run: Run) -> None:
    shim = server.directory / "shim"
    shim.write_text('#!/usr/bin/env bash\nset -e\nexec "/usr/bin/python3" "$@"\n')
    shim.chmod(0o755)
    run.greet(server.host(tmp_path, python=str(shim)))


def test_an_old_python_is_said_with_its_version(server: sshd.Sshd, tmp_path: Path, run: Run) -> None:
    old = server.directory / "python3.7"
    old.write_text(
        "#!/usr/bin/python3\nimport sys\nsys.version_info = (3, 7, 3)\n"
        "script = sys.argv[3]\nsys.argv = ['-c', *sys.argv[4:]]\nexec(script)\n"
    )
    old.chmod(0o755)
    with pytest.raises(errors.HostUnfit, match=r"is Python 3\.7\.3, and 3\.11 or newer is needed"):
        run.greet(server.host(tmp_path, python=str(old)))


def test_a_python_that_a_shell_could_misread_is_a_configuration_error(
    server: sshd.Sshd, tmp_path: Path, run: Run
) -> None:
    with pytest.raises(errors.ConfigError, match="a login shell could misread"):
        run.greet(server.host(tmp_path, python="python3; rm -rf x"))


def test_a_work_directory_that_others_may_write_is_refused(server: sshd.Sshd, tmp_path: Path, run: Run) -> None:
    with pytest.raises(errors.HostUnfit, match="must belong to this user and be writable by nobody else"):
        run.greet(server.host(tmp_path, workdir="/tmp"))
    with pytest.raises(errors.HostUnfit, match="Permission denied"):
        run.greet(server.host(tmp_path, workdir="/root/x"))


# Loss.


def test_a_killed_session_loses_the_host_and_its_agent_dies(server: sshd.Sshd, tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with run.open(server.host(tmp_path)) as transport, transport.start_agent() as messages:
            await greet(messages)
            assert server.processes()
            server.kill_sessions()
            await anext(aiter(messages.receive()))

    with pytest.raises(errors.HostLost, match="the connection broke"):
        asyncio.run(main())
    asyncio.run(until(lambda: not server.processes(), 5))


def test_the_host_half_itself_leaves_nothing_behind(server: sshd.Sshd, tmp_path: Path) -> None:
    run = Run(tmp_path, agentzip.build(tmp_path))

    async def main() -> None:
        async with run.open(server.host(tmp_path)) as transport, transport.start_agent() as messages:
            await messages.send(support.HELLO)
            assert isinstance(await anext(aiter(messages.receive())), protocol.Facts)
            server.kill_sessions()
            await anext(aiter(messages.receive()))

    with pytest.raises(errors.HostLost):
        asyncio.run(main())
    asyncio.run(until(lambda: not server.processes(), 5))


def test_a_session_that_freezes_is_given_up_after_its_keepalives(
    server: sshd.Sshd, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "FAREWELL_S", 1.0)

    async def main() -> None:
        host = server.host(tmp_path, keepalive_s=0.3, keepalive_count=2)
        async with run.open(host) as transport, transport.start_agent() as messages:
            await greet(messages)
            server.kill_sessions(signal.SIGSTOP)
            async with asyncio.timeout(20):
                await anext(aiter(messages.receive()))

    try:
        with pytest.raises(errors.HostLost, match=r"the connection broke: .*keepalive"):
            asyncio.run(main())
    finally:
        server.kill_sessions()


def test_frames_that_are_one_file_there_are_one_file_here(server: sshd.Sshd, tmp_path: Path, run: Run) -> None:
    names = [f"frame_{index:06d}.jpg" for index in range(50)]
    (server.home / names[0]).write_bytes(os.urandom(1 << 20))
    for name in names[1:]:
        os.link(server.home / names[0], server.home / name)
    found = run.pull(server.host(tmp_path), server.home, names)
    assert sorted(found) == names
    assert set(found.values()) == {(server.home / names[0]).read_bytes()}
    assert len({(run.directory / "quarantine" / name).stat().st_ino for name in names}) == 1


def test_a_session_killed_during_a_pull_leaves_no_half_file(server: sshd.Sshd, tmp_path: Path, run: Run) -> None:
    names = [f"frame_{index:06d}.jpg" for index in range(200)]
    for name in names:
        (server.home / name).write_bytes(os.urandom(1 << 17))
    quarantine = tmp_path / "quarantine"
    quarantine.mkdir()

    async def main() -> None:
        # Slow enough to be caught in the middle.
        async with run.open(server.host(tmp_path, bwlimit_bytes=1 << 20)) as transport:
            pulling = asyncio.create_task(transport.pull(str(server.home), names, quarantine, limit_bytes=1 << 30))
            await until((quarantine / names[2]).exists)
            server.kill_sessions()
            await pulling

    with pytest.raises(errors.HostLost, match="pull failed: "):
        asyncio.run(main())
    arrived = [file for file in quarantine.iterdir() if file.name in names]
    assert 0 < len(arrived) < len(names)
    assert all(file.read_bytes() == (server.home / file.name).read_bytes() for file in arrived)


def test_a_host_without_rsync_is_unfit(server: sshd.Sshd, tmp_path: Path, run: Run) -> None:
    with pytest.raises(errors.HostUnfit, match="no `/nonexistent/rsync` on the host") as caught:
        run.pull(server.host(tmp_path, rsync="/nonexistent/rsync"), server.home, ["frame"])
    assert "install rsync" in caught.value.remedy


def test_an_rsync_that_a_shell_could_misread_is_a_configuration_error(
    server: sshd.Sshd, tmp_path: Path, run: Run
) -> None:
    with pytest.raises(errors.ConfigError, match="a login shell could misread"):
        run.pull(server.host(tmp_path, rsync="rsync;id"), server.home, ["frame"])


def test_a_transfer_that_stalls_is_given_up(
    server: sshd.Sshd, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge, "STALL_S", 0.5)
    stuck = server.directory / "stuck-rsync"
    stuck.write_text("#!/bin/sh\nexec sleep 600\n")
    stuck.chmod(0o755)
    with pytest.raises(errors.HostLost, match=r"no byte for 0\.5 s"):
        run.pull(server.host(tmp_path, rsync=str(stuck)), server.home, ["frame"])


def test_a_full_disk_here_ends_the_pull_and_is_said(server: sshd.Sshd, tmp_path: Path, run: Run) -> None:
    (server.home / "large").write_bytes(os.urandom(8 << 20))
    quarantine = tmp_path / "quarantine"
    quarantine.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", quarantine], capture_output=True).returncode:
        pytest.skip("cannot mount a small file system")
    try:
        with pytest.raises(errors.ConfigError, match="No space left on device"):
            run.pull(server.host(tmp_path), server.home, ["large"])
        assert list(quarantine.iterdir()) == []
    finally:
        subprocess.run(["umount", quarantine], check=True)


def test_a_server_that_allows_one_session_gets_a_second_connection(tmp_path: Path, run: Run) -> None:
    with sshd.start(number=3, settings=["MaxSessions 1"]) as server:
        (server.home / "frame").write_bytes(b"1")
        (tmp_path / "quarantine").mkdir()

        async def main() -> None:
            async with run.open(server.host(tmp_path)) as transport, transport.start_agent() as messages:
                await greet(messages)
                for _ in range(2):
                    await transport.pull(str(server.home), ["frame"], tmp_path / "quarantine", limit_bytes=1)
                await messages.send(protocol.Ping(1))

        asyncio.run(main())
        assert (tmp_path / "quarantine" / "frame").read_bytes() == b"1"


# The bridge.


def helper(over: bridge.Bridge, token: str, command: list[str]) -> int:
    token_file = over.directory / "forged"
    token_file.write_text(token)
    rsh = Path(bridge.__file__).with_name("rsh.py")
    argv = ["python3", "-ISE", str(rsh), str(over.socket_path), str(token_file), "r2", *command]
    near, far = socket.socketpair()
    with near, far:
        return subprocess.run(argv, stdin=near.fileno(), stdout=far.fileno(), timeout=30).returncode


def test_the_bridge_runs_nothing_without_a_token_and_nothing_but_rsync(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    started: list[str] = []

    async def execute(command: str) -> "asyncssh.SSHClientProcess[bytes]":
        started.append(command)
        raise OSError("not in this test")

    async def main() -> None:
        async with bridge.opened(tmp_path) as over:
            assert await asyncio.to_thread(helper, over, "guess", ["rsync", "--server", "."]) == 255
            for command in (["sh", "-c", "id"], ["rsync", "--daemon"], ["rsync", "--server", "$(id)"]):
                with over.admit("r2", "rsync", execute, 1) as transfer:
                    token = transfer.token_file.read_text()
                    assert await asyncio.to_thread(helper, over, token, command) == 255
            with over.admit("r2", "rsync", execute, 1) as transfer:
                token = transfer.token_file.read_text()
                assert transfer.token_file.stat().st_mode & 0o777 == 0o600
                await asyncio.to_thread(helper, over, token, ["rsync", "--server", "."])
                await asyncio.to_thread(helper, over, token, ["rsync", "--server", "."])

    asyncio.run(main())
    assert [command.partition("exec ")[2] for command in started] == ["rsync --server ."]
    assert caplog.text.count("turned away") == 5


def test_a_long_run_directory_does_not_break_the_socket(tmp_path: Path) -> None:
    async def main() -> None:
        async with bridge.opened(tmp_path / ("x" * 100)) as over:
            assert over.socket_path.is_socket()

    asyncio.run(main())


def test_connections_wait_their_turn(server: sshd.Sshd, tmp_path: Path) -> None:
    host = server.host(tmp_path)

    async def main() -> None:
        connections = dial.Connections()
        async with contextlib.AsyncExitStack() as stack, asyncio.timeout(60):
            opened = [stack.enter_async_context(connections.open(host)) for _ in range(20)]
            found = await asyncio.gather(*opened)
            assert len({id(connection) for connection in found}) == 20

    asyncio.run(main())
