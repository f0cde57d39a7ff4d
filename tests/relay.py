"""A link between coordinator and host that is slow, loses packets or falls silent: what networks do and TCP hides."""

import asyncio
import contextlib
import dataclasses
import random
import threading
from collections.abc import Iterator

from sshd import Sshd

SEGMENT_BYTES = 1448
# The least that a sender waits beyond a round trip before it sends a lost packet again; all that follows waits with it.
RETRANSMISSION_S = 0.2


class Relay:
    """Forwards each connection to a server, `delay_s` later in each direction, until it is silenced.

    Of the packets, the share `loss` has to be sent twice.
    """

    def __init__(self, server: Sshd, delay_s: float, loss: float) -> None:
        self._server = server
        self._delay_s = delay_s
        self._loss = loss
        self._dice = random.Random(0)
        self._loop = asyncio.new_event_loop()
        self._open = asyncio.Event()
        self._port: int = 0

    @property
    def host(self) -> Sshd:
        """The server as it is reached through this link."""
        return dataclasses.replace(self._server, address="127.0.0.1", port=self._port)

    def silence(self) -> None:
        """Nothing gets through any more, and nobody is told."""
        self._loop.call_soon_threadsafe(self._open.clear)

    def heal(self) -> None:
        """What was held back arrives, and the link works again."""
        self._loop.call_soon_threadsafe(self._open.set)

    def run(self, is_ready: threading.Event) -> None:
        """Serves in the calling thread until `stop`."""
        self._loop.run_until_complete(self._serve(is_ready))
        self._loop.close()

    def stop(self) -> None:
        """Breaks all connections."""
        self._loop.call_soon_threadsafe(self._stopped.set)

    async def _serve(self, is_ready: threading.Event) -> None:
        self._stopped = asyncio.Event()
        self._open.set()
        self._tasks: set[asyncio.Task[None]] = set()
        listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self._port = listener.sockets[0].getsockname()[1]
        is_ready.set()
        await self._stopped.wait()
        listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._join(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        try:
            far_reader, far_writer = await asyncio.open_connection(self._server.address, self._server.port)
            ends.append(far_writer)
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        except OSError:
            pass
        finally:
            for end in ends:
                end.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(256)
        delivering = asyncio.create_task(self._deliver(line, writer))
        try:
            while data := await reader.read(65536):
                await line.put((self._loop.time() + self._travel_s(len(data)), data))
            await line.put((self._loop.time(), b""))
            await delivering
        finally:
            delivering.cancel()

    def _travel_s(self, size_bytes: int) -> float:
        packets = -(-size_bytes // SEGMENT_BYTES)
        is_lost = self._dice.random() > (1 - self._loss) ** packets
        return self._delay_s + is_lost * (2 * self._delay_s + RETRANSMISSION_S)

    async def _deliver(self, line: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter) -> None:
        while True:
            due_s, data = await line.get()
            await asyncio.sleep(max(0.0, due_s - self._loop.time()))
            await self._open.wait()
            if not data:
                writer.close()
                return
            writer.write(data)
            await writer.drain()


@contextlib.contextmanager
def opened(server: Sshd, *, delay_s: float = 0.0, loss: float = 0.0) -> Iterator[Relay]:
    """A working link to `server`."""
    relay, is_ready = Relay(server, delay_s, loss), threading.Event()
    thread = threading.Thread(target=relay.run, args=(is_ready,), name="relay")
    thread.start()
    assert is_ready.wait(10)
    try:
        yield relay
    finally:
        relay.stop()
        thread.join(10)
