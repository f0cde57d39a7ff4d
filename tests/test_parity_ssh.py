"""Real hosts that draw other pixels are left out of a render by name, with what tells them apart."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sshd
from fleetrender_support import fleetrender
from sshd import Sshd

pytestmark = [
    pytest.mark.sshd,
    pytest.mark.browser,
    pytest.mark.ffmpeg,
    pytest.mark.skipif(not sshd.IS_AVAILABLE, reason=sshd.WHY_NOT),
]

FLAG = "--blink-settings=forceDarkModeEnabled=true"
# A canvas is the one place where text may fall back to the system's font, for no compiler can see what it writes.
PAGE = """<!doctype html><html><head><meta charset="utf-8"></head><body style="margin:0">
<div data-composition-id="m" data-no-timeline data-width="160" data-height="90" data-start="0" data-duration="0.4">
<canvas id="c" width="160" height="60"></canvas><div style="width:160px;height:30px;background:#c83"></div></div>
<script>
  const text = c.getContext("2d");
  text.font = `30px ${["None", "such"].join("")}`;
  text.fillText("Parity", 5, 40);
</script></body></html>"""

SCENES = "".join(f'<i class="clip" data-start="{n / 5}" data-duration="0.2">{n}</i>' for n in range(30))


def host(server: Sshd, **values: object) -> str:
    """The table of a server in hosts.toml."""
    keys = {
        "name": server.name,
        "address": server.address,
        "port": server.port,
        "user": server.user,
        "identity": str(server.identity),
    }
    return "[[host]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in (keys | values).items())


def other_fonts(server: Sshd) -> Path:
    """A browser that sees the fonts of its host, and a font that only this host has."""
    fonts = server.home / ".fonts"
    fonts.mkdir(mode=0o755)
    (fonts / "own.ttf").write_bytes(b"")
    browser = server.home / "browser"
    browser.write_text(
        '#!/bin/sh\nexport FONTCONFIG_FILE=/etc/fonts/fonts.conf\nexec /usr/bin/chromium-headless-shell "$@"\n'
    )
    browser.chmod(0o755)
    return browser


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """hosts.toml with two usual hosts and two odd ones, who might outvote them: a run waits until all have drawn."""
    path = tmp_path_factory.mktemp("parity") / "hosts.toml"
    with (
        sshd.start(number=17) as usual,
        sshd.start(number=18) as fonts,
        sshd.start(number=19) as flag,
        sshd.start(number=20) as second,
    ):
        tables = [
            host(usual),
            host(second),
            host(fonts, chromium=str(other_fonts(fonts))),
            host(flag, chromium_args=[FLAG]),
        ]
        path.write_text("version = 1\n" + "\n".join(tables))
        known = "".join(f"{server.known_hosts_line}\n" for server in (usual, fonts, flag, second))
        path.with_name("hosts.known_hosts").write_text(known)
        yield path


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(PAGE)
    return path


def test_hosts_with_other_fonts_or_flags_are_left_out_by_name(tmp_path: Path, hosts: Path, page: Path) -> None:
    # Who draws otherwise draws once more before it is left out: the others are to have work for longer than that.
    arguments = ("--fps", "120", "--chunk-frames", "3", "--workers", "1")
    ended = fleetrender(tmp_path, "run", page, "--hosts", hosts, "-o", "out.mp4", "--json", *arguments)
    assert ended.code == 0, ended.stderr
    told = {each["name"]: each for each in ended.result["hosts"]}
    assert {name for name, each in told.items() if each["state"] == "refused"} == {"r18", "r19"}
    assert told["r17"]["frames"] + told["r20"]["frames"] == ended.result["frames_verified"] == 48
    assert "draws other pixels than r17" in told["r18"]["message"]
    assert "fonts is" in told["r18"]["message"]
    assert "chromium_args" not in told["r18"]["message"]
    assert f"chromium_args is {FLAG}, not none" in told["r19"]["message"]
    assert ended.result["pixels"]["classes"] > 1
    assert ended.result["evidence"] == []


def test_hosts_of_other_classes_get_whole_scenes_when_that_is_allowed(tmp_path: Path, hosts: Path) -> None:
    page = tmp_path / "scenes.html"
    page.write_text(PAGE.replace('data-duration="0.4">', f'data-duration="6">{SCENES}'))
    arguments = ("--limit", "r17,r19", "--allow-mixed", "--explain", "--json", "--audit", "5%", "--chunk-frames", "12")
    ended = fleetrender(tmp_path, "run", page, "--hosts", hosts, "-o", "out.mp4", *arguments)
    assert ended.code == 0, ended.stderr
    told = {each["name"]: each for each in ended.result["hosts"]}
    assert told["r17"]["frames"] + told["r19"]["frames"] == ended.result["frames_verified"] == 180
    odd = {each["pixels"] for each in told.values() if each["pixels"]}
    assert len(odd) == 1
    assert "draws other pixels than" in ended.stderr
    assert f"; whole scenes, for it draws pixels of its own class {odd.pop()}" in ended.stderr
    assert ended.result["evidence"] == []
    assert told["r19"]["frames"] % 6 == 0


def test_every_seam_between_hosts_is_drawn_from_both_sides(tmp_path: Path, hosts: Path) -> None:
    page = tmp_path / "long.html"  # enough that no host is done before the other begins
    page.write_text(PAGE.replace('data-duration="0.4">', 'data-duration="4">'))
    arguments = ("--limit", "r17,r20", "--chunk-frames", "3", "--workers", "1")
    ended = fleetrender(tmp_path, "run", page, "--hosts", hosts, "-o", "out.mp4", "--json", *arguments)
    assert ended.code == 0, ended.stderr
    assert {each["name"] for each in ended.result["hosts"] if each["frames"]} == {"r17", "r20"}
    seams = ended.result["seams"]
    assert 1 <= seams["equal"] == seams["drawn"] < 40
    assert ended.result["evidence"] == []


def test_the_matrix_names_each_hosts_class_and_what_sets_it_apart(tmp_path: Path, hosts: Path) -> None:
    ended = fleetrender(tmp_path, "hosts", "check", "--parity", "--hosts", hosts, "--limit", "r17,r19", "--json")
    assert ended.code == 5, ended.stderr
    assert "r19" in ended.stderr
    usual, odd = ended.result["hosts"]
    assert [(row["host"], row["name"]) for row in (usual, odd)] == [("r17", "A"), ("r19", "B")]
    assert (usual["differs"], odd["differs"]) == ("", f"chromium_args is {FLAG}, not none")
    assert usual["frames"][0]["sha256"] != odd["frames"][0]["sha256"]
