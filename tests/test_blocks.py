"""How a chunk is shared among workers, and how file numbers become frames again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture import blocks
from capture.protocol import Block, FrameRange, ImageFormat, frame_name, ranges_of

CHUNK = FrameRange(50, 150)


def test_distributing_100_frames_over_4_workers_from_frame_50_keeps_the_offset_and_shifts_the_ranges() -> None:
    queue = blocks.distribute(CHUNK, (CHUNK,), workers=4, directory="d", block_frames=25)
    assert queue == tuple(
        Block(frames=FrameRange(start, start + 25), offset=50, directory="d") for start in (50, 75, 100, 125)
    )


def test_missing_files_are_captured_again_at_their_absolute_frames_into_the_same_files() -> None:
    missing = [*range(5), *range(10, 15)]
    todo = blocks.absolute(missing, CHUNK)
    assert todo == (FrameRange(50, 55), FrameRange(60, 65))
    retry = blocks.distribute(CHUNK, todo, workers=2, directory="d")
    assert {block.offset for block in retry} == {50}
    names = [frame_name(frame - block.offset, ImageFormat.JPEG) for block in retry for frame in block.frames]
    assert names == [frame_name(index, ImageFormat.JPEG) for index in missing]


def test_a_short_chunk_still_gives_every_worker_a_block() -> None:
    assert len(blocks.split((FrameRange(0, 6),), workers=3)) == 3


@pytest.mark.parametrize("index", [0.0, 1.5, "1", None])
def test_file_numbers_that_are_not_integers_are_refused(index: object) -> None:
    with pytest.raises(TypeError):
        blocks.absolute([index], CHUNK)  # type: ignore[list-item]


@pytest.mark.parametrize("index", [-1, 100])
def test_file_numbers_outside_the_chunk_are_refused(index: int) -> None:
    with pytest.raises(ValueError, match="outside chunk"):
        blocks.absolute([index], CHUNK)


@pytest.mark.parametrize(("workers", "block_frames"), [(1.0, 8), (2, 8.0), (True, 8), ("2", 8)])
def test_workers_and_block_size_are_integers(workers: object, block_frames: object) -> None:
    with pytest.raises(TypeError):
        blocks.split((CHUNK,), workers=workers, block_frames=block_frames)  # type: ignore[arg-type]


@pytest.mark.parametrize(("workers", "block_frames"), [(0, 8), (-1, 8), (1, 0)])
def test_workers_and_block_size_are_positive(workers: int, block_frames: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        blocks.split((CHUNK,), workers=workers, block_frames=block_frames)


def test_frames_outside_the_chunk_are_not_distributed() -> None:
    with pytest.raises(ValueError, match="not inside"):
        blocks.distribute(CHUNK, (FrameRange(49, 51),), workers=1, directory="d")


@given(
    st.sets(st.integers(0, 300), min_size=1),
    st.integers(1, 12),
    st.integers(1, 40),
)
def test_blocks_hold_every_frame_once_front_to_back(frames: set[int], workers: int, block_frames: int) -> None:
    cut = blocks.split(ranges_of(frames), workers=workers, block_frames=block_frames)
    assert [frame for block in cut for frame in block] == sorted(frames)
    assert max(map(len, cut)) <= block_frames


@given(st.sets(st.integers(0, 99)))
def test_file_numbers_survive_the_way_to_frames_and_back(indices: set[int]) -> None:
    frames = [frame for part in blocks.absolute(indices, CHUNK) for frame in part]
    assert [frame - CHUNK.start for frame in frames] == sorted(indices)
