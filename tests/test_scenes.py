"""Hosts that draw other pixels get whole scenes: none is drawn by two classes, and nobody is blamed for its class."""

import itertools
from fractions import Fraction
from random import Random

import pytest
from blame_support import Studio, digest, right
from hypothesis import given, settings
from hypothesis import strategies as st
from test_schedule import Fed, capture, ready, verified

from capture.protocol import FrameRange
from fleet import events, orders, scenes
from fleet.schedule import Schedule

THREE = (FrameRange(0, 20), FrameRange(20, 50), FrameRange(50, 60))


def odd(frame: int, _: int) -> str:
    return f"{right(frame)}, otherwise"


def classes(studio: Studio, scene: FrameRange) -> set[str]:
    return {"odd" if studio.kept[frame][1] == digest(odd(frame, 0)) else "usual" for frame in scene}


def test_scenes_lie_between_the_first_frames_at_or_after_each_cut() -> None:
    cuts = [Fraction(0), Fraction(1), Fraction(5, 4), Fraction(9)]
    assert scenes.between(cuts, Fraction(10), FrameRange(5, 20)) == (
        FrameRange(5, 10),
        FrameRange(10, 13),
        FrameRange(13, 20),
    )
    assert scenes.between([], Fraction(30), FrameRange(3, 9)) == (FrameRange(3, 9),)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 999),
    cuts=st.sets(st.integers(1, 89)),
    usual=st.integers(1, 3),
    others=st.integers(1, 2),
    chunk_frames=st.sampled_from([None, 4, 30]),
    audit=st.sampled_from([0.0, 0.3]),
)
def test_no_scene_is_drawn_by_two_classes_and_no_class_convicts_another(
    seed: int, cuts: set[int], usual: int, others: int, chunk_frames: int | None, audit: float
) -> None:
    edges = [0, *sorted(cuts), 90]
    parts = tuple(FrameRange(start, stop) for start, stop in itertools.pairwise(edges))
    hosts = {**{f"u{n}": right for n in range(usual)}, **{f"o{n}": odd for n in range(others)}}
    pixels = {name: "b" if name.startswith("o") else "" for name in hosts}
    studio = Studio(
        90, hosts, rng=Random(seed), pixels=pixels, scenes=parts, chunk_frames=chunk_frames, audit=audit
    ).run()
    assert studio.end == orders.Finish()
    assert sorted(studio.kept) == list(range(90))
    assert all(len(classes(studio, scene)) == 1 for scene in parts)
    assert studio.struck == set()
    assert not studio.said(events.Disagreed)


def test_every_class_has_its_part_where_scenes_allow_it() -> None:
    studio = Studio(60, {"a": right, "b": odd}, pixels={"b": "x"}, scenes=THREE).run()
    assert [classes(studio, scene) for scene in THREE] == [{"usual"}, {"odd"}, {"usual"}]
    sized = {
        event.host: event.pixels for event in studio.said(events.RangeSized) if isinstance(event, events.RangeSized)
    }
    assert sized == {"a": "", "b": "x"}


def test_a_film_of_one_scene_is_the_largest_classs() -> None:
    studio = Studio(60, {"a": right, "b": odd}, pixels={"b": "x"}).run()
    assert classes(studio, FrameRange(0, 60)) == {"usual"}


def odd_ready(host: str) -> events.HostReady:
    return events.HostReady(host=host, capacity=2.0, cores=2.0, browser="156", gl_renderer="sw", pixels="x")


def test_a_scene_whose_class_is_gone_is_drawn_again_from_its_beginning() -> None:
    feed = Fed(60, "a", "b")
    feed.schedule = scened(60, "a", "b")
    first, second = feed(ready("a"), odd_ready("b"))
    assert isinstance(first, orders.Capture)
    assert (first, second) == (capture("a", "c0001", FrameRange(0, 30)), capture("b", "c0002", FrameRange(30, 60)))
    feed(*whole(first), verified(second, 30, 40))
    feed(events.HostLost("b", "gone", is_expected_back=True))
    assert len(feed.schedule.verified) == 40
    given = feed(events.HostLost("b", "gone for good"))
    assert events.FramesRetracted(chunk="c0002", host="b", frames=(FrameRange(30, 40),)) in feed.said
    assert not any(isinstance(event, events.HostStruck) for event in feed.said)
    assert [(order.host, order.todo) for order in given if isinstance(order, orders.Capture)] == [
        ("a", (FrameRange(30, 60),))
    ]


def scened(count: int, *hosts: str) -> Schedule:
    return Schedule(FrameRange(0, count), hosts=hosts, scenes=(FrameRange(0, 30), FrameRange(30, count)))


def test_the_tail_of_a_chunk_goes_to_hosts_of_its_class_alone() -> None:
    feed = Fed(1000, "a", "b", "c")
    feed.schedule = Schedule(
        FrameRange(0, 1000), hosts=["a", "b", "c"], scenes=(FrameRange(0, 600), FrameRange(600, 1000))
    )
    given = feed(ready("a"), odd_ready("b"), ready("c"))
    held = {order.host: order for order in given if isinstance(order, orders.Capture)}
    assert held["b"].frames == FrameRange(600, 1000)
    for at in range(10):
        feed(verified(held["b"], 600 + 2 * at, 602 + 2 * at))
    asked = feed(*(event for host in "ac" for event in whole(held[host])))
    assert not any(isinstance(order, orders.Trim) for order in asked)
    assert not any(isinstance(order, orders.Capture) and order.twin for order in asked)


def whole(order: orders.Capture) -> list[events.Event]:
    parts: list[events.Event] = [verified(order, part.start, part.stop) for part in order.todo]
    return [*parts, events.ChunkDone(chunk=order.chunk, host=order.host, attempt=order.attempt)]


@pytest.mark.parametrize("is_back", [True, False])
def test_a_resumed_run_draws_scenes_of_a_class_that_is_not_there_again(is_back: bool) -> None:
    schedule = scened(60, "a", "b")
    given = schedule.handle(ready("a"), odd_ready("b"), now_s=0.0)
    held = [order for order in given if isinstance(order, orders.Capture)]
    ordered = [
        events.ChunkOrdered(chunk=one.chunk, host=one.host, attempt=1, frames=one.frames, todo=one.todo) for one in held
    ]
    log: list[events.Event] = [
        ready("a"),
        odd_ready("b"),
        *ordered,
        verified(held[0], 0, 30),
        verified(held[1], 30, 40),
    ]
    records = [events.Record("", 0.0, event) for event in log]
    parts = (FrameRange(0, 30), FrameRange(30, 60))
    resumed = Schedule.replay(records, FrameRange(0, 60), hosts=["a", "b"], scenes=parts)
    back = odd_ready("b") if is_back else events.HostRefused("b", "draws other pixels", "x")
    given = resumed.handle(ready("a"), back, now_s=0.0)
    todo = {order.host: order.todo for order in given if isinstance(order, orders.Capture) and order.frames.stop == 60}
    assert todo == ({"b": (FrameRange(40, 60),)} if is_back else {"a": (FrameRange(30, 60),)})
