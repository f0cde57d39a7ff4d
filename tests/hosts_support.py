"""Hosts as the files in tests/facts describe them."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from capture import wire
from fleet.checks import Examined

FACTS = Path(__file__).parent / "facts"


def read(name: str) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads((FACTS / f"{name}.json").read_text())
    return plain


def examined(name: str, **changes: Any) -> Examined:
    """The host of that file, under that name; `facts_` and `browser_` prefix changes of those."""
    found = wire.from_plain(Examined, read(name)["examined"])
    for prefix in ("facts", "browser"):
        inner = {
            key.removeprefix(f"{prefix}_"): changes.pop(key) for key in tuple(changes) if key.startswith(f"{prefix}_")
        }
        if inner:
            changes[prefix] = dataclasses.replace(getattr(found, prefix), **inner)
    return dataclasses.replace(found, **changes)
