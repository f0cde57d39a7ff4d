"""Real OpenSSH servers on 127.0.0.x for tests, each with an unprivileged user and a home of its own. Needs root.

    with sshd.start(number=1) as server:
        server.address, server.port, server.user, server.identity, server.home, server.known_hosts_line
        server.host(tmp_path)       # the same as a model.Host named r1, its known_hosts file written in tmp_path
        server.kill_sessions()      # as if the connection's sshd had crashed
        server.processes()          # what the user still runs

A server, its sessions and everything that its user runs end with the `with`; the listener also when pytest is killed.
A number is taken while its server runs, by this and every other test run: keep fixtures no wider than a module, and
give no two modules the same number, or one stands idle until the other has ended.
"""

import contextlib
import fcntl
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

from fleet import model

IS_AVAILABLE = os.geteuid() == 0 and shutil.which("sshd", path="/usr/sbin:/usr/bin") is not None
WHY_NOT = "needs root and openssh-server"


@dataclass(kw_only=True)
class Sshd:
    """One running server; `name` is the host's name in an inventory."""

    number: int
    directory: Path
    address: str
    port: int
    user: str
    settings: Sequence[str]
    beside: "Sshd | None" = None
    host_key: asyncssh.SSHKey = field(default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519"))
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def name(self) -> str:
        return f"r{self.number}"

    @property
    def identity(self) -> Path:
        return self.directory / "identity"

    @property
    def home(self) -> Path:
        return (self.beside or self).directory / "home"

    @property
    def known_hosts_line(self) -> str:
        public = self.host_key.export_public_key("openssh").decode().strip()
        return f"fleet-{self.name},[{self.address}]:{self.port} {public}"

    def host(self, directory: Path, **changes: Any) -> model.Host:
        """This server as a host of an inventory, with its key trusted in `directory`."""
        known_hosts = directory / f"{self.name}.known_hosts"
        known_hosts.write_text(self.known_hosts_line + "\n")
        values: dict[str, Any] = {
            "name": self.name,
            "address": self.address,
            "port": self.port,
            "user": self.user,
            "identity": str(self.identity),
            "known_hosts": str(known_hosts),
        }
        return model.Host(**values | changes)

    def kill_sessions(self, number: int = signal.SIGKILL) -> None:
        """Kills (or stops, with SIGSTOP) the server's side of every connection; the listener stays."""
        assert self.process is not None
        for pid in _descendants(self.process.pid):
            if _comm(pid).startswith("sshd"):
                kill(pid, number)

    def set_shell(self, shell: str) -> None:
        """Changes the login shell of the user."""
        subprocess.run(["usermod", "-s", shell, self.user], check=True, capture_output=True)

    def rotate_host_key(self) -> None:
        """Gives the server a new host key, as after a reinstallation."""
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.stop()
        self.launch()

    def processes(self) -> list[int]:
        """Processes of this server's user, sessions of sshd excepted."""
        uid = pwd.getpwnam(self.user).pw_uid
        return [pid for pid in _pids() if _uid(pid) == uid and not _comm(pid).startswith("sshd")]

    def launch(self) -> None:
        """Starts the listener and waits until it answers."""
        key = self.directory / "host_key"
        key.write_bytes(self.host_key.export_private_key("openssh"))
        key.chmod(0o600)
        config = self.directory / "sshd_config"
        config.write_text("".join(f"{line}\n" for line in (*self.settings, *self._fixed_settings())))
        Path("/run/sshd").mkdir(exist_ok=True)
        log = self.directory / "log"
        # setpriv: the listener gets SIGTERM when the pytest that started it dies, however it dies.
        sshd = ["/usr/sbin/sshd", "-D", "-f", str(config), "-E", str(log)]
        if self.beside:
            sshd = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', self.name, *sshd]
        self.process = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", "--", *sshd], stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError), socket.create_connection((self.address, self.port), 1):
                return
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"sshd did not start: {log.read_text() if log.exists() else self.process.poll()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Ends listener and sessions."""
        if self.process is not None:
            self.kill_sessions()
            self.process.terminate()
            self.process.wait(20)

    def _fixed_settings(self) -> list[str]:
        return [
            f"ListenAddress {self.address}",
            f"Port {self.port}",
            f"HostKey {self.directory / 'host_key'}",
            f"AuthorizedKeysFile {self.directory / 'authorized_keys'}",
            f"AllowUsers {self.user}",
            "PidFile none",
            "StrictModes no",
            "UsePAM no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "LogLevel VERBOSE",
        ]


@contextlib.contextmanager
def start(
    number: int = 1,
    *,
    shell: str = "/bin/bash",
    bashrc: str = "",
    settings: Sequence[str] = (),
    beside: Sshd | None = None,
) -> Iterator[Sshd]:
    """Server `number` at 127.0.0.<number>, its user frt<number>; `settings` are lines of sshd_config.

    One `beside` another is a second machine to whoever asks for its name, with the user and the home of the first.
    """
    own = f"frt{number}"
    with _exclusive(own):
        directory = Path(tempfile.mkdtemp(prefix=f"{own}-"))
        directory.chmod(0o755)
        server = Sshd(
            number=number,
            directory=directory,
            address=f"127.0.0.{number}",
            port=_free_port(f"127.0.0.{number}"),
            user=beside.user if beside else own,
            settings=settings,
            beside=beside,
        )
        try:
            if not beside:
                _add_user(server, shell)
                (server.home / ".bashrc").write_text(bashrc)
            key = asyncssh.generate_private_key("ssh-ed25519")
            server.identity.write_bytes(key.export_private_key("openssh"))
            server.identity.chmod(0o600)
            (directory / "authorized_keys").write_bytes(key.export_public_key("openssh"))
            server.launch()
            yield server
        finally:
            server.stop()
            _remove_user(own)
            shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def _exclusive(user: str) -> Iterator[None]:
    """One test run at a time has the user: runs of other checkouts may be under way on this machine."""
    with Path(tempfile.gettempdir(), f"{user}.lock").open("w") as lock:
        deadline = time.monotonic() + 240
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
        yield


def _add_user(server: Sshd, shell: str) -> None:
    server.home.mkdir()
    _remove_user(server.user)  # a killed run may have left it
    # "*" is no password and, unlike the default "!", no locked account, which sshd would refuse.
    command = ["useradd", "-M", "-d", str(server.home), "-s", shell, "-p", "*", server.user]
    subprocess.run(command, check=True, capture_output=True)
    shutil.chown(server.home, server.user, server.user)


def _remove_user(user: str) -> None:
    try:
        uid = pwd.getpwnam(user).pw_uid
    except KeyError:
        return
    deadline = time.monotonic() + 10
    while (pids := [pid for pid in _pids() if _uid(pid) == uid]) and time.monotonic() < deadline:
        for pid in pids:
            kill(pid)
        time.sleep(0.02)
    subprocess.run(["userdel", user], check=False, capture_output=True)


def _free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _uid(pid: int) -> int:
    try:
        return Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        return -1


def _comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _descendants(root: int) -> list[int]:
    parents = {pid: _parent(pid) for pid in _pids()}
    found: list[int] = []
    frontier = [root]
    while frontier:
        children = [pid for pid, parent in parents.items() if parent in frontier]
        found += children
        frontier = children
    return found


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Signals a process that may have ended by itself since it was listed."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
