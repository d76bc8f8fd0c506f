"""Reading archived originals again: by year and district, without touching what is whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from sources import intake, rereading
from sources.rereading import selection
from tests.support import desk as desks
from tests.support.desk import Desk
from warehouse.ledger import Ledger
from warehouse.paths import Home
from warehouse.records import DeliveryRow

FEED = "teacher_register"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    home = Home(tmp_path / "home").ensure()
    found = Desk(home, Ledger(home.ledger_url))
    found.put(FEED, "2023.csv", desks.teachers())
    found.put(FEED, "2024.csv", desks.teachers(everywhere={"统计年度": "2024"}), at=1)
    found.take_in()
    assert sorted(row.period for row in found.ledger.deliveries()) == [2023, 2024]
    return found


def table_of(desk: Desk, row: DeliveryRow) -> Path:
    (path,) = row.tables.values()
    return desk.home.root / path


def of(desk: Desk, year: int) -> DeliveryRow:
    return next(row for row in desk.ledger.deliveries() if row.period == year)


def test_what_is_whole_is_confirmed_and_not_touched(desk: Desk) -> None:
    before = {path: path.stat().st_mtime_ns for path in desk.home.records.rglob("*.parquet")}
    journal = desk.ledger.journal_head()
    report = rereading.read_again(desk.home, desk.ledger, selection([2023], [], []))
    assert (report.confirmed, report.renewed, report.restored, report.problems) == (1, 0, [], [])
    assert {path: path.stat().st_mtime_ns for path in desk.home.records.rglob("*.parquet")} == before
    assert desk.ledger.journal_head() == journal


@pytest.mark.parametrize("damage", ["lost", "torn"])
def test_a_damaged_record_of_the_selected_year_is_restored_byte_for_byte(desk: Desk, damage: str) -> None:
    path = table_of(desk, of(desk, 2023))
    content = path.read_bytes()
    path.unlink() if damage == "lost" else path.write_bytes(content[:100])
    other = rereading.read_again(desk.home, desk.ledger, selection([2024], [], []))
    assert (other.confirmed, other.restored) == (1, [])
    report = rereading.read_again(desk.home, desk.ledger, selection([2023], ["500103"], [FEED]))
    assert report.restored == [of(desk, 2023).delivery_id]
    assert path.read_bytes() == content


def test_a_lost_original_is_a_problem_in_chinese(desk: Desk) -> None:
    row = of(desk, 2023)
    next(desk.home.archive.rglob(f"{row.sha256}*")).unlink()
    report = rereading.read_again(desk.home, desk.ledger, selection([], [], []))
    assert report.confirmed == 1
    assert [row.sha256[:12] in problem and "缺失" in problem for problem in report.problems] == [True]


def test_under_a_new_version_only_the_selected_year_is_read_and_the_old_records_stay(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = table_of(desk, of(desk, 2023))
    versions = {feed: f"{version}x" for feed, version in intake.contract_versions().items()}
    monkeypatch.setattr(intake, "contract_versions", lambda: versions)
    report = rereading.read_again(desk.home, desk.ledger, selection([2023], [], []))
    assert report.renewed == 1
    assert [row.period for row in desk.ledger.unread(versions)] == [2024]
    assert old.is_file()
    assert table_of(desk, of(desk, 2023)) != old


def test_another_district_or_feed_selects_nothing(desk: Desk) -> None:
    for wanted in (selection([], ["500101"], []), selection([], [], ["school_census"]), selection([1999], [], [])):
        assert rereading.read_again(desk.home, desk.ledger, wanted) == rereading.Reread()
