"""What ffprobe says about a file, as values. Pure: no I/O; `programs` runs the command."""

import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One stream; times in seconds, None where the container does not say. Fields of the other kind stay zero."""

    kind: str  # video, audio, ...
    codec: str
    start_s: Fraction | None = None
    duration_s: Fraction | None = None
    packets: int | None = None  # only when counted
    keyframes: tuple[int, ...] = ()  # packets, counted from 0, at which decoding can begin; only when counted
    is_even: bool = True  # one packet is shown after the other, all equally long; only when counted
    width: int = 0
    height: int = 0
    pixel_format: str = ""
    colour: tuple[str, str, str, str] = ("", "", "", "")  # range, matrix, primaries, transfer
    rate: Fraction | None = None  # r_frame_rate
    average_rate: Fraction | None = None
    pixel_aspect: Fraction = Fraction(1)
    rotation: int = 0  # degrees that players turn the picture by
    has_alpha_mode: bool = False  # VP8 and VP9 say in a tag that a second picture holds their alpha
    is_cover: bool = False  # a still that belongs to a sound file
    channels: int = 0
    sample_rate: int = 0


@dataclass(frozen=True, slots=True)
class Packets:
    """The packets of one stream: how many, which of them are keyframes, and whether they are shown at even steps."""

    count: int
    keyframes: tuple[int, ...]
    is_even: bool


@dataclass(frozen=True, slots=True)
class Media:
    """One file: its container's duration and its streams in file order."""

    duration_s: Fraction | None
    streams: tuple[Stream, ...]

    def of_kind(self, kind: str) -> tuple[Stream, ...]:
        """The streams of `kind`, in file order."""
        return tuple(stream for stream in self.streams if stream.kind == kind)

    def counted(self, found: Packets) -> "Media":
        """The same, with what was counted in its first video stream."""
        first = self.of_kind("video")[0]
        known = replace(first, packets=found.count, keyframes=found.keyframes, is_even=found.is_even)
        return Media(self.duration_s, tuple(known if stream is first else stream for stream in self.streams))


def command(ffprobe: str, path: str, *, count_packets: bool = False) -> tuple[str, ...]:
    """Asks for format and streams as JSON; counting packets reads the whole file."""
    counting = ("-count_packets",) if count_packets else ()
    return (ffprobe, "-v", "error", *counting, "-show_format", "-show_streams", "-of", "json", "-i", path)


def stills_command(ffprobe: str, pattern: str, fps: Fraction) -> tuple[str, ...]:
    """The same of numbered pictures from 1 on, shown at `fps`."""
    return (
        ffprobe, "-v", "error", "-count_packets", "-show_format", "-show_streams", "-of", "json",
        "-f", "image2", "-framerate", f"{fps.numerator}/{fps.denominator}", "-start_number", "1", "-i", pattern,
    )  # fmt: skip


def packets_command(ffprobe: str, path: str, *, container: str = "") -> tuple[str, ...]:
    """Reads the whole file and says a time and a few letters for each packet of its first video stream.

    With `container` it is read as nothing else: what a stranger sent could name other files.
    """
    return (
        ffprobe,
        "-v",
        "error",
        *(("-f", container) if container else ()),
        "-select_streams",
        "v:0",
        "-show_entries",
        "packet=pts,flags",
        "-of",
        "csv=p=0",
        "-i",
        path,
    )


def parse_packets(text: bytes) -> Packets:
    """From what `packets_command` makes ffprobe say. A time that is not told is no even step."""
    # A packet with side data has more commas.
    found = [line.split(b",") for line in text.splitlines() if line.strip(b", ")]
    times = sorted(int(time) for time, *_ in found if re.fullmatch(rb"-?\d+", time))
    steps = {after - before for before, after in itertools.pairwise(times)}
    return Packets(
        count=len(found),
        keyframes=tuple(index for index, (_, *flags) in enumerate(found) if flags and flags[0].startswith(b"K")),
        is_even=len(times) == len(found) and len(steps) <= 1 and 0 not in steps,
    )


def parse(text: bytes) -> Media:
    """ffprobe's JSON; ValueError when it is none."""
    plain = json.loads(text)
    streams = tuple(_stream(stream) for stream in plain.get("streams", ()))
    return Media(_fraction(plain.get("format", {}).get("duration")), streams)


def _stream(plain: Mapping[str, Any]) -> Stream:
    colour = (plain.get(f"color_{name}", "") for name in ("range", "space", "primaries", "transfer"))
    packets = plain.get("nb_read_packets")
    return Stream(
        kind=plain.get("codec_type", ""),
        codec=plain.get("codec_name", ""),
        start_s=_ticks(plain, "start_pts", "start_time"),
        duration_s=_ticks(plain, "duration_ts", "duration") or _tagged_duration(plain),
        packets=None if packets is None else int(packets),
        width=plain.get("width", 0),
        height=plain.get("height", 0),
        pixel_format=_pixel_format(plain),
        colour=tuple(colour),
        rate=_fraction(plain.get("r_frame_rate")),
        average_rate=_fraction(plain.get("avg_frame_rate")),
        pixel_aspect=_fraction(str(plain.get("sample_aspect_ratio", "")).replace(":", "/")) or Fraction(1),
        rotation=_rotation(plain),
        has_alpha_mode={name.lower(): text for name, text in plain.get("tags", {}).items()}.get("alpha_mode") == "1",
        is_cover=plain.get("disposition", {}).get("attached_pic") == 1,
        channels=plain.get("channels", 0),
        sample_rate=int(plain.get("sample_rate", 0)),
    )


def _pixel_format(plain: Mapping[str, Any]) -> str:
    # WebM carries alpha as a second picture beside the first, which ffprobe tells by a tag alone.
    pixel_format = str(plain.get("pix_fmt", ""))
    has_alpha = str(_tags(plain).get("alpha_mode", "")) == "1"
    return pixel_format.replace("yuv4", "yuva4", 1) if has_alpha else pixel_format


def _tagged_duration(plain: Mapping[str, Any]) -> Fraction | None:
    # Matroska and WebM write each track's duration as a tag.
    match = re.fullmatch(r"(\d+):(\d{2}):(\d{2}\.\d+)", str(_tags(plain).get("duration", "")))
    return int(match[1]) * 3600 + int(match[2]) * 60 + Fraction(match[3]) if match else None


def _tags(plain: Mapping[str, Any]) -> dict[str, Any]:
    return {str(name).lower(): value for name, value in plain.get("tags", {}).items()}


def _rotation(plain: Mapping[str, Any]) -> int:
    turns = (data["rotation"] for data in plain.get("side_data_list", ()) if "rotation" in data)
    return int(next(turns, 0)) % 360


def _ticks(plain: Mapping[str, Any], ticks: str, decimal: str) -> Fraction | None:
    # Ticks of the time base are exact; the decimal is rounded to microseconds.
    base = _fraction(plain.get("time_base"))
    if base is not None and ticks in plain:
        return int(plain[ticks]) * base
    return _fraction(plain.get(decimal))


def _fraction(value: object) -> Fraction | None:
    try:
        return Fraction(str(value))
    except (ValueError, ZeroDivisionError):  # absent, "N/A" or "0/0"
        return None
