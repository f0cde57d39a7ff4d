"""Every output format: its commands, what it refuses, and that colours, alpha, times and bytes survive it."""

import asyncio
import dataclasses
import shlex
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import media_support as media
import pytest

from capture.protocol import ImageFormat
from fleet import assemble, audio, encode, ffprobe, formats, outfolder, plan, request, resolution
from fleet.errors import ConfigError, VerificationError
from fleet.ffprobe import Media, Stream
from fleet.formats import FORMATS
from fleet.model import AudioTrack, Composition, Plan, Quality

SIZE = (64, 36)
OPAQUE = [(255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 255, 255), (128, 128, 128, 255)]
HALF = [(255, 0, 0, 128), (128, 128, 128, 128), (0, 0, 0, 0)]
EXACT = "flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp+bitexact"
TAGS = "-color_primaries bt709 -color_range tv -color_trc bt709 -colorspace bt709"
FRAME_TAGS = "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv"
END = "-hide_banner -loglevel error"
INPUT = "ffmpeg -f ivf -err_detect crccheck+explode -fpsprobesize 0 -vcodec {decoder} -i pipe:0"
STILLS = "ffmpeg -f image2pipe -err_detect crccheck+explode -framerate 30/1 -vcodec {decoder} -i pipe:0"
COMPOSITION = Composition(name="launch", document="<html></html>", width=640, height=360, duration_s=Fraction(5))


def make_plan(name: str, count: int = 60, **changes: Any) -> Plan:
    row = FORMATS[name]
    fields: dict[str, Any] = {"format": name, "image": row.image, "quality": Quality.STANDARD}
    return media.make_plan(count, **fields | changes)


def segment_command(name: str, **changes: Any) -> str:
    made = make_plan(name, **changes)
    text = shlex.join(encode.command(made, "o.part")).replace("'", "")
    given = STILLS if FORMATS[name].keeps_stills else INPUT
    return text.removeprefix(given.format(decoder="mjpeg" if made.image is ImageFormat.JPEG else "png") + " ")


def join_commands(name: str, **changes: Any) -> list[str]:
    argvs = assemble.commands(make_plan(name, **changes), "list", None, "o.part")
    return [shlex.join(argv).replace("'", "") for argv in argvs]


def to_709(pixels: str) -> str:
    return (
        f"-filter_complex [0]scale={EXACT}:out_color_matrix=bt709:out_range=tv[s0];[s0]format={pixels}[s1];"
        f"[s1]{FRAME_TAGS}[s2];[s2]fps=30/1[s3] -map [s3]"
    )


def test_webm_segments_are_closed_and_have_alpha() -> None:
    assert segment_command("webm") == (
        f"{to_709('yuva420p')} -f webm -auto-alt-ref 0 -b:v 0 -c:v libvpx-vp9 {TAGS} -cpu-used 4 -crf 18 "
        "-deadline good -fflags +bitexact -flags +bitexact -g 60 -keyint_min 60 -map_metadata -1 -pix_fmt yuva420p "
        f"-row-mt 1 -threads 4 -video_track_timescale 90000 file:o.part {END} -xerror -progress pipe:1 -y"
    )


def test_mov_segments_are_prores_4444() -> None:
    assert segment_command("mov") == (
        f"{to_709('yuva444p10le')} -f mov -c:v prores_ks {TAGS} -fflags +bitexact -flags +bitexact -map_metadata -1 "
        "-pix_fmt yuva444p10le -profile:v 4444 -threads 4 -vendor apl0 -video_track_timescale 90000 "
        f"file:o.part {END} -xerror -progress pipe:1 -y"
    )


def test_h265_segments_have_the_tag_that_players_know() -> None:
    assert segment_command("mp4-h265").endswith(
        f"-map [s1] -f mp4 -c:v libx265 {TAGS} -crf 18 -fflags +bitexact -flags +bitexact -map_metadata -1 "
        "-pix_fmt yuv420p -preset medium -tag:v hvc1 -video_track_timescale 90000 -x265-params log-level=error:info=0:"
        "scenecut=0:open-gop=0:bframes=0:keyint=60:min-keyint=60:pools=4:frame-threads=2 "
        f"file:o.part {END} -xerror -progress pipe:1 -y"
    )


@pytest.mark.parametrize("name", ["gif", "png-sequence"])
def test_what_is_not_encoded_by_segment_keeps_its_stills(name: str) -> None:
    assert segment_command(name) == (
        "-f mov -c:v copy -fflags +bitexact -flags +bitexact -map_metadata -1 -video_track_timescale 90000 "
        f"file:o.part {END} -xerror -progress pipe:1 -y"
    )


def test_crf_and_bitrate_take_the_place_of_the_qualitys() -> None:
    assert "-crf 30 " in segment_command("webm", crf=30)
    assert "-b:v 8000000 " in segment_command("mp4", bitrate_bps=8_000_000)
    assert "-crf" not in segment_command("webm", bitrate_bps=8_000_000)


def test_webm_counts_in_milliseconds_and_says_that_it_has_alpha() -> None:
    (argv,) = join_commands("webm", fps=Fraction(30000, 1001))
    assert argv == (
        "ffmpeg -f concat -safe 0 -i file:list -map 0:v:0 -f webm -bsf:v setts=ts=floor(N*1001/30+0.5) -c copy "
        "-fflags +bitexact -map_chapters -1 -map_metadata -1 -metadata:s:v:0 alpha_mode=1 -video_track_timescale 90000 "
        f"file:o.part {END} -nostdin -xerror -y"
    )


def test_a_gif_is_drawn_in_two_passes_with_one_palette() -> None:
    palette, drawing = join_commands("gif", loop=3)
    assert palette == (
        "ffmpeg -f concat -safe 0 -i file:list -filter_complex "
        "[0:v:0]palettegen=reserve_transparent=0:stats_mode=full[s0] "
        f"-map [s0] -f image2 -frames:v 1 -update 1 file:list.png {END} -nostdin -xerror -y"
    )
    assert drawing == (
        "ffmpeg -f concat -safe 0 -i file:list -i file:list.png -filter_complex [0:v:0]setpts=N*1/30/TB[s0];"
        "[s0][1]paletteuse=dither=sierra2_4a[s1] -map [s1] -f gif -c:v gif -fflags +bitexact -flags +bitexact -loop 3 "
        f"-map_metadata -1 file:o.part {END} -nostdin -xerror -y"
    )


def test_a_sequence_counts_from_one_and_survives_a_percent_sign() -> None:
    (argv,) = join_commands("png-sequence")
    assert argv == (
        "ffmpeg -f concat -safe 0 -i file:list -map 0:v:0 -f image2 -bsf:v setts=ts=N -c copy -start_number 1 "
        f"file:o.part/frame_%06d.png {END} -nostdin -xerror -y"
    )
    assert outfolder.pattern("50%") == "50%%/frame_%06d.png"


@pytest.mark.parametrize(
    ("output", "format_", "codec", "key"),
    [
        (None, None, None, "mp4"),
        (None, None, "h265", "mp4-h265"),
        ("a.MP4", None, "h264", "mp4"),
        ("a.webm", None, None, "webm"),
        (None, "gif", None, "gif"),
        ("a.frames", None, None, "png-sequence"),
        ("anything", "png-sequence", None, "png-sequence"),
    ],
)
def test_the_suffix_or_the_word_chooses(output: str | None, format_: str | None, codec: str | None, key: str) -> None:
    assert request.choose_format(output and Path(output), format=format_, codec=codec) == key  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("output", "format_", "codec", "remedy"),
    [
        ("a.avi", None, None, ".webm"),
        ("a", None, None, "--format"),
        ("a.mp4", "webm", None, "a.webm"),
        ("a.mp4", "png-sequence", None, "a.frames"),
        ("a.mp4", "mp4-h265", None, "choose one of: mp4, webm"),
        ("a.webm", None, "h265", "drop `--codec`"),
        ("a.mp4", None, "av1", "h264 or h265"),
    ],
)
def test_what_cannot_be_made_is_refused_with_a_remedy(
    output: str, format_: str | None, codec: str | None, remedy: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        request.choose_format(Path(output), format=format_, codec=codec)
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("name", "flags", "message"),
    [
        ("mp4", {"crf": 20, "bitrate_bps": 10**6}, "exclude each other"),
        ("mov", {"crf": 20}, "--crf means nothing to `mov`"),
        ("gif", {"bitrate_bps": 10**6}, "--bitrate means nothing to `gif`"),
        ("mp4", {"crf": 52}, "out of range: 52"),
        ("webm", {"loop": 2}, "--loop means nothing"),
        ("gif", {"fps": Fraction(60)}, "at most 30 fps, not 60"),
        ("mp4", {"resolution": "1000x1000"}, "another shape"),
        ("mp4", {"resolution": "960x540"}, "1.5 times"),
        ("mp4", {"resolution": "big"}, "neither a size nor a preset"),
    ],
)
def test_flags_that_contradict_each_other_are_refused(name: str, flags: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        plan.make(COMPOSITION, "b", "a", format=name, **flags)
    assert caught.value.remedy


def test_a_composition_too_fast_for_a_gif_is_refused() -> None:
    with pytest.raises(ConfigError, match="at most 30 fps, not 60"):
        plan.make(dataclasses.replace(COMPOSITION, fps=Fraction(60)), "b", "a", format="gif")


@pytest.mark.parametrize(
    ("text", "size", "times"),
    [
        ("1080p", (640, 360), 3), ("4K", (1920, 1080), 2), ("uhd", (1080, 1920), 2), ("square-4k", (1080, 1080), 2),
        ("portrait", (360, 640), 3), ("1280x720", (640, 360), 2), ("640x360", (640, 360), 1),
    ],
)  # fmt: skip
def test_a_resolution_is_a_whole_multiple(text: str, size: tuple[int, int], times: int) -> None:
    assert resolution.scale(text, *size) == times


@pytest.mark.parametrize("text", ["portrait", "320x180", "20480x11520", "0x0", "1280x", "99999x99999"])
def test_any_other_resolution_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--resolution"):
        resolution.scale(text, 640, 360)


@pytest.mark.parametrize(("text", "bits"), [("8M", 8_000_000), (" 2500k", 2_500_000), ("64000", 64_000)])
def test_bitrates_as_people_type_them(text: str, bits: int) -> None:
    assert plan.parse_bitrate(text) == bits


@pytest.mark.parametrize("text", ["8", "8G", "-8M", "1.5M", "", "9999M", "٨M"])
def test_an_absurd_bitrate_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--bitrate"):
        plan.parse_bitrate(text)


def test_the_digest_knows_whatever_changes_a_byte() -> None:
    base = plan.make(COMPOSITION, "b", "a")
    changed = [
        *(plan.make(COMPOSITION, "b", "a", format=name) for name in FORMATS if name != "mp4"),
        plan.make(COMPOSITION, "b", "a", crf=20),
        plan.make(COMPOSITION, "b", "a", bitrate_bps=10**6),
        plan.make(COMPOSITION, "b", "a", resolution="1280x720"),
        plan.make(COMPOSITION, "b", "a", format="gif", loop=2),
    ]
    assert len({plan.digest(base), *map(plan.digest, changed)}) == len(changed) + 1


def judged(name: str, video: Stream, *sounds: Stream) -> list[str]:
    expected = assemble.expectation(make_plan(name, 90), has_audio=bool(sounds))
    return [finding.message for finding in assemble.judge(Media(None, (video, *sounds)), expected)]


VP9 = Stream(
    kind="video", codec="vp9", start_s=Fraction(0), duration_s=Fraction(3), packets=90, width=64, height=36,
    pixel_format="yuva420p", colour=formats.LIMITED_709, rate=Fraction(30), average_rate=Fraction(30),
    keyframes=(0, 60),
)  # fmt: skip
OPUS = Stream(kind="audio", codec="opus", start_s=Fraction(-7, 1000), duration_s=Fraction(3020, 1000))


def test_the_promised_webm_has_no_findings() -> None:
    assert judged("webm", dataclasses.replace(VP9, duration_s=Fraction(2999, 1000)), OPUS) == []


def test_a_webm_that_lost_its_alpha_or_a_frame_is_found() -> None:
    plain = {"codec_type": "video", "pix_fmt": "yuv420p", "tags": {"DURATION": "00:00:03.000000000"}}
    read = ffprobe._stream(plain)
    assert (read.pixel_format, read.duration_s) == ("yuv420p", Fraction(3))
    assert ffprobe._stream(plain | {"tags": {"ALPHA_MODE": "1"}}).pixel_format == "yuva420p"
    assert judged("webm", dataclasses.replace(VP9, pixel_format="yuv420p")) == [
        "pixel format is yuv420p instead of yuva420p"
    ]
    assert judged("webm", dataclasses.replace(VP9, packets=89)) == ["frames is 89 instead of 90"]
    assert judged("webm", dataclasses.replace(VP9, duration_s=Fraction(2967, 1000)))[0].startswith("duration of the")
    late = dataclasses.replace(OPUS, duration_s=Fraction(3050, 1000))
    assert judged("webm", VP9, late)[0].startswith("the sound starts at")


def test_an_output_folder_replaces_only_its_own_kind(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    outfolder.check(folder)
    for name in ("old", "new"):
        part = tmp_path / "out.part"
        part.mkdir()
        (part / "frame_000001.png").write_text(name)
        outfolder.publish(part, folder)
    assert (folder / "frame_000001.png").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    (folder / "thesis.txt").touch()
    with pytest.raises(ConfigError, match=r"thesis\.txt"):
        outfolder.check(folder)


def test_a_power_cut_between_two_renames_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "out.earlier").mkdir()
    (tmp_path / "out.earlier" / "frame_000001.png").touch()
    outfolder.recover(tmp_path / "out")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "frame_000001.png"]


def make_stills(directory: Path, row: formats.Format, colours: Sequence[tuple[int, ...]]) -> list[Path]:
    """One still per colour, as the browser gives them: with alpha for formats that have it."""
    directory.mkdir()
    if row.image is ImageFormat.JPEG:
        files = [directory / f"{index:03d}.jpg" for index in range(len(colours))]
        return [media.solid(file, colour[:3]) for file, colour in zip(files, colours, strict=True)]  # type: ignore[arg-type]
    channels, pixels = (4, "rgba") if row.has_alpha else (3, "rgb24")
    raw = b"".join(bytes(colour[:channels]) * (SIZE[0] * SIZE[1]) for colour in colours)
    source = ("-f", "rawvideo", "-pix_fmt", pixels, "-s", "64x36", "-i", "-")
    media.ffmpeg(*source, "-start_number", "0", f"{directory}/%03d.png", stdin=raw)
    return sorted(directory.glob("*.png"))


def render(made: Plan, stills: Sequence[Path], output: Path, *, is_backwards: bool = False) -> str:
    directory = output.with_name(f"{output.name}.segments")
    directory.mkdir()
    files = [directory / f"{index}{FORMATS[made.format].segment_suffix}" for index in range(len(made.segments))]

    async def scenario() -> str:
        for index in reversed(range(len(files))) if is_backwards else range(len(files)):
            part = made.segments[index]
            await encode.run(made, part, stills[part.start : part.stop], files[index])
        sound = (await audio.mix(made, directory)).file
        return (await assemble.run(made, files, sound, output)).sha256

    return asyncio.run(scenario())


def pixels(output: Path, count: int) -> list[tuple[int, ...]]:
    """RGBA in the middle of each frame; what is transparent has no colour."""
    decoder = ("-c:v", "libvpx-vp9") if output.suffix == ".webm" else ()
    source = f"{output}/frame_%06d.png" if output.is_dir() else str(output)
    exact = "scale=in_color_matrix=bt709:flags=accurate_rnd+full_chroma_int+full_chroma_inp"
    raw = media.ffmpeg(*decoder, "-i", source, "-vf", exact, "-pix_fmt", "rgba", "-f", "rawvideo", "-")
    size = SIZE[0] * SIZE[1] * 4
    assert len(raw) == size * count
    found = [tuple(raw[frame * size + size // 2 :][:4]) for frame in range(count)]
    return [(0, 0, 0, 0) if pixel[3] == 0 else pixel for pixel in found]


@pytest.mark.ffmpeg
@pytest.mark.parametrize("name", FORMATS)
def test_colours_alpha_and_bytes_survive_two_segments_in_any_order(tmp_path: Path, name: str) -> None:
    row = FORMATS[name]
    colours = [colour for colour in OPAQUE + (HALF if row.has_alpha else []) for _ in range(2)]
    stills = make_stills(tmp_path / "stills", row, colours)
    tone = media.tone(tmp_path / "tone.wav", 440)
    track = AudioTrack(id="tone", file=str(tone), start_s=Fraction(0), duration_s=Fraction(1))
    made = make_plan(name, len(colours), segment=5, fps=Fraction(30000, 1001), audio=(track,))
    outputs = [tmp_path / f"{where}{row.suffix}" for where in ("a", "b")]
    digests = [render(made, stills, output, is_backwards=output is outputs[1]) for output in outputs]
    assert digests[0] == digests[1]
    for found, wanted in zip(pixels(outputs[0], len(colours)), colours, strict=True):
        assert max(abs(a - b) for a, b in zip(found, wanted, strict=True)) <= 2, (found, wanted)


@pytest.mark.ffmpeg
def test_pictures_that_need_the_bitrate_get_it_in_every_segment(tmp_path: Path) -> None:
    (tmp_path / "stills").mkdir()
    noise = ("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30,noise=alls=20:allf=t", "-frames:v", "90")
    coded = ("-vf", "scale=out_range=pc:out_color_matrix=bt601", "-pix_fmt", "yuvj420p", "-q:v", "2")
    media.ffmpeg(*noise, *coded, f"{tmp_path}/stills/%03d.jpg")
    made = make_plan("mp4", 90, segment=30, bitrate_bps=400_000)
    made = dataclasses.replace(made, width=320, height=180)
    render(made, sorted((tmp_path / "stills").iterdir()), tmp_path / "o.mp4")
    sizes = [file.stat().st_size for file in sorted((tmp_path / "o.mp4.segments").glob("*.mp4"))]
    assert [size * 8 / 400_000 for size in sizes] == pytest.approx([1, 1, 1], rel=0.25)


@pytest.mark.ffmpeg
def test_a_webms_sound_is_played_to_the_sample(tmp_path: Path) -> None:
    stills = make_stills(tmp_path / "stills", FORMATS["webm"], OPAQUE * 5)
    tone = media.tone(tmp_path / "tone.wav", 440)
    track = AudioTrack(id="tone", file=str(tone), start_s=Fraction(0), duration_s=Fraction(1))
    made = make_plan("webm", 20, segment=15, audio=(track,))
    render(made, stills, tmp_path / "o.webm")
    assert len(media.pcm(tmp_path / "o.webm")[0]) == 20 * 1600


@pytest.mark.ffmpeg
@pytest.mark.parametrize("fps", [Fraction(1), Fraction(24000, 1001), Fraction(359, 12)])
def test_a_gif_has_every_frame_at_any_rate(tmp_path: Path, fps: Fraction) -> None:
    stills = make_stills(tmp_path / "stills", FORMATS["gif"], OPAQUE * 3)
    render(make_plan("gif", 12, segment=5, fps=fps), stills, tmp_path / "o.gif")
    (video,) = media.probe(tmp_path / "o.gif").streams
    assert video.duration_s is not None
    assert (video.packets, abs(video.duration_s - 12 / fps) <= Fraction(1, 100)) == (12, True)


@pytest.mark.ffmpeg
def test_odd_sizes_keep_their_alpha_at_the_border(tmp_path: Path) -> None:
    raw = bytes((255, 0, 0, 128)) * (63 * 35)
    still = tmp_path / "still.png"
    media.ffmpeg("-f", "rawvideo", "-pix_fmt", "rgba", "-s", "63x35", "-i", "-", str(still), stdin=raw)
    render(make_plan("webm", 1, width=63, height=35), [still], tmp_path / "o.webm")
    decoded = media.ffmpeg(
        "-c:v", "libvpx-vp9", "-i", str(tmp_path / "o.webm"), "-pix_fmt", "rgba", "-f", "rawvideo", "-"
    )
    assert len(decoded) == SIZE[0] * SIZE[1] * 4
    assert abs(decoded[-1] - 128) <= 2


@pytest.mark.ffmpeg
def test_a_damaged_still_of_a_sequence_is_named_and_the_old_folder_stays(tmp_path: Path) -> None:
    stills = make_stills(tmp_path / "stills", FORMATS["png-sequence"], OPAQUE)
    output = tmp_path / "50%d.frames"
    render(make_plan("png-sequence", 4), stills, output)
    assert [file.read_bytes() for file in sorted(output.iterdir())] == [still.read_bytes() for still in stills]
    data = bytearray(stills[2].read_bytes())
    data[len(data) // 2] ^= 0xFF
    stills[2].write_bytes(data)
    with pytest.raises(VerificationError, match="frame 2 is damaged"):
        asyncio.run(
            encode.run(make_plan("png-sequence", 4), make_plan("png-sequence", 4).frames, stills, tmp_path / "s")
        )
    assert len(list(output.iterdir())) == 4
