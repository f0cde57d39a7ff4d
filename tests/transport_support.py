"""A tiny agent for transport tests: speaks the real protocol, obeys odd orders, and needs no browser."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from capture import protocol
from fleet import agentzip

FACTS = protocol.Facts(
    protocol.VERSION,
    protocol.HostFacts(
        python="3.11.2",
        kernel="6.1",
        architecture="x86_64",
        machine_id="m",
        is_root=False,
        workspace="/w",
        cpu_count=2,
        cpu_affinity=2,
        cpu_quota=None,
        memory_total_bytes=1,
        memory_available_bytes=1,
        memory_limit_bytes=None,
        disk_free_bytes=1,
        shm_bytes=1,
        chromium=None,
        chromium_version=None,
        rsync=None,
        rsync_version=None,
        fonts_digest="",
        fonts_count=0,
        unix_time_s=0.0,
        can_sandbox=False,
    ),
)
HELLO = protocol.Hello(version=protocol.VERSION, run="test", lease_s=45.0, limits=protocol.Limits())

# Prepare carries the odd orders, because its one field is free text.
SOURCE = """
import json, os, sys, time

FACTS = {facts!r}

def say(**message):
    sys.stdout.buffer.write(json.dumps(message).encode() + b"\\n")
    sys.stdout.buffer.flush()

def obey(order):
    if order == "junk":
        print("Killed by something", flush=True)
    elif order == "huge":
        sys.stdout.write("x" * 3_000_000 + "\\n")
        sys.stdout.flush()
    elif order == "backwards":
        say(t="ping", sequence=1)
    elif order == "exit":
        sys.stderr.write("Traceback: the disk is gone\\n")
        sys.exit(7)
    elif order == "stopping":
        say(t="stopping", reason="no heartbeat")
        sys.exit(0)
    elif order == "chatter":
        sys.stderr.write("e" * 5_000_000)
        sys.stderr.flush()
        say(t="prepared", bundle=order)
    elif order == "environment":
        say(t="note", level="info", source="agent", text=os.environ.get("FLEET_TEST", ""))
    elif order == "workspace":
        say(t="note", level="info", source="agent", text=sys.argv[3])
    elif order == "pid":
        say(t="note", level="info", source="agent", text=str(os.getpid()))
    elif order == "deaf":
        time.sleep(3600)

for line in sys.stdin.buffer:
    message = json.loads(line)
    if message["t"] == "hello":
        sys.stdout.buffer.write(FACTS)
        sys.stdout.buffer.flush()
    elif message["t"] == "ping":
        say(t="pong", sequence=message["sequence"])
    elif message["t"] == "prepare":
        obey(message["bundle"])
    elif message["t"] == "bye":
        break
"""


@contextlib.contextmanager
def echo_agent(directory: Path) -> Iterator[agentzip.AgentZip]:
    """The built tiny agent."""
    package = directory / "sources" / "echo_agent"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(SOURCE.replace("{facts!r}", repr(protocol.encode(FACTS))))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(directory / "sources"))
        yield agentzip.build(directory / "built", "echo_agent")
