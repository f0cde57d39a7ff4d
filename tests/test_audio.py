import asyncio
import hashlib
import itertools
import math
import shlex
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import media_support as media
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.protocol import FrameRange
from fleet import audio
from fleet.audio import Cue, Mix
from fleet.formats import FORMATS
from fleet.model import AudioTrack, Envelope, Level

SECONDS = st.fractions(0, 20, max_denominator=1001)
LONG = st.fractions(Fraction(1, 100), 20, max_denominator=1001)
RATES = st.fractions(Fraction(1, 10), 5, max_denominator=100)
# AAC codes 1024 samples at once, so that an onset can smear by a part of a block; 48 samples are 1 ms.
ONSET_TOLERANCE_S = 0.005


def track(
    name: str = "music", *, start: Any = 0, length: Any = 10, file: Path | str = "a.wav", **more: Any
) -> AudioTrack:
    return AudioTrack(
        id=name, file=str(file), start_s=Fraction(start), duration_s=Fraction(length), **more
    )  # fmt: skip


def mixed(directory: Path, *tracks: AudioTrack, frames: FrameRange | None = None, **plan: Any) -> Mix:
    made = media.make_plan(90, audio=tracks, frames=frames or FrameRange(0, 90), **plan)
    return asyncio.run(audio.mix(made, directory))


def test_a_track_inside_the_output_keeps_its_times() -> None:
    cue = audio.cue(track(start="1/2", length=1), offset_s=Fraction(0), output_s=Fraction(3))
    assert cue == Cue(start=24_000, source=0, source_stop=48_000, delay=24_000, length=48_000)


def test_a_range_of_frames_starts_in_the_middle_of_a_track_at_its_rate() -> None:
    sound = track(start=1, length=4, media_start_s=Fraction(10), rate=Fraction(3, 2))
    cue = audio.cue(sound, offset_s=Fraction(2), output_s=Fraction(2))
    assert cue == Cue(start=96_000, source=audio.samples(Fraction("11.5")), source_stop=696_000, delay=0, length=96_000)


def test_a_track_outside_the_output_is_silent() -> None:
    for start in (3, 5):
        assert audio.cue(track(start=start), offset_s=Fraction(0), output_s=Fraction(3)) is None
    assert audio.cue(track(length=1), offset_s=Fraction(1), output_s=Fraction(3)) is None


@given(SECONDS, LONG, RATES, SECONDS, LONG)
def test_a_cue_never_leaves_the_output(
    start: Fraction, length: Fraction, rate: Fraction, offset: Fraction, output: Fraction
) -> None:
    cue = audio.cue(track(start=start, length=length, rate=rate), offset_s=offset, output_s=output)
    if cue is not None:
        assert 0 <= cue.source <= cue.source_stop
        assert cue.delay >= 0
        assert cue.length > 0
        assert cue.delay + cue.length <= audio.samples(output) + 1
        assert abs((cue.source_stop - cue.source) / rate - cue.length) <= 1 + 1 / rate


@given(RATES)
def test_tempo_factors_multiply_to_the_rate_and_stay_in_bounds(rate: Fraction) -> None:
    factors = audio.tempos(rate)
    assert math.prod(factors) == rate
    assert all(audio.TEMPO_MIN <= factor <= audio.TEMPO_MAX for factor in factors)


def test_the_normal_rate_needs_no_filter() -> None:
    assert audio.tempos(Fraction(1)) == ()


def test_a_track_is_prepared_by_counting_samples() -> None:
    sound = track(rate=Fraction(3), gain=0.5)
    argv = audio.prepare_command(sound, Cue(source=10, source_stop=310, delay=7, length=100), "t.wav", channels=1)
    assert shlex.join(argv).replace("'", "") == (
        "ffmpeg -i file:a.wav -filter_complex [0:a:0]aresample=48000:async=1:first_pts=0[s0];"
        "[s0]channelmap=0-FL|0-FR:stereo[s1];[s1]aformat=channel_layouts=stereo:sample_fmts=flt[s2];"
        "[s2]atrim=end_sample=310:start_sample=10[s3];[s3]asetpts=PTS-STARTPTS[s4];[s4]atempo=2.0[s5];"
        "[s5]atempo=1.5[s6];[s6]apad=whole_len=100[s7];[s7]atrim=end_sample=100[s8];[s8]volume=0.5:precision=float[s9]"
        " -map [s9] -f wav -c:a pcm_f32le -fflags +bitexact file:t.wav -hide_banner -loglevel error -nostdin -y"
    )


def test_a_track_with_envelopes_is_multiplied_with_them() -> None:
    cue = Cue(source=0, source_stop=5, delay=0, length=5)
    argv = shlex.join(audio.prepare_command(track(), cue, "t.wav", channels=2, gains="t.gains")).replace("'", "")
    assert "-f f32le -ac 1 -ar 48000 -i file:t.gains" in argv
    assert "[1:a:0]channelmap=0-FL|0-FR:stereo[s7];[s6][s7]amultiply[s8] -map [s8]" in argv


ENVELOPES = st.lists(
    st.builds(Level, st.fractions(0, 4, max_denominator=48_000), st.floats(0, 4, width=32)),
    min_size=1,
    max_size=6,
    unique_by=lambda level: audio.samples(level.at_s),
).map(lambda levels: tuple(sorted(levels, key=lambda level: level.at_s)))


@given(ENVELOPES, st.integers(0, 200_000), st.integers(1, 120_000))
@settings(max_examples=25, deadline=None)
def test_envelopes_are_straight_between_levels_and_held_outside(envelope: Envelope, start: int, length: int) -> None:
    corners = [(audio.samples(level.at_s), level.gain) for level in envelope]
    found = [gain for block in audio.gains([envelope, envelope], start, length) for gain in block]
    assert len(found) == length
    for index in {0, length // 2, length - 1, *(at - start for at, _ in corners if start <= at < start + length)}:
        at = start + index
        (begin, gain), (end, goal) = (corners[0], corners[0])
        for before, after in itertools.pairwise([*corners, (10**9, corners[-1][1])]):
            if before[0] <= at:
                (begin, gain), (end, goal) = before, after
        wanted = gain if end == begin or at < begin else gain + (goal - gain) * (at - begin) / (end - begin)
        assert found[index] == pytest.approx(wanted**2, abs=1e-4)


def loudness(samples: Sequence[float], at_s: float) -> float:
    """Root of the mean square over a tenth of a second, as a part of the unchanged tone's."""
    window = samples[round(at_s * media.SAMPLE_RATE) :][: media.SAMPLE_RATE // 10]
    return math.sqrt(sum(value * value for value in window) / len(window)) / (0.125 / math.sqrt(2))


@pytest.mark.ffmpeg
def test_fades_and_ducking_are_heard_when_they_are_due_at_any_speed(tmp_path: Path) -> None:
    fade = tuple(Level(Fraction(at), gain) for at, gain in ((1, 0.0), (2, 1.0), (3, 1.0), (4, 0.2)))
    shared = (Level(Fraction(0), 2.0), Level(Fraction(6), 2.0))
    tone = media.tone(tmp_path / "tone.wav", 440, sound_s=8)
    faded = track(start="1/2", length=4, file=tone, rate=Fraction(3, 2), envelopes=(fade, shared))
    mixed(tmp_path, faded, frames=FrameRange(15, 150), frame_count=150)
    left, _ = media.pcm(tmp_path / "audio.m4a")
    for film_s, gain in (
        (0.6, 0.0),
        (1.2, 0.5),
        (1.45, 1.0),
        (1.7, 1.5),
        (2.5, 2.0),
        (3.45, 1.2),
        (4.2, 0.4),
        (4.6, 0.0),
    ):
        assert loudness(left, film_s - 0.5) == pytest.approx(gain, abs=0.05), film_s
    assert list(tmp_path.glob("*.gains")) == []


def test_tracks_are_added_up_without_normalising() -> None:
    cues = [
        ("1.wav", Cue(source=0, source_stop=5, delay=24_000, length=5)),
        ("2.wav", Cue(source=0, source_stop=5, delay=0, length=5)),
    ]
    aac = FORMATS["mp4"].sound
    assert aac is not None
    assert shlex.join(audio.mix_command(cues, "o.m4a", aac, length=144_000)).replace("'", "") == (
        "ffmpeg -i file:1.wav -i file:2.wav -filter_complex [0]adelay=24000S|24000S[s0];[1]adelay=0S|0S[s1];"
        "[s0][s1]amix=dropout_transition=0:duration=longest:inputs=2:normalize=0[s2];[s2]apad=whole_len=144000[s3];"
        "[s3]atrim=end_sample=144000[s4] -map [s4] -f mp4 -b:a 192k -c:a aac -fflags +bitexact -flags +bitexact "
        "-map_metadata -1 file:o.m4a -hide_banner -loglevel error -nostdin -y"
    )


@pytest.mark.ffmpeg
def test_no_tracks_means_no_sound(tmp_path: Path) -> None:
    assert mixed(tmp_path) == Mix(None, 0)


@pytest.mark.ffmpeg
def test_two_tones_start_on_time_and_keep_their_level(tmp_path: Path) -> None:
    low, high = media.tone(tmp_path / "low.wav", 440), media.tone(tmp_path / "high.wav", 1000, channels=2)
    result = mixed(tmp_path, track(start="1/2", length=1, file=low), track(start=2, length="1/2", file=high))
    assert result == Mix(tmp_path / "audio.m4a", 2)
    left, right = media.pcm(tmp_path / "audio.m4a")
    second = left[round(1.75 * media.SAMPLE_RATE) :]
    assert media.onset_s(left) == pytest.approx(0.5, abs=ONSET_TOLERANCE_S)
    assert media.onset_s(second) == pytest.approx(0.25, abs=ONSET_TOLERANCE_S)
    assert media.end_s(left) == pytest.approx(2.5, abs=ONSET_TOLERANCE_S)
    for channel in (left, right):
        assert media.strength(channel[24_000:], 440) == pytest.approx(0.125, rel=0.05)
    assert [file.name for file in tmp_path.glob("*_*")] == []


@pytest.mark.ffmpeg
def test_overlapping_tracks_add_up_with_their_gains(tmp_path: Path) -> None:
    low, high = media.tone(tmp_path / "low.wav", 440), media.tone(tmp_path / "high.wav", 1000)
    mixed(tmp_path, track(file=low, gain=2.0), track(file=high, gain=0.5))
    left, _ = media.pcm(tmp_path / "audio.m4a")
    assert media.strength(left, 440) == pytest.approx(0.25, rel=0.05)
    assert media.strength(left, 1000) == pytest.approx(0.0625, rel=0.05)


@pytest.mark.ffmpeg
def test_double_rate_halves_the_wait_and_keeps_the_pitch(tmp_path: Path) -> None:
    source = media.tone(tmp_path / "late.wav", 440, silence_s=2, sound_s=2)
    mixed(tmp_path, track(start=1, length=2, file=source, media_start_s=Fraction(1), rate=Fraction(2)))
    left, _ = media.pcm(tmp_path / "audio.m4a")
    assert media.onset_s(left) == pytest.approx(1.5, abs=0.02)  # atempo blends windows of 20 ms
    assert media.strength(left[76_800:], 440) == pytest.approx(0.125, rel=0.1)


@pytest.mark.ffmpeg
def test_a_range_of_frames_hears_what_sounds_there(tmp_path: Path) -> None:
    source = media.tone(tmp_path / "late.wav", 440, silence_s=1.5, sound_s=1)
    mixed(tmp_path, track(file=source), frames=FrameRange(30, 90))
    left, _ = media.pcm(tmp_path / "audio.m4a")
    assert media.onset_s(left) == pytest.approx(0.5, abs=ONSET_TOLERANCE_S)
    assert media.probe(tmp_path / "audio.m4a").duration_s == 2


@pytest.mark.ffmpeg
def test_sound_that_starts_late_inside_its_file_stays_late(tmp_path: Path) -> None:
    tone = media.tone(tmp_path / "tone.wav", 440)
    film = tmp_path / "film.mkv"
    media.ffmpeg(
        "-f", "lavfi", "-i", "color=size=16x16:duration=3", "-itsoffset", "0.75", "-i", str(tone), str(film)
    )  # fmt: skip
    mixed(tmp_path, track(start=1, file=film))
    left, _ = media.pcm(tmp_path / "audio.m4a")
    assert media.onset_s(left) == pytest.approx(1.75, abs=ONSET_TOLERANCE_S)


@pytest.mark.ffmpeg
@pytest.mark.parametrize("fps", [Fraction(30), Fraction(24), Fraction(30000, 1001), Fraction(37)])
def test_the_mix_lasts_as_long_as_the_frames(tmp_path: Path, fps: Fraction) -> None:
    tone = media.tone(tmp_path / "tone.wav", 440, sound_s=0.3)
    mixed(tmp_path, track(file=tone), fps=fps)
    (sound,) = media.probe(tmp_path / "audio.m4a").streams
    assert (sound.codec, sound.channels, sound.sample_rate, sound.start_s) == ("aac", 2, 48_000, Fraction(0))
    assert sound.duration_s is not None
    assert abs(sound.duration_s - 90 / fps) <= Fraction(1, 1000)


@pytest.mark.ffmpeg
def test_the_mix_is_the_same_bytes_twice(tmp_path: Path) -> None:
    tone = media.tone(tmp_path / "tone.mp3", 440)
    digests = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        result = mixed(tmp_path / name, track(file=tone, rate=Fraction(5, 4)))
        assert result.file is not None
        digests.add(hashlib.sha256(result.file.read_bytes()).hexdigest())
    assert len(digests) == 1


@pytest.mark.ffmpeg
def test_a_broken_track_is_left_out_alone_and_named(tmp_path: Path) -> None:
    tone, broken = media.tone(tmp_path / "tone.wav", 440), tmp_path / "broken.mp3"
    broken.write_text("this is no sound")
    result = mixed(
        tmp_path, track("good", file=tone), track("bad", file=broken), track("gone", file=tmp_path / "gone.wav")
    )  # fmt: skip
    assert result.tracks == 1
    assert [warning.split(":")[0] for warning in result.warnings] == [
        "audio `bad` is left out",
        "audio `gone` is left out",
    ]
    assert all(str(tmp_path) in warning for warning in result.warnings)


@pytest.mark.ffmpeg
def test_a_film_without_sound_is_no_fault(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    media.ffmpeg("-f", "lavfi", "-i", "color=size=16x16:duration=1", str(film))
    assert mixed(tmp_path, track(file=film)) == Mix(None, 0)
