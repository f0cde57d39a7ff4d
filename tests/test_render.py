"""Renders on this machine, through the same agent and protocol as on any host."""

import json
import re
import shutil
import threading
from pathlib import Path

import barcode
import media_support as media
import pytest
from fleetrender_support import EXAMPLES, fleetrender

pytestmark = [pytest.mark.browser, pytest.mark.ffmpeg]
BARCODE = EXAMPLES / "barcode"

THROWS = """<!doctype html><html><body>
<div data-composition-id="bad" data-start="0" data-duration="2" data-width="320" data-height="180">text</div>
<script>
  window.addEventListener("hf-seek", (event) => {
    console.log("about to fail at " + event.detail.time);
    if (event.detail.time > 1) throw new Error("no such planet");
  });
</script></body></html>"""


def test_a_range_shows_the_frames_of_the_whole(tmp_path: Path) -> None:
    ended = fleetrender(tmp_path, "run", BARCODE, "--frames", "100:160", "-o", "new/folder/out.mp4", "--json")
    assert ended.code == 0, ended.stderr
    assert barcode.read_file(tmp_path / "new" / "folder" / "out.mp4") == list(range(100, 160))
    (machine,) = ended.result["cores"]  # one, though agent and coordinator have both told
    assert (machine["hosts"], machine["is_coordinator"]) == (["local"], True)
    assert None not in machine["shares"]


def test_capture_waits_for_encoders_that_have_the_same_cores(tmp_path: Path) -> None:
    encoder = tmp_path / "bin" / "ffmpeg"
    encoder.parent.mkdir()
    # Encodes nothing before the log says that capture waits; gives up waiting after a minute.
    encoder.write_text(
        "#!/bin/sh\n"
        'case "$*" in *-progress*) for _ in $(seq 600); do\n'
        '  grep -q chunk.held "$FLEETRENDER_STATE"/runs/*/events.jsonl && break; sleep 0.1\n'
        f'done;; esac\nexec {shutil.which("ffmpeg")} "$@"\n'
    )
    encoder.chmod(0o755)
    ended = fleetrender(
        tmp_path, "run", BARCODE, "-o", "out.mp4", "--events", "-", PATH=f"{encoder.parent}:/usr/bin:/bin"
    )
    assert ended.code == 0, ended.stderr
    assert barcode.read_file(tmp_path / "out.mp4") == list(range(300))
    told = [json.loads(line) for line in ended.stdout.splitlines()]
    held = next(index for index, event in enumerate(told) if event["type"] == "chunk.held")
    captured = sum(event["count"] for event in told[:held] if event["type"] == "chunk.captured")
    assert 100 < captured < 270  # about as many wait as are still to come


def test_segments_longer_than_capture_may_be_ahead_are_encoded_by_the_host(tmp_path: Path) -> None:
    options = ("--fps", "60", "--frames", "0:120", "--return", "segments")
    ended = fleetrender(tmp_path, "run", BARCODE, *options, "-o", "out.mp4", "--json")
    assert ended.code == 0, ended.stderr
    assert ended.result["segments_encoded"] == 1


def test_without_a_terminal_every_line_is_plain(tmp_path: Path) -> None:
    ended = fleetrender(tmp_path, "run", BARCODE, "--frames", "0:30")
    assert ended.code == 0, ended.stderr
    assert (tmp_path / "barcode.mp4").exists()
    assert "\x1b" not in ended.stdout + ended.stderr
    assert "\r" not in ended.stdout + ended.stderr
    assert "barcode.mp4" in ended.stdout + ended.stderr


def test_a_page_that_throws_ends_the_run_with_its_frame_console_and_a_screenshot(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(THROWS)
    ended = fleetrender(tmp_path, "run", tmp_path, "-o", "out.mp4")
    assert ended.code == 4
    assert "no such planet" in ended.stderr
    assert "about to fail at" in ended.stderr
    assert re.search(r"frame 3[1-9]", ended.stderr)
    (picture,) = re.findall(r"\S+\.png", ended.stderr)
    assert Path(picture).read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "out.mp4").exists()
    (log,) = (tmp_path / "state" / "runs").glob("*/logs/local.log")
    assert "a new one: seek_failed" in log.read_text()


def test_a_strict_run_ends_at_a_timeline_that_never_comes(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(THROWS.replace("> 1)", "> 9)"))
    ended = fleetrender(tmp_path, "run", tmp_path, "-o", "out.mp4", "--strict")
    assert ended.code == 4
    assert "no timeline is registered for: bad" in ended.stderr
    assert not (tmp_path / "out.mp4").exists()


TWO_SOUNDS = """<!doctype html><html><body>
<div data-composition-id="main" data-start="0" data-duration="0.5" data-width="64" data-height="36" data-no-timeline>
<audio id="good" src="tone.wav"></audio><audio id="odd" src="odd.wav"></audio></div></body></html>"""


def test_a_track_that_no_decoder_knows_is_left_out_by_name_and_ends_a_strict_run(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(TWO_SOUNDS)
    tone = media.tone(tmp_path / "tone.wav", 440).read_bytes()
    # A file as it should be, but for the codec: nothing but decoding it tells.
    (tmp_path / "odd.wav").write_bytes(tone[:20] + b"\x34\x12" + tone[22:])
    ended = fleetrender(tmp_path, "run", tmp_path, "-o", "out.mp4", "--json")
    assert ended.code == 0, ended.stderr
    assert media.strength(media.pcm(tmp_path / "out.mp4")[0], 440) == pytest.approx(0.125, rel=0.1)
    said = "audio `odd` is left out: Decoder"
    assert said in json.dumps(ended.result) + ended.stderr
    strict = fleetrender(tmp_path, "run", tmp_path, "-o", "strict.mp4", "--strict")
    assert strict.code == 4
    assert said in strict.stderr
    assert not (tmp_path / "strict.mp4").exists()


def test_a_dry_run_touches_no_host_and_writes_no_video(tmp_path: Path) -> None:
    ended = fleetrender(tmp_path, "run", BARCODE, "--dry-run", "--json", "--hosts", "me@192.0.2.1", "--fps", "60")
    assert ended.code == 0, ended.stderr
    assert (ended.result["frames"], ended.result["fps"], ended.result["hosts"]) == ("0:600", "60", ["192.0.2.1"])
    assert list(tmp_path.glob("*.mp4")) == []
    assert fleetrender(tmp_path, "run", BARCODE, "--dry-run").stdout.count("\n") > 4


def test_two_runs_never_write_the_same_output(tmp_path: Path) -> None:
    codes: list[int] = []

    def run() -> None:
        codes.append(fleetrender(tmp_path, "run", BARCODE, "--frames", "0:90", "-o", "out.mp4").code)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [0, 11]
    assert barcode.read_file(tmp_path / "out.mp4") == list(range(90))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "nowhere"),
        ([str(BARCODE), "--fps", "29.97"], "30000/1001"),
        ([str(BARCODE), "--frames", "9:3"], "9:3"),
        ([str(BARCODE), "--frames", "0:999"], "300"),
        ([str(BARCODE), "-o", "out.avi"], ".webm"),
        ([str(BARCODE), "-o", "out.mp4", "--format", "webm"], "out.webm"),
        ([str(BARCODE), "-o", "out.webm", "--codec", "h265"], "h264 or h265"),
        ([str(BARCODE), "--crf", "20", "--bitrate", "8M"], "exclude each other"),
        ([str(BARCODE), "--format", "gif", "--fps", "60"], "--fps 30"),
        ([str(BARCODE), "--resolution", "1000x1000"], "another shape"),
        ([str(BARCODE), "--format", "png-sequence", "-o", "."], "holds"),
        ([str(BARCODE), "--hosts", "absent.toml"], "absent.toml"),
        ([str(BARCODE), "--variables", "{"], "--variables:1"),
        ([str(BARCODE), "--limit", "nobody"], "nobody"),
        ([str(BARCODE), "--nonsense"], "nonsense"),
        ([str(BARCODE), "--workers", "0"], "workers"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_a_wrong_word_is_one_clear_error(tmp_path: Path, arguments: list[str], said: str) -> None:
    (tmp_path / "notes.txt").write_text("")  # a folder that is no sequence of frames
    ended = fleetrender(tmp_path, "run", *arguments)
    assert ended.code == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_events_on_standard_output_are_json_lines(tmp_path: Path) -> None:
    ended = fleetrender(tmp_path, "run", BARCODE, "--frames", "0:30", "--events", "-", "-o", "out.mp4")
    kinds = [json.loads(line)["type"] for line in ended.stdout.splitlines()]
    assert kinds[0] == "run.started"
    assert kinds[-1] == "run.finished"
