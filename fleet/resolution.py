"""`--resolution`: output sizes by name, met by drawing every CSS pixel as N by N pixels. Pure: no I/O.

Nothing is ever resized: what a browser draws at twice the density is sharp, what a scaler makes of it is not.
"""

import re
from fractions import Fraction

from fleet.errors import ConfigError

Size = tuple[int, int]

_HD = ((1920, 1080), (1080, 1920), (1080, 1080))
_UHD = ((3840, 2160), (2160, 3840), (2160, 2160))
# A name without an orientation takes the composition's.
PRESETS: dict[str, tuple[Size, ...]] = {
    "1080p": _HD,
    "4k": _UHD,
    "hd": _HD,
    "uhd": _UHD,
    "landscape": _HD[:1],
    "landscape-4k": _UHD[:1],
    "portrait": _HD[1:2],
    "portrait-4k": _UHD[1:2],
    "square": _HD[2:],
    "square-4k": _UHD[2:],
}
# Eight times a tiny badge is 4K; beyond that Chromium's own surfaces end (16384 pixels a side).
SCALE_MAX = 8
SIDE_MAX = 16384


def parse(text: str) -> tuple[Size, ...]:
    """The sizes that `text` allows, a preset or `WxH`; ConfigError lists the presets."""
    word = text.strip().lower()
    if word in PRESETS:
        return PRESETS[word]
    match = re.fullmatch(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", word)
    if match is None:
        raise ConfigError(
            f"--resolution: neither a size nor a preset: `{text}`",
            remedy=f"type a size such as `3840x2160`, or one of: {', '.join(PRESETS)}",
        )
    return ((int(match[1]), int(match[2])),)


def scale(text: str, width: int, height: int) -> int:
    """How many pixels a side one CSS pixel of a `width` by `height` composition gets; ConfigError unless whole."""
    sizes = parse(text)
    fitting = [size for size in sizes if size[0] * height == size[1] * width]
    if not fitting:
        shown = " or ".join(f"{size[0]}x{size[1]}" for size in sizes)
        raise ConfigError(
            f"--resolution: {shown} has another shape than the composition's {width}x{height}",
            remedy=_remedy(width, height),
        )
    size = fitting[0]
    ratio = Fraction(size[0], width)
    if ratio.denominator != 1 or not 1 <= ratio <= SCALE_MAX or max(size) > SIDE_MAX:
        raise ConfigError(
            f"--resolution: {size[0]}x{size[1]} is {float(ratio):g} times the composition's {width}x{height}",
            remedy=_remedy(width, height),
        )
    return int(ratio)


def _remedy(width: int, height: int) -> str:
    largest = max(1, min(SCALE_MAX, SIDE_MAX // max(width, height)))
    sizes = ", ".join(f"{width * times}x{height * times}" for times in range(1, min(largest, 4) + 1))
    return f"choose a whole multiple of up to {largest}: {sizes}"
