"""`fleetrender snapshot`: single frames, chosen by time or number, captured as a render captures them."""

import dataclasses
from fractions import Fraction
from pathlib import Path

import barcode
import pytest
from fleetrender_support import EXAMPLES, fleetrender

from capture.protocol import FrameRange
from fleet import errors, plan, request, snapshot
from fleet.model import Composition

COMPOSITION = Composition(name="x", document="", width=64, height=48, duration_s=Fraction(10), fps=Fraction(30))
PLAN = plan.make(COMPOSITION, "", "")


@pytest.mark.parametrize(
    ("at", "frames", "chosen"),
    [
        ("1.5,3", None, [45, 90]),
        ("0, 9.99", None, [0, 299]),
        (None, "10,20:23,10", [10, 20, 21, 22]),
        ("1", "2", [2, 30]),
        (None, None, [0, 74, 149, 224, 299]),
    ],
)
def test_times_and_numbers_name_frames(at: str | None, frames: str | None, chosen: list[int]) -> None:
    assert list(snapshot.choose(PLAN, at=at, frames=frames)) == chosen


def test_a_time_between_two_frames_means_the_one_that_is_shown_then() -> None:
    broadcast = dataclasses.replace(PLAN, fps=Fraction(30000, 1001))
    assert list(snapshot.choose(broadcast, at="1.0010,1.0009", frames=None)) == [29, 30]


@pytest.mark.parametrize(
    ("at", "frames"), [("10", None), ("-1", None), ("x", None), ("1s", None), (None, "300"), (None, "5:5"), (None, "a")]
)
def test_what_is_no_frame_of_the_film_is_one_clear_error(at: str | None, frames: str | None) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        snapshot.choose(PLAN, at=at, frames=frames)
    assert caught.value.remedy


def test_a_film_of_one_frame_has_one_still() -> None:
    single = dataclasses.replace(PLAN, frame_count=1, frames=FrameRange(0, 1))
    assert list(snapshot.choose(single, at=None, frames=None)) == [0]


def test_stills_go_into_a_folder_that_can_be_written(tmp_path: Path) -> None:
    assert request.output_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    (tmp_path / "file").touch()
    with pytest.raises(errors.ConfigError, match="no folder"):
        request.output_folder(tmp_path / "file" / "b")


@pytest.mark.browser
@pytest.mark.ffmpeg
def test_every_still_shows_its_own_frame_and_nothing_else_is_left(tmp_path: Path) -> None:
    ended = fleetrender(tmp_path, "snapshot", EXAMPLES / "barcode", "--frames", "200,7:9", "-o", "stills")
    assert ended.code == 0, ended.stderr
    names = [f"frame_{index:06d}.png" for index in (7, 8, 200)]
    assert ended.stdout.split() == [str(tmp_path / "stills" / name) for name in names]
    assert sorted(file.name for file in (tmp_path / "stills").iterdir()) == names
    for name, index in zip(names, (7, 8, 200), strict=True):
        assert barcode.read_file(tmp_path / "stills" / name) == [index]
    assert list((tmp_path / "state" / "runs").iterdir()) == []
