"""This machine as a coordinator: what is missing is named, with the command that brings it."""

import dataclasses
import os
import shutil
from pathlib import Path

import pytest

from fleet import doctor
from fleet.doctor import Coordinator, Tool

HEALTHY = Coordinator(
    python="3.11.2",
    ffmpeg=Tool(path="/usr/bin/ffmpeg", said="ffmpeg version 5.1.6-0+deb12u1 Copyright (c) 2000-2024"),
    ffprobe=Tool(path="/usr/bin/ffprobe", said="ffprobe version 5.1.6-0+deb12u1"),
    encoders=doctor.ENCODERS,
    rsync=Tool(path="/usr/bin/rsync", said="rsync  version 3.5.0  protocol version 32"),
    npm=Tool(path="/usr/bin/npm", said="9.2.0"),
    state_directory="/home/ada/.local/state/fleetrender",
)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"ffmpeg": None}, ["error ffmpeg-missing"]),
        ({"ffprobe": None}, ["error ffprobe-missing"]),
        ({"encoders": doctor.ENCODERS[1:]}, ["error encoder-missing"]),
        ({"encoders": doctor.ENCODERS[:-1]}, ["warning encoder-missing"]),
        ({"ffmpeg": Tool(path="/f", said="ffmpeg version 3.2.4")}, ["warning ffmpeg-old"]),
        ({"ffmpeg": Tool(path="/f", said="ffmpeg version git-abc")}, []),
        ({"rsync": None}, ["warning rsync-missing"]),
        ({"rsync": Tool(path="/r", said="rsync  version 3.2.7  protocol version 31")}, ["warning rsync-old"]),
        ({"npm": None}, ["note npm-missing"]),
        ({"state_problem": "read-only file system"}, ["error state-unwritable"]),
        ({"known_hosts": "/k", "known_hosts_mode": 0o644}, []),
        ({"known_hosts": "/k"}, ["warning known-hosts-missing"]),
        ({"known_hosts": "/k", "known_hosts_mode": 0o664}, ["error known-hosts-open"]),
    ],
    ids=str,
)  # fmt: skip
def test_each_thing_that_is_missing_is_one_finding(change: dict[str, object], expected: list[str]) -> None:
    findings = doctor.judge(dataclasses.replace(HEALTHY, **change))  # type: ignore[arg-type]
    assert [f"{each.severity.value} {each.code}" for each in findings] == expected
    assert all(each.message and each.remedy for each in findings)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs FFmpeg")
@pytest.mark.ffmpeg
def test_this_machines_tools_are_found(tmp_path: Path) -> None:
    found = doctor.gather(state_directory=tmp_path / "state")
    assert found.ffmpeg is not None
    assert "ffmpeg version" in found.ffmpeg.said
    assert set(found.encoders) <= set(doctor.ENCODERS)
    assert "aac" in found.encoders
    assert found.state_problem == ""
    assert (tmp_path / "state").is_dir()


def test_nothing_is_found_where_nothing_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "file").touch()
    found = doctor.gather(known_hosts=str(tmp_path / "none"), state_directory=tmp_path / "file/state")
    assert (found.ffmpeg, found.ffprobe, found.rsync, found.npm, found.encoders) == (None, None, None, None, ())
    assert found.state_problem == "not a directory"
    assert found.known_hosts_mode is None


def test_a_tool_that_hangs_or_fails_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(doctor, "TOOL_S", 0.2)
    for name, script in (("rsync", "exec sleep 5"), ("npm", "exit 1")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    found = doctor.gather(state_directory=tmp_path)
    assert found.rsync == Tool(path=str(tmp_path / "rsync"), said="")
    assert found.npm == Tool(path=str(tmp_path / "npm"), said="")
