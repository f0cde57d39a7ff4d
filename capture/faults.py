"""Everything that can go wrong while capturing: one code each, with its blame and what the agent does next.

Pure: one table. Exit codes are the coordinator's business (`fleet/errors.py`).
"""

import enum
from dataclasses import dataclass


class Blame(enum.Enum):
    """Whose fault a failure is taken to be before other hosts have been heard."""

    HOST = "host"
    COMPOSITION = "composition"
    USER = "user"
    US = "us"


class Retry(enum.Enum):
    """What the agent does with the block that failed."""

    NEVER = "never"  # the chunk fails at once: trying again on this host cannot help
    REPLACE = "replace"  # a fresh browser, the same number of workers; the second time, half of them
    HALVE = "halve"  # a fresh browser and half the workers: the host is overcommitted


class FaultCode(enum.Enum):
    """One row per way to fail; `code.blame` and `code.retry` are the only classification there is."""

    BROWSER_MISSING = "browser_missing"
    BROWSER_LAUNCH = "browser_launch"
    BROWSER_CRASHED = "browser_crashed"
    WORKER_DIED = "worker_died"
    OUT_OF_MEMORY = "out_of_memory"
    DISK_FULL = "disk_full"
    FRAME_TIMEOUT = "frame_timeout"
    FRAME_DAMAGED = "frame_damaged"
    FRAME_REJECTED = "frame_rejected"  # said by the coordinator: what came is not what was announced
    NO_PROGRESS = "no_progress"
    PAGE_NOT_READY = "page_not_ready"
    SCRIPT_ENDLESS = "script_endless"
    ZERO_DURATION = "zero_duration"
    SEEK_FAILED = "seek_failed"
    FEATURE_UNSUPPORTED = "feature_unsupported"
    CANCELLED = "cancelled"
    INTERNAL = "internal"

    @property
    def blame(self) -> Blame:
        """Whose fault this is unless other hosts prove otherwise."""
        return _TABLE[self][0]

    @property
    def retry(self) -> Retry:
        """What the agent does next."""
        return _TABLE[self][1]


_TABLE: dict[FaultCode, tuple[Blame, Retry]] = {
    FaultCode.BROWSER_MISSING: (Blame.HOST, Retry.NEVER),
    FaultCode.BROWSER_LAUNCH: (Blame.HOST, Retry.REPLACE),
    FaultCode.BROWSER_CRASHED: (Blame.HOST, Retry.REPLACE),
    FaultCode.WORKER_DIED: (Blame.HOST, Retry.REPLACE),
    FaultCode.OUT_OF_MEMORY: (Blame.HOST, Retry.HALVE),
    FaultCode.DISK_FULL: (Blame.HOST, Retry.NEVER),
    FaultCode.FRAME_TIMEOUT: (Blame.COMPOSITION, Retry.HALVE),
    FaultCode.FRAME_DAMAGED: (Blame.HOST, Retry.REPLACE),
    FaultCode.FRAME_REJECTED: (Blame.HOST, Retry.NEVER),
    FaultCode.NO_PROGRESS: (Blame.HOST, Retry.NEVER),
    FaultCode.PAGE_NOT_READY: (Blame.COMPOSITION, Retry.REPLACE),
    # It has had its whole time; the coordinator gives it to another host, or once more to this one.
    FaultCode.SCRIPT_ENDLESS: (Blame.COMPOSITION, Retry.NEVER),
    FaultCode.ZERO_DURATION: (Blame.COMPOSITION, Retry.NEVER),
    FaultCode.SEEK_FAILED: (Blame.COMPOSITION, Retry.REPLACE),
    FaultCode.FEATURE_UNSUPPORTED: (Blame.COMPOSITION, Retry.NEVER),
    FaultCode.CANCELLED: (Blame.USER, Retry.NEVER),
    FaultCode.INTERNAL: (Blame.US, Retry.NEVER),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One failure, with the evidence a person needs: both frame indices, the console's tail, a screenshot."""

    code: FaultCode
    message: str
    frame: int | None = None  # absolute
    local_frame: int | None = None  # within the chunk; names the file
    console: tuple[str, ...] = ()
    screenshot: str | None = None  # file name inside the chunk's directory


class CaptureError(Exception):
    """A failure on its way up on the host; whoever talks to the other side turns it into a Fault."""

    def __init__(self, code: FaultCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
