"""Screens: they draw a `view` on stderr and decide nothing. Events as JSON lines go wherever `--events` says.

A reader never ends a render: when its terminal or pipe is gone it falls silent.
"""

import contextlib
import datetime as dt
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TextIO

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.live import Live
from rich.text import Text

from fleet import cores, events, sentences, view
from fleet.errors import ConfigError
from fleet.events import Record
from fleet.view import HostState, HostView, View

Reader = Callable[[Record], None]

REFRESH_S = 0.25
SUMMARY_S = 60.0
# Header, column names, total, messages, and the line on which the cursor rests.
LINES_BESIDE_HOSTS = 4 + view.MESSAGES_MAX
STYLES = {
    HostState.CAPTURING: "green",
    HostState.LOST: "red",
    HostState.REFUSED: "red",
    HostState.RECONNECTING: "yellow",
}


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
        self._now = _Now(clock)
        self._summary_s = SUMMARY_S

    def handle(self, record: Record) -> None:
        """One line, when `record` is worth one."""
        self._view = view.fold(self._view, record)
        self._now.set(record)
        line = sentences.of(record.event)
        if line is not None:
            self._write(line)
        if isinstance(record.event, events.RunFinished) and record.event.exit_code == 0:
            for end in (summary_text(self._view), *cores_lines(self._view, self._file.encoding)):
                self._write(end)

    def tick(self) -> None:
        """A summary when a minute has passed."""
        elapsed_s = self._now.elapsed_s()
        if self._view.end is None and elapsed_s >= self._summary_s:
            self._summary_s = elapsed_s + SUMMARY_S
            self._write(state_text(self._view, elapsed_s))

    def close(self) -> None:
        """Nothing: every line is complete."""

    def _write(self, line: str) -> None:
        self._file.write(f"{self._now.at()} {line}\n")
        self._file.flush()


class RichScreen:
    """For terminals: one row per host, redrawn in place; as many rows as fit, each exactly as wide as the terminal."""

    def __init__(
        self, console: Console, hosts: tuple[str, ...] = (), *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console
        self._view = view.expecting(hosts)
        self._now = _Now(clock)
        self._live = Live(
            console=console, get_renderable=self.draw, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        self._live.start()

    def handle(self, record: Record) -> None:
        """Takes it in; the next tick shows it, so that a burst of events costs one redraw."""
        self._view = view.fold(self._view, record)
        self._now.set(record)

    def tick(self) -> None:
        """Redraws."""
        self._live.refresh()

    def close(self) -> None:
        """The last state stays on the screen, followed by the result."""
        self._live.stop()
        end = self._view.end
        if end is not None and end.exit_code == 0:
            for line in (summary_text(self._view), *cores_lines(self._view, self._console.encoding)):
                self._console.print(Text(line), soft_wrap=True)

    def draw(self) -> Text:
        """The screen as it is now."""
        width, height = self._console.size
        return screen_text(self._view, self._now.elapsed_s(), width=width, height=height)


def screen_text(it: View, now_s: float, *, width: int, height: int) -> Text:
    """`it` as lines of exactly `width` cells, no more than fit into `height`."""
    columns = _Columns(it, width)
    shown = it.hosts[: max(1, height - LINES_BESIDE_HOSTS)]
    hidden = len(it.hosts) - len(shown)
    if hidden:
        shown = shown[:-1]
        hidden += 1
    lines = [
        Text(_fit(it.title or "waiting for the plan", width), style="bold"),
        columns.line("host", "range", "done", "fps", "wrk", "note", style="dim"),
        *(columns.host(host, now_s) for host in shown),
    ]
    if hidden:
        lines.append(Text(_fit(f"and {sentences.plural(hidden, 'more host')}, see `--events`", width), style="dim"))
    lines.append(columns.total(it, now_s))
    lines += [Text(_fit(f"! {message}", width), style="yellow") for message in it.messages]
    return Text("\n").join(lines)


class _Columns:
    """Cells of one row, a space between them: names and ranges get what they need, bar and note share the rest."""

    def __init__(self, it: View, width: int) -> None:
        self._width = width
        self._name = min(max([4, 5, *(cell_len(host.name) for host in it.hosts)]), max(8, width // 5))
        # As wide as the last frames will need, so that columns do not move while the render goes on.
        last = it.frames.span.stop if it.frames else 0
        self._range = max(5, len(f"{last}:{last}"), len(f"{len(it.frames)}/{len(it.frames)}"))
        rest = max(10, width - self._name - self._range - 6 - 3 - 5)
        self._bar = rest * 2 // 5
        self._note = rest - self._bar

    def line(self, name: str, span: str, bar: str, fps: str, workers: str, note: str, style: str = "") -> Text:
        cells = (
            _fit(name, self._name),
            _fit(span, self._range),
            _fit(bar, self._bar),
            fps[:6].rjust(6),
            workers[:3].rjust(3),
            _fit(note, self._note),
        )
        return Text(set_cell_size(" ".join(cells), self._width), style=style)

    def host(self, host: HostView, now_s: float) -> Text:
        is_busy = host.chunk is not None
        return self.line(
            host.name,
            str(host.frames) if is_busy else "-",
            _bar(host.done, host.todo, self._bar) if is_busy else f"{host.total} frames",
            f"{host.meter.per_s(now_s):.1f}" if is_busy else "",
            str(host.workers) if host.workers else "",
            _note(host),
            style=STYLES.get(host.state, ""),
        )

    def total(self, it: View, now_s: float) -> Text:
        return self.line(
            "total",
            _fraction(it),
            _bar(len(it.verified), len(it.frames), self._bar),
            f"{it.meter.per_s(now_s):.1f}",
            str(sum(host.workers for host in it.hosts)),
            _end_text(it, now_s),
            style="bold",
        )


def state_text(it: View, now_s: float) -> str:
    """The whole run in one line: `120/660 frames, 18 %, 24.1 frames/s, 3 of 4 hosts capturing, ETA 0:22`."""
    done, total = len(it.verified), len(it.frames)
    busy = sum(host.state is HostState.CAPTURING for host in it.hosts)
    return (
        f"{done}/{total} frames, {100 * done // max(1, total)} %, {it.meter.per_s(now_s):.1f} frames/s, "
        f"{busy} of {sentences.plural(len(it.hosts), 'host')} capturing, {_end_text(it, now_s)}"
    )


def summary_text(it: View) -> str:
    """The last line of a run that succeeded."""
    if it.end is None:
        return ""
    video_s = len(it.frames) / it.fps if it.fps else 0.0
    speed = len(it.frames) / it.elapsed_s if it.elapsed_s else 0.0
    degraded = "; degraded: some hosts were lost or left out" if it.is_degraded else ""
    seams = f"; {len(it.seams_equal)} of {sentences.plural(len(it.seams), 'seam')} equal" if it.seams else ""
    if it.audited:
        seams += f"; audit: {it.audited_equal} of {sentences.plural(it.audited, 'frame')} equal"
    if it.disagreements:
        degraded += f"; frames differ between hosts, {it.disagreements} times: `evidence` in its report names both"
    return (
        f"{sentences.clean(it.end.output)}  {sentences.size(it.end.size_bytes)}, {len(it.frames)} frames, "
        f"{video_s:.2f} s of video in {sentences.duration(it.elapsed_s)} ({speed:.1f} frames/s){seams}{degraded}"
    )


def cores_lines(it: View, encoding: str | None) -> list[str]:
    """A bar for each machine in a run that is over, of characters that `encoding` has."""
    is_ascii = not _has(encoding or "ascii", cores.BLOCKS)
    return cores.lines(cores.fold(it.core_use, it.elapsed_s), is_ascii=is_ascii)


def _has(encoding: str, letters: str) -> bool:
    try:
        letters.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def preview_text(result: dict[str, Any]) -> str:
    """The result of `--dry-run` for people: one line per fact."""
    width = max((len(key) for key in result), default=0)
    lines = []
    for key, value in result.items():
        shown = value if not isinstance(value, dict) else ", ".join(f"{name} {item}" for name, item in value.items())
        shown = shown if not isinstance(shown, list) else "; ".join(map(str, shown)) or "none"
        lines.append(f"{key.replace('_', ' ').ljust(width)}  {sentences.clean(str(shown), limit=2000)}")
    return "\n".join(lines)


def _fraction(it: View) -> str:
    return f"{len(it.verified)}/{len(it.frames)}"


def _note(host: HostView) -> str:
    if host.state is HostState.CAPTURING:
        return host.why
    return f"{host.state.value}: {host.note}" if host.note else host.state.value


def _end_text(it: View, now_s: float) -> str:
    if it.end is not None:
        return "done" if it.end.exit_code == 0 else "stopped"
    if it.verified and it.verified == it.frames:
        return f"encoding, {sentences.plural(it.segments, 'segment')} done"
    eta_s = it.eta_s(now_s)
    return "ETA unknown yet" if eta_s is None else f"ETA {sentences.duration(eta_s)}"


def _bar(done: int, total: int, width: int) -> str:
    filled = width * done // max(1, total)
    return "#" * filled + "-" * (width - filled)


def _fit(text: str, width: int) -> str:
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(set_cell_size(text, max(0, width - 1)) + "…", width)


class _Now:
    """The run's clock between records: what the last one said, and the time since."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._elapsed_s = 0.0
        self._at = ""
        self._seen_s = clock()

    def set(self, record: Record) -> None:
        self._elapsed_s, self._at, self._seen_s = record.elapsed_s, record.at, self._clock()

    def elapsed_s(self) -> float:
        return self._elapsed_s + self._clock() - self._seen_s

    def at(self) -> str:
        """RFC 3339, the present second."""
        if not self._at:
            return dt.datetime.now().astimezone().isoformat(timespec="seconds")
        passed = dt.timedelta(seconds=self._clock() - self._seen_s)
        return (dt.datetime.fromisoformat(self._at) + passed).isoformat(timespec="seconds")


def _screen(file: TextIO, hosts: tuple[str, ...]) -> Screen:
    console = Console(file=file, highlight=False, markup=False, emoji=False)
    if file.isatty() and not console.is_dumb_terminal:
        return RichScreen(console, hosts)
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
