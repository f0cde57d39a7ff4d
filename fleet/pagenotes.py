"""What pages say is wrong with them, on all hosts of a run: each thing once, counted, for its end. Pure: no I/O."""

from collections import Counter
from collections.abc import Iterator

from fleet import events, sentences

# A page that asks for a file in every frame has said enough; the hosts' logs have all of it.
SHOWN_MAX = 20
KINDS_MAX = 1000
TEXT_LENGTH = 300
# Said of pages that a run examines or steps through anyway.
_HARMLESS = ("frame_loop:",)


class PageNotes:
    """Collects while a run goes on; every page of every worker may say the same."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, text: str) -> None:
        """One page said this."""
        if text.startswith(_HARMLESS):
            return
        said = sentences.clean(text, TEXT_LENGTH)
        if said in self._counts or len(self._counts) < KINDS_MAX:
            self._counts[said] += 1

    def warnings(self) -> Iterator[events.Warned]:
        """What was said, in the order in which it was heard first."""
        for number, (said, count) in enumerate(self._counts.items()):
            if number == SHOWN_MAX:
                left = len(self._counts) - SHOWN_MAX
                yield events.Warned("page", f"{sentences.plural(left, 'more warning')}: see the logs of the hosts")
                return
            yield events.Warned("page", said if count == 1 else f"{said} (in {count} browsers)")
