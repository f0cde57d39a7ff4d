"""One verified SSH connection per host, as asyncssh gives it, with every failure translated to what a person does next.

Hosts share here: the number of handshakes in flight, and one connection per jump host. Host keys are checked without
exception, a refused key is never tried twice, and no password is ever asked for.
"""

import asyncio
import logging
import random
import shlex
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncssh

from fleet import errors, model
from fleet.transports import identity, knownhosts, openssh, refusal, tcp

logger = logging.getLogger(__name__)

# More only makes each handshake slower: one costs about 3 ms of one core on either side.
HANDSHAKES = 32
# sshd drops connections before its banner when too many knock (MaxStartups); these waits let it catch up.
RETRY_WAITS_S = (0.5, 1.0, 2.0, 4.0)
CLOSE_S = 3.0
# AES-GCM first: half the CPU of the ChaCha20 that asyncssh and OpenSSH settle on by themselves.
CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr")


class Client(asyncssh.SSHClient):
    """Remembers what the server showed us, which asyncssh's exceptions do not say."""

    presented: asyncssh.SSHKey | None = None
    connection: asyncssh.SSHClientConnection | None = None

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        """Keeps the connection, so that a failure can tell how far it came."""
        self.connection = conn

    def validate_host_public_key(self, _host: str, _addr: str, _port: int, key: asyncssh.SSHKey) -> bool:
        """Called only for a key that is not among the known ones: never accepted."""
        self.presented = key
        return False

    @property
    def has_spoken(self) -> bool:
        """Whether the server got as far as its banner."""
        return self.connection is not None and bool(self.connection.get_extra_info("server_version"))


@dataclass(eq=False)
class _Lease:
    """One shared jump connection, opened by a task of its own so that no user's cancellation harms the others."""

    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    task: "asyncio.Task[asyncssh.SSHClientConnection] | None" = None
    users: int = 0

    @property
    def is_dead(self) -> bool:
        if self.task is None or not self.task.done():
            return False
        return self.task.cancelled() or self.task.exception() is not None or self.task.result().is_closed()


class Connections:
    """Opens connections to hosts; what they share lives as long as this does."""

    def __init__(self) -> None:
        self._pace = asyncio.Semaphore(HANDSHAKES)
        self._jumps: dict[model.Host, _Lease] = {}

    @asynccontextmanager
    async def open(self, host: model.Host) -> AsyncIterator[asyncssh.SSHClientConnection]:
        """A connection to `host`, through its jump hosts; ended on exit, whatever is still under way."""
        async with AsyncExitStack() as stack:
            tunnel = await stack.enter_async_context(self.shared(host.jump)) if host.jump else None
            connection = await self._dial(host, tunnel)
            try:
                yield connection
            finally:
                connection.abort()
                await _bounded(connection.wait_closed())

    @asynccontextmanager
    async def shared(self, jump: model.Host) -> AsyncIterator[asyncssh.SSHClientConnection]:
        """The one connection to `jump`: opened for its first user, ended after its last."""
        lease = self._jumps.get(jump)
        if lease is None or lease.is_dead:
            lease = self._jumps[jump] = _Lease()
        if lease.task is None:
            lease.task = asyncio.create_task(lease.stack.enter_async_context(self.open(jump)))
        lease.users += 1
        try:
            yield await asyncio.shield(lease.task)
        finally:
            lease.users -= 1
            if not lease.users:
                await self._release(jump, lease)

    async def _release(self, jump: model.Host, lease: _Lease) -> None:
        if self._jumps.get(jump) is lease:
            del self._jumps[jump]
        if lease.task is not None:
            lease.task.cancel()
            await asyncio.gather(lease.task, return_exceptions=True)
        await lease.stack.aclose()

    async def _dial(
        self, host: model.Host, tunnel: asyncssh.SSHClientConnection | None
    ) -> asyncssh.SSHClientConnection:
        credentials = await identity.choose(host)
        known = knownhosts.lookup(host)
        logger.debug("%s: as a command: %s", host.name, shlex.join(openssh.command(host)))
        deadline_s = time.monotonic() + 4 * host.connect_timeout_s
        waits = iter(RETRY_WAITS_S)
        while True:
            client = Client()
            try:
                async with self._pace, asyncio.timeout(host.connect_timeout_s):
                    return await _connect(host, tunnel, client, known, credentials)
            except (asyncssh.ConnectionLost, ConnectionResetError) as error:  # a drop is told in either way
                # +-50 %: hosts that were dropped together must not knock together again.
                wait_s = next(waits, None)
                if client.has_spoken or wait_s is None or time.monotonic() + wait_s > deadline_s:
                    raise refusal.translate(host, error, client.presented, known, credentials) from error
                logger.debug("%s: dropped before its banner, trying again", host.name)
                await asyncio.sleep(wait_s * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
            except (OSError, asyncssh.Error, ValueError) as error:
                raise refusal.translate(host, error, client.presented, known, credentials) from error


async def _connect(
    host: model.Host,
    tunnel: asyncssh.SSHClientConnection | None,
    client: Client,
    known: knownhosts.Known,
    credentials: identity.Credentials,
) -> asyncssh.SSHClientConnection:
    options = _options(host, known, credentials)
    if tunnel is not None:
        return await asyncssh.connect(host.address, host.port, tunnel=tunnel, client_factory=lambda: client, **options)
    address, port = await _endpoint(host, options)
    sock = await tcp.connect(address, port, host.connect_timeout_s)
    try:
        return await asyncssh.connect(
            host.address, _port(host), sock=sock, tunnel=None, client_factory=lambda: client, **options
        )
    finally:
        if client.connection is None:  # else the socket belongs to the connection
            sock.close()


def _options(host: model.Host, known: knownhosts.Known, credentials: identity.Credentials) -> dict[str, Any]:
    return {
        # None reads no file; () would read ~/.ssh/config behind the user's back.
        "config": [str(host.ssh_config)] if host.ssh_config else None,
        "known_hosts": (list(known.keys), list(known.authorities), list(known.revoked), [], [], [], []),
        "server_host_key_algs": _host_key_algorithms(known),
        "host_key_alias": knownhosts.alias(host.name),
        "username": host.user or (),
        "client_keys": list(credentials.client_keys) or (),
        "agent_path": credentials.agent_path,
        "agent_identities": credentials.agent_identities,
        "ignore_encrypted": credentials.ignore_encrypted,
        "preferred_auth": "publickey",
        "gss_auth": False,
        "gss_kex": False,
        "host_based_auth": False,
        "agent_forwarding": False,
        "x11_forwarding": False,
        "request_pty": False,
        "command": None,
        "env": None,
        "send_env": None,
        "encryption_algs": CIPHERS,
        "compression_algs": ("none",),
        "connect_timeout": None,  # ours includes name resolution and the TCP handshake
        "login_timeout": host.connect_timeout_s,
        "keepalive_interval": host.keepalive_s,
        "keepalive_count_max": host.keepalive_count,
        "tcp_keepalive": True,
        "utf8_decode_errors": "replace",
    }


def _host_key_algorithms(known: knownhosts.Known) -> str | tuple[str, ...]:
    """Kinds of the known keys first, but all others too: a host that lost its key must be able to show its new one."""
    is_known = known.keys or known.authorities
    return "+" + ",".join(knownhosts.ALGORITHMS) if is_known else knownhosts.ALGORITHMS


def _port(host: model.Host) -> int | tuple[()]:
    """The default port yields to what the user's own ssh configuration says."""
    return () if host.ssh_config and host.port == 22 else host.port


async def _endpoint(host: model.Host, options: dict[str, Any]) -> tuple[str, int]:
    """Address and port to connect to, after the user's ssh configuration has had its say."""
    if not host.ssh_config:
        return host.address, host.port
    resolved = await asyncssh.SSHClientConnectionOptions.construct(host=host.address, port=_port(host), **options)
    if resolved.tunnel or resolved.proxy_command:
        raise errors.ConfigError(
            f"{host.name}: {host.ssh_config} reaches it through ProxyJump or ProxyCommand",
            remedy="declare the jump host in hosts.toml: [jump.NAME], and jump = NAME for the host",
        )
    return resolved.host, resolved.port


async def _bounded(closing: Any) -> None:
    try:
        async with asyncio.timeout(CLOSE_S):
            await closing
    except (TimeoutError, OSError, asyncssh.Error):
        logger.debug("a connection did not close within %s s", CLOSE_S)
