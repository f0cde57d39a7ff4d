"""Which GL backend a render uses: SwiftShader, or what every host has drawn as well and faster. Pure: no I/O."""

import math
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

from capture.protocol import PAGE_LIMIT_S, FrameCost, FrameRange, GlBackend, Rendition
from fleet import frameset
from fleet.frameset import FrameSet
from fleet.model import Composition, Gl, Host, Plan

# Nobody sees a difference below that, and encoding at the best quality makes a larger one.
ALIKE_DB = 50.0
# What costs less than a tenth less is noise as often as not.
FASTER = 1.1
# Trying costs a host some 2 s, about as much as a backend that is faster by a quarter saves where each core of all
# hosts has so many frames to draw.
PER_CORE_MIN = 80
# What pages may take to get ready for being tried, as it must not cost more than can be saved: about a quarter of what
# each frame of a core's share takes SwiftShader.
READY_S_PER_FRAME = 0.04
# Two places of the film, and a few frames in a row: the costs of a jump are not those of a frame.
PLACES = 2
IN_A_ROW = 3
_ALLOWED = {
    Gl.AUTO: (GlBackend.VULKAN,),
    Gl.SWIFTSHADER: (),
    Gl.GPU: (GlBackend.GPU, GlBackend.VULKAN),
}

Tried = Mapping[str, Sequence[Rendition]]  # by host


def shown(composition: Composition, plan: Plan) -> FrameSet:
    """The frames of a render that may show WebGL."""
    if not composition.has_webgl:
        return FrameSet()
    spans = composition.gl_spans or ((Fraction(0), plan.duration_s),)
    parts = (range(math.ceil(start * plan.fps), math.ceil(stop * plan.fps)) for start, stop in spans)
    return frameset.of(FrameRange(part.start, part.stop) for part in parts if part) & FrameSet((plan.frames,))


def per_core(hosts: Iterable[Host], gl_frames: FrameSet, frames: FrameRange, cores: float) -> float:
    """How many frames each of `cores` has to draw that need a backend: those with WebGL, or all where GPUs compose."""
    is_for_all = all(host.gl is Gl.GPU for host in hosts)
    return len(frames if is_for_all else gl_frames) / cores


def candidates(hosts: Iterable[Host], per_core: float) -> tuple[GlBackend, ...]:
    """Backends that are worth a try, the best first: those that every host may use, where enough frames need them."""
    if per_core < PER_CORE_MIN:
        return ()
    allowed = [_ALLOWED[host.gl] for host in hosts]
    return tuple(gl for gl in reversed(GlBackend) if all(gl in some for some in allowed))


def limit_s(per_core: float) -> float:
    """How long a page may take to get ready, or for a frame, to be worth a try."""
    return min(PAGE_LIMIT_S, READY_S_PER_FRAME * per_core)


def samples(gl_frames: FrameSet, frames: FrameRange) -> tuple[int, ...]:
    """The frames to try backends with: a few in a row, in places spread over those that show WebGL, else over all."""
    pool = list(gl_frames or FrameSet((frames,)))
    starts = (len(pool) * (2 * place + 1) // (2 * PLACES) for place in range(PLACES))
    return tuple(sorted({frame for start in starts for frame in pool[start : start + IN_A_ROW]}))


def fault(rendition: Rendition) -> str | None:
    """Why a backend may not be used by the host that tried it; None when it may."""
    if rendition.fault:
        return rendition.fault
    if not rendition.is_as_asked:
        return f"WebGL is drawn by {rendition.renderer or 'nothing'}"
    if len(rendition.frames) < IN_A_ROW:
        return f"only {len(rendition.frames)} frames were drawn in time"
    for file, decibels in zip(rendition.frames, rendition.decibels, strict=True):
        if not decibels >= ALIKE_DB:
            return f"frame {file.index} differs from SwiftShader's ({decibels:.1f} dB, {ALIKE_DB:.0f} are needed)"
    own_ms, swiftshader_ms = _ms(rendition, rendition.cost), _ms(rendition, rendition.swiftshader)
    if not 0 < own_ms * FASTER <= swiftshader_ms:
        return f"it is not faster: {own_ms:.0f} ms a frame, SwiftShader's {swiftshader_ms:.0f}"
    return None


def _ms(rendition: Rendition, cost: FrameCost) -> float:
    """What limits a host that draws as many frames at once as it has cores: their CPU time, or waiting for a GPU."""
    return cost.cpu_ms if rendition.is_software else max(cost.cpu_ms, cost.wall_ms)


def choose(tried: Tried, wanted: Sequence[GlBackend]) -> tuple[GlBackend, str]:
    """The first of `wanted` that every host may use and all draw alike, else SwiftShader; and why."""
    reasons = []
    for gl in wanted:
        found = {host: next((one for one in some if one.gl is gl), None) for host, some in tried.items()}
        reason = _refusal(found)
        if reason is None:
            return gl, _praise([one for one in found.values() if one is not None])
        reasons.append(f"{gl.value}: {reason}")
    return GlBackend.SWIFTSHADER, "; ".join(reasons) or "nobody tried another one"


def _refusal(found: Mapping[str, Rendition | None]) -> str | None:
    for host, rendition in found.items():
        if rendition is None:
            return f"{host} did not try it"
        if reason := fault(rendition):
            return f"{host}: {reason}"
    digests: dict[int, tuple[str, str]] = {}
    for host, rendition in found.items():
        for file in rendition.frames if rendition else ():
            other, digest = digests.setdefault(file.index, (host, file.sha256))
            if digest != file.sha256:
                return f"{other} and {host} draw frame {file.index} differently"
    return None if found else "nobody tried it"


def _praise(found: Sequence[Rendition]) -> str:
    gain = min(_ms(one, one.swiftshader) / _ms(one, one.cost) for one in found)
    alike = min(min(one.decibels) for one in found)
    return f"{gain:.2f} times as fast as SwiftShader in {len(found[0].frames)} frames, alike to {alike:.0f} dB"
