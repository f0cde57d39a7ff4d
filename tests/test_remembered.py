"""What the probe of a browser found is kept for exactly as long as nothing that it depends on has changed."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from capture import probe
from capture.protocol import BrowserFacts, CaptureMode, HostFacts
from capture.remembered import AGE_S, RENDERER, Remembered

FOUND = BrowserFacts(
    version="HeadlessChrome/1.2.3.4",
    mode=CaptureMode.BEGIN_FRAME,
    mode_why="begin-frame control drew the test page",
    gl_vendor="Google Inc.",
    gl_renderer="ANGLE (SwiftShader)",
    has_sandbox=True,
)
Memory = Callable[..., Remembered]


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> HostFacts:
    return probe.facts(tmp_path_factory.mktemp("workspace"))


@pytest.fixture
def browser(tmp_path: Path) -> Path:
    program = tmp_path / "browser" / "chromium"
    program.parent.mkdir()
    program.write_text("one build")
    (program.parent / RENDERER).write_text("its renderer")
    return program


@pytest.fixture
def memory(tmp_path: Path, browser: Path, facts: HostFacts) -> Memory:
    def make(*args: str, sandbox: bool = True, known: HostFacts = facts) -> Remembered:
        return Remembered(tmp_path / "kept", str(browser), args, sandbox=sandbox, facts=known)

    return make


def test_what_was_found_is_there_for_the_next_agent(memory: Memory) -> None:
    assert memory().read() is None
    memory().write(FOUND)
    assert memory().read() == FOUND


@pytest.mark.parametrize("name", ["chromium", RENDERER, "libEGL.so"])
def test_another_file_beside_the_browser_is_another_browser(memory: Memory, browser: Path, name: str) -> None:
    memory().write(FOUND)
    part = browser.with_name("part")
    part.write_text("another build")
    part.replace(browser.with_name(name))
    assert memory().read() is None


def test_other_ways_of_starting_it_are_probed(
    memory: Memory, facts: HostFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory().write(FOUND)
    assert memory("--use-vulkan").read() is None
    assert memory(sandbox=False).read() == (FOUND if os.geteuid() == 0 else None)  # root has none in any case
    assert memory(known=dataclasses.replace(facts, can_sandbox=not facts.can_sandbox)).read() is None
    assert memory(known=dataclasses.replace(facts, cpu_vectors=())).read() is None
    monkeypatch.setenv("VK_ICD_FILENAMES", "/elsewhere.json")
    assert memory().read() is None


def test_a_program_that_starts_a_browser_from_elsewhere_is_probed_each_time(memory: Memory, browser: Path) -> None:
    browser.with_name(RENDERER).unlink()
    memory().write(FOUND)
    assert memory().read() is None


def test_nothing_is_remembered_for_longer_than_a_day(memory: Memory, tmp_path: Path) -> None:
    memory().write(FOUND)
    (kept,) = (tmp_path / "kept").iterdir()
    os.utime(kept, (0, kept.stat().st_mtime - AGE_S - 10))
    assert memory().read() is None


def test_what_was_half_written_is_not_believed(memory: Memory, tmp_path: Path) -> None:
    memory().write(FOUND)
    (kept,) = (tmp_path / "kept").iterdir()
    kept.write_text(kept.read_text()[:40])
    assert memory().read() is None


def test_forgetting_leaves_nothing(memory: Memory, tmp_path: Path) -> None:
    memory().write(FOUND)
    memory().forget()
    assert memory().read() is None
    assert not list((tmp_path / "kept").iterdir())
