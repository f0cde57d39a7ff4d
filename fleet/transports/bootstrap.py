"""Starts the agent on a host that holds nothing of ours, in one command and over that command's own streams.

The login shell sees fixed ASCII only; paths and environment travel in base64. What the shell prints before our first
line is skipped, and kept for the error message.
"""

import asyncio
import base64
import json
import logging
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from capture import protocol
from fleet import agentzip, errors, model
from fleet.transports import channel

logger = logging.getLogger(__name__)

START_S = 20.0  # rc files are slow: version managers alone take a second on a busy host
NOISE_BYTES = 64 * 1024
MIN_BYTES_PER_S = 64 * 1024
# Words that sh, bash, dash, zsh, tcsh and fish all leave alone.
SAFE_WORD = re.compile(r"[A-Za-z0-9_./+-]+")


@dataclass(frozen=True, slots=True)
class Answer:
    """One line of stage 0, and what came before and after it."""

    word: str
    text: str
    noise: bytes
    rest: bytes


def command(host: model.Host, agent: agentzip.AgentZip, nonce: str) -> str:
    """What to execute on `host`; ConfigError when its `python` is no plain word."""
    if not SAFE_WORD.fullmatch(host.python):
        raise errors.ConfigError(
            f"{host.name}: python is {host.python!r}, which a login shell could misread",
            remedy="set `python` to a command or an absolute path of letters, digits and . _ / + -",
        )
    order = {
        "nonce": nonce,
        "sha256": agent.sha256,
        "size": agent.size_bytes,
        "workspace": host.workdir,
        "env": dict(host.env),
    }
    word = base64.b64encode(json.dumps(order).encode()).decode()
    source = Path(__file__).with_name("stage0.py").read_bytes()
    blob = base64.b64encode(zlib.compress(source, 9)).decode()
    script = f"import zlib,base64;exec(zlib.decompress(base64.b64decode('{blob}')))"
    return f'exec /usr/bin/env {host.python} -ISE -c "{script}" {word}'


async def bring(
    host: model.Host, process: channel.Process, tail: channel.Tail, agent: agentzip.AgentZip, nonce: str
) -> bytes:
    """Waits until `process` is the agent, sending it first if the host lacks it; gives what was read too much.

    What the login shell printed comes first in that, as a note of source `shell`.

    HostUnfit when the host cannot run it, HostLost when the connection breaks.
    """
    answer = await _answer(host, process, tail, nonce, START_S)
    noise = _said(answer.noise)
    if answer.word == "SEND":
        answer = await _send(host, process, tail, agent, nonce)
    if answer.word == "OLD":
        raise errors.HostUnfit(
            host.name,
            f"`{host.python}` is Python {answer.text}, and 3.11 or newer is needed",
            remedy=f"install a newer Python, then set `python` of {host.name} to its path in hosts.toml",
        )
    if answer.word != "HAVE":
        raise errors.HostUnfit(
            host.name,
            f"cannot use the work directory {host.workdir}: {answer.text}",
            remedy=f"correct it on the host, or set `workdir` of {host.name} in hosts.toml",
        )
    note = protocol.encode(protocol.Note("info", "shell", noise)) if noise else b""
    return note + answer.rest


async def _send(
    host: model.Host, process: channel.Process, tail: channel.Tail, agent: agentzip.AgentZip, nonce: str
) -> Answer:
    logger.debug("%s: sending the agent, %d bytes", host.name, agent.size_bytes)
    limit_s = START_S + agent.size_bytes / MIN_BYTES_PER_S
    try:
        async with asyncio.timeout(limit_s):
            process.stdin.write(agent.path.read_bytes())
            await process.stdin.drain()
    except OSError as error:
        raise _lost(host, f"it broke while the agent was sent: {str(error) or 'too slow'}") from error
    return await _answer(host, process, tail, nonce, limit_s)


async def _answer(host: model.Host, process: channel.Process, tail: channel.Tail, nonce: str, limit_s: float) -> Answer:
    line = re.compile(rb"\n" + nonce.encode() + rb" ([A-Z]+) ([^\n]*)\n")
    seen = b""
    try:
        async with asyncio.timeout(limit_s):
            while not (found := line.search(seen)):
                data = await process.stdout.read(channel.CHUNK_BYTES)
                if not data:
                    await _explain_end(host, await process.wait(), seen, tail)
                seen += data
                if len(seen) > NOISE_BYTES:
                    raise _noisy(host, seen, f"printed more than {NOISE_BYTES} bytes before python started")
    except TimeoutError:
        raise _noisy(host, seen, f"did not start python within {limit_s:g} s") from None
    except OSError as error:
        raise _lost(host, str(error)) from error
    text = channel.clean(found[2].decode(errors="replace"))
    return Answer(found[1].decode(), text, seen[: found.start()], seen[found.end() :])


async def _explain_end(host: model.Host, status: int | None, seen: bytes, tail: channel.Tail) -> NoReturn:
    """Raises for a command that ended before python spoke."""
    await tail.settled()
    said = _said(seen) or str(tail)
    if status is None:
        raise _lost(host, said)
    if status == 127 or "No such file" in str(tail):
        raise errors.HostUnfit(
            host.name,
            f"no `{host.python}` on the host: {said}",
            remedy=f"install python3 (3.11 or newer) there, or set `python` of {host.name} in hosts.toml",
        )
    if "nknown option" in str(tail) or "SyntaxError" in str(tail):
        raise errors.HostUnfit(
            host.name,
            f"`{host.python}` is too old, and 3.11 or newer is needed: {said}",
            remedy=f"install a newer Python, then set `python` of {host.name} to its path in hosts.toml",
        )
    raise errors.HostUnfit(
        host.name,
        f"the login shell ended with status {status} before python started: {said or 'it printed nothing'}",
        remedy="give the user a login shell that runs commands; its rc files must not end non-interactive shells",
    )


def _noisy(host: model.Host, seen: bytes, what: str) -> errors.HostUnfit:
    return errors.HostUnfit(
        host.name,
        f"the login shell {what}; it printed: {_said(seen) or 'nothing'}",
        remedy="let its rc files stop early for non-interactive shells: `[[ $- != *i* ]] && return`",
    )


def _lost(host: model.Host, said: str) -> errors.HostLost:
    what = "the connection broke before the agent started"
    return errors.HostLost(host.name, f"{what}: {said}" if said else what, remedy="see the log of sshd on the host")


def _said(seen: bytes) -> str:
    return channel.clean(seen[-1000:].decode(errors="replace")).strip()
