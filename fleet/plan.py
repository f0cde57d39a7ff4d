"""What will be captured and encoded: frames, segments, stills. Knows no host. Pure: no I/O.

Equal compositions and flags give equal plans, and equal plans give equal files, however the frames are split.
"""

import hashlib
import itertools
import json
import math
import re
from fractions import Fraction

from capture import clock, wire
from capture.protocol import CaptureMode, FrameRange, RenderSpec
from fleet import formats
from fleet import resolution as resolutions
from fleet.errors import CompositionError, ConfigError
from fleet.formats import FORMATS, Format
from fleet.model import Composition, Plan, Quality

VERSION = 1
FPS_DEFAULT = Fraction(30)
FPS_MIN = Fraction(1)
FPS_MAX = Fraction(240)  # the composition format's own bound; every adapter is tested inside it
BITRATE_MIN, BITRATE_MAX = 10_000, 2_000_000_000  # outside it, a unit was forgotten or typed twice
DURATION_S_MAX = Fraction(24 * 3600)  # beyond a day it is a typing error far more often than a video
# One closed GOP: short enough to seek in and to encode while the next is captured, long enough to compress well. Each
# one costs an FFmpeg to start, and half a gigabyte for it to clear: as long as a tenth of the render, within bounds.
SEGMENT_S_MIN, SEGMENT_S_MAX = 2, 4
SEGMENT_SHARE = 10
# What is encoded after everything else, while whoever wants a long film waits: x264 begins when it has all of it.
SEGMENT_LAST_S = Fraction(1, 4)


def make(
    composition: Composition,
    bundle_digest: str,
    agent_digest: str,
    *,
    fps: Fraction | None = None,
    frames: FrameRange | None = None,
    quality: Quality = Quality.STANDARD,
    sequential: bool = False,
    format: str = "mp4",  # noqa: A002  the word of the option and of the model
    crf: int | None = None,
    bitrate_bps: int | None = None,
    resolution: str | None = None,
    loop: int = 0,
) -> Plan:
    """The plan of one render; what follows the digests are the user's flags, None where they were not given.

    Raises CompositionError for a duration that cannot be rendered, ConfigError for a flag out of range.
    """
    row = _format(format)
    formats.check_options(format, crf=crf, bitrate_bps=bitrate_bps, loop=loop)
    rate = _rate(composition, fps)
    formats.check_fps(format, rate)
    count = _frame_count(composition, rate)
    span = _span(frames, count)
    return Plan(
        bundle=bundle_digest,
        agent=agent_digest,
        width=composition.width,
        height=composition.height,
        fps=rate,
        duration_s=composition.duration_s,
        frame_count=count,
        frames=span,
        segments=segments(span, rate),
        image=row.image,
        jpeg_quality=row.jpeg_quality[quality],
        has_webgl=composition.has_webgl,
        format=format,
        quality=quality,
        audio=composition.audio,
        scale=resolutions.scale(resolution, composition.width, composition.height) if resolution else 1,
        crf=crf,
        bitrate_bps=bitrate_bps,
        loop=loop,
        sequential=sequential or composition.sequential,
    )


def parse_fps(text: str) -> Fraction:
    """Frames per second as the user types it: `30` or `30000/1001`."""
    match = re.fullmatch(r"([0-9]{1,9})(?:/([0-9]{1,9}))?", text.strip())
    if match is None:
        raise ConfigError(
            f"fps is neither an integer nor num/den: `{text}`",
            remedy="type an exact rate: `30`, or `30000/1001` for what is called 29.97",
        )
    numerator, denominator = int(match[1]), int(match[2] or "1")
    if denominator == 0:
        raise ConfigError(f"fps divides by zero: `{text}`", remedy="type `30`, or `30000/1001`")
    return _checked_fps(Fraction(numerator, denominator), ConfigError, "pass `--fps`")


def parse_bitrate(text: str) -> int:
    """Bits per second as the user types them: `8M`, `2500k` or `8000000`."""
    match = re.fullmatch(r"([0-9]{1,9})([kKmM]?)", text.strip())
    bits = int(match[1]) * {"": 1, "k": 1000, "m": 1_000_000}[match[2].lower()] if match else 0
    if not BITRATE_MIN <= bits <= BITRATE_MAX:
        raise ConfigError(
            f"--bitrate: not a bitrate between {BITRATE_MIN // 1000}k and {BITRATE_MAX // 10**6}M: `{text}`",
            remedy="type bits per second: `8M`, or `2500k`",
        )
    return bits


def parse_frames(text: str) -> FrameRange:
    """Frames as the user types them: `A:B`, from A up to but not including B."""
    match = re.fullmatch(r"([0-9]{1,9}):([0-9]{1,9})", text.strip())
    if match is None or int(match[1]) >= int(match[2]):
        raise ConfigError(
            f"frames are not a range `A:B` with A below B: `{text}`",
            remedy="type first frame, colon, the frame after the last: `--frames 0:60` is 60 frames",
        )
    return FrameRange(int(match[1]), int(match[2]))


def segments(frames: FrameRange, fps: Fraction) -> tuple[FrameRange, ...]:
    """The encoder's grid: two to four seconds each, counted from the first frame of the render, save the last one."""
    shortest, longest = round(SEGMENT_S_MIN * fps), round(SEGMENT_S_MAX * fps)
    length = min(max(shortest, math.ceil(len(frames) / SEGMENT_SHARE)), longest)
    last = max(1, round(SEGMENT_LAST_S * fps)) if length > shortest else 0
    starts = [*range(frames.start, frames.stop - last, length), *([frames.stop - last] if last else [])]
    return tuple(FrameRange(start, stop) for start, stop in itertools.pairwise([*starts, frames.stop]))


def spec(plan: Plan, mode: CaptureMode) -> RenderSpec:
    """What hosts are told about every frame of `plan`, save whether it is sequential, which an examination may find."""
    return RenderSpec(
        bundle=plan.bundle,
        width=plan.width,
        height=plan.height,
        fps=plan.fps,
        frame_count=plan.frame_count,
        duration_s=plan.duration_s,
        image=plan.image,
        jpeg_quality=plan.jpeg_quality,
        mode=mode,
        has_webgl=plan.has_webgl,
        document=plan.document,
        scale=plan.scale,
        is_transparent=FORMATS[plan.format].has_alpha,
    )


def digest(plan: Plan) -> str:
    """sha256 that names the plan: two runs may share captured frames exactly when it is equal.

    Where an audio file lies is left out: the same project in another folder, or its media in another cache, is the same
    plan. Its bytes touch no frame, and every run mixes the sound afresh, so names and times are enough here.
    """
    plain = wire.to_plain(plan)
    for track in plain["audio"]:
        del track["file"]
    return hashlib.sha256(_canonical(plain)).hexdigest()


def to_json(plan: Plan) -> str:
    """The text of plan.json."""
    return json.dumps({"v": VERSION, "digest": digest(plan), "plan": wire.to_plain(plan)}, indent=1) + "\n"


def from_json(text: str) -> Plan:
    """The plan in plan.json; ConfigError when it is damaged or of another version."""
    try:
        plain = json.loads(text)
        if not isinstance(plain, dict) or plain.get("v") != VERSION:
            raise ValueError(f"not a plan of version {VERSION}")
        plan = wire.from_plain(Plan, plain.get("plan"))
        if digest(plan) != plain.get("digest"):
            raise ValueError("its digest does not fit its content")
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"plan.json cannot be used: {error}", remedy="render again without `--resume`: a fresh run plans afresh"
        ) from error
    return plan


def _format(name: str) -> Format:
    if name not in FORMATS:
        raise ConfigError(f"there is no output format `{name}`", remedy=f"choose one of: {', '.join(FORMATS)}")
    return FORMATS[name]


def _rate(composition: Composition, flag: Fraction | None) -> Fraction:
    if flag is not None:
        return _checked_fps(flag, ConfigError, "pass `--fps`")
    if composition.fps is not None:
        return _checked_fps(composition.fps, CompositionError, f"set `data-fps` of `{composition.name}`")
    return FPS_DEFAULT


def _checked_fps(fps: Fraction, error: type[ConfigError | CompositionError], verb: str) -> Fraction:
    if not FPS_MIN <= fps <= FPS_MAX:
        raise error(f"fps is out of range: {fps}", remedy=f"{verb} between {FPS_MIN} and {FPS_MAX}")
    return fps


def _frame_count(composition: Composition, fps: Fraction) -> int:
    remedy = f"set `data-duration` of the root of `{composition.name}`, in seconds"
    count = clock.frame_count(composition.duration_s, fps)
    if count <= 0:
        raise CompositionError(f"{composition.name}: the composition lasts {_seconds(composition)}", remedy=remedy)
    if composition.duration_s > DURATION_S_MAX:
        raise CompositionError(
            f"{composition.name}: the composition lasts {_seconds(composition)}, more than a day", remedy=remedy
        )
    return count


def _seconds(composition: Composition) -> str:
    return f"{float(composition.duration_s):g} s"


def _span(frames: FrameRange | None, count: int) -> FrameRange:
    whole = FrameRange(0, count)
    if frames is None:
        return whole
    if not whole.covers(frames):
        raise ConfigError(
            f"frames {frames} are not inside the composition, which has {count}",
            remedy=f"pass `--frames A:B` within `{whole}`",
        )
    return frames


def _canonical(plain: object) -> bytes:
    # Lone surrogates may come from a composition's text; escaping keeps every string encodable.
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
