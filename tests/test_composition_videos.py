import json
import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path

import pytest
import video_support
from composition_support import ROOT, by_id, page, paths, read, tree, write

from fleet import composition, errors, model, stills
from fleet.composition import markup

pytestmark = pytest.mark.ffmpeg

ROOT_10 = ROOT.replace('data-duration="2"', 'data-duration="10" data-start="0"')


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return video_support.clip(tmp_path_factory.mktemp("clip") / "clip.mp4", 15).read_bytes()


def compiled(
    tmp_path: Path, body: str, clip: bytes, files: Mapping[str, str | bytes] | None = None
) -> model.Composition:
    return read(tmp_path, {"index.html": page(body, root=ROOT_10), "clip.mp4": clip, **(files or {})})


def test_a_video_is_a_slot_with_its_times_and_what_its_file_holds(tmp_path: Path, clip: bytes) -> None:
    body = """<video id="a" src="clip.mp4" muted loop data-start="1.5" data-duration="2" data-playback-rate="2"
        data-playback-start="0.1"></video>"""
    assert compiled(tmp_path, body, clip).videos == (
        model.VideoSlot(
            id="a",
            footage=model.Footage(
                file=str(tmp_path / "project" / "clip.mp4"),
                codec="h264",
                width=160,
                height=90,
                duration_s=Fraction(1, 2),
                matrix="bt601",
            ),
            start_s=Fraction("1.5"),
            duration_s=Fraction(2),
            media_start_s=Fraction("0.1"),
            rate=Fraction(2),
            is_loop=True,
            where="index.html:1",
        ),
    )


def test_a_video_lasts_as_long_as_its_file_when_it_does_not_say(tmp_path: Path, clip: bytes) -> None:
    (slot,) = compiled(tmp_path, '<video src="clip.mp4" data-start="1" data-media-start="0.2"></video>', clip).videos
    assert (slot.start_s, slot.duration_s) == (Fraction(1), Fraction("0.3"))


def test_a_video_in_a_late_host_starts_where_its_host_or_the_film_says(tmp_path: Path, clip: bytes) -> None:
    inner = '<video id="{0}" src="clip.mp4" data-start="{1}" data-duration="1"></video>'
    host = '<div data-composition-id="h" data-start="4" data-duration="3">{}</div>'
    body = host.format(inner.format("global", 5) + inner.format("local", 1))
    assert [slot.start_s for slot in compiled(tmp_path, body, clip).videos] == [5, 5]


def test_the_element_has_the_size_of_its_pictures_and_loads_nothing(tmp_path: Path, clip: bytes) -> None:
    made = compiled(tmp_path, '<video id="a" autoplay src="clip.mp4" poster="p.png"></video>', clip, {"p.png": "x"})
    attrs = by_id(tree(made), "a").attrs
    assert "autoplay" not in attrs
    assert (attrs["preload"], attrs["src"], attrs["data-hf-render-id"]) == ("none", "clip.mp4", "a")
    assert re.search(r"width%3D%22160%22%20height%3D%2290%22", attrs["poster"] or "")
    assert "clip.mp4" not in paths(made)


def test_hosts_get_the_file_only_when_something_else_names_it(tmp_path: Path, clip: bytes) -> None:
    body = "<video src='clip.mp4'></video><script>fetch('clip.mp4')</script>"
    assert "clip.mp4" in paths(compiled(tmp_path, body, clip))


def test_the_source_element_of_a_video_counts(tmp_path: Path, clip: bytes) -> None:
    made = compiled(tmp_path, '<video id="a"><source src="clip.mp4"></video>', clip)
    assert [slot.id for slot in made.videos] == ["a"]
    assert by_id(tree(made), "a").attrs["src"] == "clip.mp4"


def test_a_file_used_twice_gives_two_slots_with_names_of_their_own(tmp_path: Path, clip: bytes) -> None:
    made = compiled(tmp_path, '<video id="a" src="clip.mp4"></video>' * 2, clip)
    assert [slot.id for slot in made.videos] == ["a", "a__hf2"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ('<video id="a" src="clip.mp4" data-media-start="0.5" data-duration="1"></video>', "video-past-end"),
        ('<video id="a" muted src="no.mp4" data-duration="1"></video>', "video-blank"),
        ('<video id="a" src="data:video/mp4;base64,AA" data-duration="1"></video>', "video-blank"),
    ],
)
def test_a_video_without_pictures_is_blank_with_a_warning(tmp_path: Path, clip: bytes, body: str, code: str) -> None:
    made = compiled(tmp_path, body, clip, {"no.mp4": b"no video"})
    assert made.videos == ()
    assert [(finding.code, finding.where) for finding in made.findings] == [(code, "index.html:1")]
    assert "src" not in by_id(tree(made), "a").attrs


def test_a_hidden_video_and_one_without_a_source_are_no_slots(tmp_path: Path, clip: bytes) -> None:
    body = '<div data-hidden><video src="clip.mp4"></video></div><video></video>'
    made = compiled(tmp_path, body, clip)
    assert made.videos == ()
    assert all(e.attrs["preload"] == "none" for e in markup.walk(tree(made)) if e.name == "video")


def test_a_video_in_an_iframe_is_refused_by_name(tmp_path: Path, clip: bytes) -> None:
    with pytest.raises(errors.CompositionError, match=r"in\.html:1: the composition needs `video-in-iframe`"):
        compiled(tmp_path, '<iframe src="in.html"></iframe>', clip, {"in.html": '<video src="clip.mp4"></video>'})


def test_a_page_that_is_measured_knows_its_videos_and_has_no_stills(tmp_path: Path, clip: bytes) -> None:
    body = '<video id="a" src="clip.mp4" data-start="1"></video><video id="b" muted src="no.mp4"></video>'
    endless = ROOT.replace('data-duration="2"', "")
    write(tmp_path, {"index.html": page(body, root=endless), "clip.mp4": clip, "no.mp4": b"no video"})
    asked: list[tuple[str, dict[str, str]]] = []

    def measure(document: str, assets: Iterable[model.Asset], width: int, height: int) -> Fraction:
        asked.append((document, {asset.path: Path(asset.file).read_text() for asset in assets if "__" in asset.path}))
        return Fraction(7, 4)

    compiled = composition.read(tmp_path, variables={}, cache=tmp_path / "cache", offline=True, measure=measure)
    ((document, tables),) = asked
    assert (compiled.duration_s, [slot.id for slot in compiled.videos]) == (Fraction(7, 4), ["a"])
    assert json.loads(tables[stills.TABLE])["videos"] == {
        "a": {"first": 0, "stills": [], "width": 160, "height": 90, "duration": 0.5}
    }
    assert stills.TABLE not in paths(compiled)
    assert "src" not in by_id(markup.parse(document), "b").attrs
    assert [finding.code for finding in compiled.findings].count("video-blank") == 1
