"""Host keys by inventory name: the lines of `hosts.known_hosts`, looked up by alias and nothing else.

A host is known as `fleet-<name>`, so its key survives a new address, and no other host's key can stand in for it.
Reads one file; writing it is `fleet/hostkeys.py`.
"""

from dataclasses import dataclass
from pathlib import Path

import asyncssh

from fleet import errors, model

# In this order, so that scanning and dialling an unknown host show a person the same key.
ALGORITHMS = (
    "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "rsa-sha2-512", "rsa-sha2-256",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Known:
    """What `known_hosts` says of one host: keys that are trusted, authorities, keys that are revoked."""

    keys: tuple[asyncssh.SSHKey, ...] = ()
    authorities: tuple[asyncssh.SSHKey, ...] = ()
    revoked: tuple[asyncssh.SSHKey, ...] = ()

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Trusted keys as a person compares them: `ssh-ed25519 SHA256:...`."""
        return tuple(describe(key) for key in self.keys)


def alias(name: str) -> str:
    """The name under which the key of the host `name` is filed."""
    return f"fleet-{name}"


def endpoint(address: str, port: int) -> str:
    """Address and port as known_hosts writes them: the default port is left out, brackets with it."""
    return address if port == 22 else f"[{address}]:{port}"


def line(host: model.Host, key: asyncssh.SSHKey) -> str:
    """The line that makes `key` the known key of `host`; paramiko looks up the second name, we the first."""
    algorithm, data = key.export_public_key("openssh").decode().split()[:2]
    return f"{alias(host.name)},{endpoint(host.address, host.port)} {algorithm} {data}"


def describe(key: asyncssh.SSHKey) -> str:
    """Algorithm and SHA-256 fingerprint of `key`."""
    return f"{key.get_algorithm()} {key.get_fingerprint()}"


def lookup(host: model.Host) -> Known:
    """What the known_hosts file of `host` says of it; nothing when there is no such file yet."""
    if host.known_hosts is None:
        raise errors.HostKeyError(
            host.name,
            "no known_hosts file is configured",
            remedy="set `known_hosts` in hosts.toml: host keys are always verified",
        )
    path = Path(host.known_hosts).expanduser()
    try:
        text = path.read_text()
    except FileNotFoundError:
        return Known()
    except (OSError, UnicodeDecodeError) as error:
        raise errors.ConfigError(f"{path}: cannot be read: {error}", remedy=f"check `ls -l {path}`") from error
    try:
        keys, authorities, revoked, *_ = asyncssh.import_known_hosts(text).match(alias(host.name), "", None)
    except ValueError as error:
        raise errors.ConfigError(f"{path}: {error}", remedy=f"correct or delete that line of {path}") from error
    return Known(tuple(keys), tuple(authorities), tuple(revoked))


def trust_command(host: model.Host) -> str:
    """What to type to accept a key of `host`; the hosts file is taken to lie beside its known_hosts file."""
    beside = Path(host.known_hosts or "hosts.known_hosts").with_suffix(".toml")
    return f"fleetrender hosts trust --hosts {beside} {host.name}"
