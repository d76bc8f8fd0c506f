"""With everything published in hand, nobody can compute a cell that was taken out."""

from __future__ import annotations

from pathlib import Path

from tests.support.attacker import Attacker


def test_no_suppressed_cell_can_be_recovered_from_the_release(released: Path) -> None:
    attacker = Attacker([path / "marts.duckdb" for path in sorted((released / "releases").iterdir())])
    assert len(attacker.hidden) > 1000
    assert attacker.exposed() == set()


def test_the_attacker_does_find_what_a_single_suppression_would_expose(released: Path) -> None:
    attacker = Attacker([released / "current" / "marts.duckdb"])
    kept = min(cell for cell in attacker.hidden if cell[1] == "certified_teachers" and cell[2].isdigit())
    kind, column, _, period, stage = kept
    for cell in list(attacker.hidden):
        if (cell[0], cell[1], cell[3], cell[4]) == (kind, column, period, stage) and cell != kept:
            attacker.hidden.discard(cell)
    assert kept in attacker.exposed()


def test_the_csv_shows_a_symbol_where_a_number_was_taken_out(released: Path) -> None:
    text = (released / "current" / "csv" / "mart_teacher_quality.csv").read_text(encoding="utf-8-sig")
    assert "＊" in text
