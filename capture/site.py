"""Where and with what an agent captures: settled by the coordinator's Hello and the facts of the host."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass

from capture import pool, probe, protocol, store
from capture.encoder import Encoders


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Fixed for the life of an agent, but for what the callables measure."""

    workspace: store.Workspace
    run: str
    cores: float
    workers: int | None  # asked for; wins over everything
    workers_max: int  # that the owner of the host allows
    chromium: str
    chromium_args: tuple[str, ...]
    sandbox: bool
    page_limit_s: float
    memory: Callable[[], pool.Memory]
    oom_kills: Callable[[], int]
    encoders: Encoders
    spool_bytes_max: int = pool.SPOOL_BYTES_MAX  # of frames that wait to be fetched

    def free_bytes(self) -> int:
        """Of the workspace's disk."""
        return shutil.disk_usage(self.workspace.path).free


def of(workspace: store.Workspace, hello: protocol.Hello, facts: protocol.HostFacts, encoders: Encoders) -> Site:
    """This host as `hello` and its own `facts` have it."""
    limit_bytes = hello.limits.memory_bytes
    return Site(
        workspace=workspace,
        run=hello.run,
        cores=facts.cores,
        workers=hello.workers,
        workers_max=hello.limits.workers or pool.WORKERS_MAX,
        chromium=chromium(hello, facts),
        chromium_args=hello.chromium_args,
        sandbox=hello.sandbox,
        page_limit_s=hello.page_limit_s,
        memory=lambda: pool.Memory(probe.memory_available(), limit_bytes, probe.memory_pressure()),
        oom_kills=probe.oom_kills,
        encoders=encoders,
        spool_bytes_max=min(pool.SPOOL_BYTES_MAX, hello.limits.disk_bytes or sys.maxsize),
    )


def chromium(hello: protocol.Hello, facts: protocol.HostFacts) -> str:
    """The browser to be started; it may not be there."""
    return facts.chromium or hello.chromium or "chromium"
