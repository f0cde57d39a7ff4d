"""What the user asked of a run from outside: to end what is under way and stop, or to stop at once."""

import contextlib
from collections.abc import Callable, Iterator

from fleet.errors import ExitCode


class Halt:
    """Asked at most twice: the first time for a drain, if somebody can do one just then."""

    def __init__(self) -> None:
        self.exit_code = ExitCode.INTERRUPTED  # that of a run which is cancelled
        self.is_asked = False
        self._drain: Callable[[], None] | None = None

    @contextlib.contextmanager
    def heard_by(self, drain: Callable[[], None]) -> Iterator[None]:
        """While the body runs, `drain` is called by the first wish."""
        self._drain = drain
        try:
            yield
        finally:
            self._drain = None

    def drain(self) -> bool:
        """Begins a drain; False when there is nothing to drain, or that was asked for before: cancel."""
        if self.is_asked or self._drain is None:
            return False
        self.is_asked = True
        self._drain()
        return True
