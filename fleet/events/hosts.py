"""What hosts are and do beside capturing: they come, are left out, get lost, are brought things. Pure: no I/O."""

from dataclasses import dataclass

from capture.protocol import CoreUse


@dataclass(frozen=True, slots=True)
class Trait:
    """Something about a host that pixels could depend on, as text."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostReady:
    """A host holds the bundle and its lock, and waits for a chunk."""

    host: str
    capacity: float  # workers it is expected to run, times its configured weight and the speed of its canary frames
    cores: float
    browser: str
    gl_renderer: str
    traits: tuple[Trait, ...] = ()
    pixels: str = ""  # a name of its pixel class, unless that is the largest


@dataclass(frozen=True, slots=True)
class HostRefused:
    """A host will not take part; the run goes on without it, and without what it delivered if it `is_liar`."""

    host: str
    message: str
    remedy: str
    is_liar: bool = False


@dataclass(frozen=True, slots=True)
class HostLost:
    """A working host went away; its missing frames go to others."""

    host: str
    message: str
    is_expected_back: bool = False  # HostReady, HostRefused or another HostLost will tell how reconnecting ended


@dataclass(frozen=True, slots=True)
class HostDraining:
    """The user wants a host back: it ends what its workers have begun; `is_over` when it has gone."""

    host: str
    is_over: bool = False


@dataclass(frozen=True, slots=True)
class HostReturns:
    """What a host sends back from now on, `frames` or `segments`."""

    host: str
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class PageLoaded:
    """A host's pages are ready, with these warnings by code; said once for every different set of them."""

    host: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BundlePushed:
    """A host was given the blobs it lacked; zero when it had them all."""

    host: str
    blobs: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class CoresUsed:
    """What a host's cores did up to now, since it was last told of; without a host, those of the coordinator."""

    host: str
    use: CoreUse
