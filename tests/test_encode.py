import asyncio
import dataclasses
import hashlib
import os
import shlex
import signal
import struct
import subprocess
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import media_support as media
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture import ivf
from capture.protocol import FrameRange, ImageFormat
from fleet import encode
from fleet.errors import FleetError, VerificationError
from fleet.formats import FORMATS
from fleet.model import Plan, Quality

TAIL = (
    "-map_metadata -1 -pix_fmt yuv420p -preset {preset} -threads 4 -video_track_timescale 90000 "
    "-x264-params {params} file:o.mp4 -hide_banner -loglevel error -xerror -progress pipe:1 -y"
)
GOP = "scenecut=0:open-gop=0:repeat-headers=1:keyint=60:min-keyint=60"
TAGS = "-color_primaries bt709 -color_range tv -color_trc bt709 -colorspace bt709"
EXACT = "flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp+bitexact"


def command(**changes: Any) -> str:
    return shlex.join(encode.command(media.make_plan(**changes), "o.mp4")).replace("'", "")


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("quality", "crf", "preset", "params"),
    [
        (Quality.DRAFT, 28, "ultrafast", f"aq-mode=3:{GOP}"),
        (Quality.STANDARD, 18, "medium", f"aq-mode=3:aq-strength=0.8:deblock=1,1:{GOP}"),
        (Quality.HIGH, 15, "slow", f"aq-mode=3:aq-strength=0.8:deblock=1,1:{GOP}"),
    ],
)
def test_mp4_from_jpeg(quality: Quality, crf: int, preset: str, params: str) -> None:
    b_frames = 0 if quality is Quality.DRAFT else 3
    assert command(quality=quality) == (
        "ffmpeg -f ivf -err_detect crccheck+explode -fpsprobesize 0 -vcodec mjpeg -i pipe:0 -filter_complex "
        "[0]colorspace=format=yuv420p:iprimaries=bt709:irange=pc:ispace=bt470bg:itrc=bt709:primaries=bt709:range=tv:"
        f"space=bt709:trc=bt709[s0];[s0]fps=30/1[s1] -map [s1] -f mp4 -bf {b_frames} -c:v libx264 {TAGS} -crf {crf} "
        f"-fflags +bitexact -flags +bitexact {TAIL.format(preset=preset, params=params)}"
    )


def test_mp4_from_png_converts_in_one_step() -> None:
    assert "-vcodec png" in command(image=ImageFormat.PNG)
    assert f"[0]scale={EXACT}:out_color_matrix=bt709:out_range=tv[s0];[s0]format=yuv420p[s1]" in command(
        image=ImageFormat.PNG
    )


def test_odd_sizes_grow_by_repeating_the_last_pixels() -> None:
    assert (
        f"[0]scale={EXACT}:in_color_matrix=bt601:in_range=pc[s0];[s0]format=gbrp[s1];[s1]pad=64:42:0:0[s2];"
        f"[s2]fillborders=bottom=1:mode=smear:right=1[s3];[s3]scale={EXACT}:out_color_matrix=bt709:out_range=tv[s4]"
    ) in command(width=63, height=41)


@given(st.fractions(1, 240, max_denominator=1001))
def test_every_frame_lasts_a_whole_number_of_ticks(fps: Fraction) -> None:
    assert (encode.timescale(fps) / fps).denominator == 1
    assert 10_000 <= encode.timescale(fps) < 2**31


def test_progress_is_the_last_count() -> None:
    assert encode.parse_progress("frame=3\nprogress=continue\nframe=60\ndrop_frames=9\nprogress=end\n") == 60
    assert encode.parse_progress("") == 0


def test_every_format_has_every_quality() -> None:
    for row in FORMATS.values():
        assert set(row.jpeg_quality) == set(Quality)
        encoder = "copy" if row.keeps_stills else row.encoder
        assert all(row.video(quality, 60)["c:v"] == encoder for quality in Quality)


@pytest.mark.ffmpeg
@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("size", [(64, 36), (63, 35)])
@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128), (31, 111, 235)])
def test_colours_survive(tmp_path: Path, colour: tuple[int, int, int], size: tuple[int, int], suffix: str) -> None:
    still = media.solid(tmp_path / f"still.{suffix}", colour, width=size[0], height=size[1])
    plan = media.make_plan(1, width=size[0], height=size[1], image=ImageFormat(suffix), quality=Quality.STANDARD)
    asyncio.run(encode.run(plan, FrameRange(0, 1), [still], tmp_path / "o.mp4"))
    for found in media.rgbs(tmp_path / "o.mp4", (10, 10), (encode.even(size[0]) - 1, encode.even(size[1]) - 1)):
        assert max(abs(a - b) for a, b in zip(found, colour, strict=True)) <= 2


@pytest.mark.ffmpeg
def test_a_segment_is_the_same_bytes_twice_and_one_closed_gop(tmp_path: Path) -> None:
    stills = media.make_stills(tmp_path / "stills", 60)
    plan = media.make_plan(quality=Quality.STANDARD)
    for name in ("a.mp4", "b.mp4"):
        asyncio.run(encode.run(plan, FrameRange(0, 60), stills, tmp_path / name))
    assert sha256(tmp_path / "a.mp4") == sha256(tmp_path / "b.mp4")
    argv = ("ffprobe", "-v", "error", "-show_entries", "packet=flags", "-of", "csv=p=0", str(tmp_path / "a.mp4"))
    flags = subprocess.run(argv, capture_output=True, check=True, text=True).stdout.split()
    assert [flag.startswith("K") for flag in flags] == [True] + [False] * 59
    (video,) = media.probe(tmp_path / "a.mp4").streams
    assert (video.packets, video.duration_s, video.rate) == (60, Fraction(2), Fraction(30))
    assert video.colour == ("tv", "bt709", "bt709", "bt709")


@pytest.mark.ffmpeg
@pytest.mark.parametrize(
    ("name", "image", "counts"),
    [
        ("mp4", ImageFormat.JPEG, (1, 1, 5, 1, 12)),
        ("mp4", ImageFormat.JPEG, (16,)),
        ("mp4", ImageFormat.JPEG, (1, 2, 1, 2, 1)),
        ("mp4", ImageFormat.PNG, (9, 1, 3)),
        ("webm", ImageFormat.PNG, (9, 1, 3)),
        ("mov", ImageFormat.PNG, (9, 1, 3)),
    ],
    ids=str,
)
def test_stills_that_are_decoded_once_for_many_frames_give_the_same_bytes(
    tmp_path: Path, name: str, image: ImageFormat, counts: tuple[int, ...]
) -> None:
    suffix = "jpg" if image is ImageFormat.JPEG else "png"
    pictures = [still.read_bytes() for still in media.make_stills(tmp_path / "stills", len(counts), suffix=suffix)]
    repeated = [picture for picture, count in zip(pictures, counts, strict=True) for _ in range(count)]
    marked = [rewritten(picture, number) for number, picture in enumerate(repeated)]
    plan = media.make_plan(
        len(repeated), segment=len(repeated), format=name, image=image, fps=Fraction(24000, 1001), width=64, height=36
    )
    outputs = []
    for kind, frames in (("once", repeated), ("each", marked)):
        files = [tmp_path / f"{kind}-{number}.{suffix}" for number in range(len(frames))]
        for file, frame in zip(files, frames, strict=True):
            file.write_bytes(frame)
        outputs.append(tmp_path / f"{kind}.{name}")
        asyncio.run(encode.run(plan, FrameRange(0, len(files)), files, outputs[-1]))
    assert sha256(outputs[0]) == sha256(outputs[1])


def rewritten(picture: bytes, number: int) -> bytes:
    """The same picture in other bytes: a JPEG with a comment, a PNG with its data in two parts."""
    if picture.startswith(b"\xff\xd8"):
        return picture[:2] + b"\xff\xfe\x00\x04" + number.to_bytes(2, "big") + picture[2:]
    at = picture.index(b"IDAT")
    content, rest = picture[at + 4 :], picture[at + 8 + int.from_bytes(picture[at - 4 : at], "big") :]
    content = content[: len(content) - len(rest) - 4]
    return picture[: at - 4] + idat(content[: number + 1]) + idat(content[number + 1 :]) + rest


def idat(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + b"IDAT" + content + struct.pack(">I", zlib.crc32(b"IDAT" + content))


def packets(plan: Plan, files: list[Path]) -> list[tuple[int, bytes]]:
    """What a stream is fed after its header: places and pictures."""

    async def file_of(frame: int) -> Path:
        return files[frame - 10]

    async def read() -> list[bytes]:
        return [data async for data in encode._feed(plan, FrameRange(10, 10 + len(files)), file_of, [])]

    fed = asyncio.run(read())
    if FORMATS[plan.format].keeps_stills:
        return [(10 + place, data) for place, data in enumerate(fed)]
    assert fed[0] == ivf.header(plan.image, plan.image_width, plan.image_height, plan.fps)
    return [(10 + int.from_bytes(data[4:12], "little"), data[12:]) for data in fed[1:]]


@pytest.mark.ffmpeg
def test_repeats_in_a_row_are_sent_once_and_the_last_frame_ends_them(tmp_path: Path) -> None:
    a, b = (still.read_bytes() for still in media.make_stills(tmp_path / "stills", 2, suffix="png"))
    files = [tmp_path / str(number) for number in range(6)]
    for file, content in zip(files, (a, a, b, a, a, a), strict=True):
        file.write_bytes(content)
    plan = media.make_plan(20, image=ImageFormat.PNG)
    assert packets(plan, files) == [(10, a), (12, b), (13, a), (15, a)]
    kept = packets(dataclasses.replace(plan, format="gif"), files)
    assert [frame for frame, _ in kept] == [10, 11, 12, 13, 14, 15]


@pytest.mark.ffmpeg
def test_frames_are_encoded_while_they_come(tmp_path: Path) -> None:
    files = media.make_stills(tmp_path / "stills", 4)
    plan, span = media.make_plan(4), FrameRange(0, 4)

    async def scenario() -> None:
        is_asked, may_come = asyncio.Event(), asyncio.Event()

        async def file_of(frame: int) -> Path:
            if frame == 3:
                is_asked.set()
                await may_come.wait()
            return files[frame]

        running = asyncio.create_task(encode.stream(plan, span, file_of, tmp_path / "slow.mp4"))
        await media.wait_for_process(f"file:{tmp_path}/slow.mp4.part")
        await is_asked.wait()
        may_come.set()
        await running

    asyncio.run(scenario())
    asyncio.run(encode.run(plan, span, files, tmp_path / "whole.mp4"))
    assert sha256(tmp_path / "slow.mp4") == sha256(tmp_path / "whole.mp4")


@pytest.mark.ffmpeg
@pytest.mark.parametrize(("wait_at", "places"), [(10, [0, 59]), (20, [0, 19, 59]), (None, [0, 59])])
def test_an_encoder_that_would_wait_is_told_of_many_repeats(
    tmp_path: Path, wait_at: int | None, places: list[int]
) -> None:
    still = media.make_stills(tmp_path / "stills", 1)[0]
    plan, span = media.make_plan(60), FrameRange(0, 60)

    async def file_of(frame: int) -> Path:
        if frame == wait_at:
            await asyncio.sleep(0.05)
        return still

    async def pieces() -> list[bytes]:
        return [piece async for piece in encode._feed(plan, span, file_of, [])]

    header, *packets = asyncio.run(pieces())
    assert packets == [ivf.packet(place, still.read_bytes()) for place in places]
    assert header == ivf.header(plan.image, plan.width, plan.height, plan.fps)
    asyncio.run(encode.stream(plan, span, file_of, tmp_path / "slow.mp4"))
    asyncio.run(encode.run(plan, span, [still] * 60, tmp_path / "whole.mp4"))
    assert sha256(tmp_path / "slow.mp4") == sha256(tmp_path / "whole.mp4")


def damaged(data: bytes, kind: str) -> bytes:
    half = len(data) // 2
    return {
        "absent": b"",
        "truncated": data[:half],
        "other": b"<html>" * 100,
        "split": data[:half] + b"\xff\xd8" + data[half + 2 :],
        "garbled": data[:half] + bytes(range(1, 255)) * 3 + data[half + 762 :],
    }[kind]


@pytest.mark.ffmpeg
@pytest.mark.parametrize("kind", ["absent", "truncated", "other", "split", "garbled"])
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_damaged_frame_in_the_middle_is_named(tmp_path: Path, kind: str, suffix: str) -> None:
    stills = media.make_stills(tmp_path / "stills", 20, size="320x180", suffix=suffix)
    content = damaged(stills[7].read_bytes(), kind)
    stills[7].write_bytes(content)
    plan = media.make_plan(120, width=320, height=180, image=ImageFormat(suffix))
    with pytest.raises(VerificationError, match=r"frame 107 is damaged: .*frame_000007\." + suffix):
        asyncio.run(encode.run(plan, FrameRange(100, 120), stills, tmp_path / "o.mp4"))
    assert list(tmp_path.glob("o.*")) == []


@pytest.mark.ffmpeg
def test_a_frame_of_another_size_is_named(tmp_path: Path) -> None:
    stills = media.make_stills(tmp_path / "a", 3) + media.make_stills(tmp_path / "b", 1, size="32x18")
    with pytest.raises(VerificationError, match="frame 3 is damaged: 32x18 pixels instead of 64x36"):
        asyncio.run(encode.run(media.make_plan(4), FrameRange(0, 4), stills, tmp_path / "o.mp4"))


@pytest.mark.ffmpeg
def test_a_missing_frame_file_is_named(tmp_path: Path) -> None:
    stills = media.make_stills(tmp_path / "stills", 3)
    stills[1].unlink()
    with pytest.raises(VerificationError, match=r"frame 1 is damaged: empty: .*frame_000001.jpg"):
        asyncio.run(encode.run(media.make_plan(3), FrameRange(0, 3), stills, tmp_path / "o.mp4"))


@pytest.mark.ffmpeg
def test_a_killed_encoder_leaves_nothing_and_can_be_run_again(tmp_path: Path) -> None:
    stills = media.make_stills(tmp_path / "stills", 10)
    still, stills[5] = stills[5], tmp_path / "fifo"
    os.mkfifo(stills[5])
    plan, output = media.make_plan(10), tmp_path / "o.mp4"

    async def scenario() -> None:
        running = asyncio.create_task(encode.run(plan, FrameRange(0, 10), stills, output))
        pid = await media.wait_for_process(f"file:{output}.part")
        fifo = await asyncio.to_thread(stills[5].open, "wb", buffering=0)  # until it is to be read
        os.kill(pid, signal.SIGKILL)
        with fifo:
            await asyncio.to_thread(fifo.write, still.read_bytes())
        with pytest.raises(FleetError, match=r"segment 0:10: ffmpeg ended with -9: .*SIGKILL"):
            await running

    asyncio.run(scenario())
    assert list(tmp_path.glob("o.*")) == []
