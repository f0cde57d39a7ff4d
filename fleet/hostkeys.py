"""Host keys as servers present them, and the file that says which we trust.

Scanning proves nothing: `hosts trust` shows the fingerprints to a person, who decides. Nothing else writes this file.
"""

import asyncio
import os
import tempfile
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from fleet import errors, model
from fleet.transports import dial, identity, knownhosts, refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannedKey:
    """The key that a host presents now; `line` is what known_hosts would say of it."""

    host: str
    address: str
    port: int
    algorithm: str
    fingerprint: str  # SHA256:...
    line: str
    known: tuple[str, ...] = ()  # fingerprints trusted so far, each as "algorithm SHA256:..."

    @property
    def is_known(self) -> bool:
        """Whether this very key is trusted already."""
        return f"{self.algorithm} {self.fingerprint}" in self.known

    @property
    def has_changed(self) -> bool:
        """Whether another key is trusted for this host: a reinstalled host, or somebody in between."""
        return bool(self.known) and not self.is_known


async def scan(host: model.Host) -> ScannedKey:
    """Asks `host` for its key without logging in; HostUnreachable when it cannot be asked.

    Its jump hosts are logged into, so their keys must be trusted before.
    """
    known = knownhosts.lookup(host)
    config = [host.ssh_config] if host.ssh_config else None
    try:
        async with AsyncExitStack() as stack:
            jump = host.jump
            tunnel = await stack.enter_async_context(dial.Connections().open(jump)) if jump else None
            async with asyncio.timeout(host.connect_timeout_s):
                key = await asyncssh.get_server_host_key(
                    host.address,
                    host.port,
                    tunnel=tunnel,
                    config=config,
                    server_host_key_algs=knownhosts.ALGORITHMS,
                )
    except (OSError, asyncssh.Error) as error:
        raise refusal.translate(host, error, None, knownhosts.Known(), identity.Credentials()) from error
    if key is None:
        raise errors.HostKeyError(host.name, "it presents no host key", remedy="configure a HostKey in its sshd_config")
    return ScannedKey(
        host=host.name,
        address=host.address,
        port=host.port,
        algorithm=key.get_algorithm(),
        fingerprint=key.get_fingerprint(),
        line=knownhosts.line(host, key),
        known=known.fingerprints,
    )


def merge(text: str, keys: Iterable[ScannedKey], *, replace: bool = False) -> str:
    """The known_hosts `text` with `keys` added; `replace` first drops what it says of the same hosts. Pure."""
    lines = text.splitlines()
    for key in keys:
        if key.line in lines:
            continue
        others = [line for line in lines if _names(line, key.host)]
        if others and not replace:
            raise errors.HostKeyError(
                key.host,
                f"another host key is trusted already; it now presents {key.algorithm} {key.fingerprint}",
                remedy="if the host was reinstalled, replace the old key; if not, somebody may sit in between",
            )
        lines = [*(line for line in lines if line not in others), key.line]
    return "".join(f"{line}\n" for line in lines)


def write(path: Path, keys: Iterable[ScannedKey], *, replace: bool = False) -> None:
    """Adds `keys` to the known_hosts file at `path`, by rename; HostKeyError when one would replace another."""
    text = path.read_text() if path.exists() else ""
    merged = merge(text, keys, replace=replace)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(merged)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _names(line: str, host: str) -> bool:
    """Whether a known_hosts line is a trusted key of `host`; markers (@revoked, @cert-authority) are left alone."""
    words = line.split()
    return bool(words) and not line.startswith(("#", "@")) and knownhosts.alias(host) in words[0].split(",")
