"""What happened, as one line of text for people. Pure: no I/O.

Text from hosts and pages is untrusted; `untrusted.clean` makes it fit for a terminal and a log.
"""

from fractions import Fraction

from capture.faults import Fault, FaultCode
from capture.protocol import FrameRange
from fleet import events, untrusted

clean = untrusted.clean


def duration(seconds: float) -> str:
    """`0:07`, `12:34`, `1:02:03`."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def size(count: int) -> str:
    """Bytes in the unit that keeps them short: `0 B`, `4.5 MB`."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.1f} {unit}" if unit != "B" else f"{count} B"
        value /= 1000
    return f"{value:.1f} GB"


def rate(fps: str) -> str:
    """Frames per second as people say them: `30/1` is 30, `30000/1001` stays exact."""
    exact = Fraction(fps)
    return str(exact)


def plural(count: float, word: str) -> str:
    """`1 frame`, `1.5 cores`."""
    return f"{count:.12g} {word}" if count == 1 else f"{count:.12g} {word}s"


def of(event: events.Event) -> str | None:
    """One line about `event`, cleaned; None for what happens too often to be told one by one."""
    kinds = (_of_run, _of_choice, _of_host, _of_chunk, _of_evidence)
    text = next((text for kind in kinds if (text := kind(event))), None)
    return clean(text) if text else None


def why(event: events.RangeSized) -> str:
    """Why a host's first range is as large as it is, for those who ask."""
    part = f"{plural(event.frames, 'frame')}, {event.share:.0%} of the work"
    scenes = f"; whole scenes, for it draws pixels of its own class {event.pixels}" if event.pixels else ""
    costs = f"; costs of frames {event.costs}" if event.costs else ""
    return clean(f"{event.host}: {part}, for {event.frames_per_s:.1f} frames/s {event.source}{costs}{scenes}")


def _of_run(event: events.Event) -> str | None:
    match event:
        case events.RunStarted():
            verb = "resumed" if event.is_resumed else "started"
            what = f"{event.composition} {event.width}x{event.height} {rate(event.fps)} fps frames {event.frames}"
            return f"run {event.run} {verb}: {what}, plan {event.plan[:8]}, output {event.output}"
        case events.RunFinished(exit_code=0):
            return f"finished: {event.output}, {size(event.size_bytes)}, sha256 {event.sha256[:16]}"
        case events.RunFinished():
            return f"ended with exit code {event.exit_code}: {event.message}"
        case events.RunDraining():
            return "interrupted: ending the frames under way, then the run; Ctrl+C again ends it at once"
        case events.AudioMixed():
            return f"audio mixed: {plural(event.tracks, 'track')}" if event.tracks else None
        case events.Warned():
            return f"warning: {event.where}: {event.message}" if event.where else f"warning: {event.message}"
        case _:
            return None


def _of_choice(event: events.Event) -> str | None:
    match event:
        case events.ModeFixed():
            return f"capture mode {event.mode.value} with {event.browser}: {event.why}"
        case events.SteppingFixed(sequential=True):
            return f"sequential, every browser steps through the frames before its own: {event.why}"
        case events.SteppingFixed():
            return f"browsers jump to their frames: {event.why}"
        case events.BackendFixed():
            return f"WebGL is drawn by {event.gl.value}: {event.why}"
        case _:
            return None


def _of_host(event: events.Event) -> str | None:
    match event:
        case events.HostReady():
            return f"{event.host}: ready, {plural(event.cores, 'core')}, {event.browser}, {event.gl_renderer}"
        case events.HostRefused():
            return f"{event.host}: left out: {_without_name(event.message, event.host)} (hint: {event.remedy})"
        case events.HostLost():
            end = ", reconnecting" if event.is_expected_back else ""
            return f"{event.host}: lost{end}: {_without_name(event.message, event.host)}"
        case events.HostDraining():
            what = (
                "drained, it has gone" if event.is_over else "draining: it ends what its workers have begun, then goes"
            )
            return f"{event.host}: {what}"
        case events.BundlePushed(blobs=0):
            return f"{event.host}: has the bundle already"
        case events.BundlePushed():
            return f"{event.host}: bundle pushed, {plural(event.blobs, 'file')}, {size(event.size_bytes)}"
        case _:
            return None


def _of_evidence(event: events.Event) -> str | None:
    match event:
        case events.HostStruck(is_final=True):
            return f"{event.host}: gets nothing more in this run: {event.reason}"
        case events.FramesRetracted():
            frames = plural(sum(map(len, event.frames)), "frame")
            return f"{event.host}: {frames} of {event.chunk} count no more, others capture them"
        case events.HostStruck(aside_s=0):
            return f"{event.host}: failure {event.strikes} in a row: {event.reason}"
        case events.HostStruck():
            return (
                f"{event.host}: put aside for {duration(event.aside_s)} after {event.strikes} failures: {event.reason}"
            )
        case events.Suspected():
            return f"{event.host}: chunk {event.chunk} is hard to believe: {event.reason}"
        case events.PixelsFixed():
            frames = ", ".join(str(frame.index) for frame in event.frames)
            others = f", in {event.classes} different ways by all" if event.classes > 1 else ""
            return f"canary frames {frames} are drawn alike by {', '.join(event.hosts)}{others}"
        case events.Audited():
            again = plural(event.frames, "frame")
            return f"{event.host}: captured {again} again for the audit, {event.equal} equal"
        case events.Disagreed():
            first, second = (f"{host} ({digest[:12]})" for host, digest in zip(event.hosts, event.digests, strict=True))
            return f"frame {event.frame} differs between {first} and {second}: a host, or the composition, is not exact"
        case _:
            return None


def _of_chunk(event: events.Event) -> str | None:
    match event:
        case events.ChunkOrdered():
            twin = f", beside {event.twin}" if event.twin else ""
            return f"{event.host}: chunk {event.chunk} ordered, {_todo(event.frames, event.todo, event.attempt)}{twin}"
        case events.ChunkTrimmed():
            return f"{event.host}: chunk {event.chunk} ends at frame {event.stop}, others capture the rest"
        case events.ChunkStarted():
            return f"{event.host}: chunk {event.chunk} started, {plural(event.workers, 'worker')}: {event.why}"
        case events.WorkersChanged():
            now = f"{plural(event.workers, 'worker')} instead of {event.before}"
            return f"{event.host}: chunk {event.chunk} has {now}: {event.why}"
        case events.ChunkDone():
            return f"{event.host}: chunk {event.chunk} done"
        case events.ChunkFailed(fault=Fault(code=FaultCode.CANCELLED)):
            return f"{event.host}: chunk {event.chunk} handed back, others will end it sooner"
        case events.ChunkFailed():
            where = "" if event.fault.frame is None else f" at frame {event.fault.frame}"
            return f"{event.host}: chunk {event.chunk} failed{where}: {event.fault.message} ({event.fault.code.value})"
        case _:
            return None


def _todo(frames: FrameRange, todo: tuple[FrameRange, ...], attempt: int) -> str:
    if todo == (frames,) and attempt == 1:
        return f"frames {frames}"
    return f"{sum(map(len, todo))} of frames {frames}, attempt {attempt}"


def _without_name(message: str, host: str) -> str:
    # HostError says the name first, and so does every line about a host.
    return message.removeprefix(f"{host}: ")
