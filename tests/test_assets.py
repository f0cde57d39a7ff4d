import http.server
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import composition_support
import pytest

from fleet import assets, npm


class Handler(http.server.BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "file:///etc/hostname")
            self.end_headers()
            return
        status, body = (200, b"content of " + self.path.encode()) if "missing" not in self.path else (404, b"")
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) + (9 if "short" in self.path else 0)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    Handler.asked = []
    with Server(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_a_file_is_fetched_once_and_then_known_offline(tmp_path: Path, server: Server) -> None:
    fetched = assets.Library(tmp_path).fetch(f"{server.url}/a.js")
    assert fetched.read() == b"content of /a.js"
    assert assets.Library(tmp_path, offline=True).fetch(f"{server.url}/a.js") == fetched
    assert Handler.asked == ["/a.js"]


def test_the_cache_is_keyed_by_the_whole_url(tmp_path: Path, server: Server) -> None:
    library = assets.Library(tmp_path)
    assert library.fetch(f"{server.url}/a.js?v=1").sha256 != library.fetch(f"{server.url}/a.js?v=2").sha256


def test_a_damaged_cache_entry_is_fetched_again(tmp_path: Path, server: Server) -> None:
    library = assets.Library(tmp_path)
    fetched = library.fetch(f"{server.url}/a.js")
    fetched.file.write_bytes(b"bit rot")
    assert library.fetch(f"{server.url}/a.js").read() == b"content of /a.js"
    for index in (tmp_path / "urls").iterdir():
        index.write_text("{")
    assert library.fetch(f"{server.url}/a.js").read() == b"content of /a.js"
    assert Handler.asked == ["/a.js"] * 3


@pytest.mark.parametrize(
    ("path", "reason"),
    [("missing", "answered 404"), ("short", "ended after 17 of 26 bytes|IncompleteRead"), ("moved", "302|file")],
)
def test_a_bad_answer_is_named_and_not_kept(tmp_path: Path, server: Server, path: str, reason: str) -> None:
    with pytest.raises(assets.Unavailable, match=reason):
        assets.Library(tmp_path).fetch(f"{server.url}/{path}")
    assert not list(tmp_path.rglob("*.json"))


def test_nothing_is_asked_offline(tmp_path: Path, server: Server) -> None:
    with pytest.raises(assets.Unavailable, match="offline"):
        assets.Library(tmp_path, offline=True).fetch(f"{server.url}/a.js")
    assert Handler.asked == []


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/x", "http://", "http://[", "x"])
def test_only_web_addresses_are_fetched(tmp_path: Path, url: str) -> None:
    with pytest.raises(assets.Unavailable):
        assets.Library(tmp_path).fetch(url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://cdn.jsdelivr.net/npm/gsap@3.14.2/dist/gsap.min.js", ("gsap", "3.14.2", "dist/gsap.min.js")),
        ("https://cdn.jsdelivr.net/npm/gsap@3", ("gsap", "3", "")),
        ("https://cdn.jsdelivr.net/npm/d3/dist/d3.min.js", ("d3", "latest", "dist/d3.min.js")),
        ("https://unpkg.com/@scope/name@1.0.0/a/b.js?x", ("@scope/name", "1.0.0", "a/b.js")),
        ("https://unpkg.com/@scope/name", ("@scope/name", "latest", "")),
        ("https://cdnjs.cloudflare.com/ajax/libs/gsap/3.12.2/gsap.min.js", ("gsap", "3.12.2", "dist/gsap.min.js")),
        (
            "https://cdnjs.cloudflare.com/ajax/libs/three.js/r128/three.min.js",
            ("three", "0.128.0", "build/three.min.js"),
        ),
        (
            "https://cdnjs.cloudflare.com/ajax/libs/bodymovin/5.12.2/lottie.min.js",
            ("lottie-web", "5.12.2", "build/player/lottie.min.js"),
        ),
    ],
)
def test_script_cdn_addresses_stand_for_package_files(url: str, expected: tuple[str, str, str]) -> None:
    name, version, path = expected
    assert npm.package_of(url) == npm.File(name=name, version=version, path=path)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/npm/gsap@3/dist/gsap.min.js",
        "https://cdn.jsdelivr.net/gh/user/repo/x.js",
        "https://cdn.jsdelivr.net/npm/--registry=x@1/x.js",
        "https://cdn.jsdelivr.net/npm/a@1/../../x.js",
        "https://cdn.jsdelivr.net/npm/a@1;rm/x.js",
        "https://cdn.jsdelivr.net/npm/a@file:..%2fx/x.js",
        "https://cdnjs.cloudflare.com/ajax/libs/unheard-of/1/x.js",
    ],
)
def test_other_addresses_stand_for_no_package(url: str) -> None:
    assert npm.package_of(url) is None


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as package:
        for name, content in members.items():
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(content)
            package.addfile(info, io.BytesIO(content))
    return path


def test_a_minified_file_that_the_package_lacks_is_its_plain_file(tmp_path: Path) -> None:
    package = archive(tmp_path / "p.tgz", {"dist/x.js": b"plain", "package.json": b'{"main": "./dist/x.js"}'})
    for path in ("dist/x.js", "dist/x.min.js", ""):
        assert npm.read_member(package, npm.File(name="x", version="1", path=path)) == b"plain"
    with pytest.raises(npm.PackageError, match=r"x@1 has no file dist/y\.js"):
        npm.read_member(package, npm.File(name="x", version="1", path="dist/y.js"))


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    package = archive(tmp_path / "p.tgz", {"a.js": b"a" * 100_000})
    package.write_bytes(package.read_bytes()[:60])
    with pytest.raises(npm.PackageError, match=r"archive of x@1 is damaged"):
        npm.read_member(package, npm.File(name="x", version="1", path="a.js"))


@composition_support.NEEDS_NPM
def test_a_package_that_does_not_exist_is_asked_for_once_a_day(tmp_path: Path) -> None:
    file = npm.File(name="@fontsource/no-such-family-of-fonts", version="5", path="400.css")
    with pytest.raises(assets.Unavailable, match="npm has no @fontsource/no-such-family-of-fonts@5"):
        assets.Library(tmp_path).package_file(file)
    with pytest.raises(assets.Unavailable, match="npm has no") as again:
        assets.Library(tmp_path).package_file(file)
    assert again.value.__cause__ is None


@composition_support.NEEDS_NPM
def test_a_cdn_that_cannot_be_reached_is_replaced_by_the_npm_client() -> None:
    library = assets.Library(composition_support.CACHE)
    fetched = library.fetch("https://cdn.jsdelivr.net/npm/gsap@3.14.2/dist/gsap.min.js")
    assert b"GSAP 3.14.2" in fetched.read()[:200]
    package = json.loads(library.package_file(npm.File(name="gsap", version="3.14.2", path="package.json")).read())
    assert package["version"] == "3.14.2"


# Stands in for the npm client: packs nothing until a second one runs beside it, and knows no `absent`.
NPM = """#!/bin/sh
echo "$2" >> "{folder}/asked"
case "$2" in absent*) echo "npm error code E404" >&2; exit 1;; esac
for _ in 1 2 3 4 5 6 7 8 9 10; do [ "$(wc -l < "{folder}/asked")" -ge 2 ] && break; sleep 0.5; done
[ "$(wc -l < "{folder}/asked")" -ge 2 ] || exit 2
for word; do case "$word" in --pack-destination=*) cp "{folder}/package.tgz" "${{word#*=}}/";; esac; done
"""


def test_packages_are_fetched_side_by_side_and_a_refusal_is_asked_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive(tmp_path / "package.tgz", {"package.json": b"{}"})
    (tmp_path / "npm").write_text(NPM.format(folder=tmp_path))
    (tmp_path / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    wanted = [npm.File(name=name, version="1", path="package.json") for name in ("one", "two", "absent", "one")]
    library = assets.Library(tmp_path / "cache")
    library.prefetch(wanted)
    assert [library.package_file(file).read() for file in wanted[:2]] == [b"{}", b"{}"]
    with pytest.raises(assets.Unavailable, match="npm has no absent@1"):
        library.package_file(wanted[2])
    assert sorted((tmp_path / "asked").read_text().split()) == ["absent@1", "one@1", "two@1"]
