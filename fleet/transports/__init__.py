"""Ways to reach hosts: one file and one line of `TRANSPORTS` each, all held to the promise of `base.py`."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

from fleet import agentzip, errors, model
from fleet.transports import base, local


def _ssh(
    run_directory: Path, agent: agentzip.AgentZip, _early: local.Early | None
) -> AbstractAsyncContextManager[base.Dialer]:
    from fleet.transports import ssh  # asyncssh takes a quarter of a local render's imports

    return ssh.dialer(run_directory, agent)


Make = Callable[[Path, agentzip.AgentZip, local.Early | None], AbstractAsyncContextManager[base.Dialer]]
TRANSPORTS: dict[str, Make] = {
    "local": local.dialer,
    "ssh": _ssh,
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
                remedy=f"set `transport` to one of: {', '.join(TRANSPORTS)}",
            )
        return self._dialers[host.transport].open(host)


@asynccontextmanager
async def dialer(
    run_directory: Path, agent: agentzip.AgentZip, hosts: Iterable[model.Host], *, early: local.Early | None = None
) -> AsyncIterator[AnyDialer]:
    """The dialer of one run for `hosts`; what they share ends with it. `early` is an agent that runs already."""
    named = {host.transport for host in hosts}
    async with AsyncExitStack() as stack:
        yield AnyDialer(
            {
                name: await stack.enter_async_context(make(run_directory, agent, early))
                for name, make in TRANSPORTS.items()
                if name in named
            }
        )
