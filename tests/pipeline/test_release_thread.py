"""What a release promises, tried through the command line on the small sample city."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pyarrow.parquet as pq
import pytest

from tests.pipeline.conftest import CODE, DISTRICT, GROUP, YEAR, Corrected
from tests.support import lists
from tests.support.command import Done, eduplan
from tests.support.scan import Persons, values_below


def current(home: Path) -> str:
    return (home / "current").resolve(strict=True).name


def changes(home: Path) -> dict[str, list[dict[str, object]]]:
    return json.loads((home / "current" / "changes.json").read_text(encoding="utf8"))


def hand_in(home: Path, edit: lists.Edit, name: str) -> Path:
    source = lists.list_of(home / "inbox", DISTRICT, YEAR)
    return lists.edited(source, home / "inbox" / "school_census" / name, edit)


def run(home: Path, *arguments: str, expect: int | None = 0) -> Done:
    return eduplan(home, "run", *arguments, expect=expect, EDUPLAN_SETTLE_SECONDS="0")


def test_the_same_inbox_again_builds_nothing_and_says_so(home: Path) -> None:
    before = current(home)
    done = run(home)
    assert "无变化" in done.stdout
    assert current(home) == before
    assert json.loads(run(home, "--json").stdout)["outcome"] == "unchanged"


# Every indicator with the pupils of primary schools in its numerator or denominator.
REST_ON_PRIMARY_PUPILS = {
    "primary_enrolment",
    "compulsory_enrolment",
    "compulsory_gross_enrolment",
    "primary_pupil_teacher_ratio",
    "compulsory_books_per_student",
    "compulsory_building_area_per_student",
    "compulsory_equipment_per_student",
    "urban_compulsory_enrolment",
}


def test_a_correction_changes_what_it_should_and_nothing_else(corrected: Corrected) -> None:
    assert corrected.after != corrected.before
    listed = changes(corrected.home)
    touched = {
        (row["key"]["indicator_id"], row["key"]["area_code"], row["key"]["period"])
        for row in listed["tables"]["fct_indicator_value"]["changed"]
    }
    assert touched == {(i, area, YEAR) for i in REST_ON_PRIMARY_PUPILS for area in (CODE, GROUP, "500000")}
    assert not listed["tables"]["fct_indicator_value"]["added"]
    assert not listed["tables"]["fct_indicator_value"]["removed"]


def _set(sheet: str, number: int, value: object) -> Callable[[openpyxl.Workbook], None]:
    def edit(book: openpyxl.Workbook) -> None:
        page = lists.sheet(book, sheet)
        page.cell(lists.first_school_row(page), lists.figure(page, number)).value = value

    return edit


def _without_sheet(book: openpyxl.Workbook) -> None:
    del book[lists.sheet(book, "教基3112").title]


def _other_district(book: openpyxl.Workbook) -> None:
    for page in book.worksheets:
        page["A1"].value = str(page["A1"].value).replace(DISTRICT, "涪陵区")


BAD = {
    "missing form": (_without_sheet, "refused", "3112"),
    "unknown school type": (_set("教基1001", 2, "777"), "partly", "办学类型"),
    "negative count": (_set("教基3112", 1, -5), "partly", "毕业生数"),
    "text in a number column": (_set("教基3112", 1, "约三十"), "partly", "毕业生数"),
    "wrong district in the title": (_other_district, "refused", "涪陵区"),
}


# Quarantined rows are in the released city already: here they are only taken in.
ONLY_TAKEN_IN = {"unknown school type", "negative count", "text in a number column"}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_workbook_is_answered_in_chinese_and_harms_nothing(home: Path, case: str) -> None:
    edit, status, word = BAD[case]
    before = current(home)
    path = hand_in(home, edit, "有误.xlsx")
    rehearsal = eduplan(home, "check", str(path), "--feed", "school_census", expect=1)
    if case in ONLY_TAKEN_IN:
        taken = json.loads(eduplan(home, "intake", "--json", EDUPLAN_SETTLE_SECONDS="0").stdout)
    else:
        taken = json.loads(run(home, "--json", expect=None).stdout)["intake"]
    (delivery,) = taken["deliveries"]
    receipt = json.loads((home / "receipts" / "school_census" / f"{delivery}.json").read_text(encoding="utf8"))
    assert receipt["status"] == status
    about = [f for f in receipt["findings"] if word in json.dumps(f, ensure_ascii=False)]
    assert all(f["remedy_zh"] for f in receipt["findings"])
    assert any(f["rule_id"] in rehearsal.stdout for f in about), receipt["findings"]
    if status == "partly":
        exact = [f for f in about if f["row_no"] and f["column_name"]]
        assert exact, receipt["findings"]
        assert all(f["sheet"].strip() and f["row_no"] >= 6 for f in exact)
        assert taken["partly"] == 1
    else:
        assert current(home) == before
    # Whatever became of it, readers see one whole release.
    eduplan(home, "verify")


def test_readers_never_wait_and_never_see_a_mix(corrected: Corrected) -> None:
    assert corrected.read_errors == ""
    assert corrected.reads > 10


def test_no_person_of_the_sample_stands_anywhere_but_in_what_was_handed_in(released: Path) -> None:
    truth = released.with_name(f"{released.name}-sample") / "truth"
    table = pq.read_table(truth / "persons.parquet", columns=["name", "id_number", "phone"])
    persons = Persons(value for column in table.to_pydict().values() for value in column if value)
    assert len(persons) > 5_000
    found = {(where, hit) for where, text in values_below(released) for hit in persons.found_in(text)}
    assert not found, sorted(found)[:10]
