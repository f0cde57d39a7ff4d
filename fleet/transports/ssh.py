"""Hosts by SSH: one connection each, which carries the agent's lines and rsync's bytes."""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import ClassVar

import asyncssh

from fleet import agentzip, errors, model
from fleet.transports import bootstrap, bridge, channel, dial, remote, rsync

logger = logging.getLogger(__name__)

CHANNEL_S = 15.0
# Bulk data needs a larger window than lines do; the packet size halves what asyncssh spends per byte.
WINDOW_BYTES = 4 << 20
PACKET_BYTES = 128 << 10

Session = asyncssh.SSHClientProcess[bytes]


class SshTransport:
    """The transport of one connected host; made by `SshDialer.open`."""

    # A run of rsync costs about 0.3 s.
    pull_age_s: ClassVar[float] = 1.5

    def __init__(
        self,
        host: model.Host,
        connection: asyncssh.SSHClientConnection,
        connections: dial.Connections,
        over: bridge.Bridge,
        agent: agentzip.AgentZip,
        stack: AsyncExitStack,
    ) -> None:
        self.host = host
        self._connection = connection
        self._connections = connections
        self._bridge = over
        self._agent = agent
        self._stack = stack
        # One transfer at a time: with the agent that makes two sessions, and sshd may allow as few.
        self._turn = asyncio.Semaphore(1)

    @asynccontextmanager
    async def start_agent(self) -> AsyncIterator[channel.MessageChannel]:
        """Starts the agent on the host, bringing it there first when the host lacks it."""
        nonce = secrets.token_hex(16)
        command = bootstrap.command(self.host, self._agent, nonce)
        try:
            session = await self._session(self._connection, command)
        except (OSError, asyncssh.Error) as error:
            raise self._lost(f"no channel for the agent: {error}") from error
        tail = channel.Tail(self.host.name)
        process = remote.RemoteProcess(session)
        following = asyncio.create_task(tail.follow(process.stderr))
        try:
            begun = await _brought(self.host, session, tail, self._agent, nonce)
            async with channel.converse(self.host.name, process, tail, begun) as messages:
                yield messages
        finally:
            if session.returncode is None:
                _terminate(session)
            session.channel.abort()
            following.cancel()
            await asyncio.wait([following])

    async def push(self, blobs: Sequence[model.Blob], directory: str) -> None:
        """Stores each blob as `<directory>/<sha256>` on the host."""
        if blobs:
            async with self._turn:
                await rsync.push(self._bridge, self._execute, self.host, blobs, directory)

    async def pull(self, directory: str, names: Sequence[str], destination: Path, *, limit_bytes: int) -> None:
        """Copies the named files from the host's `directory` into `destination`."""
        if names:
            async with self._turn:
                await rsync.pull(self._bridge, self._execute, self.host, directory, names, destination, limit_bytes)

    async def _execute(self, command: str) -> Session:
        """A session for a transfer; on a second connection when sshd allows no second session (MaxSessions)."""
        try:
            return await self._session(self._connection, command)
        except asyncssh.ChannelOpenError:
            if self._connection.is_closed():
                raise
            logger.debug("%s: no second session, opening a second connection", self.host.name)
        self._connection = await self._stack.enter_async_context(self._connections.open(self.host))
        return await self._session(self._connection, command)

    async def _session(self, connection: asyncssh.SSHClientConnection, command: str) -> Session:
        async with asyncio.timeout(CHANNEL_S):
            return await connection.create_process(
                command, encoding=None, window=WINDOW_BYTES, max_pktsize=PACKET_BYTES
            )

    def _lost(self, message: str) -> errors.HostLost:
        return errors.HostLost(self.host.name, message, remedy="see the log of sshd on the host")


async def _brought(
    host: model.Host, session: Session, tail: channel.Tail, agent: agentzip.AgentZip, nonce: str
) -> bytes:
    try:
        return await bootstrap.bring(host, remote.RemoteProcess(session), tail, agent, nonce)
    except BaseException:
        # Nothing of ours runs yet that would notice the end of its input: a shell stuck in an rc file would stay.
        _terminate(session)
        raise


def _terminate(session: Session) -> None:
    """Asks for the command's end; servers before OpenSSH 7.9 ignore it, and so do root's logins."""
    with contextlib.suppress(OSError, asyncssh.Error):
        session.terminate()


class SshDialer:
    """Opens SSH transports, which share handshake slots, jump connections and the bridge."""

    def __init__(self, over: bridge.Bridge, agent: agentzip.AgentZip) -> None:
        self._bridge = over
        self._agent = agent
        self._connections = dial.Connections()

    @asynccontextmanager
    async def open(self, host: model.Host) -> AsyncIterator[SshTransport]:
        """A connection to `host`; on exit it is cut, and the agent dies with it."""
        async with AsyncExitStack() as stack:
            connection = await stack.enter_async_context(self._connections.open(host))
            yield SshTransport(host, connection, self._connections, self._bridge, self._agent, stack)


@asynccontextmanager
async def dialer(run_directory: Path, agent: agentzip.AgentZip) -> AsyncIterator[SshDialer]:
    """The dialer of hosts by SSH; its bridge socket lies in `run_directory`, or in /tmp when that path is long."""
    async with bridge.opened(run_directory) as over:
        yield SshDialer(over, agent)
