"""The `fleetrender` program, also as `python -m fleet`. Only how it starts; `cli` says what it does."""

import gc
from typing import NoReturn

# Nearly all that is made at a start stays; to look for garbage in it took a tenth of the time.
GARBAGE_AFTER = 50_000


def main() -> NoReturn:
    """Runs the command that the arguments name."""
    gc.set_threshold(GARBAGE_AFTER)
    from fleet import cli

    cli.main()


if __name__ == "__main__":
    main()
