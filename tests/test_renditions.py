"""A GL backend is used only where every host has drawn the composition's own frames with it: alike, and faster."""

import asyncio
import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from composition_support import page, read
from hypothesis import given
from hypothesis import strategies as st

from capture.protocol import PAGE_LIMIT_S, FrameCost, FrameFile, FrameRange, GlBackend, Rendition
from fleet import events, frameset, hosts, plan, renditions, resume
from fleet.backends import Backends, Try
from fleet.errors import ConfigError, HostUnfit
from fleet.frameset import FrameSet
from fleet.model import Gl, Host

LAVAPIPE = "ANGLE (Mesa, Vulkan 1.3.230 (llvmpipe (LLVM 15.0.6 256 bits) (0x00000000)), llvmpipe)"
CARD = "ANGLE (NVIDIA, Vulkan 1.3.242 (NVIDIA A10), NVIDIA)"
FRAMES = FrameRange(0, 1000)
FILES = tuple(FrameFile(index, 1000, f"{index:064x}") for index in range(3))
GOOD = Rendition(
    gl=GlBackend.VULKAN,
    renderer=LAVAPIPE,
    frames=FILES,
    decibels=(71.0, 99.0, 50.0),
    cost=FrameCost(90, 200),
    swiftshader=FrameCost(100, 100),
)
VULKAN = (GlBackend.VULKAN,)


def test_a_backend_that_draws_the_same_for_less_is_chosen() -> None:
    assert renditions.choose({"a": [GOOD], "b": [GOOD]}, VULKAN) == (
        GlBackend.VULKAN,
        "1.11 times as fast as SwiftShader in 3 frames, alike to 50 dB",
    )


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"decibels": (71.0, 49.9, 60.0)}, "frame 1 differs from SwiftShader's (49.9 dB, 50 are needed)"),
        ({"decibels": (71.0, math.nan, 60.0)}, "frame 1 differs from SwiftShader's (nan dB, 50 are needed)"),
        ({"cost": FrameCost(91, 10)}, "it is not faster: 91 ms a frame, SwiftShader's 100"),
        ({"cost": FrameCost(0, 0)}, "it is not faster: 0 ms a frame, SwiftShader's 100"),
        ({"renderer": CARD}, "it is not faster: 200 ms a frame, SwiftShader's 100"),
        ({"renderer": "ANGLE (Google, SwiftShader)"}, "WebGL is drawn by ANGLE (Google, SwiftShader)"),
        ({"renderer": ""}, "WebGL is drawn by nothing"),
        ({"gl": GlBackend.GPU}, f"WebGL is drawn by {LAVAPIPE}"),
        ({"frames": FILES[:2], "decibels": (99.0, 99.0)}, "only 2 frames were drawn in time"),
        ({"fault": "browser_launch: no driver"}, "browser_launch: no driver"),
    ],
)
def test_a_backend_is_left_alone_for_a_reason(changes: dict[str, object], why: str) -> None:
    rendition = dataclasses.replace(GOOD, **changes)  # type: ignore[arg-type]
    assert renditions.fault(rendition) == why
    chosen, said = renditions.choose({"a": [GOOD], "b": [rendition]}, (rendition.gl,))
    assert chosen is GlBackend.SWIFTSHADER
    assert "b: " + why in said or "a did not try it" in said


def test_a_gpu_is_measured_by_the_time_that_it_is_waited_for() -> None:
    card = dataclasses.replace(GOOD, gl=GlBackend.GPU, renderer=CARD, cost=FrameCost(20, 80))
    wanted = (GlBackend.GPU, GlBackend.VULKAN)
    assert renditions.choose({"a": [card, GOOD]}, wanted)[0] is GlBackend.GPU
    slow = dataclasses.replace(card, cost=FrameCost(20, 95))
    assert renditions.choose({"a": [slow, GOOD]}, wanted)[0] is GlBackend.VULKAN


def test_hosts_that_draw_a_frame_differently_stay_with_swiftshader() -> None:
    other = dataclasses.replace(GOOD, frames=(*FILES[:2], FrameFile(2, 1000, "f" * 64)))
    assert renditions.choose({"a": [GOOD], "b": [other]}, VULKAN) == (
        GlBackend.SWIFTSHADER,
        "vulkan: a and b draw frame 2 differently",
    )


def test_only_what_every_host_allows_is_tried_and_only_where_it_pays() -> None:
    many, few = float(renditions.PER_CORE_MIN), renditions.PER_CORE_MIN - 0.1
    auto, gpu, fixed = (Host(name=gl.value, gl=gl) for gl in (Gl.AUTO, Gl.GPU, Gl.SWIFTSHADER))
    assert renditions.candidates([auto], many) == VULKAN
    assert renditions.candidates([auto], few) == ()
    assert renditions.candidates([gpu, gpu], many) == (GlBackend.GPU, GlBackend.VULKAN)
    assert renditions.candidates([gpu, auto], many) == VULKAN
    assert renditions.candidates([gpu, auto, fixed], many) == ()


def test_what_a_try_may_take_grows_with_what_each_core_has_to_draw() -> None:
    auto, gpu = Host(name="auto"), Host(name="gpu", gl=Gl.GPU)
    shown = FrameSet((FrameRange(0, 240),))
    assert renditions.per_core([auto, gpu], shown, FRAMES, 2.0) == 120
    assert renditions.per_core([auto, gpu], shown, FRAMES, 80.0) == 3
    assert renditions.per_core([gpu], shown, FRAMES, 2.0) == 500  # it composes all frames
    assert renditions.limit_s(120) == pytest.approx(4.8)
    assert renditions.limit_s(1e6) == PAGE_LIMIT_S


@given(st.sets(st.integers(0, 2000)), st.integers(1, 2000))
def test_samples_show_webgl_wherever_there_is_enough_of_it(shown: set[int], count: int) -> None:
    frames = FrameRange(0, count)
    inside = frameset.of(FrameRange(frame, frame + 1) for frame in shown if frame < count)
    samples = renditions.samples(inside, frames)
    assert list(samples) == sorted(set(samples))
    assert 0 < len(samples) <= renditions.PLACES * renditions.IN_A_ROW
    assert all(frame in (inside or frames) for frame in samples)


def test_frames_that_show_webgl_are_those_of_its_canvas(tmp_path: Path) -> None:
    canvas = '<canvas data-start="0.5" data-duration="1"></canvas>'
    script = '<script>document.querySelector("canvas").getContext("webgl")</script>'
    found = []
    for name, body in (("gl", canvas + script), ("plain", canvas)):
        film = read(tmp_path / name, {"index.html": page(body)})
        found.append(renditions.shown(film, plan.make(film, "b" * 64, "a" * 64)))
    assert found == [FrameSet((FrameRange(15, 45),)), FrameSet()]


def test_all_hosts_wait_for_each_other_and_draw_with_the_same() -> None:
    told: list[events.Event] = []

    async def decide() -> list[GlBackend]:
        backends = Backends(None, emit=told.append)
        backends.consider(VULKAN)
        backends.expect(["a", "b"])
        return list(await asyncio.gather(backends.decide("a", tries(GOOD)), backends.decide("b", tries(GOOD))))

    assert asyncio.run(decide()) == [GlBackend.VULKAN, GlBackend.VULKAN]
    assert [event.gl for event in told if isinstance(event, events.BackendFixed)] == [GlBackend.VULKAN]


def test_who_waits_for_a_host_that_leaves_goes_on() -> None:
    async def decide() -> GlBackend:
        backends = Backends(None, emit=lambda _: None)
        backends.consider(VULKAN)
        backends.expect(["a", "b"])
        waiting = asyncio.create_task(backends.decide("a", tries(GOOD)))
        await asyncio.sleep(0)
        backends.leave("b")
        return await waiting

    assert asyncio.run(decide()) is GlBackend.VULKAN


def test_a_host_that_comes_late_proves_itself_or_is_left_out() -> None:
    slow = dataclasses.replace(GOOD, cost=FrameCost(200, 200))

    async def decide() -> None:
        known = events.BackendFixed(GlBackend.VULKAN, "as before")
        backends = Backends(known, emit=lambda _: None)
        backends.consider(VULKAN)
        assert await backends.decide("good", tries(GOOD)) is GlBackend.VULKAN
        with pytest.raises(HostUnfit, match="cannot draw with vulkan"):
            await backends.decide("slow", tries(slow))

    asyncio.run(decide())


def test_nobody_tries_where_there_is_nothing_to_try() -> None:
    async def decide() -> GlBackend:
        backends = Backends(None, emit=never_told)
        backends.consider(())
        return await backends.decide("a", tries())

    assert asyncio.run(decide()) is GlBackend.SWIFTSHADER


def test_a_resumed_run_goes_on_with_what_its_frames_were_drawn_by() -> None:
    fixed = events.BackendFixed(GlBackend.VULKAN, "faster")
    chunk = events.ChunkOrdered(chunk="c1", host="a", attempt=1, frames=FRAMES, todo=(FRAMES,))
    assert resume.fixed_backend([events.Record("", 0.0, fixed), events.Record("", 1.0, chunk)]) == fixed
    assert resume.fixed_backend([]) is None
    unsaid = resume.fixed_backend([events.Record("", 0.0, chunk)])
    assert unsaid is not None
    assert unsaid.gl is GlBackend.SWIFTSHADER


def test_hosts_toml_says_what_may_draw() -> None:
    text = 'version = 1\n[[host]]\nname = "a"\ngl = "{}"\n'
    (host,) = hosts.parse(text.format("gpu"), file="h", directory="/", home="/", exists=lambda _: False)
    assert host.gl is Gl.GPU
    with pytest.raises(ConfigError, match='must be "auto", "swiftshader" or "gpu"'):
        hosts.parse(text.format("metal"), file="h", directory="/", home="/", exists=lambda _: False)


def tries(*found: Rendition) -> Try:
    async def attempt(wanted: tuple[GlBackend, ...]) -> Sequence[Rendition]:
        return [one for one in found if one.gl in wanted]

    return attempt


def never_told(event: events.Event) -> None:
    raise AssertionError(event)
