import io
import wave
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from composition_support import ROOT, by_id, page, read, tree
from hypothesis import given
from hypothesis import strategies as st

from fleet import model
from fleet.composition import markup, timing, values

ROOT_10 = ROOT.replace('data-duration="2"', 'data-duration="10" data-start="0"')


def wav(seconds: float) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(2 * int(8000 * seconds)))
    return buffer.getvalue()


TONE = {"tone.wav": wav(4)}


def compiled(tmp_path: Path, body: str, files: Mapping[str, str | bytes] | None = None) -> model.Composition:
    return read(tmp_path, {"index.html": page(body, root=ROOT_10), **TONE, **(files or {})})


def times(composition: model.Composition) -> list[tuple[str, Fraction, Fraction, Fraction]]:
    return [(track.id, track.start_s, track.duration_s, track.media_start_s) for track in composition.audio]


def track(
    identity: str, start: object, duration: object, media: object = 0
) -> tuple[str, Fraction, Fraction, Fraction]:
    return identity, Fraction(str(start)), Fraction(str(duration)), Fraction(str(media))


pytestmark = pytest.mark.ffmpeg


def test_a_track_has_its_file_its_times_its_speed_and_its_gain(tmp_path: Path) -> None:
    body = """<audio id="a" src="tone.wav" data-start="1.5" data-duration="2" data-volume="0.25"
        data-media-start="0.1" data-playback-rate="1.5"></audio>"""
    assert compiled(tmp_path, body).audio == (
        model.AudioTrack(
            id="a",
            file=str(tmp_path / "project" / "tone.wav"),
            start_s=Fraction("1.5"),
            duration_s=Fraction(2),
            media_start_s=Fraction("0.1"),
            rate=Fraction("1.5"),
            gain=0.25,
        ),
    )


def test_what_an_author_left_out_is_written_into_the_document(tmp_path: Path) -> None:
    body = '<audio src="tone.wav"></audio><audio src="tone.wav" data-start="1" data-media-start="1"></audio>'
    result = compiled(tmp_path, body)
    assert times(result) == [track("hf-audio-0", 0, 4), track("hf-audio-1", 1, 3, 1)]
    document = tree(result)
    assert by_id(document, "hf-audio-0").attrs == {
        "id": "hf-audio-0", "src": "tone.wav", "data-start": "0", "data-hf-auto-start": "", "data-duration": "4",
        "data-end": "4", "data-hf-render-id": "hf-audio-0",
    }  # fmt: skip
    assert by_id(document, "hf-audio-1").attrs["data-end"] == "4"


def test_equal_ids_of_two_files_are_told_apart(tmp_path: Path) -> None:
    scene = '<div data-composition-id="{}" data-width="1" data-height="1"><audio src="tone.wav"></audio></div>'
    host = '<div data-composition-id="{0}" data-composition-src="{0}.html" data-start="{1}"></div>'
    files = {"a.html": scene.format("a"), "b.html": scene.format("b")}
    result = compiled(tmp_path, host.format("a", 0) + host.format("b", 5), files)
    assert times(result) == [track("hf-audio-0", 0, 4), track("hf-audio-0__hf2", 5, 4)]


@pytest.mark.parametrize(
    ("host", "media", "expected"),
    [
        ('data-start="4" data-duration="4"', 'data-start="1" data-duration="2"', (5, 2)),  # before the host: its own
        ('data-start="4" data-duration="4"', 'data-start="5" data-duration="2"', (5, 2)),  # inside: the film's
        ('data-start="4" data-duration="4"', 'data-start="3" data-duration="2"', (4, 1)),  # reaches in: the film's
        ('data-start="4" data-duration="4"', 'data-start="0"', (4, 4)),
        ('data-start="4" data-duration="2"', "", (4, 2)),  # no start: the host's, cut where the host ends
        ('data-start="4"', 'data-start="4" data-duration="1"', (4, 1)),
        ('data-start="4"', 'data-start="3" data-duration="1"', (7, 1)),
    ],
)
def test_both_conventions_of_media_inside_a_late_host_are_understood(
    tmp_path: Path, host: str, media: str, expected: tuple[int, int]
) -> None:
    files = {"s.html": f'<div data-composition-id="s"><audio id="a" src="tone.wav" {media}></audio></div>'}
    result = compiled(tmp_path, f'<div data-composition-id="s" data-composition-src="s.html" {host}></div>', files)
    ((_, start, duration, _),) = times(result)
    assert (start, duration) == (Fraction(expected[0]), Fraction(expected[1]))


def test_sound_in_a_template_plays_where_the_page_mounts_it(tmp_path: Path) -> None:
    inner = (
        '<template id="s-template"><div data-composition-id="s"><audio id="a" src="tone.wav"></audio></div></template>'
    )
    mounted = '<div data-composition-id="s" data-start="3" data-duration="2"></div>'
    assert times(compiled(tmp_path, inner + mounted)) == [track("a", 3, 2)]
    assert times(compiled(tmp_path, inner)) == []


def test_sound_follows_references_and_ends_with_the_composition(tmp_path: Path) -> None:
    body = """<p id="intro" data-start="2" data-duration="3"></p>
        <audio id="a" src="tone.wav" data-start="intro + 0.5"></audio>
        <audio id="b" src="tone.wav" data-start="a"></audio>
        <audio id="late" src="tone.wav" data-start="11"></audio>"""
    assert times(compiled(tmp_path, body)) == [track("a", "5.5", 4), track("b", "9.5", "0.5")]


def test_what_is_muted_hidden_silent_or_quiet_is_left_out_without_a_word(tmp_path: Path) -> None:
    body = """<audio src="tone.wav" muted></audio><div data-hidden><audio src="tone.wav"></audio></div>
        <audio src="tone.wav" data-volume="0"></audio><audio src="picture.ppm"></audio>"""
    result = compiled(tmp_path, body, {"picture.ppm": b"P6 2 2 255\n" + bytes(12)})
    assert result.audio == ()
    assert result.findings == ()


def test_a_broken_file_and_a_wrong_slot_are_warned_about(tmp_path: Path) -> None:
    body = """<audio id="broken" src="page.wav"></audio><audio id="past" src="tone.wav" data-media-start="9"></audio>
        <audio id="short" src="tone.wav" data-duration="5"></audio>
        <audio id="near" src="tone.wav" data-duration="4.04"></audio>"""
    result = compiled(tmp_path, body, {"page.wav": "<html>not found</html>"})
    assert times(result) == [track("short", 0, 4), track("near", 0, 4)]
    assert [(f.severity, f.code, f.where) for f in result.findings] == [
        (model.Severity.WARNING, "audio-unreadable", "<audio id='broken'>"),
        (model.Severity.WARNING, "audio-past-end", "<audio id='past'>"),
        (model.Severity.WARNING, "audio-short", "<audio id='short'>"),
    ]


def test_the_first_source_element_counts_when_there_is_no_src(tmp_path: Path) -> None:
    body = '<audio id="a" data-start="0"><source src="tone.wav"></audio>'
    assert times(compiled(tmp_path, body)) == [track("a", 0, 4)]


@given(st.integers(-(10**12), 10**12), st.integers(0, 6))
def test_a_number_written_into_an_attribute_reads_back_the_same(digits: int, places: int) -> None:
    number = Fraction(digits, 10**places)
    assert values.number(values.written(number)) == number


@given(st.text(max_size=12))
def test_any_text_is_a_time_or_is_not(text: str) -> None:
    for read_value in (values.number, values.positive, values.pixels, values.start, values.rate):
        read_value(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.5", Fraction("1.5")),
        (" 2 ", Fraction(2)),
        (".5", Fraction("0.5")),
        ("1e1", Fraction(10)),
        ("intro", values.After("intro", Fraction(0))),
        ("intro + 0.5", values.After("intro", Fraction("0.5"))),
        ("scene.a:b-1 - 2", values.After("scene.a:b-1", Fraction(-2))),
        ("intro+1", values.After("intro", Fraction(1))),
        ("a b", None),
        ("", None),
        ("intro + x", None),
        ("1e999999999", values.After("1e999999999", Fraction(0))),
        ("\N{ARABIC-INDIC DIGIT ONE}", None),
    ],
)
def test_a_start_is_a_number_or_the_end_of_another_element(text: str, expected: object) -> None:
    assert values.start(text) == expected


def test_references_that_run_in_a_circle_start_at_zero() -> None:
    document = markup.parse('<p id="a" data-start="b" data-duration="1"></p><p id="b" data-start="a + 1"></p>')
    resolver = timing.Resolver(document)
    assert resolver.start(by_id(document, "a")) in {Fraction(0), Fraction(1), Fraction(2)}


def test_long_chains_of_references_are_followed_and_long_circles_are_not() -> None:
    clips = [f'<p id="c{n}" data-start="c{n - 1} + 1" data-duration="2"></p>' for n in range(1, 5000)]
    document = markup.parse('<p id="c0" data-start="4" data-duration="2"></p>' + "".join(clips))
    resolver = timing.Resolver(document)
    assert resolver.start(by_id(document, "c4999")) == 4 + 3 * 4999
    assert resolver.start(by_id(document, "c1")) == 7
    circle = markup.parse('<p id="c0" data-start="c4999" data-duration="2"></p>' + "".join(clips))
    assert timing.Resolver(circle).start(by_id(circle, "c7"), Fraction(3)) == 3


def test_a_clip_is_clipped_from_both_sides(tmp_path: Path) -> None:
    whole = compiled(tmp_path, '<audio id="a" src="tone.wav" data-start="8"></audio>').audio[0]
    assert whole == replace(whole, start_s=Fraction(8), duration_s=Fraction(2))
