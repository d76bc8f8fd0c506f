"""Collated lists: values, lineage, and headers that were renamed, moved, unmerged or left without an index row."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sources.catalogue import Form
from sources.parsers import ParseResult, parse
from tests.support import good_deliveries as good

Change = Callable[[dict[str, good.Sheet]], None]


def read(tmp_path: Path, change: Change | None = None, **options: Any) -> tuple[ParseResult, dict[str, pa.Table]]:
    sheets = good.list_sheets(**options)
    if change is not None:
        change(sheets)
    path = tmp_path / "delivery"
    path.write_bytes(good.write_list(sheets.values()))
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    result = parse("school_census", path, file_name="任意.xlsx", delivery_id="d0", key=b"k" * 32, out_dir=out)
    return result, {name: pq.read_table(found) for name, found in result.tables.items()}


def figures(tables: dict[str, pa.Table]) -> dict[tuple[str, str, int, int], Decimal]:
    rows = tables["school_census__figure"].to_pylist()
    return {(row["school_code"], row["form"], row["line_no"], row["column_no"]): row["value"] for row in rows}


def expected(year: int = good.YEAR) -> dict[tuple[str, str, int, int], Decimal]:
    found = {}
    for layout in good.catalogue().layouts(year).values():
        forms: dict[str, Form] = {block.form.form: block.form for block in layout.blocks}
        for school in good.SCHOOLS:
            for column in layout.list_columns:
                form = forms[column.form]
                if school[2] in form.required_for:
                    at = (column.line, column.column)
                    found[school[0], column.form, *at] = Decimal(good.good_value(form, at))
    return found


@pytest.mark.parametrize("year", [2020, 2021, 2023])
def test_every_figure_of_a_list_comes_back(year: int, tmp_path: Path) -> None:
    result, tables = read(tmp_path, year=year)
    assert result.findings == []
    assert (result.area_code, result.period, result.part, result.reported_on) == (
        "500103",
        year,
        "",
        date(2023, 9, 20),
    )
    assert figures(tables) == expected(year)
    assert tables["school_census__school"].num_rows == len(good.SCHOOLS)


def test_profile_and_lineage(tmp_path: Path) -> None:
    _, tables = read(tmp_path)
    first = tables["school_census__school"].to_pylist()[0]
    assert first == {
        "stat_year": 2023,
        "form_year": 2023,
        "area_code": "500103",
        "school_code": "1150000001",
        "school_name": "甲幼儿园",
        "school_type_code": "111",
        "organiser_code": "999",
        "urban_rural_code": "111",
        "address_code": "500103001001",
        "kindergarten_grade": "grade1",
        "inclusive_private": True,
        "group_schooling": False,
        "district_schooling": True,
        "ethnic_school": False,
        "delivery_id": "d0",
        "member": "",
        "sheet": "教基1001",
        "row_no": 6,
    }
    row = next(row for row in tables["school_census__figure"].to_pylist() if row["measure"] == "enrolment")
    assert (row["sheet"], row["source_cell"], row["row_no"]) == ("教基3111", "H7", 7)


def rename_all(sheets: dict[str, good.Sheet]) -> None:
    """Every label that has aliases is written as its last alias; blanks and line breaks are thrown in."""
    known = good.catalogue()
    for sheet in sheets.values():
        aliases = known.profile.aliases if sheet.name == "教基1001" else known.aliases
        sheet.paths = [tuple(" ".join(aliases.get(label, (label,))[-1]) for label in path) for path in sheet.paths]


def reverse_columns(sheets: dict[str, good.Sheet]) -> None:
    """Figure columns in reverse order: numbers of the index row then lie, headings do not."""
    for sheet in sheets.values():
        sheet.paths = sheet.paths[:2] + sheet.paths[:1:-1]
        sheet.rows = [row[:2] + row[:1:-1] for row in sheet.rows]
        if sheet.total:
            sheet.total = sheet.total[:2] + sheet.total[:1:-1]


def unmerge(sheets: dict[str, good.Sheet]) -> None:
    for sheet in sheets.values():
        sheet.merged = False


def no_index(sheets: dict[str, good.Sheet]) -> None:
    for sheet in sheets.values():
        sheet.index_row = False


def trailing_blank(sheets: dict[str, good.Sheet]) -> None:
    for sheet in sheets.values():
        sheet.name += " "


def as_text(sheets: dict[str, good.Sheet]) -> None:
    wide = str.maketrans("0123456789", "０１２３４５６７８９")
    for sheet in sheets.values():
        if sheet.total:
            sheet.rows = [
                row[:2] + [str(cell).translate(wide) if cell != "" else "-" for cell in row[2:]] for row in sheet.rows
            ]


@pytest.mark.parametrize(
    "change",
    [rename_all, reverse_columns, unmerge, no_index, trailing_blank, as_text],
    ids=lambda change: change.__name__,
)
def test_untidy_lists_say_the_same(change: Change, tmp_path: Path) -> None:
    result, tables = read(tmp_path, change)
    assert result.findings == []
    assert figures(tables) == expected()


def test_a_heading_that_got_lost_is_found_by_its_number(tmp_path: Path) -> None:
    def blank_heading(sheets: dict[str, good.Sheet]) -> None:
        sheets["教基2105"].paths[3] = ("",)
        sheets["教基2105"].merged = False

    result, tables = read(tmp_path, blank_heading)
    assert not result.refused
    assert figures(tables) == expected()


def test_codes_that_excel_turned_into_numbers(tmp_path: Path) -> None:
    def to_numbers(sheets: dict[str, good.Sheet]) -> None:
        for sheet in sheets.values():
            for row in sheet.rows:
                row[0] = int(row[0])

    result, tables = read(tmp_path, to_numbers)
    assert result.findings == []
    assert figures(tables) == expected()


def test_units_are_converted(tmp_path: Path) -> None:
    def in_tens_of_thousands(sheets: dict[str, good.Sheet]) -> None:
        sheet = sheets["教基3120"]
        sheet.unit = "万人"
        sheet.rows = [[*row[:2], *(cell / 10000 for cell in row[2:])] for row in sheet.rows]
        sheet.total = None

    result, tables = read(tmp_path, in_tens_of_thousands)
    assert [entry.rule_id for entry in result.findings] == ["census.unit_converted"]
    assert figures(tables) == expected()


def test_a_bad_profile_takes_the_schools_figures_along(tmp_path: Path) -> None:
    def no_type(sheets: dict[str, good.Sheet]) -> None:
        sheets["教基1001"].rows[0][3] = "777"

    result, tables = read(tmp_path, no_type)
    assert "1150000001" not in {row["school_code"] for row in tables["school_census__figure"].to_pylist()}
    assert figures(tables) == {key: value for key, value in expected().items() if key[0] != "1150000001"}
    rules = [entry.rule_id for entry in result.findings if entry.severity == "quarantine"]
    assert rules == ["census.unknown_school_type"] + ["census.school_profile_missing"] * 3
    assert result.rows_quarantined == 4


def test_findings_name_sheet_row_column_and_cell(tmp_path: Path) -> None:
    def text(sheets: dict[str, good.Sheet]) -> None:
        sheets["教基2105"].rows[0][2] = "约六十"

    result, _ = read(tmp_path, text)
    found = next(entry for entry in result.findings if entry.rule_id == "census.not_a_number")
    assert (found.sheet, found.row_no, found.column_name, found.cell) == ("教基2105", 7, "合计", "C7")
    assert "教基2105" in found.message_zh
    assert "第 7 行" in found.message_zh


def test_municipal_schools_stand_in_any_district(tmp_path: Path) -> None:
    def addresses(sheets: dict[str, good.Sheet]) -> None:
        fields = [entry.field for entry in good.catalogue().profile.fields]
        for row in sheets["教基1001"].rows:
            row[fields.index("address_code")] = "500112001001"

    result, _ = read(tmp_path, addresses, area="500000", area_zh="市直属")
    assert not result.refused
    assert result.area_code == "500000"
    assert result.findings == []


def test_functional_areas_may_not_replace_their_district(tmp_path: Path) -> None:
    result, _ = read(tmp_path, area="500110", area_zh="万盛经开区")
    assert result.refused
    assert {entry.rule_id for entry in result.findings} == {"census.unknown_area"}


def test_same_bytes_give_the_same_records(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    _, one = read(tmp_path / "a")
    _, two = read(tmp_path / "b")
    assert {name: table.to_pylist() for name, table in one.items()} == {
        name: table.to_pylist() for name, table in two.items()
    }


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"PK\x03\x04" + b"0" * 50, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"0" * 600]
)
def test_what_is_no_workbook_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "delivery"
    path.write_bytes(data)
    result = parse("school_census", path, file_name="x.xlsx", delivery_id="d0", key=b"k" * 32, out_dir=tmp_path)
    assert result.refused
    assert [entry.rule_id for entry in result.findings] == ["census.unreadable"]


def test_a_truncated_upload_is_refused(tmp_path: Path) -> None:
    data = good.write_list(good.list_sheets().values())
    path = tmp_path / "delivery"
    path.write_bytes(data[: len(data) // 2])
    result = parse("school_census", path, file_name="x.xlsx", delivery_id="d0", key=b"k" * 32, out_dir=tmp_path)
    assert result.refused
