import asyncio
import dataclasses
import os
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest
import video_support as support
from media_support import ffmpeg, probe

from capture.protocol import FrameRange
from fleet import stills, video
from fleet.composition import videos
from fleet.model import Footage, VideoSlot

FPS = Fraction(30)
FOOTAGE = Footage(file="/a b/clip.mp4", codec="h264", width=160, height=90, duration_s=Fraction(2))
REEL = video.Reel(footage=FOOTAGE, media_start_s=Fraction(0), fps=FPS, is_mapped=False)


def footage(file: Path) -> Footage:
    media = probe(file)
    return videos.footage_of(file, 0, media.of_kind("video")[0], media.duration_s)


def slot(file: Path, duration: str = "2", **changes: object) -> VideoSlot:
    fields = {"id": "v", "footage": footage(file), "start_s": Fraction(0), "duration_s": Fraction(duration)}
    return VideoSlot(**{**fields, **changes})  # type: ignore[arg-type]


def extract(cache: Path, *slots: VideoSlot, frames: FrameRange) -> video.Extracted:
    return asyncio.run(video.extract(slots, frames=frames, fps=FPS, cache=cache))


def numbers(shown: stills.Shown) -> list[int | None]:
    files = sorted({blob.file for blob in shown.stills})
    known = dict(zip(files, support.of_stills([Path(file) for file in files]), strict=True))
    return [known[blob.file] for blob in shown.stills]


def pixel(file: str) -> tuple[int, ...]:
    """Red, green, blue and alpha of the middle of a still, as a browser reads it."""
    raw = ffmpeg("-i", file, "-vf", "crop=2:2", "-f", "rawvideo", "-pix_fmt", "rgba", "-")
    return tuple(raw[:4])


def test_stills_are_decoded_from_the_in_point_at_the_rate_of_the_output() -> None:
    reel = dataclasses.replace(REEL, media_start_s=Fraction("0.5"), fps=Fraction(30000, 1001))
    assert " ".join(video.command(reel, range(7, 9), "/out")) == (
        "ffmpeg -noaccurate_seek -ss 0.500000 -i file:/a b/clip.mp4 -filter_complex "
        "[0:v:0]settb=intb/2[s0];[s0]setpts=PTS-lte(TB\\,0.001)[s1];[s1]fps=fps=30000/1001:round=up:start_time=0[s2];"
        "[s2]trim=start_frame=7[s3];[s3]setpts=PTS-STARTPTS[s4];"
        "[s4]scale=flags=neighbor+accurate_rnd:in_color_matrix=bt709:in_range=tv[s5];[s5]format=gbrp[s6];"
        "[s6]scale=flags=neighbor+accurate_rnd:out_color_matrix=bt601:out_range=pc[s7];[s7]format=yuvj420p[s8];"
        "[s8]setsar=1[s9] "
        "-map [s9] -f image2 -fflags +bitexact -flags +bitexact -frames:v 2 -q:v 2 -r 30000/1001 -start_number 7 "
        "-threads 1 /out/%d.jpg -hide_banner -loglevel error -nostdin -y"
    )


def test_alpha_is_decoded_by_the_decoder_that_keeps_it_and_stored_as_png() -> None:
    alpha = dataclasses.replace(FOOTAGE, codec="vp9", has_alpha=True)
    said = " ".join(video.command(dataclasses.replace(REEL, footage=alpha), range(1), "/out"))
    assert said.startswith("ffmpeg -c:v libvpx-vp9 -i ")
    assert "format=rgba" in said
    assert said.count("/out/%d.png") == 1
    assert "out_color_matrix" not in said


def test_hdr_goes_through_linear_light_to_bt709() -> None:
    hdr = dataclasses.replace(FOOTAGE, is_hdr=True, matrix="bt2020")
    said = " ".join(video.command(dataclasses.replace(REEL, footage=hdr, is_mapped=True), range(1), "/out"))
    assert "zscale=npl=100:t=linear" in said
    assert "tonemap=desat=0:tonemap=hable" in said
    assert "in_color_matrix=bt709" in said


@pytest.mark.ffmpeg
def test_every_frame_gets_the_frame_of_the_source_that_it_shows(tmp_path: Path) -> None:
    clip = support.clip(tmp_path / "clip.mp4", 30)
    made = extract(
        tmp_path / "cache",
        slot(clip, media_start_s=Fraction("0.5")),
        slot(clip, rate=Fraction(2)),
        slot(clip, media_start_s=Fraction("0.9"), is_loop=True),
        frames=FrameRange(0, 20),
    )
    trimmed, fast, looping = map(numbers, made.stills.shown)
    assert made.findings == ()
    assert trimmed == [*range(15, 30), *[29] * 5]  # and holds the last
    assert fast == [*range(0, 30, 2), *[29] * 5]
    assert looping == [27, 28, 29] * 6 + [27, 28]


@pytest.mark.ffmpeg
def test_frames_after_the_end_of_a_source_need_its_last_picture_only(tmp_path: Path) -> None:
    clip = support.clip(tmp_path / "clip.mp4", 10)
    # A container that promises more than it holds.
    lying = dataclasses.replace(slot(clip, "9"), footage=dataclasses.replace(footage(clip), duration_s=Fraction(3)))
    made = extract(tmp_path / "cache", lying, frames=FrameRange(200, 210))
    assert numbers(made.stills.shown[0]) == [9] * 10


@pytest.mark.ffmpeg
def test_what_is_on_screen_is_what_has_begun_last(tmp_path: Path) -> None:
    clip = support.clip(tmp_path / "clip.mkv", 12, fps="24")  # a container of milliseconds
    made = extract(
        tmp_path / "cache", slot(clip), slot(clip, media_start_s=Fraction("0.1")), frames=FrameRange(0, 10)
    ).stills.shown
    assert numbers(made[0]) == [n * 24 // 30 for n in range(10)]
    assert numbers(made[1]) == [(n + 3) * 24 // 30 for n in range(10)]


@pytest.mark.ffmpeg
def test_a_source_of_another_and_of_a_changing_rate_is_shown_by_its_times(tmp_path: Path) -> None:
    slow = support.clip(tmp_path / "slow.mp4", 6, fps="10")
    shifting = tmp_path / "vfr.mkv"
    stamps = "setpts='if(lt(N,3),N*3,9+(N-3)*6)/30/TB'"  # three frames at 10 a second, then 5 a second
    ffmpeg("-i", str(slow), "-vf", stamps, "-fps_mode", "passthrough", "-c:v", "libx264", "-qp", "10", str(shifting))
    made = extract(tmp_path / "cache", slot(slow), slot(shifting), frames=FrameRange(0, 18))
    assert numbers(made.stills.shown[0])[::3] == [0, 1, 2, 3, 4, 5]
    assert numbers(made.stills.shown[1]) == [*[0] * 3, *[1] * 3, *[2] * 3, *[3] * 6, *[4] * 3]


@pytest.mark.ffmpeg
def test_a_second_render_decodes_nothing_and_a_part_finds_the_same_stills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = support.clip(tmp_path / "clip.mp4", 12)
    cache = tmp_path / "cache"
    part = extract(tmp_path / "other", slot(clip), frames=FrameRange(5, 9)).stills.shown[0].stills
    first = extract(cache, slot(clip), frames=FrameRange(0, 12)).stills.shown[0].stills
    assert [blob.sha256 for blob in part] == [blob.sha256 for blob in first[5:9]]
    moved = tmp_path / "elsewhere.mp4"
    clip.rename(moved)
    monkeypatch.setenv("PATH", str(tmp_path))  # no FFmpeg there
    again = extract(cache, dataclasses.replace(slot_of(moved)), frames=FrameRange(0, 12)).stills.shown[0].stills
    assert again == first


def slot_of(file: Path) -> VideoSlot:
    own = Footage(file=str(file), codec="h264", width=160, height=90, duration_s=Fraction("0.4"), matrix="bt601")
    return VideoSlot(id="v", footage=own, start_s=Fraction(0), duration_s=Fraction(2))


@pytest.mark.ffmpeg
def test_a_damaged_still_in_the_cache_is_made_again(tmp_path: Path) -> None:
    clip = support.clip(tmp_path / "clip.mp4", 3)
    first = extract(tmp_path / "cache", slot(clip), frames=FrameRange(0, 3)).stills.shown[0].stills
    os.truncate(first[1].file, 10)
    assert extract(tmp_path / "cache", slot(clip), frames=FrameRange(0, 3)).stills.shown[0].stills == first
    assert numbers_of(first) == [0, 1, 2]


def numbers_of(blobs: tuple[object, ...]) -> list[int | None]:
    return support.of_stills([Path(blob.file) for blob in blobs])  # type: ignore[attr-defined]


COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (221, 56, 46))


@pytest.mark.ffmpeg
@pytest.mark.parametrize("matrix", ["bt709", "smpte170m"])
def test_colours_survive_whatever_matrix_the_source_was_coded_with(tmp_path: Path, matrix: str) -> None:
    clip = tmp_path / "clip.mp4"
    raw = b"".join(bytes(colour) * (64 * 36) for colour in COLOURS)
    coded = f"scale=out_color_matrix={matrix}:out_range=tv,format=yuv420p"
    source = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "64x36", "-r", "30", "-i", "-", "-vf", coded)
    flags = ("-c:v", "libx264", "-qp", "0", "-colorspace", matrix, "-color_range", "tv")
    ffmpeg(*source, *flags, str(clip), stdin=raw)
    made = extract(tmp_path / "cache", slot(clip), frames=FrameRange(0, len(COLOURS)))
    for blob, wanted in zip(made.stills.shown[0].stills, COLOURS, strict=True):
        differences = [abs(one - other) for one, other in zip(pixel(blob.file)[:3], wanted, strict=True)]
        assert max(differences) <= 3, (wanted, pixel(blob.file))


@pytest.mark.ffmpeg
def test_alpha_survives(tmp_path: Path) -> None:
    clip = tmp_path / "clip.webm"
    source = "color=red@0.5:s=64x36:r=30:d=0.1,format=yuva420p"
    ffmpeg("-f", "lavfi", "-i", source, "-c:v", "libvpx-vp9", "-auto-alt-ref", "0", "-lossless", "1", str(clip))
    made = extract(tmp_path / "cache", slot(clip), frames=FrameRange(0, 2)).stills.shown[0].stills
    assert made[0].path.endswith(".png")
    assert abs(pixel(made[0].file)[3] - 128) <= 2
    assert pixel(made[0].file)[0] >= 252


@pytest.mark.ffmpeg
def test_a_stretched_source_gets_square_pixels(tmp_path: Path) -> None:
    clip = support.clip(tmp_path / "clip.mp4", 2, size=(80, 90), options="-vf scale=80:90,setsar=2 -c:v libx264 -qp 10")
    made = extract(tmp_path / "cache", slot(clip), frames=FrameRange(0, 1)).stills.shown[0]
    still = probe(Path(made.stills[0].file)).of_kind("video")[0]
    assert (made.width, made.height) == (still.width, still.height) == (160, 90)


@pytest.mark.ffmpeg
@pytest.mark.skipif("zscale" not in str(shutil.which("ffmpeg") and subprocess.run(
    ["ffmpeg", "-hide_banner", "-filters"], capture_output=True, text=True).stdout), reason="FFmpeg without zscale",
)  # fmt: skip
def test_hdr_is_mapped_to_sdr_and_said(tmp_path: Path) -> None:
    clip = tmp_path / "hdr.mkv"
    # 203 nits, the white of graphics, is 58 % of the PQ signal.
    source = "color=0x949494:s=64x36:r=30:d=0.1,scale=out_range=tv,format=yuv420p10le"
    tags = "-color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc -color_range tv"
    ffmpeg("-f", "lavfi", "-i", source, "-c:v", "ffv1", *tags.split(), str(clip))
    made = extract(tmp_path / "cache", slot(clip), frames=FrameRange(0, 1))
    assert [finding.code for finding in made.findings] == ["video-hdr"]
    assert "mapped to SDR" in made.findings[0].message
    assert min(pixel(made.stills.shown[0].stills[0].file)[:3]) > 170  # its numbers alone would be a middle grey, 148


@pytest.mark.ffmpeg
def test_what_cannot_be_decoded_stays_blank_with_a_warning(tmp_path: Path) -> None:
    clip = support.clip(tmp_path / "clip.mp4", 3)
    broken = slot(clip)
    clip.write_bytes(b"no video any more")
    made = extract(tmp_path / "cache", broken, frames=FrameRange(0, 3))
    assert [finding.code for finding in made.findings] == ["video-blank"]
    assert made.stills.shown[0].stills == ()
