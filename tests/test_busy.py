"""A host renders for one at a time; what a second render does about it is its user's choice. Two real agents each."""

import asyncio
import dataclasses
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import agent_support
import hostile_support as support
import pytest

from fleet import busy, errors, events, model, render, request
from fleet.busy import Busy


@pytest.mark.parametrize(
    ("text", "policy"),
    [("skip", Busy()), ("fail", Busy(is_fatal=True)), ("wait=10m", Busy(600.0)), ("wait=1.5h", Busy(5400.0))],
)
def test_policies_are_read(text: str, policy: Busy) -> None:
    assert busy.parse(text) == policy


@pytest.mark.parametrize("text", ["", "wait", "wait=", "wait=ten", "wait=-1m", "wait=10", "Skip", "fail=1m"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(errors.ConfigError, match="--busy"):
        busy.parse(text)


@dataclasses.dataclass(frozen=True)
class Second:
    """A render that finds its host held by another run's agent."""

    home: Path
    prepared: render.Prepared

    def render(self, policy: Busy, heard: Callable[[events.Event], None] = lambda _: None) -> support.Ended:
        host = model.Host(name="here", transport="local", workdir=str(self.home / "work"))
        return asyncio.run(
            support.render_with(self.home, self.prepared, self.prepared.agent, [host], busy=policy, heard=heard)
        )


@pytest.fixture
def second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Second:
    monkeypatch.setenv("FLEETRENDER_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("FLEETRENDER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(busy, "POLL_S", 0.2)
    asked = request.Request(composition=support.composition(tmp_path / "c"), output=tmp_path / "out.mp4")
    return Second(tmp_path, render.prepare(asked))


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[agent_support.Coordinator]:
    with agent_support.agent(tmp_path / "work") as first:
        agent_support.open_workspace(first, run="first", owner="ana@ws1", lease_s=280.0)
        yield first


HELD = r"here: is rendering for run first of ana@ws1 from this machine since .* UTC \(pid [0-9]+\)"


def test_a_held_host_is_left_out_with_its_owners_name(second: Second, holder: agent_support.Coordinator) -> None:
    ended = second.render(busy.SKIP)
    assert isinstance(ended.error, errors.FleetLost)
    assert re.search(HELD, str(ended.error))
    assert "--busy wait" in ended.error.remedy


def test_a_render_may_end_because_a_host_is_held(second: Second, holder: agent_support.Coordinator) -> None:
    ended = second.render(Busy(is_fatal=True))
    assert isinstance(ended.error, errors.LockHeld)
    assert ended.report["exit_code"] == errors.ExitCode.LOCKED
    assert re.search(HELD, str(ended.error))


@pytest.mark.browser
@pytest.mark.ffmpeg
def test_a_render_may_wait_until_a_host_is_free(second: Second, holder: agent_support.Coordinator) -> None:
    def leave(event: events.Event) -> None:
        if isinstance(event, events.Warned) and "waiting" in event.message:
            holder.hang_up()

    ended = second.render(Busy(wait_s=60.0), heard=leave)
    assert ended.error is None
    assert "waiting up to 1:00 for it" in ended.shown


def test_a_wait_has_an_end(second: Second, holder: agent_support.Coordinator) -> None:
    ended = second.render(Busy(wait_s=0.5))
    assert isinstance(ended.error, errors.FleetLost)
    assert re.search(HELD, str(ended.error))
