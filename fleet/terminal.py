"""The screen for terminals: a `view` as one row per host, redrawn in place. It decides nothing."""

import time
from collections.abc import Callable
from typing import TextIO

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.live import Live
from rich.text import Text

from fleet import sentences, telling, view
from fleet.events import Record
from fleet.view import HostState, HostView, View

# Header, column names, total, messages, and the line on which the cursor rests.
LINES_BESIDE_HOSTS = 4 + view.MESSAGES_MAX
STYLES = {
    HostState.CAPTURING: "green",
    HostState.LOST: "red",
    HostState.REFUSED: "red",
    HostState.RECONNECTING: "yellow",
}


def screen(file: TextIO, hosts: tuple[str, ...]) -> "RichScreen | None":
    """The screen for the terminal `file`; None for one that cannot redraw."""
    console = Console(file=file, highlight=False, markup=False, emoji=False)
    return None if console.is_dumb_terminal else RichScreen(console, hosts)


class RichScreen:
    """For terminals: one row per host, redrawn in place; as many rows as fit, each exactly as wide as the terminal."""

    def __init__(
        self, console: Console, hosts: tuple[str, ...] = (), *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console
        self._view = view.expecting(hosts)
        self._now = telling.Clock(clock)
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
            for line in (telling.summary(self._view), *telling.core_bars(self._view, self._console.encoding)):
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
            telling.fraction(it),
            _bar(len(it.verified), len(it.frames), self._bar),
            f"{it.meter.per_s(now_s):.1f}",
            str(sum(host.workers for host in it.hosts)),
            telling.outlook(it, now_s),
            style="bold",
        )


def _note(host: HostView) -> str:
    if host.state is HostState.CAPTURING:
        return host.why
    return f"{host.state.value}: {host.note}" if host.note else host.state.value


def _bar(done: int, total: int, width: int) -> str:
    filled = width * done // max(1, total)
    return "#" * filled + "-" * (width - filled)


def _fit(text: str, width: int) -> str:
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(set_cell_size(text, max(0, width - 1)) + "…", width)
