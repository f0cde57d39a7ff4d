"""A composition is a program from somewhere: whatever it tries, it reaches its own files and nothing else."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import browser_support as support
import pytest

from capture.protocol import CaptureMode, Note

pytestmark = pytest.mark.browser

SECRET = "a secret of another run"

# Every way out that a page has, each with what came of it.
ESCAPES = """<!doctype html><html><head><meta charset="utf-8"><link rel="icon" href="data:,">
<link rel="dns-prefetch" href="//localhost:PORT"><link rel="preconnect" href="http://127.0.0.1:PORT">
<link rel="prefetch" href="http://127.0.0.1:PORT/prefetch"><link rel="preload" as="font" href="http://127.0.0.1:PORT/f">
<link rel="stylesheet" href="http://127.0.0.1:PORT/style.css"><link rel="manifest" href="http://127.0.0.1:PORT/m">
<meta http-equiv="Content-Security-Policy-Report-Only" content="default-src 'none'; report-uri http://127.0.0.1:PORT/r">
<style>
  @font-face { font-family: passwd; src: url(file:///etc/passwd), url(file:///usr/share/fonts/x.ttf) }
  @font-face { font-family: far; src: url(http://127.0.0.1:PORT/font.woff2) }
  @font-face { font-family: mine; src: local("DejaVu Sans"), local("Liberation Sans"), local("Arial") }
  #a { background: url(file:///etc/passwd); font-family: passwd, far } #b { background: url(http://127.0.0.1:PORT/bg) }
</style></head><body><div id="a">a</div><div id="b">b</div>
<script>
const HTTP = "http://127.0.0.1:PORT", found = {};
const seconds = s => new Promise(resolve => setTimeout(() => resolve("nothing"), s * 1000));
const short = work => Promise.race([work, seconds(4)]).catch(error => "refused");
const element = (name, key, url) => new Promise(resolve => {
  const made = document.createElement(name);
  made.onload = () => resolve("loaded"); made.onerror = () => resolve("refused");
  made[key] = url; document.body.append(made);
});
const framed = url => new Promise(resolve => {
  const frame = document.createElement("iframe");
  frame.onload = () => {
    try { resolve(frame.contentDocument && frame.contentDocument.body.innerText || "empty"); }
    catch { resolve("closed"); }
  };
  frame.src = url; document.body.append(frame);
});
const xhr = url => new Promise((resolve, reject) => {
  const request = new XMLHttpRequest();
  request.onload = () => resolve(request.status + request.responseText); request.onerror = reject;
  request.open("GET", url); request.send();
});
const rtc = () => new Promise(resolve => {
  const peer = new RTCPeerConnection({iceServers: [
    {urls: "stun:127.0.0.1:UDP"}, {urls: "turn:127.0.0.1:PORT?transport=tcp", username: "u", credential: "c"}]});
  const candidates = [];
  peer.onicecandidate = event => event.candidate ? candidates.push(event.candidate.candidate) : resolve(candidates);
  peer.createDataChannel("d"); peer.createOffer().then(offer => peer.setLocalDescription(offer));
  setTimeout(() => resolve(candidates), 2000);
});
const workers = async () => {
  const body = "importScripts('" + HTTP + "/imported')";
  new SharedWorker("data:text/javascript," + encodeURIComponent(body));
  await navigator.serviceWorker.register("/worker.js");
  return "registered";
};
const eventSource = () => new Promise(resolve => {
  const source = new EventSource(HTTP + "/events");
  source.onopen = () => resolve("open"); source.onerror = () => { source.close(); resolve("refused"); };
});
const webSocket = url => new Promise(resolve => {
  const ws = new WebSocket(url); ws.onopen = () => resolve("open"); ws.onerror = () => resolve("refused");
});
const transport = () => new WebTransport("https://127.0.0.1:PORT/").ready.then(() => "open");
const dynamic = url => import(url).then(() => "imported");
const download = () => { const a = document.createElement("a"); a.href = "blob.bin"; a.download = "x"; a.click(); };
const form = () => {
  const made = document.createElement("form");
  made.action = HTTP + "/form"; made.method = "post"; made.target = "_blank"; document.body.append(made); made.submit();
};

window.prepare = async () => {
  const asked = PATHS;
  for (const url of asked) found[url] = short(fetch(url).then(async r => r.status + " " + await r.text()));
  found.xhr = short(xhr(HTTP + "/xhr")); found.xhr_file = short(xhr("file:///etc/passwd"));
  for (const [name, key] of [["img", "src"], ["script", "src"], ["video", "src"], ["audio", "src"], ["embed", "src"],
    ["object", "data"], ["link", "href"]]) found[name] = short(element(name, key, HTTP + "/" + name));
  for (const url of ["file:///etc/passwd", "chrome://version", "chrome://gpu", "view-source:file:///etc/passwd",
    "devtools://devtools/bundled/inspector.html", HTTP + "/frame", "filesystem:file:///etc/passwd"])
    found["frame " + url] = short(framed(url));
  found.events = short(eventSource()); found.rtc = short(rtc());
  found.socket = short(webSocket("ws://127.0.0.1:PORT/")); found.localhost = short(webSocket("ws://localhost:PORT/"));
  found.v6 = short(webSocket("ws://[::1]:PORT/")); found.transport = short(transport());
  found.dynamic = short(dynamic(HTTP + "/module.js")); found.dynamic_file = short(dynamic("file:///etc/passwd"));
  found.workers = short(workers());
  found.beacon = navigator.sendBeacon(HTTP + "/beacon", "x");
  found.geolocation = short(new Promise((yes, no) => navigator.geolocation.getCurrentPosition(yes, no)));
  found.camera = short(navigator.mediaDevices.getUserMedia({video: true}).then(() => "camera"));
  found.popup = String(window.open(HTTP + "/popup"));
  found.clipboard = short(navigator.clipboard.readText());
  found.folder = short(window.showDirectoryPicker());
  download(); form();
  await document.fonts.ready;
  for (const name of Object.keys(found)) found[name] = await found[name];
  window.found = JSON.stringify(found);
};
window.draw = () => {};
</script></body></html>"""


@dataclass
class Ports:
    """One number on loopback, by TCP and UDP, and what came in."""

    number: int = 0
    datagram: int = 0
    visits: list[str] = field(default_factory=list)


@pytest.fixture
def ports() -> Iterator[Ports]:
    found = Ports()
    with ExitStack() as stack:
        stream = stack.enter_context(closing(socket.create_server(("127.0.0.1", 0))))
        found.number = stream.getsockname()[1]
        six = stack.enter_context(closing(socket.create_server(("::1", found.number), family=socket.AF_INET6)))
        datagram = stack.enter_context(closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)))
        datagram.bind(("127.0.0.1", 0))
        found.datagram = datagram.getsockname()[1]

        def watch(own: socket.socket) -> None:
            while True:
                try:
                    if own.type == socket.SOCK_DGRAM:
                        found.visits.append(f"datagram {own.recvfrom(2000)[0]!r}")
                    else:
                        visitor, address = own.accept()
                        found.visits.append(f"connection from {address}")
                        visitor.close()
                except TimeoutError:
                    if done.is_set():
                        return
                except OSError:
                    return

        done = threading.Event()
        threads = [threading.Thread(target=watch, args=(each,)) for each in (stream, six, datagram)]
        for each, thread in zip((stream, six, datagram), threads, strict=True):
            each.settimeout(0.1)
            thread.start()
        yield found
        done.set()
        for thread in threads:
            thread.join()


def test_no_way_out_of_a_composition_leads_anywhere(tmp_path: Path, ports: Ports) -> None:
    run = tmp_path / "runs" / "other" / "c1"
    run.mkdir(parents=True)
    (run / "frame_000000.jpg").write_text(SECRET)
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    digest = "ab" * 32
    (blobs / digest).write_text(SECRET)
    paths = [
        "../runs/other/c1/frame_000000.jpg", "%2e%2e/runs/other/c1/frame_000000.jpg", "..%5c..%5cruns/other",
        "/..;/runs/other/c1/frame_000000.jpg", "//runs/other/c1/frame_000000.jpg", f"/blobs/{digest}",
        f"/__fleet_stills/{digest}.jpg", f"/__fleet_stills/..%2f{digest}.jpg", "/etc/passwd", "/link", "/linked/passwd",
        "file:///etc/passwd", f"file://{run}/frame_000000.jpg", f"http://127.0.0.1:{ports.number}/fetch",
        f"http://localhost:{ports.number}/", f"http://[::1]:{ports.number}/", f"http://127.1:{ports.number}/",
        f"http://0.0.0.0:{ports.number}/", f"https://composition.invalid:{ports.number}/",
        f"https://composition.invalid@127.0.0.1:{ports.number}/", "https://example.com/", "chrome://version",
        f"https://composition.invalid.127.0.0.1.nip.io:{ports.number}/", "ftp://127.0.0.1/",
    ]  # fmt: skip
    page = ESCAPES.replace("PATHS", json.dumps(paths))
    page = page.replace("PORT", str(ports.number)).replace("UDP", str(ports.datagram))
    bundle = support.bundle(
        tmp_path / "bundle", page, worker_js=b"fetch('http://127.0.0.1:%d/')" % ports.number, blob_bin=b"x"
    )
    (bundle / "link").symlink_to("/etc/passwd")
    (bundle / "linked").symlink_to("/etc")
    notes: list[Note] = []
    with support.session(bundle, CaptureMode.BEGIN_FRAME, note=notes.append) as opened:
        opened.open(support.RUNTIME)
        told = opened._command("Runtime.evaluate", {"expression": "window.found", "returnByValue": True})
        found = json.loads(told["result"]["value"])
        assert len(list(opened.capture([0, 1]))) == 2  # and the render goes on
    assert ports.visits == []
    for name, answer in found.items():
        assert SECRET not in str(answer), name
        assert "root:" not in str(answer), name
        assert answer not in ("open", "imported", "registered", "camera"), name
        # These show the browser's own page of an error, and have then "loaded" it.
        assert answer != "loaded" or name in ("embed", "object"), name
        assert not str(answer).startswith("200"), name
    assert any("blocked a request to the network" in note.text for note in notes)
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {
        "index.html", "worker.js", "blob.bin", "link", digest, "frame_000000.jpg"
    }  # fmt: skip
    assert found["rtc"] == []  # not even the machine's own addresses
    assert found["workers"] == "refused"
    assert found["popup"] == "null"
