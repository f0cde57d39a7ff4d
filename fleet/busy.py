"""What a render does about a host that another render holds: `--busy skip|wait=10m|fail`. Pure: no I/O."""

import re
from dataclasses import dataclass

from fleet.errors import ConfigError

POLL_S = 5.0  # how soon a host that has become free is noticed
_WAIT = re.compile(r"wait=([0-9]{1,6}(?:\.[0-9]{1,3})?)([smh])")
_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Busy:
    """How long to wait for such a host, and whether the render ends when it is not free by then, or goes without it."""

    wait_s: float = 0.0
    is_fatal: bool = False


SKIP = Busy()


def parse(text: str) -> Busy:
    """The policy that `--busy` names; ConfigError for anything else."""
    if text == "skip":
        return SKIP
    if text == "fail":
        return Busy(is_fatal=True)
    found = _WAIT.fullmatch(text)
    if found is None:
        raise ConfigError(f"--busy: `{text}` is none of skip, fail, wait=10m", remedy="for example `--busy wait=10m`")
    return Busy(wait_s=float(found[1]) * _UNITS_S[found[2]])
