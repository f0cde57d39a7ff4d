"""Hosts that draw what they are told to, for a schedule that must find out whom to believe."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random

from capture.faults import Fault, FaultCode
from capture.protocol import FrameFile, FrameRange
from fleet import events, orders
from fleet.schedule import Schedule

# Frame, and how often the host has drawn it before -> what it looks like.
Draws = Callable[[int, int], str]


def right(frame: int, _: int = 0) -> str:
    return f"frame {frame}"


LIES: dict[str, Draws] = {
    "flipped pixel": lambda frame, _: f"flipped {frame}",
    "swapped frames": lambda frame, _: right(frame ^ 1),
    "repeated frame": lambda frame, _: right(frame - frame % 2),
    "another time": lambda frame, _: right(frame + 5),
}


def digest(picture: str) -> str:
    return hashlib.sha256(picture.encode()).hexdigest()


class Studio:
    """Obeys orders one at a time, in an order drawn from `rng`, until the schedule says that it ends."""

    def __init__(
        self,
        count: int,
        hosts: Mapping[str, Draws],
        *,
        rng: Random | None = None,
        pixels: Mapping[str, str] | None = None,
        segment: int | None = None,
        **terms: object,
    ) -> None:
        """Segments of `segment` frames lose their stills as soon as all of them count."""
        self.schedule = Schedule(FrameRange(0, count), hosts=hosts, **terms)  # type: ignore[arg-type]
        self.homes: dict[int, tuple[str, str]] = {}  # by frame, host and chunk of the file that an encoder would read
        self.files: dict[tuple[str, int], str] = {}  # by chunk and frame, the picture's digest
        self.log: list[events.Event] = []
        self.end: orders.Finish | orders.GiveUp | None = None
        self.now_s = 0.0
        self._hosts = hosts
        self._pixels = pixels or {}
        self._rng = rng
        self._drawn: dict[tuple[str, int], int] = {}
        self._work: list[list[events.Event]] = []  # what each order on its way will lead to
        self._count = count
        starts = range(0, count, segment) if segment else ()
        self._segments = [FrameRange(start, min(start + segment, count)) for start in starts if segment]
        self.dropped: set[FrameRange] = set()

    @property
    def kept(self) -> dict[int, tuple[str, str]]:
        """By frame, who drew what is in the film, and its digest."""
        return {frame: (host, self.files[chunk, frame]) for frame, (host, chunk) in self.homes.items()}

    @property
    def struck(self) -> set[str]:
        return {event.host for event in self.log if isinstance(event, events.HostStruck)}

    @property
    def convicted(self) -> set[str]:
        return {event.host for event in self.log if isinstance(event, events.HostStruck) and event.is_final}

    def said(self, kind: type[events.Event]) -> list[events.Event]:
        return [event for event in self.log if isinstance(event, kind)]

    def run(self) -> "Studio":
        self.feed(*(self.ready(name) for name in self._hosts))
        for _ in range(10_000):
            if self.end is not None:
                return self
            if self._work:
                at = self._rng.randrange(len(self._work)) if self._rng else 0
                event = self._work[at].pop(0)
                self._work = [left for left in self._work if left]
                self.feed(event)
            else:
                self.now_s += 1.0
                self.feed()
        raise AssertionError("no end")

    def ready(self, name: str) -> events.HostReady:
        traits = (events.Trait("browser", f"that of {name}"),)
        return events.HostReady(
            host=name, capacity=2.0, cores=2.0, browser="156", gl_renderer="sw", traits=traits, **self._class(name)
        )

    def _class(self, name: str) -> dict[str, str]:
        return {"pixels": self._pixels[name]} if name in self._pixels else {}

    def feed(self, *happened: events.Event) -> None:
        heard = [
            one for one in happened if not isinstance(one, events.FramesVerified) or self.schedule.believes(one.host)
        ]
        for event in happened:  # files arrive whether or not their host is believed
            if isinstance(event, events.FramesVerified):
                self.files |= {(event.chunk, file.index): file.sha256 for file in event.frames}
        heard = [*self._settled(), *heard]
        self.log += heard
        self.now_s += 0.01
        given = self.schedule.handle(*heard, now_s=self.now_s)
        self.schedule.check()
        self._take_back(given)
        for event in heard:
            if isinstance(event, events.FramesVerified):
                for file in self.schedule.kept(event).frames:
                    self.homes.setdefault(file.index, (event.host, event.chunk))
            elif isinstance(event, events.StillsDropped) and self.homes.keys() >= {*event.frames}:
                self.dropped.add(event.frames)
        for order in given:
            self._obey(order)

    def _take_back(self, given: Iterable[orders.Order]) -> None:
        for order in given:
            if isinstance(order, orders.Say) and isinstance(order.event, events.FramesRetracted):
                for part in order.event.frames:
                    for frame in part:
                        self.homes.pop(frame, None)
        gone = {segment for segment in self.dropped if not self.homes.keys() >= {*segment}}
        assert not any(frame in self.homes for segment in gone for frame in segment), "a frame is nowhere any more"
        self.dropped -= gone

    def _settled(self) -> list[events.Event]:
        complete = [one for one in self._segments if one not in self.dropped and self.homes.keys() >= {*one}]
        return [
            events.StillsDropped(index=self._segments.index(one), frames=one, size_bytes=1, sha256=digest(str(one)))
            for one in complete
        ]

    def _obey(self, order: orders.Order) -> None:
        match order:
            case orders.Say():
                self.log.append(order.event)
            case orders.Capture():
                self.log.append(
                    events.ChunkOrdered(**{f.name: getattr(order, f.name) for f in dataclasses.fields(order)})
                )
                self._work.append(self._capture(order))
            case orders.Cancel():
                self._cancel(order)
            case orders.Finish() | orders.GiveUp():
                self.end = order
            case orders.Trim() | orders.Release():
                pass

    def _capture(self, order: orders.Capture) -> list[events.Event]:
        said: list[events.Event] = []
        names = {"chunk": order.chunk, "host": order.host}
        seam = order.seam(FrameRange(0, self._count))
        if seam is not None:
            said.append(events.SeamDrawn(**names, frame=self._draw(order.host, seam)))
        frames = [frame for part in order.todo for frame in part]
        for some in (frames[: len(frames) // 2], frames[len(frames) // 2 :]):
            if some:
                files = tuple(self._draw(order.host, frame) for frame in some)
                said.append(events.FramesVerified(chunk=order.chunk, host=order.host, frames=files))
        return [*said, events.ChunkDone(**names, attempt=order.attempt)]

    def _cancel(self, order: orders.Cancel) -> None:
        for place, left in enumerate(self._work):
            end = left[-1]
            if isinstance(end, events.ChunkDone) and end.chunk == order.chunk:
                # What was on its way arrives late.
                fault = Fault(code=FaultCode.CANCELLED, message="cancelled")
                failed = events.ChunkFailed(chunk=end.chunk, host=end.host, attempt=end.attempt, fault=fault)
                self._work[place] = [*left[:-1], failed]
                return

    def _draw(self, host: str, frame: int) -> FrameFile:
        times = self._drawn.get((host, frame), 0)
        self._drawn[host, frame] = times + 1
        return FrameFile(frame, 1, digest(self._hosts[host](frame, times)))


def wrong(studio: Studio, frames: Sequence[int] | None = None) -> list[int]:
    """Frames of the output that are not what they should be."""
    every = range(studio._count) if frames is None else frames
    return [frame for frame in every if studio.kept.get(frame, ("", ""))[1] != digest(right(frame))]
