"""Screens: they draw a `view` on stderr and decide nothing. Events as JSON lines go wherever `--events` says.

A reader never ends a render: when its terminal or pipe is gone it falls silent.
"""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TextIO

from fleet import events, sentences, telling, view
from fleet.errors import ConfigError
from fleet.events import Record

Reader = Callable[[Record], None]

REFRESH_S = 0.25
SUMMARY_S = 60.0


class Screen(Protocol):
    """Something a person looks at. `tick` comes from a thread of its own, several times a second."""

    def handle(self, record: Record) -> None:
        """Shows what happened."""

    def tick(self) -> None:
        """Shows that time passes."""

    def close(self) -> None:
        """Leaves the last state, and a usable terminal."""


def explain(record: Record) -> None:
    """Says why a host got its range, on stderr; other events are not for this reader."""
    if isinstance(record.event, events.RangeSized):
        sys.stderr.write(f"{sentences.why(record.event)}\n")


@contextlib.contextmanager
def readers(*, as_json: bool, events: str | None, hosts: tuple[str, ...] = ()) -> Iterator[list[Reader]]:
    """Who reads this run's events: a screen on stderr, fit for what stderr is, and `--events`.

    ConfigError when `--events` names a file that cannot be written, or stdout while `--json` needs it.
    """
    with contextlib.ExitStack() as stack:
        chosen: list[Reader] = []
        if events is not None:
            chosen.append(_guarded(EventLines(stack.enter_context(_open(events, as_json=as_json))).handle))
        screen = stack.enter_context(_ticking(_screen(sys.stderr, hosts)))
        chosen.append(_guarded(screen.handle))
        yield chosen


class EventLines:
    """Each record as the JSON line that events.jsonl has, at once."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def handle(self, record: Record) -> None:
        """Writes one line."""
        self._file.write(events.to_line(record) + "\n")
        self._file.flush()


class PlainScreen:
    """For logs and cron: a line per change of state, a summary a minute; no colours, nothing is overwritten."""

    def __init__(
        self, file: TextIO, hosts: tuple[str, ...] = (), *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._file = file
        self._view = view.expecting(hosts)
        self._now = telling.Clock(clock)
        self._summary_s = SUMMARY_S

    def handle(self, record: Record) -> None:
        """One line, when `record` is worth one."""
        self._view = view.fold(self._view, record)
        self._now.set(record)
        line = sentences.of(record.event)
        if line is not None:
            self._write(line)
        if isinstance(record.event, events.RunFinished) and record.event.exit_code == 0:
            for end in (telling.summary(self._view), *telling.core_bars(self._view, self._file.encoding)):
                self._write(end)

    def tick(self) -> None:
        """A summary when a minute has passed."""
        elapsed_s = self._now.elapsed_s()
        if self._view.end is None and elapsed_s >= self._summary_s:
            self._summary_s = elapsed_s + SUMMARY_S
            self._write(telling.state(self._view, elapsed_s))

    def close(self) -> None:
        """Nothing: every line is complete."""

    def _write(self, line: str) -> None:
        self._file.write(f"{self._now.at()} {line}\n")
        self._file.flush()


def preview_text(result: dict[str, Any]) -> str:
    """The result of `--dry-run` for people: one line per fact."""
    width = max((len(key) for key in result), default=0)
    lines = []
    for key, value in result.items():
        shown = value if not isinstance(value, dict) else ", ".join(f"{name} {item}" for name, item in value.items())
        shown = shown if not isinstance(shown, list) else "; ".join(map(str, shown)) or "none"
        lines.append(f"{key.replace('_', ' ').ljust(width)}  {sentences.clean(str(shown), limit=2000)}")
    return "\n".join(lines)


def _screen(file: TextIO, hosts: tuple[str, ...]) -> Screen:
    if file.isatty():
        from fleet import terminal  # Rich takes its time to import, and a log has no use for it

        if (screen := terminal.screen(file, hosts)) is not None:
            return screen
    return PlainScreen(file, hosts)


@contextlib.contextmanager
def _ticking(screen: Screen) -> Iterator[Screen]:
    """Ticks `screen` from a thread until the block ends: a stalled render must show that it stalls."""
    ended = threading.Event()

    def tick() -> None:
        with contextlib.suppress(OSError):
            while not ended.wait(REFRESH_S):
                screen.tick()

    thread = threading.Thread(target=tick, name="screen", daemon=True)
    thread.start()
    try:
        yield screen
    finally:
        ended.set()
        thread.join()
        with contextlib.suppress(OSError):
            screen.close()


@contextlib.contextmanager
def _open(target: str, *, as_json: bool) -> Iterator[TextIO]:
    if target == "-":
        if as_json:
            raise ConfigError(
                "`--events -` and `--json` both write to stdout", remedy="give one of them a file: `--events FILE`"
            )
        yield sys.stdout
        return
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(Path(target).open("w", encoding="utf-8"))
        except OSError as error:
            raise ConfigError(
                f"--events: {target} cannot be written: {error.strerror}", remedy="name a file in a folder that exists"
            ) from error
        yield file


def _guarded(reader: Reader) -> Reader:
    """`reader` until its file fails."""
    is_gone = False

    def read(record: Record) -> None:
        nonlocal is_gone
        if is_gone:
            return
        try:
            reader(record)
        except OSError:
            is_gone = True

    return read
