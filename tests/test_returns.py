"""Hosts that send segments instead of frames: what is asked of whom, what counts, and the same video in the end."""

import asyncio
import hashlib
import json
import signal
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import fleet_support
import media_support as media
import pytest
from fleet_support import check_left, run_directory, start
from fleetrender_support import EXAMPLES, fleetrender

from capture import encoder
from capture.faults import Fault, FaultCode
from capture.protocol import (
    Done,
    Encode,
    Failed,
    FrameFile,
    FrameRange,
    Rehearsed,
    SegmentFile,
    segment_name,
)
from capture.segments import Segments
from fleet import encode, events, orders, request, resume, returns
from fleet.delivery import ENCODE_PATIENCE_S, Delivery
from fleet.errors import ConfigError, ExitCode
from fleet.frameset import FrameSet
from fleet.ledger import Ledger
from fleet.pipeline import Pipeline
from fleet.returns import Flow, Returns
from fleet.rundir import RunDirectory

GRID = (FrameRange(0, 10), FrameRange(10, 20), FrameRange(20, 30))
FIRST, SECOND, THIRD = GRID
BUILD = ("ffmpeg version 5.1 Copyright (c) someone", "built with gcc 12", "configuration: --enable-gpl", "libavutil 57")
DIGEST = "ab" * 32


def frame(index: int) -> FrameFile:
    return FrameFile(index, 100, DIGEST)


def frames(part: FrameRange) -> tuple[FrameFile, ...]:
    return tuple(map(frame, part))


def of(*parts: FrameRange) -> FrameSet:
    return FrameSet(parts)


# What is asked for


def test_a_segment_is_asked_of_whoever_has_all_of_its_frames_to_do_and_nobody_has_one_yet() -> None:
    todo = (FrameRange(5, 25), FrameRange(25, 30))
    assert returns.segments(GRID, todo, FrameSet()) == (SECOND, THIRD)
    assert returns.segments(GRID, todo, of(FrameRange(12, 13))) == (THIRD,)
    assert returns.segments(GRID, (FrameRange(0, 9), FrameRange(10, 15)), FrameSet()) == ()


@pytest.mark.parametrize(
    ("there", "why"),
    [
        (Rehearsed(BUILD, DIGEST), ""),
        (Rehearsed((BUILD[0], "built with clang 9", *BUILD[2:]), DIGEST), ""),
        (
            Rehearsed(("ffmpeg version 6.0 Copyright", *BUILD[1:]), DIGEST),
            "its FFmpeg is another one: ffmpeg version 6.0, here ffmpeg version 5.1",
        ),
        (Rehearsed((*BUILD[:2], "configuration:"), DIGEST), "built in another way, or with other libraries"),
        (Rehearsed(BUILD, "cd" * 32), "its FFmpeg makes other bytes of the same stills"),
        (Rehearsed((), "", "there is no ffmpeg"), "cannot encode segments: there is no ffmpeg"),
        (Rehearsed((), DIGEST), "its FFmpeg is another one: unknown, here ffmpeg version 5.1"),
    ],
)
def test_an_ffmpeg_is_the_same_by_what_it_says_of_itself_and_by_what_it_makes(there: Rehearsed, why: str) -> None:
    found = returns.misfit(Rehearsed(BUILD, DIGEST), there)
    assert found.endswith(why)
    assert bool(found) == bool(why)


def test_a_slow_link_is_told_by_how_fast_frames_are_made() -> None:
    flow = Flow()
    assert flow.choice(100.0) is None
    flow.made(1_000_000, 0.0)
    flow.made(9_000_000, 5.0)
    assert flow.choice(10.0) is None  # nothing came yet
    flow.came(4_000_000, 4.0)
    assert flow.choice(2.0) is None
    assert flow.choice(10.0) == (Returns.SEGMENTS, "its frames are 1.0 MB/s, its link takes 1.0 MB/s")
    flow.came(4_000_000, 0.0)
    assert flow.choice(10.0) == (Returns.FRAMES, "its frames are 1.0 MB/s, its link takes 2.0 MB/s")


@pytest.mark.parametrize(
    ("changes", "said"), [({"format": "gif"}, "made of all frames at once"), ({"keep": True}, "no frames come here")]
)
def test_what_cannot_be_made_of_segments_is_refused_before_any_host_is_touched(
    changes: dict[str, object], said: str
) -> None:
    asked = request.Request(composition=Path(), output=Path(), returns=Returns.SEGMENTS, **changes)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=said):
        request.check(asked)
    with pytest.raises(ConfigError, match="`video` is nothing to return"):
        request.read_returns("video")


# On the host


def test_a_host_takes_segments_as_they_become_complete() -> None:
    segments = Segments()
    segments.want(Encode("c1", 1, GRID, ()), [*range(10)])
    taken = segments.take()
    assert taken is not None
    assert taken[1] == FIRST
    assert segments.take() is None
    for number in range(10, 28):
        segments.wrote("c1", number)
    segments.wrote("c2", 28)
    segments.trim("c1", 29)
    segments.close("c1")
    segments.close("c2")
    taken = segments.take()
    assert taken is not None
    assert taken[1] == SECOND
    segments.wrote("c1", 28)
    segments.wrote("c1", 29)
    assert segments.take() is None


@pytest.mark.ffmpeg
def test_a_host_makes_the_bytes_that_the_coordinator_makes(tmp_path: Path) -> None:
    pictures = media.make_stills(tmp_path / "stills", 3)
    files = [pictures[number] for number in (0, 1, 1, 1, 2, 2)]
    plan = media.make_plan(6)
    asyncio.run(encode.run(plan, FrameRange(0, 6), files, tmp_path / "here.mp4"))
    asked = task(plan.fps, files, tmp_path / "there", encode.command(plan, "{segment}")[1:])
    made = encoder.make(asked)
    here, there = (tmp_path / "here.mp4").read_bytes(), (tmp_path / "there").read_bytes()
    assert here == there
    assert (made.size_bytes, made.sha256) == (len(here), hashlib.sha256(here).hexdigest())
    pictures[1].write_bytes(pictures[0].read_bytes())
    (tmp_path / "there").unlink()
    with pytest.raises(encoder.EncodeError, match=r"frame_000001\.jpg is not what was announced"):
        encoder.make(asked)
    assert not list(tmp_path.glob("there*"))


def task(fps: Fraction, files: Sequence[Path], output: Path, argv: tuple[str, ...]) -> encoder.Task:
    stills = tuple(encoder.Still(str(file), hashlib.sha256(file.read_bytes()).hexdigest()) for file in files)
    image = media.make_plan().image
    return encoder.Task(argv=argv, image=image, width=64, height=36, fps=fps, stills=stills, output=str(output))


# On the way home


def delivery(*segments: FrameRange) -> Delivery:
    whole = FrameRange(0, 30)
    order = orders.Capture(host="a", chunk="c1", attempt=1, frames=whole, todo=(whole,))
    made = Delivery(order=order, directory="/x", segments=segments)
    assert made.promise() == segments
    assert made.promise() == ()
    return made


def loose(one: Delivery) -> list[int]:
    return [file.index for file in one.loose()]


def test_frames_of_a_promised_segment_wait_for_it() -> None:
    one = delivery(SECOND)
    one.announce(frames(FrameRange(0, 15)), 0.0, 1000)
    assert loose(one) == [*range(10)]
    made = SegmentFile(SECOND, 500, DIGEST)
    one.encode(made)
    assert one.segment() is None  # not all of its frames are announced
    one.announce(frames(FrameRange(15, 20)), 0.0, 1000)
    assert one.segment() == made
    one.release(SECOND)
    assert one.segment() is None
    assert loose(one) == [*range(20)]


def test_a_segment_of_which_a_frame_is_here_is_not_asked_for() -> None:
    whole = FrameRange(0, 30)
    order = orders.Capture(host="a", chunk="c1", attempt=1, frames=whole, todo=(whole,))
    one = Delivery(order=order, directory="/x", segments=GRID, arrived=of(FrameRange(3, 4)))
    assert one.promise() == (SECOND, THIRD)
    one.announce(frames(SECOND), 0.0, 1000)
    one.arrive(12)  # it was on its way already
    assert loose(one) == [10, 11, *range(13, 20)]


def test_who_ends_sooner_sends_the_frames_of_the_segment_that_is_cut() -> None:
    one = delivery(SECOND, THIRD)
    one.announce(frames(FrameRange(10, 22)), 0.0, 1000)
    one.asked_stop = 15
    trimmed = one.trim("a", 15)
    assert trimmed is not None
    assert trimmed.stop == 22
    assert one.promised == {SECOND}
    assert loose(one) == [20, 21]


def test_after_a_failure_all_frames_come_and_after_the_end_those_that_are_in_no_whole_segment() -> None:
    one, other = delivery(FIRST, SECOND), delivery(FIRST, SECOND)
    for each in (one, other):
        each.announce(frames(FrameRange(0, 15)), 0.0, 1000)
    one.finish(Failed("c1", 1, Fault(code=FaultCode.CANCELLED, message="")), 5.0)
    assert loose(one) == [*range(15)]
    other.finish(Done("c1", 1), 5.0)
    assert loose(other) == [*range(10, 15)]
    other.expire(5.0 + ENCODE_PATIENCE_S)
    assert other.promised == {FIRST}
    other.expire(5.1 + ENCODE_PATIENCE_S)
    assert loose(other) == [*range(15)]


# In the books


def counted() -> Ledger:
    ledger = Ledger(of(FrameRange(0, 30)))
    ledger.give(ledger.cut(ledger.pending, 20), "a")
    ledger.count("c0001", [FIRST], FIRST)
    ledger.count("c0001", [SECOND])
    ledger.check()
    return ledger


def test_a_segment_is_taken_back_as_a_whole() -> None:
    ledger = counted()
    assert ledger.chunks["c0001"].bound(of(FrameRange(3, 4), FrameRange(12, 13))) == of(FIRST, FrameRange(12, 13))
    assert ledger.retract("c0001", of(FrameRange(3, 4))) == of(FIRST)
    assert ledger.verified == of(SECOND)
    assert ledger.chunks["c0001"].encoded == ()
    ledger.check()


def test_a_segment_whose_file_is_gone_is_captured_again() -> None:
    ledger = counted()
    ledger.end("c0001")
    ledger.forget(of(FrameRange(9, 10)))
    ledger.check()
    assert ledger.verified == of(SECOND)
    again = ledger.cut(ledger.pending, 30)
    ledger.give(again, "b")
    ledger.count(again.chunk, [FIRST])
    assert ledger.chunks[again.chunk].encoded == ()
    ledger.check()


def test_frames_that_a_twin_brought_first_are_not_bound_to_the_segment() -> None:
    ledger = Ledger(of(FrameRange(0, 10)))
    ledger.give(ledger.cut(ledger.pending, 10), "a")
    ledger.give(ledger.copy("c0001"), "b")
    ledger.count("c0002", [FrameRange(0, 2)])
    ledger.count("c0001", [FIRST], FIRST)
    ledger.check()
    assert ledger.chunks["c0001"].bound(of(FrameRange(5, 6))) == of(FrameRange(2, 10))
    assert ledger.chunks["c0002"].bound(of(FrameRange(0, 1))) == of(FrameRange(0, 1))


# In the film


def received(directory: RunDirectory, part: FrameRange) -> events.FramesVerified:
    data = b"encoded elsewhere"
    (directory.chunks / "c0001").mkdir(exist_ok=True)
    (directory.chunks / "c0001" / segment_name(part.start)).write_bytes(data)
    segment = SegmentFile(part, len(data), hashlib.sha256(data).hexdigest())
    return events.FramesVerified(chunk="c0001", host="a", frames=frames(part), segment=segment)


@pytest.mark.ffmpeg
def test_a_segment_from_a_host_is_in_the_film_until_it_is_taken_back(tmp_path: Path) -> None:
    whole = FrameRange(0, 4)
    plan = media.make_plan(4, segment=2)
    directory = RunDirectory(tmp_path / "run")
    told: list[events.Event] = []

    async def scenario() -> tuple[Path, ...]:
        pipeline = Pipeline(plan, directory, told.append)
        running = asyncio.create_task(pipeline.run())
        for part in plan.segments:
            pipeline.add_verified(received(directory, part), whole)
        await asyncio.sleep(0)
        last = plan.segments[1]
        pipeline.retract(events.FramesRetracted(chunk="c0001", host="a", frames=(last,)))
        media.make_stills(directory.chunks / "c0002", 4)
        pipeline.add("c0002", whole, last)
        pipeline.close()
        return await running

    first, last = asyncio.run(scenario())
    assert first.read_bytes() == b"encoded elsewhere"
    assert media.probe(last).of_kind("video")[0].packets == 2
    assert [event.index for event in told if isinstance(event, events.SegmentEncoded)] == [0, 1]


def test_a_frame_that_a_segment_replaced_is_not_here_when_both_are_taken_back(tmp_path: Path) -> None:
    plan = media.make_plan(4, segment=2)
    directory, whole, last = RunDirectory(tmp_path / "run"), FrameRange(0, 4), plan.segments[1]
    pipeline = Pipeline(plan, directory, lambda _: None)
    pipeline.add("c0002", whole, [2])
    pipeline.add_verified(received(directory, last), whole)
    pipeline.retract(events.FramesRetracted(chunk="c0002", host="b", frames=(FrameRange(2, 3),)))
    pipeline.retract(events.FramesRetracted(chunk="c0001", host="a", frames=(FrameRange(3, 4),)))
    pipeline.add("c0003", whole, [3])
    assert pipeline.waiting_bytes() == 0
    pipeline.add("c0003", whole, [2])
    assert pipeline.waiting_bytes() > 0


def test_a_resumed_run_counts_frames_whose_segment_is_there(tmp_path: Path) -> None:
    plan = media.make_plan(4, segment=2)
    directory = RunDirectory(tmp_path / "run")
    ordered = events.ChunkOrdered(chunk="c0001", host="a", attempt=1, frames=FrameRange(0, 4), todo=(FrameRange(0, 4),))
    happened: list[events.Event] = [ordered, *(received(directory, part) for part in plan.segments)]
    log = [events.Record("", 0.0, event) for event in happened]
    moved = directory.segments / returns.segment_name(plan, 0)
    (directory.chunks / "c0001" / segment_name(0)).replace(moved)
    assert list(resume.absent_frames(directory.chunks, plan, log)) == []
    moved.write_bytes(b"encoded elsewherE")
    assert list(resume.absent_frames(directory.chunks, plan, log)) == [0, 1]


# On real hosts


def local_hosts(home: Path, **wrappers: str) -> Path:
    """Hosts on this machine, each with a workspace of its own; a wrapper is what it has instead of FFmpeg."""
    tables = []
    for name, text in (wrappers or {"a": "", "b": ""}).items():
        table = f'[[host]]\nname = "{name}"\naddress = "localhost"\ntransport = "local"\nworkdir = "{home}/{name}"\n'
        if text:
            (home / f"bin-{name}").mkdir()
            program = home / f"bin-{name}" / "ffmpeg"
            program.write_text(f"#!/bin/sh\n{text}\n")
            program.chmod(0o755)
            table += f'env = {{ PATH = "{program.parent}:/usr/bin:/bin" }}\n'
        tables.append(table)
    path = home / "hosts.toml"
    path.write_text("version = 1\n" + "\n".join(tables))
    return path


def came(home: Path) -> list[FrameRange]:
    """The segments that hosts sent."""
    lines = (run_directory(home) / "events.jsonl").read_text().splitlines()
    found = [event["segment"]["frames"] for event in map(json.loads, lines) if event.get("segment")]
    return [FrameRange(each["start"], each["stop"]) for each in found]


SMALL = ("--fps", "5", "--frames", "0:30", "--workers", "1", "--json")  # three segments


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> str:
    """sha256 of the video that is made of frames."""
    ended = fleetrender(tmp_path_factory.mktemp("reference"), "run", EXAMPLES / "barcode", *SMALL)
    assert ended.code == 0, ended.stderr
    return str(ended.result["sha256"])


@pytest.mark.browser
@pytest.mark.ffmpeg
def test_segments_make_the_video_that_frames_make(tmp_path: Path, reference: str) -> None:
    hosts, options = local_hosts(tmp_path), ("--chunk-frames", "15", "--return", "segments")
    ended = fleetrender(tmp_path, "run", EXAMPLES / "barcode", "--hosts", hosts, "-o", "out.mp4", *SMALL, *options)
    assert ended.code == 0, ended.stderr
    assert ended.result["sha256"] == reference
    assert {host["returns"] for host in ended.result["hosts"]} == {"segments"}
    assert ended.result["seams"]["equal"] == ended.result["seams"]["drawn"]
    # The one between lies in two chunks, and so does another when a host that is done takes over some of its frames.
    assert came(tmp_path)
    assert set(came(tmp_path)) <= {FIRST, THIRD}


@pytest.mark.browser
@pytest.mark.ffmpeg
def test_hosts_with_another_ffmpeg_are_named_with_what_to_do(tmp_path: Path) -> None:
    hosts = local_hosts(
        tmp_path,
        old='case "$*" in -version) echo "ffmpeg version 3.4 Copyright"; exit;; esac; exec /usr/bin/ffmpeg "$@"',
        odd='for last; do :; done; /usr/bin/ffmpeg "$@" || exit; case "$*" in *-version*) ;; '
        '*) for word; do case "$word" in file:*) echo >> "${word#file:}";; esac; done;; esac',
    )
    options = (*SMALL, "--return", "segments")
    ended = fleetrender(tmp_path, "run", EXAMPLES / "barcode", "--hosts", hosts, "-o", "out.mp4", *options)
    assert ended.code == ExitCode.FLEET
    assert "old: left out: its FFmpeg is another one: ffmpeg version 3.4, here ffmpeg version" in ended.stderr
    assert "odd: left out: its FFmpeg makes other bytes of the same stills" in ended.stderr
    assert "--return frames" in ended.stderr


@pytest.mark.browser
@pytest.mark.ffmpeg
def test_after_the_loss_of_a_host_and_a_crash_the_video_is_the_same(tmp_path: Path, reference: str) -> None:
    hosts = local_hosts(tmp_path)
    home = tmp_path / "home"
    home.mkdir()
    options = ("--hosts", hosts, "--return", "segments", "-o", home / "out.mp4", *SMALL)
    running = start(home, EXAMPLES / "barcode", *options)
    victim = running.wait_for("", "chunk.captured")  # it can be done before the other has begun
    fleet_support.kill_local_agent(tmp_path / victim)
    running.wait_for(victim, "host.lost")
    running.process.send_signal(signal.SIGKILL)
    running.process.communicate()
    resumed = fleetrender(home, "run", EXAMPLES / "barcode", *options, "--resume")
    assert resumed.code == 0, resumed.stderr
    assert resumed.result["sha256"] == reference
    check_left(home, [])
