"""`hosts trust`: the one way in which a host key becomes trusted. A person compares fingerprints, or names them.

There is deliberately no way to accept whatever comes: a key is taken on an answer or for a named fingerprint.
"""

import asyncio
import enum
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fleet import errors, hostkeys
from fleet.hostkeys import ScannedKey
from fleet.model import Host

SCANS_AT_ONCE = 16  # sshd drops callers that knock in crowds (MaxStartups), and these never log in
FINGERPRINT = "SHA256:"


class Outcome(enum.Enum):
    """What became of the key that one host presented; the value is how it is told."""

    KNOWN = "trusted already"
    TRUSTED = "trusted now"
    REPLACED = "trusted now, in place of the old key"
    REFUSED = "not trusted"
    CHANGED = "not trusted: another key is known for this host"
    UNREACHABLE = "could not be asked"

    @property
    def is_trusted(self) -> bool:
        """Whether the host can be used now."""
        return self in (Outcome.KNOWN, Outcome.TRUSTED, Outcome.REPLACED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One host and its outcome; `error` says more when there is more to say."""

    host: Host
    outcome: Outcome
    error: errors.FleetError | None = None


Ask = Callable[[ScannedKey], bool]


def reached(hosts: Iterable[Host]) -> tuple[Host, ...]:
    """Hosts that present keys, each after the jump hosts on its way, none twice."""
    found: dict[str, Host] = {}
    for host in hosts:
        way: list[Host] = []
        step: Host | None = host if host.transport == "ssh" else None
        while step is not None:
            way.append(step)
            step = step.jump
        for each in reversed(way):
            found.setdefault(each.name, each)
    return tuple(found.values())


def judge(key: ScannedKey, *, fingerprints: frozenset[str], replace: bool) -> Outcome | None:
    """What `key` gets without asking anybody; None when a person must decide. Pure."""
    if key.is_known:
        return Outcome.KNOWN
    if key.has_changed and not replace:
        return Outcome.CHANGED
    if not fingerprints:
        return None
    if key.fingerprint not in fingerprints:
        return Outcome.REFUSED
    return Outcome.REPLACED if key.has_changed else Outcome.TRUSTED


async def run(hosts: Iterable[Host], *, fingerprints: frozenset[str], replace: bool, ask: Ask) -> tuple[Verdict, ...]:
    """Scans `hosts` and their jump hosts, decides about each key and writes those accepted.

    A host behind a jump host is scanned once that one is trusted, so it comes later.
    """
    verdicts: dict[str, Verdict] = {}
    for level in _levels(reached(hosts)):
        scannable = [host for host in level if not host.jump or verdicts[host.jump.name].outcome.is_trusted]
        scanned = dict(zip((host.name for host in scannable), await _scan(scannable), strict=True))
        for host in level:
            verdicts[host.name] = _decide(
                host, scanned.get(host.name), fingerprints=fingerprints, replace=replace, ask=ask
            )
    return tuple(verdicts.values())


def _levels(hosts: Sequence[Host]) -> list[list[Host]]:
    """Hosts by the number of jumps to them, nearest first."""
    levels: dict[int, list[Host]] = {}
    for host in hosts:
        depth, step = 0, host.jump
        while step is not None:
            depth, step = depth + 1, step.jump
        levels.setdefault(depth, []).append(host)
    return [levels[depth] for depth in sorted(levels)]


async def _scan(hosts: Sequence[Host]) -> list[ScannedKey | errors.FleetError]:
    turn = asyncio.Semaphore(SCANS_AT_ONCE)

    async def scan(host: Host) -> ScannedKey | errors.FleetError:
        try:
            async with turn:
                return await hostkeys.scan(host)
        except errors.FleetError as error:
            return error

    return await asyncio.gather(*(scan(host) for host in hosts))


def _decide(
    host: Host,
    scanned: ScannedKey | errors.FleetError | None,
    *,
    fingerprints: frozenset[str],
    replace: bool,
    ask: Ask,
) -> Verdict:
    if scanned is None:
        jump = host.jump.name if host.jump else ""
        error = errors.HostUnreachable(host.name, f"its jump host {jump} is not trusted", remedy=f"trust {jump} first")
        return Verdict(host=host, outcome=Outcome.UNREACHABLE, error=error)
    if isinstance(scanned, errors.FleetError):
        return Verdict(host=host, outcome=Outcome.UNREACHABLE, error=scanned)
    outcome = judge(scanned, fingerprints=fingerprints, replace=replace)
    if outcome is None:
        accepted = Outcome.REPLACED if scanned.has_changed else Outcome.TRUSTED
        outcome = accepted if ask(scanned) else Outcome.REFUSED
    if outcome in (Outcome.TRUSTED, Outcome.REPLACED):
        assert host.known_hosts is not None
        hostkeys.write(Path(host.known_hosts), [scanned], replace=replace)
    return Verdict(host=host, outcome=outcome, error=_why(scanned, outcome))


def _why(key: ScannedKey, outcome: Outcome) -> errors.FleetError | None:
    shown = f"{key.algorithm} {key.fingerprint}"
    if outcome is Outcome.CHANGED:
        return errors.HostKeyError(
            key.host,
            f"it presents {shown}, but known is {', '.join(key.known)}",
            remedy="ask the host's owner; if the host was reinstalled, add --replace; if not, somebody may sit between",
        )
    if outcome is Outcome.REFUSED:
        file = f"/etc/ssh/ssh_host_{_kind(key.algorithm)}_key.pub"
        remedy = f"compare with `ssh-keygen -lf {file}` there; if it is right: --fingerprint {key.fingerprint}"
        return errors.HostKeyError(key.host, f"{shown} was not accepted", remedy=remedy)
    return None


def _kind(algorithm: str) -> str:
    """The word in the file name of a host key: ed25519 of ssh-ed25519."""
    return "ecdsa" if algorithm.startswith("ecdsa") else algorithm.removeprefix("ssh-")
