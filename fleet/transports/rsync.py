"""Files to and from a host by rsync, over the bridge. The command lines and the verdict on the outcome are pure.

The host is not trusted: we name every file, take regular files only, bound the bytes, and never follow its links.
"""

import asyncio
import contextlib
import logging
import os
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from fleet import errors, model
from fleet.transports import bridge, channel

logger = logging.getLogger(__name__)

MIN_BYTES_PER_S = 64 * 1024  # slower than this and the transfer is given up
SETUP_S = 60.0
# rsync's own words beside the files: names, sizes, checksums of blocks, messages.
OVERHEAD_BYTES = 64 * 1024
OVERHEAD_BYTES_PER_FILE = 1024
# Exit codes of rsync that speak of single files; which of them are missing is seen by looking.
PARTIAL = (0, 23, 24)
FILE_IO = 11
CANNOT = (1, 2, 4)  # usage, protocol, "action not supported": trying again cannot help

PULL = (
    "-s", "-t", "--no-inc-recursive", "--files-from=-", "--from0", "--no-implied-dirs",
    "--no-links", "--hard-links", "--no-devices", "--no-specials", "--no-perms", "--no-owner", "--no-group",
    "--chmod=F600,D700", "--whole-file", "--max-size=64m", "--max-alloc=512m", "--timeout=60", "--no-motd",
    "--out-format=%n %l",
)  # fmt: skip
# --copy-links concerns our side only: blobs are staged as links under the names they will have.
PUSH = (
    "-s", "--copy-links", "--no-inc-recursive", "--files-from=-", "--from0", "--no-implied-dirs",
    "--no-perms", "--no-owner", "--no-group", "--chmod=F600,D700", "--whole-file", "--timeout=60", "--no-motd",
)  # fmt: skip


def pull_command(host: model.Host, rsh: str, directory: str, destination: Path) -> list[str]:
    """Arguments of the rsync that fetches the files named on its standard input."""
    return ["rsync", *PULL, *_way(host, rsh), f"{host.name}:{directory}/", f"{destination}/"]


def push_command(host: model.Host, rsh: str, source: Path, directory: str) -> list[str]:
    """Arguments of the rsync that stores the files named on its standard input."""
    return ["rsync", *PUSH, *_way(host, rsh), f"{source}/", f"{host.name}:{directory}/"]


def verdict(host: model.Host, code: int, transfer: bridge.Transfer, said: str, *, pulls: bool) -> None:
    """Raises what rsync's exit `code` and the bridge's findings amount to; nothing when files may be there."""
    if code in PARTIAL and not transfer.failure:
        return
    if transfer.status in (126, 127):
        raise errors.HostUnfit(
            host.name,
            f"no `{host.rsync}` on the host: {transfer.tail}",
            remedy=f"install rsync there, or set `rsync` of {host.name} to its path in hosts.toml",
        )
    if code == FILE_IO and pulls:
        raise errors.ConfigError(
            f"cannot store frames here: {said}", remedy="free some space, or choose another directory, then resume"
        )
    if code == FILE_IO:
        raise errors.HostUnfit(host.name, f"cannot store files: {said}", remedy="free some space on the host")
    if code in CANNOT:
        raise errors.HostUnfit(
            host.name,
            f"its rsync and ours do not understand each other: {said or transfer.tail}",
            remedy="compare `rsync --version` here and there; the host's rc files must print nothing",
        )
    if "that were agreed" in transfer.failure:
        raise errors.HostUnfit(
            host.name, transfer.failure, remedy="its files are larger than it announced: do not trust this host"
        )
    what = "pull" if pulls else "push"
    why = transfer.failure or said or str(transfer.tail) or f"rsync ended with status {code}"
    raise errors.HostLost(host.name, f"{what} failed: {why}", remedy="its frames go to other hosts")


async def pull(
    over: bridge.Bridge,
    execute: bridge.Execute,
    host: model.Host,
    directory: str,
    names: Sequence[str],
    destination: Path,
    limit_bytes: int,
) -> None:
    """Fetches `names`; see `base.Transport.pull`."""
    budget = limit_bytes + OVERHEAD_BYTES + OVERHEAD_BYTES_PER_FILE * len(names)
    with over.admit(host.name, _plain(host), execute, budget) as transfer:
        argv = pull_command(host, rsh_command(over, transfer), directory, destination.absolute())
        code, said = await _run(argv, names, _limit_s(host, budget))
        _drop_unasked(destination, frozenset(names))
        if code != 0:
            await transfer.settle()
        verdict(host, code, transfer, said, pulls=True)


def _drop_unasked(destination: Path, names: frozenset[str]) -> None:
    """Deletes what is no regular file of these names: a sender may fill a folder that it calls by one of them."""
    for entry in destination.iterdir():
        if entry.is_symlink() or not entry.is_file() or entry.name not in names:
            logger.warning("rsync brought something that nobody asked for")
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)


async def push(
    over: bridge.Bridge, execute: bridge.Execute, host: model.Host, blobs: Sequence[model.Blob], directory: str
) -> None:
    """Stores `blobs`; see `base.Transport.push`."""
    size_bytes = sum(blob.size_bytes for blob in blobs)
    budget = OVERHEAD_BYTES + OVERHEAD_BYTES_PER_FILE * len(blobs)
    with (
        tempfile.TemporaryDirectory(prefix="push-", dir=over.directory) as staging,
        over.admit(host.name, _plain(host), execute, budget) as transfer,
    ):
        for blob in blobs:
            Path(staging, blob.sha256).symlink_to(Path(blob.file).absolute())
        argv = push_command(host, rsh_command(over, transfer), Path(staging), directory)
        code, said = await _run(argv, [blob.sha256 for blob in blobs], _limit_s(host, size_bytes))
        if code != 0:
            await transfer.settle()
        verdict(host, code, transfer, said, pulls=False)
        if code != 0:
            why = said or f"rsync ended with status {code}"
            raise errors.HostLost(host.name, f"push failed: {why}", remedy="its frames go to other hosts")


def rsh_command(over: bridge.Bridge, transfer: bridge.Transfer) -> str:
    """What rsync starts in place of ssh; rsync splits it at spaces and knows shell quotes."""
    helper = Path(__file__).with_name("rsh.py")
    return shlex.join([sys.executable, "-ISE", str(helper), str(over.socket_path), str(transfer.token_file)])


def _way(host: model.Host, rsh: str) -> list[str]:
    limit = [f"--bwlimit={max(1, host.bwlimit_bytes // 1024)}k"] if host.bwlimit_bytes else []
    return [*limit, f"--rsync-path={host.rsync}", "-e", rsh]


def _plain(host: model.Host) -> str:
    if not bridge.WORD.fullmatch(host.rsync):
        raise errors.ConfigError(
            f"{host.name}: rsync is {host.rsync!r}, which a login shell could misread",
            remedy="set `rsync` to a command or an absolute path without spaces",
        )
    return host.rsync


def _limit_s(host: model.Host, size_bytes: int) -> float:
    rate = min(MIN_BYTES_PER_S, (host.bwlimit_bytes or 2 * MIN_BYTES_PER_S) / 2)
    return SETUP_S + size_bytes / rate


async def _run(argv: Sequence[str], names: Iterable[str], limit_s: float) -> tuple[int, str]:
    """Exit code of rsync and the end of what it said; it and its children are gone afterwards, cancelled or not."""
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            # Without HOME and RSYNC_*: neither ~/.popt nor the environment may add options.
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"},
        )
    except FileNotFoundError as error:
        raise errors.ConfigError("rsync is not installed here", remedy="`apt install rsync`") from error
    assert process.stdin is not None
    assert process.stderr is not None
    tail = channel.Tail("rsync")
    following = asyncio.create_task(tail.follow(process.stderr))
    try:
        async with asyncio.timeout(limit_s):
            with contextlib.suppress(OSError):
                process.stdin.write(b"".join(os.fsencode(name) + b"\0" for name in names))
                await process.stdin.drain()
            process.stdin.close()
            await asyncio.wait([following])
            return await process.wait(), str(tail)
    except TimeoutError:
        return -1, f"it was given up after {limit_s:.0f} s"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        await asyncio.wait([following])
