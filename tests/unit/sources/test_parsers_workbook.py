"""The official blank form of 2020/21, filled with a known figure at every figure address and read back."""

from __future__ import annotations

import io
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow.parquet as pq
import pytest
from openpyxl.worksheet.worksheet import Worksheet

from sources.contract import load
from sources.labels import form_name
from sources.parsers import parse
from sources.parsers.census_workbook import SchoolBook, figure_rows, read_school
from sources.parsers.grid import Workbook
from sources.parsers.result import Reporter
from tests.support import good_deliveries as good

BLANK = Path(__file__).parents[2] / "fixtures" / "school_workbook_2020_blank.xlsx"
CATALOGUE = load("school_census").catalogue
PROFILE = {
    "D7": "某某幼儿园",
    "B7": "1150000001",
    "D10": "某街",
    "D11": "500103001001",
    "G10": "主城区",
    "G11": "111",
    "H10": "渝中区教育委员会",
    "H11": "500103000000",
    "D14": "幼儿园",
    "D15": "111",
    "E14": "民办",
    "E15": "999",
}
FIRST_EXPLANATION = "新开两个班，招生数较上年增加属实。"


def letters(index: int) -> str:
    return openpyxl.utils.get_column_letter(index)


def figure_places(sheet: Worksheet) -> Iterator[tuple[int, int, str]]:
    """(line, column number, cell) of every place of the blank form that takes a figure: marked `*` ones do not."""
    index = next(
        (row for row in range(1, 12) if "甲" in [sheet.cell(row, column).value for column in range(1, 6)]), None
    )
    if index is None:
        return
    head = {column: sheet.cell(index, column).value for column in range(1, sheet.max_column + 1)}
    line_column = next(column for column, value in head.items() if value == "乙")
    for row in range(index + 1, sheet.max_row + 1):
        for column, number in head.items():
            if column > line_column and number is not None and sheet.cell(row, column).value != "*":
                yield int(sheet.cell(row, line_column).value), int(str(number)), f"{letters(column)}{row}"


def fill(value_of: Any) -> tuple[Any, dict[tuple[str, int, int], tuple[str, int]]]:
    """The blank form filled: (workbook, {(sheet, line, column): (cell, value)})."""
    book = openpyxl.load_workbook(BLANK)
    expected: dict[tuple[str, int, int], tuple[str, int]] = {}
    for sheet in book.worksheets:
        form = form_name(sheet.title)
        if form is None or form == "基础基111":
            continue
        for line, column, cell in figure_places(sheet):
            value = value_of(form, line, column)
            sheet[cell] = str(value)
            expected[form, line, column] = (cell, value)
    page = book["基础基111"]
    for cell, text in PROFILE.items():
        page[cell] = text
    book["基础基112"]["D30"] = "3"
    book["基础基112续表1"]["B4"] = FIRST_EXPLANATION
    return book, expected


def balanced(form: str, line: int, column: int) -> int:
    """A figure that keeps every check, and differs from place to place where no check binds it."""
    layout = CATALOGUE.layouts(2020).get(form)
    known = layout.blocks[0].form if layout else None
    bound = known is not None and any((line, column) in (check.whole, *check.parts) for check in known.checks)
    if known is not None and bound:
        return good.good_value(known, (line, column))
    return 1000 + 37 * line + column


def without_letters(book: Any) -> Any:
    """The same export without the extra letter row and number column: everything moves up and left by one."""
    plain = openpyxl.Workbook()
    plain.remove(plain.worksheets[0])
    for sheet in book.worksheets:
        copy = plain.create_sheet(sheet.title)
        for row in sheet.iter_rows():
            for cell in row:
                if cell.row > 1 and cell.column > 1 and cell.value is not None:
                    copy.cell(cell.row - 1, cell.column - 1).value = cell.value
        for area in sheet.merged_cells.ranges:
            if area.min_row > 1 and area.min_col > 1:
                copy.merge_cells(None, area.min_row - 1, area.min_col - 1, area.max_row - 1, area.max_col - 1)
    return plain


def as_bytes(book: Any) -> bytes:
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def read(book: Any) -> tuple[SchoolBook, Reporter]:
    reporter = Reporter(load("school_census"))
    return read_school(Workbook(as_bytes(book)), reporter), reporter


@pytest.mark.parametrize("shifted", [True, False])
def test_every_figure_comes_back_from_its_address(shifted: bool) -> None:
    book, expected = fill(balanced)
    school, reporter = read(book if shifted else without_letters(book))
    assert [entry.rule_id for entry in reporter.findings] == ["census.explanation"]
    layouts = CATALOGUE.layouts(2020)
    named = {form: layouts[form].blocks[0].form.form if form in layouts else form for form, _, _ in expected}
    found = {
        (form, line, column): (cell, value)
        for _, form, line, column, _, value, cell, _, _, _ in figure_rows(school, "1150000001", CATALOGUE)
    }
    wanted = {(named[form], line, column): place for (form, line, column), place in expected.items()}
    wanted["1102", 26, 1] = ("D30", 3)
    if shifted:
        assert found == wanted
    else:
        assert {key: value for key, (_, value) in found.items()} == {key: value for key, (_, value) in wanted.items()}
        assert found["3111", 1, 6][0] == "H6"
    assert len(found) > 900


@pytest.mark.parametrize("shifted", [True, False])
def test_profile_year_and_explanation(shifted: bool) -> None:
    book, _ = fill(balanced)
    school, reporter = read(book if shifted else without_letters(book))
    assert school.year == 2020
    assert {name: school.profile[name] for name in ("school_code", "school_type_code", "organiser_code")} == {
        "school_code": "1150000001",
        "school_type_code": "111",
        "organiser_code": "999",
    }
    assert school.profile["address_code"] == "500103001001"
    assert school.profile["authority_code"] == "500103000000"
    assert FIRST_EXPLANATION in reporter.findings[0].message_zh


def test_measures_named_by_the_catalogue() -> None:
    book, _ = fill(balanced)
    school, _ = read(book)
    measures = {
        (form, measure): value
        for _, form, _, _, measure, value, _, _, _, _ in figure_rows(school, "1150000001", CATALOGUE)
        if measure
    }
    assert measures["3111", "enrolment"] == 60
    assert measures["3111", "enrolment_age_3"] == 12
    assert measures["2105", "classes_large"] == 15
    assert measures["4148", "full_time_teachers"] == 12
    assert measures["1102", "backbone_primary"] == 3


def test_the_blank_form_has_no_figures_but_all_its_lines() -> None:
    school, _ = read(openpyxl.load_workbook(BLANK))
    assert list(figure_rows(school, "1150000001", CATALOGUE)) == []
    assert len(school.lines) > 150


def test_a_zip_with_the_real_form_becomes_records(tmp_path: Path) -> None:
    book, expected = fill(balanced)
    path = tmp_path / "delivery"
    path.write_bytes(good.write_zip({"渝中区/某某幼儿园.xlsx": as_bytes(book)}))
    result = parse("school_census", path, file_name="x", delivery_id="d1", key=b"k" * 32, out_dir=tmp_path)
    assert not result.refused, [entry.message_zh for entry in result.findings]
    assert (result.area_code, result.period) == ("500103", 2020)
    assert result.rows_in == result.rows_accepted
    figures = pq.read_table(result.tables["school_census__figure"])
    assert figures.num_rows == len(expected) + 1
    total = sum(value for _, value in expected.values()) + 3
    assert sum(figures.column("value").to_pylist()) == Decimal(total)
    assert set(figures.column("member").to_pylist()) == {"渝中区/某某幼儿园.xlsx"}
    schools = pq.read_table(result.tables["school_census__school"]).to_pylist()
    assert [(row["school_code"], row["school_name"], row["row_no"]) for row in schools] == [
        ("1150000001", "某某幼儿园", 7)
    ]
    assert schools[0]["inclusive_private"] is None


def test_facts_the_form_of_2020_lacks_stand_as_added_lines(tmp_path: Path) -> None:
    book, _ = fill(balanced)
    page = book["基础基112"]
    added = ((47, "幼儿园等级", "43", "一级"), (48, "普惠性民办园认定", "44", "是"), (49, "学区制", "46", "否"))
    for row, label, line, text in added:
        page.cell(row, 2, label)
        page.cell(row, 3, line)
        page.cell(row, 4, text)
    path = tmp_path / "delivery"
    path.write_bytes(good.write_zip({"甲.xlsx": as_bytes(book)}))
    result = parse("school_census", path, file_name="x", delivery_id="d1", key=b"k" * 32, out_dir=tmp_path)
    school = pq.read_table(result.tables["school_census__school"]).to_pylist()[0]
    assert school["kindergarten_grade"] == "grade1"
    assert school["inclusive_private"] is True
    assert school["district_schooling"] is False
    assert school["group_schooling"] is None


def test_a_broken_sum_takes_all_lines_it_touches() -> None:
    book, _ = fill(balanced)
    book["基础基311"]["I12"] = "13"
    school, reporter = read(book)
    broken = [entry for entry in reporter.findings if entry.rule_id == "census.sum_mismatch"]
    assert [(entry.sheet, entry.row_no, entry.cell) for entry in broken] == [("基础基311", 7, "I7")]
    bad = {line.row for line in school.lines if line.bad}
    assert bad == set(range(7, 16))


def test_line_codes_with_leading_zero_and_sheet_names_with_suffix(tmp_path: Path) -> None:
    pages = good.school_pages(good.SCHOOLS[2])
    for page in pages:
        if page.name in {"教基3112", "教基3115"}:
            page.name += "_九年一贯制学校"
            for row in page.rows[4:]:
                row[1] = f"{int(row[1]):02d}"
    path = tmp_path / "delivery"
    path.write_bytes(good.write_zip({"丙.xlsx": good.write_pages(pages)}))
    result = parse("school_census", path, file_name="x", delivery_id="d1", key=b"k" * 32, out_dir=tmp_path)
    assert not result.refused
    rows = pq.read_table(result.tables["school_census__figure"]).to_pylist()
    enrolment = {row["form"]: row["value"] for row in rows if row["measure"] == "enrolment"}
    assert enrolment == {"3112": 60, "3115": 60}
    teachers = {row["form"]: row["line_no"] for row in rows if row["measure"] == "teachers_below"}
    assert teachers == {"4155p": 7, "4155j": 7}
