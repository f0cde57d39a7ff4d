"""The page runtime: JavaScript that is injected before any script of the page, as one classic script.

The files of this folder share the constant `fleet` and nothing else; the page sees `__fleet` and the names its authors
may read. Read through importlib.resources, so that it works from inside a zipapp.
"""

import importlib.resources
import json
from dataclasses import dataclass
from fractions import Fraction

from capture.protocol import PAGE_LIMIT_S, RenderSpec

# Child frames need time, chance and the same abilities: whatever moves in them follows their clock.
EVERY_FRAME = ("clock.js", "random.js", "webgpu.js", "machine.js")
# A file may call those above it while it loads, and any file once the page is parsed.
TOP_FRAME = (
    "failure.js",
    "activity.js",
    "variables.js",
    "timing.js",
    "timeline.js",
    "waypoints.js",
    "layout.js",
    "visibility.js",
    "scoping.js",
    "templates.js",
    "eases.js",
    "paint.js",
    "text.js",
    "frames.js",
    "features.js",
    "stills.js",
    "media.js",
    "video.js",
    "volume.js",
    "redraw.js",
)
AFTER_ADAPTERS = ("seek.js", "globals.js", "ready.js", "api.js")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageConfig:
    """What the page must know of the render: exact rates, sizes in CSS pixels.

    A page that listens is asked for volumes, and gives no frames.
    """

    fps: Fraction
    duration_s: Fraction
    width: int
    height: int
    limit_s: float = PAGE_LIMIT_S  # for getting ready, and for a frame; what the page waits for gets a part of it
    is_listening: bool = False


def config(spec: RenderSpec, *, limit_s: float) -> PageConfig:
    """What the page must know of a render by `spec`."""
    return PageConfig(fps=spec.fps, duration_s=spec.duration_s, width=spec.width, height=spec.height, limit_s=limit_s)


def source(config: PageConfig) -> str:
    """One script for every new document: `__fleet` with `ready()`, `seek(frame)`, `draw()`; in child frames a clock."""
    parts = [
        "(() => {",
        '"use strict";',
        f"const fleet = {{ config: Object.freeze({_literal(config)}), adapters: [] }};",
        *map(_read, EVERY_FRAME),
        "if (window !== window.top) return;",
        *map(_read, TOP_FRAME),
        *map(_read, _adapters()),
        *map(_read, AFTER_ADAPTERS),
        "})();",
    ]
    return "\n".join(parts)


def _literal(config: PageConfig) -> str:
    return json.dumps(
        {
            "fpsNumerator": config.fps.numerator,
            "fpsDenominator": config.fps.denominator,
            "durationS": float(config.duration_s),
            "width": config.width,
            "height": config.height,
            "limitMs": round(1000 * config.limit_s),
            "isListening": config.is_listening,
        }
    )


def _adapters() -> list[str]:
    folder = importlib.resources.files(__name__) / "adapters"
    return sorted(f"adapters/{file.name}" for file in folder.iterdir() if file.name.endswith(".js"))


def _read(name: str) -> str:
    return (importlib.resources.files(__name__) / name).read_text(encoding="utf-8")
