"""With everything published in hand, nobody can compute a cell that was taken out."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from pathlib import Path

import duckdb
import pytest

from tests.support.attacker import BALANCE, FACTS, MONEY, PUPILS, TEACHERS, Attacker, Cell, exposed_by


@pytest.fixture
def attacker(released: Path) -> Attacker:
    return Attacker([path / "marts.duckdb" for path in sorted((released / "releases").iterdir())])


def test_no_suppressed_cell_can_be_recovered_from_the_release(attacker: Attacker) -> None:
    marts = Counter(cell[0] for cell in attacker.hidden)
    assert set(marts) >= {TEACHERS, PUPILS, BALANCE, MONEY, FACTS}
    assert marts.total() > 1000
    assert attacker.exposed() == set()


def test_what_a_later_release_shows_of_an_earlier_ones_holes_is_found(released: Path, tmp_path: Path) -> None:
    first = released / "current" / "marts.duckdb"
    second = tmp_path / "marts.duckdb"
    second.write_bytes(first.read_bytes())
    assert exposed_by([first, second]) == set()
    with duckdb.connect(str(second)) as connection:
        connection.execute(
            "UPDATE marts.marts.mart_teacher_quality SET suppressed = NULL, fulltime_teachers = 3"
            " WHERE list_contains(string_split(suppressed, ','), 'fulltime_teachers')"
        )
    assert {cell[1] for cell in exposed_by([first, second])} >= {"fulltime_teachers"}


def _alone(attacker: Attacker, mart: str, column: str) -> Cell:
    """Leave one district's cell of a column taken out, and nothing else of that column, year and kind."""
    kept: Cell = min(
        cell
        for cell in attacker.hidden
        if cell[:2] == (mart, column) and str(cell[2]).isdigit() and cell[2] != "500000"
    )
    for cell in list(attacker.hidden):
        if cell[:2] == kept[:2] and cell[3] == kept[3] and cell != kept:
            attacker.hidden.discard(cell)
            attacker.known[cell] = Fraction(0)
    return kept


@pytest.mark.parametrize(
    ("mart", "column"), [(TEACHERS, "certified_teachers"), (BALANCE, "amount"), (MONEY, "spend_total")]
)
def test_the_attacker_does_find_what_a_single_suppression_would_expose(
    attacker: Attacker, mart: str, column: str
) -> None:
    kept = _alone(attacker, mart, column)
    assert kept in attacker.exposed()


def test_a_figure_left_standing_in_another_mart_is_found(attacker: Attacker) -> None:
    cell = min(cell for cell in attacker.hidden if cell[0] == MONEY)
    attacker.told.add(cell)
    assert cell in attacker.exposed()


def test_the_csv_shows_a_symbol_where_a_number_was_taken_out(released: Path) -> None:
    for mart in (TEACHERS, BALANCE, MONEY, "mart_standing_rules"):
        text = (released / "current" / "csv" / f"{mart}.csv").read_text(encoding="utf-8-sig")
        assert "＊" in text, mart
