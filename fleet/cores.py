"""How busy the cores of a run's machines were from its start to its end, folded from events, and as bars of text.

Pure: no I/O; `capture/cores.py` measures. A machine is told of once, whoever has spoken of its cores.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fleet import events, untrusted

# Narrow enough to stand beside a name and a sentence in 80 columns, wide enough to show a tail of a few percent.
BUCKETS = 30
ROWS_MAX = 8
NAME_CHARS = 20
HERE = "here"  # the coordinator's machine where it is no host
BLOCKS = "▁▂▃▄▅▆▇█"
ASCII = "_.:-=+*#"
UNKNOWN = " "

Told = tuple[float, events.CoresUsed]  # seconds since the run began, at which the last step ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Cores of one machine, or of the part of one that a quota allows: the busy part of them, 1 being all of them.

    `shares` cut the run into BUCKETS equal times; None where nobody measured.
    """

    hosts: tuple[str, ...]
    is_coordinator: bool
    cores: float
    busy_s: float  # core-seconds
    mean: float
    shares: tuple[float | None, ...]


def fold(told: Iterable[Told], end_s: float) -> tuple[Load, ...]:
    """The load of each machine in a run of `end_s` seconds; that of the coordinator comes first."""
    places: dict[str, list[Told]] = {}
    for now_s, event in told:
        places.setdefault(event.use.place, []).append((now_s, event))
    loads = [_load(some, end_s) for some in places.values()]
    return tuple(sorted(loads, key=lambda load: not load.is_coordinator))


def plain(load: Load) -> dict[str, Any]:
    """`load` for a report."""
    return {
        "hosts": list(load.hosts),
        "is_coordinator": load.is_coordinator,
        "cores": load.cores,
        "busy_s": round(load.busy_s, 3),
        "mean": round(load.mean, 3),
        "shares": [None if share is None else round(share, 3) for share in load.shares],
    }


def lines(loads: Sequence[Load], *, is_ascii: bool) -> list[str]:
    """A bar for each machine, at most 80 columns wide; the busiest are left out where there are too many."""
    chosen = sorted(loads, key=lambda load: load.mean)[:ROWS_MAX]
    shown = [load for load in loads if load in chosen]
    width = max((len(_name(load)) for load in shown), default=0)
    rows = [f"cores  {_name(load).ljust(width)}  {bar(load.shares, is_ascii=is_ascii)}  {_sum(load)}" for load in shown]
    hidden = len(loads) - len(shown)
    return [*rows, f"cores  and {hidden} more, which idled less: see `cores` in the report"] if hidden else rows


def bar(shares: Iterable[float | None], *, is_ascii: bool) -> str:
    """One character for each share, blank where it is not known."""
    levels = ASCII if is_ascii else BLOCKS
    return "".join(
        UNKNOWN if share is None else levels[min(len(levels) - 1, int(share * len(levels)))] for share in shares
    )


def _load(told: Sequence[Told], end_s: float) -> Load:
    names = tuple(dict.fromkeys(event.host for _, event in told if event.host))
    # Whoever coordinates has seen the whole run; of several hosts in one place, one is as good as the other.
    is_coordinator = any(not event.host for _, event in told)
    teller = "" if is_coordinator else names[0]
    cores = next(event.use.cores for _, event in reversed(told) if event.host == teller)
    length_s = max(end_s, 1e-3) / BUCKETS
    busy_s, known_s = [0.0] * BUCKETS, [0.0] * BUCKETS
    for start_s, stop_s, share in _steps(told, teller):
        for at in range(max(0, int(start_s / length_s)), min(BUCKETS, int(stop_s / length_s) + 1)):
            part_s = max(0.0, min(stop_s, (at + 1) * length_s) - max(start_s, at * length_s))
            known_s[at] += part_s
            busy_s[at] += part_s * share
    # A step may reach a little over the edge of what it was counted in, and no more than all cores can be busy.
    shares = (
        min(1.0, busy / (cores * known)) if known > 0 else None for busy, known in zip(busy_s, known_s, strict=True)
    )
    return Load(
        hosts=names,
        is_coordinator=is_coordinator,
        cores=cores,
        busy_s=sum(busy_s),
        mean=min(1.0, sum(busy_s) / (cores * sum(known_s))) if sum(known_s) else 0.0,
        shares=tuple(shares),
    )


def _steps(told: Iterable[Told], teller: str) -> Iterator[tuple[float, float, float]]:
    """Start and stop of each step in seconds of the run, and how many cores were busy in it."""
    for now_s, event in told:
        if event.host != teller:
            continue
        stop_s = now_s
        for step_ms, busy_ms in zip(reversed(event.use.steps_ms), reversed(event.use.busy_ms), strict=True):
            yield stop_s - step_ms / 1000, stop_s, busy_ms / step_ms
            stop_s -= step_ms / 1000


def _name(load: Load) -> str:
    name = untrusted.clean(", ".join(load.hosts) or HERE)
    return name if len(name) <= NAME_CHARS else f"{name[: NAME_CHARS - 1]}…"


def _sum(load: Load) -> str:
    return f"{100 * load.mean:3.0f} % of {load.cores:.12g} busy"
