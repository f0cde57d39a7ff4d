"""A second zip beside the agent's own, with its modules compiled: sources alone take longer to compile than to run.

Its name says which agent and which Python it is of; `fleet/agentzip.py` makes the agent look for it. Made once.
"""

import contextlib
import importlib.util
import marshal
import os
import sys
import zipfile
from pathlib import Path

# Bytecode that is never compared with its source: flags of a hash-based file, and no hash.
_HEADER = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8)


def beside(agent: Path) -> Path:
    """Where the compiled form of the agent's zip is, or would be."""
    return agent.with_name(f"{agent.stem}.{sys.implementation.cache_tag}.zip")


def write(agent: Path) -> None:
    """Makes it unless it is there, or the agent runs from no zip; not being able to is no failure."""
    target = beside(agent)
    if agent.suffix != ".pyz" or target.exists():
        return
    part = target.with_name(f".{target.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        try:
            _compile(agent, part, str(target))
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)


def _compile(agent: Path, part: Path, name: str) -> None:
    with zipfile.ZipFile(agent) as source, part.open("xb") as file:
        with zipfile.ZipFile(file, "w") as made:
            for entry in source.infolist():
                data = source.read(entry)
                made.writestr(entry, data)  # what is read by path, and what tracebacks show
                if entry.filename.endswith(".py"):
                    code = compile(data, f"{name}/{entry.filename}", "exec", dont_inherit=True)
                    made.writestr(f"{entry.filename}c", _HEADER + marshal.dumps(code))
        os.fsync(file.fileno())
