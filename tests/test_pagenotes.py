"""What pages say is told once, with a count, and never without end."""

from fleet import events
from fleet.pagenotes import SHOWN_MAX, PageNotes


def test_each_thing_is_told_once_and_counted() -> None:
    notes = PageNotes()
    for text in ("no such file: a.png", "page_error: x is not defined", "no such file: a.png", "frame_loop: harmless"):
        notes.add(text)
    assert list(notes.warnings()) == [
        events.Warned("page", "no such file: a.png (in 2 browsers)"),
        events.Warned("page", "page_error: x is not defined"),
    ]


def test_a_page_that_never_stops_is_cut_short() -> None:
    notes = PageNotes()
    for number in range(SHOWN_MAX + 5000):
        notes.add(f"no such file: {number}.png")
    told = list(notes.warnings())
    assert len(told) == SHOWN_MAX + 1
    assert "980 more warnings" in told[-1].message


def test_what_a_host_says_cannot_write_on_a_terminal() -> None:
    notes = PageNotes()
    notes.add("bad\x1b[31m name")
    assert [warned.message for warned in notes.warnings()] == ["bad name"]
