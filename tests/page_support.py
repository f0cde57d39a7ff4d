"""What the page tests stand on: one real browser, fixture pages without a network, npm packages from a local cache."""

import dataclasses
import json
import mimetypes
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserType, Error, Page, Route

from capture import page as page_runtime

PAGES = Path(__file__).parent / "pages"
CACHE = Path.home() / ".cache" / "fleetrender-tests"
# Some interfaces exist in secure contexts only, which localhost is. Nothing listens there: requests are routed.
ORIGIN = "http://localhost"
PACKAGES = {
    "gsap": "gsap@3.14.2",
    "animejs": "animejs@3.2.2",
    "animejs4": "animejs4@npm:animejs@4.0.2",
    "lottie-web": "lottie-web@5.12.2",
    "three": "three@0.147.0",
    "d3": "d3@7.9.0",
    "@hyperframes/shader-transitions": "@hyperframes/shader-transitions@0.8.41",
}
FLAGS = ("--disable-gpu-compositing", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--hide-scrollbars")
BEGIN_FRAME_FLAGS = (
    "--deterministic-mode",
    "--enable-begin-frame-control",
    "--disable-new-content-rendering-timeout",
    "--run-all-compositor-stages-before-draw",
    "--disable-threaded-animation",
    "--disable-threaded-scrolling",
    "--disable-checker-imaging",
    "--disable-image-animation-resync",
    "--enable-surface-synchronization",
)

CONFIG = page_runtime.PageConfig(fps=Fraction(30), duration_s=Fraction(2), width=320, height=180)


class PageFault(Exception):
    """The page refused: `code` and `message` as the session would see them."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


def npm(name: str) -> Path:
    """The folder of a package, installed once into the cache; whole, whichever test process comes first."""
    modules = CACHE / "packages" / name.replace("/", "+")
    if not modules.exists():
        modules.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=modules.parent, prefix=".") as prefix:
            command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", prefix, PACKAGES[name]]
            subprocess.run(command, check=True, capture_output=True, timeout=120)
            with suppress(OSError):  # another process was first
                (Path(prefix) / "node_modules").rename(modules)
    return modules / name


def launch(chromium: BrowserType, flags: tuple[str, ...] = FLAGS) -> Browser:
    """The Chromium that hosts use."""
    path = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    return chromium.launch(executable_path=path, args=list(flags))


@dataclass(frozen=True, slots=True)
class Film:
    """One composition in one tab, with the runtime injected."""

    page: Page

    def ready(self) -> dict[str, Any]:
        """What `__fleet.ready()` resolves to."""
        said: dict[str, Any] = self.call("__fleet.ready()")
        return said

    def seek(self, *frames: int) -> None:
        """Seeks to each frame in turn."""
        for frame in frames:
            self.call(f"__fleet.seek({frame})")

    def js(self, expression: str) -> Any:
        """The value of an expression."""
        return self.page.evaluate(expression)

    def call(self, expression: str) -> Any:
        """What a promise of `__fleet` resolves to, or PageFault."""
        try:
            return self.page.evaluate(f"() => {expression}")
        except Error as error:
            text = error.message
            start = text.find("{")
            if start < 0:
                raise
            said = json.JSONDecoder().raw_decode(text[start:])[0]
            raise PageFault(said["code"], said["message"]) from None


def _serve(route: Route, document: str | None) -> None:
    path = route.request.url.removeprefix(ORIGIN).split("?")[0]
    if document is not None and path == "/":
        route.fulfill(body=document, content_type="text/html; charset=utf-8")
        return
    if path.startswith("/npm/"):
        name, _, rest = path.removeprefix("/npm/").partition("/")
        file = npm(name) / rest
    else:
        file = PAGES / path.lstrip("/")
    if not route.request.url.startswith(ORIGIN) or not file.is_file():
        route.fulfill(status=404, body="not found")
        return
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    route.fulfill(body=file.read_bytes(), content_type=kind)


@contextmanager
def film(browser: Browser, page: str, *, config: page_runtime.PageConfig = CONFIG) -> Iterator[Film]:
    """A fresh session on `page`: the name of a fixture, or a whole document."""
    is_document = "<" in page
    context = browser.new_context(viewport={"width": config.width, "height": config.height})
    context.add_init_script(page_runtime.source(config))
    context.route("**/*", lambda route: _serve(route, page if is_document else None))
    try:
        tab = context.new_page()
        tab.goto(f"{ORIGIN}/" if is_document else f"{ORIGIN}/{page}", wait_until="domcontentloaded")
        yield Film(tab)
    finally:
        context.close()


def with_fps(fps: Fraction) -> page_runtime.PageConfig:
    """The usual configuration at another rate."""
    return dataclasses.replace(CONFIG, fps=fps)


def composition(body: str, *, duration_s: float = 2, head: str = "", attributes: str = "") -> str:
    """A document with GSAP and one root of 320x180 that holds `body`."""
    return (
        f'<!doctype html><html><head>{head}<script src="/npm/gsap/dist/gsap.min.js"></script></head><body>'
        f'<div id="root" data-composition-id="main" data-start="0" data-duration="{duration_s}" '
        f'data-width="320" data-height="180" {attributes}>{body}</div></body></html>'
    )
