"""How an agent's process ends: for whichever reason comes first, and taking everything that it started along."""

import contextlib
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable
from typing import NoReturn

from capture import tree
from capture.channel import Incoming, Outbox
from capture.protocol import Stopping

# A coordinator says hello at once; without one this process has no lease and no reason to live.
HELLO_LIMIT_S = 30.0
_WATCH_S = 0.25
_FLUSH_S = 1.0
_REASON_CHARS = 2000

EXIT_BYE = 0
EXIT_BUG = 1
EXIT_PROTOCOL = 2
EXIT_LOST = 3  # end of file, silence, or the death of our parent


class Life:
    """Ends this process and its whole tree, for whichever reason comes first."""

    def __init__(self, incoming: Incoming) -> None:
        self.lease_s = HELLO_LIMIT_S
        self.last_words: Outbox | None = None
        self._incoming = incoming
        self._parent = os.getppid()
        self._ending = threading.RLock()  # whoever ends us may find out on the way that nobody reads
        self._is_terminated = False
        self._is_ending = False
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # sent when a connection closes; end of file says it better
        signal.signal(signal.SIGTERM, self._terminated)
        threading.excepthook = self._broke

    def end(
        self, code: int, reason: str, *, is_said: bool = False, finish: Callable[[], None] = lambda: None
    ) -> NoReturn:
        """Kills everything below, runs `finish`, exits. `is_said` tells the coordinator why first."""
        if not self._ending.acquire(blocking=False):
            threading.Event().wait()  # another thread is at it
        self._is_ending = True
        try:
            if self.last_words is not None:
                if is_said:
                    self.last_words.send(Stopping(reason[:_REASON_CHARS]))
                self.last_words.close(_FLUSH_S)
            left = tree.kill_all()
            finish()
            _complain(f"agent ends: {reason}{f'; these cannot be killed: {left}' if left else ''}")
        finally:  # nothing may keep this process alive: no other thread can end it any more
            os._exit(code)

    def check(self) -> None:
        """Stands still while another thread ends the process: workers that die now must not be replaced."""
        if self._is_ending:
            threading.Event().wait()

    def watch(self) -> None:
        """Runs in a thread of its own, so that an agent that hangs dies as surely as one that works."""
        while True:
            time.sleep(_WATCH_S)
            silent_s = time.monotonic() - self._incoming.heard_s
            if silent_s > self.lease_s:
                self.end(EXIT_LOST, f"the coordinator said nothing for {silent_s:.0f} s", is_said=True)
            if self._is_terminated or os.getppid() != self._parent:
                self.end(EXIT_LOST, "terminated", is_said=True)

    def _terminated(self, *_: object) -> None:
        self._is_terminated = True  # the handler may have interrupted anything, so `watch` acts on it

    def _broke(self, broken: threading.ExceptHookArgs) -> None:
        """A thread that dies of a bug must not leave an agent behind that waits for it."""
        text = "".join(traceback.format_exception(broken.exc_value))
        self.end(EXIT_BUG, text, is_said=True)


def _complain(text: str) -> None:
    """One line of standard error, which a lost connection takes with it: then dying matters more than saying so."""
    with contextlib.suppress(OSError):
        os.set_blocking(2, False)  # nor may a full pipe hold us
        os.write(2, f"{text}\n".encode(errors="replace"))
