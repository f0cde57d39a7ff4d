"""What a composition does not say itself, asked of its page on this machine before anything is planned.

The length that its timelines and media add up to, and what its scripts do to volumes: the same each time. One process
of the agent's per question, one browser, no frame.
"""

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from capture.faults import FaultCode
from capture.protocol import PAGE_LIMIT_S
from fleet.agentzip import AgentZip
from fleet.errors import CompositionError
from fleet.model import Asset, Envelope, Host, Level

# For a browser's start and end, on top of the page's own time.
BROWSER_S = 60.0
DOCUMENT = "index.html"
# A second of film is 60 seeks of its timelines.
LISTENING_LIMIT = Fraction(2)
VOLUME_REMEDY = "write the volume down, as `data-volume` or `data-automation`"
# A page that does not get ready while it is asked will not while it is rendered.
LATE = frozenset({FaultCode.PAGE_NOT_READY.value, FaultCode.SCRIPT_ENDLESS.value})
LATE_REMEDY = "mend the composition, or give its page more seconds: `--page-timeout 300`"
REMEDY = 'add the length in seconds to the root element, as in `data-duration="5"`'
CONSOLE_LINES = 5


@dataclass(frozen=True, slots=True)
class Ruler:
    """Measures with one agent and one browser; asked each question once per composition at most."""

    agent: AgentZip
    chromium: str | None = None  # None: the one that a host would choose
    chromium_args: tuple[str, ...] = ()
    sandbox: bool = True
    page_limit_s: float = PAGE_LIMIT_S

    @classmethod
    def among(cls, agent: AgentZip, hosts: Iterable[Host], *, page_limit_s: float = PAGE_LIMIT_S) -> "Ruler":
        """With the browser settings of the host that is this machine, when there is one."""
        local = next((host for host in hosts if host.transport == "local"), None)
        if local is None:
            return cls(agent, page_limit_s=page_limit_s)
        return cls(agent, local.chromium, local.chromium_args, local.sandbox, page_limit_s)

    def __call__(self, document: str, assets: Iterable[Asset], width: int, height: int) -> Fraction:
        """Seconds, to the microsecond. CompositionError when the page has no length, or cannot say it in time."""
        return seconds(self._ask(document, assets, width=width, height=height))

    def volumes(
        self, document: str, assets: Iterable[Asset], width: int, height: int, duration_s: Fraction
    ) -> dict[str, Envelope]:
        """What scripts make of the volume of each media element, by render id. CompositionError as above."""
        asked = {
            "duration_s": f"{duration_s.numerator}/{duration_s.denominator}",
            "is_listening": True,
            "listening_limit_s": self.page_limit_s + float(duration_s * LISTENING_LIMIT),
        }
        return envelopes(self._ask(document, assets, width=width, height=height, **asked))

    def _ask(self, document: str, assets: Iterable[Asset], **question: Any) -> dict[str, Any]:
        # A browser that was killed may still be closing its profile.
        with tempfile.TemporaryDirectory(
            prefix=f"fleetrender-measure-{os.getpid()}-", ignore_cleanup_errors=True
        ) as folder:
            bundle = Path(folder, "bundle")
            _lay_out(bundle, document, assets)
            asked = {
                "bundle": str(bundle),
                "profile": str(Path(folder, "profile")),
                "chromium": self.chromium,
                "chromium_args": self.chromium_args,
                "sandbox": self.sandbox,
                "page_limit_s": self.page_limit_s,
                **question,
            }
            command = [sys.executable, "-ISE", str(self.agent.path), "measure", json.dumps(asked)]
            return _answer(command, BROWSER_S + self.page_limit_s + question.get("listening_limit_s", 0.0))


def envelopes(told: dict[str, Any]) -> dict[str, Envelope]:
    """The levels that the page told, by render id."""
    if problem := told.get("problem"):
        raise CompositionError(
            _complaint("volumes cannot be measured", problem, told), remedy=_remedy(told, VOLUME_REMEDY)
        )
    found = {volume["id"]: volume["points"] for volume in told.get("volumes", [])}
    return {name: tuple(Level(_micros(at), gain) for at, gain in points) for name, points in found.items() if points}


def _complaint(what: str, problem: object, told: dict[str, Any]) -> str:
    lines = [str(problem), *(f"page console: {line}" for line in told.get("console", [])[-CONSOLE_LINES:])]
    return f"{what}: " + "\n".join(lines)


def _remedy(told: dict[str, Any], otherwise: str) -> str:
    return LATE_REMEDY if told.get("code") in LATE else otherwise


def _micros(number: float) -> Fraction:
    # A timeline's length is a sum of binary fractions; the millionth is far below a frame and far above their errors.
    return Fraction(round(number * 1_000_000), 1_000_000)


def seconds(told: dict[str, Any]) -> Fraction:
    """The length that the page told, as a number that an attribute can hold."""
    if problem := told.get("problem"):
        raise CompositionError(_complaint("the length cannot be measured", problem, told), remedy=_remedy(told, REMEDY))
    length = told.get("duration_s")
    if not isinstance(length, int | float) or not math.isfinite(length) or length <= 0:
        raise CompositionError(f"the page says that it lasts {length!r} s", remedy=REMEDY)
    return _micros(length)


def _lay_out(bundle: Path, document: str, assets: Iterable[Asset]) -> None:
    bundle.mkdir()
    for asset in assets:
        target = bundle / asset.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(Path(asset.file).absolute())
    (bundle / DOCUMENT).unlink(missing_ok=True)
    (bundle / DOCUMENT).write_text(document, encoding="utf-8")


def _answer(command: list[str], limit_s: float) -> dict[str, Any]:
    # A session of its own, so that its end is the end of everything that it started; it dies with us as well.
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        said, _ = process.communicate(timeout=limit_s)
        told = json.loads(said)
    except subprocess.TimeoutExpired:
        return {"problem": f"the page did not say it within {limit_s:.0f} s"}
    except ValueError:
        return {"problem": f"the browser's process ended with {process.returncode}"}
    finally:
        _end(process)
    return told if isinstance(told, dict) else {}


def _end(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
