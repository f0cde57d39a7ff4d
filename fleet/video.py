"""Turns the videos of a composition into stills, once: FFmpeg decodes, the cache of the coordinator keeps.

Stills are kept by what they were made from, so that a second render decodes nothing. Commands are pure values.
"""

import asyncio
import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg as graph

from capture.protocol import FrameRange
from fleet import programs, stills
from fleet.errors import ConfigError
from fleet.model import Blob, Finding, Footage, Severity, VideoSlot
from fleet.stills import Stills

# Another way of making stills must not find those of this one.
RECIPE = 1
# FFmpeg decodes what people put into pages faster than it plays; a twentieth of that is a hang.
START_TIMEOUT_S = 60.0
SECONDS_PER_SOURCE_SECOND = 20.0
# Streams end a frame or two beside the duration that their container states.
END_SLACK = 3
# Decoders and encoders of one file use some two cores.
CONCURRENT = 2
CACHE_BYTES_MAX = 20 * 1024**3
# The native decoders of these throw the alpha away.
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
_INDEX = "index.json"


@dataclass(frozen=True, slots=True)
class Extracted:
    """The stills of a render, and what is to be said about its videos."""

    stills: Stills = field(default_factory=Stills)
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reel:
    """One decoding: a source from one in-point on, at one rate; several slots may share it."""

    footage: Footage
    media_start_s: Fraction
    fps: Fraction
    is_mapped: bool  # HDR made SDR, which takes an FFmpeg with zscale

    @property
    def suffix(self) -> str:
        """File extension of its stills."""
        return "png" if self.footage.has_alpha else "jpg"


def command(reel: Reel, wanted: range, directory: str, *, program: str = "ffmpeg") -> tuple[str, ...]:
    """Decodes from the in-point, so that still n is the same whatever part is wanted, and writes `<n>.<suffix>`."""
    footage = reel.footage
    options: dict[str, Any] = {}
    if reel.media_start_s:
        # Not accurate: what is on screen at the in-point may have begun before it, and `fps` drops what is too much.
        options = {"noaccurate_seek": None, "ss": f"{float(reel.media_start_s):.6f}"}
    if footage.has_alpha and footage.codec in _ALPHA_DECODERS:
        options["c:v"] = _ALPHA_DECODERS[footage.codec]
    rate = str(reel.fps)
    picture = graph.input(f"file:{footage.file}", **options)[f"v:{footage.stream}"]
    # As players do: what has begun last is on screen. Half a tick is taken off for containers that round times up.
    picture = picture.filter("settb", "intb/2").filter("setpts", "PTS-lte(TB,0.001)")
    picture = picture.filter("fps", fps=rate, start_time=0, round="up")
    picture = picture.filter("trim", start_frame=wanted.start).filter("setpts", "PTS-STARTPTS")
    picture = _coloured(picture, reel)
    coding: dict[str, Any] = {"compression_level": 1} if footage.has_alpha else {"q:v": 2}
    node = graph.output(
        picture, f"{directory}/%d.{reel.suffix}", f="image2", start_number=wanted.start, r=rate,
        fflags="+bitexact", flags="+bitexact", threads=1, **{"frames:v": len(wanted)}, **coding,
    )  # fmt: skip
    node = node.global_args("-hide_banner", "-loglevel", "error", "-nostdin")
    return tuple(node.compile(cmd=program, overwrite_output=True))


def _coloured(picture: Any, reel: Reel) -> Any:
    """As browsers read stills: RGB, or the full-range BT.601 of JFIF; FFmpeg would keep a BT.709 source's numbers."""
    footage, matrix, is_full = reel.footage, reel.footage.matrix, reel.footage.is_full_range
    if reel.is_mapped:
        picture = picture.filter("zscale", t="linear", npl=100).filter("format", "gbrpf32le")
        picture = picture.filter("zscale", p="bt709").filter("tonemap", tonemap="hable", desat=0)
        picture = picture.filter("zscale", t="bt709", m="bt709", r="tv").filter("format", "yuv420p")
        matrix, is_full = "bt709", False
    size = {"w": footage.width, "h": footage.height} if footage.is_stretched else {}
    read = {"in_color_matrix": matrix, "in_range": "pc" if is_full else "tv"}
    if footage.has_alpha or size:
        picture = picture.filter("scale", **size, **read, flags="bicubic+accurate_rnd+full_chroma_int")
        read = {}
    if not footage.has_alpha:
        # Nearest: the still has the chroma samples of the source where they were, neither blurred nor moved.
        picture = picture.filter("scale", **read, flags="neighbor+accurate_rnd").filter("format", "gbrp")
        picture = picture.filter("scale", out_color_matrix="bt601", out_range="pc", flags="neighbor+accurate_rnd")
    return picture.filter("format", "rgba" if footage.has_alpha else "yuvj420p").filter("setsar", 1)


async def sample(slots: Sequence[VideoSlot], *, fps: Fraction, cache: Path) -> tuple[Finding, ...]:
    """What is to be said about the videos, from the first picture of each: a file that holds none is found by it."""
    found: list[Finding] = []
    for slot in slots:
        first = math.ceil(slot.start_s * fps)
        made = await extract([slot], frames=FrameRange(first, first + 1), fps=fps, cache=cache)
        found += made.findings
    return tuple(found)


async def extract(slots: Sequence[VideoSlot], *, frames: FrameRange, fps: Fraction, cache: Path) -> Extracted:
    """Every still that `frames` show. A source that cannot be decoded is a warning, and its video stays blank."""
    if not slots:
        return Extracted()
    findings = []
    is_mapping = False
    if any(slot.footage.is_hdr for slot in slots):
        is_mapping = await _has_tone_mapping()
        findings = [_hdr(slot, is_mapping=is_mapping) for slot in slots if slot.footage.is_hdr]
    wanted = [_Wanted.of(slot, frames, fps, is_mapping=is_mapping) for slot in slots]
    reels: dict[Reel, set[int]] = {}
    for one in wanted:
        reels.setdefault(one.reel, set()).update(one.indices)
    gate = asyncio.Semaphore(CONCURRENT)
    async with asyncio.TaskGroup() as group:
        made = {reel: group.create_task(_developed(reel, indices, cache, gate)) for reel, indices in reels.items()}
    found = {reel: task.result() for reel, task in made.items()}
    _tidy(cache, {result.folder for result in found.values() if isinstance(result, _Found)})
    for one in wanted:
        if isinstance(problem := found[one.reel], str):
            findings.append(_blank(one.slot, problem))
    return Extracted(Stills(tuple(one.shown(found[one.reel]) for one in wanted)), tuple(findings))


@dataclass(frozen=True, slots=True)
class _Found:
    """Stills of one reel: name and size of each by number, `count` when its end was met."""

    folder: Path
    names: dict[int, tuple[str, int]]
    count: int | None

    def has(self, index: int) -> bool:
        return self.clamped(index) in self.names

    def clamped(self, index: int) -> int:
        """A source that has ended keeps showing its last picture."""
        return index if self.count is None else min(index, self.count - 1)

    def blob(self, index: int) -> Blob:
        name, size_bytes = self.names[self.clamped(index)]
        return Blob(name, name.partition(".")[0], size_bytes, str(self.folder / name))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What one slot wants of its reel: one index for every frame from `first` on."""

    slot: VideoSlot
    reel: Reel
    first: int
    indices: tuple[int, ...]

    @classmethod
    def of(cls, slot: VideoSlot, frames: FrameRange, fps: Fraction, *, is_mapping: bool) -> "_Wanted":
        footage = slot.footage
        is_mapped = footage.is_hdr and is_mapping
        reel = Reel(footage=footage, media_start_s=slot.media_start_s, fps=fps, is_mapped=is_mapped)
        shown = stills.span(slot, frames, fps)
        if shown is None:
            return cls(slot, reel, 0, ())
        return cls(slot, reel, shown.start, tuple(stills.still_at(slot, frame, fps) for frame in shown))

    def shown(self, found: "_Found | str") -> stills.Shown:
        blobs = () if isinstance(found, str) else tuple(found.blob(index) for index in self.indices)
        return stills.of_slot(self.slot, self.first, blobs)


async def _developed(reel: Reel, indices: set[int], cache: Path, gate: asyncio.Semaphore) -> _Found | str:
    """The stills `indices` of one reel, from the cache or made now; a sentence when there are none to be had."""
    async with gate:
        folder = cache / await asyncio.to_thread(_key, reel)
        found = _read(folder)
        if lacking := sorted(index for index in indices if not found.has(index)):
            start = min(lacking[0], _last(reel))
            found = await _make(reel, range(start, lacking[-1] + 1), found)
            if start and not all(found.has(index) for index in indices):
                # Fewer pictures than the container's duration promised: the last one is before all that was wanted.
                found = await _make(reel, range(lacking[-1] + 1), found)
        os.utime(folder)
    if all(found.has(index) for index in indices):
        return found
    return f"{Path(reel.footage.file).name} has no picture from {float(reel.media_start_s):g} s on"


def _last(reel: Reel) -> int:
    length = reel.footage.duration_s
    if length is None:
        return 0
    return max(0, int((length - reel.media_start_s) * reel.fps) - END_SLACK)


async def _make(reel: Reel, wanted: range, known: _Found) -> _Found:
    known.folder.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=known.folder.parent))
    try:
        argv = command(reel, wanted, str(draft), program=programs.find_ffmpeg().ffmpeg)
        source_s = float(reel.media_start_s) + wanted.stop / float(reel.fps)
        ended = await programs.run(argv, timeout_s=START_TIMEOUT_S + SECONDS_PER_SOURCE_SECOND * source_s)
        # A source that breaks off gives what came before; one that gives nothing is blank, and its slot says so.
        if ended.code < 0:
            raise ended.error(f"decoding {reel.footage.file}")
        if ended.code and isinstance(error := ended.error(reel.footage.file), ConfigError):
            raise error
        return await asyncio.to_thread(_keep, draft, wanted, known, reel.suffix)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _keep(draft: Path, wanted: range, known: _Found, suffix: str) -> _Found:
    """Moves new stills to where they stay, named by their content."""
    names, count = dict(known.names), known.count
    for index in wanted:
        file = draft / f"{index}.{suffix}"
        if not file.is_file() or not (size_bytes := file.stat().st_size):
            count = index if index > wanted.start or index == 0 else count
            break
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        name = f"{digest}.{suffix}"
        file.replace(known.folder / name)
        names[index] = (name, size_bytes)
    found = _Found(known.folder, names, count)
    index_file = draft / _INDEX
    index_file.write_text(json.dumps({"count": count, "stills": sorted((n, *v) for n, v in names.items())}))
    index_file.replace(known.folder / _INDEX)
    return found


def _read(folder: Path) -> _Found:
    """What is kept in `folder`; what is damaged or gone is made again."""
    try:
        plain = json.loads((folder / _INDEX).read_bytes())
        names = {int(n): (str(name), int(size)) for n, name, size in plain["stills"]}
        count = plain["count"]
    except (OSError, ValueError, KeyError, TypeError):
        return _Found(folder, {}, None)
    there = {entry.name: entry.stat().st_size for entry in os.scandir(folder)}
    return _Found(folder, {n: kept for n, kept in names.items() if there.get(kept[0]) == kept[1]}, count)


def _key(reel: Reel) -> str:
    """Names all that decides a still: the source's bytes and every parameter, not where the source lies."""
    with Path(reel.footage.file).open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    parameters = command(reel, range(1), "")
    text = json.dumps([RECIPE, digest, [part for part in parameters if reel.footage.file not in part]])
    return hashlib.sha256(text.encode()).hexdigest()


async def _has_tone_mapping() -> bool:
    program = programs.find_ffmpeg().ffmpeg
    for name in ("zscale", "tonemap"):
        ended = await programs.run((program, "-hide_banner", "-h", f"filter={name}"), timeout_s=30)
        if not ended.stdout.startswith(b"Filter "):
            return False
    return True


def _hdr(slot: VideoSlot, *, is_mapping: bool) -> Finding:
    name = Path(slot.footage.file).name
    return Finding(
        severity=Severity.NOTE if is_mapping else Severity.WARNING,
        code="video-hdr",
        message=f"{name} is HDR and is mapped to SDR" if is_mapping else f"{name} is HDR and its colours will be pale",
        remedy="convert it to SDR yourself for full control" if is_mapping else "install an FFmpeg with zscale",
        where=slot.where or f"<video id={slot.id!r}>",
    )


def _blank(slot: VideoSlot, problem: str) -> Finding:
    return Finding(
        severity=Severity.WARNING,
        code="video-blank",
        message=f"{problem}; the video stays blank",
        remedy="replace the file, or lower `data-media-start`",
        where=slot.where or f"<video id={slot.id!r}>",
    )


def _tidy(cache: Path, used: set[Path]) -> None:
    """Deletes the stills used longest ago until the rest fits."""
    folders = sorted((path for path in cache.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
    sizes = {path: sum(entry.stat().st_size for entry in os.scandir(path)) for path in folders}
    total = sum(sizes.values())
    for path in folders:
        if total <= CACHE_BYTES_MAX:
            return
        if path not in used:
            shutil.rmtree(path, ignore_errors=True)
            total -= sizes[path]
