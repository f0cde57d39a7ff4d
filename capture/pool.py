"""How many workers capture a chunk, and why. Pure: no I/O.

One worker is one process with one browser; `capture/agent.py` measures, this decides.
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
    MEMORY = "memory"
    FRAMES = "frames"
    CEILING = "ceiling"


@dataclass(frozen=True, slots=True)
class Sizing:
    """The decision; `why` is a clause for people."""

    workers: int
    bound_by: Bound
    why: str


def decide(
    *,
    frames: int,
    cores: float,
    memory_available_bytes: int,
    explicit: int | None = None,
    warm: int = 0,
    ceiling: int = WORKERS_MAX,
    pixels: int = USUAL_PIXELS,
) -> Sizing:
    """How many workers capture `frames` frames; always between 1 and WORKERS_MAX.

    `warm` workers run already: they need no start-up, and `memory_available_bytes` no longer counts theirs.
    `ceiling` is the number that an earlier chunk proved to be enough for this host. `pixels` are those of one frame.
    """
    if explicit is not None:
        workers = max(1, min(WORKERS_MAX, explicit))
        return Sizing(workers, Bound.EXPLICIT, f"{explicit} asked for")
    by_cpu = round_half_up(cores)
    by_memory = warm + max(0, memory_available_bytes - RESERVE_MEMORY_BYTES) // worker_memory_bytes(pixels)
    by_frames = max(warm, frames // FRAMES_PER_WORKER)
    choices = (
        Sizing(by_cpu, Bound.CPU, f"{cores:g} cores"),
        Sizing(by_memory, Bound.MEMORY, f"{memory_available_bytes // MIB} MiB of memory free"),
        Sizing(by_frames, Bound.FRAMES, f"only {frames} frames"),
        Sizing(min(ceiling, WORKERS_MAX), Bound.CEILING, f"at most {min(ceiling, WORKERS_MAX)} on this host"),
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


def worker_memory_bytes(pixels: int) -> int:
    """What one worker may come to need that captures frames of so many pixels."""
    return WORKER_MEMORY_BYTES + max(0, pixels - USUAL_PIXELS) * PIXEL_MEMORY_BYTES


def round_half_up(cores: float) -> int:
    """Whole workers for a fractional CPU quota; 1.5 cores keep two browsers busy, since each also waits."""
    return int(cores + 0.5)
