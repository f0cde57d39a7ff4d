"""The event log of a run, resumed ones included, as one JSON object: report.json and what `--json` prints.

Pure: no I/O. Times are seconds since the run began. Keys are only ever added; `v` changes when one changes meaning.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, assert_never

from capture import protocol, wire
from capture.faults import Fault, FaultCode
from capture.protocol import UNMEASURED, Spent, Stage, Stages
from fleet import cores, events, frameset
from fleet.frameset import FrameSet

VERSION = 1
_HostEvent = (
    events.HostReady | events.HostRefused | events.HostLost | events.HostDraining | events.BundlePushed
    | events.ChunkMeasured | events.HostReturns
)  # fmt: skip
_ChunkEvent = (
    events.ChunkOrdered | events.ChunkStarted | events.WorkersChanged | events.ChunkTrimmed | events.ChunkDone
    | events.ChunkFailed
)  # fmt: skip
_RunEvent = (
    events.SegmentEncoded | events.AudioMixed | events.ModeFixed | events.SteppingFixed | events.BackendFixed
    | events.PixelsFixed | events.CoresUsed | events.Warned
)  # fmt: skip

_Evidence = events.HostStruck | events.Suspected | events.Disagreed | events.FramesRetracted


def fold(records: Iterable[events.Record]) -> dict[str, Any]:
    """The report on `records`, which may end anywhere, as a crash makes them do."""
    tally = _Tally()
    for record in records:
        tally.add(record)
    return tally.report()


@dataclass(slots=True)
class _Order:
    """One chunk given to one host once."""

    event: events.ChunkOrdered
    ordered_s: float
    started_s: float | None = None
    ended_s: float | None = None
    verified: int = 0
    workers: int = 0
    why: str = ""
    changes: list[dict[str, Any]] = field(default_factory=list)  # of the number of workers
    todo: int = 0
    outcome: str = "running"
    fault: Fault | None = None

    def end(self, now_s: float, outcome: str, fault: Fault | None = None) -> None:
        self.ended_s, self.outcome, self.fault = now_s, outcome, fault


@dataclass(slots=True)
class _Host:
    state: str = "ready"
    ready: events.HostReady | None = None
    returns: events.HostReturns | None = None
    pushed_bytes: int = 0
    frames: int = 0
    losses: int = 0
    message: str = ""
    stages: Stages = UNMEASURED


@dataclass(slots=True)
class _Tally:
    start: events.RunStarted | None = None
    end: events.RunFinished | None = None
    mode: events.ModeFixed | None = None
    stepping: events.SteppingFixed | None = None
    backend: events.BackendFixed | None = None
    pixels: events.PixelsFixed | None = None
    started_at: str = ""
    ended_at: str = ""
    last_s: float = 0.0
    verified: FrameSet = field(default_factory=FrameSet)
    frames_s: list[float] = field(default_factory=list)
    segments_s: list[float] = field(default_factory=list)
    audio_tracks: int = 0
    hosts: dict[str, _Host] = field(default_factory=dict)
    orders: list[_Order] = field(default_factory=list)
    warnings: list[dict[str, str]] = field(default_factory=list)
    evidence: list[dict[str, Any]] = field(default_factory=list)
    seams_drawn: set[int] = field(default_factory=set)  # frames
    seams_equal: set[int] = field(default_factory=set)
    audited: int = 0
    audited_equal: int = 0
    core_use: list[cores.Told] = field(default_factory=list)

    def add(self, record: events.Record) -> None:
        event, now_s = record.event, record.elapsed_s
        self.last_s, self.ended_at = now_s, record.at
        match event:
            case events.RunStarted():
                self._begin(event, record)
            case events.RunFinished():
                self.end = event
                self._end_orders(None, now_s, "interrupted")
            case (
                events.HostReady() | events.HostRefused() | events.HostLost() | events.HostDraining()
                | events.BundlePushed() | events.ChunkMeasured() | events.HostReturns()
            ):  # fmt: skip
                self._add_host(event, now_s)
            case (
                events.ChunkOrdered() | events.ChunkStarted() | events.WorkersChanged() | events.ChunkTrimmed()
                | events.ChunkDone() | events.ChunkFailed()
            ):  # fmt: skip
                self._add_chunk(event, now_s)
            case events.FramesVerified():
                self._count(event, now_s)
            case (
                events.SegmentEncoded() | events.AudioMixed() | events.Warned() | events.ModeFixed()
                | events.SteppingFixed() | events.BackendFixed() | events.PixelsFixed() | events.CoresUsed()
            ):  # fmt: skip
                self._add_to_run(event, now_s)
            case events.HostStruck() | events.Suspected() | events.Disagreed() | events.FramesRetracted():
                self._add_evidence(event, now_s)
            case events.SeamDrawn() | events.SeamMatched() | events.Audited():
                self._add_seam(event)
            case (
                events.FramesCaptured() | events.FramesHeld() | events.PageLoaded() | events.RangeSized()
                | events.RunDraining() | events.StillsDropped()
            ):  # fmt: skip
                pass
            case _:
                assert_never(event)

    def _begin(self, event: events.RunStarted, record: events.Record) -> None:
        self._end_orders(None, record.elapsed_s, "interrupted")
        self.start, self.end = event, None
        self.started_at = self.started_at or record.at

    def _add_host(self, event: _HostEvent, now_s: float) -> None:
        host = self.hosts.setdefault(event.host, _Host())
        match event:
            case events.HostReady():
                host.state, host.ready = "ready", event
            case events.HostRefused():
                host.state, host.message = "refused", event.message
                self._end_orders(event.host, now_s, "lost")
            case events.HostLost():
                host.state, host.message, host.losses = "lost", event.message, host.losses + 1
                self._end_orders(event.host, now_s, "lost")
            case events.HostDraining():
                host.state = "drained" if event.is_over else "draining"
            case events.BundlePushed():
                host.pushed_bytes += event.size_bytes
            case events.HostReturns():
                host.returns = event
            case events.ChunkMeasured():
                host.stages += event.stages

    def _add_chunk(self, event: _ChunkEvent, now_s: float) -> None:
        if isinstance(event, events.ChunkOrdered):
            self.orders.append(_Order(event, now_s, todo=sum(map(len, event.todo))))
            return
        order = self._order(event.chunk, event.host, event.attempt)
        if order is None or order.ended_s is not None:
            return
        match event:
            case events.ChunkStarted():
                order.started_s, order.workers, order.why = now_s, event.workers, event.why
            case events.WorkersChanged():
                change = {"before": event.before, "workers": event.workers, "why": event.why}
                order.changes.append({"at_s": _rounded(now_s), **change})
            case events.ChunkTrimmed():
                order.todo = sum(max(0, min(part.stop, event.stop) - part.start) for part in order.event.todo)
            case events.ChunkDone():
                order.end(now_s, "done")
            case events.ChunkFailed():
                is_cancelled = event.fault.code is FaultCode.CANCELLED
                order.end(now_s, "cancelled" if is_cancelled else "failed", event.fault)

    def _add_evidence(self, event: _Evidence, now_s: float) -> None:
        """Against hosts, or against the composition: what went wrong where, with both sides of it."""
        if isinstance(event, events.FramesRetracted):
            self.verified -= frameset.of(event.frames)
            self.hosts.setdefault(event.host, _Host()).frames -= sum(map(len, event.frames))
        kind = events.name_of(event)
        self.evidence.append({"at_s": _rounded(now_s), "type": kind, **wire.to_plain(event)})

    def _add_seam(self, event: events.SeamDrawn | events.SeamMatched | events.Audited) -> None:
        match event:
            case events.SeamDrawn():
                self.seams_drawn.add(event.frame.index)
            case events.SeamMatched():
                self.seams_equal.add(event.frame)
            case events.Audited():
                self.audited += event.frames
                self.audited_equal += event.equal

    def _count(self, event: events.FramesVerified, now_s: float) -> None:
        arrived = frameset.of(protocol.ranges_of(file.index for file in event.frames))
        fresh = len(arrived - self.verified)
        self.verified |= arrived
        self.frames_s.append(now_s)
        self.hosts.setdefault(event.host, _Host()).frames += fresh
        order = self._order(event.chunk, event.host)
        if order is not None:
            order.verified += fresh
            # The last chunk of a run is complete before its host says so: nobody waits for that.
            if order.ended_s is None and order.verified == order.todo:
                order.end(now_s, "done")

    def _add_to_run(self, event: _RunEvent, now_s: float) -> None:
        match event:
            case events.SegmentEncoded():
                self.segments_s.append(now_s)
            case events.AudioMixed():
                self.audio_tracks = event.tracks
            case events.ModeFixed():
                self.mode = event
            case events.SteppingFixed():
                self.stepping = event
            case events.BackendFixed():
                self.backend = event
            case events.PixelsFixed():
                self.pixels = event
            case events.CoresUsed():
                self.core_use.append((now_s, event))
            case events.Warned():
                self.warnings.append({"where": event.where, "message": event.message})

    def _order(self, chunk: str, host: str, attempt: int | None = None) -> _Order | None:
        for order in reversed(self.orders):
            given = order.event
            if (given.chunk, given.host) == (chunk, host) and attempt in {None, given.attempt}:
                return order
        return None

    def _end_orders(self, host: str | None, now_s: float, outcome: str) -> None:
        for order in self.orders:
            if order.ended_s is None and host in {None, order.event.host}:
                order.end(now_s, outcome)

    def report(self) -> dict[str, Any]:
        return {
            "v": VERSION,
            **_run(self.start),
            **_result(self.end),
            "degraded": any(host.state == "refused" or host.losses for host in self.hosts.values()),
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "frames_verified": len(self.verified),
            "segments_encoded": len(self.segments_s),
            "audio_tracks": self.audio_tracks,
            "mode": wire.to_plain(self.mode) if self.mode else None,
            "gl": wire.to_plain(self.backend) if self.backend else None,
            "stepping": wire.to_plain(self.stepping) if self.stepping else None,
            "pixels": wire.to_plain(self.pixels) if self.pixels else None,
            "times_s": self._times(),
            "frames_per_s": _per_s(len(self.verified), self.last_s),
            "cores": [cores.plain(load) for load in cores.fold(self.core_use, self.last_s)],
            "stages": _per_frame(sum((host.stages for host in self.hosts.values()), UNMEASURED)),
            "hosts": [self._host(name, host) for name, host in self.hosts.items()],
            "chunks": [_chunk(order) for order in self.orders],
            "warnings": self.warnings,
            "evidence": self.evidence,
            "audit": {"frames": self.audited, "equal": self.audited_equal},
            "seams": {"drawn": len(self.seams_drawn), "equal": len(self.seams_equal)},
        }

    def _times(self) -> dict[str, float | None]:
        """`tail`: from the last verified frame to the end, when hosts have nothing left to do.

        `tail_encode` is its part up to the last segment, `tail_join` the rest: joining, probing, delivering.
        """
        first_order_s = self.orders[0].ordered_s if self.orders else None
        last_frame_s = self.frames_s[-1] if self.frames_s else None
        last_segment_s = self.segments_s[-1] if self.segments_s else None
        return {
            "wall": _rounded(self.last_s),
            "until_first_order": _rounded(first_order_s),
            "until_first_frame": _rounded(self.frames_s[0] if self.frames_s else None),
            "capture": _between(first_order_s, last_frame_s),
            "encode": _between(self.segments_s[0], self.segments_s[-1]) if self.segments_s else None,
            "tail": _between(last_frame_s, self.last_s),
            "tail_encode": _between(last_frame_s, last_segment_s),
            "tail_join": _between(last_segment_s, self.last_s),
        }

    def _host(self, name: str, host: _Host) -> dict[str, Any]:
        orders = [order for order in self.orders if order.event.host == name]
        busy_s = sum((order.ended_s or self.last_s) - order.ordered_s for order in orders)
        last = next((order for order in reversed(orders) if order.workers), None)
        latest = next(iter(reversed(last.changes)), {"workers": last.workers, "why": last.why}) if last else None
        return {
            "name": name,
            "state": host.state,
            "message": host.message,
            "cores": host.ready.cores if host.ready else None,
            "browser": host.ready.browser if host.ready else None,
            "gl_renderer": host.ready.gl_renderer if host.ready else None,
            "pixels": host.ready.pixels if host.ready else None,
            "workers": latest["workers"] if latest else 0,
            "why": latest["why"] if latest else "",
            "frames": host.frames,
            "busy_s": _rounded(busy_s),
            "frames_per_s": _per_s(host.frames, busy_s),
            "stages": _per_frame(host.stages),
            "chunks": len({order.event.chunk for order in orders}),
            "losses": host.losses,
            "faults": [wire.to_plain(order.fault) for order in orders if order.fault and order.outcome == "failed"],
            "pushed_bytes": host.pushed_bytes,
            "returns": host.returns.what if host.returns else "frames",
            "returns_why": host.returns.why if host.returns else "",
        }


def _run(start: events.RunStarted | None) -> dict[str, Any]:
    if start is None:
        return {}
    return {
        "run": start.run,
        "composition": start.composition,
        "plan": start.plan,
        "width": start.width,
        "height": start.height,
        "fps": start.fps,
        "frames": str(start.frames),
        "frame_count": len(start.frames),
        "output": start.output,
        "is_resumed": start.is_resumed,
    }


def _result(end: events.RunFinished | None) -> dict[str, Any]:
    """`exit_code` is None while the run is not over, or when it died without saying so."""
    return {
        "exit_code": None if end is None else int(end.exit_code),
        "sha256": end.sha256 if end else "",
        "size_bytes": end.size_bytes if end else 0,
        "message": end.message if end else "",
        "remedy": end.remedy if end else "",
    }


def _chunk(order: _Order) -> dict[str, Any]:
    event = order.event
    return {
        "chunk": event.chunk,
        "attempt": event.attempt,
        "host": event.host,
        "frames": str(event.frames),
        "todo": order.todo,
        "verified": order.verified,
        "workers": order.workers,
        "why": order.why,
        "workers_changed": order.changes,
        "ordered_s": _rounded(order.ordered_s),
        "started_s": _rounded(order.started_s),
        "ended_s": _rounded(order.ended_s),
        "outcome": order.outcome,
        "fault": wire.to_plain(order.fault) if order.fault else None,
    }


def _per_frame(stages: Stages) -> dict[str, Any]:
    """What a frame took in the mean, by stage: DevTools messages, and milliseconds of its worker."""
    found: dict[str, Any] = {"frames": stages.frames}
    for stage in Stage:
        spent: Spent = getattr(stages, stage.value)
        count = max(1, stages.frames)
        found[stage.value] = {"messages": round(spent.messages / count, 2), "ms": round(spent.ms / count, 2)}
    return found


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _between(first_s: float | None, last_s: float | None) -> float | None:
    return None if first_s is None or last_s is None else round(last_s - first_s, 3)


def _per_s(frames: int, seconds: float) -> float:
    return round(frames / seconds, 2) if seconds > 0 else 0.0
