"""A benchmark for people: its rounds while they are rendered, on stderr, and the table at its end."""

from collections.abc import Iterator, Sequence
from typing import Any, Self

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from fleet import events
from fleet.bench import Round, Setting
from fleet.sentences import clean, plural, rate

# As wide as a line of the rounds needs at most, so that bars stand below each other.
TITLE_CHARS = 24
HEADS = (
    *("chunks", "median", "worst", "std", "worst/\nmedian"),
    *("chunk\np50", "chunk\np95", "host\ntime", "first\nframe", "wrk"),
)
WHYS_MAX = 3  # small chunks have a reason each
STEADY = 1.15  # the worst wall beside the median that a quiet machine stays below


class RoundsScreen:
    """A line for each round that is over; on a terminal also a bar for the one under way. Use it as a context."""

    def __init__(self, rounds: int, frames: int, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._rounds = rounds
        self._frames = frames
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} frames"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, number: int, chunks: int) -> None:
        """A bar for the round."""
        self._task = self._progress.add_task(self._title(number, chunks), total=self._frames)

    def hear(self, record: events.Record) -> None:
        """Frames that count."""
        if self._task is not None and isinstance(record.event, events.FramesVerified):
            self._progress.advance(self._task, len(record.event.frames))

    def end(self, number: int, done: Round) -> None:
        """Its line instead of the bar."""
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._progress.refresh()  # or the bar stands below its line for a moment
        line = f"{self._title(number, done.chunks)}{done.wall_s:8.2f} s, first frame after {done.first_frame_s:.2f} s"
        self._console.print(line)

    def _title(self, number: int, chunks: int) -> str:
        what = f"round {number} of {self._rounds}" if number else "warming up"
        return f"{what}, {plural(chunks, 'chunk')}".ljust(TITLE_CHARS + len(str(self._rounds)))


def table(found: Sequence[Setting]) -> Table:
    """One row for each setting; seconds, but for the ratio."""
    shown = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for head in HEADS:
        shown.add_column(head, justify="right", no_wrap=True)
    for setting in found:
        shown.add_row(*_cells(setting))
    return shown


def _cells(setting: Setting) -> Iterator[str]:
    yield str(setting.chunks)
    yield from map(_seconds, (setting.median_s, setting.worst_s, setting.std_s))
    yield f"{setting.worst_to_median:.2f}"
    yield from map(_seconds, (setting.chunk_p50_s, setting.chunk_p95_s, setting.host_s, setting.first_frame_s))
    counts = [crew.workers for crew in setting.crews]
    yield f"{min(counts)}" if len(set(counts)) < 2 else f"{min(counts)}-{max(counts)}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.{2 if seconds < 100 else 1 if seconds < 1000 else 0}f}"


def notes(result: dict[str, Any], found: Sequence[Setting]) -> list[str]:
    """What the table does not say: what was rendered, why so many workers, whether videos and walls are alike."""
    frames = f"{result['width']}x{result['height']} {rate(result['fps'])} fps, {plural(result['frames'], 'frame')}"
    lines = [f"{clean(result['composition'])}: {frames}, {plural(result['iterations'], 'iteration')}; times in seconds"]
    lines += [_crews(workers, found) for workers in sorted({crew.workers for one in found for crew in one.crews})]
    if degraded := sum(each.is_degraded for one in found for each in one.rounds):
        lines.append(f"some hosts were lost or left out in {plural(degraded, 'round')}: these walls say little")
    alike = "all videos are the same, byte for byte" if result["identical_videos"] else "VIDEOS DIFFER between rounds"
    unsteady = [str(setting.chunks) for setting in found if setting.worst_to_median > STEADY]
    steady = (
        f"worst/median is above {STEADY} at {', '.join(unsteady)}" if unsteady else f"worst/median is at most {STEADY}"
    )
    return [*lines, f"{alike}; {steady}"]


def _crews(workers: int, found: Sequence[Setting]) -> str:
    alike = [(one.chunks, crew.why) for one in found for crew in one.crews if crew.workers == workers]
    chunks = ", ".join(dict.fromkeys(str(count) for count, _ in alike))
    whys = list(dict.fromkeys(clean(why) for _, why in alike))
    more = ", ..." if len(whys) > WHYS_MAX else ""
    noun = "chunk" if chunks == "1" else "chunks"
    return f"{plural(workers, 'worker')} with {chunks} {noun}: {', '.join(whys[:WHYS_MAX])}{more}"
