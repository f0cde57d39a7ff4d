"""The parity matrix: the largest class is A, hosts without pictures come last, and it fits a terminal."""

from rich.console import Console
from test_muster import one
from test_parity import OTHER, USUAL, drawn, flagged

from fleet import matrix
from fleet.matrix import Row
from fleet.parity import Drawn

FOUND: list[Drawn | Row] = [
    Row(host="down", trouble="no route to host"),
    Drawn(flagged("odd", "--" + "x" * 100, cores=1), drawn(OTHER, USUAL)),
    Drawn(one("a"), drawn(USUAL, USUAL)),
    Drawn(one("b"), drawn(USUAL, USUAL)),
]


def test_hosts_are_sorted_into_classes_and_those_without_pictures_come_last() -> None:
    rows = matrix.rows(FOUND)
    assert [(row.host, row.name) for row in rows] == [("a", "A"), ("b", "A"), ("odd", "B"), ("down", "")]
    assert [bool(row.differs) for row in rows] == [False, False, True, False]
    plain = matrix.plain(rows)
    assert plain["classes"] == 2
    assert [row["trouble"] for row in plain["hosts"]] == ["", "", "", "no route to host"]


def test_the_matrix_fits_into_80_columns_and_loses_nothing() -> None:
    console = Console(width=80, highlight=False)
    with console.capture() as capture:
        console.print(matrix.table(matrix.rows(FOUND)))
    shown = capture.get()
    assert max(map(len, shown.splitlines())) <= 80
    assert shown.count("x") >= 100
    assert f"0: {OTHER[:6]}" in shown
