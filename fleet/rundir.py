"""One run's directory (plan, events, frames, segments, logs) and the lock on its output file.

Layout: plan.json, events.jsonl, report.json, chunks/<chunk>/, segments/, quarantine/, logs/<host>.log. Decides nothing.
"""

import contextlib
import datetime as dt
import fcntl
import hashlib
import json
import logging
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import platformdirs

from fleet import events, untrusted
from fleet.errors import ConfigError, LockHeld

log = logging.getLogger(__name__)


def state_root() -> Path:
    """Where runs and locks live: $FLEETRENDER_STATE, else the platform's state directory."""
    return Path(os.environ.get("FLEETRENDER_STATE") or platformdirs.user_state_dir("fleetrender"))


def cache_root() -> Path:
    """Where downloads and built agents live: $FLEETRENDER_CACHE, else the platform's cache directory."""
    return Path(os.environ.get("FLEETRENDER_CACHE") or platformdirs.user_cache_dir("fleetrender")) / "coordinator"


class RunDirectory:
    """Paths of one run. Creating it creates the directories, private to the user."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        for directory in (path, self.chunks, self.segments, self.quarantine, self.logs):
            _make_private(directory)

    @property
    def plan(self) -> Path:
        """The plan as JSON."""
        return self.path / "plan.json"

    @property
    def events(self) -> Path:
        """The event log, one JSON object a line."""
        return self.path / "events.jsonl"

    @property
    def report(self) -> Path:
        """The report as JSON."""
        return self.path / "report.json"

    @property
    def chunks(self) -> Path:
        """Verified frames: one directory per chunk, files numbered from 0 within it."""
        return self.path / "chunks"

    @property
    def segments(self) -> Path:
        """Encoded segments and the sound track."""
        return self.path / "segments"

    @property
    def rehearsal(self) -> Path:
        """The pictures that hosts encode for comparison, where they are to encode."""
        return self.path / "rehearsal"

    @property
    def quarantine(self) -> Path:
        """Where pulled files wait to be verified."""
        return self.path / "quarantine"

    @property
    def logs(self) -> Path:
        """One log per host."""
        return self.path / "logs"

    @contextlib.contextmanager
    def host_log(self, host: str) -> Iterator[logging.Logger]:
        """The log of one host: what its agent, browsers and pages said, and what we thought of it."""
        logger = logging.getLogger(f"fleet.host.{host}")
        handler = logging.FileHandler(
            self.logs / f"{host}.log", encoding="utf-8", errors="backslashreplace", delay=True
        )
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.setLevel(logging.DEBUG)
        logger.addHandler(handler)
        try:
            yield logger
        finally:
            logger.removeHandler(handler)
            handler.close()

    def write_report(self, folded: object) -> None:
        """Publishes report.json."""
        _publish(self.report, json.dumps(folded, indent=1) + "\n")

    def write_plan(self, text: str) -> None:
        """Publishes plan.json."""
        _publish(self.plan, text)

    def drop_frames(self) -> None:
        """Deletes what a finished run needs no more: frames, segments, quarantine."""
        for directory in (self.chunks, self.segments, self.quarantine, self.rehearsal):
            shutil.rmtree(directory, ignore_errors=True)


def _make_private(directory: Path) -> None:
    """Makes `directory`, its new parents too, for this user alone; ConfigError when others may write into it."""
    for each in (*reversed(directory.parents), directory):
        if not each.exists():
            each.mkdir(mode=0o700, exist_ok=True)
    found = directory.stat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise ConfigError(
            f"{directory} belongs to another user, or others may write into it",
            remedy=f"`chmod go-w {directory}`, or name another place in $FLEETRENDER_STATE",
        )


def _publish(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def new_name(digest: str) -> str:
    """A name for a run: time, the digest of what it is about, and a random suffix."""
    stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%S")
    return f"{stamp}-{digest[:8]}-{secrets.token_hex(2)}"


def create(root: Path, name: str) -> RunDirectory:
    """A fresh run directory."""
    return RunDirectory(root / "runs" / name)


def find_unfinished(root: Path, plan_digest: str, output: str) -> RunDirectory | None:
    """The newest run of this very plan and output that did not end with a verified file."""
    for path in sorted((root / "runs").glob("*"), reverse=True):
        first = _first_event(path / "events.jsonl")
        is_of_this = isinstance(first, events.RunStarted) and (first.plan, first.output) == (plan_digest, output)
        if is_of_this and _is_unfinished(read_events(path / "events.jsonl")):
            return RunDirectory(path)
    return None


def _first_event(path: Path) -> events.Event | None:
    """What a log begins with: there may be hundreds of logs, and most are of something else."""
    try:
        with path.open(encoding="utf-8") as file:
            return events.from_line(file.readline()).event
    except (OSError, ValueError, KeyError):
        return None


def _is_unfinished(records: list[events.Record]) -> bool:
    last = records[-1].event
    return not (isinstance(last, events.RunFinished) and last.exit_code == 0)


def read_events(path: Path) -> list[events.Record]:
    """All records of a log; of a long run they are many."""
    return list(each_event(path))


def each_event(path: Path) -> Iterator[events.Record]:
    """The records of a log, one by one. A damaged last line, which a crash can leave, is dropped."""
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        for line in file:
            try:
                yield events.from_line(line)
            except (ValueError, KeyError):
                log.warning("%s: dropped a damaged line", path)


class EventLog:
    """Stamps events, appends them to events.jsonl, and hands each record to every reader, in order."""

    def __init__(
        self, path: Path, readers: Sequence[Callable[[events.Record], None]], *, resumed_at_s: float = 0.0
    ) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._readers = readers
        # A resumed log continues the clock of the run it resumes, so that replay sees time move forward only.
        self._began_s = time.monotonic() - resumed_at_s

    def now_s(self) -> float:
        """Seconds since the run began, not counting the time between a crash and its resume."""
        return time.monotonic() - self._began_s

    def emit(self, event: events.Event) -> None:
        """Records that `event` happened now."""
        at = dt.datetime.now().astimezone().isoformat(timespec="seconds")
        # What a run starts as is compared when it is resumed, and is the user's own.
        kept = event if isinstance(event, events.RunStarted) else untrusted.redacted(event)
        record = events.Record(at, self.now_s(), kept)
        self._file.write(events.to_line(record) + "\n")
        self._file.flush()
        for reader in self._readers:
            reader(record)

    def close(self) -> None:
        """Ends the log; emitting afterwards is a bug."""
        self._file.close()


@contextlib.contextmanager
def output_lock(root: Path, output: Path) -> Iterator[None]:
    """Holds the lock of one output file; LockHeld names its holder. The kernel frees it when we die."""
    directory = root / "locks"
    _make_private(directory)
    path = directory / hashlib.sha256(str(output.resolve()).encode()).hexdigest()[:32]
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise LockHeld(
                f"{output} is being written by another run: {file.read().strip()}",
                remedy="wait for it, or choose another `--output`",
            ) from None
        file.truncate(0)
        file.write(f"pid {os.getpid()} since {dt.datetime.now().astimezone().isoformat(timespec='seconds')}\n")
        file.flush()
        yield
