"""One decision whether to step through every frame, and what follows from it for schedule, resume and hosts."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from composition_support import ROOT, page, read

from capture.protocol import CaptureMode, Examined, FrameFile, FrameRange
from fleet import events, orders, plan, resume, sizing, verdict
from fleet.composition import speech
from fleet.errors import HostLost
from fleet.schedule import Schedule
from fleet.stepping import Stepping, samples

FOUND = Examined(sequential=True, why="frame 5 looks different")
FIXED = events.SteppingFixed(True, "a: frame 5")
LACKING = events.PageLoaded("a", ("frame_loop", "timeline_missing"))


def ready(host: str) -> events.HostReady:
    return events.HostReady(host=host, capacity=2.0, cores=2.0, browser="156", gl_renderer="sw")


def answering(found: Examined | None) -> Callable[[], Awaitable[Examined | None]]:
    async def examine() -> Examined | None:
        return found

    return examine


async def never() -> Examined | None:
    raise AssertionError("nobody was to be asked")


def test_the_first_host_examines_and_its_answer_is_everybodys() -> None:
    told: list[events.Event] = []

    async def decide() -> list[bool]:
        stepping = Stepping(None, has_hints=True, emit=told.append)
        return list(await asyncio.gather(stepping.decide("a", answering(FOUND)), stepping.decide("b", never)))

    assert asyncio.run(decide()) == [True, True]
    assert told == [events.SteppingFixed(True, "a: frame 5 looks different")]


def test_a_host_lost_while_it_examines_leaves_that_to_the_next() -> None:
    async def lost() -> Examined | None:
        raise HostLost("a", "gone", remedy="look")

    async def decide() -> bool:
        stepping = Stepping(None, has_hints=True, emit=lambda _: None)
        with pytest.raises(HostLost):
            await stepping.decide("a", lost)
        return await stepping.decide("b", answering(FOUND))

    assert asyncio.run(decide())


@pytest.mark.parametrize(
    ("known", "has_hints", "expected"),
    [
        (None, False, False),
        (events.SteppingFixed(True, "declared"), True, True),
        (events.SteppingFixed(False, "x"), True, False),
    ],
)
def test_without_a_hint_or_a_question_nobody_is_asked(
    known: events.SteppingFixed | None, has_hints: bool, expected: bool
) -> None:
    stepping = Stepping(known, has_hints=has_hints, emit=lambda _: None)
    assert asyncio.run(stepping.decide("a", never)) is expected


@pytest.mark.parametrize("found", [None, Examined(sequential=False, why="frame 5", is_repeatable=False)])
def test_what_cannot_be_told_and_what_cannot_be_helped_is_a_warning(found: Examined | None) -> None:
    told: list[events.Event] = []
    assert not asyncio.run(Stepping(None, has_hints=True, emit=told.append).decide("a", answering(found)))
    assert [type(event) for event in told] == [events.Warned, events.SteppingFixed]


def test_hosts_of_a_sequential_render_get_one_chunk_each_and_nobody_takes_from_another() -> None:
    schedule = Schedule(FrameRange(0, 900), hosts=["a", "b", "c"])
    given = schedule.handle(events.SteppingFixed(True, ""), ready("a"), now_s=0.0)
    given += schedule.handle(ready("b"), now_s=0.1)
    given += schedule.handle(ready("c"), now_s=0.2)
    captures = [order for order in given if isinstance(order, orders.Capture)]
    assert [(order.host, order.frames) for order in captures] == [
        ("a", FrameRange(0, 300)),
        ("b", FrameRange(300, 600)),
        ("c", FrameRange(600, 900)),
    ]
    for order in captures[:2]:
        files = tuple(FrameFile(index, 1, "0" * 64) for index in order.frames)
        schedule.handle(events.FramesVerified(chunk=order.chunk, host=order.host, frames=files), now_s=5.0)
        done = events.ChunkDone(chunk=order.chunk, host=order.host, attempt=1)
        assert schedule.handle(done, now_s=6.0) == ()
    assert schedule.handle(now_s=500.0) == ()
    schedule.check()


def test_shares_leave_room_for_hosts_that_are_still_expected() -> None:
    assert sizing.shares(90, 0, ["a"], {"a": 2.0}, 2) == {"a": 30}
    assert sizing.shares(90, 0, ["a", "b"], {"a": 1.0, "b": 2.0}, 0) == {"a": 30, "b": 60}
    assert sizing.shares(90, 0, [], {"a": 1.0}, 0) == {}


def test_a_resumed_run_keeps_what_was_decided() -> None:
    history = [
        events.Record("", 0.0, events.ModeFixed(CaptureMode.BEGIN_FRAME, "156", "")),
        events.Record("", 1.0, FIXED),
        events.Record("", 2.0, LACKING),
        events.Record("", 3.0, events.PageLoaded("b", ())),
    ]
    assert resume.fixed_stepping(history, declared=False) == FIXED
    assert resume.fixed_stepping((), declared=False) is None
    assert resume.fixed_stepping((), declared=True) == events.SteppingFixed(True, "declared")
    assert resume.first_page(history) == LACKING
    assert [events.from_line(events.to_line(record)) for record in history] == history


def test_pages_that_lack_different_things_are_no_parts_of_one_film() -> None:
    assert verdict.unlike(LACKING, events.PageLoaded("b", ("page_error", "timeline_missing"))) is None
    error = verdict.unlike(LACKING, events.PageLoaded("b", ("frame_loop",)))
    assert error is not None
    assert "timeline_missing on a, nothing on b" in str(error)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("const tl = gsap.timeline(); tl.to('#a', {x: '+=5'}); gsap.set('#b', {y: 1});", False),
        ("tl.eventCallback('onUpdate', () => { mesh.rotation.y = tl.time(); });", False),
        ("for (const a of b) html += a;", False),
        ("addEventListener('hf-seek', () => draw(`vec3 c; c += 1.0;`));", False),
        ("addEventListener('hf-seek', () => { mesh.rotation.y += 0.1; });", True),
        ("tl.to(o, {v: 1, onUpdate: () => draw(c.getContext('2d'))});", True),
        ("gsap.to('#a', {x: 5});", True),
        ("const loop = () => requestAnimationFrame(loop); loop();", True),
        ("back.drawImage(front, 0, 0);", True),
        ("renderer.setRenderTarget(new THREE.WebGLRenderTarget(8, 8));", True),
        ("/* a library */ requestAnimationFrame(tick);" + " " * 60_000, False),
    ],
)
def test_scripts_that_could_keep_state_are_worth_examining(script: str, expected: bool) -> None:
    assert speech.may_keep_state([script]) is expected


@pytest.mark.parametrize(
    ("attribute", "sequential", "may_keep_state"),
    [
        ("", False, True),
        ("data-fleet-sequential", True, False),
        ('data-fleet-sequential="true"', True, False),
        ('data-fleet-sequential="false"', False, False),
    ],
)
def test_an_author_who_says_it_is_believed(
    tmp_path: Path, attribute: str, sequential: bool, may_keep_state: bool
) -> None:
    root = ROOT.replace(">", f" {attribute}>")
    files = {"index.html": page('<script src="own.js"></script>', root=root), "own.js": "requestAnimationFrame(draw)"}
    compiled = read(tmp_path, files)
    assert (compiled.sequential, compiled.may_keep_state) == (sequential, may_keep_state)
    declared = plan.make(compiled, "b" * 64, "a" * 64, sequential=True)
    assert plan.make(compiled, "b" * 64, "a" * 64).sequential is sequential
    assert declared.sequential


@pytest.mark.parametrize("count", [1, 2, 3, 7, 24, 1000])
def test_samples_lie_in_the_film_and_are_come_to_through_the_frames_before_them(count: int) -> None:
    ranges = samples(count)
    assert all(FrameRange(0, count).covers(part) and len(part) > 1 for part in ranges)
    lasts = [part.stop - 1 for part in ranges]
    assert lasts == sorted(set(lasts))
    assert (count - 1 in lasts) == (count > 1)
