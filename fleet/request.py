"""What the user asked for, read from flags and files into one value. Starts nothing."""

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from capture.protocol import FrameRange
from fleet import hosts
from fleet.errors import ConfigError
from fleet.model import Host, Quality

SUFFIX = ".mp4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Every default resolved that does not depend on what is in the composition."""

    composition: Path
    output: Path
    hosts: tuple[Host, ...] = (hosts.LOCAL,)
    fps: Fraction | None = None
    frames: FrameRange | None = None
    quality: Quality = Quality.STANDARD
    variables: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    sequential: bool = False  # declared; without it, as the composition says or as its frames show
    workers: int | None = None
    chunk_frames: int | None = None
    resume: bool = False
    keep: bool = False


def output_path(composition: Path, output: Path | None) -> Path:
    """Where the video goes: `output`, or `<composition>.mp4` here. ConfigError when nothing could be written there."""
    path = (output or Path(_name_of(composition) + SUFFIX)).absolute()
    if path.suffix.lower() != SUFFIX:
        raise ConfigError(f"--output: cannot make a `{path.suffix}` file", remedy=f"name it `{path.stem}{SUFFIX}`")
    if path.is_dir():
        raise ConfigError(f"--output: {path} is a folder", remedy=f"name a file: `--output {path / 'video.mp4'}`")
    nearest = next(parent for parent in path.parents if parent.exists())
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ConfigError(f"--output: {nearest} is not writable", remedy="choose another `--output`")
    return path


def choose_hosts(source: str | None, limit: str | None) -> tuple[Host, ...]:
    """The hosts that `--hosts` and `--limit` leave; without `--hosts` this machine."""
    chosen = hosts.load(source) if source else (hosts.LOCAL,)
    return hosts.select(chosen, limit) if limit else chosen


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
