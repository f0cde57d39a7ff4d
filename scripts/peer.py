"""Renders with both programs, for the scripts that compare them: npm hyperframes, and fleetrender of this checkout.

The peer gets a copy of the project in which scripts from CDNs are files, so that it renders where no CDN is reached,
and the fonts that fleetrender found for it. Needs npm, FFmpeg and Chromium.
"""

import base64
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fleet import assets, composition, errors, rundir
from fleet.composition import families, fonts, markup, speech

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path.home() / ".cache" / "fleetrender-peer"
FONT_SERVICE = ROOT / "scripts" / "peer_fonts.cjs"
SAMPLES = 24
# Equal frames have no finite PSNR; FFmpeg prints `inf`, and medians need a number.
IDENTICAL_DB = 99.0
# What a project generator fills in before anything can be rendered; the peer gets pages with it, and we `--set`.
FILLED = {"VIDEO_SRC": "video.mp4", "AUDIO_SRC": "video.mp4", "VIDEO_DURATION": "4"}
NAMELESS = frozenset({"src", "project"})  # folders that are called after what they are
STOP_WAIT_S = 10.0


@dataclass(frozen=True)
class Video:
    frames: int
    duration_s: float
    has_audio: bool
    wall_s: float


class RenderFailed(Exception):
    """One of the two made no video; the message is the last lines that it printed."""


def placeholders(folder: Path) -> dict[str, str]:
    """What the pages of a template want to be filled with, of all that a generator knows."""
    text = "".join(page.read_text(encoding="utf-8", errors="replace") for page in folder.rglob("*.html"))
    return {key: value for key, value in FILLED.items() if f"__{key}__" in text}


def name_of(path: Path) -> str:
    folder = path.resolve() if path.is_dir() else path.resolve().parent
    return folder.parent.name if folder.name in NAMELESS else folder.name


def install() -> None:
    if (FOLDER / "node_modules" / ".bin" / "hyperframes").exists():
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "package.json").write_text('{"private": true}\n')
    subprocess.run(["npm", "install", "--no-audit", "--no-fund", "hyperframes", "node@22"], cwd=FOLDER, check=True)


def _give_fonts(path: Path, folder: Path) -> Path:
    """What the font service would answer to the peer, from the faces that fleetrender found for the project."""
    folder.mkdir()
    faces: dict[str, list[dict[str, str]]] = {}
    try:
        filled = placeholders(path if path.is_dir() else path.parent)
        document = composition.read(path, variables={}, cache=rundir.cache_root(), placeholders=filled).document
    except errors.FleetError:
        document = ""  # its row says why
    for style in markup.find(markup.parse(document), "style"):
        if fonts.MARK not in style.attrs:
            continue
        for face in families.faces(markup.text(style)):
            name = families.STANDS_FOR.get(face.family.lower(), face.family)
            data = base64.b64decode(face.url.partition(",")[2])
            if not data:
                continue  # a name that is hidden from hosts
            file = f"{hashlib.sha256(data).hexdigest()[:24]}.woff2"
            (folder / file).write_bytes(data)
            entry = {"name": name, "weight": face.weight, "style": face.style, "letters": face.letters, "file": file}
            faces.setdefault(name.lower(), []).append(entry)
    (folder / "faces.json").write_text(json.dumps(faces), encoding="utf-8")
    return folder


def _environment(fonts_folder: Path) -> dict[str, str]:
    shell = shutil.which("chromium-headless-shell") or ""
    return os.environ | {
        "HYPERFRAMES_BROWSER_PATH": shell,
        "PRODUCER_HEADLESS_SHELL_PATH": shell,
        "PATH": f"{FOLDER / 'node_modules' / '.bin'}:{os.environ['PATH']}",
        "HYPERFRAMES_TELEMETRY_DISABLED": "1",
        "DO_NOT_TRACK": "1",
        # It would stop when the shell that this was started from ends; _stop() ends it here.
        "HYPERFRAMES_RENDER_DETACHED": "1",
        "NODE_OPTIONS": f"--require {FONT_SERVICE}",
        "FLEETRENDER_PEER_FONTS": str(fonts_folder),
        # Its cache of fonts would hold what an earlier composition was given.
        "HOME": str(fonts_folder),
    }


def _fill(project: Path) -> None:
    for key, value in placeholders(project).items():
        for page in project.rglob("*.html"):
            page.write_text(page.read_text(encoding="utf-8").replace(f"__{key}__", value), encoding="utf-8")


def _localise(project: Path) -> None:
    """Puts scripts from CDNs beside the pages that name them, with the modules that they import."""
    library = assets.Library(rundir.cache_root())
    folder = project / "_cdn"
    folder.mkdir(exist_ok=True)
    for page in project.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        for element in markup.walk(markup.parse(text), templates=True):
            if element.name != "script":
                continue
            url = markup.get(element, "src")
            if url and url.startswith("https://"):
                is_module = markup.get(element, "type") == "module"
                text = text.replace(url, _brought(library, url, folder, "_cdn/", is_module=is_module))
            elif said := markup.text(element):
                text = text.replace(said, _with_imports(library, said, page.as_uri(), folder, "./_cdn/"))
        page.write_text(text, encoding="utf-8")


def _with_imports(library: assets.Library, source: str, base: str, folder: Path, prefix: str) -> str:
    def replaced(specifier: str) -> str:
        is_beside = specifier.startswith(("./", "../", "/")) and base.startswith("https://")
        url = assets.join(base, specifier) if is_beside else specifier
        return _brought(library, url, folder, prefix) if url.startswith("https://") else specifier

    return speech.with_imports(source, replaced)


def _brought(library: assets.Library, url: str, folder: Path, prefix: str, *, is_module: bool = True) -> str:
    """Where a script lies now; its address where it cannot be had: the peer says what it makes of that."""
    file = folder / f"{hashlib.sha256(url.encode()).hexdigest()[:12]}.js"
    if not file.exists():
        try:
            fetched = library.fetch(url)
        except assets.Unavailable:
            return url
        shutil.copy(fetched.file, file)  # at once: modules may import each other
        if is_module:
            source = fetched.read().decode("utf-8", errors="replace")
            file.write_text(_with_imports(library, source, url, folder, "./"), encoding="utf-8")
    return prefix + file.name


def timed(who: str, command: list[str], output: Path, environment: dict[str, str], timeout_s: float) -> Video:
    began_s = time.monotonic()
    with tempfile.TemporaryFile() as said:
        # A group of its own, so that browsers go with a render that takes too long.
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
        )
        try:
            ended = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise RenderFailed(f"{who}: no video after {timeout_s:.0f} s") from None
        finally:
            _stop(process)
        if ended or not output.exists():
            said.seek(0)
            tail = [line for line in said.read().decode(errors="replace").splitlines() if line.strip()][-6:]
            raise RenderFailed("\n".join([f"{who}: ended with {ended}", *(f"  {line[:200]}" for line in tail)]))
    return probe(output, time.monotonic() - began_s)


def _stop(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        os.killpg(process.pid, number)
        try:
            process.wait(STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            continue


def probe(path: Path, wall_s: float) -> Video:
    command = ["ffprobe", "-v", "error", "-count_packets", "-show_streams", "-show_format", "-of", "json", str(path)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    (video,) = (stream for stream in found["streams"] if stream["codec_type"] == "video")
    return Video(
        frames=int(video["nb_read_packets"]),
        duration_s=float(found["format"]["duration"]),
        has_audio=any(stream["codec_type"] == "audio" for stream in found["streams"]),
        wall_s=wall_s,
    )


def psnr(left: Path, right: Path, frames: int) -> list[float]:
    """PSNR in dB of up to 24 frames, spread evenly, ends included; in YUV, as the tests of the peer take it."""
    count = min(SAMPLES, frames)
    wanted = sorted({round(n * (frames - 1) / max(1, count - 1)) for n in range(count)})
    chosen = "+".join(f"eq(n\\,{frame})" for frame in wanted)
    pick = f"select='{chosen}',setpts=N/TB,format=yuv420p"
    graph = f"[0:v]{pick}[a];[1:v]{pick}[b];[a][b]psnr=stats_file=-"
    command = ["ffmpeg", "-v", "error", "-i", str(left), "-i", str(right), "-lavfi", graph, "-f", "null", "-"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.findall(r"psnr_avg:(\S+)", lines)
    if len(found) != len(wanted):
        raise RuntimeError(f"{len(found)} of {len(wanted)} frames could be compared")
    return [IDENTICAL_DB if value == "inf" else float(value) for value in found]


@contextmanager
def project(path: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """A copy of a composition as the peer can render it, and the environment to do so. It writes beside its project."""
    with tempfile.TemporaryDirectory(prefix="compare-peer-project-") as directory:
        copy = Path(directory, name_of(path))
        shutil.copytree(path if path.is_dir() else path.parent, copy)
        if path.is_file() and path.name != "index.html":
            shutil.copy(path, copy / "index.html")
        _fill(copy)
        _localise(copy)
        yield copy, _environment(_give_fonts(path, Path(directory, "fonts")))


def our_command(path: Path, output: Path, options: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """What renders `path` with this checkout, and its environment."""
    # A workspace of its own: another render on this machine holds the lock of the usual one.
    hosts = output.with_suffix(".toml")
    workspace = f'[[host]]\nname = "here"\ntransport = "local"\nworkdir = "{output.parent}/workspace"\n'
    hosts.write_text(f"version = 1\n{workspace}")
    command = [sys.executable, "-m", "fleet", "run", str(path), "--output", str(output), "--hosts", str(hosts)]
    for key, value in placeholders(path if path.is_dir() else path.parent).items():
        command += ["--set", f"{key}={value}"]
    return [*command, *options], os.environ | {"PYTHONPATH": str(ROOT)}
