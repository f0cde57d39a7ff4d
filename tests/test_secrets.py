"""A render over real SSH, watched from outside: what is secret is in no argument, no environment and no file."""

import contextlib
import json
import os
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest
import sshd
from fleetrender_support import ROOT, command, environment

pytestmark = [
    pytest.mark.sshd,
    pytest.mark.browser,
    pytest.mark.ffmpeg,
    pytest.mark.skipif(not sshd.IS_AVAILABLE, reason=sshd.WHY_NOT),
]

CANARY = "CANARY7f3a91c2"
COMPOSITION = """<!doctype html><html><head><meta charset="utf-8"></head><body>
<div data-composition-id="m" data-width="64" data-height="48" data-start="0" data-duration="0.5" data-no-timeline></div>
<script>
  fetch("https://example.com/x?access_token=" + "CANARY" + "7f3a91c2").catch(() => {});
  console.warn("password=" + "CANARY" + "7f3a91c2");
</script></body></html>"""


class Watcher(threading.Thread):
    """Reads the arguments and environments of every process, and the bridge's tokens, until told to stop."""

    def __init__(self, state: Path, coordinator: int) -> None:
        super().__init__()
        self._state, self._coordinator = state, coordinator
        self.words: set[bytes] = set()
        self.tokens: set[bytes] = set()
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.02):
            for folder in (*self._state.glob("runs/*/rsh-*"), *Path(tempfile.gettempdir()).glob("rsh-*")):
                self._read_tokens(folder)
            for process in Path("/proc").iterdir():
                if process.name.isdigit() and int(process.name) not in (os.getpid(), self._coordinator):
                    self._read(process / "cmdline", self.words)
                    self._read(process / "environ", self.words)

    def _read_tokens(self, folder: Path) -> None:
        with contextlib.suppress(OSError):
            for token in folder.iterdir():
                if token.name != "rsh" and token.is_file():
                    self._read(token, self.tokens)

    def _read(self, file: Path, into: set[bytes]) -> None:
        try:
            into.add(file.read_bytes())
        except OSError:
            return


def files_with(directory: Path, word: str) -> list[Path]:
    return [file for file in directory.rglob("*") if file.is_file() and word.encode() in file.read_bytes()]


def test_no_secret_is_in_an_argument_an_environment_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "index.html").write_text(COMPOSITION)
    with sshd.start(number=9) as server:
        (tmp_path / "hosts.toml").write_text(
            f'version = 1\n[[host]]\nname = "r9"\naddress = "{server.address}"\nport = {server.port}\n'
            f'user = "{server.user}"\nidentity = "{server.identity}"\n'
        )
        (tmp_path / "hosts.known_hosts").write_text(f"{server.known_hosts_line}\n")
        process = subprocess.Popen(
            command("run", "c", "--hosts", "hosts.toml", "-o", "out.mp4", "--keep", "--json", "--verbose"),
            cwd=tmp_path,
            env=environment(tmp_path) | {"PYTHONPATH": str(ROOT), "MY_TOKEN": CANARY},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        watcher = Watcher(tmp_path / "state", process.pid)
        watcher.start()
        try:
            shown, complaints = process.communicate(timeout=200)
        finally:
            watcher.done.set()
            watcher.join()
        assert process.returncode == 0, complaints
        assert json.loads(shown)["hosts"][0]["name"] == "r9"
        key = server.identity.read_text().splitlines()[2]
        # The environment is the user's: it reaches what we start here, and nothing on a host.
        own = [words for words in watcher.words if b"MY_TOKEN=" in words]
        assert all(f"HOME={server.home}".encode() not in words for words in own)
        for words in watcher.words - set(own):
            assert CANARY.encode() not in words
            assert not any(token in words for token in watcher.tokens if token)
            assert key.encode() not in words
        assert any(token for token in watcher.tokens), "no token was ever seen"
        (run,) = (tmp_path / "state" / "runs").iterdir()
        logs = "".join(log.read_text() for log in (run / "logs").iterdir())
        assert "https://example.com/x?access_token=***" in logs
        for where in (tmp_path / "state", server.home):
            assert files_with(where, CANARY) == []
            assert files_with(where, key) == []
        assert CANARY not in shown + complaints
    assert run.stat().st_mode & 0o777 == 0o700
    for path in run.rglob("*"):
        assert not path.is_dir() or path.stat().st_mode & 0o777 == 0o700, path
