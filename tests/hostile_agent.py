"""An agent that lies: speaks to the coordinator over the real transport and does what $FLEET_HOSTILE names.

Standard library only; `hostile_support.build` makes an agent's zip of it, with a `picture.py` that holds one honest
JPEG. Without $FLEET_HOSTILE it is honest, and needs no browser: every frame is that picture.
"""

import hashlib
import json
import os
import socket
import struct
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

# What terminals, log readers, browsers and rich would act on if anybody let them.
POISON = (
    "\x1b[2J\x1b[31mred \x1b]0;title\x07\x1b]8;;http://evil.invalid\x1b\\link\x9b31m\x9d0;t\x9c "
    "[bold red]markup[/] [link=http://evil.invalid]x[/link] <script>alert(1)</script> <img src=x onerror=alert(1)> "
    "\u202egnp.exe \u2028\r\nerror: forged line\r\x08\x08\x00\ud800 {0.__class__} %s %n $(touch pwned) `id` "
)
HUGE = 10**400
DAY_S = 86_400
Message = dict[str, Any]
CASE = os.environ.get("FLEET_HOSTILE", "")


def say_bytes(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def say(kind: str, **values: Any) -> None:
    say_bytes(json.dumps({"t": kind, **values}).encode() + b"\n")


class Agent:
    """An honest one; every case replaces a little of it."""

    def __init__(self, root: Path) -> None:
        self.workspace = root.expanduser().absolute() / "m"
        self.run = ""
        self.deadline_s = time.monotonic() + 60
        self.facts: Message = {
            "python": "3.11.2", "kernel": "6.1", "architecture": "x86_64", "machine_id": str(os.getpid()),
            "is_root": False, "workspace": str(self.workspace), "cpu_count": 1, "cpu_affinity": 1, "cpu_quota": None,
            "memory_total_bytes": 1 << 33, "memory_available_bytes": 1 << 33, "memory_limit_bytes": None,
            "disk_free_bytes": 1 << 40, "shm_bytes": 1 << 30, "chromium": "/usr/bin/chromium",
            "chromium_version": "Chromium 156.0", "rsync": "/usr/bin/rsync", "rsync_version": "3.5.0",
            "fonts_digest": "", "fonts_count": 1, "unix_time_s": time.time(), "can_sandbox": True,
        }  # fmt: skip
        self.browser: Message = {
            "version": "Chrome/156", "mode": "begin_frame", "mode_why": "probed", "gl_vendor": "Google",
            "gl_renderer": "SwiftShader", "has_sandbox": True,
        }  # fmt: skip

    def hear(self, message: Message) -> None:
        getattr(self, "on_" + message["t"], lambda _: None)(message)

    def on_hello(self, message: Message) -> None:
        self.run = message["run"]
        (self.workspace / "incoming").mkdir(parents=True, exist_ok=True)
        say("facts", version=1, facts=self.facts)

    def on_ping(self, message: Message) -> None:
        say("pong", sequence=message["sequence"])

    def on_acquire(self, _: Message) -> None:
        say("granted")

    def on_probe(self, _: Message) -> None:
        say("probed", browser=self.browser)

    def on_prepare(self, message: Message) -> None:
        say("prepared", bundle=message["bundle"])

    def on_offer(self, _: Message) -> None:
        say("missing", bundle="", digests=[])

    def on_canary(self, order: Message) -> None:
        say("canaried", frames=[announced(frame, picture(frame)) for frame in order["frames"]])

    def on_bye(self, _: Message) -> None:
        sys.exit(0)

    def on_capture(self, order: Message) -> None:
        self.started(order)
        while (self.workspace.parent / "hold").exists() and time.monotonic() < self.deadline_s:
            time.sleep(0.01)
        if order["seam"] is not None:
            told = announced(order["seam"], self.draw(order["seam"]))
            say("seam", chunk=order["chunk"], attempt=order["attempt"], frame=told)
        self.captured(order, [self.frame(order, frame) for frame in frames_of(order)])
        self.done(order)

    def draw(self, frame: int) -> bytes:
        return picture(frame)

    def folder(self, order: Message) -> Path:
        folder = self.workspace / "runs" / self.run / str(order["chunk"])
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def file(self, order: Message, frame: int) -> Path:
        return self.folder(order) / f"frame_{frame - order['frames']['start']:06d}.jpg"

    def frame(self, order: Message, frame: int, data: bytes | None = None) -> Message:
        data = self.draw(frame) if data is None else data
        self.file(order, frame).write_bytes(data)
        return announced(frame, data)

    def started(self, order: Message, **changes: Any) -> None:
        values = {"directory": str(self.folder(order)), "workers": 1, "why": "one core"}
        say("started", chunk=order["chunk"], attempt=order["attempt"], **(values | changes))

    def captured(self, order: Message, frames: list[Message]) -> None:
        say("captured", chunk=order["chunk"], attempt=order["attempt"], frames=frames)

    def done(self, order: Message) -> None:
        say("done", chunk=order["chunk"], attempt=order["attempt"])


def picture(frame: int = 0) -> bytes:
    """An honest one: each has its number in a comment, so that no two frames are the same bytes."""
    from hostile_agent_package.picture import DATA  # type: ignore[import-not-found]  # made by `build`

    return bytes(DATA[:2]) + b"\xff\xfe\x00\x06" + number(frame) + bytes(DATA[2:])


def number(frame: int) -> bytes:
    """What the comment of an honest one says."""
    return struct.pack(">I", frame)


def announced(frame: int, data: bytes) -> Message:
    return {"index": frame, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def frames_of(order: Message) -> list[int]:
    return [frame for part in order["todo"] for frame in range(part["start"], part["stop"])]


def fault(**changes: Any) -> Message:
    return {"code": "seek_failed", "message": "as ordered", "frame": None, "local_frame": None} | changes


# Cases. Each is a function of the agent that changes it before the conversation begins.

CASES: dict[str, Callable[[Agent], None]] = {}


def case(change: Callable[[Agent], None]) -> Callable[[Agent], None]:
    CASES[change.__name__] = change
    return change


def swap(agent: Agent, name: str, act: Callable[..., object]) -> None:
    setattr(agent, name, act)


def repeat(times: int, act: Callable[[], object]) -> None:
    for _ in range(times):
        act()


def instead(agent: Agent, kind: str, act: Callable[[Message], object]) -> None:
    swap(agent, "on_" + kind, act)


def raw(name: str, data: Callable[[], bytes], kind: str = "capture") -> None:
    """A case that says raw bytes when it hears `kind`."""
    CASES[name] = lambda agent: instead(agent, kind, lambda _: say_bytes(data()))


def line(**values: Any) -> bytes:
    return json.dumps(values).encode() + b"\n"


raw("line_of_3_mb", lambda: b"x" * 3_000_000 + b"\n")
raw("line_of_3_mb_of_json", lambda: line(t="note", level="info", source="page", text="x" * 3_000_000))
raw("invalid_utf8", lambda: b'{"t":"note","level":"info","source":"\xff\xfe\x80","text":""}\n')
raw("not_json", lambda: b"Segmentation fault\n")
raw("deep_json", lambda: b"[" * 100_000 + b"\n")
raw("unknown_message", lambda: line(t="selfdestruct", seconds=3))
raw("wrong_types", lambda: line(t="captured", chunk=["c"], attempt={}, frames="all"))
raw("worker_message", lambda: line(t="ready", warnings=[]))
raw("fraction_bomb", lambda: line(t="capture", chunk="c", attempt=1, frames={"start": 0, "stop": 1},
    todo=[{"start": 0, "stop": 1}], spec={"bundle": "", "width": 1, "height": 1, "fps": "1e999999999",
    "frame_count": 1, "duration_s": "1/1", "image": "jpg", "jpeg_quality": 1, "mode": "screenshot"}))  # fmt: skip
raw(
    "nan_in_facts", lambda: line(t="facts", version=1, facts=Agent(Path()).facts | {"cpu_quota": float("nan")}), "hello"
)
raw("huge_float", lambda: line(t="facts", version=1, facts=Agent(Path()).facts | {"unix_time_s": HUGE}), "hello")


def with_facts(name: str, **changes: Any) -> None:
    CASES[name] = lambda agent: agent.facts.update(changes)


with_facts("no_cores", cpu_affinity=-1, cpu_count=-1)
with_facts("a_billion_cores", cpu_affinity=10**9, cpu_count=10**9)
with_facts("huge_memory", memory_available_bytes=HUGE)
with_facts("negative_disk", disk_free_bytes=-1)
with_facts("workspace_up", workspace="../../../../tmp")
with_facts("workspace_of_lines", workspace="/tmp/a\nb")
with_facts("another_version", python=3)
with_facts("poisoned_facts", python=POISON)
with_facts("a_day_ahead", unix_time_s=time.time() + DAY_S)
with_facts("a_day_behind", unix_time_s=time.time() - DAY_S)


def announcing(name: str, **changes: Any) -> None:
    """A case that announces its first frame with these lies."""

    def change(agent: Agent) -> None:
        def capture(order: Message) -> None:
            agent.started(order)
            agent.captured(order, [agent.frame(order, frames_of(order)[0]) | changes])
            agent.done(order)

        instead(agent, "capture", capture)

    CASES[name] = change


announcing("negative_frame", index=-1)
announcing("huge_frame", index=HUGE)
announcing("float_frame", index=0.5)
announcing("nan_frame", index=float("nan"))
announcing("frame_outside", index=10**6)
announcing("negative_size", size_bytes=-5)
announcing("promised_terabyte", size_bytes=10**12)
announcing("path_as_digest", sha256="../../../../etc/passwd")
announcing("wrong_digest", sha256="0" * 64)
announcing("smaller_than_promised", size_bytes=50_000)
announcing("larger_than_promised", size_bytes=10)


def planting(name: str, plant: Callable[[Path], None]) -> None:
    """A case whose first frame is something else than a file; it is announced as an honest one."""

    def change(agent: Agent) -> None:
        def capture(order: Message) -> None:
            agent.started(order)
            frame = frames_of(order)[0]
            agent.file(order, frame).unlink(missing_ok=True)
            plant(agent.file(order, frame))
            agent.captured(order, [announced(frame, picture())])
            agent.done(order)

        instead(agent, "capture", capture)

    CASES[name] = change


def plant_device(path: Path) -> None:
    try:
        os.mknod(path, 0o600 | 0x2000, os.makedev(1, 5))  # /dev/zero
    except PermissionError:
        path.symlink_to("/dev/zero")


def plant_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as own:
        os.chdir(path.parent)  # paths of sockets are short
        own.bind(path.name)


def plant_hard_link(path: Path) -> None:
    secret = path.with_name("secret")
    secret.write_text("not yours")
    path.hardlink_to(secret)


planting("link", lambda path: path.symlink_to("/etc/passwd"))
planting("link_up", lambda path: path.symlink_to("../../../../../../../../etc/passwd"))
planting("hard_link", plant_hard_link)
planting("fifo", os.mkfifo)
planting("device", plant_device)
planting("socket", plant_socket)
planting("folder", lambda path: (path / "evil").mkdir(parents=True))
planting("nothing", lambda path: None)


def drawing(name: str, data: Callable[[], bytes]) -> None:
    """A case that says the truth of bytes that are no frame."""

    def change(agent: Agent) -> None:
        def capture(order: Message) -> None:
            agent.started(order)
            agent.captured(order, [agent.frame(order, frame, data()) for frame in frames_of(order)[:1]])
            agent.done(order)

        instead(agent, "capture", capture)

    CASES[name] = change


def png(width: int, height: int) -> bytes:
    def part(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", zlib.compress(b"\0")) + part(b"IEND", b"")


def resized(width: int, height: int) -> bytes:
    """The honest picture under a header that says another size."""
    data, at = picture(), picture().index(b"\xff\xc0")
    return data[: at + 5] + struct.pack(">HH", height, width) + data[at + 9 :]


drawing("other_format", lambda: png(64, 48))
drawing("other_size", lambda: resized(32, 48))
drawing("image_bomb", lambda: resized(65500, 65500))
drawing("picture_after_picture", lambda: picture() + resized(65500, 65500))
drawing("text", lambda: b"<script>alert(1)</script>")
drawing("empty", lambda: b"")


def once(agent: Agent, kind: str, first: Callable[[Message], object]) -> None:
    """Does `first` before the honest thing, every time that `kind` is heard."""
    honest = getattr(agent, "on_" + kind)
    instead(agent, kind, lambda message: (first(message), honest(message))[1])


@case
def silence_after_hello(agent: Agent) -> None:
    swap(agent, "hear", lambda message: None)


@case
def silence_after_facts(agent: Agent) -> None:
    honest = agent.on_hello
    swap(agent, "hear", lambda message: honest(message) if message["t"] == "hello" else None)


@case
def endless_output(agent: Agent) -> None:
    def flood(_: Message) -> None:
        while True:
            say_bytes(b"\0" * 65536)

    instead(agent, "capture", flood)


@case
def endless_errors(agent: Agent) -> None:
    """A flood on standard error stops nothing: the agent is honest otherwise."""
    once(agent, "capture", lambda _: sys.stderr.buffer.write(os.urandom(65536) * 100))


@case
def endless_errors_then_death(agent: Agent) -> None:
    def flood(_: Message) -> None:
        sys.stderr.buffer.write((POISON * 10_000).encode(errors="surrogatepass"))
        sys.stderr.flush()
        os._exit(7)

    instead(agent, "prepare", flood)


@case
def a_million_notes(agent: Agent) -> None:
    data = line(t="note", level="info", source="page", text=POISON)
    instead(agent, "capture", lambda _: repeat(1000, lambda: say_bytes(data * 1000)))


@case
def a_million_pongs(agent: Agent) -> None:
    instead(agent, "capture", lambda _: repeat(1000, lambda: say_bytes(line(t="pong", sequence=1) * 1000)))


@case
def a_million_missing(agent: Agent) -> None:
    data = line(t="missing", bundle="b", digests=["a" * 64] * 2000)
    instead(agent, "capture", lambda _: repeat(1000, lambda: say_bytes(data)))


@case
def always_missing(agent: Agent) -> None:
    instead(agent, "prepare", lambda order: say("missing", bundle=order["bundle"], digests=["f" * 64]))


@case
def loaded_in_many_ways(agent: Agent) -> None:
    instead(agent, "capture", lambda _: say_bytes(b"".join(line(t="loaded", warnings=[f"w{n}"]) for n in range(1000))))


@case
def workers_without_end(agent: Agent) -> None:
    def waver(order: Message) -> None:
        agent.started(order)
        told = line(t="resized", chunk=order["chunk"], attempt=order["attempt"], before=2, workers=3, why=POISON)
        say_bytes(told * 1000)

    instead(agent, "capture", waver)


@case
def done_without_frames(agent: Agent) -> None:
    instead(agent, "capture", agent.done)


@case
def stopping_with_poison(agent: Agent) -> None:
    instead(agent, "prepare", lambda _: say("stopping", reason=POISON))


@case
def denied_with_poison(agent: Agent) -> None:
    instead(agent, "acquire", lambda _: say("denied", owner=POISON))


@case
def failed_with_poison(agent: Agent) -> None:
    def capture(order: Message) -> None:
        agent.started(order, why=POISON)
        told = fault(message=POISON, console=[POISON] * 50, screenshot="../../../../../tmp/owned.png", code="disk_full")
        say("failed", chunk=order["chunk"], attempt=order["attempt"], fault=told)

    instead(agent, "capture", capture)


@case
def failed_at_a_huge_frame(agent: Agent) -> None:
    told = fault(frame=HUGE)
    instead(agent, "capture", lambda order: say("failed", chunk=order["chunk"], attempt=1, fault=told))


@case
def another_protocol(agent: Agent) -> None:
    instead(agent, "hello", lambda _: say("facts", version=99, facts=agent.facts))


# These say the truth of every file that they deliver, and draw what is not the frame. Their canaries are honest.

DRAWS_WRONG: dict[str, Callable[[int], bytes]] = {
    "flipped_pixel": lambda frame: picture(frame + (1 << 20)),
    "swapped_frames": lambda frame: picture(frame ^ 1),
    "one_for_all": lambda frame: picture(1 << 20),
    "another_time": lambda frame: picture(frame + 5),
}
for wrong, draw in DRAWS_WRONG.items():
    CASES[wrong] = lambda agent, draw=draw: swap(agent, "draw", draw)  # type: ignore[misc]


# These are rude and harmless: the frames are right, and the run goes on with them.

HARMLESS = ("", "endless_errors", "says_everything_twice", "says_what_nobody_asked", "directories_up", "poisoned")
CLOCKS = ("a_day_ahead", "a_day_behind")


@case
def says_everything_twice(agent: Agent) -> None:
    swap(agent, "hear", lambda message: repeat(2, lambda: Agent.hear(agent, message)))
    swap(agent, "on_bye", lambda _: sys.exit(0))


@case
def waits_with_its_last_frame(agent: Agent) -> None:
    def capture(order: Message) -> None:
        agent.started(order)
        *first, last = [agent.frame(order, frame) for frame in frames_of(order)]
        agent.captured(order, first)
        deadline_s = time.monotonic() + 20
        while not (agent.workspace.parent / "go").exists() and time.monotonic() < deadline_s:
            time.sleep(0.01)
        agent.captured(order, [last])
        agent.done(order)

    swap(agent, "on_capture", capture)


@case
def says_what_nobody_asked(agent: Agent) -> None:
    def gossip(_: Message) -> None:
        stranger = {"chunk": "c99", "attempt": 7}
        say("started", **stranger, directory="/etc", workers=3, why="because")
        say("captured", **stranger, frames=[announced(0, b"")])
        say("resized", **stranger, before=3, workers=1024, why="because")
        say("done", **stranger)
        say("failed", **stranger, fault=fault())
        say("missing", bundle="b", digests=["0" * 64])
        say("pong", sequence=77)
        say("examined", sequential=True, why=POISON)
        say("loaded", warnings=[])

    once(agent, "capture", gossip)


@case
def directories_up(agent: Agent) -> None:
    honest = agent.started
    swap(agent, "started", lambda order, **_: honest(order, directory="../../../../etc"))


@case
def poisoned(agent: Agent) -> None:
    """Every string that it may choose."""
    agent.facts.update(dict.fromkeys(("kernel", "architecture", "rsync_version", "fonts_digest"), POISON))
    agent.browser["mode_why"] = agent.browser["gl_vendor"] = POISON
    honest = agent.started

    def started(order: Message, **_: Any) -> None:
        honest(order, why=POISON, directory=POISON)
        say("resized", chunk=order["chunk"], attempt=order["attempt"], before=1, workers=2, why=POISON)
        for source in ("page", "browser", POISON):
            say("note", level=POISON, source=source, text=POISON * 20)
        say("loaded", warnings=[POISON])

    swap(agent, "started", started)


def main() -> None:
    agent = Agent(Path(sys.argv[sys.argv.index("--workspace") + 1]))
    if CASE:
        CASES[CASE](agent)
    for data in sys.stdin.buffer:
        try:
            agent.hear(json.loads(data))
        except BrokenPipeError:
            os._exit(3)


if __name__ == "__main__":
    main()
