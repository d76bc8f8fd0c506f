"""Faults of intake in real life: whatever arrives and however, the office learns what became of it, once."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import xlsxwriter

from sources import intake
from sources.parsers import ParseResult
from tests.support import finance_table, tiny_parser
from tests.support import good_deliveries as good
from tests.support.desk import BEGIN, Desk, read, rows, rules, teachers
from tests.support.tiny_parser import document
from warehouse.clock import SHANGHAI
from warehouse.paths import Home
from warehouse.records import DeliveryRow

FIGURE, TEACHER, LINE = "school_census__figure", "teacher_register__teacher", "education_finance__line"


def spoilt(spoil: Callable[[dict[str, good.Sheet]], None]) -> bytes:
    sheets = good.list_sheets()
    spoil(sheets)
    return good.write_list(sheets.values())


def edited(edit: Callable[[openpyxl.Workbook], None]) -> bytes:
    book = openpyxl.load_workbook(io.BytesIO(good.write_list(good.list_sheets().values())))
    edit(book)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def census(data: bytes, tmp_path: Path) -> ParseResult:
    return read("school_census", data, tmp_path)


def figures(result: ParseResult) -> dict[tuple[Any, ...], Decimal]:
    return {(r["school_code"], r["form"], r["line_no"], r["column_no"]): r["value"] for r in rows(result, FIGURE)}


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[Any, ...], Decimal]:
    data = good.write_list(good.list_sheets().values())
    return figures(census(data, tmp_path_factory.mktemp("clean")))


# -- nothing, half, or still coming -----------------------------------------------------------------------------------


def test_empty_header_only_and_truncated_files_are_refused_and_a_good_one_is_not(desk: Desk) -> None:
    whole_list = good.write_list(good.list_sheets().values())
    whole_zip = good.write_zip(good.good_zip())
    broken = {
        ("teacher_register", "empty.csv"): b"",
        ("teacher_register", "header-only.csv"): good.table_csv(good.TEACHER_HEADERS, []),
        ("teacher_register", "header-only.xlsx"): good.table_xlsx(good.TEACHER_HEADERS, []),
        ("school_census", "empty.xlsx"): b"",
        ("school_census", "truncated.xlsx"): whole_list[: len(whole_list) // 2],
        ("school_census", "truncated.zip"): whole_zip[:-200],
        ("school_census", "no-tail.xlsx"): whole_list[:-4],
    }
    for at, ((feed, name), data) in enumerate(broken.items()):
        desk.put(feed, name, data, at=at)
    desk.put("teacher_register", "good.csv", teachers(), at=100)
    report = desk.take_in()
    by_name = {row.file_name: row for row in report.deliveries}
    assert by_name.pop("good.csv").status == "accepted"
    # The empty file of one feed and of the other are two deliveries.
    assert set(by_name) == {name for _, name in broken}
    for row in by_name.values():
        [finding] = desk.receipt(row)["findings"]
        assert row.status == "refused"
        assert finding["rule_id"].split(".")[1] in {"unreadable", "no_rows"}
        assert finding["remedy_zh"]


def test_a_csv_cut_off_in_a_row_sets_that_row_aside(tmp_path: Path) -> None:
    data = teachers()
    cut = data[: data.rstrip().rfind(b",") - 20]
    result = read("teacher_register", cut, tmp_path)
    assert rules(result) == ["teacher.ragged_row"]
    assert (result.findings[0].row_no, result.rows_in, result.rows_accepted) == (4, 3, 2)


def test_a_growing_file_is_left_alone_until_it_rests(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = teachers()
    path = desk.put("teacher_register", "a.csv", whole[:300])
    just_written = datetime.fromtimestamp(BEGIN, SHANGHAI)
    monkeypatch.setenv("EDUPLAN_NOW", (just_written + timedelta(seconds=1)).isoformat())
    assert desk.waiting(settle=2) == []
    path.write_bytes(whole)
    os.utime(path, (BEGIN, BEGIN))
    monkeypatch.setenv("EDUPLAN_NOW", (just_written + timedelta(seconds=3)).isoformat())
    assert len(desk.waiting(settle=2)) == 1
    assert [row.status for row in desk.take_in().deliveries] == ["accepted"]


# -- the same again ---------------------------------------------------------------------------------------------------


def tiny(desk: Desk) -> list[DeliveryRow]:
    return desk.take_in(parse_with=tiny_parser.parse).deliveries


def test_the_same_bytes_under_a_new_name_count_once(desk: Desk) -> None:
    for at, name in enumerate(("a.xlsx", "渝中区/b.xlsx", "c.zip")):
        desk.put("school_census", name, document(), at=at)
    assert len(tiny(desk)) == 1
    assert sorted(event.outcome for event in desk.ledger.events()) == ["accepted", "duplicate", "duplicate"]


def test_new_bytes_under_an_old_name_replace_and_lose_nothing(desk: Desk) -> None:
    path = desk.put("school_census", "a.xlsx", document())
    [old] = tiny(desk)
    desk.put("school_census", "a.xlsx", document(salt="new"), at=1)
    [new] = tiny(desk)
    assert desk.active() == [new]
    for row in (old, new):
        assert (desk.home.archive / row.sha256[:2] / row.sha256).is_file()
    assert path.is_file()


def test_an_event_delivered_twice_even_within_one_tick_has_one_effect(desk: Desk) -> None:
    from sources.intake import take_in

    desk.put("school_census", "a.xlsx", document())
    waiting = desk.waiting()
    for arrivals in ([*waiting, *waiting], waiting):
        take_in(desk.home, desk.ledger, arrivals, parse=tiny_parser.parse, workers=1)
    assert len(desk.ledger.deliveries()) == len(desk.ledger.events()) == 1
    assert desk.ledger.findings() == []


def test_corrections_in_any_order_leave_the_newest(desk: Desk) -> None:
    orders = {"500103": (0, 1, 2), "500105": (1, 2, 0), "500106": (2, 0, 1), "500107": (2, 1, 0)}
    for area, order in orders.items():
        for place, at in enumerate(order):
            day = ("08", "15", "31")[at]
            desk.put("school_census", f"{area}/{at}.xlsx", document(area, reported=f"2023-10-{day}"), at=place)
    tiny(desk)
    assert {row.area_code: row.file_name for row in desk.active()} == dict.fromkeys(orders, "2.xlsx")


def test_last_years_file_does_not_touch_this_years(desk: Desk) -> None:
    desk.put("school_census", "2023.xlsx", document(year=2023), at=1)
    desk.put("school_census", "again.xlsx", document(year=2022, reported="2024-01-01"), at=2)
    tiny(desk)
    assert [(row.period, row.file_name) for row in desk.active()] == [(2022, "again.xlsx"), (2023, "2023.xlsx")]


def test_two_offices_with_the_same_key_are_told(desk: Desk) -> None:
    desk.put("school_census", "基教科/a.xlsx", document(), at=1)
    desk.put("school_census", "规划科/b.xlsx", document(salt="b"), at=2)
    desk.put("school_census", "规划科/c.xlsx", document(salt="c"), at=3)
    desk.put("school_census", "规划科/d.xlsx", document("500105"), at=4)
    first, second, third, other = tiny(desk)
    assert desk.told(first) == desk.told(other) == []
    for row in (second, third):
        assert desk.told(row) == ["intake.rival_senders"]
        assert "基教科" in desk.letter(row)
        assert row.status == "accepted"


def test_one_source_missing_at_the_deadline_holds_nobody_up(desk: Desk) -> None:
    from sources.intake import scan, take_in

    desk.put("school_census", "a.xlsx", document())
    silent = Home(desk.home.root, finance_setting=f"sqlite:///{desk.home.root}/none.db")
    report = take_in(silent, desk.ledger, scan(silent, desk.ledger, settle=0), workers=1, parse=_tiny_or_real)
    assert [row.feed for row in report.deliveries] == ["official_figures", "school_census"]
    assert any("none.db" in problem for problem in report.problems)


def _tiny_or_real(feed: str, snapshot: Path, **options: Any) -> ParseResult:
    from sources.parsers import parse

    return (tiny_parser.parse if feed == "school_census" else parse)(feed, snapshot, **options)


# -- text -------------------------------------------------------------------------------------------------------------


def test_mixed_encodings_in_one_file_set_the_foreign_row_aside_or_refuse(tmp_path: Path) -> None:
    gb = teachers().split(b"\r\n")
    utf8 = teachers(encoding="utf-8").split(b"\r\n")
    result = read("teacher_register", b"\r\n".join([*gb[:2], utf8[2], *gb[3:]]), tmp_path)
    assert not result.refused
    assert {found.row_no for found in result.findings} == {3}
    assert (result.rows_in, result.rows_quarantined) == (3, 1)


def test_full_width_digits_and_invisible_spaces_read_as_typed(tmp_path: Path) -> None:
    known = rows(read("teacher_register", teachers(), tmp_path / "a"), TEACHER)
    number = good.teacher_rows()[0]["身份证号"]
    wide = number.translate({ord(digit): ord(digit) + 0xFEE0 for digit in "0123456789"})
    odd = {"身份证号": f"\u200b{wide}\u00a0", "学校标识码": "２１５０００００\u200b０１", "统计年度": "２０２３"}
    found = read("teacher_register", teachers(odd), tmp_path / "b")
    assert rules(found) == []
    assert rows(found, TEACHER) == known


def test_line_numbers_without_their_leading_zero_are_the_same_lines(tmp_path: Path) -> None:
    def lines(width: int) -> dict[tuple[Any, ...], Decimal]:
        members = {}
        for school in good.SCHOOLS[:2]:
            pages = good.school_pages(school)
            for page in pages:
                for row in page.rows[4:]:
                    row[1] = str(int(row[1])).zfill(width)
            members[f"{school[1]}.xlsx"] = good.write_pages(pages)
        return figures(census(good.write_zip(members), tmp_path / str(width)))

    assert lines(1) == lines(2)


def test_school_codes_that_excel_turned_into_numbers(clean: dict[Any, Decimal], tmp_path: Path) -> None:
    def spoil(sheets: dict[str, good.Sheet]) -> None:
        for sheet in sheets.values():
            for row in sheet.rows:
                row[0] = float(row[0])

    result = census(spoilt(spoil), tmp_path)
    assert rules(result) == []
    assert figures(result) == clean


def test_ragged_rows_are_set_aside_one_by_one(tmp_path: Path) -> None:
    lines = teachers().split(b"\r\n")
    lines[2] += b",one,more"
    result = read("teacher_register", b"\r\n".join(lines), tmp_path)
    assert rules(result) == ["teacher.ragged_row"]
    assert (result.findings[0].row_no, result.rows_accepted, result.rows_quarantined) == (3, 2, 1)


def test_a_type_that_changes_after_fifty_thousand_rows(tmp_path: Path) -> None:
    base = good.finance_rows()[1]
    table = [base | {"单位代码": f"U{number:06d}", "金额1": "12.50"} for number in range(50_010)]
    table[50_003] = table[50_003] | {"金额1": "见附件"}
    table[50_004] = table[50_004] | {"金额1": "１２．５"}
    result = read("education_finance", good.table_csv(good.FINANCE_HEADERS, table, "utf-8"), tmp_path)
    assert rules(result) == ["finance.not_a_number"]
    assert result.findings[0].row_no == 50_005
    assert {row["amount_1"] for row in rows(result, LINE)} == {Decimal("12.50")}
    assert (result.rows_in, result.rows_quarantined) == (50_010, 1)


def test_renamed_and_reordered_columns_read_alike_and_doubled_ones_refuse(tmp_path: Path) -> None:
    known = rows(read("teacher_register", teachers(), tmp_path / "a"), TEACHER)
    headers = list(reversed(good.TEACHER_HEADERS))
    assert rows(read("teacher_register", teachers(headers=headers), tmp_path / "b"), TEACHER) == known
    doubled = read("teacher_register", teachers(headers=[*headers, "学校代码"]), tmp_path / "c")
    assert rules(doubled) == ["teacher.duplicate_column"]
    assert doubled.refused


# -- workbooks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("epoch_1904", [False, True])
def test_dates_in_figure_cells_are_no_figures_whatever_the_epoch(epoch_1904: bool, tmp_path: Path) -> None:
    def put_date(book: openpyxl.Workbook) -> None:
        if epoch_1904:
            book.epoch = openpyxl.utils.datetime.CALENDAR_MAC_1904
        page = book["教基2105"]
        page.cell(7, 3, 15).number_format = "yyyy-mm-dd"

    result = census(edited(put_date), tmp_path)
    assert "census.not_a_number" in rules(result)
    found = next(found for found in result.findings if found.rule_id == "census.not_a_number")
    assert (found.sheet, found.cell) == ("教基2105", "C7")


def test_a_formula_without_a_cached_value_is_not_taken_for_blank(tmp_path: Path) -> None:
    def put_formula(book: openpyxl.Workbook) -> None:
        page = book["教基3120"]
        page.cell(7, 3, "=D7+1")

    result = census(edited(put_formula), tmp_path)
    assert result.rows_quarantined == 1
    [found] = [found for found in result.findings if found.severity == "quarantine"]
    assert found.rule_id == "census.not_a_number"
    assert (found.sheet, found.cell) == ("教基3120", "C7")
    assert "公式没有计算结果" in found.message_zh


def test_a_formula_with_its_value_is_that_value(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    table = good.teacher_rows()
    with xlsxwriter.Workbook(buffer, {"in_memory": True}) as book:
        page = book.add_worksheet("名册")
        page.write_row(0, 0, good.TEACHER_HEADERS)
        for at, row in enumerate(table, 1):
            for column, name in enumerate(good.TEACHER_HEADERS):
                value = row.get(name, "")
                if name == "主教学科":
                    page.write_formula(at, column, '="语"&"文"', None, "语文")
                else:
                    page.write_string(at, column, value)
    result = read("teacher_register", buffer.getvalue(), tmp_path)
    assert rules(result) == []
    assert {row["subject"] for row in rows(result, TEACHER)} == {"语文"}


def test_merged_data_cells_belong_to_their_first_row(tmp_path: Path) -> None:
    def merge(book: openpyxl.Workbook) -> None:
        page = book["教基3112"]
        page.merge_cells(start_row=7, end_row=8, start_column=1, end_column=1)

    result = census(edited(merge), tmp_path)
    assert "census.missing_school_code" in rules(result)
    assert result.rows_quarantined == 1
    found = next(found for found in result.findings if found.rule_id == "census.missing_school_code")
    assert (found.sheet, found.row_no) == ("教基3112", 8)


def test_hidden_rows_columns_and_sheets_count_like_others(clean: dict[Any, Decimal], tmp_path: Path) -> None:
    def hide(book: openpyxl.Workbook) -> None:
        book["教基3112"].row_dimensions[7].hidden = True
        book["教基3112"].column_dimensions["D"].hidden = True
        book["教基3115"].sheet_state = "hidden"

    result = census(edited(hide), tmp_path)
    assert rules(result) == []
    assert figures(result) == clean


def test_totals_that_differ_from_their_parts(tmp_path: Path) -> None:
    def spoil(sheets: dict[str, good.Sheet]) -> None:
        sheets["教基2105"].rows[0][3] += 1
        sheets["教基3112"].total = ["总计", "", *[1] * (len(sheets["教基3112"].paths) - 2)]

    result = census(spoilt(spoil), tmp_path)
    severity = {found.rule_id: found.severity for found in result.findings}
    # Within a school nobody can say which is wrong; a district's total is not used and only told.
    assert severity["census.sum_mismatch"] == "quarantine"
    assert severity["census.total_mismatch"] == "notice"
    assert result.rows_quarantined == 1


@pytest.mark.parametrize("value", ["NaN", "inf", "-inf", "1e300", "1E+13", "９９９９９９９９９９９９９９"])
def test_figures_that_are_no_finite_count_are_set_aside(value: str, tmp_path: Path) -> None:
    def spoil(sheets: dict[str, good.Sheet]) -> None:
        sheets["教基3120"].rows[0][2] = value

    result = census(spoilt(spoil), tmp_path)
    assert "census.not_a_number" in rules(result)
    assert result.rows_quarantined == 1


def test_a_huge_number_in_a_numeric_cell_is_set_aside(tmp_path: Path) -> None:
    def spoil(sheets: dict[str, good.Sheet]) -> None:
        sheets["教基3120"].rows[0][2] = 1e300

    assert "census.not_a_number" in rules(census(spoilt(spoil), tmp_path))


@pytest.mark.parametrize("value", ["-0", "-0.0", "0"])
def test_minus_zero_is_zero(value: str, tmp_path: Path) -> None:
    def spoil(sheets: dict[str, good.Sheet]) -> None:
        sheets["教基3120"].rows[0][2] = value
        sheets["教基3120"].total = None

    found = figures(census(spoilt(spoil), tmp_path))[("5150000001", "3120", 1, 1)]
    assert str(found) == "0.0000"


def test_a_school_without_pupils_is_taken_in_as_zero(tmp_path: Path) -> None:
    def empty(sheets: dict[str, good.Sheet]) -> None:
        sheets["教基3120"].rows[0][2:] = [0] * (len(sheets["教基3120"].paths) - 2)
        sheets["教基3120"].total = None

    result = census(spoilt(empty), tmp_path)
    assert rules(result) == []
    assert figures(result)[("5150000001", "3120", 1, 3)] == 0


# -- money from the database ------------------------------------------------------------------------------------------


def test_rows_of_the_finance_database_arrive_once_and_edits_again(tmp_path: Path, desk: Desk) -> None:
    from sources.intake import scan, take_in

    url = f"sqlite:///{tmp_path}/finance.db"
    finance_table.write(url, [finance_table.line("500103", 2023, f"U{number}", 1) for number in range(3)])
    home = Home(desk.home.root, finance_setting=url)

    def round_trip() -> list[DeliveryRow]:
        found = [arrival for arrival in scan(home, desk.ledger, settle=0) if arrival.feed == "education_finance"]
        return take_in(home, desk.ledger, found, workers=1).deliveries

    [first] = round_trip()
    assert (first.status, first.rows_in) == ("accepted", 3)
    assert round_trip() == []
    finance_table.run(url, "UPDATE education_finance_line SET 金额1 = '99.00', updated_at = '2024-11-02 08:00:00'")
    [second] = round_trip()
    assert desk.active() == [second]


def test_an_edit_that_no_watermark_shows_is_found_by_comparing(tmp_path: Path, desk: Desk) -> None:
    url = f"sqlite:///{tmp_path}/finance.db"
    finance_table.write(url, [finance_table.line("500103", 2023, f"U{number}", 1) for number in range(3)])
    home = Home(desk.home.root, finance_setting=url)

    def round_trip(*, compare: bool) -> list[DeliveryRow]:
        found = intake.scan(home, desk.ledger, settle=0, compare=compare)
        money = [arrival for arrival in found if arrival.feed == "education_finance"]
        return intake.take_in(home, desk.ledger, money, workers=1).deliveries

    [first] = round_trip(compare=False)
    finance_table.run(url, "UPDATE education_finance_line SET 金额2 = '7.00' WHERE 单位代码 = 'U1'")
    assert round_trip(compare=False) == []
    [second] = round_trip(compare=True)
    assert desk.active() == [second]
    assert first.delivery_id != second.delivery_id
    events = len(desk.ledger.events())
    assert round_trip(compare=True) == []
    assert round_trip(compare=True) == []
    assert len(desk.ledger.events()) == events, "the same content compared again is no further event"


def test_a_group_deleted_at_its_source_is_told_recorded_and_counts_until_withdrawn(tmp_path: Path, desk: Desk) -> None:
    url = f"sqlite:///{tmp_path}/finance.db"
    lines = [finance_table.line(area, 2023, "U", 1) for area in ("500103", "500105")]
    finance_table.write(url, lines)
    home = Home(desk.home.root, finance_setting=url)

    def round_trip() -> list[str]:
        found = intake.scan(home, desk.ledger, settle=0)
        money = [arrival for arrival in found if arrival.feed == "education_finance"]
        return intake.take_in(home, desk.ledger, money, workers=1).problems

    assert round_trip() == []
    gone = next(row for row in desk.active() if row.area_code == "500105")
    finance_table.run(url, "DELETE FROM education_finance_line WHERE 地区代码 = '500105'")
    for _ in range(2):
        (problem,) = round_trip()
        assert "500105/2023" in problem
        assert "eduplan withdraw" in problem
    assert [(e.outcome, e.delivery_id) for e in desk.ledger.events() if e.outcome == "vanished"] == [
        ("vanished", gone.delivery_id)
    ]
    assert gone in desk.active(), "nothing is taken away in silence"
    assert desk.ledger.withdraw(gone.delivery_id, reason="财务部门删除", person="张科长")
    assert round_trip() == []
    assert [row.status for row in desk.active()] == ["accepted", "withdrawn"]
