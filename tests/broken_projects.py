"""Projects that are wrong, each with how a render of it ends: exit code and what is said. One row for each."""

from collections.abc import Mapping
from dataclasses import dataclass, field

SIZE = 'data-width="320" data-height="180"'
TIMED = f'{SIZE} data-duration="0.2" data-no-timeline'
# Seconds that a page gets; a healthy one of these sizes is ready in half of them on a busy machine.
PAGE_TIMEOUT_S = 3
# For a page that never gets ready.
HOPELESS_S = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Files by path, further arguments of `run`, and the end: exit code, and words of the message."""

    files: Mapping[str, str | bytes]
    code: int
    says: tuple[str, ...]
    arguments: tuple[str, ...] = field(default=())
    page_timeout_s: int = PAGE_TIMEOUT_S


def page(body: str = "x", *, root: str = TIMED, head: str = "") -> str:
    """A page around the inside of its root."""
    return (
        f'<!doctype html><html><head><meta charset="utf-8">{head}</head>'
        f'<body><div data-composition-id="main" {root}>{body}</div></body></html>'
    )


def mounting(file: str) -> str:
    """An element that mounts a file."""
    return f'<div data-composition-id="inner" data-composition-src="{file}" data-start="0" data-duration="1"></div>'


def _circle() -> dict[str, str | bytes]:
    inner = f'<div data-composition-id="inner" {SIZE}>{mounting("inner.html")}</div>'
    return {"index.html": page(mounting("inner.html")), "inner.html": inner}


# Refused before anything is started: no browser, no host.
REFUSED: dict[str, Case] = {
    "empty-index": Case(files={"index.html": ""}, code=4, says=("index.html", "data-composition-id")),
    "no-index": Case(files={"readme.txt": "x"}, code=2, says=("no `index.html`",)),
    "utf-16-index": Case(files={"index.html": page().encode("utf-16")}, code=4, says=("not UTF-8",)),
    "missing-sub-composition": Case(
        files={"index.html": page(mounting("no.html"))}, code=4, says=("index.html:1: no.html: no such file",)
    ),
    "path-out-of-the-project": Case(
        files={"index.html": page(mounting("../../../etc/passwd"))}, code=4, says=("leads out of the project",)
    ),
    "circular-mounts": Case(
        files=_circle(), code=4, says=("inner.html mounts itself",), arguments=("--strict",)
    ),
    "missing-script": Case(
        files={"index.html": page(head='<script src="js/no.js"></script>')}, code=4, says=("js/no.js: no such file",)
    ),
    "invalid-variables": Case(
        files={"index.html": page(root=f'{TIMED} data-composition-variables="{{no"')},
        code=4,
        says=("data-composition-variables is no JSON",),
    ),
    "invalid-variables-option": Case(
        files={"index.html": page()}, code=2, says=("--variables:1:2: not JSON",), arguments=("--variables", "{no")
    ),
    "25-hours": Case(
        files={"index.html": page(root=f'{SIZE} data-duration="90000"')}, code=4, says=("longer than a day",)
    ),
    "huge-stage": Case(
        files={"index.html": page(root='data-width="100000" data-height="9" data-duration="1"')},
        code=4,
        says=("100000x9 is larger than 8192",),
    ),
    "fps-0": Case(files={"index.html": page()}, code=2, says=("fps is out of range: 0",), arguments=("--fps", "0")),
    "fps-1000": Case(
        files={"index.html": page(root=f'{TIMED} data-fps="1000"')}, code=4, says=("data-fps='1000' is no frame rate",)
    ),
    "unreadable-style": Case(
        files={"index.html": page(head="<style>" + "a{" * 5000)}, code=4, says=("styles are nested",)
    ),
}  # fmt: skip


def script(source: str, *, root: str = TIMED) -> dict[str, str | bytes]:
    """A project of one page with one script."""
    return {"index.html": page(f"<script>{source}</script>", root=root)}


# A page that may use little memory uses it up before this machine's is.
HOSTS = """version = 1

[[host]]
name = "local"
transport = "local"
chromium_args = ["--js-flags=--max-old-space-size=64"]
"""

# Each costs the start of a browser.
FAILING: dict[str, Case] = {
    "zero-duration": Case(
        files={"index.html": page(root=f'{SIZE} data-duration="0" data-no-timeline')},
        code=4,
        says=("index.html:1", "data-duration='0', which is no length"),
    ),
    "endless-when-loaded": Case(
        files=script("function spin() {\n  for (;;);\n}\nspin();"),
        code=4,
        says=("script_endless", "function `spin`: for (;;);", "--page-timeout"),
        page_timeout_s=HOPELESS_S,
    ),
    "endless-in-a-frame": Case(
        files=script("addEventListener('hf-seek', () => {\n  while (true) {}\n});"),
        code=4,
        says=("frame 0", "script_endless", "while (true) {}"),
    ),
    # Whether page or host is at fault, a single host cannot show: the fleet is lost.
    "memory-hog": Case(
        files={
            **script("const all = []; for (;;) all.push(new Array(2000000).fill(0.5));"),
            "hosts.toml": HOSTS,
        },
        code=5,
        says=("browser_crashed: the page's process ended",),
        arguments=("--hosts", "project/hosts.toml"),
    ),
    "reload-while-loading": Case(
        files=script("location.reload();"),
        code=4,
        says=("the page stopped loading when it tried to leave for", "page_not_ready"),
    ),
}

# What a page may try that must change nothing: pictures of its green root.
RESTLESS = """
alert("stop"); confirm("sure?"); prompt("name?"); print(); window.open("https://example.com/"); window.close();
onbeforeunload = (event) => { event.preventDefault(); event.returnValue = "stay"; };
navigator.serviceWorker?.register("worker.js").catch(() => undefined);
addEventListener("hf-seek", () => { location.href = "https://example.com/"; location.reload(); alert("again"); });
throw new Error("thrown while loading");
"""


def restless() -> dict[str, str | bytes]:
    """A page that shows a green stage and does all that a page should not."""
    refresh = '<meta http-equiv="refresh" content="0;url=https://example.com/">'
    body = f"<script>{RESTLESS}</script>"
    return {
        "index.html": page(body, root=f'{TIMED} style="background:rgb(0,128,0)"', head=refresh),
        "worker.js": "self.addEventListener('fetch', (event) => event.respondWith(new Response('x')));",
    }


def clips(count: int) -> dict[str, str | bytes]:
    """So many clips, each after the one before it by reference, under a green one; and files that are no media."""
    chain = "".join(
        f'<p id="c{n}" class="clip" data-start="{f"c{n - 1}" if n else 0}" data-duration="0.001">{n}</p>'
        for n in range(count)
    )
    cover = (
        '<div class="clip" data-start="0" data-duration="1" style="background:rgb(0,128,0);inset:0;z-index:9"></div>'
    )
    return {"index.html": page(chain + cover)}


def broken_media() -> dict[str, str | bytes]:
    """Media files that are none, all of them on a page that is otherwise fine."""
    slot = 'data-start="0" data-duration="0.2"'
    body = (
        f'<video id="v" src="v.mp4" {slot} muted></video><audio id="a" src="a.mp3" {slot}></audio>'
        '<img src="cut.png"><img src="cut.gif"><img src="huge.svg" style="width:9px">'
    )
    huge = '<svg xmlns="http://www.w3.org/2000/svg" width="1000000" height="1000000"><rect width="9" height="9"/></svg>'
    return {
        "index.html": page(body),
        "v.mp4": b"",
        "a.mp3": b"",
        "cut.png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0",
        "cut.gif": b"GIF89a\x01",
        "huge.svg": huge,
    }
