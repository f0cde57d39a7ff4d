"""One frame that two hosts drew differently: who draws it again, and who is believed then. Pure: no I/O.

Both of them are asked, and a few others where there are any. Whoever draws it in two ways shows that the composition,
or the host, is not exact; of those who repeat themselves the larger number is believed.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from fleet import parity
from fleet.errors import VerificationError
from fleet.events import Trait

# One is enough against a lie; three are the larger number even where one more draws like the liar.
JURORS_MAX = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What follows for hosts; nothing at all when nobody is left to ask.

    `unstable` ones drew it in two ways, and are contradicted when all others surely agree. `split`: groups of hosts
    that drew the same, when no group is larger than all others.
    """

    convicted: tuple[str, ...] = ()
    unstable: tuple[str, ...] = ()
    is_contradicted: bool = False
    split: tuple[tuple[str, ...], ...] = ()


@dataclass(slots=True)
class Trial:
    """`answers` has each host's digests of `frame`, those of the two `parties` from the beginning."""

    frame: int
    parties: tuple[str, str]
    answers: dict[str, list[str]]
    asked: set[str] = field(default_factory=set)  # everyone is asked once
    waiting: set[str] = field(default_factory=set)

    def wants(self, host: str) -> bool:
        """Whether the host should draw the frame, when it idles."""
        jurors = sum(one not in self.parties for one in self.asked)
        return host not in self.asked and (host in self.parties or jurors < JURORS_MAX)

    def ask(self, host: str) -> None:
        """The host is drawing the frame."""
        self.asked.add(host)
        self.waiting.add(host)

    def hear(self, host: str, digest: str) -> None:
        """The host has drawn it."""
        self.answers.setdefault(host, []).append(digest)

    def is_over(self, candidates: Iterable[str]) -> bool:
        """Whether nobody of those who could is still to answer."""
        return not self.waiting and not any(map(self.wants, candidates))

    def ruling(self) -> Ruling:
        """Who is believed by what was heard."""
        unstable = tuple(host for host, drawn in self.answers.items() if len(set(drawn)) > 1)
        groups: dict[str, list[str]] = {}
        for host, drawn in self.answers.items():
            if host not in unstable and (host not in self.parties or len(drawn) > 1):
                groups.setdefault(drawn[0], []).append(host)
        if unstable:
            # One host that drew it once may only not have drawn it otherwise yet.
            sure = [hosts for hosts in groups.values() if len(hosts) > 1 or hosts[0] in self.parties]
            return Ruling(unstable=unstable, is_contradicted=len(groups) == len(sure) == 1)
        sizes = sorted(map(len, groups.values()), reverse=True)
        if len(sizes) > 1 and sizes[0] == sizes[1]:
            return Ruling(split=tuple(sorted(tuple(sorted(hosts)) for hosts in groups.values())))
        believed = max(groups, key=lambda digest: len(groups[digest]), default=None)
        others = (host for host, drawn in self.answers.items() if drawn[0] != believed)
        return Ruling(convicted=tuple(others) if believed is not None else ())


def undecided(trial: Trial, split: Sequence[Collection[str]], facts: dict[str, tuple[Trait, ...]]) -> VerificationError:
    """The end of a run whose hosts draw a frame in several ways, each again and again, as many one way as another."""
    first, second = (next(iter(group)) for group in split[:2])
    sides = " and ".join(", ".join(group) for group in split)
    differences = parity.differences(facts.get(second, ()), facts.get(first, ()))
    return VerificationError(
        f"frame {trial.frame} looks different on {sides}, and each draws it the same way again, so nothing says which "
        f"of them is right: of {second}, seen from {first}, {differences}",
        remedy=f"leave one out and go on, with `--limit '!{second}' --resume`; or make them alike: "
        "`fleetrender hosts check --parity`",
    )
