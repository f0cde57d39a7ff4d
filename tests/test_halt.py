"""Ctrl+C once ends what is under way, twice ends at once; SIGTERM ends at once. Each leaves a run to go on with."""

import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from fleet_support import BARCODE, freeze_browsers, left_of, logged, start
from test_schedule import Fed, done, only, ready, trimmed, verified

from capture.protocol import FrameRange
from fleet import events
from fleet.errors import ExitCode, Interrupted
from fleet.halt import Halt
from fleet.orders import Capture, GiveUp, Order, Release, Trim
from fleet.schedule import Schedule
from fleet.standing import DRAIN_LIMIT_S


def ending(given: Sequence[Order]) -> Interrupted:
    end = given[-1]
    assert isinstance(end, GiveUp)
    assert isinstance(end.error, Interrupted)
    return end.error


def test_the_first_wish_drains_and_the_second_one_does_not() -> None:
    drained: list[str] = []
    halt = Halt()
    with halt.heard_by(lambda: drained.append("once")):
        assert halt.drain()
        assert not halt.drain()
    assert drained == ["once"]


def test_where_nothing_can_be_drained_the_first_wish_cancels() -> None:
    halt = Halt()
    with halt.heard_by(lambda: None):
        pass
    assert not halt.drain()
    assert not halt.is_asked


def test_a_drained_run_ends_the_blocks_that_are_begun_and_gives_nothing_more() -> None:
    feed = Fed(1000, "a", "b")
    first, second = feed(ready("a"), ready("b"))
    feed(verified(first, 0, 10), verified(second, 500, 520))
    asked = feed(events.RunDraining())
    assert [(order.host, order.stop) for order in asked if isinstance(order, Trim)] == [("a", 11), ("b", 521)]
    assert feed(trimmed(asked[0], 24), trimmed(asked[1], 530)) == ()
    assert feed(ready("c")) == (Release("c"),)
    assert feed(verified(first, 10, 24)) == ()
    assert feed(done(first)) == (Release("a"),)
    error = ending(feed(verified(second, 520, 530), done(second)))
    assert error.exit_code == ExitCode.INTERRUPTED
    assert "54 of 1000 frames are kept" in str(error)


def test_a_drain_asks_once_where_no_worker_has_begun() -> None:
    feed = Fed(1000, "a")
    feed(ready("a"))
    asked = only(feed(events.RunDraining()))
    assert asked == Trim(host="a", chunk="c0001", attempt=1, stop=1)
    assert feed(trimmed(asked, 1)) == ()
    assert feed() == ()


def test_a_drain_has_an_end() -> None:
    feed = Fed(1000, "a")
    feed(ready("a"))
    feed(events.RunDraining())
    assert feed(after_s=DRAIN_LIMIT_S - 1) == ()
    assert "0 of 1000" in str(ending(feed(after_s=2)))


def test_a_drained_run_does_not_go_on_to_its_segments() -> None:
    feed = Fed(10, "a")
    order = only(feed(ready("a")))
    feed(events.RunDraining())
    assert "10 of 10" in str(ending(feed(verified(order, 0, 10), done(order))))


def test_a_resumed_run_forgets_that_it_was_drained() -> None:
    started = events.RunStarted(
        run="r", composition="c", output="o", plan="p", frames=FrameRange(0, 10), fps="30/1", width=1, height=1
    )
    history = [events.Record("", 0.0, started), events.Record("", 1.0, events.RunDraining())]
    schedule = Schedule.replay(history, FrameRange(0, 10), hosts=["a"])
    assert [type(order) for order in schedule.handle(ready("a"), now_s=2)][-1] is Capture


@pytest.mark.browser
@pytest.mark.ffmpeg
@pytest.mark.parametrize(
    ("signals", "code"),
    [((signal.SIGINT, signal.SIGINT), 130), ((signal.SIGTERM,), 143), ((signal.SIGINT, signal.SIGTERM), 143)],
    ids=["twice", "term", "both"],
)
def test_a_cancelled_run_says_its_own_exit_code_and_leaves_nothing(
    tmp_path: Path, signals: tuple[signal.Signals, ...], code: int
) -> None:
    running = start(tmp_path, BARCODE, "-o", "out.mp4", "--workers", "1")
    running.wait_for("local", "chunk.captured")
    freeze_browsers(tmp_path)  # or draining may be over before the second signal comes
    for number in signals:
        running.process.send_signal(number)
        if number is not signals[-1]:
            running.wait_for("", "run.draining")
    _, stderr = running.process.communicate(timeout=60)
    assert running.process.returncode == code, stderr
    assert [event["exit_code"] for event in logged(tmp_path, "run.finished")] == [code]
    assert "add `--resume`" in stderr
    assert left_of(tmp_path) == []
    assert not list(tmp_path.glob("out.mp4*"))


@pytest.mark.browser
@pytest.mark.ffmpeg
def test_interrupted_before_any_host_captures_a_run_ends_at_once(tmp_path: Path) -> None:
    running = start(tmp_path, BARCODE, "-o", "out.mp4", "--frames", "0:30")
    running.wait_for("", "run.started")
    running.process.send_signal(signal.SIGINT)
    _, stderr = running.process.communicate(timeout=60)
    assert running.process.returncode == 130, stderr
    assert left_of(tmp_path) == []
