"""What the user asked for, read from flags and files into one value. Starts nothing."""

import dataclasses
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from capture.protocol import PAGE_LIMIT_S, FrameRange
from fleet import busy, formats, hosts, outfolder, resolution
from fleet.busy import Busy
from fleet.errors import ConfigError
from fleet.model import Gl, Host, Quality
from fleet.returns import Returns

# `__VIDEO_SRC__=...` is accepted as well: it is what the file says.
_KEY = re.compile(r"__([A-Z][A-Z0-9_]*?)__|([A-Za-z_][A-Za-z0-9_.-]*)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Every default resolved that does not depend on what is in the composition."""

    composition: Path
    output: Path
    hosts: tuple[Host, ...] = (hosts.LOCAL,)
    fps: Fraction | None = None
    frames: FrameRange | None = None
    format: str = "mp4"  # a key of formats.FORMATS
    quality: Quality = Quality.STANDARD
    crf: int | None = None
    bitrate_bps: int | None = None
    resolution: str | None = None
    loop: int = 0
    variables: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    placeholders: Mapping[str, str] = dataclasses.field(default_factory=dict)
    strict: bool = False  # a warning stops the render
    strict_variables: bool = False  # so does a variable that nobody declares
    sequential: bool = False  # declared; without it, as the composition says or as its frames show
    workers: int | None = None
    page_limit_s: float = PAGE_LIMIT_S  # for a page to get ready, and for one frame
    chunk_frames: int | None = None
    hosts_max: int | None = None
    audit: float = 0.0  # part of all frames, to be captured a second time
    allow_mixed: bool = False  # hosts that draw other pixels get whole scenes
    substitute_fonts: bool = False
    busy: Busy = busy.SKIP
    returns: Returns = Returns.FRAMES  # what hosts send back
    resume: bool = False
    keep: bool = False


def choose_format(output: Path | None, *, format: str | None, codec: str | None) -> str:  # noqa: A002
    """The key of formats.FORMATS: by `--format`, or the output's suffix, and `--codec`; mp4 when nothing was said."""
    if format is None and output is None:
        format = "mp4"  # noqa: A001
    name = formats.choose(format=format, suffix=output.suffix if output else "", codec=codec)
    row = formats.FORMATS[name]
    suffixes = {other.suffix for other in formats.FORMATS.values()}
    is_folder = row.joining is formats.Joining.FOLDER
    if output is not None and output.suffix.lower() != row.suffix and (not is_folder or output.suffix in suffixes):
        raise ConfigError(
            f"--output: a {format} is no `{output.suffix}` file", remedy=f"name it `{output.stem}{row.suffix}`"
        )
    return name


def output_path(composition: Path, output: Path | None, format: str = "mp4") -> Path:  # noqa: A002
    """Where the video goes: `output`, or `<composition>.mp4` here. ConfigError when nothing could be written there."""
    row = formats.FORMATS[format]
    path = (output or Path(_name_of(composition) + row.suffix)).absolute()
    if row.joining is formats.Joining.FOLDER:
        outfolder.check(path)
    elif path.is_dir():
        name = path / f"video{row.suffix}"
        raise ConfigError(f"--output: {path} is a folder", remedy=f"name a file: `--output {name}`")
    nearest = next(parent for parent in path.parents if parent.exists())
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ConfigError(f"--output: {nearest} is not writable", remedy="choose another `--output`")
    return path


def check(request: Request) -> None:
    """ConfigError for flags that contradict each other: all that can be said before the composition is read."""
    formats.check_options(request.format, crf=request.crf, bitrate_bps=request.bitrate_bps, loop=request.loop)
    _check_returns(request)
    if request.fps is not None:
        formats.check_fps(request.format, request.fps)
    if request.resolution is not None:
        resolution.parse(request.resolution)


def read_returns(text: str) -> Returns:
    """What hosts send back, as the user types it."""
    try:
        return Returns(text)
    except ValueError:
        raise ConfigError(f"--return: `{text}` is nothing to return", remedy="frames, segments or auto") from None


def _check_returns(request: Request) -> None:
    if request.returns is not Returns.SEGMENTS:
        return
    if formats.FORMATS[request.format].keeps_stills:
        message = f"--return segments: a {request.format} is made of all frames at once"
        raise ConfigError(message, remedy="pass `--return frames`")
    if request.keep:
        raise ConfigError("--keep: with `--return segments` no frames come here", remedy="drop one of the two")


def output_folder(path: Path) -> Path:
    """Where stills go; it need not exist yet. ConfigError when nothing could be written there."""
    folder = path.absolute()
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise ConfigError(f"--output: {nearest} is no folder that can be written", remedy="choose another `--output`")
    return folder


def choose_hosts(source: str | None, limit: str | None, gl: Gl | None = None) -> tuple[Host, ...]:
    """The hosts that `--hosts` and `--limit` leave, all with `gl` if that is given; without `--hosts` this machine."""
    chosen = hosts.load(source) if source else (hosts.LOCAL,)
    chosen = hosts.select(chosen, limit) if limit else chosen
    return chosen if gl is None else tuple(dataclasses.replace(host, gl=gl) for host in chosen)


def read_variables(text: str | None, file: Path | None) -> dict[str, Any]:
    """Overrides from `--variables-file`, then `--variables`, which wins. ConfigError names line and column."""
    values: dict[str, Any] = {}
    if file is not None:
        try:
            values |= _json_object(file.read_text(encoding="utf-8"), str(file))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{file}: cannot be read: {error}", remedy="`--variables-file` takes a JSON file"
            ) from error
    if text is not None:
        values |= _json_object(text, "--variables")
    return values


def read_placeholders(pairs: Iterable[str]) -> dict[str, str]:
    """What each `--set KEY=VALUE` fills in; a later one wins. ConfigError for what is no such pair."""
    values: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        match = _KEY.fullmatch(key)
        if not equals or match is None:
            raise ConfigError(f"--set: `{pair}` is not KEY=VALUE", remedy="type it like `--set VIDEO_DURATION=12`")
        values[match[1] or match[2]] = value
    return values


def read_what_if(text: str) -> int:
    """How many hosts more, or fewer, a prediction is asked for."""
    match = re.fullmatch(r"hosts=([+-][0-9]{1,4})", text)
    if match is None:
        raise ConfigError(f"--what-if: `{text}` is not hosts=+N", remedy="type it like `--what-if hosts=+2`")
    return int(match[1])


def read_share(text: str) -> float:
    """A part of all frames as the user types it: `1%`."""
    match = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,3})?)%", text.strip())
    share = float(match[1]) / 100 if match else 0.0
    if not 0 < share <= 1:
        raise ConfigError(f"--audit: `{text}` is no share of the frames", remedy="type it like `--audit 1%`")
    return share


def _json_object(text: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{where}:{error.lineno}:{error.colno}: not JSON: {error.msg.lower()}",
            remedy="""write an object: `--variables '{"title": "Hello"}'`""",
        ) from error
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: not a JSON object", remedy="""write `{"name": value, ...}`""")
    return value


def _name_of(composition: Path) -> str:
    resolved = composition.resolve()
    name = resolved.parent.name if resolved.name == "index.html" else resolved.stem
    return name or "video"
