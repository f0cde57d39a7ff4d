"""Agents that lie: each run ends in time with the right error or goes on with others, and nothing gets out."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hostile_agent
import hostile_support as support
import pytest

from capture.protocol import FrameRange
from fleet import agentzip, dispatch, errors, events, link, render, request, rundir, transfer
from fleet.schedule import Schedule
from fleet.transports import channel

pytestmark = pytest.mark.ffmpeg

# Only a hang comes here, however loaded the machine is.
BOUND_S = 240.0
AT_ONCE = 6
MEMORY_BOUND_BYTES = 150 << 20
CASES = sorted(
    hostile_agent.CASES.keys()
    - set(hostile_agent.HARMLESS)
    - set(hostile_agent.CLOCKS)
    - set(hostile_agent.DRAWS_WRONG)
    - {"waits_with_its_last_frame"}
)
# What is said of a host whose frames are not what it announced, and of one whose words cannot be true.
DAMAGED = r"frames never came|announced|pixels instead|second picture|not a JPEG|empty|No such|not a regular|levels"
WHY = {
    "endless_errors_then_death": "ended with status 7",
    "silence_after_hello": "no answer from the agent within",
    "silence_after_facts": "no answer from the agent within",
    "always_missing": "does not accept the bundle",
    "stopping_with_poison": "red link",
    "denied_with_poison": "is rendering for red link",
    "failed_with_poison": "red link",
    "poisoned_facts": "Python red link",
}


@dataclass(frozen=True)
class Stage:
    """What all cases share: reading the composition takes longer than most of them."""

    home: Path
    agent: agentzip.AgentZip
    prepared: render.Prepared

    async def render(self, *hosts: tuple[str, str], resume: bool = False, together: bool = False) -> support.Ended:
        """A render with these hosts: the name of each, and its lie. `together`: none is done before all have begun."""
        chosen = [support.local(self.home, name, case) for name, case in hosts]
        held = {host.name: self.home / "hosts" / host.name / "hold" for host in chosen} if together else {}
        for hold in held.values():
            hold.parent.mkdir(parents=True)
            hold.touch()
        begun: set[str] = set()

        def hear(event: events.Event) -> None:
            if isinstance(event, events.ChunkStarted):
                begun.add(event.host)
                if begun == held.keys():
                    for hold in held.values():
                        hold.unlink(missing_ok=True)

        return await support.render_with(self.home, self.prepared, self.agent, chosen, heard=hear, resume=resume)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    home = tmp_path_factory.mktemp("stage")
    with pytest.MonkeyPatch.context() as patch, support.agent(home / "agent") as agent:
        patch.setenv("FLEETRENDER_STATE", str(home / "state"))
        patch.setenv("FLEETRENDER_CACHE", str(home / "cache"))
        for name in ("HELLO_TIMEOUT_S", "ACQUIRE_TIMEOUT_S"):
            patch.setattr(link, name, 8.0)
        patch.setattr(channel, "FAREWELL_S", 0.5)
        patch.setattr(dispatch, "RECONNECT_DELAYS_S", (0.1,))
        asked = request.Request(composition=support.composition(home / "c"), output=home / "out.mp4")
        prepared = render.prepare(asked)
        (home / "canary").write_text("untouched")
        yield Stage(home, agent, prepared)


@dataclass(frozen=True)
class Alone:
    """Every lie by itself, several at once; by case."""

    ended: dict[str, support.Ended]
    grown_bytes: int
    appeared: set[str]


@pytest.fixture(scope="module")
def alone(stage: Stage) -> Alone:
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(case: str) -> support.Ended:
        async with turn:
            return await stage.render((f"evil-{case.replace('_', '-')}", case))

    async def main() -> list[support.Ended]:
        return await asyncio.gather(*map(one, CASES))

    files, memory_bytes = support.tree(stage.home).keys(), support.memory_bytes()
    ended = asyncio.run(main())
    grown_bytes = support.memory_bytes() - memory_bytes
    return Alone(dict(zip(CASES, ended, strict=True)), grown_bytes, support.tree(stage.home).keys() - files)


def kept_of(ended: support.Ended) -> list[bytes]:
    """What is in the files that were encoded, in the order of the film."""
    records = rundir.read_events(ended.run / "events.jsonl")
    schedule = Schedule.replay(records, FrameRange(0, support.FRAMES), hosts=())
    found: dict[int, bytes] = {}
    for chunk, (frames, stored) in schedule.stored.items():
        for frame in stored:
            file = ended.run / "chunks" / chunk / f"frame_{frame - frames.start:06d}.jpg"
            found[frame] = file.read_bytes()[6:10]
    return [found[frame] for frame in sorted(found)]


def check_unpoisoned(ended: support.Ended) -> None:
    """Nothing that a terminal would act on, in whatever the run has shown or left."""
    for where, text in ended.texts():
        assert not support.unfit(text), where
        assert not any(line.startswith("error: forged") for line in text.splitlines()), where


def check_contained(ended: support.Ended) -> None:
    """Plain files and folders under names of ours, and an empty quarantine."""
    for path in ended.run.rglob("*"):
        assert not path.is_symlink()
        assert path.is_dir() or path.is_file()
    assert list((ended.run / "quarantine").iterdir()) == []
    for chunk in (ended.run / "chunks").iterdir():
        assert re.fullmatch("[a-z0-9-]+", chunk.name)
        assert all(re.fullmatch(r"frame_\d{6}\.jpg", file.name) for file in chunk.iterdir())


@pytest.mark.parametrize("case", CASES)
def test_a_lie_ends_the_run_in_time_with_its_reason(alone: Alone, case: str) -> None:
    ended = alone.ended[case]
    assert ended.wall_s < BOUND_S
    assert isinstance(ended.error, errors.FleetLost)
    assert ended.error.remedy
    assert ended.report["exit_code"] == errors.ExitCode.FLEET
    assert re.search(WHY.get(case, f"broke the protocol|{DAMAGED}"), str(ended.error))
    check_contained(ended)
    check_unpoisoned(ended)


def test_no_lie_writes_outside_of_its_run_or_grows_the_coordinator(stage: Stage, alone: Alone) -> None:
    assert {path.split("/")[0] for path in alone.appeared} <= {"state", "hosts"}
    assert (stage.home / "canary").read_text() == "untouched"
    assert alone.grown_bytes < MEMORY_BOUND_BYTES


def test_logs_of_a_flood_stay_small(alone: Alone) -> None:
    for case, ended in alone.ended.items():
        size = sum(file.stat().st_size for file in ended.run.rglob("*") if file.is_file())
        assert size < 20 << 20, case


def test_a_run_goes_on_with_its_honest_hosts(stage: Stage) -> None:
    liars = [case for case in CASES if case not in WHY and not re.search("frame|size|than|digest", case)]
    hosts = [("honest", ""), *((f"liar-{case.replace('_', '-')}", case) for case in liars[:8])]
    ended = asyncio.run(stage.render(*hosts))
    assert ended.error is None, ended.error
    check_contained(ended)
    check_unpoisoned(ended)


@pytest.mark.parametrize("case", hostile_agent.DRAWS_WRONG)
def test_who_draws_what_is_not_the_frame_is_caught_at_a_seam_and_left_out(stage: Stage, case: str) -> None:
    liar = f"liar-{case.replace('_', '-')}"
    hosts = (f"first-{liar}", ""), (f"second-{liar}", ""), (liar, case)
    ended = asyncio.run(stage.render(*hosts, together=True))
    assert ended.error is None, ended.error
    evidence = ended.report["evidence"]
    disagreed = [each for each in evidence if each["type"] == "frame.disagreed"]
    assert disagreed
    assert all(liar in each["hosts"] for each in disagreed)
    assert {each["host"] for each in evidence if each["type"] == "host.struck"} == {liar}
    assert [each["host"] for each in evidence if each.get("is_final")] == [liar]
    assert "differs between" in ended.shown
    assert kept_of(ended) == [hostile_agent.number(frame) for frame in range(support.FRAMES)]


def test_two_hosts_that_differ_end_the_run_and_it_goes_on_with_the_one_that_is_left(stage: Stage) -> None:
    both = asyncio.run(stage.render(("one-of-two", ""), ("other-of-two", "flipped_pixel"), together=True))
    assert isinstance(both.error, errors.VerificationError)
    assert "looks different on one-of-two and other-of-two" in str(both.error)
    assert both.report["exit_code"] == errors.ExitCode.VERIFICATION
    assert not (stage.home / "one-of-two.mp4").exists()
    alone = asyncio.run(stage.render(("one-of-two", ""), resume=True))
    assert alone.error is None, alone.error
    assert alone.run == both.run
    assert kept_of(alone) == [hostile_agent.number(frame) for frame in range(support.FRAMES)]


@pytest.mark.parametrize("case", hostile_agent.HARMLESS)
def test_rudeness_that_harms_nothing_is_put_up_with(stage: Stage, case: str) -> None:
    ended = asyncio.run(stage.render((f"rude-{case.replace('_', '-')}", case)))
    assert ended.error is None, ended.error
    assert ended.report["frames_verified"] == support.FRAMES
    check_contained(ended)
    check_unpoisoned(ended)


def test_clocks_that_are_off_by_a_day_change_nothing(stage: Stage) -> None:
    hosts = [(case.replace("_", "-"), case) for case in hostile_agent.CLOCKS]
    ended = asyncio.run(stage.render(*hosts))
    assert ended.error is None, ended.error
    assert ended.report["frames_verified"] == support.FRAMES
    assert ended.report["evidence"] == []


def test_a_full_disk_here_stops_the_pulls_and_loses_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "DISK_FREE_MIN_BYTES", 1 << 60)
    monkeypatch.setattr(transfer, "DISK_WAIT_S", 1.0)
    ended = asyncio.run(stage.render(("full", "")))
    assert isinstance(ended.error, errors.ConfigError)
    assert re.search(r"only .* are free for frames in", str(ended.error))
    assert "--resume" in ended.error.remedy
    assert "wait on their hosts" in ended.shown
    assert ended.report["frames_verified"] == 0
    monkeypatch.setattr(transfer, "DISK_FREE_MIN_BYTES", 0)
    assert asyncio.run(stage.render(("full", ""), resume=True)).error is None


def test_stills_are_deleted_while_other_frames_are_still_to_come(stage: Stage, tmp_path: Path) -> None:
    asked = request.Request(composition=support.composition(tmp_path / "c", seconds=4), output=tmp_path / "out.mp4")
    host = support.local(tmp_path, "slow", "waits_with_its_last_frame")
    runs: list[Path] = []
    left: list[int] = []

    def hear(event: events.Event) -> None:
        if isinstance(event, events.RunStarted):
            runs.append(stage.home / "state" / "runs" / event.run)
        elif isinstance(event, events.StillsDropped):
            (tmp_path / "hosts" / "slow" / "go").touch()
        elif isinstance(event, events.FramesVerified):
            left[:] = sorted(int(file.stem[6:]) for file in (runs[0] / "chunks" / event.chunk).iterdir())

    rendering = support.render_with(tmp_path, render.prepare(asked), stage.agent, [host], heard=hear, keep=False)
    ended = asyncio.run(rendering)
    assert ended.error is None, ended.error
    assert left == [*range(60, 120)]
    assert ended.report["frames_verified"] == 120
