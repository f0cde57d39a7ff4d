"""What a transport promises: it moves lines and files. It knows no chunk, no plan and no schedule."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from capture.protocol import FromAgent, ToAgent
from fleet.model import Blob, Host


class Channel(Protocol):
    """The agent's standard input and output as messages. Closing it is what makes the agent die."""

    async def send(self, message: ToAgent) -> None:
        """Sends one message; HostLost when the agent is gone."""

    def receive(self) -> AsyncIterator[FromAgent]:
        """Messages until the agent ends after Bye; HostLost when it ends otherwise or breaks the protocol."""
        ...


class Transport(Protocol):
    """One open connection to one host; made by an async context manager that ends it, agent included."""

    @property
    def pull_age_s(self) -> float:
        """How long frames should wait for company before a pull is worth what it costs whatever it carries, in s."""
        ...

    def start_agent(self) -> AbstractAsyncContextManager[Channel]:
        """Starts `capture.pyz agent` on the host, bringing it there first when the host lacks it."""
        ...

    async def push(self, blobs: Sequence[Blob], directory: str) -> None:
        """Stores each blob as `<directory>/<sha256>` on the host; `directory` is absolute and exists."""

    async def pull(self, directory: str, names: Sequence[str], destination: Path, *, limit_bytes: int) -> None:
        """Copies the named files from the host's absolute `directory`; what arrived is for the caller to judge.

        Files land under their own names in `destination`, an empty quarantine: their content is untrusted.
        Names that the host lacks are simply absent afterwards. HostLost when the connection breaks, HostUnfit when
        the host sends more than `limit_bytes`.
        """


class Dialer(Protocol):
    """Opens hosts, and owns what their connections share."""

    def open(self, host: Host) -> AbstractAsyncContextManager[Transport]:
        """A transport to `host`, ended on exit; HostUnreachable, HostKeyError or HostAuthError when there is none."""
        ...
