"""Which keys we show to a host: its configured identity alone, else the agent's and the usual files.

Asks for no passphrase: an encrypted identity works through the ssh agent or not at all.
"""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from fleet import errors, model

AGENT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Arguments of `asyncssh.connect`; the defaults mean the agent and ~/.ssh/id_*."""

    client_keys: tuple[str, ...] = ()
    agent_path: str | tuple[()] | None = ()
    agent_identities: tuple[asyncssh.SSHKey, ...] | tuple[()] | None = None
    ignore_encrypted: bool = True
    said: str = "the keys of the ssh agent and of ~/.ssh/id_*"


async def choose(host: model.Host) -> Credentials:
    """The keys for `host`; HostAuthError when its identity cannot be used as things are."""
    if host.identity is None:
        return Credentials()
    path = Path(host.identity).expanduser()
    try:
        asyncssh.read_private_key(path)
    except OSError as error:
        raise errors.HostAuthError(
            host.name,
            f"identity {path} cannot be read: {error.strerror}",
            remedy="correct `identity` in hosts.toml, or delete it to use the ssh agent and ~/.ssh/id_*",
        ) from error
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        if "assphrase" not in str(error):
            raise errors.HostAuthError(
                host.name, f"identity {path} is not a private key: {error}", remedy="correct `identity` in hosts.toml"
            ) from error
        return await _from_agent(host, path)
    # With an identity configured the agent stays out: each key shown costs one of the server's few attempts.
    return Credentials(client_keys=(str(path),), agent_path=None, ignore_encrypted=False, said=f"identity {path}")


async def _from_agent(host: model.Host, path: Path) -> Credentials:
    socket = os.environ.get("SSH_AUTH_SOCK")
    if not socket:
        raise errors.HostAuthError(
            host.name,
            f"identity {path} is encrypted and no ssh agent is running",
            remedy=f'eval "$(ssh-agent)" && ssh-add {path}',
        )
    public = _public_key(path)
    if public is None or not await _agent_holds(socket, public):
        raise errors.HostAuthError(
            host.name, f"identity {path} is encrypted and the ssh agent does not hold it", remedy=f"ssh-add {path}"
        )
    return Credentials(
        client_keys=(str(path),),
        agent_path=socket,
        agent_identities=(public,),
        said=f"identity {path} through the ssh agent",
    )


def _public_key(path: Path) -> asyncssh.SSHKey | None:
    for candidate in (path.with_name(path.name + ".pub"), path):
        try:
            return asyncssh.read_public_key(candidate)
        except (OSError, asyncssh.KeyImportError):
            continue
    return None


async def _agent_holds(socket: str, public: asyncssh.SSHKey) -> bool:
    try:
        async with asyncio.timeout(AGENT_S), asyncssh.connect_agent(socket) as agent:
            return bool(await agent.get_keys(identities=[public.public_data]))
    except (OSError, ValueError):
        return False
