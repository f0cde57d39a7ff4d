"""What a screen shows, folded from events: `fold(view, record) -> view`. Pure: no I/O; time comes with the records."""

import enum
from dataclasses import dataclass, field, replace
from typing import assert_never

from capture import protocol
from capture.faults import FaultCode
from capture.protocol import FrameRange
from fleet import cores, events, frameset, sentences
from fleet.frameset import FrameSet

# Bursts of a second disappear in it, a host that slows down shows within it.
RATE_WINDOW_S = 15.0
# An ETA from the first burst is worse than none.
ETA_AFTER_S = 3.0
MESSAGES_MAX = 3
TROUBLES = (
    events.Warned, events.HostRefused, events.HostLost, events.ChunkFailed, events.HostStruck, events.Suspected,
    events.Disagreed, events.FramesRetracted,
    events.RunDraining,
)  # fmt: skip


_ChunkEvent = (
    events.ChunkOrdered | events.ChunkStarted | events.WorkersChanged | events.ChunkTrimmed | events.ChunkDone
    | events.ChunkFailed
)  # fmt: skip


class HostState(enum.Enum):
    """What a host is doing; the value is what a screen calls it."""

    CONNECTING = "connecting"
    READY = "ready"
    STARTING = "starting"
    CAPTURING = "capturing"
    RECONNECTING = "reconnecting"
    LOST = "lost"
    REFUSED = "left out"
    DONE = "done"
    DRAINED = "drained"


@dataclass(frozen=True, slots=True)
class Meter:
    """Frames counted over the last seconds."""

    begun_s: float | None = None
    samples: tuple[tuple[float, int], ...] = ()

    def begun(self, now_s: float) -> "Meter":
        """Work began: time counts from here, unless it did already."""
        return self if self.begun_s is not None else replace(self, begun_s=now_s)

    def added(self, count: int, now_s: float) -> "Meter":
        """`count` more frames now."""
        recent = [sample for sample in self.samples if sample[0] > now_s - RATE_WINDOW_S]
        if recent and int(recent[-1][0]) == int(now_s):
            count += recent.pop()[1]
        return replace(self.begun(now_s), samples=(*recent, (now_s, count)))

    def per_s(self, now_s: float) -> float:
        """Frames per second over the window, or since work began when that is less."""
        if self.begun_s is None:
            return 0.0
        count = sum(frames for at_s, frames in self.samples if at_s > now_s - RATE_WINDOW_S)
        return count / max(1.0, min(RATE_WINDOW_S, now_s - self.begun_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class HostView:
    """One row: `done` of `todo` frames of the present order, `total` in the whole run."""

    name: str
    state: HostState = HostState.CONNECTING
    note: str = ""
    chunk: str | None = None
    frames: FrameRange | None = None
    todo: int = 0
    ranges: tuple[FrameRange, ...] = ()  # of the order, as it was given
    done: int = 0
    total: int = 0
    workers: int = 0
    why: str = ""
    meter: Meter = Meter()


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Everything a screen needs; hosts in the order in which they appeared, under cleaned names."""

    title: str = ""
    output: str = ""
    frames: FrameSet = field(default_factory=FrameSet)
    fps: float = 0.0
    verified: FrameSet = field(default_factory=FrameSet)
    hosts: tuple[HostView, ...] = ()
    meter: Meter = Meter()
    segments: int = 0
    messages: tuple[str, ...] = ()
    end: events.RunFinished | None = None
    is_degraded: bool = False
    seams: FrameSet = field(default_factory=FrameSet)  # frames drawn from both sides
    seams_equal: FrameSet = field(default_factory=FrameSet)
    disagreements: int = 0
    audited: int = 0
    audited_equal: int = 0
    core_use: tuple[cores.Told, ...] = ()
    at: str = ""
    elapsed_s: float = 0.0

    def eta_s(self, now_s: float) -> float | None:
        """Seconds until the last frame at the present speed; None while that says nothing yet."""
        speed = self.meter.per_s(now_s)
        if self.meter.begun_s is None or now_s - self.meter.begun_s < ETA_AFTER_S or speed == 0:
            return None
        return (len(self.frames) - len(self.verified)) / speed


def expecting(hosts: tuple[str, ...]) -> View:
    """The view before anything has happened."""
    return View(hosts=tuple(HostView(name=sentences.clean(name)) for name in hosts))


def fold(view: View, record: events.Record) -> View:
    """`view` after `record`."""
    event = record.event
    view = replace(view, at=record.at, elapsed_s=record.elapsed_s)
    match event:
        case events.RunStarted():
            return _start(view, event)
        case events.RunFinished():
            return replace(view, end=event, hosts=tuple(_at_rest(host) for host in view.hosts))
        case (
            events.HostReady() | events.HostRefused() | events.HostLost() | events.HostDraining()
            | events.BundlePushed()
        ):  # fmt: skip
            return _told(_fold_host(view, event), event)
        case (
            events.ChunkOrdered() | events.ChunkStarted() | events.WorkersChanged() | events.ChunkTrimmed()
            | events.ChunkDone() | events.ChunkFailed()
        ):  # fmt: skip
            return _told(_fold_chunk(view, event), event)
        case events.FramesVerified():
            return _count(view, event)
        case events.SegmentEncoded() | events.CoresUsed():
            return _note(view, event)
        case events.SeamDrawn() | events.SeamMatched() | events.Audited():
            return _at_seam(view, event)
        case (
            events.Warned() | events.RunDraining() | events.HostStruck() | events.Suspected() | events.Disagreed()
            | events.FramesRetracted()
        ):  # fmt: skip
            return _told(view, event)
        case (
            events.ModeFixed()
            | events.SteppingFixed()
            | events.BackendFixed()
            | events.PixelsFixed()
            | events.PageLoaded()
            | events.FramesCaptured()
            | events.FramesHeld()
            | events.ChunkMeasured()
            | events.RangeSized()
            | events.HostReturns()
            | events.StillsDropped()
            | events.AudioMixed()
        ):
            return view
        case _:
            assert_never(event)


def _start(view: View, event: events.RunStarted) -> View:
    size = f"{event.width}x{event.height} {sentences.rate(event.fps)} fps"
    title = f"{event.composition}  {size}  frames {event.frames}  plan {event.plan[:8]}"
    num, _, den = event.fps.partition("/")
    return replace(
        view,
        title=sentences.clean(title),
        output=sentences.clean(event.output),
        frames=frameset.of([event.frames]),
        verified=frameset.of(event.kept),
        fps=int(num) / int(den or "1"),
        meter=Meter(),
        end=None,
    )


def _note(view: View, event: events.SegmentEncoded | events.CoresUsed) -> View:
    if isinstance(event, events.CoresUsed):
        return replace(view, core_use=(*view.core_use, (view.elapsed_s, event)))
    return replace(view, segments=view.segments + 1)


def _fold_host(
    view: View,
    event: events.HostReady | events.HostRefused | events.HostLost | events.HostDraining | events.BundlePushed,
) -> View:
    match event:
        case events.HostReady():
            return _with(view, event.host, state=HostState.READY, note="", chunk=None)
        case events.HostRefused():
            return _gone(view, event.host, HostState.REFUSED, event.message)
        case events.HostLost():
            state = HostState.RECONNECTING if event.is_expected_back else HostState.LOST
            return _gone(view, event.host, state, event.message)
        case events.HostDraining():
            return _with(view, event.host, state=HostState.DRAINED) if event.is_over else view
        case events.BundlePushed():
            return view


def _fold_chunk(view: View, event: _ChunkEvent) -> View:
    if isinstance(event, events.ChunkTrimmed):
        return _shorten(view, event)
    if isinstance(event, events.ChunkOrdered):
        host = _host(view, event.host)
        todo = sum(map(len, event.todo))
        view = replace(view, meter=view.meter.begun(view.elapsed_s))
        return _with(
            view,
            event.host,
            state=HostState.CAPTURING if host.workers else HostState.STARTING,
            chunk=event.chunk,
            frames=event.frames,
            todo=todo,
            ranges=event.todo,
            done=0,
            meter=host.meter.begun(view.elapsed_s),
        )
    if _host(view, event.host).chunk != event.chunk:
        return view
    if isinstance(event, events.ChunkStarted | events.WorkersChanged):
        why = sentences.clean(event.why)
        return _with(view, event.host, state=HostState.CAPTURING, workers=event.workers, why=why)
    return _with(view, event.host, state=HostState.READY, chunk=None)


def _shorten(view: View, event: events.ChunkTrimmed) -> View:
    host = _host(view, event.host)
    if host.chunk != event.chunk or host.frames is None:
        return view
    todo = sum(max(0, min(part.stop, event.stop) - part.start) for part in host.ranges)
    stop = min(max(event.stop, host.frames.start + 1), host.frames.stop)
    frames = FrameRange(host.frames.start, stop)
    if host.done == todo:
        return _with(view, event.host, state=HostState.READY, chunk=None, frames=frames, todo=todo)
    return _with(view, event.host, frames=frames, todo=todo)


def _count(view: View, event: events.FramesVerified) -> View:
    arrived = frameset.of(protocol.ranges_of(file.index for file in event.frames))
    fresh = len(arrived - view.verified)
    host = _host(view, event.host)
    view = replace(view, verified=view.verified | arrived & view.frames, meter=view.meter.added(fresh, view.elapsed_s))
    done = host.done + (fresh if host.chunk == event.chunk else 0)
    meter = host.meter.added(fresh, view.elapsed_s)
    view = _with(view, event.host, done=done, total=host.total + fresh, meter=meter)
    if host.chunk == event.chunk and done == host.todo:
        return _with(view, event.host, state=HostState.READY, chunk=None)
    return view


def _retract(view: View, event: events.FramesRetracted) -> View:
    host = _host(view, event.host)
    lost = sum(map(len, event.frames))
    view = replace(view, verified=view.verified - frameset.of(event.frames))
    return _with(view, event.host, total=host.total - lost)


def _gone(view: View, name: str, state: HostState, message: str) -> View:
    note = sentences.clean(message.removeprefix(f"{name}: "))
    view = replace(view, is_degraded=True)
    return _with(view, name, state=state, note=note, chunk=None, workers=0, meter=Meter())


def _at_seam(view: View, event: events.SeamDrawn | events.SeamMatched | events.Audited) -> View:
    if isinstance(event, events.Audited):
        return replace(view, audited=view.audited + event.frames, audited_equal=view.audited_equal + event.equal)
    if isinstance(event, events.SeamDrawn):
        return replace(view, seams=view.seams | _one(event.frame.index))
    return replace(view, seams_equal=view.seams_equal | _one(event.frame))


def _one(frame: int) -> FrameSet:
    return frameset.of([FrameRange(frame, frame + 1)])


def _told(view: View, event: events.Event) -> View:
    """Keeps the last few things that went wrong where they can be read."""
    if not isinstance(event, TROUBLES):
        return view
    if isinstance(event, events.ChunkFailed) and event.fault.code is FaultCode.CANCELLED:
        return view
    if isinstance(event, events.Disagreed):
        view = replace(view, disagreements=view.disagreements + 1)
    if isinstance(event, events.FramesRetracted):
        view = _retract(view, event)
    line = sentences.of(event)
    return replace(view, messages=(*view.messages, line)[-MESSAGES_MAX:]) if line else view


def _at_rest(host: HostView) -> HostView:
    is_gone = host.state in {HostState.LOST, HostState.REFUSED, HostState.RECONNECTING, HostState.DRAINED}
    return replace(host, state=host.state if is_gone else HostState.DONE, chunk=None)


def _host(view: View, name: str) -> HostView:
    name = sentences.clean(name)
    return next((host for host in view.hosts if host.name == name), HostView(name=name))


def _with(view: View, name: str, **changes: object) -> View:
    host = _host(view, name)
    changed = replace(host, **changes)  # type: ignore[arg-type]
    if all(known.name != host.name for known in view.hosts):
        return replace(view, hosts=(*view.hosts, changed))
    return replace(view, hosts=tuple(changed if known.name == host.name else known for known in view.hosts))
