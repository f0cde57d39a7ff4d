import asyncio
import dataclasses
import hashlib
import json
import os
import shlex
import shutil
import signal
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import media_support as media
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet import assemble, audio, encode, ffprobe
from fleet.errors import FleetError, VerificationError
from fleet.ffprobe import Media, Stream
from fleet.model import AudioTrack, Plan, Quality

VIDEO = Stream(
    kind="video", codec="h264", start_s=Fraction(0), duration_s=Fraction(3), packets=90, width=64, height=36,
    pixel_format="yuv420p", colour=("tv", "bt709", "bt709", "bt709"), rate=Fraction(30), average_rate=Fraction(30),
    keyframes=(0, 60),
)  # fmt: skip
SOUND = Stream(kind="audio", codec="aac", start_s=Fraction(0), duration_s=Fraction(3), channels=2, sample_rate=48_000)
EXPECTED = assemble.expectation(media.make_plan(90), has_audio=True)


@pytest.fixture(scope="session")
def stills(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return media.make_stills(tmp_path_factory.mktemp("stills"), 100)


def encode_all(plan: Plan, stills: Sequence[Path], directory: Path, order: Sequence[int]) -> list[Path]:
    directory.mkdir(exist_ok=True)
    files = [directory / f"segment_{index:05d}.mp4" for index in range(len(plan.segments))]

    async def scenario() -> None:
        for index in order:
            segment = plan.segments[index]
            await encode.run(plan, segment, stills[segment.start : segment.stop], files[index])

    asyncio.run(scenario())
    return files


def judged(video: Stream = VIDEO, *sounds: Stream) -> list[str]:
    return [finding.message for finding in assemble.judge(Media(Fraction(3), (video, *sounds)), EXPECTED)]


def test_the_list_survives_any_name() -> None:
    assert (
        assemble.listing(["/a b/it's.mp4", "/ü.mp4"])
        == "ffconcat version 1.0\nfile '/a b/it'\\''s.mp4'\nfile '/ü.mp4'\n"
    )


def test_video_and_sound_are_copied() -> None:
    argv = assemble.command(media.make_plan(fps=Fraction(30000, 1001)), "list", "audio.m4a", "o.mp4.part")
    assert shlex.join(argv).replace("'", "") == (
        "ffmpeg -f concat -safe 0 -i file:list -i file:audio.m4a -map 0:v:0 -map 1:a:0 -f mp4 -bsf:v setts=ts=N*3003 "
        "-c copy -fflags +bitexact -map_chapters -1 -map_metadata -1 -movflags +faststart -video_track_timescale 90000 "
        "file:o.mp4.part -hide_banner -loglevel error -nostdin -xerror -y"
    )


def test_b_frames_are_decoded_before_they_are_shown() -> None:
    argv = assemble.command(media.make_plan(quality=Quality.STANDARD), "list", None, "o.mp4.part")
    assert "setts=pts=floor(PTS/3000+0.5)*3000:dts=(N-2)*3000" in argv


@pytest.mark.parametrize(
    ("times", "is_even"),
    [
        ((0, 9000, 3000, 6000), True),
        ((-3000, 0), True),
        ((7,), True),
        ((0, 9000, 3000), False),
        ((0, 3000, 3000), False),
        ((0, "N/A"), False),
    ],
)
def test_packets_are_shown_at_even_steps(times: tuple[object, ...], is_even: bool) -> None:
    text = "".join(f"{time},{'K_' if index == 0 else '__'}\n" for index, time in enumerate(times))
    assert ffprobe.parse_packets(text.encode()) == ffprobe.Packets(len(times), (0,), is_even)


def test_frames_at_uneven_times_are_a_finding() -> None:
    assert judged(dataclasses.replace(VIDEO, is_even=False), SOUND) == [
        "frames are not shown one after the other, all equally long"
    ]


def test_a_silent_video_has_one_input() -> None:
    argv = assemble.command(media.make_plan(), "list", None, "o.mp4.part")
    assert [argument for argument in argv if argument.startswith("file:")] == ["file:list", "file:o.mp4.part"]


def test_the_promised_file_has_no_findings() -> None:
    assert judged(VIDEO, SOUND) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"packets": 89}, "frames is 89 instead of 90"),
        ({"rate": Fraction(360000, 12001)}, "frame rate is 29.997500 instead of 30"),
        ({"average_rate": None}, "average frame rate is unknown instead of 30"),
        ({"width": 62}, "width is 62 instead of 64"),
        ({"duration_s": Fraction(89, 30)}, "duration of the video is 89/30 instead of 3"),
        ({"start_s": Fraction(1, 30)}, "start of the video is 1/30 instead of 0"),
        ({"pixel_format": "yuv444p"}, "pixel format is yuv444p instead of yuv420p"),
        ({"keyframes": (0, 61)}, "no keyframe where a segment begins: frame 60"),
    ],
)
def test_every_difference_is_found(change: dict[str, object], message: str) -> None:
    assert judged(dataclasses.replace(VIDEO, **change), SOUND) == [message]  # type: ignore[arg-type]  # by name


def test_untagged_colour_is_found() -> None:
    assert judged(dataclasses.replace(VIDEO, colour=("pc", "bt709", "", "")), SOUND)[0].startswith("colour is ('pc'")


def test_missing_sound_is_found() -> None:
    assert judged(VIDEO) == ["audio streams is 0 instead of 1"]


@pytest.mark.parametrize(("offset_ms", "is_fine"), [(0, True), (1, True), (-1, True), (2, False), (-21, False)])
def test_sound_and_picture_end_within_a_millisecond(offset_ms: int, is_fine: bool) -> None:
    sound = dataclasses.replace(SOUND, duration_s=Fraction(3) + Fraction(offset_ms, 1000))
    assert (judged(VIDEO, sound) == []) is is_fine


def test_a_file_without_a_video_is_found() -> None:
    assert [finding.message for finding in assemble.judge(Media(None, (SOUND,)), EXPECTED)] == ["0 video streams"]


def test_ffprobe_speaks_in_exact_ticks() -> None:
    stream = {
        "codec_type": "video", "codec_name": "h264", "width": 64, "height": 36, "pix_fmt": "yuv420p",
        "color_range": "tv", "r_frame_rate": "30000/1001", "avg_frame_rate": "0/0", "time_base": "1/90000",
        "start_pts": 0, "start_time": "0.000000", "duration_ts": 300300, "duration": "3.336667",
        "nb_read_packets": "100",
    }  # fmt: skip
    assert ffprobe.parse(json.dumps({"streams": [stream], "format": {"duration": "N/A"}}).encode()) == Media(
        None,
        (
            Stream(
                kind="video", codec="h264", start_s=Fraction(0), duration_s=Fraction(1001, 300), packets=100, width=64,
                height=36, pixel_format="yuv420p", colour=("tv", "", "", ""), rate=Fraction(30000, 1001),
            ),
        ),
    )  # fmt: skip


@given(st.text(max_size=20))
def test_a_stream_that_says_nothing_is_read_as_unknown(noise: str) -> None:
    plain = {"streams": [{"codec_type": "audio", "duration": noise, "time_base": noise, "r_frame_rate": noise}]}
    media_ = ffprobe.parse(json.dumps(plain).encode())
    assert len(media_.of_kind("audio")) == 1


@pytest.mark.ffmpeg
@pytest.mark.parametrize("quality", [Quality.DRAFT, Quality.STANDARD])
@pytest.mark.parametrize(
    ("fps", "segment"),
    [
        (Fraction(30), 40), (Fraction(24), 48), (Fraction(30000, 1001), 40),
        (Fraction(24000, 1001), 47), (Fraction(359, 12), 33), (Fraction(37), 49),
    ],
)  # fmt: skip
def test_segments_and_sound_last_exactly_as_long_as_promised(
    tmp_path: Path, stills: list[Path], fps: Fraction, segment: int, quality: Quality
) -> None:
    tone = media.tone(tmp_path / "tone.wav", 440)
    track = AudioTrack(id="tone", file=str(tone), start_s=Fraction(1), duration_s=Fraction(2))
    plan = media.make_plan(100, segment=segment, fps=fps, audio=(track,), quality=quality)
    segments = encode_all(plan, stills, tmp_path / "segments", range(len(plan.segments)))
    sound = asyncio.run(audio.mix(plan, tmp_path / "segments")).file
    delivered = asyncio.run(assemble.run(plan, segments, sound, tmp_path / "o.mp4"))
    video, heard = media.probe(tmp_path / "o.mp4").streams
    assert (video.packets, video.rate, video.duration_s) == (100, fps, 100 / fps)
    assert heard.duration_s is not None
    assert abs(heard.duration_s - 100 / fps) <= Fraction(1, 1000)
    assert delivered.sha256 == hashlib.sha256((tmp_path / "o.mp4").read_bytes()).hexdigest()
    assert delivered.size_bytes == (tmp_path / "o.mp4").stat().st_size
    assert media.onset_s(media.pcm(tmp_path / "o.mp4")[0]) == pytest.approx(1, abs=0.005)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["o.mp4", "segments", "tone.wav"]


@pytest.mark.ffmpeg
def test_the_order_in_which_segments_were_encoded_does_not_show(tmp_path: Path, stills: list[Path]) -> None:
    plan = media.make_plan(100, segment=30)
    digests = set()
    for name, order in (("a", (0, 1, 2, 3)), ("b", (3, 1, 0, 2))):
        segments = encode_all(plan, stills, tmp_path / name, order)
        digests.add(asyncio.run(assemble.run(plan, segments, None, tmp_path / f"{name}.mp4")).sha256)
    assert len(digests) == 1


@pytest.mark.ffmpeg
def test_faststart_puts_the_index_before_the_frames(tmp_path: Path, stills: list[Path]) -> None:
    plan = media.make_plan(60, segment=60)
    segments = encode_all(plan, stills, tmp_path / "segments", [0])
    asyncio.run(assemble.run(plan, segments, None, tmp_path / "o.mp4"))
    content = (tmp_path / "o.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


@pytest.mark.ffmpeg
@pytest.mark.parametrize("fault", ["short", "truncated", "absent", "foreign"])
def test_a_wrong_segment_fails_and_the_old_output_stays(tmp_path: Path, stills: list[Path], fault: str) -> None:
    plan = media.make_plan(90, segment=30)
    segments = encode_all(plan, stills, tmp_path / "segments", range(3))
    if fault == "short":
        short = media.make_plan(90, segment=29)
        asyncio.run(encode.run(short, short.segments[1], stills[29:58], segments[1]))
    elif fault == "truncated":
        segments[1].write_bytes(segments[1].read_bytes()[:-2000])
    elif fault == "absent":
        segments[1].unlink()
    else:
        shutil.copy(media.make_stills(tmp_path / "foreign", 1)[0], segments[1])
    output = tmp_path / "o.mp4"
    output.write_text("the old video")
    with pytest.raises(FleetError):
        asyncio.run(assemble.run(plan, segments, None, output))
    assert output.read_text() == "the old video"
    assert list(tmp_path.glob("o.mp4?*")) == []


@pytest.mark.ffmpeg
def test_a_missing_frame_is_a_verification_error_that_says_how_many(tmp_path: Path, stills: list[Path]) -> None:
    plan = media.make_plan(90, segment=30)
    segments = encode_all(plan, stills, tmp_path / "segments", range(3))
    short = media.make_plan(90, segment=29)
    asyncio.run(encode.run(short, short.segments[1], stills[29:58], segments[1]))
    with pytest.raises(VerificationError, match="frames is 89 instead of 90"):
        asyncio.run(assemble.run(plan, segments, None, tmp_path / "o.mp4"))


@pytest.mark.ffmpeg
@pytest.mark.parametrize("way", ["kill", "cancel"])
def test_an_interrupted_join_leaves_the_old_output_and_nothing_else(
    tmp_path: Path, stills: list[Path], way: str
) -> None:
    plan = media.make_plan(60, segment=30)
    segments = encode_all(plan, stills, tmp_path / "segments", range(2))
    segments[1].unlink()
    os.mkfifo(segments[1])  # FFmpeg has opened its output and waits here for ever
    output = tmp_path / "o.mp4"
    output.write_text("the old video")

    async def scenario() -> None:
        joining = asyncio.create_task(assemble.run(plan, segments, None, output))
        pid = await media.wait_for_process(f"file:{output}.part")
        if way == "kill":
            os.kill(pid, signal.SIGKILL)
        else:
            joining.cancel()
        with pytest.raises((FleetError, asyncio.CancelledError)):
            await joining

    asyncio.run(scenario())
    assert output.read_text() == "the old video"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["o.mp4", "segments"]
