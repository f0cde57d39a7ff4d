"""With how many workers a chunk begins, and why; `climb.py` goes on from there. Pure: no I/O.

One worker is one process with one browser; `capture/foreman.py` measures, this decides.
"""

import enum
from dataclasses import dataclass

MIB = 1024 * 1024
# A 1080p worker was measured at 135-242 MB (PSS); pages with large images and WebGL need room above that.
WORKER_MEMORY_BYTES = 600 * MIB
# Larger pictures need more of everything that holds one: 152 MB at 1080p were 325 MB at 4K, 28 bytes for each pixel
# beyond, and pages with layers have more of them.
USUAL_PIXELS = 1920 * 1080
PIXEL_MEMORY_BYTES = 64
# For the page cache that holds fresh frames until they are pulled, and for whoever else uses the host.
RESERVE_MEMORY_BYTES = 512 * MIB
# Tasks that wait for memory for more than this part of the time (in percent) wait for what workers took.
PRESSURE_MAX = 10.0
# Starting a browser and a page costs about as much as capturing 15 frames.
FRAMES_PER_WORKER = 15
WORKERS_MAX = 64
# Frames that nobody has fetched: at 1080p some minutes of film, and less than a small disk.
SPOOL_BYTES_MAX = 2048 * MIB
# What frames must leave free, for a browser's profile and whoever else uses the disk.
SPOOL_FREE_MIN_BYTES = 256 * MIB


class Bound(enum.Enum):
    """What kept the number of workers from being larger."""

    EXPLICIT = "explicit"
    CPU = "cpu"
    MEASURED = "measured"
    MEMORY = "memory"
    FRAMES = "frames"
    CEILING = "ceiling"


@dataclass(frozen=True, slots=True)
class Sizing:
    """The decision; `why` is a clause for people."""

    workers: int
    bound_by: Bound
    why: str

    @property
    def is_reckoned(self) -> bool:
        """Whether measuring may show that another number is better: nobody asked for this one, and frames are many."""
        return self.bound_by in {Bound.CPU, Bound.MEASURED, Bound.MEMORY}


@dataclass(frozen=True, slots=True)
class Memory:
    """What a host says of its memory: bytes to be had without swapping, of those that its owner grants as well, and
    the percentage of the last seconds in which some task waited for memory.
    """

    available_bytes: int
    limit_bytes: int | None = None  # for all workers together
    pressure: float = 0.0

    def room(self, *, running: int, pixels: int) -> int:
        """Workers that may be started beside those that run."""
        each = worker_memory_bytes(pixels)
        room = max(0, self.available_bytes - RESERVE_MEMORY_BYTES) // each
        if self.limit_bytes is None:
            return room
        return min(room, max(0, max(0, self.limit_bytes - RESERVE_MEMORY_BYTES) // each - running))

    @property
    def is_short(self) -> bool:
        """Whether there is too little for those that run."""
        return self.available_bytes < RESERVE_MEMORY_BYTES or self.pressure > PRESSURE_MAX


def decide(
    *,
    frames: int,
    cores: float,
    memory: Memory,
    explicit: int | None = None,
    measured: int | None = None,
    warm: int = 0,
    ceiling: int = WORKERS_MAX,
    pixels: int = USUAL_PIXELS,
) -> Sizing:
    """How many workers capture `frames` frames; always between 1 and WORKERS_MAX.

    `warm` workers run already: they need no start-up, and the available memory no longer counts theirs. `measured` is
    the number that was fastest before, whatever the cores promise. `ceiling` is what the owner of the host allows, or
    what failures have led to. `pixels` are those of one frame.
    """
    if explicit is not None:
        workers = max(1, min(WORKERS_MAX, explicit))
        return Sizing(workers, Bound.EXPLICIT, f"{explicit} asked for")
    by_memory = warm + memory.room(running=warm, pixels=pixels)
    by_frames = max(warm, frames // FRAMES_PER_WORKER)
    best = Sizing(round_half_up(cores), Bound.CPU, f"{cores:g} cores")
    if measured is not None:
        best = Sizing(measured, Bound.MEASURED, f"{measured} proved best here")
    choices = (
        Sizing(min(ceiling, WORKERS_MAX), Bound.CEILING, f"at most {min(ceiling, WORKERS_MAX)} on this host"),
        best,
        Sizing(by_memory, Bound.MEMORY, memory_words(memory)),
        Sizing(by_frames, Bound.FRAMES, f"only {frames} frames"),
    )
    least = min(choices, key=lambda choice: choice.workers)
    return Sizing(max(1, least.workers), least.bound_by, least.why)


def is_full(
    *, spool_bytes: int, spool_frames: int, limit_bytes: int, free_bytes: int, in_segments: int, workers: int
) -> bool:
    """Whether finished frames must be fetched before more are captured; never when there are none.

    `in_segments` is how long the segments are that are being encoded here, 0 when none is: two for each worker may
    wait, one that is encoded and one that grows.
    """
    is_ahead = in_segments > 0 and spool_frames > 2 * in_segments * workers
    return spool_frames > 0 and (spool_bytes > limit_bytes or free_bytes < SPOOL_FREE_MIN_BYTES or is_ahead)


def memory_words(memory: Memory) -> str:
    """The memory that decides, as a clause."""
    if memory.limit_bytes is not None and memory.limit_bytes < memory.available_bytes:
        return f"{memory.limit_bytes // MIB} MiB of memory allowed"
    return f"{memory.available_bytes // MIB} MiB of memory free"


def worker_memory_bytes(pixels: int) -> int:
    """What one worker may come to need that captures frames of so many pixels."""
    return WORKER_MEMORY_BYTES + max(0, pixels - USUAL_PIXELS) * PIXEL_MEMORY_BYTES


def round_half_up(cores: float) -> int:
    """Whole workers for a fractional CPU quota; 1.5 cores keep two browsers busy, since each also waits."""
    return int(cores + 0.5)
