"""What screens say of a run in a line, and the clock that they say it by. What they look like is not decided here."""

import datetime as dt
from collections.abc import Callable

from fleet import cores, sentences
from fleet.events import Record
from fleet.view import HostState, View


def state(it: View, now_s: float) -> str:
    """The whole run in one line: `120/660 frames, 18 %, 24.1 frames/s, 3 of 4 hosts capturing, ETA 0:22`."""
    done, total = len(it.verified), len(it.frames)
    busy = sum(host.state is HostState.CAPTURING for host in it.hosts)
    return (
        f"{done}/{total} frames, {100 * done // max(1, total)} %, {it.meter.per_s(now_s):.1f} frames/s, "
        f"{busy} of {sentences.plural(len(it.hosts), 'host')} capturing, {outlook(it, now_s)}"
    )


def summary(it: View) -> str:
    """The last line of a run that succeeded."""
    if it.end is None:
        return ""
    video_s = len(it.frames) / it.fps if it.fps else 0.0
    speed = len(it.frames) / it.elapsed_s if it.elapsed_s else 0.0
    degraded = "; degraded: some hosts were lost or left out" if it.is_degraded else ""
    seams = f"; {len(it.seams_equal)} of {sentences.plural(len(it.seams), 'seam')} equal" if it.seams else ""
    if it.audited:
        seams += f"; audit: {it.audited_equal} of {sentences.plural(it.audited, 'frame')} equal"
    if it.disagreements:
        degraded += f"; frames differ between hosts, {it.disagreements} times: `evidence` in its report names both"
    return (
        f"{sentences.clean(it.end.output)}  {sentences.size(it.end.size_bytes)}, {len(it.frames)} frames, "
        f"{video_s:.2f} s of video in {sentences.duration(it.elapsed_s)} ({speed:.1f} frames/s){seams}{degraded}"
    )


def core_bars(it: View, encoding: str | None) -> list[str]:
    """A bar for each machine in a run that is over, of characters that `encoding` has."""
    is_ascii = not _has(encoding or "ascii", cores.BLOCKS)
    return cores.lines(cores.fold(it.core_use, it.elapsed_s), is_ascii=is_ascii)


def _has(encoding: str, letters: str) -> bool:
    try:
        letters.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def fraction(it: View) -> str:
    """Frames that count, of how many."""
    return f"{len(it.verified)}/{len(it.frames)}"


def outlook(it: View, now_s: float) -> str:
    """When it will be over, or that it is."""
    if it.end is not None:
        return "done" if it.end.exit_code == 0 else "stopped"
    if it.verified and it.verified == it.frames:
        return f"encoding, {sentences.plural(it.segments, 'segment')} done"
    eta_s = it.eta_s(now_s)
    return "ETA unknown yet" if eta_s is None else f"ETA {sentences.duration(eta_s)}"


class Clock:
    """The run's clock between records: what the last one said, and the time since."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._elapsed_s = 0.0
        self._at = ""
        self._seen_s = clock()

    def set(self, record: Record) -> None:
        """Takes the time from a record that has just come."""
        self._elapsed_s, self._at, self._seen_s = record.elapsed_s, record.at, self._clock()

    def elapsed_s(self) -> float:
        """Seconds since the run began."""
        return self._elapsed_s + self._clock() - self._seen_s

    def at(self) -> str:
        """RFC 3339, the present second."""
        if not self._at:
            return dt.datetime.now().astimezone().isoformat(timespec="seconds")
        passed = dt.timedelta(seconds=self._clock() - self._seen_s)
        return (dt.datetime.fromisoformat(self._at) + passed).isoformat(timespec="seconds")
