"""Hosts that draw other pixels are told apart, named with what differs, and left out; nobody else is."""

import asyncio
import dataclasses
import functools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_muster import one

from capture.protocol import FrameFile, FrameRange
from fleet import canary, costs, events, frameset, parity, resume
from fleet.canary import Canaries
from fleet.errors import HostUnfit
from fleet.muster import Mustered
from fleet.parity import Drawn

USUAL, OTHER = "a" * 64, "b" * 64


def drawn(*digests: str, took_ms: int = 100) -> tuple[FrameFile, ...]:
    return tuple(FrameFile(index * 10, 1000, digest, took_ms) for index, digest in enumerate(digests))


def flagged(name: str, *args: str, cores: int = 4) -> Mustered:
    plain = one(name, cores=cores)
    return dataclasses.replace(plain, host=dataclasses.replace(plain.host, chromium_args=args))


@given(st.integers(0, 10_000), st.integers(1, 10_000), st.booleans())
def test_canaries_are_a_few_different_frames_of_the_render(start: int, count: int, sequential: bool) -> None:
    span = FrameRange(start, start + count)
    frames = parity.canaries(span, costs.FLAT, sequential=sequential)
    assert list(frames) == sorted(set(frames))
    assert 0 < len(frames) <= 4
    if sequential:
        assert frames[-1] == len(frames) - 1 < span.stop
    else:
        assert frames[0] == start
        assert all(frame in span for frame in frames)


def test_the_dearest_part_of_the_film_has_a_canary() -> None:
    curve = costs.curve([(FrameRange(0, 200), 1.0), (FrameRange(200, 240), 5.0)], FrameRange(0, 300))
    frames = parity.canaries(FrameRange(0, 300), curve, sequential=False)
    assert any(200 <= frame < 240 for frame in frames)
    assert curve.of(frameset.of([FrameRange(200, 201)])) > 1


def test_classes_are_by_digest_and_the_one_with_most_capacity_comes_first() -> None:
    hosts = [
        Drawn(one("big", cores=5), drawn(USUAL, OTHER)),
        Drawn(one("a", cores=4), drawn(USUAL, USUAL)),
        Drawn(one("slow", cores=1), drawn(USUAL)[:1]),
        Drawn(one("b", cores=3), drawn(USUAL, USUAL)),
    ]
    found = parity.classes(hosts)
    assert [[member.mustered.host.name for member in each.members] for each in found] == [["a", "b"], ["big", "slow"]]


def test_what_differs_between_hosts_is_said_and_nothing_else() -> None:
    mine, theirs = parity.traits(flagged("a", "--x")), parity.traits(flagged("b"))
    assert parity.differences(mine, theirs) == "chromium_args is --x, not none"
    assert "nothing that is known" in parity.differences(mine, mine)


@pytest.mark.parametrize(("own_ms", "expected"), [(100, 1.0), (50, 2.0), (1, 4.0), (100_000, 0.25), (0, 1.0)])
def test_a_host_is_as_fast_as_it_draws_within_bounds(own_ms: int, expected: float) -> None:
    assert parity.speed_factor(drawn(USUAL), drawn(USUAL, took_ms=own_ms)) == expected


class Scene:
    """Hosts that draw what they are told to, one list of digests for each time that they are asked."""

    def __init__(self, known: events.PixelsFixed | None = None, *, allow_mixed: bool = False) -> None:
        self.told: list[events.Event] = []
        self.canaries = Canaries(known, emit=self.told.append, allow_mixed=allow_mixed)

    async def judge(self, mustered: Mustered, *tries: Sequence[FrameFile] | None) -> str:
        left = list(tries)

        async def draw() -> tuple[FrameFile, ...] | None:
            await asyncio.sleep(0)
            frames = left.pop(0)
            return None if frames is None else tuple(frames)

        try:
            await self.canaries.judge(mustered, draw)
        except HostUnfit as error:
            return str(error)
        return ""

    def run(self, *hosts: tuple[Mustered, *tuple[Sequence[FrameFile] | None, ...]]) -> list[str]:
        async def main() -> list[str]:
            self.canaries.expect(mustered for mustered, *_ in hosts)
            return await asyncio.gather(*(self.judge(mustered, *tries) for mustered, *tries in hosts))

        return asyncio.run(main())

    @property
    def pixels(self) -> events.PixelsFixed:
        (fixed,) = [event for event in self.told if isinstance(event, events.PixelsFixed)]
        return fixed


def test_the_host_with_another_flag_is_left_out_by_name_and_with_the_flag() -> None:
    scene = Scene()
    odd = flagged("odd", "--force-color-profile=x", cores=7)
    frames = drawn(USUAL, OTHER)
    said = scene.run((odd, frames, frames), (one("a"), drawn(USUAL, USUAL)), (one("b"), drawn(USUAL, USUAL)))
    assert said[1:] == ["", ""]
    assert said[0] == (
        "odd: draws other pixels than a, b in frames 10: chromium_args is --force-color-profile=x, not none"
    )
    assert (scene.pixels.hosts, scene.pixels.classes) == (("a", "b"), 2)


def test_hosts_of_other_classes_are_named_alike_and_stay_when_that_is_allowed() -> None:
    scene = Scene(allow_mixed=True)
    frames = drawn(USUAL, OTHER)
    odd = [flagged(name, "--x", cores=2) for name in ("x", "y")]
    usual = (one("a", cores=9), drawn(USUAL, USUAL))
    assert scene.run(usual, *((each, frames, frames) for each in odd)) == ["", "", ""]
    assert scene.canaries.pixels("x") == scene.canaries.pixels("y") != scene.canaries.pixels("a") == ""
    assert all(isinstance(event, events.PixelsFixed | events.Warned) for event in scene.told)


def test_a_host_that_differs_is_named_even_when_the_run_ends_before_it_has_drawn_again() -> None:
    scene = Scene()

    async def main() -> list[events.HostRefused]:
        hosts = [(one("a", cores=9), drawn(USUAL)), (flagged("odd", "--x"), drawn(OTHER))]
        scene.canaries.expect(mustered for mustered, _ in hosts)

        async def draw_once(left: list[Sequence[FrameFile]]) -> tuple[FrameFile, ...]:
            if not left:
                await asyncio.Event().wait()
            return tuple(left.pop())

        tasks = []
        for mustered, frames in hosts:
            left: list[Sequence[FrameFile]] = [frames]
            tasks.append(asyncio.create_task(scene.canaries.judge(mustered, functools.partial(draw_once, left))))
        await tasks[0]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        found = scene.canaries.suspected()
        tasks[1].cancel()
        return found

    (refused,) = asyncio.run(main())
    assert (refused.host, refused.remedy) == ("odd", canary.REMEDY)
    assert refused.message == "odd: draws other pixels than a in frames 0: chromium_args is --x, not none"


def test_a_composition_that_never_looks_the_same_twice_leaves_nobody_out() -> None:
    scene = Scene()
    said = scene.run((one("a"), drawn("1" * 64)), (one("b", cores=2), drawn("2" * 64), drawn("3" * 64)))
    assert said == ["", ""]
    assert any(isinstance(event, events.Warned) and "each time" in event.message for event in scene.told)


def test_a_frame_that_never_looks_the_same_excuses_that_frame_only() -> None:
    said = Scene().run(
        (one("a"), drawn("1" * 64, USUAL)),
        (one("b", cores=2), drawn("2" * 64, OTHER), drawn("3" * 64, OTHER)),
    )
    assert "in frames 10:" in said[1]


def test_the_larger_half_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canary, "PATIENCE_S", 1000.0)
    scene = Scene()
    scene.canaries.expect([one("far", cores=3)])
    assert scene.run((one("a"), drawn(USUAL))) == [""]
    assert scene.run((one("far", cores=3), drawn(OTHER), drawn(OTHER)))[0].startswith("far: draws other pixels than a")


def test_who_may_yet_outvote_is_waited_for_with_patience_and_not_when_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canary, "PATIENCE_S", 0.02)
    scene = Scene()
    scene.canaries.expect([one("far", cores=30)])
    assert scene.run((one("a"), drawn(USUAL))) == [""]
    monkeypatch.setattr(canary, "PATIENCE_S", 1000.0)
    scene = Scene()
    scene.canaries.expect([one("gone", cores=30)])
    scene.canaries.leave("gone")
    assert scene.run((one("a"), drawn(USUAL))) == [""]


def test_a_host_that_cannot_draw_canaries_holds_nobody_up_and_is_told_of() -> None:
    scene = Scene()
    assert scene.run((one("a", cores=1), drawn(USUAL)), (one("b"), None)) == ["", ""]
    assert scene.pixels.hosts == ("a",)
    assert any(isinstance(event, events.Warned) and event.where == "b" for event in scene.told)


def test_a_resumed_run_takes_only_hosts_that_draw_as_it_began() -> None:
    known = events.PixelsFixed(frames=drawn(USUAL), hosts=("a",), classes=1, traits=parity.traits(one("a")))
    history = [events.Record("", 0.0, known)]
    assert [events.from_line(events.to_line(record)) for record in history] == history
    assert resume.fixed_pixels(history) == known
    scene = Scene(known)
    said = scene.run((flagged("b", "--x", cores=9), drawn(OTHER), drawn(OTHER)), (one("c"), drawn(USUAL)))
    assert said == ["b: draws other pixels than a in frames 0: chromium_args is --x, not none", ""]


def test_a_host_that_has_passed_is_not_asked_again() -> None:
    scene = Scene()
    assert scene.run((one("a"), drawn(USUAL, took_ms=10))) == [""]
    assert scene.run((one("a"),)) == [""]
