"""Which running chunk an idle host should capture a second time, when too little is left to share. Pure."""

from collections.abc import Mapping, Sequence

from fleet.costs import Curve
from fleet.stealing import STEAL_COST_S, Load

# Captured twice for nothing is cheap on a host that idles anyway, but it loads the network and may be another's host.
HEDGE_GAIN = 0.6


def too_slow(pairs: Sequence[tuple[Load, Load]], helpers: Mapping[str, float], curve: Curve) -> list[Load]:
    """Of chunks that are captured twice already, the slower one wherever an idle host would still end well before."""
    fastest = max(helpers.values(), default=0.0)
    return [
        min(pair, key=lambda load: load.speed)
        for pair in pairs
        if hedges([max(pair, key=lambda load: load.speed)], {"": fastest} if fastest else {}, curve)
    ]


def hedges(loads: Sequence[Load], helpers: Mapping[str, float], curve: Curve) -> list[tuple[Load, str]]:
    """Chunk and helper, the slowest chunk first, wherever a copy would end well before the original."""
    chosen: list[tuple[Load, str]] = []
    works = [(curve.of(load.missing), load) for load in loads] if helpers else []
    free = iter(sorted(helpers, key=lambda name: (-helpers[name], name)))
    name = next(free, None)
    for work, load in sorted(works, key=lambda pair: -pair[0] / pair[1].speed):
        if name is None:
            break
        # A chunk that the fastest free helper is too slow for is none for the others either.
        if work / helpers[name] + STEAL_COST_S < work / load.speed * HEDGE_GAIN:
            chosen.append((load, name))
            name = next(free, None)
    return chosen
