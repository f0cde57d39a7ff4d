"""A benchmark as a picture, SVG or PNG: the wall of every setting, and how it scales. Matplotlib draws it.

Imported only when somebody asks for a picture: `pip install "fleetrender[bench]"` brings what it needs.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fleet import bench
from fleet.bench import Setting

SIZE_INCHES = (10, 4.2)
PNG_DPI = 150
INK, ACCENT, SOFT = "#1f2937", "#2563eb", "#93c5fd"


def draw(path: Path, result: dict[str, Any], found: Sequence[Setting]) -> None:
    """Writes the picture of `found` to `path`, whose suffix says what kind it is."""
    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    walls, scaling = figure.subplots(1, 2)
    _walls(walls, found)
    _scaling(scaling, found, hosts=len(result["hosts"]))
    figure.suptitle(_title(result), fontsize=11, color=INK)
    part = path.with_name(f"{path.name}.part")
    figure.savefig(
        part, format=path.suffix[1:].lower(), dpi=PNG_DPI, metadata={"Date": None} if _is_svg(path) else None
    )
    part.replace(path)


def _walls(axes: Axes, found: Sequence[Setting]) -> None:
    """From the best to the worst as a line, the median as a dash on it, every iteration as a dot."""
    places = range(len(found))
    axes.vlines(places, [one.best_s for one in found], [one.worst_s for one in found], color=SOFT, linewidth=7)
    axes.scatter(places, [one.median_s for one in found], marker="_", s=380, linewidths=2.5, color=ACCENT, zorder=3)
    for place, one in zip(places, found, strict=True):
        axes.scatter([place] * one.iterations, [each.wall_s for each in one.rounds], s=9, color=INK, zorder=4)
        text = f"{one.median_s:.1f} s\n({one.worst_to_median:.2f})"
        axes.annotate(
            text, (place, one.worst_s), (0, 7), textcoords="offset points", ha="center", fontsize=8, color=INK
        )
    axes.set_xticks(list(places), [str(one.chunks) for one in found])
    axes.set_xlim(-0.6, len(found) - 0.4)
    axes.set_ylim(0, 1.2 * max(one.worst_s for one in found))
    _dress(axes, "wall: best, median and worst iteration (worst/median)", "seconds")


def _scaling(axes: Axes, found: Sequence[Setting], *, hosts: int) -> None:
    """How many times faster than with the fewest chunks; ideal is as many times as more hosts have something to do."""
    chunks = [one.chunks for one in found]
    ideal = [min(count, hosts) / min(chunks[0], hosts) for count in chunks]
    speedups = bench.speedups(found)
    axes.plot(chunks, ideal, color=SOFT, linestyle="--", label=f"ideal with {hosts} host{'s' if hosts > 1 else ''}")
    axes.plot(chunks, speedups, color=ACCENT, marker="o", label="measured, medians")
    axes.set_xticks(chunks)
    axes.set_ylim(0, 1.2 * max(*ideal, *speedups))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    _dress(axes, f"speed beside {chunks[0]} chunk{'s' if chunks[0] > 1 else ''}", "times faster")


def _dress(axes: Axes, title: str, y_label: str) -> None:
    axes.set_title(title, fontsize=9, color=INK)
    axes.set_xlabel("chunks", fontsize=9)
    axes.set_ylabel(y_label, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(axis="y", color="#e5e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _title(result: dict[str, Any]) -> str:
    hosts = ", ".join(f"{host['name']} ({host['cores']:g} cores)" for host in result["hosts"][:3])
    more = f" and {len(result['hosts']) - 3} more" if len(result["hosts"]) > 3 else ""
    return f"{result['composition']}: {result['frames']} frames, {result['iterations']} iterations, on {hosts}{more}"


def _is_svg(path: Path) -> bool:
    return path.suffix.lower() == ".svg"
