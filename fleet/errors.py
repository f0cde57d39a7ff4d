"""Every way to fail: exit code, blame and remedy. `cli.main` turns these into text; nothing else prints them.

FleetError                1     a bug of ours
├── ConfigError           2     a flag, hosts.toml or a manifest is wrong
├── CompositionError      4     the composition cannot be read or rendered, or fails the same way on two hosts
├── FleetLost             5     no usable host is left, or fewer than required
│   └── HostError         5     one host: HostUnreachable, HostKeyError, HostAuthError, HostUnfit, HostBusy, HostLost,
│                               HostUntrusted
├── VerificationError     6     digest, frame count, decode or audio does not match the plan
├── DeadlineError         7     out of time; the run can be resumed
├── LockHeld              11    another run writes this output
├── TemporaryError        75    nothing began; trying later may help
└── Interrupted           130   (143 for SIGTERM) the run can be resumed
"""

import enum

from fleet import untrusted


class ExitCode(enum.IntEnum):
    """Exit codes of every command; an unknown one must be treated as failure."""

    OK = 0
    BUG = 1
    CONFIG = 2
    PARTIAL = 3
    COMPOSITION = 4
    FLEET = 5
    VERIFICATION = 6
    DEADLINE = 7
    LOCKED = 11
    TEMPORARY = 75
    INTERRUPTED = 130
    TERMINATED = 143


MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "everything asked for is there and verified",
    ExitCode.BUG: "a bug of ours",
    ExitCode.CONFIG: "usage or configuration: flag, hosts file, missing tool",
    ExitCode.PARTIAL: "partial: some jobs failed and others were delivered",
    ExitCode.COMPOSITION: "the composition is at fault: the same failure on two hosts, or before rendering",
    ExitCode.FLEET: "the fleet is at fault: no usable host, or fewer than required",
    ExitCode.VERIFICATION: "verification failed: frame count, digest, decode, audio",
    ExitCode.DEADLINE: "deadline exceeded; the run can be resumed",
    ExitCode.LOCKED: "lock held by another run",
    ExitCode.TEMPORARY: "temporary, before any work began (name resolution, all hosts asleep)",
    ExitCode.INTERRUPTED: "interrupted; the run can be resumed",
    ExitCode.TERMINATED: "terminated; the run can be resumed",
}


class FleetError(Exception):
    """What happened in one line, what to type or edit next, and the exit code."""

    exit_code = ExitCode.BUG

    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


class ConfigError(FleetError):
    """The user's file or flag: the message names file, key and line."""

    exit_code = ExitCode.CONFIG


class CompositionError(FleetError):
    """The composition cannot be read, seeked or captured; the message names file and line, or frame."""

    exit_code = ExitCode.COMPOSITION


class FleetLost(FleetError):
    """Too few hosts are left to go on."""

    exit_code = ExitCode.FLEET


class HostError(FleetLost):
    """One host cannot take part; the run fails only when too few are left."""

    def __init__(self, host: str, message: str, *, remedy: str) -> None:
        # The message may quote what the host, its shell or its SSH server said.
        super().__init__(f"{host}: {untrusted.paragraph(message)}", remedy=remedy)
        self.host = host


class HostUnreachable(HostError):
    """No connection: name resolution, refusal, silence."""


class HostKeyError(HostError):
    """The host key is unknown, or not the one we know."""


class HostAuthError(HostError):
    """The host refused our key. Never retried: servers ban those who try again."""


class HostUnfit(HostError):
    """Connected, but it cannot capture: python, Chromium, rsync, disk."""


class HostBusy(HostError):
    """Another run holds the host's render lock."""


class HostLost(HostError):
    """It was working and went away; its frames go to others."""


class HostUntrusted(HostError):
    """It broke the protocol, or said what cannot be: a broken or hostile agent. Not asked again in this run."""


class VerificationError(FleetError):
    """The result is not what the plan promises; an earlier output stays untouched."""

    exit_code = ExitCode.VERIFICATION


class DeadlineError(FleetError):
    """Out of time; what was captured is kept."""

    exit_code = ExitCode.DEADLINE


class LockHeld(FleetError):
    """Another run writes the same output; the message names its process."""

    exit_code = ExitCode.LOCKED


class TemporaryError(FleetError):
    """Nothing was begun, and trying again later may help."""

    exit_code = ExitCode.TEMPORARY


class Interrupted(FleetError):
    """The user, or the system, stopped the run."""

    exit_code = ExitCode.INTERRUPTED


class Terminated(Interrupted):
    """SIGTERM."""

    exit_code = ExitCode.TERMINATED


def cause_of(error: BaseException) -> BaseException:
    """The error behind a task group's: one of ours before anything that merely followed from it."""
    leaves = _leaves(error)
    return next((leaf for leaf in leaves if isinstance(leaf, FleetError)), leaves[0])


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]
