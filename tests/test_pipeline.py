"""What was encoded of frames that are taken back is encoded again of those that replace them, also after a crash."""

import asyncio
import dataclasses
import hashlib
import shutil
from pathlib import Path

import media_support as media
import pytest

from capture.protocol import FrameFile, FrameRange
from fleet import events, frameset, resume, throttle
from fleet.halt import Halt
from fleet.pipeline import ENCODERS, Pipeline
from fleet.rundir import RunDirectory

COUNT = 4
ALL, LAST = FrameRange(0, COUNT), FrameRange(2, COUNT)
RED, GREEN = (200, 30, 30), (30, 200, 30)


def draw(directory: RunDirectory, chunk: str, colour: tuple[int, int, int]) -> None:
    (directory.chunks / chunk).mkdir(parents=True)
    still = media.solid(directory.path / "still.jpg", colour)
    for index in range(COUNT):
        shutil.copyfile(still, directory.chunks / chunk / f"frame_{index:06d}.jpg")


def retracted(frames: FrameRange) -> events.FramesRetracted:
    return events.FramesRetracted(chunk="c0001", host="liar", frames=(frames,))


@pytest.mark.ffmpeg
@pytest.mark.parametrize("is_encoded", [True, False])
def test_frames_that_replace_others_are_those_in_the_film(tmp_path: Path, is_encoded: bool) -> None:
    plan = media.make_plan(COUNT, segment=2)
    directory = RunDirectory(tmp_path / "run")
    draw(directory, "c0001", RED)
    draw(directory, "c0002", GREEN)
    told: list[events.Event] = []

    async def scenario() -> tuple[Path, ...]:
        are_encoded = asyncio.Event()

        def hear(event: events.Event) -> None:
            told.append(event)
            if len(told) == 2:
                are_encoded.set()

        pipeline = Pipeline(plan, directory, hear)
        running = asyncio.create_task(pipeline.run())
        pipeline.add("c0001", ALL, ALL)
        if is_encoded:
            await are_encoded.wait()
        pipeline.retract(retracted(LAST))
        pipeline.add("c0002", ALL, LAST)
        pipeline.close()
        return await running

    first, last = asyncio.run(scenario())
    assert media.rgb(first)[0] > 150 > media.rgb(first)[1]
    assert media.rgb(last)[1] > 150 > media.rgb(last)[0]
    assert sorted(event.index for event in told if isinstance(event, events.SegmentEncoded)) == [0, 1]


@pytest.mark.ffmpeg
def test_an_encoder_that_has_taken_what_is_retracted_begins_again(tmp_path: Path) -> None:
    plan = media.make_plan(COUNT)
    directory = RunDirectory(tmp_path / "run")
    draw(directory, "c0001", RED)
    draw(directory, "c0002", GREEN)

    async def scenario() -> tuple[Path, ...]:
        pipeline = Pipeline(plan, directory, lambda _: None)
        pipeline.add("c0001", ALL, FrameRange(0, 3))
        running = asyncio.create_task(pipeline.run())
        await media.wait_for_process(f"file:{directory.segments}/segment_00000.mp4.part")
        pipeline.retract(retracted(FrameRange(0, 3)))
        pipeline.add("c0002", ALL, ALL)
        pipeline.close()
        return await running

    (only,) = asyncio.run(scenario())
    assert media.rgb(only)[1] > 150 > media.rgb(only)[0]


@pytest.mark.ffmpeg
def test_a_segment_that_a_crash_left_of_retracted_frames_is_not_used(tmp_path: Path) -> None:
    plan = media.make_plan(COUNT, segment=2)
    directory = RunDirectory(tmp_path / "run")
    draw(directory, "c0002", GREEN)

    async def scenario() -> tuple[Path, ...]:
        pipeline = Pipeline(plan, directory, lambda _: None)
        pipeline.add("c0002", ALL, FrameRange(0, 2))
        for index in range(2):
            (directory.segments / f"segment_{index:05d}.mp4").write_text("of an earlier run")
        running = asyncio.create_task(pipeline.run())
        await asyncio.sleep(0)
        pipeline.add("c0002", ALL, LAST)
        pipeline.close()
        return await running

    first, last = asyncio.run(scenario())
    assert first.read_text() == "of an earlier run"
    assert media.rgb(last)[1] > 150


async def settled(pipeline: Pipeline, count: int) -> tuple[events.StillsDropped, ...]:
    """What may be dropped, when it is `count` segments."""
    async with asyncio.timeout(60):
        while len(pipeline.settled()) < count:  # noqa: ASYNC110  it tells nobody
            await asyncio.sleep(0.01)
    return pipeline.settled()


def stills(directory: RunDirectory, chunk: str) -> list[int]:
    return sorted(int(file.stem.removeprefix("frame_")) for file in (directory.chunks / chunk).iterdir())


@pytest.mark.ffmpeg
def test_the_stills_of_an_encoded_segment_go_when_told_and_a_resumed_run_does_without_them(tmp_path: Path) -> None:
    plan = media.make_plan(COUNT, segment=2)
    directory = RunDirectory(tmp_path / "run")
    draw(directory, "c0001", RED)
    draw(directory, "c0002", GREEN)
    happened = told_of(directory, "a", "c0001")

    async def scenario() -> tuple[Path, ...]:
        pipeline = Pipeline(plan, directory, lambda _: None)
        running = asyncio.create_task(pipeline.run())
        pipeline.add("c0001", ALL, ALL)
        first, last = sorted(await settled(pipeline, 2), key=lambda event: event.index)  # made side by side
        assert stills(directory, "c0001") == [*ALL]
        pipeline.drop(first)
        assert stills(directory, "c0001") == [*LAST]
        # Told too late: the frames are taken back meanwhile, and the first one of them is still what counts.
        pipeline.retract(retracted(FrameRange(3, 4)))
        pipeline.drop(last)
        assert stills(directory, "c0001") == [*LAST]
        pipeline.add("c0002", ALL, FrameRange(3, 4))
        (again,) = await settled(pipeline, 1)
        happened.extend([first, again])
        pipeline.drop(again)
        pipeline.close()
        return await running

    films = asyncio.run(scenario())
    assert stills(directory, "c0001") == [3]  # what was retracted: the run ends without anybody looking at it
    assert stills(directory, "c0002") == [0, 1, 2]
    assert [round(media.rgb(film)[0], -2) for film in films] == [200, 200]
    assert list(resume.absent_frames(directory.chunks, plan, log(*happened))) == []
    films[0].write_bytes(films[0].read_bytes()[:-1])
    assert list(resume.absent_frames(directory.chunks, plan, log(*happened))) == [0, 1]


def test_only_frames_that_an_encoder_will_take_wait_for_one(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    draw(directory, "c0001", RED)
    _, verified = told_of(directory, "a", "c0001")
    assert isinstance(verified, events.FramesVerified)
    size_bytes = verified.frames[0].size_bytes
    halt = Halt()
    pipeline = Pipeline(media.make_plan(COUNT, segment=2), directory, lambda _: None, halt)
    assert pipeline.waiting_bytes() == 0
    pipeline.add_verified(dataclasses.replace(verified, frames=verified.frames[:3]), ALL)
    assert pipeline.waiting_bytes() == 2 * size_bytes
    pipeline.add_verified(dataclasses.replace(verified, frames=verified.frames[3:]), ALL)
    assert pipeline.waiting_bytes() == 4 * size_bytes
    with halt.heard_by(lambda: None):
        halt.drain()
    assert pipeline.waiting_bytes() == 0


@pytest.mark.ffmpeg
def test_a_run_that_keeps_its_stills_never_drops_any(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    draw(directory, "c0001", RED)

    async def scenario() -> tuple[events.StillsDropped, ...]:
        encoded = asyncio.Event()
        pipeline = Pipeline(media.make_plan(COUNT), directory, lambda _: encoded.set(), keeps_stills=True)
        running = asyncio.create_task(pipeline.run())
        pipeline.add("c0001", ALL, ALL)
        await encoded.wait()
        pipeline.close()
        await running
        return pipeline.settled()

    assert asyncio.run(scenario()) == ()


def log(*happened: events.Event) -> list[events.Record]:
    return [events.Record("", float(second), event) for second, event in enumerate(happened)]


def announced(file: Path, index: int) -> FrameFile:
    data = file.read_bytes()
    return FrameFile(index, len(data), hashlib.sha256(data).hexdigest())


def told_of(directory: RunDirectory, host: str, chunk: str) -> list[events.Event]:
    files = tuple(announced(directory.chunks / chunk / f"frame_{index:06d}.jpg", index) for index in ALL)
    ordered = events.ChunkOrdered(chunk=chunk, host=host, attempt=1, frames=ALL, todo=(ALL,))
    return [ordered, events.FramesVerified(chunk=chunk, host=host, frames=files)]


def test_a_resumed_run_takes_frames_from_where_they_count(tmp_path: Path) -> None:
    plan = media.make_plan(COUNT)
    directory = RunDirectory(tmp_path / "run")
    draw(directory, "c0001", RED)
    draw(directory, "c0002", GREEN)
    liar, other = (told_of(directory, host, chunk) for host, chunk in (("liar", "c0001"), ("b", "c0002")))
    (directory.chunks / "c0001" / "frame_000000.jpg").unlink()
    (directory.chunks / "c0002" / "frame_000003.jpg").unlink()
    assert list(resume.absent_frames(directory.chunks, plan, log(*liar, retracted(ALL), *other))) == [3]
    assert list(resume.absent_frames(directory.chunks, plan, log(*liar))) == [0]


EVERY = frameset.of([FrameRange(0, 200)])


def test_what_is_not_encoded_any_more_holds_up_nothing(tmp_path: Path) -> None:
    halt = Halt()
    pipeline = Pipeline(media.make_plan(200, segment=50), RunDirectory(tmp_path / "run"), lambda _: None, halt)
    pipeline.add("c0001", FrameRange(0, 200), FrameRange(0, 150))
    assert pipeline.room(EVERY).frames == 0
    with halt.heard_by(lambda: None):
        halt.drain()
    assert pipeline.room(EVERY) == throttle.Room(throttle.LEAST)


@pytest.mark.ffmpeg
def test_capture_may_not_go_far_ahead_of_encoders_unless_they_wait_for_it(tmp_path: Path) -> None:
    count, segment = 200, 50
    every = FrameRange(0, count)
    directory = RunDirectory(tmp_path / "run")
    media.make_stills(directory.chunks / "c0001", count)
    room: dict[str, int] = {}

    async def scenario() -> None:
        pipeline = Pipeline(media.make_plan(count, segment=segment), directory, lambda _: None)
        room["nothing is here"] = pipeline.room(EVERY).frames
        pipeline.add("c0001", every, FrameRange(0, 100))
        room["two segments are"] = pipeline.room(EVERY).frames
        pipeline.add("c0001", every, {*every} - {130})
        room["all but one frame"] = pipeline.room(EVERY).frames
        running = asyncio.create_task(pipeline.run())
        async with asyncio.timeout(60):
            while pipeline.room(EVERY).frames < throttle.LEAST - throttle.LOOKAHEAD:  # noqa: ASYNC110  it tells nobody
                await asyncio.sleep(0.01)
        assert sorted(path.name for path in directory.segments.glob("*.mp4")) == [
            f"segment_{index:05d}.mp4" for index in (0, 1, 3)
        ]
        pipeline.add("c0001", every, {130})
        pipeline.close()
        await running

    asyncio.run(scenario())
    assert room["nothing is here"] == min(throttle.most(segment_frames=segment, encoders=ENCODERS), count // 2)
    assert room["two segments are"] == 0
    assert room["all but one frame"] == 0


def held(tmp_path: Path, *, count: int = 110, here: FrameRange | None = None, encoded: int = 0) -> Pipeline:
    """Three segments, the last one of them short, when the frames `here` are and so many segments are encoded."""
    plan = media.make_plan(count, segment=50)
    pipeline = Pipeline(plan, RunDirectory(tmp_path / "run"), lambda _: None)
    if here is not None:
        pipeline.add("c0001", plan.frames, here)
    for segment in plan.segments[:encoded]:
        pipeline.receive("c0001", plan.frames, segment)
    return pipeline


def test_the_last_segment_waits_until_all_others_are_encoded(tmp_path: Path) -> None:
    every = frameset.of([FrameRange(0, 110)])
    assert held(tmp_path).room(every).stop == 100
    assert held(tmp_path, here=FrameRange(0, 100), encoded=1).room(every).stop == 100
    assert held(tmp_path, here=FrameRange(0, 100), encoded=2).room(every).stop is None


def test_a_last_segment_waits_for_nothing_that_would_come_after_it(tmp_path: Path) -> None:
    rest = frameset.of([FrameRange(80, 110)])
    assert held(tmp_path, here=FrameRange(0, 80)).room(rest).stop == 100
    assert held(tmp_path, here=FrameRange(0, 79)).room(rest).stop is None
    pipeline = held(tmp_path, here=FrameRange(0, 100))
    pipeline.retract(events.FramesRetracted(chunk="c0001", host="liar", frames=(FrameRange(3, 4),)))
    assert pipeline.room(frameset.of([FrameRange(0, 110)])).stop is None


def test_a_last_segment_that_can_be_encoded_while_it_comes_does_not_wait(tmp_path: Path) -> None:
    every = frameset.of([FrameRange(0, 100 + throttle.LOOKAHEAD + 1)])
    assert held(tmp_path, count=100 + throttle.LOOKAHEAD).room(every).stop == 100
    assert held(tmp_path, count=100 + throttle.LOOKAHEAD + 1).room(every).stop is None
    assert held(tmp_path, count=50).room(every).stop is None
