"""Events fold into what a screen shows."""

import dataclasses
import functools

from events_support import FINISHED, RUN, STARTED, changed, done, failed, ordered, ready, record, started, verified

from capture.faults import FaultCode
from capture.protocol import FrameRange
from fleet import events, frameset, view
from fleet.events import Record
from fleet.view import HostState, Meter, View


def folded(records: list[Record], hosts: tuple[str, ...] = ()) -> View:
    return functools.reduce(view.fold, records, view.expecting(hosts))


def states(it: View) -> dict[str, HostState]:
    return {host.name: host.state for host in it.hosts}


def test_hosts_are_listed_from_the_start_and_keep_their_order() -> None:
    it = folded(RUN[:4], hosts=("studio-2", "studio-1"))
    assert states(it) == {
        "studio-2": HostState.CONNECTING,
        "studio-1": HostState.READY,
        "attic": HostState.REFUSED,
    }
    assert list(states(it)) == ["studio-2", "studio-1", "attic"]


def test_a_row_says_range_progress_workers_and_why() -> None:
    row = next(host for host in folded(RUN[:14]).hosts if host.name == "studio-1")
    assert (row.state, row.chunk, row.frames) == (HostState.CAPTURING, "c0001", FrameRange(0, 30))
    assert (row.done, row.todo, row.total, row.workers, row.why) == (20, 30, 20, 2, "2 cores")
    assert row.meter.per_s(7.0) == 5.0  # 20 frames in the 4 s since the order


def test_a_row_follows_the_number_of_workers() -> None:
    more = record(7.5, changed("c0001", "studio-1", 2, 3, "3 are 31% faster than 2"))
    other = record(7.5, changed("c0009", "studio-2", 2, 9, "late news"))
    rows = {host.name: (host.workers, host.why) for host in folded([*RUN[:14], more, other]).hosts}
    assert rows["studio-1"] == (3, "3 are 31% faster than 2")
    assert rows["studio-2"] == (2, "2 cores")


def test_a_lost_host_keeps_its_frames_and_says_why() -> None:
    it = folded(RUN[:16])
    row = next(host for host in it.hosts if host.name == "studio-1")
    assert (row.state, row.note, row.chunk, row.total) == (HostState.LOST, "connection reset", None, 25)
    assert it.is_degraded


def test_frames_that_arrive_twice_count_once() -> None:
    assert len(folded(RUN[:16]).verified) == 35
    assert folded(RUN).verified == frameset.of([FrameRange(0, 60)])


def test_the_end_puts_everyone_to_rest() -> None:
    it = folded(RUN)
    assert it.end == FINISHED
    assert states(it) == {"attic": HostState.REFUSED, "studio-1": HostState.LOST, "studio-2": HostState.DONE}
    assert it.segments == 1


def test_what_went_wrong_last_stays_readable_and_a_cancelled_chunk_is_not_wrong() -> None:
    assert folded(RUN).messages == (
        "studio-1: lost: connection reset",
        "studio-2: chunk c0002 failed at frame 42: the page threw (seek_failed)",
        "warning: index.html:12: no font `Foo`",
    )
    assert folded([record(0, failed("c1", "a", FaultCode.CANCELLED))]).messages == ()


def test_a_resumed_run_starts_from_what_was_kept() -> None:
    kept = (FrameRange(0, 20), FrameRange(30, 40))
    it = folded([record(100.0, dataclasses.replace(STARTED, is_resumed=True, kept=kept))])
    assert len(it.verified) == 30


def test_an_eta_comes_after_three_seconds_of_work() -> None:
    records = [record(0, STARTED), record(10, ordered("c1", "a", 0, 60)), record(12, verified("c1", "a", 0, 10))]
    it = folded(records)
    assert it.eta_s(12.0) is None
    assert it.eta_s(15.0) == 25.0  # 50 frames at 10 in 5 s


def test_a_speed_is_that_of_the_last_seconds() -> None:
    meter = functools.reduce(lambda meter, second: meter.added(10, second), range(1, 101), Meter().begun(0.0))
    assert meter.per_s(100.0) == 10.0
    assert meter.per_s(107.5) == 80 / view.RATE_WINDOW_S
    assert meter.per_s(200.0) == 0.0
    assert len(meter.samples) <= view.RATE_WINDOW_S + 1


def test_a_late_word_about_an_earlier_chunk_changes_no_row() -> None:
    it = folded([record(0, ready("a")), record(0, ordered("c2", "a", 0, 9)), record(1, started("c2", "a"))])
    assert view.fold(it, record(2, done("c1", "a"))).hosts == it.hosts


def test_a_host_that_reconnects_is_shown_as_such() -> None:
    lost = events.HostLost("a", "reset", is_expected_back=True)
    it = folded([record(0, ready("a")), record(1, lost)])
    assert states(it) == {"a": HostState.RECONNECTING}
    assert states(view.fold(it, record(2, ready("a")))) == {"a": HostState.READY}


def test_names_and_notes_are_cleaned_on_the_way_in() -> None:
    it = folded([record(0, events.HostLost("ev\x1b[31mil", "\x1b[2Jgone\n\x07[bold]"))])
    assert [(host.name, host.note) for host in it.hosts] == [("evil", "gone [bold]")]


def test_a_complete_chunk_leaves_its_host_ready_before_the_host_says_so() -> None:
    it = folded([record(0, STARTED), record(0, ordered("c1", "a", 0, 60)), record(1, verified("c1", "a", 0, 60))])
    assert states(it) == {"a": HostState.READY}
