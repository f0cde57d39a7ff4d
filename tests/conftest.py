"""What holds for every test."""

import os

import hypothesis
import pytest

# How fast a loaded machine runs an example says nothing about the code. The same examples each time: a change is to
# fail by what it changes. FLEETRENDER_EXAMPLES=random draws others, to look for what nobody has thought of.
hypothesis.settings.register_profile(
    "fleetrender", deadline=None, derandomize=os.environ.get("FLEETRENDER_EXAMPLES") != "random"
)
hypothesis.settings.load_profile("fleetrender")

# The modules that take longest, in the order in which they are begun: a long one that begins last makes everybody wait.
# Those that load the machine alternate with those that mostly wait, for they often run side by side.
LONGEST = (
    "test_fleet",
    "test_broken",
    "test_invariance_more_fixtures",
    "test_faults",
    "test_invariance_fixtures",
    "test_hostile",
    "test_crash",
    "test_ssh",
    "test_returns",
    "test_encode",
    "test_bench",
    "test_session",
    "test_agent",
    "test_agent_browser",
    "test_page_adapters",
    "test_page",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest modules first; the rest keeps its order."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONGEST)))
