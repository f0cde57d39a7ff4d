"""Which of the hosts that answered render together: one browser build, one capture mode, one GL backend.

Pure: no I/O.
"""

from dataclasses import dataclass

from capture.protocol import BrowserFacts, CaptureMode, HostFacts
from fleet.model import Host

# What one worker needs at 1080p, as the agent's own sizing reckons; this is only the first guess of a host's
# speed, and measured frames per second replace it.
WORKER_MEMORY_BYTES = 600 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Mustered:
    """A host that is connected, fit and locked for this run."""

    host: Host
    facts: HostFacts
    browser: BrowserFacts

    @property
    def capacity(self) -> float:
        """Workers that the host will probably run, times its configured weight."""
        by_memory = self.facts.memory_available_bytes // WORKER_MEMORY_BYTES
        workers = min(round(self.facts.cores), by_memory, self.host.limits.workers or 64)
        return max(1, workers) * self.host.weight


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The browser and the mode of this render, and the hosts that have them."""

    mode: CaptureMode
    browser: str
    why: str
    accepted: tuple[Mustered, ...]


def choose(
    mustered: tuple[Mustered, ...], required_browser: str | None = None, *, scale: int = 1, allow_mixed: bool = False
) -> Choice:
    """The browser build with the most capacity wins, or `required_browser` when a resumed run fixed it before.

    Hosts with any other one are accepted, too, with `allow_mixed`: what they draw tells their class.
    Screenshot mode as soon as one accepted host needs it: frames of two modes may differ in a pixel. So does
    a `scale` other than 1: Chromium draws begin-frame pictures in CSS pixels, whatever the density.
    """
    capacity: dict[str, float] = {}
    for one in mustered:
        capacity[identity(one.browser)] = capacity.get(identity(one.browser), 0.0) + one.capacity
    winner = required_browser or max(sorted(capacity), key=lambda name: capacity[name])
    accepted = tuple(one for one in mustered if allow_mixed or identity(one.browser) == winner)
    mode, why = _mode(accepted, scale)
    return Choice(mode=mode, browser=winner, why=why, accepted=accepted)


def misfit(mustered: Mustered, choice: Choice, *, allow_mixed: bool = False) -> str | None:
    """Why this host would draw other pixels than the chosen ones, or None when it would not."""
    if identity(mustered.browser) != choice.browser and not allow_mixed:
        return f"its browser is {identity(mustered.browser)}, this render uses {choice.browser}"
    if choice.mode is CaptureMode.BEGIN_FRAME and mustered.browser.mode is not choice.mode:
        return f"it can only take screenshots ({mustered.browser.mode_why}), this render uses begin-frame capture"
    return None


def identity(browser: BrowserFacts) -> str:
    """What has to be equal for two browsers to draw the same pixels: build and GL renderer."""
    return f"{browser.version} / {browser.gl_renderer}"


def _mode(accepted: tuple[Mustered, ...], scale: int) -> tuple[CaptureMode, str]:
    if scale != 1:
        return CaptureMode.SCREENSHOT, f"begin-frame capture cannot draw {scale} pixels for one"
    for one in accepted:
        if one.browser.mode is CaptureMode.SCREENSHOT:
            return CaptureMode.SCREENSHOT, f"{one.host.name}: {one.browser.mode_why}"
    return CaptureMode.BEGIN_FRAME, "every host's browser passed the begin-frame probe"
