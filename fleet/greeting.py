"""The first words to an agent of a run. Pure but for the names of user and machine, which others are told."""

import getpass
import socket

from capture import protocol
from fleet.model import Host

LEASE_S = 45.0  # silence after which the agent kills its own tree
OWNER_CHARS = 100


def hello(host: Host, *, run: str, workers: int | None, page_limit_s: float) -> protocol.Hello:
    """What the agent of `host` must know before anything else."""
    return protocol.Hello(
        version=protocol.VERSION,
        run=run,
        lease_s=LEASE_S,
        limits=host.limits,
        workers=workers,
        chromium=host.chromium,
        chromium_args=host.chromium_args,
        sandbox=host.sandbox,
        owner=f"{getpass.getuser()}@{socket.gethostname()}"[:OWNER_CHARS],
        page_limit_s=page_limit_s,
    )
