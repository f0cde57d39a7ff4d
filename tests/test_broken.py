"""Broken projects through the real program: each ends in a named error and its exit code, and leaves nothing behind."""

import os
import secrets
import subprocess
import time
from pathlib import Path

import broken_projects as projects
import fleetrender_support as support
import media_support
import pytest
from broken_projects import Case
from composition_support import write

EARLIER = b"an earlier video"
# Browsers are still closing their profiles for a moment after their agent has gone.
GONE_WITHIN_S = 5.0
# Limits of the product end these runs: of a page's seconds, and how often it is tried. This is for a busy machine.
LIMIT_S = 200.0
MARK = "FLEETRENDER_TEST_MARK"


def run(folder: Path, case: Case, *arguments: str) -> support.Ended:
    """`fleetrender run` of a project over an earlier output; when it ends, all that it started has ended as well."""
    write(folder / "project", case.files)
    (folder / "out.mp4").write_bytes(EARLIER)
    mark = secrets.token_hex(8)
    done = subprocess.run(
        support.command("run", folder / "project", "-o", folder / "out.mp4", *case.arguments, *arguments),
        cwd=folder,
        env=support.environment(folder / "home") | {"PYTHONPATH": str(support.ROOT), MARK: mark},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    deadline_s = time.monotonic() + GONE_WITHIN_S
    while (left := marked(mark)) and time.monotonic() < deadline_s:
        time.sleep(0.1)
    assert left == []
    return support.Ended(done.returncode, done.stdout, done.stderr)


def marked(mark: str) -> list[str]:
    """Command lines of the processes that inherited `mark`, whoever is their parent now."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            if mark.encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:  # it has ended meanwhile, or belongs to somebody else
            continue
    return found


def check_failed(folder: Path, case: Case, ended: support.Ended) -> None:
    """The case's exit code and words, a remedy, no traceback, and the earlier output as it was."""
    assert ended.code == case.code, ended.stderr
    assert [words for words in case.says if words not in ended.stderr] == [], ended.stderr
    assert "\nhint: " in ended.stderr
    assert "Traceback" not in ended.stderr
    assert (folder / "out.mp4").read_bytes() == EARLIER
    assert sorted(path.name for path in folder.iterdir()) in (["out.mp4", "project"], ["home", "out.mp4", "project"])


@pytest.mark.parametrize("name", projects.REFUSED)
def test_a_broken_project_is_refused_before_anything_is_started(tmp_path: Path, name: str) -> None:
    case = projects.REFUSED[name]
    check_failed(tmp_path, case, run(tmp_path, case))
    assert not (tmp_path / "home" / "state" / "runs").exists()


@pytest.mark.browser
@pytest.mark.parametrize("name", projects.FAILING)
def test_a_page_that_cannot_be_captured_ends_the_run_within_its_limits(tmp_path: Path, name: str) -> None:
    case = projects.FAILING[name]
    check_failed(tmp_path, case, run(tmp_path, case, "--page-timeout", str(case.page_timeout_s)))


@pytest.mark.browser
@pytest.mark.ffmpeg
def test_a_page_that_throws_asks_reloads_and_leaves_is_rendered_as_it_stands(tmp_path: Path) -> None:
    ended = run(tmp_path, Case(files=projects.restless(), code=0, says=()))
    assert ended.code == 0, ended.stderr
    assert media_support.rgb(tmp_path / "out.mp4") == pytest.approx((0, 128, 0), abs=3)
    (log,) = (tmp_path / "home" / "state" / "runs").glob("*/logs/local.log")
    text = log.read_text()
    assert "thrown while loading" in text
    assert "dismissed the dialog alert('stop')" in text
    assert "kept the page from leaving for https://example.com/" in text


@pytest.mark.browser
@pytest.mark.ffmpeg
def test_ten_thousand_clips_that_refer_to_each_other_are_rendered(tmp_path: Path) -> None:
    ended = run(tmp_path, Case(files=projects.clips(10_000), code=0, says=()), "--frames", "0:2")
    assert ended.code == 0, ended.stderr
    assert media_support.rgb(tmp_path / "out.mp4") == pytest.approx((0, 128, 0), abs=3)


@pytest.mark.browser
@pytest.mark.ffmpeg
def test_files_that_are_no_media_are_left_out_with_a_warning_each(tmp_path: Path) -> None:
    ended = run(tmp_path, Case(files=projects.broken_media(), code=0, says=()))
    assert ended.code == 0, ended.stderr
    said = ended.stdout + ended.stderr
    assert [name for name in ("v.mp4", "a.mp3", "cut.png", "cut.gif") if name not in said] == []


def test_an_output_that_cannot_be_written_is_refused_first(tmp_path: Path) -> None:
    write(tmp_path / "project", {"index.html": projects.page()})
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "file").write_bytes(EARLIER)
    for output, says in (("folder.mp4", "is a folder"), ("file/out.mp4", "file is not writable")):
        ended = support.fleetrender(tmp_path, "run", "project", "-o", output)
        assert ended.code == 2, ended.stderr
        assert says in ended.stderr
        assert "Traceback" not in ended.stderr
    assert (tmp_path / "file").read_bytes() == EARLIER
