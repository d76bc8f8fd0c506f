"""An attacker with every published release in hand: solves the linear system of the totals, with fractions.

Written without a line of the product's disclosure step: own reading, own equations, own elimination.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb

COUNTS = {
    "mart_enrolment": ["entrants", "graduates", "female", "fulltime_teachers"],
    "mart_teacher_quality": [
        "fulltime_teachers",
        "contract_teachers",
        "bachelor_teachers",
        "master_teachers",
        "education_unknown",
        "qualified_teachers",
        "above_required_teachers",
        "senior_title_teachers",
        "mid_senior_title_teachers",
        "backbone_teachers",
        "certified_teachers",
        "professional_teachers",
        "dual_qualified_teachers",
        "dual_qualified_professionals",
        "age_le29",
        "age_30_39",
        "age_40_49",
        "age_50_59",
        "age_ge60",
        "age_unknown",
    ],
}
AGES = [name for name in COUNTS["mart_teacher_quality"] if name.startswith("age_")]
# indicator, its part, the teacher column it sums, the stages it sums over
SUMS = [
    ("primary_pupil_teacher_ratio", "denominator", "fulltime_teachers", ["primary"]),
    ("junior_pupil_teacher_ratio", "denominator", "fulltime_teachers", ["junior"]),
    ("senior_pupil_teacher_ratio", "denominator", "fulltime_teachers", ["senior_general"]),
    ("pre_pupil_teacher_ratio", "denominator", "fulltime_teachers", ["preschool"]),
    ("pre_teacher_certified_share", "denominator", "fulltime_teachers", ["preschool"]),
    ("pre_teacher_certified_share", "numerator", "certified_teachers", ["preschool"]),
    ("teacher_bachelor_share", "denominator", "fulltime_teachers", ["primary", "junior"]),
    ("teacher_bachelor_share", "numerator", "bachelor_teachers", ["primary", "junior"]),
    (
        "fulltime_teachers",
        "numerator",
        "fulltime_teachers",
        ["preschool", "primary", "junior", "senior_general", "senior_vocational", "special"],
    ),
]
Cell = tuple[Any, ...]


class Attacker:
    """Everything published about cells, over all releases; a cell: (mart or indicator, column, area, period, stage)."""

    def __init__(self, releases: Iterable[Path]) -> None:
        self.known: dict[Cell, Fraction] = {}
        self.hidden: set[Cell] = set()
        self.members: dict[tuple[int, str], set[str]] = defaultdict(set)
        for marts in releases:
            with duckdb.connect(str(marts), read_only=True) as connection:
                self._read(connection)
        self.hidden -= set(self.known)

    def _read(self, connection: duckdb.DuckDBPyConnection) -> None:
        groups = dict(
            connection.execute("SELECT area_code, group_code FROM dim_area WHERE area_level = 'district'").fetchall()
        )
        for mart, columns in COUNTS.items():
            query = f"SELECT area_code, area_level, period, stage, suppressed, {', '.join(columns)} FROM {mart}"
            for area, level, period, stage, marks, *values in connection.execute(query).fetchall():
                self._belong(area, level, period, groups)
                for column, value in zip(columns, values, strict=True):
                    self._learn((mart, column, area, period, stage), value, column, marks)
        query = "SELECT indicator_id, area_code, period, suppressed, numerator, denominator FROM fct_indicator_value"
        for indicator, area, period, marks, *values in connection.execute(query).fetchall():
            for part, value in zip(("numerator", "denominator"), values, strict=True):
                self._learn((indicator, part, area, period, ""), value, part, marks)

    def _belong(self, area: str, level: str, period: int, groups: dict[str, str]) -> None:
        if level in ("district", "municipal"):
            self.members[(period, "500000")].add(area)
        if level == "district":
            self.members[(period, groups[area])].add(area)

    def _learn(self, cell: Cell, value: Any, column: str, marks: str | None) -> None:
        if column in (marks or "").split(","):
            self.hidden.add(cell)
            assert value is None, f"{cell} is marked and told"
        elif value is not None:
            self.known[cell] = Fraction(value)

    def equations(self) -> Iterable[list[tuple[Cell, int]]]:
        """Each as cells with coefficients that sum to nothing."""
        cells = [*self.known, *self.hidden]
        everything = set(cells)
        for kind, column, area, period, stage in cells:
            inside = self.members.get((period, area))
            if inside:
                yield self._sum(
                    (kind, column, area, period, stage), ((kind, column, a, period, stage) for a in inside), everything
                )
            if (kind, column) == ("mart_teacher_quality", "fulltime_teachers"):
                yield self._sum(
                    (kind, column, area, period, stage), ((kind, age, area, period, stage) for age in AGES), everything
                )
                yield [((kind, column, area, period, stage), 1), (("mart_enrolment", column, area, period, stage), -1)]
        for indicator, part, column, stages in SUMS:
            for kind, own, area, period, _ in cells:
                if (kind, own) == (indicator, part):
                    parts = [("mart_teacher_quality", column, area, period, stage) for stage in stages]
                    yield self._sum((indicator, part, area, period, ""), parts, everything)

    @staticmethod
    def _sum(whole: Cell, parts: Iterable[Cell], everything: set[Cell]) -> list[tuple[Cell, int]]:
        return [(whole, 1), *((part, -1) for part in parts if part in everything)]

    def exposed(self) -> set[Cell]:
        """Suppressed cells that follow from what is published."""
        rows = []
        for equation in self.equations():
            row: dict[Cell, Fraction] = {}
            for cell, factor in equation:
                if cell in self.hidden:
                    row[cell] = row.get(cell, Fraction(0)) + factor
            if row:
                rows.append(row)
        return {next(iter(row)) for row in _reduced(rows) if len(row) == 1}


def _reduced(rows: Sequence[dict[Cell, Fraction]]) -> list[dict[Cell, Fraction]]:
    """Gauss-Jordan on sparse rows."""
    pivots: dict[Cell, dict[Cell, Fraction]] = {}
    for equation in rows:
        row = dict(equation)
        for cell in [cell for cell in row if cell in pivots]:
            _subtract(row, pivots[cell], row.get(cell, Fraction(0)))
        if not row:
            continue
        pivot = min(row)
        scale = row[pivot]
        scaled = {cell: factor / scale for cell, factor in row.items()}
        for other in pivots.values():
            _subtract(other, scaled, other.get(pivot, Fraction(0)))
        pivots[pivot] = scaled
    return list(pivots.values())


def _subtract(row: dict[Cell, Fraction], other: dict[Cell, Fraction], factor: Fraction) -> None:
    if factor:
        for cell, value in other.items():
            left = row.get(cell, Fraction(0)) - factor * value
            if left:
                row[cell] = left
            else:
                row.pop(cell, None)
