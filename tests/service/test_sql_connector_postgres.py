from __future__ import annotations

from pathlib import Path

import pytest

from sources.connectors import sql
from tests.support.finance_table import line, run, write
from warehouse.paths import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").ensure()


def test_postgresql_gives_the_same_bytes_as_sqlite(home: Home, postgres_url: str, tmp_path: Path) -> None:
    units = ["a", "B", "é", "中", "Z", "_"]
    lines = [line("500103", 2023, unit, n) for n in (2, 1) for unit in units]
    lite = f"sqlite:///{tmp_path}/finance.db"
    write(postgres_url, [dict(item) for item in lines])
    write(lite, [dict(item) for item in reversed(lines)])
    [[_, from_postgres]] = sql.fetch(home, postgres_url, sql.list_arrivals(postgres_url, set()))
    [[_, from_lite]] = sql.fetch(home, lite, sql.list_arrivals(lite, set()))
    assert from_postgres.path.read_bytes() == from_lite.path.read_bytes()
    assert from_postgres.path.read_bytes().count(b"\n") == len(lines) + 1


def test_only_a_changed_group_is_fetched_again(home: Home, postgres_url: str) -> None:
    write(postgres_url, [line(area, 2023, "A", n) for area in ("500103", "500105") for n in (1, 2)])
    arrivals = sql.list_arrivals(postgres_url, set())
    assert len(list(sql.fetch(home, postgres_url, arrivals))) == 2
    seen = {(arrival.source, arrival.version) for arrival in arrivals}
    assert sql.list_arrivals(postgres_url, seen) == []
    run(postgres_url, "UPDATE education_finance_line SET updated_at = now() WHERE 地区代码 = '500105'")
    assert [arrival.group for arrival in sql.list_arrivals(postgres_url, seen)] == [("500105", 2023)]
