"""An attacker with every published release in hand: reads every mart, solves the linear system of the totals.

Written without a line of the product's disclosure step: own reading, own equations, own elimination with fractions.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb

SEEDS = Path(__file__).parents[2] / "dbt_project" / "seeds"
COUNTS = {
    "mart_enrolment": ["enrolment", "entrants", "graduates", "female", "fulltime_teachers"],
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
SHARES = {
    "contract_share": ("contract_teachers", "fulltime_teachers"),
    "bachelor_share": ("bachelor_teachers", "fulltime_teachers"),
    "master_share": ("master_teachers", "fulltime_teachers"),
    "qualified_share": ("qualified_teachers", "fulltime_teachers"),
    "above_required_share": ("above_required_teachers", "fulltime_teachers"),
    "senior_title_share": ("senior_title_teachers", "fulltime_teachers"),
    "mid_senior_title_share": ("mid_senior_title_teachers", "fulltime_teachers"),
    "backbone_share": ("backbone_teachers", "fulltime_teachers"),
    "certified_share": ("certified_teachers", "fulltime_teachers"),
    "dual_qualified_share_professional": ("dual_qualified_professionals", "professional_teachers"),
    "dual_qualified_share_fulltime": ("dual_qualified_teachers", "fulltime_teachers"),
}
SCHOOL = ["preschool", "primary", "junior", "senior_general"]
ALL = [*SCHOOL, "senior_vocational", "special"]
TEACHERS, PUPILS, MONEY, BALANCE = (
    "mart_teacher_quality",
    "mart_enrolment",
    "mart_education_finance",
    "mart_compulsory_balance",
)
FACTS = "fct_indicator_value"
# indicator, its part, the mart and column it sums, the stages (or school kinds) it sums over
SUMS = [
    ("fulltime_teachers", "numerator", TEACHERS, "fulltime_teachers", ALL),
    ("primary_pupil_teacher_ratio", "denominator", TEACHERS, "fulltime_teachers", ["primary"]),
    ("junior_pupil_teacher_ratio", "denominator", TEACHERS, "fulltime_teachers", ["junior"]),
    ("senior_pupil_teacher_ratio", "denominator", TEACHERS, "fulltime_teachers", ["senior_general"]),
    ("pre_pupil_teacher_ratio", "denominator", TEACHERS, "fulltime_teachers", ["preschool"]),
    ("pre_teacher_certified_share", "denominator", TEACHERS, "fulltime_teachers", ["preschool"]),
    ("pre_teacher_certified_share", "numerator", TEACHERS, "certified_teachers", ["preschool"]),
    ("teacher_bachelor_share", "denominator", TEACHERS, "fulltime_teachers", ["primary", "junior"]),
    ("teacher_bachelor_share", "numerator", TEACHERS, "bachelor_teachers", ["primary", "junior"]),
    ("compulsory_backbone_share", "denominator", TEACHERS, "fulltime_teachers", ["primary", "junior"]),
    ("compulsory_backbone_share", "numerator", TEACHERS, "backbone_teachers", ["primary", "junior"]),
    ("mid_senior_title_share", "denominator", TEACHERS, "fulltime_teachers", SCHOOL),
    ("mid_senior_title_share", "numerator", TEACHERS, "mid_senior_title_teachers", SCHOOL),
    ("teacher_qualified_share", "denominator", TEACHERS, "fulltime_teachers", SCHOOL),
    ("teacher_qualified_share", "numerator", TEACHERS, "qualified_teachers", SCHOOL),
    ("teacher_certified_share", "denominator", TEACHERS, "fulltime_teachers", SCHOOL[1:]),
    ("teacher_certified_share", "numerator", TEACHERS, "certified_teachers", SCHOOL[1:]),
    ("vocational_dual_share_fulltime", "denominator", TEACHERS, "fulltime_teachers", ["senior_vocational"]),
    ("vocational_dual_share_fulltime", "numerator", TEACHERS, "dual_qualified_teachers", ["senior_vocational"]),
    ("vocational_dual_share_professional", "denominator", TEACHERS, "professional_teachers", ["senior_vocational"]),
    (
        "vocational_dual_share_professional",
        "numerator",
        TEACHERS,
        "dual_qualified_professionals",
        ["senior_vocational"],
    ),
    ("primary_enrolment", "numerator", PUPILS, "enrolment", ["primary"]),
    ("junior_enrolment", "numerator", PUPILS, "enrolment", ["junior"]),
    ("compulsory_enrolment", "numerator", PUPILS, "enrolment", ["primary", "junior"]),
    ("pre_enrolment", "numerator", PUPILS, "enrolment", ["preschool"]),
    ("senior_enrolment", "numerator", PUPILS, "enrolment", ["senior_general", "senior_vocational"]),
    ("education_spend_total", "numerator", MONEY, "spend_total", ["all"]),
    ("budget_spend_per_pupil_primary", "numerator", MONEY, "budget_spend", ["primary"]),
    ("budget_spend_per_pupil_junior", "numerator", MONEY, "budget_spend", ["junior"]),
]
BASE = {
    "spend_total_per_student": "spend_total",
    "spend_fiscal_per_student": "spend_fiscal",
    "budget_spend_per_student": "budget_spend",
    "budget_operating_per_student": "budget_operating_spend",
    "budget_public_funds_per_student": "budget_public_funds",
}
# (mart or indicator table, column, area, period, what else tells it apart)
Cell = tuple[Any, ...]


class Attacker:
    """Everything published about cells, over all releases. `told`: cells that were taken out in one place and stand in
    another of the same release."""

    def __init__(self, releases: Iterable[Path]) -> None:
        self.known: dict[Cell, Fraction] = {}
        self.hidden: set[Cell] = set()
        self.told: set[Cell] = set()
        self.members: dict[tuple[int, str], set[str]] = defaultdict(set)
        self._measures = {row["target_id"]: row["measure"] for row in _seed("standing_rule.csv")}
        for marts in releases:
            with duckdb.connect(str(marts), read_only=True) as connection:
                self._read(connection)
        self.told &= self.hidden
        self.hidden -= set(self.known)

    def _read(self, connection: duckdb.DuckDBPyConnection) -> None:
        groups = dict(
            connection.execute("SELECT area_code, group_code FROM dim_area WHERE area_level = 'district'").fetchall()
        )
        for mart, columns in COUNTS.items():
            for row in _rows(connection, mart):
                self._belong(row["area_code"], row["area_level"], row["period"], groups)
                for column in columns:
                    self._learn((mart, column, row["area_code"], row["period"], row["stage"]), row, column)
        self._read_ratios(connection)
        self._read_facts(connection)
        self._read_balance(connection)
        self._read_money(connection)
        self._read_copies(connection)

    def _belong(self, area: str, level: str, period: int, groups: dict[str, str]) -> None:
        if level in ("district", "municipal"):
            self.members[(period, "500000")].add(area)
        if level == "district":
            self.members[(period, groups[area])].add(area)

    def _learn(self, cell: Cell, row: dict[str, Any], column: str) -> None:
        if column in (row["suppressed"] or "").split(","):
            self.hidden.add(cell)
            assert row[column] is None, f"{cell} is marked and told"
        elif row[column] is not None:
            self.known[cell] = Fraction(row[column])

    def _read_ratios(self, connection: duckdb.DuckDBPyConnection) -> None:
        """A share beside one of its parts is the other part."""
        for row in _rows(connection, TEACHERS):
            for share, parts in SHARES.items():
                if row[share] is not None:
                    self.told |= {(TEACHERS, part, row["area_code"], row["period"], row["stage"]) for part in parts}
        for row in _rows(connection, PUPILS):
            if row["pupil_teacher_ratio"] is not None:
                place = (row["area_code"], row["period"], row["stage"])
                self.told |= {(PUPILS, "enrolment", *place), (PUPILS, "fulltime_teachers", *place)}

    def _read_facts(self, connection: duckdb.DuckDBPyConnection) -> None:
        for row in _rows(connection, FACTS):
            for part in ("numerator", "denominator"):
                cell = (FACTS, part, row["area_code"], row["period"], row["indicator_id"])
                self._learn(cell, row, part)
                if row["value"] is not None:
                    self.told.add(cell)

    def _read_balance(self, connection: duckdb.DuckDBPyConnection) -> None:
        for row in _rows(connection, BALANCE):
            if row["row_kind"] in ("school_item", "area_item"):
                place = (row["area_code"], row["period"], (row["stage"], row["item_no"], row["school_code"]))
                self._learn((BALANCE, "amount", *place), row, "amount")
                if row["value"] is not None:
                    self.told.add((BALANCE, "amount", *place))

    def _read_money(self, connection: duckdb.DuckDBPyConnection) -> None:
        for row in _rows(connection, MONEY):
            measure = BASE.get(row["measure"], row["measure"])
            self._learn((MONEY, measure, row["area_code"], row["period"], row["school_kind"]), row, "amount")
            for column, period in (("value", 0), ("previous_value", 1), ("growth_percent", 0), ("growth_percent", 1)):
                if row[column] is not None:
                    self.told.add((MONEY, measure, row["area_code"], row["period"] - period, row["school_kind"]))

    def _read_copies(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Marts that repeat figures: one that stands there is told."""
        for mart, year in (
            ("mart_preschool_inclusive", "period"),
            ("mart_plan_progress", "year"),
            ("mart_programme_targets", "year"),
        ):
            for row in _rows(connection, mart):
                cells = [(FACTS, part, row["area_code"], row[year], row["indicator_id"]) for part in PARTS]
                self.told |= {cell for cell, part in zip(cells, PARTS, strict=True) if row[part] is not None}
                self.told |= set(cells) if row["value"] is not None else set()
        for row in _rows(connection, "mart_standing_rules"):
            measure = self._measures.get(row["target_id"], "")
            for column, year in (("left_value", row["year"]), ("right_value", row["year"] - 1)):
                if row[column] is not None:
                    self.told.add((MONEY, BASE.get(measure, measure), row["area_code"], year, row["school_kind"]))
            if row["left_value"] is not None:
                self.told |= {(FACTS, part, row["area_code"], row["year"], measure) for part in PARTS}

    def equations(self) -> Iterable[list[tuple[Cell, int]]]:
        """Each as cells with coefficients that sum to nothing."""
        everything = {*self.known, *self.hidden}
        for kind, column, area, period, place in everything:
            inside = self.members.get((period, area))
            if inside and kind != BALANCE:
                parts = ((kind, column, a, period, place) for a in inside)
                yield self._sum((kind, column, area, period, place), parts, everything)
            if (kind, column) == (TEACHERS, "fulltime_teachers"):
                cell = (kind, column, area, period, place)
                yield self._sum(cell, ((kind, age, area, period, place) for age in AGES), everything)
                yield [(cell, 1), ((PUPILS, column, area, period, place), -1)]
            if (kind, column) == (MONEY, "budget_education_spend"):
                parts = ((kind, f"budget_{part}_spend", area, period, place) for part in ("operating", "construction"))
                yield self._sum((kind, column, area, period, place), parts, everything)
        yield from self._rollups(everything)
        yield from self._indicators(everything)

    def _rollups(self, everything: set[Cell]) -> Iterable[list[tuple[Cell, int]]]:
        """Schools of a district, kinds of schools of an area."""
        parts: dict[Cell, list[Cell]] = defaultdict(list)
        for kind, column, area, period, place in everything:
            if kind == BALANCE and place[2]:
                parts[(kind, column, area, period, (*place[:2], ""))].append((kind, column, area, period, place))
            if kind == MONEY and place != "all":
                parts[(kind, column, area, period, "all")].append((kind, column, area, period, place))
        for whole, found in parts.items():
            if whole in everything:
                yield self._sum(whole, found, everything)

    def _indicators(self, everything: set[Cell]) -> Iterable[list[tuple[Cell, int]]]:
        wanted: dict[tuple[str, str], list[tuple[str, str, list[str]]]] = defaultdict(list)
        for indicator, part, mart, column, stages in SUMS:
            wanted[(indicator, part)].append((mart, column, stages))
        for kind, part, area, period, indicator in everything:
            if kind == FACTS:
                for mart, column, stages in wanted[(indicator, part)]:
                    cells = [(mart, column, area, period, stage) for stage in stages]
                    yield self._sum((kind, part, area, period, indicator), cells, everything)

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
        rows.sort(key=lambda row: (len(row), sorted(map(repr, row))))
        return {next(iter(row)) for row in _reduced(rows) if len(row) == 1} | (self.told & self.hidden)


PARTS = ("numerator", "denominator")


def _seed(name: str) -> list[dict[str, str]]:
    with (SEEDS / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _rows(connection: duckdb.DuckDBPyConnection, mart: str) -> Iterable[dict[str, Any]]:
    cursor = connection.execute(f"SELECT * FROM {mart}")
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _reduced(rows: Sequence[dict[Cell, Fraction]]) -> list[dict[Cell, Fraction]]:
    """Gauss-Jordan on sparse rows."""
    pivots: dict[Cell, dict[Cell, Fraction]] = {}
    holders: dict[Cell, set[Cell]] = defaultdict(set)
    for equation in rows:
        row = dict(equation)
        for cell in [cell for cell in row if cell in pivots]:
            _subtract(row, pivots[cell], row.get(cell, Fraction(0)))
        if not row:
            continue
        pivot = min(row, key=lambda cell: (len(holders[cell]), repr(cell)))
        scale = row[pivot]
        scaled = {cell: factor / scale for cell, factor in row.items()}
        for other in list(holders[pivot]):
            before = set(pivots[other])
            _subtract(pivots[other], scaled, pivots[other].get(pivot, Fraction(0)))
            for cell in before ^ set(pivots[other]):
                (holders[cell].add if cell in pivots[other] else holders[cell].discard)(other)
        pivots[pivot] = scaled
        for cell in scaled:
            holders[cell].add(pivot)
    return list(pivots.values())


def _subtract(row: dict[Cell, Fraction], other: dict[Cell, Fraction], factor: Fraction) -> None:
    if factor:
        for cell, value in other.items():
            left = row.get(cell, Fraction(0)) - factor * value
            if left:
                row[cell] = left
            else:
                row.pop(cell, None)


def exposed_by(releases: Sequence[Path]) -> set[Cell]:
    """What somebody with every release (marts files, oldest first) can tell of cells that were taken out of one: by
    each alone, by all together, and because a later one shows what an earlier one kept back."""
    together = Attacker(releases)
    alone = [Attacker([path]) for path in releases]
    found = together.exposed()
    for number, one in enumerate(alone):
        before = set().union(*(earlier.known for earlier in alone[:number]))
        # What was published before it was taken out cannot be taken back.
        found |= one.exposed() - before
        found |= set().union(*(earlier.hidden for earlier in alone[:number])) & set(one.known)
    return found
