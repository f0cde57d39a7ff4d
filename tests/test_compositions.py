"""The compositions that scripts/compare_peer renders with both programs: every one can be read without an error."""

import tomllib
from pathlib import Path

import pytest
from composition_support import CACHE, NEEDS_NPM

from fleet import composition, model

FOLDER = Path(__file__).parent / "compositions"
NAMES = sorted(path.parent.name for path in FOLDER.glob("*/index.html"))


def test_there_is_a_composition_for_each_common_feature() -> None:
    assert len(NAMES) >= 40
    assert all("<!--" in (FOLDER / name / "index.html").read_text(encoding="utf-8") for name in NAMES)


def test_a_known_difference_names_a_composition_and_says_why() -> None:
    known = tomllib.loads((FOLDER / "known_differences.toml").read_text(encoding="utf-8"))
    assert all(isinstance(reason, str) and len(reason) > 20 for reason in known.values())


@NEEDS_NPM
@pytest.mark.parametrize("name", NAMES)
def test_a_composition_of_the_comparison_is_read_without_errors(name: str) -> None:
    compiled = composition.read(FOLDER / name, variables={}, cache=CACHE)
    assert [finding for finding in compiled.findings if finding.severity is model.Severity.ERROR] == []
    assert compiled.duration_s <= 2
    assert compiled.width * compiled.height <= 640 * 360
