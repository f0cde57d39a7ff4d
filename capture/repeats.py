"""Which frames may be told to be the picture before them, and which of those are captured all the same. Pure: no I/O.

The browser can say whether anything on screen has changed since it was last asked to watch. Asking costs a layout and
a paint, so only a page that stands still is asked; believing it is checked against pictures now and then.
"""

# Of consecutive repeats, and always the last one of a block, the longest of which has as many frames: only after it are
# they announced.
CHECK_EVERY = 32
# Frames that a page is left alone after it was asked in vain, doubled each time.
REST_FRAMES_MAX = 64


class Repeats:
    """The state of one page. Told of every frame: `drew`, or `moved` and then `drew`, or `stood_still`."""

    def __init__(self) -> None:
        self._is_watched = False
        self._count = 0  # repeats in a row
        self._rest = 0
        self._next_rest = 1

    @property
    def is_watched(self) -> bool:
        """Whether the browser is to be asked about the next frame."""
        return self._is_watched

    def drew(self, *, is_same: bool) -> bool:
        """A picture was taken, the same as the one before it or not; whether to watch the page from here on."""
        self._rest = max(0, self._rest - 1)
        self._count = 0
        self._is_watched = is_same and not self._rest
        return self._is_watched

    def moved(self) -> None:
        """The browser was asked, and something had changed."""
        self._is_watched = False
        if self._count:
            self._next_rest = 1
        else:
            self._rest, self._next_rest = self._next_rest + 1, min(2 * self._next_rest, REST_FRAMES_MAX)

    def stood_still(self, *, is_last: bool) -> bool:
        """Nothing had changed; whether a picture is to show it, always when the frame `is_last` before a pause."""
        self._count += 1
        return is_last or self._count % CHECK_EVERY == 0
