"""Find Chromium, start it with pinned flags, and make certain that it dies.

One browser per worker: two pages under begin-frame control in one browser lost the browser in 4 of 6 runs.
"""

import fcntl
import math
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from capture import cdp, fonts, tree
from capture.console import clean
from capture.faults import CaptureError, FaultCode
from capture.protocol import CaptureMode, GlBackend

START_TIMEOUT_S = 45.0  # 0.1 s on an idle machine; with a page's 60 s it stays below the agent's patience of 120 s
DEATH_TIMEOUT_S = 5.0  # SIGKILL is a matter of milliseconds unless the kernel is stuck in I/O
ENDING_TIMEOUT_S = 0.5  # from a closed pipe to a status that can be read
STDERR_TAIL_BYTES = 2000
STDERR_TAIL_LINES = 3
PIPE_BYTES = 1 << 20  # a 1080p frame then comes in one or two reads instead of dozens
SHM_BYTES_MIN = 256 << 20  # a 1080p worker was seen to use under 100 MiB; containers default to 64 MiB
OOM_SCORE = b"500"  # the kernel then picks a browser before it picks the agent
CHILD_FD_MIN = 10  # clear of 3 and 4, where Chromium expects its pipe
# A folder of the profile, in which a browser is started: Chromium, unlike its headless shell, makes a socket in there,
# and ends where the path of that is longer than 107 bytes.
TMP = "/proc/self/cwd/tmp"

# Debian's /usr/bin/chromium-headless-shell is a shell script that stays between us and the browser; a signal to
# our child would then not reach Chromium, so the binary itself comes first.
NAMES = (
    "/usr/lib/chromium/chromium-headless-shell",
    "chromium-headless-shell",
    "chrome-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
)
PLAYWRIGHT_PATTERNS = (
    "chromium_headless_shell-*/*/headless_shell",
    "chromium_headless_shell-*/*/chrome-headless-shell",
    "chromium-*/*/chrome",
)

# What draws WebGL: SwiftShader, unless another backend was proven with the composition's own frames. No GPU compositing
# but on a GPU: on SwiftShader it re-presents stale layers (HyperFrames #3049, crbug 535256667).
GL_FLAGS: Mapping[GlBackend, tuple[str, ...]] = {
    GlBackend.SWIFTSHADER: ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-gpu-compositing"),
    GlBackend.VULKAN: ("--use-angle=vulkan", "--disable-gpu-compositing"),
    GlBackend.GPU: ("--use-angle=gl-egl", "--enable-gpu-rasterization", "--disable-software-rasterizer"),
}
# Decide pixels, too. Skia without run-time CPU dispatch, so that hosts with different CPUs agree: it does change the
# pixels of blurs, and costs 15 % CPU on a page full of them, nothing on others. Text without hinting, subpixel order or
# the desktop's scale. Tiles drawn whole: where only the part that changed is drawn again, edges are smoothed
# differently, and whether that is done depends on a race for the tile's memory. No layer of its own for what only moves
# in its plane: one between two pixels would keep something of where it was drawn before, up to 44 levels at the edges
# of its letters. It takes the mode for small devices to say so, which would also give scripts a tenth of the memory; V8
# is told otherwise.
PIXEL_FLAGS = (
    "--use-gl=angle",
    "--ignore-gpu-blocklist",
    "--disable-skia-runtime-opts",
    "--disable-partial-raster",
    "--enable-low-end-device-mode",
    "--js-flags=--max-old-space-size=4096 --no-optimize-for-size",
    "--font-render-hinting=none",
    "--disable-lcd-text",
    "--force-color-profile=srgb",
    "--force-device-scale-factor=1",
    "--hide-scrollbars",
    "--lang=en-US",
    "--enable-features=CanvasDrawElement",
)
# Decide when things happen: every stage of a frame before its pixels are taken, nothing on a thread of its own clock.
ORDER_FLAGS = (
    "--run-all-compositor-stages-before-draw",
    "--disable-new-content-rendering-timeout",
    "--disable-threaded-animation",
    "--disable-checker-imaging",
    "--disable-image-animation-resync",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--disable-background-media-suspend",
    "--disable-ipc-flooding-protection",
    "--disable-hang-monitor",
    "--autoplay-policy=no-user-gesture-required",
    "--mute-audio",
)
# A layer is drawn in tiles, of 256 pixels a side unless told otherwise. What crosses their edges is drawn once for
# each, and all of a tile is drawn when a part of it has changed. Against six for a page, tiles of 256 took 17 % more
# CPU where everything moves, and 7 % less where a dot moves before 80 cards with shadows; one tile took 6 % less and
# 41 % more (docs/performance.md).
TILES = (3, 2)  # across and down
TILE_STEP = 64
BEGIN_FRAME_FLAGS = ("--deterministic-mode", "--enable-begin-frame-control")
# A composition needs no network. Names resolve to nothing, and what needs no name ends at a proxy that is not there;
# the loopback exception of proxies is lifted, because a host's own services are none of a composition's business.
NETWORK_FLAGS = (
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--proxy-server=http://127.0.0.1:9",
    "--proxy-bypass-list=<-loopback>",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-client-side-phishing-detection",
    "--disable-sync",
    "--no-pings",
)
QUIET_FLAGS = (
    "--headless",
    "--block-new-web-contents",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-breakpad",
    "--disable-crash-reporter",
    "--disable-notifications",
    "--disable-features=Translate,BackForwardCache,AudioServiceOutOfProcess,IsolateOrigins,site-per-process",
    "--password-store=basic",
    "--use-mock-keychain",
    "--noerrdialogs",
    "--enable-logging=stderr",
    "--log-level=2",
)

NO_SANDBOX_TEXT = "No usable sandbox"
NO_SANDBOX_MESSAGE = (
    "Chromium has no sandbox here: this host refuses unprivileged user namespaces; "
    "allow them, or set `sandbox = false` for this host"
)


def find(configured: str | None = None) -> str | None:
    """Absolute path of the Chromium to use: `configured` or nothing; else Playwright's own build, else the system's."""
    if configured is not None:
        path = shutil.which(configured)
        return path and str(Path(path).absolute())
    return next(_candidates(), None)


def version(said: str) -> str | None:
    """The version in what `chromium --version` says, e.g. `Chromium 140.0.7339.16`; None when there is none."""
    match = re.search(r"\S.*?\d+(?:\.\d+)+", said)
    return match[0] if match else None


def flags(
    *,
    mode: CaptureMode,
    size: tuple[int, int],
    profile: Path,
    sandbox: bool,
    gl: GlBackend = GlBackend.SWIFTSHADER,
) -> list[str]:
    """Every flag, in a fixed order. Compositions without WebGL get the same ones: pixels first."""
    unsandboxed = () if sandbox and os.geteuid() != 0 else ("--no-sandbox",)  # Chromium refuses to sandbox root
    small_shm = ("--disable-dev-shm-usage",) if _shm_free_bytes() < SHM_BYTES_MIN else ()
    return [
        "--remote-debugging-pipe=cbor",
        f"--user-data-dir={profile}",
        f"--window-size={size[0]},{size[1]}",
        *QUIET_FLAGS,
        *PIXEL_FLAGS,
        *GL_FLAGS[gl],
        *_tile_flags(size),
        *ORDER_FLAGS,
        *(BEGIN_FRAME_FLAGS if mode is CaptureMode.BEGIN_FRAME else ()),
        *NETWORK_FLAGS,
        *small_shm,
        *unsandboxed,
    ]


class Browser:
    """A running Chromium and the DevTools connection to it."""

    def __init__(self, process: "subprocess.Popen[bytes]", connection: cdp.Connection, log: Path) -> None:
        self.connection = connection
        self.pid = process.pid
        self.version = ""
        self._process = process
        self._log = log
        self._graphics: int | None = None

    def find_graphics(self) -> None:
        """Remembers the process that draws WebGL, as soon as there is one."""
        if self._graphics is None:
            below = tree.descendants(self.pid)
            self._graphics = next((pid for pid in below if "--type=gpu-process" in command_line(pid)), None)

    def has_lost_graphics(self) -> bool:
        """Whether that process has ended. Chromium starts another one, and pages go on with empty canvases."""
        return self._graphics is not None and "--type=gpu-process" not in command_line(self._graphics)

    def ending(self) -> str:
        """How it ended, for a message: exit status or signal, and the last words on its stderr."""
        try:
            status = self._process.wait(ENDING_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return "the browser itself still runs"
        how = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        said = _tail(self._log)
        return f"it ended with {how}{': ' if said else ''}{said}"

    def kill(self) -> None:
        """Ends the browser and every process it started, now. May be called twice."""
        tree.kill(self.pid)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)  # its session is its own; orphans have left the tree, not the group
        self.connection.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(DEATH_TIMEOUT_S)


@contextmanager
def start(
    chromium: str,
    *,
    mode: CaptureMode,
    size: tuple[int, int],
    profile: Path,
    sandbox: bool,
    gl: GlBackend = GlBackend.SWIFTSHADER,
    extra: Sequence[str] = (),
    version: str = "",
) -> Iterator[Browser]:
    """A browser with a fresh profile in `profile`, an absolute path; both are gone when the context ends.

    Raises CaptureError with BROWSER_MISSING or BROWSER_LAUNCH, also for another `version` than the one given. Starts
    a process from the calling thread: when that thread ends, the kernel kills the browser.
    """
    _make_fresh(profile)
    log = profile / "chromium.log"
    argv = [chromium, *flags(mode=mode, size=size, profile=profile, sandbox=sandbox, gl=gl), *extra]
    try:
        browser = _spawn(argv, log, profile)
        try:
            browser.version = _handshake(browser)
            if version not in ("", browser.version):
                text = f"the browser is {browser.version}, and was {version} when it was tried"
                raise CaptureError(FaultCode.BROWSER_LAUNCH, text)
            yield browser
        finally:
            browser.kill()
    finally:
        shutil.rmtree(profile, ignore_errors=True)


def command_line(pid: int) -> str:
    """The arguments of a process, separated by NUL or by spaces; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""


def _candidates() -> Iterator[str]:
    root = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / ".cache" / "ms-playwright")
    for pattern in PLAYWRIGHT_PATTERNS:
        builds = [build for build in root.glob(pattern) if os.access(build, os.X_OK)]
        yield from map(str, sorted(builds, key=lambda build: _revision(build.relative_to(root)), reverse=True))
    for name in NAMES:
        if path := shutil.which(name):
            yield path


def _revision(build: Path) -> int:
    digits = build.parts[0].rpartition("-")[2]
    return int(digits) if digits.isdecimal() else 0


def _tile_flags(size: tuple[int, int]) -> Iterator[str]:
    for side, length, count in zip(("width", "height"), size, TILES, strict=True):
        tile = math.ceil(length / count / TILE_STEP) * TILE_STEP
        yield f"--default-tile-{side}={tile}"
        yield f"--max-untiled-layer-{side}={tile}"  # a layer within both is one tile


def _shm_free_bytes() -> int:
    try:
        shm = os.statvfs("/dev/shm")  # noqa: S108
    except OSError:
        return 0
    return shm.f_bavail * shm.f_frsize


def _make_fresh(profile: Path) -> None:
    shutil.rmtree(profile, ignore_errors=True)
    (profile / "tmp").mkdir(mode=0o700, parents=True)
    profile.chmod(0o700)
    fonts.write(_fonts(profile))


def _fonts(profile: Path) -> Path:
    return profile.absolute() / "fonts"


def _spawn(argv: list[str], log: Path, profile: Path) -> Browser:
    command_read, command_write = os.pipe()
    reply_read, reply_write = os.pipe()
    for fd in (command_write, reply_write):
        with suppress(OSError):  # above /proc/sys/fs/pipe-max-size; slower, not wrong
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    # The originals stay open until the child runs: they keep 3 and 4 taken, so that Popen's own pipe is not there.
    ours = [command_read, reply_write]
    theirs = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, CHILD_FD_MIN) for fd in ours]
    try:
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                cwd=profile,
                env=_environment(profile),
                pass_fds=(3, 4),
                start_new_session=True,
                preexec_fn=_child(theirs[0], theirs[1], os.getpid()),  # noqa: PLW1509
            )
    except (OSError, subprocess.SubprocessError) as error:
        os.close(command_write)
        os.close(reply_read)
        is_missing = isinstance(error, FileNotFoundError)
        code = FaultCode.BROWSER_MISSING if is_missing else FaultCode.BROWSER_LAUNCH
        raise CaptureError(code, f"{argv[0]}: {error}") from error
    finally:
        for fd in ours + theirs:
            os.close(fd)
    return Browser(process, cdp.Connection(read_fd=reply_read, write_fd=command_write), log)


def _child(command_fd: int, reply_fd: int, parent: int) -> Callable[[], None]:
    """What the new process does before it becomes Chromium: dies with us, offers itself to the OOM killer, pipes.

    Python code between fork and exec is safe in a process with one thread, which every caller is.
    """

    def prepare() -> None:
        tree.die_with_parent(parent)
        with suppress(OSError):
            os.write(os.open("/proc/self/oom_score_adj", os.O_WRONLY), OOM_SCORE)
        # Where each session is a group of its own to the scheduler, niceness counts within it; the group has another.
        with suppress(OSError):
            if nice := os.nice(0):
                os.write(os.open("/proc/self/autogroup", os.O_WRONLY), str(nice).encode())
        os.dup2(command_fd, 3)
        os.dup2(reply_fd, 4)

    return prepare


def _environment(profile: Path) -> dict[str, str]:
    """Ours, without what reaches a desktop or a proxy, and with the same clock, language and font on every host.

    Nor what steers drivers: the Vulkan loader would not find SwiftShader where a variable names another driver.
    """
    dropped = re.compile(
        r"DISPLAY|FONTCONFIG_.*|WAYLAND_.*|DBUS_.*|.*_proxy|LC_.*|LANGUAGE|(VK|MESA|LIBGL|GALLIUM|LP)_.*",
        re.IGNORECASE,
    )
    kept = {name: value for name, value in os.environ.items() if not dropped.fullmatch(name)}
    own = {"TMPDIR": TMP, "FONTCONFIG_FILE": str(_fonts(profile) / fonts.CONFIGURATION)}
    return kept | {"TZ": "UTC", "LANG": "C.UTF-8", **own}


def _handshake(browser: Browser) -> str:
    deadline = time.monotonic() + START_TIMEOUT_S
    try:
        found = browser.connection.reply(browser.connection.send("Browser.getVersion"), deadline)
    except cdp.Closed as error:
        ending = browser.ending()
        message = NO_SANDBOX_MESSAGE if NO_SANDBOX_TEXT in ending else f"Chromium did not start: {error}; {ending}"
        raise CaptureError(FaultCode.BROWSER_LAUNCH, message) from None
    except cdp.TimedOut:
        message = f"Chromium said nothing for {START_TIMEOUT_S:.0f} s after its start"
        raise CaptureError(FaultCode.BROWSER_LAUNCH, message) from None
    return str(found["product"])


def _tail(log: Path) -> str:
    try:
        words = log.read_bytes()[-STDERR_TAIL_BYTES:].decode(errors="replace")
    except OSError:
        return ""
    return " | ".join(clean(line) for line in words.splitlines()[-STDERR_TAIL_LINES:])
