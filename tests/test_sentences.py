"""One line per change of state, and nothing untrusted reaches a terminal as it came."""

import unicodedata

import pytest
from events_support import RUN, changed
from hypothesis import given
from hypothesis import strategies as st

from fleet import events, sentences


def test_a_run_told_line_by_line() -> None:
    assert [line for line in (sentences.of(record.event) for record in RUN) if line] == [
        "run r1 started: launch 1920x1080 30 fps frames 0:60, plan 7f3a91c2, output /tmp/launch.mp4",
        "attic: left out: no route to host (hint: check the cable)",
        "capture mode begin_frame with Chromium 156: every host can",
        "studio-1: ready, 2 cores, Chromium 156, SwiftShader",
        "studio-2: ready, 4 cores, Chromium 156, SwiftShader",
        "studio-1: bundle pushed, 3 files, 1.5 MB",
        "studio-2: has the bundle already",
        "studio-1: chunk c0001 ordered, frames 0:30",
        "studio-2: chunk c0002 ordered, frames 30:60",
        "studio-1: chunk c0001 started, 2 workers: 2 cores",
        "studio-2: chunk c0002 started, 2 workers: 2 cores",
        "studio-1: lost: connection reset",
        "studio-2: chunk c0002 failed at frame 42: the page threw (seek_failed)",
        "studio-2: chunk c0002 ordered, 30 of frames 30:60, attempt 2",
        "studio-2: chunk c0002 started, 2 workers: 2 cores",
        "studio-2: chunk c0002 done",
        "studio-2: chunk c0001 ordered, 30 of frames 0:30, attempt 2",
        "audio mixed: 2 tracks",
        "warning: index.html:12: no font `Foo`",
        "finished: /tmp/launch.mp4, 4.5 MB, sha256 abababababababab",
    ]


def test_a_change_of_workers_is_told_with_its_reason() -> None:
    assert sentences.of(changed("c1", "a", 2, 3, "3 are 31% faster than 2")) == (
        "a: chunk c1 has 3 workers instead of 2: 3 are 31% faster than 2"
    )


@given(st.text(), st.integers(1, 400))
def test_clean_text_is_one_short_line_that_moves_nothing(text: str, limit: int) -> None:
    cleaned = sentences.clean(text, limit)
    assert len(cleaned) <= limit
    assert all(unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} for char in cleaned)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07x", "x"),
        ("a\r\nb\tc", "a b c"),
        ("\u202egnp.exe", "gnp.exe"),
        ("\x9b2Jx", "x"),
        ("[bold]x[/]", "[bold]x[/]"),
        ("日本", "日本"),
    ],
)
def test_escape_sequences_go_whole(text: str, expected: str) -> None:
    assert sentences.clean(text) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, "0:00"), (7.4, "0:07"), (59.6, "1:00"), (754, "12:34"), (3723, "1:02:03")]
)
def test_durations(seconds: float, expected: str) -> None:
    assert sentences.duration(seconds) == expected


@pytest.mark.parametrize(
    ("count", "expected"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (4_500_000, "4.5 MB"), (12e9, "12.0 GB")]
)
def test_sizes(count: int, expected: str) -> None:
    assert sentences.size(count) == expected


def test_a_range_is_explained_in_a_line_that_fits_a_terminal() -> None:
    sized = events.RangeSized(
        host="studio-07", chunk="c1", frames=1234, share=0.333, frames_per_s=12.34, source="guessed from its cores"
    )
    line = sentences.why(sized)
    assert line == "studio-07: 1234 frames, 33% of the work, for 12.3 frames/s guessed from its cores"
    assert sentences.of(sized) is None
