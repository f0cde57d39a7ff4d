"""When failures on hosts are the composition's: the same one, twice, where a host cannot be the reason. Pure."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from capture import protocol
from capture.faults import Blame, Fault, FaultCode
from fleet import events, frameset, sentences
from fleet.errors import CompositionError, FleetLost, Interrupted
from fleet.frameset import FrameSet

# Taken for the host's fault at first, yet a page can cause them; a full disk or a missing browser it cannot.
PAGE_CAN_CAUSE = frozenset(
    {
        FaultCode.BROWSER_CRASHED,
        FaultCode.WORKER_DIED,
        FaultCode.OUT_OF_MEMORY,
        FaultCode.FRAME_DAMAGED,
        FaultCode.NO_PROGRESS,
    }
)

# How one and the same page dies: of memory that is short, by whoever the kernel kills for it.
DEATHS = frozenset({FaultCode.BROWSER_CRASHED, FaultCode.WORKER_DIED, FaultCode.OUT_OF_MEMORY})

# Warnings of a page that something is not there: with it, its frames look different.
ABSENCES = frozenset({"timeline_missing", "duration_mismatch", "media_readiness_timeout", "media_load_failed"})

# A page that is merely slow needs more time.
LATE = frozenset({FaultCode.FRAME_TIMEOUT, FaultCode.PAGE_NOT_READY, FaultCode.SCRIPT_ENDLESS})

CONSOLE_LINES = 5  # the cause stands in the last ones; all of them are in events.jsonl


@dataclass(frozen=True, slots=True)
class Failure:
    """A chunk ended early on `host`, with `frames` missing."""

    host: str
    fault: Fault
    frames: FrameSet


def same(new: Failure, earlier: Sequence[Failure], *, is_alone: bool, verified: FrameSet) -> Failure | None:
    """The earlier failure that `new` repeats, on another host or, when `new.host` is alone, on the same one.

    What is taken for a host's fault becomes the composition's only when two hosts stumble at the very same frame.
    """
    for old in earlier:
        if old.host == new.host and (not is_alone or new.fault.code.blame is not Blame.COMPOSITION):
            continue
        if _is_same(old, new, verified):
            return old
    return None


def exhausting(
    new: Failure, earlier: Sequence[Failure], *, others: Collection[str], verified: FrameSet
) -> Failure | None:
    """An earlier failure for memory when `new` is one, too, and each of the `others` that may try has had its own.

    Where memory ends is hardly ever the same frame twice.
    """
    if new.fault.code is not FaultCode.OUT_OF_MEMORY:
        return None
    alike = {old.host: old for old in earlier if old.host != new.host and _is_shared(old, new, verified)}
    return alike[min(others)] if others and all(name in alike for name in others) else None


def shared(failures: Sequence[Failure], verified: FrameSet) -> tuple[Failure, Failure] | None:
    """Two hosts' failures at frames that nobody has captured since: for a run that is about to end without them."""
    for at, new in enumerate(failures):
        for old in failures[:at]:
            if old.host != new.host and _is_shared(old, new, verified):
                return old, new
    return None


def error(old: Failure, new: Failure) -> CompositionError:
    """The end of the run: names frame, code and both hosts, and shows what the page said and looked like."""
    fault, frame = new.fault, new.fault.frame
    where = f"frames {old.frames & new.frames or new.frames}" if frame is None else f"frame {frame}"
    seen = f"twice on {new.host}" if old.host == new.host else f"on {old.host} and on {new.host}"
    lines = [
        f"{where}: {sentences.clean(fault.message)} ({fault.code.value})",
        f"  seen {seen}: the composition is at fault, not a host",
        *(f"  page console: {sentences.clean(line)}" for line in fault.console[-CONSOLE_LINES:]),
    ]
    first = new.frames.span.start if frame is None else frame
    if fault.screenshot is not None:
        lines.append(f"  screenshot: {fault.screenshot}")
    remedy = f"mend the composition, then try that frame alone: `--frames {first}:{first + 1}`"
    if fault.code in LATE:
        remedy = "mend the composition, or give its page more seconds: `--page-timeout 300`"
    return CompositionError("\n".join(lines), remedy=remedy)


def nobody(whys: Mapping[str, str], hosts_min: int, kept: str) -> FleetLost:
    """The end of a run without hosts: why each one is of no use, and what is kept."""
    what = "no usable host is left" if hosts_min == 1 else f"fewer than {hosts_min} usable hosts are left"
    reasons = "; ".join(f"{name}: {why}" for name, why in sorted(whys.items()))
    remedy = f"mend a host (`fleetrender hosts check`), then go on with `--resume`: {kept}"
    return FleetLost(f"{what}: {reasons or 'none was given'}", remedy=remedy)


def unlike(first: events.PageLoaded, second: events.PageLoaded) -> CompositionError | None:
    """Why pages that got ready so differently cannot be parts of one film, or None when they can."""
    lacks = [ABSENCES & set(loaded.warnings) for loaded in (first, second)]
    if lacks[0] == lacks[1]:
        return None
    said = (
        f"{', '.join(sorted(lack)) or 'nothing'} on {loaded.host}"
        for loaded, lack in zip((first, second), lacks, strict=True)
    )
    return CompositionError(
        f"the page does not always get ready the same way: {', '.join(said)}",
        remedy="have its scripts register timelines at once rather than after a timer or a race; then render afresh",
    )


def halted(kept: str) -> Interrupted:
    """The end of a run whose user wanted it to end."""
    return Interrupted(f"interrupted; {kept}", remedy="add `--resume` to the same command to go on")


def avoided(host: str, failures: Sequence[Failure]) -> FrameSet:
    """Frames that others should try before `host` does again: the one it named, or all that it left."""
    return frameset.of(
        part
        for failure in failures
        if failure.host == host
        for part in (failure.frames.ranges if failure.fault.frame is None else _named(failure))
    )


def _is_shared(old: Failure, new: Failure, verified: FrameSet) -> bool:
    """Whether both failed in a way that a page can cause, at frames that are still missing."""
    codes = {old.fault.code, new.fault.code}
    if not (codes <= DEATHS or (len(codes) == 1 and codes <= PAGE_CAN_CAUSE)):
        return False
    is_past = any(fault.frame is not None and fault.frame in verified for fault in (old.fault, new.fault))
    return not is_past and bool((old.frames & new.frames) - verified)


def _named(failure: Failure) -> tuple[protocol.FrameRange, ...]:
    frame = failure.fault.frame
    return () if frame is None else protocol.ranges_of([frame])


def _words(failure: Failure) -> str:
    """The message without its numbers: a page that throws at every frame says each time at which.

    Where a script does not end is known from the second time on, and whoever stopped it may have met it elsewhere.
    """
    words = failure.fault.message.partition("does not end")[0]
    return re.sub(r"[0-9]+", "#", words if failure.fault.code is FaultCode.SCRIPT_ENDLESS else failure.fault.message)


def _is_same(old: Failure, new: Failure, verified: FrameSet) -> bool:
    if old.fault.code is not new.fault.code and not {old.fault.code, new.fault.code} <= DEATHS:
        return False
    if new.fault.code.blame is Blame.COMPOSITION and _words(old) == _words(new):
        # The page said the very same, at whichever frame each came upon it, and nobody has got past either since.
        return old.fault.frame not in verified and new.fault.frame not in verified
    if not old.frames & new.frames:
        return False
    first, second = old.fault.frame, new.fault.frame
    if new.fault.code.blame is Blame.COMPOSITION:
        # Whoever got past the frame where the other stopped did not fail the same way.
        return (first is None or first in new.frames) and (second is None or second in old.frames)
    return new.fault.code in PAGE_CAN_CAUSE and first is not None and first == second
