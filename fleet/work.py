"""What one run is about, as every host that takes part in it is told. Decides and does nothing."""

from collections.abc import Callable
from dataclasses import dataclass, field

from capture.protocol import PAGE_LIMIT_S
from fleet import busy
from fleet.busy import Busy
from fleet.frameset import FrameSet
from fleet.model import Bundle, Plan
from fleet.pagenotes import PageNotes
from fleet.rehearsal import Rehearsal
from fleet.rundir import RunDirectory
from fleet.stills import Stills
from fleet.throttle import RoomFor


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What every host of a run works on."""

    plan: Plan
    bundle: Bundle
    stills: Stills
    directory: RunDirectory
    workers: int | None  # asked for on the command line
    strict: bool = False  # what the page warns of ends the run
    page_limit_s: float = PAGE_LIMIT_S  # for a page to get ready, and for one frame
    allow_mixed: bool = False  # hosts that draw other pixels take part
    gl_frames: FrameSet = field(default_factory=FrameSet)  # may show WebGL
    may_keep_state: bool = False  # whether it is worth examining if frames depend on each other
    page_notes: PageNotes = field(default_factory=PageNotes)  # grows while the run goes on
    busy: Busy = busy.SKIP
    rehearsal: Rehearsal | None = None  # None: hosts return frames
    waiting_bytes: Callable[[], int] = int  # of frames here that encoders will take, whatever else comes
    room_for: RoomFor | None = None  # how far an order's frames may go ahead of encoders; None: as far as hosts like
