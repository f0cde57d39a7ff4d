"""Carries rsync's bytes over an SSH connection that is open already: no second login, no second trust decision.

`rsh.py`, started by rsync in place of ssh, passes its two pipe ends through a socket of this process; from then on the
coordinator moves the bytes, counts them, and notices when either side stalls or dies. Only `rsync --server` is run.
"""

import asyncio
import contextlib
import json
import logging
import os
import re
import secrets
import shutil
import socket
import struct
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from fleet.transports import channel, remote

logger = logging.getLogger(__name__)

STALL_S = 60.0  # our own watchdog: a hostile rsync can switch off the one of its peer (CVE-2026-70462)
MARK_S = 15.0
NOISE_BYTES = 64 * 1024
CHUNK_BYTES = 128 * 1024
SOCKET_PATH_BYTES = 100  # of the 107 that the kernel allows
LOST = 255
# What rsync --server says of itself; paths are not in it, they travel inside its protocol (--secluded-args).
WORD = re.compile(r"[A-Za-z0-9_./=:+,@%-]+")

Execute = Callable[[str], Awaitable["asyncssh.SSHClientProcess[bytes]"]]


class Broken(Exception):
    """Why a transfer was given up by us."""


@dataclass(eq=False, kw_only=True)
class Transfer:
    """One rsync run: what it may do, and what became of it."""

    host: str
    rsync: str
    execute: Execute
    limit_bytes: int  # of what the host may send
    token_file: Path
    status: int | None = None  # of the remote command
    failure: str = ""
    tail: channel.Tail = field(default_factory=lambda: channel.Tail("rsync"))
    received_bytes: int = 0
    moved_s: float = 0.0
    is_begun: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def settle(self) -> None:
        """Waits until `status` or `failure` is there: our rsync ends with the data, and the host's word comes after."""
        if self.is_begun:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(MARK_S):
                    await self.ended.wait()


class Bridge:
    """A socket in a directory that only we can enter; every transfer has a token of its own, good for one use."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket_path = directory / "rsh"
        self._transfers: dict[str, Transfer] = {}
        self._handlers: set[asyncio.Task[None]] = set()

    @contextmanager
    def admit(self, host: str, rsync: str, execute: Execute, limit_bytes: int) -> Iterator[Transfer]:
        """Expects one helper for one transfer, for as long as the `with` lasts."""
        token = secrets.token_urlsafe(32)
        token_file = self.directory / secrets.token_hex(8)
        token_file.touch(mode=0o600, exist_ok=False)
        token_file.write_text(token)
        transfer = Transfer(host=host, rsync=rsync, execute=execute, limit_bytes=limit_bytes, token_file=token_file)
        self._transfers[token] = transfer
        try:
            yield transfer
        finally:
            self._transfers.pop(token, None)
            token_file.unlink()

    async def serve(self, listener: socket.socket) -> None:
        """Accepts helpers until cancelled; ends what is still under way then."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                control, _ = await loop.sock_accept(listener)
                handler = asyncio.create_task(self._handle(control))
                self._handlers.add(handler)
                handler.add_done_callback(self._handlers.discard)
        finally:
            for handler in self._handlers:
                handler.cancel()
            await asyncio.gather(*self._handlers, return_exceptions=True)

    async def _handle(self, control: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        status = LOST
        with control:
            control.setblocking(False)
            try:
                async with asyncio.timeout(MARK_S):
                    await _readable(control)
                with _received(control) as (request, source, sink):
                    transfer, command = self._authorize(request)
                    status = await _carry(transfer, command, source, sink, control)
            except (Broken, OSError, ValueError, KeyError, TypeError) as error:
                logger.warning("a helper of rsync was turned away: %s", error)
            with contextlib.suppress(OSError):
                await loop.sock_sendall(control, b"%d\n" % status)

    def _authorize(self, request: bytes) -> tuple[Transfer, str]:
        words = json.loads(request)
        token, command = str(words["token"]), [str(word) for word in words["command"]]
        known = next((own for own in self._transfers if secrets.compare_digest(own, token)), None)
        if known is None:
            raise Broken("unknown token")
        transfer = self._transfers.pop(known)
        if command[:2] != [transfer.rsync, "--server"] or not all(map(WORD.fullmatch, command)):
            transfer.failure = f"refused to run {command}"
            raise Broken(transfer.failure)
        return transfer, " ".join(command)


@asynccontextmanager
async def opened(run_directory: Path) -> AsyncIterator[Bridge]:
    """A bridge that serves until exit."""
    is_short = len(os.fsencode(run_directory)) < SOCKET_PATH_BYTES - len("/rsh-12345678/rsh")
    directory = Path(tempfile.mkdtemp(prefix="rsh-", dir=run_directory if is_short else None))
    bridge = Bridge(directory)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.setblocking(False)
            listener.bind(str(bridge.socket_path))
            listener.listen(64)
            serving = asyncio.create_task(bridge.serve(listener))
            try:
                yield bridge
            finally:
                serving.cancel()
                await asyncio.wait([serving])
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(sock, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(sock)


@contextmanager
def _received(control: socket.socket) -> Iterator[tuple[bytes, socket.socket, socket.socket]]:
    """The helper's request and rsync's two pipe ends, which rsync makes as sockets."""
    if hasattr(socket, "SO_PEERCRED"):
        _, uid, _ = struct.unpack("3i", control.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if uid != os.getuid():
            raise Broken(f"it runs as uid {uid}")
    request, descriptors, _, _ = socket.recv_fds(control, 64 * 1024, 2, getattr(socket, "MSG_CMSG_CLOEXEC", 0))
    ends: list[socket.socket] = []
    try:
        while descriptors:
            ends.append(socket.socket(fileno=descriptors[0]))
            del descriptors[0]
            ends[-1].setblocking(False)
        if len(ends) != 2:
            raise Broken("it passed no pipes")
        yield request, ends[0], ends[1]
    finally:
        for end in ends:
            end.close()
        for descriptor in descriptors:
            os.close(descriptor)


async def _carry(
    transfer: Transfer, command: str, source: socket.socket, sink: socket.socket, control: socket.socket
) -> int:
    """Moves bytes until the remote command ends; its status, or 255 with `transfer.failure` saying why."""
    transfer.is_begun = True
    try:
        return await _run(transfer, command, source, sink, control)
    finally:
        transfer.ended.set()


async def _run(
    transfer: Transfer, command: str, source: socket.socket, sink: socket.socket, control: socket.socket
) -> int:
    mark = secrets.token_hex(16)
    try:
        process = await transfer.execute(f"echo {mark}; exec {command}")
    except (OSError, asyncssh.Error) as error:
        transfer.failure = f"no channel for rsync: {error}"
        return LOST
    try:
        begun = await _after_mark(process, mark.encode())
        transfer.moved_s = time.monotonic()
        await _pump(transfer, process, begun, source, sink, control)
        async with asyncio.timeout(MARK_S):
            await process.wait_closed()
        transfer.status = process.returncode
        if transfer.status is None:
            transfer.failure = "the connection broke"
    except (Broken, OSError, asyncssh.Error) as error:
        transfer.failure = str(error) or type(error).__name__
    finally:
        with contextlib.suppress(OSError, asyncssh.Error):
            process.terminate()
        process.channel.abort()
    return LOST if transfer.status is None else transfer.status


async def _after_mark(process: "asyncssh.SSHClientProcess[bytes]", mark: bytes) -> bytes:
    """What follows our mark: rc files may print before it."""
    seen = b""
    async with asyncio.timeout(MARK_S):
        while mark + b"\n" not in seen:
            data = await process.stdout.read(CHUNK_BYTES)
            if not data or len(seen) > NOISE_BYTES:
                raise Broken("the login shell did not get as far as rsync")
            seen += data
    return seen.partition(mark + b"\n")[2]


async def _pump(
    transfer: Transfer,
    process: "asyncssh.SSHClientProcess[bytes]",
    begun: bytes,
    source: socket.socket,
    sink: socket.socket,
    control: socket.socket,
) -> None:
    # By hand: asyncssh's own redirection waits for ever when the reader of a local socket has died.
    ending = [
        asyncio.create_task(_down(transfer, process, begun, sink)),
        asyncio.create_task(_helper_gone(control)),
        asyncio.create_task(_watch(transfer)),
    ]
    others = [
        asyncio.create_task(_up(transfer, process, source)),
        asyncio.create_task(transfer.tail.follow(remote.RemoteReader(process.stderr))),
    ]
    try:
        done, _ = await asyncio.wait(ending, return_when=asyncio.FIRST_COMPLETED)
        # With the end of what the host sends, our rsync ends as well: only if it ended before, something is wrong.
        for task in ending[:1] if ending[0] in done else done:
            task.result()
        await asyncio.wait(others[1:], timeout=1)
    finally:
        for task in (*ending, *others):
            task.cancel()
        await asyncio.gather(*ending, *others, return_exceptions=True)


async def _down(
    transfer: Transfer, process: "asyncssh.SSHClientProcess[bytes]", begun: bytes, sink: socket.socket
) -> None:
    loop = asyncio.get_running_loop()
    data = begun or await process.stdout.read(CHUNK_BYTES)
    while data:
        transfer.received_bytes += len(data)
        if transfer.received_bytes > transfer.limit_bytes:
            raise Broken(f"the host sent more than the {transfer.limit_bytes} bytes that were agreed")
        await loop.sock_sendall(sink, data)
        transfer.moved_s = time.monotonic()
        data = await process.stdout.read(CHUNK_BYTES)
    sink.shutdown(socket.SHUT_WR)


async def _up(transfer: Transfer, process: "asyncssh.SSHClientProcess[bytes]", source: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    while data := await loop.sock_recv(source, CHUNK_BYTES):
        process.stdin.write(data)
        await process.stdin.drain()
        transfer.moved_s = time.monotonic()
    process.stdin.write_eof()


async def _helper_gone(control: socket.socket) -> None:
    """Returns never; raises when rsync on this side has ended."""
    while await asyncio.get_running_loop().sock_recv(control, 1024):
        pass
    raise Broken("rsync on this side has ended")


async def _watch(transfer: Transfer) -> None:
    left_s = STALL_S
    while left_s > 0:
        await asyncio.sleep(left_s)
        left_s = transfer.moved_s + STALL_S - time.monotonic()
    raise Broken(f"no byte for {STALL_S:g} s")
