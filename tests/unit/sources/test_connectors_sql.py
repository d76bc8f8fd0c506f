from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from sources.connectors import sql
from tests.support.finance_table import line, run, write
from warehouse.errors import Fault
from warehouse.paths import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").ensure()


@pytest.fixture
def url(tmp_path: Path) -> str:
    address = f"sqlite:///{tmp_path}/finance.db"
    write(address, [line(area, year, unit, n) for n in (2, 1) for unit in "BA"
                    for area in ("500105", "500103") for year in (2023, 2022)])  # fmt: skip
    return address


def test_each_group_is_one_canonical_snapshot(home: Home, url: str) -> None:
    arrivals = sql.list_arrivals(url, set())
    assert [arrival.group for arrival in arrivals] == [
        ("500103", 2022), ("500103", 2023), ("500105", 2022), ("500105", 2023),
    ]  # fmt: skip
    found = list(sql.fetch(home, url, arrivals))
    assert [arrival for arrival, _ in found] == arrivals
    lines = found[0][1].path.read_text("utf-8").split("\n")
    assert lines[0] == ",".join(sql.COLUMNS)
    assert [text.split(",")[1] for text in lines[1:5]] == ["A", "A", "B", "B"]
    assert lines[1] == ('2022,A,单位A,3150000001,500103,61,jz_3,1,"合计, ""其中""",12.50,,,,,,,,2024-11-01 08:00:00')
    assert lines[5:] == [""]


def test_the_order_of_rows_in_the_database_does_not_matter(home: Home, url: str, tmp_path: Path) -> None:
    other = f"sqlite:///{tmp_path}/other.db"
    write(other, [line("500103", 2022, unit, n) for unit in "AB" for n in (1, 2)])
    [[_, mine]] = sql.fetch(home, url, sql.list_arrivals(url, set())[:1])
    [[_, theirs]] = sql.fetch(home, other, sql.list_arrivals(other, set()))
    assert mine.sha256 == theirs.sha256


@pytest.mark.parametrize("batch", [1, 3, 4, 7])
def test_where_a_batch_ends_does_not_matter(home: Home, url: str, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of a group, of a part of one, and of several."""
    arrivals = sql.list_arrivals(url, set())
    whole = [snapshot.sha256 for _, snapshot in sql.fetch(home, url, arrivals, workers=1)]
    monkeypatch.setattr(sql, "_BATCH", batch)
    assert [snapshot.sha256 for _, snapshot in sql.fetch(home, url, arrivals, workers=1)] == whole
    assert len(set(whole)) == 4


def test_a_file_that_stayed_as_it_was_is_not_asked_again(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, memory = tmp_path / "finance.db", tmp_path / "looks" / "finance.json"

    def still(seconds_ago: float) -> None:
        moment = time.time() - seconds_ago
        os.utime(file, (moment, moment))

    # Written a moment ago it may be written again within the same tick of the file system's clock.
    sql.list_arrivals(url, set(), memory=memory)
    assert not memory.exists()
    still(60)
    found = sql.list_arrivals(url, set(), memory=memory)
    asked = sql._asked
    monkeypatch.setattr(sql, "_asked", lambda _: pytest.fail("nothing has changed"))
    assert sql.list_arrivals(url, set(), memory=memory) == found
    monkeypatch.setattr(sql, "_asked", asked)
    # A full comparison asks all the same, and so does whoever finds the memory damaged.
    assert len(sql.list_arrivals(url, {(a.source, a.version) for a in found}, compare=True, memory=memory)) == 4
    memory.write_text("[]", encoding="utf-8")
    assert sql.list_arrivals(url, set(), memory=memory) == found
    run(url, "UPDATE education_finance_line SET 金额1 = '99' WHERE 地区代码 = '500103' AND 年度 = 2023")
    still(30)
    changed = sql.list_arrivals(url, {(a.source, a.version) for a in found}, memory=memory)
    assert [arrival.group for arrival in changed] == [("500103", 2023)]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE education_finance_line SET updated_at = '2025-01-01' WHERE 地区代码 = '500103' AND 年度 = 2023",
        "DELETE FROM education_finance_line WHERE 地区代码 = '500103' AND 年度 = 2023 AND 行次 = 2",
        "UPDATE education_finance_line SET 金额1 = '99' WHERE 地区代码 = '500103' AND 年度 = 2023",
    ],
)
def test_only_a_changed_group_is_fetched_again(home: Home, url: str, change: str) -> None:
    seen = {(arrival.source, arrival.version) for arrival in sql.list_arrivals(url, set())}
    assert sql.list_arrivals(url, seen) == []
    run(url, change)
    changed = sql.list_arrivals(url, seen)
    assert [arrival.group for arrival in changed] == [("500103", 2023)]
    assert len(list(sql.fetch(home, url, changed))) == 1


def test_the_source_is_never_written(url: str, tmp_path: Path, home: Home) -> None:
    database = tmp_path / "finance.db"
    before = database.read_bytes()
    list(sql.fetch(home, url, sql.list_arrivals(url, set())))
    assert database.read_bytes() == before


def test_rows_without_area_are_told_and_not_lost_in_silence(url: str, home: Home) -> None:
    run(url, "UPDATE education_finance_line SET 地区代码 = NULL WHERE 单位代码 = 'A' AND 年度 = 2022")
    arrivals = sql.list_arrivals(url, set())
    assert ["没有地区代码" in arrival.problem for arrival in arrivals] == [False] * 4 + [True]
    assert "4 行" in arrivals[-1].problem
    assert len(list(sql.fetch(home, url, arrivals))) == 4


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("ALTER TABLE education_finance_line DROP COLUMN 行次", "缺少列：行次"),
        ("DROP TABLE education_finance_line", "没有表"),
    ],
)
def test_a_missing_table_or_column_is_named(url: str, statement: str, message: str) -> None:
    run(url, statement)
    with pytest.raises(Fault, match=message):
        sql.list_arrivals(url, set())


def test_an_absent_file_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="不存在"):
        sql.list_arrivals(f"sqlite:///{tmp_path}/none.db", set())
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize("address", ["postgresql://amt:geheim@127.0.0.1:1/db", "nonsense geheim", "odd://a:geheim@h/d"])
def test_no_message_holds_the_password(address: str) -> None:
    with pytest.raises(Fault) as caught:
        sql.list_arrivals(address, set())
    assert "geheim" not in f"{caught.value} {caught.value.__cause__}"
