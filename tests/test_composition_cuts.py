"""Scenes begin and end where clips and mounted compositions of the root do, and nowhere inside of those."""

from fractions import Fraction

from fleet.composition import cuts, markup


def found(body: str) -> list[Fraction]:
    root = f'<div data-composition-id="m" data-start="0" data-duration="10">{body}</div>'
    return list(cuts.find(markup.parse(f"<!doctype html><html><body>{root}</body></html>")))


def test_a_film_without_clips_is_one_scene() -> None:
    assert found("<p>words</p>") == [0, 10]


def test_clips_cut_where_they_begin_and_end_and_sounds_do_not() -> None:
    clips = """
      <p class="clip" id="one" data-start="1" data-duration="2.5">a</p>
      <p class="clip" data-start="one" data-duration="1">b</p>
      <audio src="s.mp3" data-start="7" data-duration="1"></audio>"""
    assert found(clips) == [0, 1, Fraction(7, 2), Fraction(9, 2), 10]


def test_a_mounted_composition_is_one_scene_whatever_is_in_it() -> None:
    inner = (
        '<div data-composition-id="i" data-start="2" data-duration="3"><p data-start="1" data-duration="1"></p></div>'
    )
    assert found(inner) == [0, 2, 5, 10]
