import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from capture import compiled
from fleet import agentzip


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "sources" / "tiny_agent"
    (folder / "page").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "__main__.py").write_text(
        "import sys\nfrom importlib import resources\n"
        "print(sys.argv[1:], resources.files('tiny_agent').joinpath('page/seek.js').read_text())\n"
    )
    (folder / "page" / "__init__.py").write_text("")
    (folder / "page" / "seek.js").write_text("seek();")
    (folder / "notes.txt").write_text("not for hosts")
    monkeypatch.syspath_prepend(str(tmp_path / "sources"))
    monkeypatch.delitem(sys.modules, "tiny_agent", raising=False)
    return folder


def test_the_same_sources_give_the_same_bytes_whenever_they_were_written(package: Path) -> None:
    first = agentzip.pack("tiny_agent")
    for file in package.rglob("*"):
        os.utime(file, (1, 1))
    assert agentzip.pack("tiny_agent") == first


def test_it_runs_with_nothing_of_ours_installed(package: Path, tmp_path: Path) -> None:
    built = agentzip.build(tmp_path, "tiny_agent")
    run = subprocess.run([sys.executable, "-ISE", built.path, "agent", "--x"], capture_output=True, cwd="/")
    assert run.stdout.decode() == "['agent', '--x'] seek();\n"
    assert (built.sha256, built.size_bytes) == (
        hashlib.sha256(built.path.read_bytes()).hexdigest(),
        built.path.stat().st_size,
    )


def test_an_unchanged_package_is_not_written_again(package: Path, tmp_path: Path) -> None:
    built = agentzip.build(tmp_path / "cache", "tiny_agent")
    before = built.path.stat()
    assert agentzip.build(tmp_path / "cache", "tiny_agent") == built
    assert built.path.stat().st_ino == before.st_ino
    (package / "__init__.py").write_text("changed = True\n")
    assert agentzip.build(tmp_path / "cache", "tiny_agent").sha256 != built.sha256


def test_only_sources_and_page_scripts_are_packed(package: Path) -> None:
    assert b"notes.txt" not in agentzip.pack("tiny_agent")


def test_the_real_host_half_packs() -> None:
    assert b"capture/protocol/__init__.py" in agentzip.pack(agentzip.PACKAGE)


def test_a_compiled_zip_beside_it_is_what_runs(package: Path, tmp_path: Path) -> None:
    (package / "place.py").write_text("HERE = __file__\n")
    (package / "__main__.py").write_text("from tiny_agent import place\n\nprint(place.HERE)\n")
    built = agentzip.build(tmp_path, "tiny_agent")
    command = [sys.executable, "-ISE", str(built.path)]
    assert subprocess.check_output(command, text=True) == f"{built.path}/tiny_agent/place.py\n"
    compiled.write(built.path)
    assert subprocess.check_output(command, text=True) == f"{compiled.beside(built.path)}/tiny_agent/place.pyc\n"
    assert {path.name for path in tmp_path.iterdir()} == {
        "sources",
        built.path.name,
        compiled.beside(built.path).name,
    }


def test_what_runs_from_no_zip_is_not_compiled(tmp_path: Path) -> None:
    program = tmp_path / "capture"
    program.write_text("")
    compiled.write(program)
    assert list(tmp_path.iterdir()) == [program]
