"""Runs on a host before anything of ours is there: finds or receives the agent's zip, then becomes the agent.

Sent inside the command line by `bootstrap.py`. Must parse on Python 3.6, to say that it is too old; reads its input
with os.read alone, because what follows the zip belongs to the agent.
"""

import base64
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any


def main(word: str) -> None:
    """Carries out the order in `word`: base64 of JSON, so that no shell can misread it."""
    order = json.loads(base64.b64decode(word).decode())
    os.umask(0o77)
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < (3, 11):  # noqa: UP036 - here we run on what the host has
        say(order, "OLD", version)
        sys.exit(3)
    try:
        path = agent(order, version)
    except OSError as error:
        say(order, "FAIL", " ".join(str(error).split()))
        sys.exit(3)
    os.environ.update(order["env"])
    argv = [sys.executable, "-ISE", str(path), "agent", "--workspace", order["workspace"]]
    os.execv(sys.executable, argv)  # noqa: S606 - same streams, no shell left between sshd and the agent


def agent(order: "dict[str, Any]", version: str) -> Path:
    """Path of the zip that was ordered, stored first if it is not here."""
    directory = folder(Path(order["workspace"]).expanduser()) / "agent"
    path: Path = folder(directory) / (order["sha256"] + ".pyz")
    if holds(path, order["sha256"]):
        say(order, "HAVE", version)
        return path
    say(order, "SEND", version)
    data = receive(order["size"])
    if hashlib.sha256(data).hexdigest() != order["sha256"]:
        raise OSError("the agent arrived damaged")
    part = directory / (order["sha256"] + "." + str(os.getpid()))
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    say(order, "HAVE", version)
    return path


def folder(path: Path) -> Path:
    """The directory `path`, made if need be; OSError when somebody else could put files into it."""
    path.mkdir(parents=True, exist_ok=True)
    info = path.stat()
    if info.st_uid != os.getuid() or info.st_mode & 0o22:
        raise OSError(str(path) + " must belong to this user and be writable by nobody else")
    return path


def holds(path: Path, digest: str) -> bool:
    """Whether `path` is a file of this digest."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == digest
    except FileNotFoundError:
        return False


def receive(size: int) -> bytes:
    """Exactly `size` bytes of standard input."""
    data = b""
    while len(data) < size:
        more = os.read(0, size - len(data))
        if not more:
            raise OSError("the connection ended while the agent arrived")
        data += more
    return data


def say(order: "dict[str, Any]", word: str, text: str) -> None:
    """One line that starts with the nonce: whatever the login shell printed before, this is ours."""
    os.write(1, ("\n" + order["nonce"] + " " + word + " " + text + "\n").encode())


if __name__ == "__main__":
    main(sys.argv[1])
