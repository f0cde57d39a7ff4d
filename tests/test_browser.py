"""Which Chromium is used, what is known of it, and that it never outlives its starter."""

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import browser_support as support
import pytest

from capture import browser, browser_probe, probe, serve, tree
from capture.faults import CaptureError, FaultCode
from capture.protocol import BrowserFacts, CaptureMode

ROOT = Path(__file__).parent.parent
USER = "fleetrender-probe"
FULL = shutil.which("chromium")


def program(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\necho 'Chromium 140.0.7339.16 built on Debian'\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any Chromium."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setattr(browser, "NAMES", tuple(name for name in browser.NAMES if "/" not in name))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PLAYWRIGHT_BROWSERS_PATH", raising=False)
    return tmp_path


def test_a_machine_without_chromium_has_none(machine: Path) -> None:
    assert browser.find() is None


def test_the_search_takes_playwrights_newest_build_then_the_system_in_order(machine: Path) -> None:
    cache = machine / ".cache" / "ms-playwright"
    found = []
    for path in (
        machine / "bin" / "google-chrome",
        machine / "bin" / "chromium",
        machine / "bin" / "chromium-headless-shell",
        cache / "chromium-1100" / "chrome-linux" / "chrome",
        cache / "chromium_headless_shell-999" / "chrome-linux" / "headless_shell",
        cache / "chromium_headless_shell-1187" / "chrome-linux" / "headless_shell",
    ):
        expected = program(path)
        assert browser.find() == expected
        found.append(expected)
    assert browser.find(found[0]) == found[0]


def test_a_configured_browser_that_is_missing_is_not_replaced_by_another(machine: Path) -> None:
    program(machine / "bin" / "chromium")
    assert browser.find("/nowhere/chromium") is None


def test_the_version_is_what_the_program_says(tmp_path: Path) -> None:
    assert probe.facts(tmp_path, program(tmp_path / "chromium")).chromium_version == "Chromium 140.0.7339.16"
    assert probe.facts(tmp_path, str(tmp_path / "nowhere")).chromium_version is None
    assert probe.facts(tmp_path, "/bin/false").chromium_version is None


@pytest.mark.browser
def test_a_browser_is_gone_with_its_profile_when_the_context_ends(tmp_path: Path) -> None:
    profile = tmp_path / "profile"
    (profile / "old").mkdir(parents=True)
    with browser.start(
        support.chromium(), mode=CaptureMode.BEGIN_FRAME, size=(64, 64), profile=profile, sandbox=True
    ) as started:
        below = [started.pid, *tree.descendants(started.pid)]
        assert len(below) >= 3
        assert profile.stat().st_mode & 0o777 == 0o700
        assert not (profile / "old").exists()
        assert "Chrom" in started.version
    assert not any(map(support.is_alive, below))
    assert not profile.exists()


@pytest.mark.browser
def test_a_browser_of_another_version_than_the_one_tried_is_a_fault(tmp_path: Path) -> None:
    with (
        pytest.raises(CaptureError, match=r"and was HeadlessChrome/1\.0 when it was tried") as raised,
        browser.start(
            support.chromium(),
            mode=CaptureMode.BEGIN_FRAME,
            size=(64, 64),
            profile=tmp_path / "profile",
            sandbox=True,
            version="HeadlessChrome/1.0",
        ),
    ):
        pass
    assert raised.value.code is FaultCode.BROWSER_LAUNCH
    assert not (tmp_path / "profile").exists()


@pytest.mark.parametrize(
    ("size", "tile"), [((1920, 1080), (640, 576)), ((1080, 1920), (384, 960)), ((64, 48), (64, 64))]
)
def test_a_page_is_drawn_in_six_tiles(tmp_path: Path, size: tuple[int, int], tile: tuple[int, int]) -> None:
    flags = browser.flags(mode=CaptureMode.BEGIN_FRAME, size=size, profile=tmp_path, sandbox=True)
    for name in ("default-tile", "max-untiled-layer"):
        assert {f"--{name}-width={tile[0]}", f"--{name}-height={tile[1]}"} <= set(flags)


# JavaScript, and what it is here. Half a surrogate pair, a zero and what no byte holds come back as they are.
VALUES = {
    "null": None,
    "[true, -1, 2 ** 31, -(2 ** 40), 1e300, 0.1, -0.5]": [True, -1, 2**31, -(2**40), 1e300, 0.1, -0.5],
    "({a: {b: [{}, [], '']}})": {"a": {"b": [{}, [], ""]}},
    "'\\ud83d' + 'x\\u0000é😀'": "\ud83dx\0é😀",
    "'ż'.repeat(70000)": "ż" * 70_000,
}


@pytest.mark.browser
def test_values_come_from_the_browser_and_go_to_it_as_they_are(tmp_path: Path) -> None:
    with browser.start(
        support.chromium(), mode=CaptureMode.SCREENSHOT, size=(64, 64), profile=tmp_path / "p", sandbox=True
    ) as started:
        ask = started.connection.call
        tab = ask("Target.createTarget", {"url": "about:blank"}, timeout_s=20)["targetId"]
        session = ask("Target.attachToTarget", {"targetId": tab, "flatten": True}, timeout_s=20)["sessionId"]
        for script, value in VALUES.items():
            asked = {"expression": f"[{script}, {script}]", "returnByValue": True}
            assert ask("Runtime.evaluate", asked, session, timeout_s=20)["result"]["value"] == [value, value]
        texts = ["\ud83dx\0é😀", "ż" * 70_000]
        given = [{"value": text} for text in texts]
        window = ask("Runtime.evaluate", {"expression": "window"}, session, timeout_s=20)["result"]["objectId"]
        called = {"functionDeclaration": "(...texts) => texts", "arguments": given, "returnByValue": True}
        answer = ask("Runtime.callFunctionOn", {**called, "objectId": window}, session, timeout_s=20)
        assert answer["result"]["value"] == texts


def test_a_browser_that_speaks_otherwise_is_a_fault_that_says_so(tmp_path: Path) -> None:
    other = tmp_path / "chromium"
    other.write_text("#!/bin/sh\nprintf '{\"id\":1}\\0' >&4\nexec sleep 60\n")
    other.chmod(0o755)
    with (
        pytest.raises(CaptureError, match=r"did not start: it does not speak DevTools' CBOR: .*still runs") as raised,
        browser.start(
            str(other), mode=CaptureMode.SCREENSHOT, size=(64, 64), profile=tmp_path / "profile", sandbox=True
        ),
    ):
        pass
    assert raised.value.code is FaultCode.BROWSER_LAUNCH


def open_files() -> list[str]:
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


@pytest.mark.browser
def test_a_browser_leaves_no_file_descriptor_behind(tmp_path: Path) -> None:
    before = open_files()
    with browser.start(
        support.chromium(), mode=CaptureMode.SCREENSHOT, size=(64, 64), profile=tmp_path / "p", sandbox=True
    ):
        assert len(open_files()) > len(before)
    assert open_files() == before


@pytest.mark.browser
def test_a_probe_finds_backend_mode_and_sandbox_with_one_launch(tmp_path: Path) -> None:
    counter = tmp_path / "chromium"
    counter.write_text(f'#!/bin/sh\necho x >> {tmp_path}/launches\nexec {support.chromium()} "$@"\n')
    counter.chmod(0o755)
    facts = browser_probe.probe(str(counter), (), sandbox=True, profile_dir=tmp_path / "profile")
    assert facts == BrowserFacts(
        version=facts.version,
        mode=CaptureMode.BEGIN_FRAME,
        mode_why="begin-frame control drew the test page",
        gl_vendor="Google Inc. (Google)",
        gl_renderer=facts.gl_renderer,
        has_sandbox=os.geteuid() != 0,
    )
    assert "SwiftShader" in facts.gl_renderer
    assert (tmp_path / "launches").read_text() == "x\n"


@pytest.mark.browser
def test_a_browser_that_draws_without_swiftshader_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="must draw with SwiftShader") as caught:
        browser_probe.probe(support.chromium(), ("--disable-3d-apis",), sandbox=True, profile_dir=tmp_path / "p")
    assert caught.value.code is FaultCode.BROWSER_LAUNCH


@pytest.mark.browser
def test_a_browser_that_fails_the_begin_frame_test_takes_screenshots_and_the_reason_is_told(tmp_path: Path) -> None:
    facts = browser_probe.probe(
        support.chromium(), ("--force-device-scale-factor=2",), sandbox=True, profile_dir=tmp_path / "profile"
    )
    assert facts.mode is CaptureMode.SCREENSHOT
    assert facts.mode_why == "the picture of the test page measures 128x96 instead of 64x48"


@pytest.mark.browser
@pytest.mark.skipif(FULL is None, reason="Chromium itself is not here; `scripts/install --test` installs it on Debian")
def test_chromium_itself_takes_screenshots_from_a_folder_however_deep(tmp_path: Path) -> None:
    # It makes a socket among its temporary files, whose path may have 107 bytes; a run's folder has nearly as many.
    deep = tmp_path / ("deep" * 25)
    facts = browser_probe.probe(str(FULL), (), sandbox=True, profile_dir=deep / "profile")
    assert facts.mode is CaptureMode.SCREENSHOT
    with support.session(support.bundle(deep / "bundle"), facts.mode, program=FULL) as opened:
        opened.open(support.RUNTIME)
        shown = {frame: support.barcode(picture) for frame, picture in opened.capture(range(5, 9))}
    assert shown == {frame: frame for frame in range(5, 9)}


@pytest.fixture
def stranger() -> Iterator[tuple[str, Path]]:
    """An unprivileged user, and a copy of the host half that it may read."""
    if os.geteuid() != 0:
        pytest.skip("only root can create the unprivileged user whose sandbox is tested")
    directory = Path(tempfile.mkdtemp(prefix="fleetrender-"))
    directory.chmod(0o755)
    shutil.copytree(ROOT / "capture", directory / "capture", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(["useradd", "--create-home", USER], env=_admin_environment())  # an aborted run may have left it
    pwd.getpwnam(USER)
    yield USER, directory
    subprocess.run(["userdel", "--remove", USER], check=True, capture_output=True, env=_admin_environment())
    shutil.rmtree(directory)


def _admin_environment() -> dict[str, str]:
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


PROBE = """
import dataclasses, json, pathlib, sys, tempfile
sys.path.insert(0, sys.argv[1])
from capture import browser_probe
from capture.faults import CaptureError
try:
    profile = pathlib.Path(tempfile.mkdtemp()) / "profile"
    facts = browser_probe.probe(sys.argv[2], (), sandbox=True, profile_dir=profile)
    print(json.dumps({"sandbox": facts.has_sandbox, "mode": facts.mode.value}))
except CaptureError as error:
    print(json.dumps({"code": error.code.value, "message": error.message}))
"""


def probe_as(user: str, directory: Path, *prefix: str) -> dict[str, object]:
    home = pwd.getpwnam(user).pw_dir
    environment = _admin_environment() | {"HOME": home}
    done = subprocess.run(
        [*prefix, _readable_python(user), "-c", PROBE, str(directory), support.chromium()],
        user=None if prefix else user,
        group=None if prefix else user,
        extra_groups=None if prefix else [],
        cwd=home,
        env=environment,
        capture_output=True,
        timeout=60,
        check=True,
    )
    found: dict[str, object] = json.loads(done.stdout)
    return found


def _readable_python(user: str) -> str:
    for python in (sys.executable, "/usr/bin/python3"):
        check = "import sys; sys.exit(sys.version_info < (3, 11))"
        with_user = {"user": user, "group": user, "extra_groups": []}
        try:
            subprocess.run([python, "-c", check], check=True, cwd="/", capture_output=True, **with_user)  # type: ignore[call-overload]
        except (OSError, subprocess.SubprocessError):
            continue
        return python
    pytest.skip("no python >= 3.11 that another user may run")


@pytest.mark.browser
def test_the_sandbox_holds_for_an_unprivileged_user(stranger: tuple[str, Path]) -> None:
    if not Path("/proc/sys/user/max_user_namespaces").read_text().strip("0\n"):
        pytest.skip("this machine allows no user namespaces")
    assert probe_as(*stranger) == {"sandbox": True, "mode": "begin_frame"}


WITHOUT_NAMESPACES = """
import os, pwd, sys
r, w = os.pipe()
go, ready = os.pipe()
pid = os.fork()
if pid == 0:
    import ctypes
    assert ctypes.CDLL(None).unshare(0x10000000) == 0
    os.write(w, b"x")
    os.read(go, 1)
    os.setresuid(0, 0, 0)
    open("/proc/sys/user/max_user_namespaces", "w").write("0")
    user = pwd.getpwnam(sys.argv[1])
    os.setgroups([]); os.setgid(user.pw_gid); os.setuid(user.pw_uid)
    os.execv(sys.argv[2], sys.argv[2:])
os.read(r, 1)
for kind in ("uid", "gid"):
    open(f"/proc/{pid}/{kind}_map", "w").write("0 0 65536")
os.write(ready, b"x")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.mark.browser
def test_a_host_that_allows_no_sandbox_says_so_and_what_to_do(stranger: tuple[str, Path]) -> None:
    user, directory = stranger
    answer = probe_as(user, directory, sys.executable, "-c", WITHOUT_NAMESPACES, user)
    assert answer == {"code": "browser_launch", "message": browser.NO_SANDBOX_MESSAGE}


@pytest.mark.parametrize(
    "url",
    [
        "https://composition.invalid/../secret",
        "https://composition.invalid/%2e%2e/secret",
        "https://composition.invalid/a/..%2f..%2fsecret",
        "https://composition.invalid/%2fetc/passwd",
        "https://composition.invalid//etc/passwd",
        "https://composition.invalid/..\\secret",
        "https://composition.invalid/a%00b",
        "https://composition.invalid/",
    ],
)
def test_no_url_leads_out_of_the_bundle(tmp_path: Path, url: str) -> None:
    (tmp_path / "secret").write_text("outside")
    (tmp_path / "bundle" / "a").mkdir(parents=True)
    assert serve.file_of(tmp_path / "bundle", url) is None
    assert serve.answer(tmp_path / "bundle", url, {}).status == 404


@pytest.mark.parametrize(
    ("header", "status", "body", "content_range"),
    [
        ("", 200, b"0123456789", None),
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-2", 206, b"89", "bytes 8-9/10"),
        ("bytes=0-99", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=10-", 416, b"", "bytes */10"),
        ("bytes=4-2", 416, b"", "bytes */10"),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("bytes=" + "9" * 5000 + "-", 200, b"0123456789", None),
    ],
)
def test_ranges_are_answered_as_http_says(
    tmp_path: Path, header: str, status: int, body: bytes, content_range: str | None
) -> None:
    (tmp_path / "clip.webm").write_bytes(b"0123456789")
    found = serve.answer(tmp_path, f"{serve.ORIGIN}/clip.webm", {"headers": {"Range": header}})
    headers = dict(found.headers)
    assert (found.status, found.body, headers.get("Content-Range")) == (status, body, content_range)


def test_types_do_not_depend_on_the_host(tmp_path: Path) -> None:
    for name in ("a.html", "a.js", "a.woff2", "a.unknown", "A.PNG"):
        (tmp_path / name).write_bytes(b"")
    types = [
        dict(serve.answer(tmp_path, f"{serve.ORIGIN}/{path.name}", {}).headers)["Content-Type"]
        for path in sorted(tmp_path.iterdir())
    ]
    assert types == [
        "image/png",
        "text/html; charset=utf-8",
        "text/javascript; charset=utf-8",
        "application/octet-stream",
        "font/woff2",
    ]


def test_a_still_of_a_video_comes_from_the_hosts_blobs_and_nothing_else_does(tmp_path: Path) -> None:
    digest = "a" * 64
    for folder, name in (("bundle", "index.html"), ("blobs", digest), ("blobs", "other")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).write_bytes(name.encode())
    files = serve.Files(tmp_path / "bundle", tmp_path / "blobs")
    found = files.answer(f"{serve.ORIGIN}/__fleet_stills/{digest}.jpg", {})
    assert (found.status, found.body, dict(found.headers)["Content-Type"]) == (200, digest.encode(), "image/jpeg")
    assert files.answer(f"{serve.ORIGIN}/index.html", {}).status == 200
    for path in ("other", f"{digest}", f"__fleet_stills/{digest}", "__fleet_stills/other", "__fleet_stills/../other"):
        assert files.answer(f"{serve.ORIGIN}/{path}", {}).status == 404
