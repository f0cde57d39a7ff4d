"""The conversation with the coordinator: orders in, facts out, one connection long.

Chunks are `foreman.py`'s; here are hello, lock, bundle, probe, and the certainty that all ends with the connection.
"""

import collections
import contextlib
import datetime as dt
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from capture import (
    channel,
    collector,
    compiled,
    cores,
    crew,
    encoder,
    foreman,
    probe,
    protocol,
    site,
    store,
    tree,
)
from capture.channel import Incoming, Outbox
from capture.cores import CoreMeter
from capture.faults import Fault, FaultCode
from capture.life import EXIT_BYE, EXIT_LOST, EXIT_PROTOCOL, Life
from capture.protocol import Failed, FromAgent, ProtocolError, ToAgent
from capture.remembered import Remembered

DEFAULT_ROOT = "~/.cache/fleetrender"
PROBE_LIMIT_S = 80.0  # one browser start of at most 60 s, and a page; less than coordinators wait
# Three fresh pages with at most 5 s of capturing each. Coordinators say nothing meanwhile: less than any lease.
EXAMINE_LIMIT_S = 30.0
_TICK_S = 0.1


@dataclass(frozen=True, slots=True)
class _Broken:
    """What came in is not the protocol."""

    reason: str


@dataclass(frozen=True, slots=True)
class _Answer:
    """The helper thread has finished something; `pid` is the process that it reaped."""

    message: FromAgent | None
    pid: int | None = None


_Event = ToAgent | crew.Said | crew.Gone | encoder.Ended | _Broken | _Answer


def run(root: Path, worker: Sequence[str] = ()) -> NoReturn:
    """Serves one coordinator on standard input and output, and exits; `worker` replaces the command of workers."""
    os.umask(0o077)
    tree.guard()
    source, sink = channel.take_over_stdio()
    inbox: queue.Queue[_Event] = queue.Queue(1000)
    incoming = Incoming(source)
    life = Life(incoming)
    outbox = Outbox(sink, lambda reason: life.end(EXIT_LOST, reason))
    life.last_words = outbox
    threading.Thread(target=_receive, args=(incoming, inbox, life), name="receive", daemon=True).start()
    threading.Thread(target=life.watch, name="watch", daemon=True).start()
    try:
        hello = _first(inbox)
        life.lease_s = hello.lease_s
        _Conversation(hello, root, inbox, outbox, life, worker or crew.command("worker")).run()
    except (ProtocolError, store.StoreError) as error:
        life.end(EXIT_PROTOCOL, str(error), is_said=True)


class _Conversation:
    """Everything after Hello."""

    def __init__(
        self,
        hello: protocol.Hello,
        root: Path,
        inbox: "queue.Queue[_Event]",
        outbox: Outbox,
        life: Life,
        worker: Sequence[str],
    ) -> None:
        self._hello = hello
        self._inbox = inbox
        self._outbox = outbox
        self._life = life
        self._workspace = store.Workspace(root, probe.machine_id())
        self._lock = store.Lock(self._workspace.path / "host.lock")
        self._facts = probe.facts(self._workspace.path, hello.chromium)
        self._crew = crew.Crew(
            inbox.put, environment=_environment(self._workspace, hello.run), nice=hello.limits.nice, argv=worker
        )
        self._meter = CoreMeter(cores.find())
        encoders = encoder.Encoders(self._crew.start, inbox.put)
        here = site.of(self._workspace, hello, self._facts, encoders)
        self._foreman = foreman.Foreman(here, self._crew, outbox.send)
        self._remembered = Remembered(
            self._workspace.path / "browser",
            site.chromium(hello, self._facts),
            hello.chromium_args,
            sandbox=hello.sandbox,
            facts=self._facts,
        )
        self._probing: subprocess.Popen[bytes] | None = None
        self._probed: FromAgent | None = None
        self._chores: queue.SimpleQueue[Callable[[], _Answer]] = queue.SimpleQueue()

    def run(self) -> NoReturn:
        """Handles one event after the other until something ends the process."""
        threading.Thread(target=self._do_chores, name="chores", daemon=True).start()
        self._outbox.send(protocol.Facts(protocol.VERSION, self._facts))
        while True:
            try:
                event = self._inbox.get(timeout=_TICK_S)
            except queue.Empty:
                event = None
            self._life.check()
            if event is not None:
                self._handle(event)
            self._meter.tick()
            self._foreman.tick(is_congested=self._outbox.is_congested)

    def _handle(self, event: _Event) -> None:
        match event:
            case crew.Said() | crew.Gone() | encoder.Ended():
                self._hear(event)
            case _Answer():
                self._pass_on(event)
            case _Broken(reason):
                raise ProtocolError(reason)
            case protocol.Hello():
                raise ProtocolError("hello came twice")
            case protocol.Ping(sequence, asks_use):
                self._outbox.send(protocol.Pong(sequence, self._meter.take() if asks_use else None))
            case protocol.Bye():
                self._life.end(EXIT_BYE, "bye", finish=self._clear_up)
            case protocol.Acquire() | protocol.Clean():
                self._take(event)
            case _:
                self._work(event)

    def _hear(self, event: crew.Said | crew.Gone | encoder.Ended) -> None:
        if isinstance(event, encoder.Ended):
            self._foreman.encoded(event)
            return
        if isinstance(event, crew.Said) and _failed_to_launch(event.message):
            self._remembered.forget()
        self._foreman.hear(event)

    def _pass_on(self, answer: _Answer) -> None:
        if answer.pid is not None:
            self._crew.ended(None, answer.pid)
        if isinstance(answer.message, protocol.Probed):
            self._foreman.expect(answer.message.browser.version)
        if answer.message is not None:
            self._outbox.send(answer.message)

    def _work(
        self,
        order: protocol.Prepare
        | protocol.Offer
        | protocol.Probe
        | protocol.Examine
        | protocol.Canary
        | protocol.TryGl
        | foreman.Order,
    ) -> None:
        """Orders that use the host, and therefore need its lock; a person may probe it while another run has that."""
        if not self._lock.is_held and not isinstance(order, protocol.Probe):
            raise ProtocolError(f"{type(order).__name__.lower()} came before acquire")
        match order:
            case protocol.Prepare(bundle):
                self._chores.put(lambda: self._prepare(bundle))
            case protocol.Offer(digests):
                self._chores.put(lambda: self._take_in(digests))
            case protocol.Probe():
                self._probe(order)
            case protocol.Examine() | protocol.Canary() | protocol.TryGl():
                self._examine(order)
            case _:
                self._foreman.obey(order)

    def _clear_up(self) -> None:
        if self._lock.is_held:
            self._workspace.remove_run(self._hello.run)
        elif self._probing is not None:
            with contextlib.suppress(OSError):  # not empty: another agent holds the lock and works for this run
                self._workspace.run(self._hello.run).rmdir()

    def _take(self, order: protocol.Acquire | protocol.Clean) -> None:
        """Orders that take the host's lock themselves."""
        if isinstance(order, protocol.Clean):
            self._clean(order)
        else:
            self._acquire()

    def _acquire(self) -> None:
        if owner := self._lock.acquire(_owner(self._hello)):
            self._outbox.send(protocol.Denied(owner))
            return
        if stale := tree.sweep(str(self._workspace.path)):
            self._outbox.send(protocol.Note("warning", "agent", f"killed {len(stale)} processes of an earlier run"))
        os.utime(self._workspace.run(self._hello.run))
        self._chores.put(self._collect)
        self._outbox.send(protocol.Granted())

    def _probe(self, order: protocol.Probe) -> None:
        """Answers from the one probe of this agent's life, or of an agent before it where nothing has changed since."""
        if self._probing is None and not order.is_fresh and (known := self._remembered.read()):
            self._inbox.put(_Answer(protocol.Probed(known)))
            return
        if self._probing is None:
            profile = self._workspace.run(self._hello.run) / ".profile-probe"
            asked = _probe_order(self._hello, site.chromium(self._hello, self._facts), profile)
            self._probing = self._crew.start(crew.command("browser", asked))
        process = self._probing
        self._chores.put(lambda: self._answer_probe(process))

    def _answer_probe(self, process: "subprocess.Popen[bytes]") -> _Answer:
        if self._probed is not None:
            return _Answer(self._probed)
        self._probed = _outcome(process, "browser's probe", PROBE_LIMIT_S)
        if isinstance(self._probed, protocol.Probed):
            self._remembered.write(self._probed.browser)
        return _Answer(self._probed, process.pid)

    def _examine(self, order: protocol.Examine | protocol.Canary | protocol.TryGl) -> None:
        setup = self._foreman.setup("examine", order.spec)
        words = [protocol.encode(message).decode() for message in (setup, order)]
        process = self._crew.start(crew.command("examine", *words))
        self._chores.put(lambda: _Answer(_outcome(process, "examination", EXAMINE_LIMIT_S), process.pid))

    def _prepare(self, bundle: str) -> _Answer:
        try:
            missing = self._workspace.prepare(bundle)
        except store.StoreError as error:
            return _Answer(_failed(FaultCode.INTERNAL, str(error)))
        except OSError as error:
            return _Answer(Failed("", 0, store.fault(error, "prepare the bundle")))
        if missing:
            return _Answer(protocol.Missing(bundle, missing[: protocol.DIGESTS_PER_MESSAGE]))
        return _Answer(protocol.Prepared(bundle))

    def _take_in(self, digests: tuple[str, ...]) -> _Answer:
        try:
            return _Answer(protocol.Missing("", self._workspace.lacked(digests)))
        except store.StoreError as error:
            return _Answer(_failed(FaultCode.INTERNAL, str(error)))
        except OSError as error:
            return _Answer(Failed("", 0, store.fault(error, "take in the stills of videos")))

    def _collect(self) -> _Answer:
        compiled.write(Path(sys.argv[0]))
        try:
            gone = collector.collect(
                self._workspace, keep_run=self._hello.run, disk_bytes=self._hello.limits.disk_bytes
            )
        except OSError as error:
            return _Answer(protocol.Note("warning", "agent", f"cannot tidy up the workspace: {error}"))
        text = f"deleted {len(gone)} old runs and bundles"
        return _Answer(protocol.Note("info", "agent", text) if gone else None)

    def _clean(self, order: protocol.Clean) -> None:
        owner = None if order.is_trial else self._lock.acquire(_owner(self._hello))
        if owner is not None:
            self._outbox.send(protocol.Denied(owner))
            return
        self._chores.put(lambda: self._cleaned(order))

    def _cleaned(self, order: protocol.Clean) -> _Answer:
        try:
            found = collector.leftovers(self._workspace, older_than_s=order.older_than_s, max_bytes=order.max_bytes)
            for each in () if order.is_trial else found:
                each.delete()
        except OSError as error:
            return _Answer(Failed("", 0, store.fault(error, "tidy up the workspace")))
        kinds = collections.Counter(each.kind for each in found)
        freed_bytes = sum(each.size_bytes for each in found)
        runs, bundles, blobs, agents = (kinds[kind] for kind in ("run", "bundle", "blob", "agent"))
        return _Answer(protocol.Cleaned(runs=runs, bundles=bundles, blobs=blobs, agents=agents, size_bytes=freed_bytes))

    def _do_chores(self) -> None:
        """What takes longer than a heartbeat may wait, one after the other, away from the main thread."""
        while True:
            self._inbox.put(self._chores.get()())


def _receive(incoming: Incoming, inbox: "queue.Queue[_Event]", life: Life) -> None:
    order: ToAgent | None = None
    try:
        for line in incoming.lines():
            order = _order(line)
            inbox.put(order)
    except ProtocolError as error:
        inbox.put(_Broken(str(error)))
        return
    if not isinstance(order, protocol.Bye):  # whose handling ends us in an orderly way, and within the lease at least
        life.end(EXIT_LOST, "the connection was closed")


def _order(line: bytes) -> ToAgent:
    try:
        message = protocol.decode(line)
    except ProtocolError:
        _check_version(line)  # a later version may have said something that this one cannot read
        raise
    if isinstance(message, protocol.Hello):
        _check_version(line)
    if not isinstance(message, ToAgent):
        raise ProtocolError(f"not for an agent: {line[:80]!r}")
    return message


def _check_version(line: bytes) -> None:
    try:
        plain = json.loads(line)
    except (ValueError, RecursionError):
        return
    if isinstance(plain, dict) and plain.get("t") == "hello" and plain.get("version") != protocol.VERSION:
        raise ProtocolError(f"this agent speaks protocol {protocol.VERSION}, not {plain.get('version')!r}")


def _first(inbox: "queue.Queue[_Event]") -> protocol.Hello:
    match inbox.get():
        case protocol.Hello() as hello:
            return hello
        case _Broken(reason):
            raise ProtocolError(reason)
        case other:
            raise ProtocolError(f"{type(other).__name__.lower()} came before hello")


def _failed_to_launch(message: protocol.FromWorker) -> bool:
    return isinstance(message, protocol.BlockFailed) and message.fault.code is FaultCode.BROWSER_LAUNCH


def _environment(workspace: store.Workspace, run: str) -> dict[str, str]:
    return {tree.RUN_VARIABLE: run, tree.WORKSPACE_VARIABLE: str(workspace.path)}


def _owner(hello: protocol.Hello) -> str:
    client = os.environ.get("SSH_CONNECTION", "").partition(" ")[0] or "this machine"
    since = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
    whose = f" of {hello.owner}" if hello.owner else ""
    return f"run {hello.run}{whose} from {client} since {since} (pid {os.getpid()})"


def _failed(code: FaultCode, message: str) -> Failed:
    return Failed("", 0, Fault(code=code, message=message))


def _probe_order(hello: protocol.Hello, chromium: str, profile: Path) -> str:
    asked = {
        "chromium": chromium,
        "args": hello.chromium_args,
        "sandbox": hello.sandbox,
        "profile": str(profile),
    }
    return json.dumps(asked)


def _outcome(process: "subprocess.Popen[bytes]", what: str, limit_s: float) -> FromAgent:
    """What a helper process found; it is a process of its own so that its browser can be killed with it."""
    try:
        said, words = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        tree.kill(process.pid)
        process.communicate()
        return _failed(FaultCode.BROWSER_LAUNCH, f"the {what} took more than {limit_s:.0f} s")
    try:
        message = protocol.decode(said)
    except ProtocolError:
        ended = crew.how_ended(process.returncode)
        return _failed(FaultCode.INTERNAL, f"the {what} ended with {ended}: {words[-2000:].decode('utf-8', 'replace')}")
    answers = protocol.Probed | protocol.Examined | protocol.Canaried | protocol.GlTried | Failed
    return message if isinstance(message, answers) else _failed(FaultCode.INTERNAL, "wrong answer")
