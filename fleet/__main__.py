"""`python -m fleet`: the `fleetrender` program of this checkout."""

from fleet.cli import main

main()
