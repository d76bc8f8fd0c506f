"""The disclosure step on small marts: what is taken out, what stays, and two releases subtracted from each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from warehouse.disclosure import Policy, policy, protect
from warehouse.errors import Refused
from warehouse.paths import project_root

POLICY = Policy.model_validate(
    {
        "k": 5,
        "small_group": 10,
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


def test_the_rules_and_the_policy_speak_of_the_same_k() -> None:
    folder = project_root() / "expectations" / "rules"
    stated = [
        rule["parameters"]["k"]
        for path in sorted(folder.glob("*.yaml"))
        for rule in yaml.safe_load(path.read_text(encoding="utf-8"))["rules"]
        if rule["id"].endswith(".no_small_cells")
    ]
    assert stated == [policy().k] * 3
