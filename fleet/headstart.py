"""The agent of this machine, begun while the composition is still read: by then it has gathered its facts.

It takes no lock before there is something to render. Hosts by SSH are not begun so: nobody wants to log in for a
composition that turns out to be wrong.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from fleet import agentzip, greeting, rundir
from fleet.request import Request
from fleet.transports import local


@dataclass(frozen=True, slots=True)
class HeadStart:
    """The name that the run will have, and the agent that was greeted with it; none where no host is this machine."""

    zip: agentzip.AgentZip
    run: str
    early: local.Early | None


@contextlib.contextmanager
def given(runner: asyncio.Runner, request: Request) -> Iterator[HeadStart]:
    """Begins the agent in the loop of `runner`, which need not run meanwhile; it is gone when the context ends."""
    agent = agentzip.build(rundir.cache_root() / "agents")
    run = rundir.new_name(hashlib.sha256(str(request.output).encode()).hexdigest())
    host = next((host for host in request.hosts if host.transport == "local"), None)
    if host is None or request.resume:  # the run that is resumed has a name already
        yield HeadStart(agent, run, None)
        return
    hello = greeting.hello(host, run=run, workers=request.workers, page_limit_s=request.page_limit_s)
    stack = contextlib.AsyncExitStack()
    begun = local.begun(host, agent, hello)
    try:
        yield HeadStart(agent, run, runner.run(stack.enter_async_context(begun)))
    finally:
        runner.run(stack.aclose())
