"""`fleetrender verify` finds whatever happened to an output, or to what its run left behind, since it was made."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from fleetrender_support import EXAMPLES, fleetrender

pytestmark = [pytest.mark.browser, pytest.mark.ffmpeg]


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with out.mp4 of 75 frames, two segments, and its run with all frames kept."""
    home = tmp_path_factory.mktemp("delivered")
    ended = fleetrender(home, "run", EXAMPLES / "barcode", "--frames", "10:85", "-o", "out.mp4", "--keep")
    assert ended.code == 0, ended.stderr
    return home


@pytest.fixture
def home(delivered: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged; its log names the copy's output."""
    home = tmp_path / "home"
    left_out = shutil.ignore_patterns(".*", "cache")  # what Chromium leaves in a home, and what nobody damages
    shutil.copytree(delivered, home, ignore=left_out)
    log = run_of(home) / "events.jsonl"
    log.write_text(log.read_text().replace(str(delivered), str(home)))
    return home


def run_of(home: Path) -> Path:
    (run,) = (home / "state" / "runs").iterdir()
    return run


def frames_of(home: Path) -> list[Path]:
    return sorted((run_of(home) / "chunks").glob("*/frame_*.jpg"))


def test_an_untouched_output_is_proven_by_its_name_and_by_its_run(home: Path) -> None:
    for target in ("out.mp4", run_of(home).name, run_of(home)):
        ended = fleetrender(home, "verify", target, "--json")
        assert ended.code == 0, ended.stdout + ended.stderr
        assert [check["name"] for check in ended.result["checks"]] == [
            "log", "plan", "frames", "files", "segments", "output", "streams", "decoding",
        ]  # fmt: skip
    shown = fleetrender(home, "verify", "out.mp4")
    assert "75 of 75 verified" in shown.stdout
    assert shown.stdout.rstrip().endswith("verified")
    assert max(map(len, shown.stdout.splitlines()[:-2])) <= 80


def flip(file: Path, at: int) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 0x55
    file.write_bytes(data)


def swap(home: Path) -> None:
    first, second = frames_of(home)[:2]
    first.rename(first.with_suffix(".x"))
    second.rename(first)
    first.with_suffix(".x").rename(second)


def forget_a_frame(home: Path) -> None:
    log = run_of(home) / "events.jsonl"
    kept = []
    for line in log.read_text().splitlines():
        plain = json.loads(line)
        if plain["type"] == "chunk.verified":
            plain["frames"] = [frame for frame in plain["frames"] if frame["index"] != 20]
        kept.append(json.dumps(plain))
    log.write_text("\n".join(kept) + "\n")


def dispute_a_frame(home: Path) -> None:
    log = run_of(home) / "events.jsonl"
    lines = log.read_text().splitlines()
    ordered = next(json.loads(line) for line in lines if '"chunk.ordered"' in line)
    told = [json.loads(line) for line in lines if '"chunk.verified"' in line]
    verified, frame = next((event, frame) for event in told for frame in event["frames"] if frame["index"] == 10)
    other = ordered | {"chunk": "other", "host": "other"}
    lie = verified | {"chunk": "other", "host": "other", "frames": [frame | {"sha256": "0" * 64}]}
    log.write_text("\n".join([*lines[:-1], json.dumps(other), json.dumps(lie), lines[-1]]) + "\n")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "output: ": lambda home: flip(home / "out.mp4", -2000),
    "streams: ": lambda home: (home / "out.mp4").write_bytes((home / "out.mp4").read_bytes()[:5000]),
    "output: the file is gone": lambda home: (home / "out.mp4").unlink(),
    "files: frame 10: ": swap,
    "files: frame 11: ": lambda home: flip(frames_of(home)[1], 300),
    "files: frame 12: ": lambda home: frames_of(home)[2].unlink(),
    "frames: not verified: 20:21": forget_a_frame,
    "frames: two hosts drew frame 10 differently": dispute_a_frame,
    "log: it has no end": lambda home: (run_of(home) / "events.jsonl").write_text(
        "".join((run_of(home) / "events.jsonl").read_text().splitlines(keepends=True)[:-1])
    ),
    "segments: segment_00001.mp4 has 60 frames instead of 15": lambda home: shutil.copy(
        run_of(home) / "segments" / "segment_00000.mp4", run_of(home) / "segments" / "segment_00001.mp4"
    ),
}


@pytest.mark.parametrize("problem", DAMAGES)
def test_every_damage_is_named(home: Path, problem: str) -> None:
    DAMAGES[problem](home)
    ended = fleetrender(home, "verify", run_of(home), "--json")
    assert ended.code == 6
    problems = [f"{check['name']}: {check['problem']}" for check in ended.result["checks"] if check["problem"]]
    assert any(said.startswith(problem) for said in problems), problems


def test_a_still_that_went_when_its_segment_was_encoded_is_not_missed(home: Path) -> None:
    log = run_of(home) / "events.jsonl"
    *lines, last = log.read_text().splitlines()
    encoded = next(json.loads(line) for line in lines if '"segment.encoded","index":0' in line)
    dropped = encoded | {"type": "stills.dropped", "size_bytes": 1, "sha256": "0" * 64}
    log.write_text("\n".join([*lines, json.dumps(dropped), last]) + "\n")
    for file in frames_of(home)[: encoded["frames"]["stop"] - encoded["frames"]["start"]]:
        file.unlink()
    ended = fleetrender(home, "verify", "out.mp4", "--json")
    assert ended.code == 0, ended.stdout + ended.stderr
    assert "15 frames as captured" in ended.stdout


def test_a_plan_of_another_run_is_refused(home: Path) -> None:
    plan = run_of(home) / "plan.json"
    plan.write_text(plan.read_text().replace('"jpeg_quality": ', '"jpeg_quality": 1'))
    ended = fleetrender(home, "verify", "out.mp4")
    assert ended.code == 2
    assert "plan.json" in ended.stderr


def test_an_output_that_no_run_delivered_is_one_clear_error(home: Path) -> None:
    ended = fleetrender(home, "verify", "other.mp4")
    assert ended.code == 2
    assert "no run is known that delivered" in ended.stderr
