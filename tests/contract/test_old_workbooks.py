"""Legacy .xls: a school's workbook and a collated list read exactly like the same tables in .xlsx."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sources.findings import Finding
from sources.parsers.result import ParseResult
from tests.support import good_deliveries as good
from tests.support import old_workbooks as old
from tests.support.desk import Desk, read, rows

CENSUS = "school_census"
TABLES = ("school_census__school", "school_census__figure")


def told(result: ParseResult) -> list[Finding]:
    return sorted((replace(found, member="") for found in result.findings), key=repr)


@pytest.mark.parametrize(
    ("fixture", "modern", "quarantined"),
    [
        (
            old.LIST,
            lambda: good.write_list(old.list_sheets()),
            {"census.not_a_number", "census.unknown_code", "census.sum_mismatch"},
        ),
        (old.WORKBOOK, lambda: good.write_pages(old.school_pages()), {"census.not_a_number"}),
    ],
)
def test_an_old_workbook_reads_like_a_new_one(
    fixture: Path, modern: Callable[[], bytes], quarantined: set[str], tmp_path: Path
) -> None:
    ancient = read(CENSUS, fixture.read_bytes(), tmp_path / "old")
    recent = read(CENSUS, modern(), tmp_path / "new")
    assert quarantined <= {found.rule_id for found in ancient.findings if found.severity == "quarantine"}
    assert ancient.rows_quarantined > 0
    assert told(ancient) == told(recent)
    assert (ancient.part, ancient.area_code, ancient.period) == (recent.part, good.AREA, good.YEAR)
    assert (ancient.rows_in, ancient.rows_accepted) == (recent.rows_in, recent.rows_accepted)
    assert all(rows(ancient, table) == rows(recent, table) for table in TABLES)


def test_old_workbooks_in_a_zip_and_under_any_name_are_taken_in(desk: Desk) -> None:
    members = {"渝中区/乙小学.xls": old.WORKBOOK.read_bytes()}
    members |= {"渝中区/甲幼儿园.xlsx": good.write_pages(good.school_pages(good.SCHOOLS[0]))}
    desk.put(CENSUS, "基层表.zip", good.write_zip(members))
    (zipped,) = desk.take_in().deliveries
    assert (zipped.status, zipped.part) == ("partly", "")
    desk.put(CENSUS, "一览表.xlsx", old.LIST.read_bytes(), at=1)
    (listed,) = desk.take_in().deliveries
    assert listed.status == "partly"
    assert (desk.home.receipts / CENSUS / f"{listed.delivery_id}.xlsx").is_file()
    desk.put(CENSUS, "乙小学.doc", old.WORKBOOK.read_bytes(), at=2)
    (own,) = desk.take_in().deliveries
    assert (own.status, own.part) == ("partly", f"school:{good.SCHOOLS[1][0]}")
    assert desk.active() == [listed, own]
