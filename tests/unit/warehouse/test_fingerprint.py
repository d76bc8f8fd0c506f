from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.candidate_kit import fill_marts
from warehouse.duck import connect
from warehouse.errors import Fault
from warehouse.fingerprint import fingerprint


def _database(path: Path, *statements: str) -> str:
    path.unlink(missing_ok=True)
    with connect(path) as connection:
        connection.execute("CREATE SCHEMA marts")
        for statement in statements:
            connection.execute(statement)
    return fingerprint(path)


def test_row_order_does_not_matter(tmp_path: Path) -> None:
    fill_marts(tmp_path / "a.duckdb", 1.5)
    fill_marts(tmp_path / "b.duckdb", 1.5, reverse=True)
    fill_marts(tmp_path / "c.duckdb", 1.25)
    assert fingerprint(tmp_path / "a.duckdb") == fingerprint(tmp_path / "b.duckdb")
    assert fingerprint(tmp_path / "a.duckdb") != fingerprint(tmp_path / "c.duckdb")


@pytest.mark.parametrize(
    "other",
    [
        "CREATE TABLE marts.t AS SELECT 'ab' AS a, 'c' AS b",
        "CREATE TABLE marts.t AS SELECT 'a' AS a, NULL::VARCHAR AS b",
        "CREATE TABLE marts.t AS SELECT 'a' AS a, '~' AS b",
        "CREATE TABLE marts.t AS SELECT 'a' AS a, '' AS b",
        "CREATE TABLE marts.t AS SELECT 'a' AS a, 'bc' AS c",
        "CREATE TABLE marts.u AS SELECT 'a' AS a, 'bc' AS b",
        "CREATE TABLE marts.t AS SELECT 'a' AS a, 'bc' AS b UNION ALL SELECT 'a', 'bc'",
        "CREATE TABLE marts.t AS SELECT 'a' AS a, 'bc' AS b LIMIT 0",
    ],
)
def test_any_other_content_differs(tmp_path: Path, other: str) -> None:
    plain = _database(tmp_path / "a.duckdb", "CREATE TABLE marts.t AS SELECT 'a' AS a, 'bc' AS b")
    assert _database(tmp_path / "b.duckdb", other) != plain


def test_a_type_is_content(tmp_path: Path) -> None:
    narrow = _database(tmp_path / "a.duckdb", "CREATE TABLE marts.t AS SELECT 1::INTEGER AS a")
    assert _database(tmp_path / "b.duckdb", "CREATE TABLE marts.t AS SELECT 1::BIGINT AS a") != narrow


def test_other_schemas_do_not_count(tmp_path: Path) -> None:
    table = "CREATE TABLE marts.t AS SELECT 1 AS a"
    plain = _database(tmp_path / "a.duckdb", table)
    assert _database(tmp_path / "b.duckdb", table, "CREATE SCHEMA audit", "CREATE TABLE audit.t AS SELECT 2") == plain


def test_nothing_has_no_fingerprint(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="没有任何表"):
        _database(tmp_path / "a.duckdb")


def test_a_view_in_the_marts_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="视图"):
        _database(tmp_path / "a.duckdb", "CREATE VIEW marts.v AS SELECT 1 AS a")


def test_a_missing_or_damaged_file_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="打不开"):
        fingerprint(tmp_path / "none.duckdb")
    (tmp_path / "bad.duckdb").write_bytes(b"not a database" * 500)
    with pytest.raises(Fault, match="打不开"):
        fingerprint(tmp_path / "bad.duckdb")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.one_of(st.none(), st.text(max_size=4)), st.floats(allow_nan=False)), min_size=1, max_size=6),
    st.randoms(use_true_random=False),
)
def test_shuffled_rows_say_the_same(tmp_path: Path, rows: list[tuple[str | None, float]], random: object) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    found = []
    for name, content in (("a", rows), ("b", shuffled), ("c", [*rows, rows[0]])):
        path = tmp_path / f"{name}.duckdb"
        path.unlink(missing_ok=True)
        with connect(path) as connection:
            connection.execute("CREATE SCHEMA marts")
            connection.execute("CREATE TABLE marts.t (a VARCHAR, b DOUBLE)")
            connection.executemany("INSERT INTO marts.t VALUES (?, ?)", content)
        found.append(fingerprint(path))
    assert found[0] == found[1] != found[2]
