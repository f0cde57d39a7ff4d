"""Ways to reach hosts: one file and one line of `TRANSPORTS` each, all held to the promise of `base.py`."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

from fleet import agentzip, errors, model
from fleet.transports import base, local, ssh

TRANSPORTS: dict[str, Callable[[Path, agentzip.AgentZip], AbstractAsyncContextManager[base.Dialer]]] = {
    "local": local.dialer,
    "ssh": ssh.dialer,
}


class AnyDialer:
    """Opens every host by the transport that it names."""

    def __init__(self, dialers: dict[str, base.Dialer]) -> None:
        self._dialers = dialers

    def open(self, host: model.Host) -> AbstractAsyncContextManager[base.Transport]:
        """A transport to `host`; HostError when it cannot be reached, ConfigError when no such transport exists."""
        if host.transport not in self._dialers:
            raise errors.ConfigError(
                f"{host.name}: unknown transport `{host.transport}`",
                remedy=f"set `transport` to one of: {', '.join(self._dialers)}",
            )
        return self._dialers[host.transport].open(host)


@asynccontextmanager
async def dialer(run_directory: Path, agent: agentzip.AgentZip) -> AsyncIterator[AnyDialer]:
    """The dialer of one run; what its hosts share ends with it."""
    async with AsyncExitStack() as stack:
        yield AnyDialer(
            {name: await stack.enter_async_context(make(run_directory, agent)) for name, make in TRANSPORTS.items()}
        )
