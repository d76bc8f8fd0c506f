"""What a change makes of the data version: removing is major, adding and changing minor, the rest a patch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from warehouse.changes import compare, next_version

FACT = "fct_indicator_value"


def marts(path: Path, *statements: str) -> Path:
    """A marts file with three figures, changed by `statements`."""
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE SCHEMA marts")
        connection.execute(
            f"CREATE TABLE marts.{FACT} AS SELECT 'pre_enrolment' AS indicator_id, '50010' || i AS area_code,"
            " 2023 AS period, 10.0 + i AS value, CAST(NULL AS VARCHAR) AS note FROM range(3) AS t(i)"
        )
        for statement in statements:
            connection.execute(statement.format(fact=f"marts.{FACT}"))
    return path


@pytest.mark.parametrize(
    ("statement", "version"),
    [
        ("SELECT 1", "1.4.8"),
        ("UPDATE {fact} SET value = 99 WHERE area_code = '500101'", "1.5.0"),
        ("UPDATE {fact} SET note = '更正' WHERE area_code = '500101'", "1.5.0"),
        ("UPDATE {fact} SET value = NULL WHERE area_code = '500101'", "1.5.0"),
        ("INSERT INTO {fact} VALUES ('pre_enrolment', '500109', 2023, 1, NULL)", "1.5.0"),
        ("ALTER TABLE {fact} ADD COLUMN more INT", "1.5.0"),
        ("CREATE TABLE marts.mart_new AS SELECT 1 AS a", "1.5.0"),
        ("DELETE FROM {fact} WHERE area_code = '500101'", "2.0.0"),
        ("ALTER TABLE {fact} DROP COLUMN note", "2.0.0"),
        ("ALTER TABLE {fact} ALTER value TYPE DECIMAL(18, 4)", "2.0.0"),
        ("DROP TABLE {fact}", "2.0.0"),
    ],
)
def test_the_version_says_what_a_reader_must_look_out_for(tmp_path: Path, statement: str, version: str) -> None:
    old, new = marts(tmp_path / "old.duckdb"), marts(tmp_path / "new.duckdb", statement)
    assert next_version("1.4.7", compare(old, new)) == version


def test_removing_outweighs_adding(tmp_path: Path) -> None:
    swapped = "UPDATE {fact} SET area_code = '500109' WHERE area_code = '500101'"
    changes = compare(marts(tmp_path / "old.duckdb"), marts(tmp_path / "new.duckdb", swapped))
    assert changes["counts"][FACT] == {"added": 1, "removed": 1, "changed": 0}
    assert next_version("1.4.7", changes) == "2.0.0"


def test_the_first_release_has_nothing_to_compare_with(tmp_path: Path) -> None:
    changes: dict[str, Any] = compare(None, marts(tmp_path / "new.duckdb"))
    assert changes["counts"][FACT]["added"] == 3
    assert next_version(None, changes) == "1.0.0"


def test_old_and_new_value_stand_beside_the_key(tmp_path: Path) -> None:
    edited = "UPDATE {fact} SET value = 99 WHERE area_code = '500101'"
    [change] = compare(marts(tmp_path / "old.duckdb"), marts(tmp_path / "new.duckdb", edited))["tables"][FACT][
        "changed"
    ]
    key = {"indicator_id": "pre_enrolment", "area_code": "500101", "period": 2023}
    assert (change["key"], change["column"], change["old"], change["new"]) == (key, "value", 11.0, 99.0)
