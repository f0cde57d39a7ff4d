"""Command line: arguments in, one call, exit code out."""


def main() -> None:
    """Runs the command line."""
