"""The disclosure step on small marts: what is taken out, what stays, and two releases subtracted from each other."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from warehouse.disclosure import protect
from warehouse.disclosure_policy import FACTS, Policy, policy
from warehouse.errors import Fault, Refused
from warehouse.paths import project_root

POLICY = Policy.model_validate(
    {
        "k": 5,
        "small_group": 10,
        "dominance_percent": 10,
        "symbol": "＊",
        "tables": [
            {
                "name": "mart_enrolment",
                "key": ["area_code", "period", "stage"],
                "counts": ["entrants", "female"],
                "wholes": {"female": "enrolment"},
                "complements": ["female"],
                "derived": {"ratio": ["entrants"]},
            }
        ],
    }
)
AREAS = [("A", "district"), ("B", "district"), ("C", "district"), ("D", "district"), ("M", "municipal")]
MEMBERS = {"X": "ABCDM", "G1": "AB", "G2": "CD"}


def marts(path: Path, entrants: dict[str, int], female: dict[str, int] | None = None) -> Path:
    """A build's database: five areas, two groups (G1 = A + B, G2 = C + D), the city X."""
    girls = female or dict.fromkeys("ABCDM", 50)
    levels = [*AREAS, ("G1", "group"), ("G2", "group"), ("X", "city")]
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE SCHEMA marts; CREATE SCHEMA intermediate")
        connection.execute(
            "CREATE TABLE marts.mart_enrolment (area_code VARCHAR, area_level VARCHAR, period INT, stage VARCHAR,"
            " enrolment BIGINT, entrants BIGINT, female BIGINT, ratio DOUBLE, suppressed VARCHAR)"
        )
        connection.execute(
            "CREATE TABLE marts.fct_indicator_value (indicator_id VARCHAR, area_code VARCHAR, area_level VARCHAR,"
            " period INT, method VARCHAR, value DOUBLE, numerator DOUBLE, denominator DOUBLE, suppressed VARCHAR)"
        )
        connection.execute(
            "CREATE TABLE intermediate.int_area_member (period INT, area_code VARCHAR, area_level VARCHAR,"
            " part_area_code VARCHAR)"
        )
        for area, level in levels:
            parts = MEMBERS.get(area, area)
            values = [sum(100 for _ in parts), sum(entrants[p] for p in parts), sum(girls[p] for p in parts)]
            connection.execute(
                "INSERT INTO marts.mart_enrolment VALUES (?, ?, 2024, 'special', ?, ?, ?, 1.0, NULL)",
                [area, level, *values],
            )
            connection.executemany(
                "INSERT INTO intermediate.int_area_member VALUES (2024, ?, ?, ?)", [(area, level, p) for p in parts]
            )
    return path


def found(path: Path) -> dict[str, tuple[Any, ...]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        query = "SELECT area_code, entrants, female, ratio, suppressed FROM marts.mart_enrolment ORDER BY 1"
        return {row[0]: row[1:] for row in connection.execute(query).fetchall()}


def test_a_small_cell_goes_with_one_neighbour_and_what_gives_it_away(tmp_path: Path) -> None:
    path = marts(tmp_path / "a.duckdb", {"A": 3, "B": 20, "C": 30, "D": 40, "M": 16})
    outcome = protect(path, None, rules=POLICY)
    assert (outcome.primary, outcome.complementary) == (1, 1)
    after = found(path)
    assert after["A"] == (None, 50, None, "entrants,ratio")
    assert after["B"] == (None, 50, None, "entrants,ratio")
    assert after["C"] == (30, 50, 1.0, None)
    assert after["G1"][0] == 23
    assert after["X"][0] == 109


def test_until_the_first_cell_goes_the_file_is_what_it_was(tmp_path: Path) -> None:
    path = marts(tmp_path / "a.duckdb", {"A": 3, "B": 20, "C": 30, "D": 40, "M": 16})
    before, seen = path.read_bytes(), []
    protect(path, None, rules=POLICY, before_writing=lambda: seen.append(path.read_bytes()))
    assert seen == [before]
    assert found(path)["A"][0] is None


def test_zero_is_published_and_four_is_not(tmp_path: Path) -> None:
    path = marts(tmp_path / "a.duckdb", {"A": 0, "B": 5, "C": 30, "D": 40, "M": 16})
    assert protect(path, None, rules=POLICY).primary == 0
    assert found(path)["A"][0] == 0


def test_a_few_boys_among_many_girls_are_as_small_as_a_few_girls(tmp_path: Path) -> None:
    numbers = dict.fromkeys("ABCDM", 20)
    path = marts(tmp_path / "a.duckdb", numbers, {"A": 98, "B": 50, "C": 50, "D": 50, "M": 50})
    assert protect(path, None, rules=POLICY).primary == 1
    assert found(path)["A"][1] is None


def test_what_was_suppressed_stays_so_and_what_was_published_hides_nothing(tmp_path: Path) -> None:
    first = marts(tmp_path / "first.duckdb", {"A": 3, "B": 20, "C": 30, "D": 40, "M": 16})
    protect(first, None, rules=POLICY)
    # A correction: A has 30 now. Published, it and the old total of the group would give the 20 of B, and so the 3.
    second = marts(tmp_path / "second.duckdb", {"A": 30, "B": 20, "C": 30, "D": 40, "M": 16})
    protect(second, first, rules=POLICY)
    after = found(second)
    assert after["A"][0] is None
    assert after["B"][0] is None
    # C was published with 30 and is still 30: it is no use as a complement.
    assert after["C"][0] == 30


def test_a_release_of_older_columns_says_what_it_can(tmp_path: Path) -> None:
    """It had no marks and no girls: its entrants are known all the same, and nothing counts as kept back."""
    first = marts(tmp_path / "first.duckdb", {"A": 30, "B": 20, "C": 30, "D": 40, "M": 16})
    with duckdb.connect(str(first)) as connection:
        connection.execute("ALTER TABLE marts.mart_enrolment DROP COLUMN suppressed")
        connection.execute("ALTER TABLE marts.mart_enrolment DROP COLUMN female")
        connection.execute("DROP TABLE marts.fct_indicator_value")
    second = marts(tmp_path / "second.duckdb", {"A": 3, "B": 20, "C": 30, "D": 41, "M": 16})
    outcome = protect(second, first, rules=POLICY)
    assert outcome.primary == 1
    after = found(second)
    assert after["B"][0] == 20, "readers know it, so it hides nothing"
    assert after["G1"][0] is None
    assert all(row[1] == 50 for name, row in after.items() if name in "ABCDM")


def test_the_same_input_twice_gives_the_same_marts(tmp_path: Path) -> None:
    numbers = {"A": 3, "B": 20, "C": 2, "D": 40, "M": 4}
    one, two = (marts(tmp_path / f"{name}.duckdb", numbers) for name in ("one", "two"))
    protect(one, None, rules=POLICY)
    protect(two, None, rules=POLICY)
    assert found(one) == found(two)


def test_a_cell_that_nothing_may_hide_refuses_the_build(tmp_path: Path) -> None:
    first = marts(tmp_path / "first.duckdb", {"A": 10, "B": 20, "C": 30, "D": 40, "M": 16})
    protect(first, None, rules=POLICY)
    # Everything but A and its totals was published as it is, so A follows from the group: nothing is left to hide it.
    second = marts(tmp_path / "second.duckdb", {"A": 10, "B": 20, "C": 30, "D": 40, "M": 16})
    with duckdb.connect(str(second)) as connection:
        connection.execute("UPDATE marts.mart_enrolment SET entrants = 3 WHERE area_code = 'A'")
        connection.execute("DELETE FROM marts.mart_enrolment WHERE area_level = 'city'")
        connection.execute("UPDATE marts.mart_enrolment SET entrants = 30 WHERE area_code = 'G1'")
    with pytest.raises(Refused, match="仍可由公布的合计推算"):
        protect(second, first, rules=POLICY)


def test_the_rules_and_the_policy_speak_of_the_same_limits() -> None:
    folder = project_root() / "expectations" / "rules"
    rules = {
        rule["id"]: rule
        for path in sorted(folder.glob("*.yaml"))
        for rule in yaml.safe_load(path.read_text(encoding="utf-8"))["rules"]
    }
    stated = [rule["parameters"]["k"] for name, rule in rules.items() if name.endswith(".no_small_cells")]
    assert stated == [policy().k] * 4
    assert rules["finance_mart.no_dominated_cells"]["parameters"]["least"] == policy().dominance_percent


# -- one school's money, teachers of one school, and marts that repeat a cell -----------------------------------------

WIDE = Policy.model_validate(
    {
        "k": 5,
        "small_group": 10,
        "dominance_percent": 10,
        "symbol": "＊",
        "tables": [
            {
                "name": "mart_money",
                "key": ["area_code", "period", "school_kind", "measure"],
                "where": "measure <> 'students'",
                "counts": ["amount"],
                "rollup": {"column": "school_kind", "whole": "all"},
                "alias": {"column": "measure", "same": {"per_student": "spend"}},
                "money": {
                    "relation": "intermediate.units",
                    "kind": "school_kind",
                    "measure": "measure",
                    "columns": {"spend": "spend"},
                },
                "derived": {"growth": ["amount"]},
                "carried": [{"column": "amount", "into": ["previous", "growth"]}],
            },
            {
                "name": "mart_balance",
                "key": ["area_code", "period", "school_code"],
                "counts": ["amount"],
                "additive": False,
                "rollup": {"column": "school_code", "whole": ""},
                "spread": {"column": "cv", "weight": "pupils", "limit": "cv_limit", "decimals": 2, "note": "两位小数"},
            },
        ],
        "copies": [
            {
                "table": "mart_rule",
                "key": ["area_code", "year"],
                "of": "mart_money",
                "at": ["area_code", "year - 1", "'special'", "'per_student'"],
                "columns": {"right_value": ["amount"]},
            }
        ],
    }
)
# District -> kind -> amounts of its units; the same in both years.
UNITS = {
    "A": {"special": [900], "junior": [50, 60, 70, 80], "primary": [300, 310, 320, 330]},
    "B": {"special": [400, 500], "junior": [51, 61, 71, 81], "primary": [301, 311, 321, 331]},
    "C": {"special": [310, 320, 330], "junior": [52, 62, 72, 82], "primary": [302, 312, 322, 332]},
}


def wide(path: Path, schools: dict[str, tuple[int, int]]) -> Path:
    """Three districts' money in two years, and the teachers and pupils of one district's schools."""
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE SCHEMA marts; CREATE SCHEMA intermediate")
        connection.execute(
            "CREATE TABLE intermediate.int_area_member AS SELECT * FROM (VALUES ('A', 'district', 'A'),"
            " ('B', 'district', 'B'), ('C', 'district', 'C'), ('X', 'city', 'A'), ('X', 'city', 'B'),"
            " ('X', 'city', 'C')) AS t(area_code, area_level, part_area_code)"
            " CROSS JOIN (SELECT unnest([2023, 2024]) AS period)"
        )
        connection.execute(
            "CREATE TABLE intermediate.units (area_code VARCHAR, period INT, school_kind VARCHAR, spend DECIMAL(18, 2))"
        )
        rows = [
            (area, period, kind, amount)
            for area, kinds in UNITS.items()
            for kind, amounts in kinds.items()
            for amount in amounts
            for period in (2023, 2024)
        ]
        connection.executemany("INSERT INTO intermediate.units VALUES (?, ?, ?, ?)", rows)
        connection.execute(
            "CREATE TABLE marts.mart_money AS WITH u AS (FROM intermediate.units UNION ALL BY NAME"
            " SELECT * REPLACE ('all' AS school_kind) FROM intermediate.units), s AS (SELECT m.area_code, m.area_level,"
            " m.period, school_kind, sum(spend) AS amount FROM u INNER JOIN intermediate.int_area_member AS m"
            " ON m.period = u.period AND m.part_area_code = u.area_code GROUP BY ALL)"
            " SELECT s.*, measure, p.amount AS previous, 0.0 AS growth, CAST(NULL AS VARCHAR) AS suppressed FROM s"
            " LEFT JOIN s AS p ON (p.area_code, p.school_kind, p.period + 1) = (s.area_code, s.school_kind, s.period)"
            " CROSS JOIN (SELECT unnest(['spend', 'per_student', 'students']) AS measure)"
        )
        connection.execute(
            "CREATE TABLE marts.mart_rule AS SELECT area_code, 2024 AS year, amount AS right_value,"
            " CAST(NULL AS VARCHAR) AS suppressed FROM marts.mart_money"
            " WHERE period = 2023 AND measure = 'spend' AND school_kind = 'special'"
        )
        _balance(connection, schools)
        connection.execute(
            "CREATE TABLE marts.fct_indicator_value (indicator_id VARCHAR, area_code VARCHAR, area_level VARCHAR,"
            " period INT, method VARCHAR, value DOUBLE, numerator DOUBLE, denominator DOUBLE, suppressed VARCHAR)"
        )
    return path


def _balance(connection: duckdb.DuckDBPyConnection, schools: dict[str, tuple[int, int]]) -> None:
    connection.execute(
        "CREATE TABLE marts.mart_balance (area_code VARCHAR, area_level VARCHAR, period INT, school_code VARCHAR,"
        " amount DECIMAL(28, 10), pupils BIGINT, cv DOUBLE, cv_limit DOUBLE, note VARCHAR, suppressed VARCHAR)"
    )
    rows = [(code, amount, pupils, None) for code, (amount, pupils) in schools.items()]
    total, weight = sum(a for a, _ in schools.values()), sum(p for _, p in schools.values())
    connection.executemany(
        "INSERT INTO marts.mart_balance VALUES ('A', 'district', 2024, ?, ?, ?, ?, 0.5, NULL, NULL)",
        [*rows, ("", total, weight, spread_of(schools.values()))],
    )


def spread_of(schools: Iterable[tuple[int, int]]) -> float:
    """The coefficient of variation weighted by pupils, from its definition."""
    found = list(schools)
    mean = sum(amount for amount, _ in found) / sum(pupils for _, pupils in found)
    squares = sum(pupils * (amount / pupils / mean - 1) ** 2 for amount, pupils in found)
    return math.sqrt(squares / sum(pupils for _, pupils in found))


FEW = {"s1": (3, 400), "s2": (4, 420), "s3": (2, 380), "s4": (40, 900), "s5": (55, 1000), "s6": (31, 800)}


def query(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_one_or_two_schools_money_goes_with_a_neighbour_and_three_alike_stay(tmp_path: Path) -> None:
    path = wide(tmp_path / "a.duckdb", FEW)
    protect(path, None, rules=WIDE)
    told = (
        "SELECT area_code, amount FROM marts.mart_money"
        " WHERE measure = 'spend' AND period = 2024 AND school_kind = '{}'"
    )
    special = dict(query(path, told.format("special")))
    assert special["A"] is special["B"] is None
    assert special["C"] == 960
    assert special["X"] == 2760
    # The district's total would give it away, so one more kind goes, the cheapest that hides enough.
    assert dict(query(path, told.format("junior")))["A"] is None
    assert dict(query(path, told.format("primary")))["A"] == 1260
    assert dict(query(path, told.format("all")))["A"] == 2420


def test_money_that_is_out_is_out_per_student_next_year_and_in_the_rules(tmp_path: Path) -> None:
    path = wide(tmp_path / "a.duckdb", FEW)
    protect(path, None, rules=WIDE)
    rows = query(
        path,
        "SELECT measure, period, amount, previous, growth FROM marts.mart_money"
        " WHERE area_code = 'A' AND school_kind = 'special' ORDER BY ALL",
    )
    assert {row[0]: row[2] for row in rows if row[0] != "students"} == {"per_student": None, "spend": None}
    assert all(row[3] is None and row[4] is None for row in rows if row[0] != "students")
    assert dict(query(path, "SELECT area_code, right_value FROM marts.mart_rule")) == {
        "A": None,
        "B": None,
        "C": 960,
        "X": 2760,
    }


def test_teachers_of_a_small_school_cannot_be_found_from_total_and_spread(tmp_path: Path) -> None:
    """Every way to fill the cells that were taken out is tried; each of them has at least two values that fit."""
    path = wide(tmp_path / "a.duckdb", FEW)
    protect(path, None, rules=WIDE)
    shown = {
        code: (amount, cv) for code, amount, cv in query(path, "SELECT school_code, amount, cv FROM marts.mart_balance")
    }
    gone = [code for code in FEW if shown[code][0] is None]
    assert set(gone) >= {"s1", "s2", "s3"}
    total, cv = shown[""]
    assert total == sum(amount for amount, _ in FEW.values())
    left = int(total) - sum(amount for code, (amount, _) in FEW.items() if code not in gone)
    fitting = [
        guess
        for guess in product(range(left + 1), repeat=len(gone))
        if sum(guess) == left and (cv is None or round(spread_of(_with(dict(zip(gone, guess, strict=True)))), 2) == cv)
    ]
    for place, code in enumerate(gone):
        assert len({guess[place] for guess in fitting}) > 1, code


def _with(guess: dict[str, int]) -> list[tuple[int, int]]:
    return [(guess.get(code, amount), pupils) for code, (amount, pupils) in FEW.items()]


def test_a_spread_that_would_tell_a_school_goes_too(tmp_path: Path) -> None:
    """Two schools and little else: few decimals do not help."""
    path = wide(tmp_path / "a.duckdb", {"s1": (1, 50), "s2": (6, 400)})
    protect(path, None, rules=WIDE)
    [(cv, marks)] = query(path, "SELECT cv, suppressed FROM marts.mart_balance WHERE school_code = ''")
    assert cv is None
    assert marks is not None
    assert "cv" in marks.split(",")


def test_an_area_that_nothing_relates_to_the_others_is_a_fault(tmp_path: Path) -> None:
    """A zone inside a district, reported beside it, would let the two be subtracted."""
    path = marts(tmp_path / "a.duckdb", {"A": 10, "B": 20, "C": 30, "D": 40, "M": 16})
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "INSERT INTO marts.mart_enrolment VALUES ('A1', 'functional', 2024, 'special', 100, 7, 50, 1.0, NULL)"
        )
    with pytest.raises(Fault, match="不知道它与其他区域怎样加总"):
        protect(path, None, rules=POLICY)


def _shipped_marts() -> dict[str, str]:
    """Model -> its YAML, of every mart."""
    pages = (project_root() / "dbt_project" / "models" / "marts").glob("_marts*.yml")
    blocks = "\n".join(path.read_text(encoding="utf-8") for path in sorted(pages)).split("\n  - name: ")
    return {block.split("\n", 1)[0]: block for block in blocks[1:]}


def test_no_mart_with_figures_stands_outside_the_policy() -> None:
    """Whoever adds a mart that repeats figures must say whose cells they are, or a hidden cell stands there in full."""
    book = policy()
    known = {FACTS, *(table.name for table in book.tables), *(copy.table for copy in book.copies)}
    figures = {
        name
        for name, block in _shipped_marts().items()
        if any(f"- name: {column}\n" in block for column in ("value", "numerator", "amount", "left_value"))
    }
    assert figures <= known


def test_every_column_the_policy_names_stands_in_the_shipped_marts() -> None:
    """A renamed column must not slip out of the policy: every mart that counts or repeats has the marks' column."""
    book = policy()
    models = _shipped_marts()
    for name in {*(table.name for table in book.tables), *(copy.table for copy in book.copies)}:
        assert "- name: suppressed" in models[name], name
    for table in book.tables:
        for column in (*table.key, *table.counts, *table.derived):
            assert f"- name: {column}\n" in models[table.name], (table.name, column)
    for copy in book.copies:
        for column in (*copy.key, *copy.columns):
            assert f"- name: {column}\n" in models[copy.table], (copy.table, column)
