"""The composition's files, answered from the bundle under an origin that exists nowhere; all else is refused.

Requests are intercepted in the browser (Fetch domain), so no port is opened on the host.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from capture import cdp
from capture.protocol import Note

ORIGIN = "https://composition.invalid"
PASSED_SCHEMES = ("data:", "blob:", "about:")
# Chromium gives up on a DevTools message of 100 MiB.
BODY_BYTES_MAX = 64 << 20
# Media elements ask for "from here to the end" and come back for the rest.
RANGE_BYTES_MAX = 8 << 20
# A script that stands before the page's own: the parser waits for it, and it is answered once fonts are there.
GATE = f"{ORIGIN}/__fleet_fonts.js"
_GATE_SCRIPT = b"document.currentScript.remove()"  # the page is as its author wrote it
URL_SHOWN = 200
_STILL = re.compile(re.escape(ORIGIN) + r"/__fleet_stills/([0-9a-f]{64})(\.jpg|\.png)")
# Not the mimetypes module: it reads the host's own tables, and two hosts may disagree.
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".htm": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json; charset=utf-8",
    ".geojson": "application/json; charset=utf-8",
    ".topojson": "application/json; charset=utf-8",
    ".map": "application/json; charset=utf-8",
    ".gltf": "model/gltf+json",
    ".lottie": "application/zip",
    ".txt": "text/plain; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".vtt": "text/vtt; charset=utf-8",
    ".srt": "text/plain; charset=utf-8",
    ".glsl": "text/plain; charset=utf-8",
    ".frag": "text/plain; charset=utf-8",
    ".vert": "text/plain; charset=utf-8",
    ".xml": "application/xml; charset=utf-8",
    ".svg": "image/svg+xml; charset=utf-8",
    ".png": "image/png",
    ".apng": "image/apng",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".ico": "image/x-icon",
    ".bmp": "image/bmp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".ttf": "font/ttf",
    ".otf": "font/otf",
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".webm": "video/webm",
    ".mov": "video/quicktime",
    ".mp3": "audio/mpeg",
    ".m4a": "audio/mp4",
    ".aac": "audio/aac",
    ".wav": "audio/wav",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".flac": "audio/flac",
    ".wasm": "application/wasm",
    ".glb": "model/gltf-binary",
    ".pdf": "application/pdf",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one request for a file of the composition gets; `problem` is empty when all is well."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Files:
    """Where answers come from: the bundle, and for stills of videos the host's blobs, if there are any."""

    bundle: Path
    blobs: Path | None = None

    def answer(self, url: str, request: dict[str, Any]) -> Answer:
        """What `url` gets; a still is named by its digest, its extension says what it is."""
        still = _STILL.fullmatch(url)
        if still is None or self.blobs is None:
            return answer(self.bundle, url, request)
        return answer(self.blobs, f"{ORIGIN}/{still[1]}", request, content_type=TYPES[still[2]])


class Server:
    """Answers every request of one browser. `document` is the one page that its tab may show."""

    def __init__(
        self, connection: cdp.Connection, *, files: Files, document: str, note: Callable[[Note], None]
    ) -> None:
        self.document_url = f"{ORIGIN}/{document}"
        self._connection = connection
        self._files = files
        self._note = note
        self._tab: str | None = None
        self._is_shown = False
        self._waiting: list[tuple[str, str | None]] = []  # requests for the gate, and their sessions
        self._is_open = False
        self.requests = 0  # so far
        self.departure = ""  # where the page was kept from leaving for, last
        connection.on("Fetch.requestPaused", self._paused)

    def serve(self, tab: str, *, timeout_s: float) -> None:
        """Takes over all requests, of the tab whose frame is `tab` and of its frames and workers."""
        self._tab = tab
        self._connection.call("Fetch.enable", {"patterns": [{"urlPattern": "*"}]}, timeout_s=timeout_s)

    @property
    def is_waiting(self) -> bool:
        """Whether the page waits at the gate: its parser, or what looks ahead of that."""
        return bool(self._waiting)

    def open_gate(self) -> None:
        """Lets the page go on to its scripts."""
        self._is_open = True
        script = Answer(status=200, headers=(("Content-Type", TYPES[".js"]),), body=_GATE_SCRIPT)
        for request_id, session in self._waiting:
            self._fulfil(request_id, session, GATE, script)
        self._waiting.clear()

    def _paused(self, params: cdp.Params, session: str | None) -> None:
        self.requests += 1
        request, request_id = params["request"], params["requestId"]
        url = str(request["url"])
        is_tab = params.get("resourceType") == "Document" and params.get("frameId") == self._tab
        if is_tab and (self._is_shown or url != self.document_url):
            self.departure = shown(url)
            # Aborted leaves the page as it is; every other reason replaces it by an error page.
            self._refuse(request_id, session, "Aborted", f"kept the page from leaving for {shown(url)}")
        elif url == GATE:
            self._waiting.append((request_id, session))
            if self._is_open:
                self.open_gate()
        elif url.startswith(ORIGIN + "/"):
            self._is_shown = self._is_shown or is_tab
            self._fulfil(request_id, session, url, self._files.answer(url, request))
        elif url.startswith(PASSED_SCHEMES):
            self._connection.notify("Fetch.continueRequest", {"requestId": request_id}, session)
        else:
            message = f"blocked a request to the network: {shown(url)}"
            self._refuse(request_id, session, "BlockedByClient", message)

    def _refuse(self, request_id: str, session: str | None, reason: str, text: str) -> None:
        self._note(Note("warning", "page", text))
        params = {"requestId": request_id, "errorReason": reason}
        self._connection.notify("Fetch.failRequest", params, session)

    def _fulfil(self, request_id: str, session: str | None, url: str, found: Answer) -> None:
        if found.problem and url != f"{ORIGIN}/favicon.ico":  # full browsers ask for one unasked
            self._note(Note("warning", "page", f"{found.problem}: {shown(url)}"))
        params = {
            "requestId": request_id,
            "responseCode": found.status,
            "responseHeaders": [{"name": name, "value": value} for name, value in found.headers],
            "body": found.body,
        }
        self._connection.notify("Fetch.fulfillRequest", params, session)


def answer(directory: Path, url: str, request: dict[str, Any], *, content_type: str | None = None) -> Answer:
    """What the file that `url` names is answered with; `request` is DevTools' description of it."""
    if request.get("method", "GET") not in ("GET", "HEAD"):
        return Answer(status=405, problem=f"refused a {request['method']} request")
    path = file_of(directory, url)
    try:
        # A bundle holds no links, so one that leads out of it is not ours.
        if path is None or not path.is_file() or not path.resolve().is_relative_to(directory.resolve()):
            return Answer(status=404, problem="not in the bundle")
        headers = {name.lower(): str(value) for name, value in request.get("headers", {}).items()}
        if "service-worker" in headers:  # it would stand between the page and us, and outlive a navigation
            return Answer(status=403, problem="refused a service worker")
        kind = content_type or TYPES.get(PurePosixPath(path.name).suffix.lower(), "application/octet-stream")
        return _with_file(path, kind, headers.get("range", ""), is_head=request.get("method") == "HEAD")
    except OSError as error:
        return Answer(status=404, problem=f"unreadable ({error.strerror})")


def file_of(directory: Path, url: str) -> Path | None:
    """The file below `directory` that `url` names; None when it names none or tries to leave."""
    # Parts are compared after decoding, so that %2e%2e and %2f are what they are.
    parts = unquote(urlsplit(url).path, errors="replace").removeprefix("/").split("/")
    if any(part in ("", ".", "..") or "\0" in part or "\\" in part for part in parts):
        return None
    return directory.joinpath(*parts)


def shown(url: str) -> str:
    """`url` short enough for a message."""
    return url if len(url) <= URL_SHOWN else f"{url[:URL_SHOWN]}... ({len(url)} characters)"


def _with_file(path: Path, content_type: str, range_header: str, *, is_head: bool) -> Answer:
    total = path.stat().st_size
    headers = {
        "Content-Type": content_type,
        "Access-Control-Allow-Origin": "*",
        "Accept-Ranges": "bytes",
        "Cache-Control": "max-age=31536000, immutable",
    }
    status, start, stop = _span(range_header, total)
    if status == 416:
        return Answer(status=416, headers=(("Content-Range", f"bytes */{total}"),), problem="asked beyond its end")
    if stop - start > BODY_BYTES_MAX:
        return Answer(status=413, problem=f"{total} bytes are too much for one answer ({BODY_BYTES_MAX} at most)")
    if status == 206:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{total}"
    headers["Content-Length"] = str(stop - start)
    body = b"" if is_head else _read(path, start, stop)
    return Answer(status=status, headers=tuple(headers.items()), body=body)


def _span(range_header: str, total: int) -> tuple[int, int, int]:
    """Status and half-open span of bytes for one Range header; several ranges get the whole file, as HTTP allows."""
    match = re.fullmatch(r"bytes=(\d{0,15})-(\d{0,15})", range_header.strip())
    if match is None or match[0] == "bytes=-":
        return 200, 0, total
    if match[1] == "":
        start, stop = max(0, total - int(match[2])), total
    else:
        start = int(match[1])
        stop = min(total, int(match[2]) + 1) if match[2] else total
    if start >= stop:
        return 416, 0, 0
    return 206, start, min(stop, start + RANGE_BYTES_MAX)


def _read(path: Path, start: int, stop: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(stop - start)
