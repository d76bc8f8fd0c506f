"""The dirt that really arrives: each kind handed to the real parsers, and read, set aside or refused as promised."""

from __future__ import annotations

import io
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from sources.parsers import ParseResult
from tests.support import good_deliveries as good
from tests.support.desk import Desk, read, rows, rules, teachers

SCHOOL, FIGURE, TEACHER = "school_census__school", "school_census__figure", "teacher_register__teacher"
Edit = Callable[[openpyxl.Workbook], None]


def edited(edit: Edit, data: bytes | None = None) -> bytes:
    """The good list, opened and changed as an office would."""
    book = openpyxl.load_workbook(io.BytesIO(data or good.write_list(good.list_sheets().values())))
    edit(book)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def spoilt(spoil: Callable[[dict[str, good.Sheet]], None], **options: Any) -> bytes:
    sheets = good.list_sheets(**options)
    spoil(sheets)
    return good.write_list(sheets.values())


def figures(result: ParseResult) -> dict[tuple[str, str, int, int], Decimal]:
    """What was read, without where it stood."""
    return {(r["school_code"], r["form"], r["line_no"], r["column_no"]): r["value"] for r in rows(result, FIGURE)}


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str, int, int], Decimal]:
    data = good.write_list(good.list_sheets().values())
    return figures(read("school_census", data, tmp_path_factory.mktemp("clean")))


def census(data: bytes, tmp_path: Path) -> ParseResult:
    return read("school_census", data, tmp_path)


def teacher_rows(data: bytes, tmp_path: Path) -> list[dict[str, Any]]:
    return rows(read("teacher_register", data, tmp_path), TEACHER)


# -- encodings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "encoding", ["gb18030", "gbk", "utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom", "utf-16-be-bom"]
)
def test_encodings_read_alike(encoding: str, tmp_path: Path) -> None:
    codec = encoding.removesuffix("-bom")
    data = teachers({"主教学科": "语文（镕）"}, encoding=codec)
    if encoding.endswith("-bom"):
        data = "\ufeff".encode(codec) + data
    result = read("teacher_register", data, tmp_path)
    assert rules(result) == []
    assert [row["subject"] for row in rows(result, TEACHER)] == ["语文（镕）", "数学", "数学"]


@pytest.mark.parametrize("character", ["𠮷", "㐂"])
def test_four_byte_characters_of_gb18030(character: str, tmp_path: Path) -> None:
    data = teachers({"主教学科": f"{character}剧"})
    assert len(character.encode("gb18030")) == 4
    assert teacher_rows(data, tmp_path)[0]["subject"] == f"{character}剧"


# -- headers and sheets -----------------------------------------------------------------------------------------------


def _third_header_row(book: openpyxl.Workbook) -> None:
    page = book["教基2105"]
    for merged in list(page.merged_cells.ranges):
        if merged.min_row in {3, 4}:
            page.unmerge_cells(str(merged))
    page.insert_rows(3)
    last = page.max_column
    for column, label in ((1, page["A4"].value), (2, page["B4"].value)):
        page.cell(3, column, label)
        page.cell(4, column).value = None
        page.merge_cells(start_row=3, end_row=5, start_column=column, end_column=column)
    page.cell(3, 3, "学前教育班数")
    page.merge_cells(start_row=3, end_row=3, start_column=3, end_column=last)


def test_a_merged_header_of_three_rows(clean: dict[Any, Decimal], tmp_path: Path) -> None:
    result = census(edited(_third_header_row), tmp_path)
    assert rules(result) == []
    assert figures(result) == clean


def test_a_merged_header_of_two_rows_that_lost_its_merges(clean: dict[Any, Decimal], tmp_path: Path) -> None:
    def unmerge(sheets: dict[str, good.Sheet]) -> None:
        for sheet in sheets.values():
            sheet.merged = False

    result = census(spoilt(unmerge), tmp_path)
    assert rules(result) == []
    assert figures(result) == clean


def _reverse_columns(sheets: dict[str, good.Sheet]) -> None:
    for name, sheet in sheets.items():
        if name == "教基1001":
            continue
        order = [0, 1, *reversed(range(2, len(sheet.paths)))]
        sheet.paths = [sheet.paths[at] for at in order]
        sheet.rows = [[row[at] for at in order] for row in sheet.rows]
        sheet.total = [sheet.total[at] for at in order] if sheet.total else None
        # The index row numbers columns from left to right, whatever was moved.
        sheet.index_row = False


def test_columns_that_moved(clean: dict[Any, Decimal], tmp_path: Path) -> None:
    result = census(spoilt(_reverse_columns), tmp_path)
    assert rules(result) == []
    assert figures(result) == clean


def test_headers_that_moved_down(clean: dict[Any, Decimal], tmp_path: Path) -> None:
    def push(book: openpyxl.Workbook) -> None:
        for page in book.worksheets:
            merged = [str(cells) for cells in page.merged_cells.ranges]
            for cells in merged:
                page.unmerge_cells(cells)
            page.insert_rows(1, 3)
            page["A1"] = "机密"

    result = census(edited(push), tmp_path)
    assert rules(result) == []
    assert figures(result) == clean


def test_headers_that_were_renamed(clean: dict[Any, Decimal], tmp_path: Path) -> None:
    def rename(book: openpyxl.Workbook) -> None:
        for page in book.worksheets:
            for row in page.iter_rows(min_row=1, max_row=4):
                for cell in row:
                    if cell.value in {"学校标识码", "在校生数", "招生数", "#女"}:
                        cell.value = {
                            "学校标识码": "学校（机构）\n标识码",
                            "在校生数": "在校 学生数",
                            "招生数": "招生",
                            "#女": "其中：女",
                        }[cell.value]

    result = census(edited(rename), tmp_path)
    assert rules(result) == []
    assert figures(result) == clean


def test_a_header_nobody_knows_is_told_and_a_missing_one_refuses(tmp_path: Path) -> None:
    def rename(sheets: dict[str, good.Sheet]) -> None:
        sheets["教基3112"].paths[2] = ("出勤数",)

    result = census(spoilt(rename), tmp_path)
    assert result.refused
    assert {"census.unknown_header", "census.missing_column"} <= set(rules(result))


def test_renamed_reordered_headers_of_the_register(tmp_path: Path) -> None:
    known = teacher_rows(teachers(), tmp_path / "a")
    renamed = {"身份证号": "证件号码", "最高学历": "学历", "区域": "所在区县", "统计年度": " 年 度 "}
    headers = [renamed.get(name, name) for name in reversed(good.TEACHER_HEADERS)]
    table = [{renamed.get(name, name): value for name, value in row.items()} for row in good.teacher_rows()]
    result = read("teacher_register", good.table_csv(headers, table), tmp_path / "b")
    assert rules(result) == []
    assert rows(result, TEACHER) == known


def test_sheet_names_with_blanks_and_suffixes(clean: dict[Any, Decimal], tmp_path: Path) -> None:
    def rename(book: openpyxl.Workbook) -> None:
        for page, suffix in zip(book.worksheets, (" ", "_渝中区", "\u3000"), strict=False):
            page.title += suffix

    result = census(edited(rename), tmp_path)
    assert rules(result) == []
    assert figures(result) == clean


# -- totals among details ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", ["合计", "小计", "总　计"])
def test_total_rows_among_details_are_no_schools(label: str, clean: dict[Any, Decimal], tmp_path: Path) -> None:
    def insert(book: openpyxl.Workbook) -> None:
        page = book["教基3112"]
        page.insert_rows(8)
        page.cell(8, 1, label)
        for column in range(3, page.max_column + 1):
            page.cell(8, column, page.cell(6, column).value)

    result = census(edited(insert), tmp_path)
    assert figures(result) == clean
    assert result.rows_in == result.rows_accepted


def test_a_total_that_differs_from_its_parts_is_told(tmp_path: Path) -> None:
    def spoil(sheets: dict[str, good.Sheet]) -> None:
        total = sheets["教基3112"].total
        assert total is not None
        total[8] += 1

    result = census(spoilt(spoil), tmp_path)
    assert rules(result) == ["census.total_mismatch"]
    [found] = result.findings
    assert (found.sheet, found.severity) == ("教基3112", "notice")


# -- numbers and units ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["６０", " 60 ", "60.0", "\u00a060\u200b", "+60", "6\u30000"])
def test_whole_numbers_as_people_type_them(text: str, clean: dict[Any, Decimal], tmp_path: Path) -> None:
    def spoil(sheets: dict[str, good.Sheet]) -> None:
        sheets["教基2105"].rows[0][2] = text

    result = census(spoilt(spoil), tmp_path)
    assert rules(result) == []
    assert figures(result) == clean


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("１，２３４．５", "1234.50"),
        ("1,234", "1234.00"),
        (" 12 ", "12.00"),
        ("12\u00a0", "12.00"),
        ("-0", "0.00"),
        ("0.005", "0.01"),
        ("-3.10", "-3.10"),
    ],
)
def test_amounts_as_people_type_them(text: str, amount: str, tmp_path: Path) -> None:
    table = good.finance_rows()
    table[0]["金额1"] = text
    result = read("education_finance", good.table_csv(good.FINANCE_HEADERS, table, "utf-8"), tmp_path)
    assert rules(result) == []
    assert rows(result, "education_finance__line")[0]["amount_1"] == Decimal(amount)


@pytest.mark.parametrize("text", ["12万元", "1.2e300", "inf", "NaN", "1,23", "1O0", "10⁵", "93.5%", "12.5.1"])
def test_amounts_that_are_no_plain_number_are_set_aside(text: str, tmp_path: Path) -> None:
    table = good.finance_rows()
    table[1]["金额1"] = text
    result = read("education_finance", good.table_csv(good.FINANCE_HEADERS, table, "utf-8"), tmp_path)
    assert rules(result) == ["finance.not_a_number"]
    assert result.findings[0].row_no == 3
    assert (result.rows_in, result.rows_quarantined) == (3, 1)


def test_people_in_tens_of_thousands_are_converted_and_told(clean: dict[Any, Decimal], tmp_path: Path) -> None:
    def spoil(sheets: dict[str, good.Sheet]) -> None:
        sheet = sheets["教基3112"]
        sheet.unit = "万人"
        sheet.rows = [[*row[:2], *(cell / 10_000 if cell != "" else "" for cell in row[2:])] for row in sheet.rows]
        sheet.total = None

    result = census(spoilt(spoil), tmp_path)
    assert rules(result) == ["census.unit_converted"]
    assert figures(result) == clean


def test_a_fraction_of_a_person_is_set_aside(tmp_path: Path) -> None:
    def spoil(sheets: dict[str, good.Sheet]) -> None:
        sheets["教基3112"].rows[0][2] = 0.006

    result = census(spoilt(spoil), tmp_path)
    assert "census.not_whole" in rules(result)
    assert "万人" in next(found.remedy_zh for found in result.findings if found.rule_id == "census.not_whole")


@pytest.mark.parametrize("text", ["93.5%", "93.5", "９３．５％", " 93.5 %"])
def test_a_percentage_beside_a_fraction(text: str, tmp_path: Path) -> None:
    table = good.official_rows()
    for row, value in zip(table, (text, "0.935"), strict=True):
        row |= {"indicator_zh": "普惠率", "indicator_id": "", "unit_zh": "%", "value": value}
    result = read("official_figures", good.table_csv(good.OFFICIAL_HEADERS, table, "utf-8"), tmp_path)
    # The same share written as a fraction is not 0.935 %; nor may anyone guess that it was 93.5 %.
    assert rules(result) == ["official.fraction_or_percent"]
    assert result.findings[0].row_no == 3
    assert [row["value"] for row in rows(result, "official_figures__figure")] == [Decimal("93.5000")]


def test_money_keeps_the_unit_it_was_printed_with(tmp_path: Path) -> None:
    table = good.official_rows()
    table[0] |= {"indicator_zh": "教育经费", "value": "1,200", "unit_zh": "万元", "indicator_id": ""}
    table[1] |= {"indicator_zh": "教育经费", "value": "12000000", "unit_zh": "元", "indicator_id": ""}
    result = read("official_figures", good.table_csv(good.OFFICIAL_HEADERS, table, "utf-8"), tmp_path)
    assert rules(result) == []
    found = [(row["value"], row["unit_zh"]) for row in rows(result, "official_figures__figure")]
    assert found == [(Decimal("1200.0000"), "万元"), (Decimal("12000000.0000"), "元")]


# -- identity numbers and dates ---------------------------------------------------------------------------------------

X_NUMBER = next(
    number
    for number in (good.with_check_digit(f"500103199003070{serial:02d}") for serial in range(1, 100))
    if number.endswith("X")
)


@pytest.mark.parametrize(
    "spelling", [str.lower, lambda text: text + " ", lambda text: " " + text, lambda t: t + "\u3000"]
)
def test_spellings_of_one_identity_number_are_one_person(spelling: Callable[[str], str], tmp_path: Path) -> None:
    sex = "男" if int(X_NUMBER[16]) % 2 else "女"
    known = teacher_rows(teachers({"身份证号": X_NUMBER, "性别": sex}), tmp_path / "a")
    found = read("teacher_register", teachers({"身份证号": spelling(X_NUMBER), "性别": sex}), tmp_path / "b")
    assert rules(found) == []
    assert rows(found, TEACHER)[0]["person_key"] == known[0]["person_key"]


@pytest.mark.parametrize(
    ("number", "rule"),
    [
        ("5.00103E+17", "teacher.bad_id_format"),
        ("500103199003070000", "teacher.bad_id_checksum"),
        (good.with_check_digit("50010319900230001"), "teacher.bad_id_date"),
        ("", "teacher.missing_required"),
    ],
)
def test_spoilt_identity_numbers_are_set_aside_and_never_shown(number: str, rule: str, tmp_path: Path) -> None:
    result = read("teacher_register", teachers({"身份证号": number}), tmp_path)
    assert rules(result) == [rule]
    [found] = result.findings
    assert (found.row_no, found.severity) == (2, "quarantine")
    shown = f"{found.message_zh}{found.remedy_zh}{found.masked_value}"
    assert not number or number not in shown.replace(found.remedy_zh, "")
    assert len(rows(result, TEACHER)) == 2


@pytest.mark.parametrize("text", ["45495", "1990年2月", "1990.2", "19900230", "2024-07-32 09:30:00"])
def test_dates_that_are_none_are_set_aside(text: str, tmp_path: Path) -> None:
    table = good.finance_rows()
    table[0]["updated_at"] = text
    result = read("education_finance", good.table_csv(good.FINANCE_HEADERS, table, "utf-8"), tmp_path)
    assert rules(result) == ["finance.bad_timestamp"]
    assert result.findings[0].row_no == 2


@pytest.mark.parametrize("text", ["45495", "1990年2月", "1990.2", "19900230"])
def test_dates_of_a_life_are_never_read(text: str, tmp_path: Path) -> None:
    known = teacher_rows(teachers(), tmp_path / "a")
    assert teacher_rows(teachers(everywhere={"入编时间": text}), tmp_path / "b") == known


@pytest.mark.parametrize("text", ["2023年9月", "45189", "20230931", "2023年9月31日"])
def test_a_reporting_date_that_is_none_leaves_the_date_open(text: str, tmp_path: Path) -> None:
    def spoil(sheets: dict[str, good.Sheet]) -> None:
        for sheet in sheets.values():
            sheet.notes = [f"填报日期：{text}"]

    result = census(spoilt(spoil), tmp_path)
    assert result.reported_on is None
    assert result.rows_in == result.rows_accepted


# -- places -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("开县", "500154"),
        ("武隆县", "500156"),
        ("酉阳", "500242"),
        ("忠　县", "500233"),
        ("重庆市忠县", "500233"),
        ("万盛", "500110"),
        ("万盛经开区", "500110"),
        ("市直属", "500000"),
    ],
)
def test_names_of_districts_in_the_register(name: str, code: str, tmp_path: Path) -> None:
    result = read("teacher_register", teachers(everywhere={"区域": name}), tmp_path)
    assert rules(result) == []
    assert {row["area_code"] for row in rows(result, TEACHER)} == {code}


def test_wansheng_counts_within_qijiang(tmp_path: Path) -> None:
    table = [row | {"区域": "綦江区"} for row in good.teacher_rows()]
    table[0]["区域"] = "万盛"
    result = read("teacher_register", good.table_csv(good.TEACHER_HEADERS, table), tmp_path)
    assert rules(result) == []
    assert {row["area_code"] for row in rows(result, TEACHER)} == {"500110"}


@pytest.mark.parametrize(("name", "code"), [("开县", "500154"), ("酉阳", "500242"), ("忠　县", "500233")])
def test_names_of_districts_in_titles(name: str, code: str, tmp_path: Path) -> None:
    data = good.write_list(good.list_sheets(area=code, area_zh=name).values())
    result = census(data, tmp_path)
    assert rules(result) == []
    assert result.area_code == code


def test_a_list_of_wansheng_alone_would_replace_qijiang_and_is_refused(tmp_path: Path) -> None:
    result = census(good.write_list(good.list_sheets(area="500110", area_zh="万盛经开区").values()), tmp_path)
    assert rules(result) == ["census.unknown_area"]
    assert result.refused


# -- schools through the years ----------------------------------------------------------------------------------------


def _named(schools: list[tuple[str, ...]], year: int, tmp_path: Path) -> dict[str, tuple[str, str]]:
    result = census(good.write_list(good.list_sheets(schools, year=year).values()), tmp_path / str(year))
    assert rules(result) == []
    return {row["school_code"]: (row["school_name"], row["school_type_code"]) for row in rows(result, SCHOOL)}


def test_schools_are_taken_as_each_year_names_them(tmp_path: Path) -> None:
    kindergarten, primary, nine_years, *rest = good.SCHOOLS
    renamed = (primary[0], "乙实验小学", *primary[2:])
    split_off = ("2150000002", "乙小学分校", *primary[2:])
    new_type = ("3650000009", "戊技师学校", "366", "811", "121")
    before = _named([kindergarten, primary, nine_years, *rest], 2022, tmp_path)
    # Renamed (same code), split off (a new code), merged away or closed (gone), changed in type (a new code).
    after = _named([renamed, split_off, nine_years, *rest[:1], new_type, *rest[2:]], 2023, tmp_path)
    assert (before[primary[0]][0], after[primary[0]][0]) == ("乙小学", "乙实验小学")
    assert set(after) - set(before) == {split_off[0], new_type[0]}
    assert set(before) - set(after) == {kindergarten[0], rest[1][0]}


# -- the same again, another, a correction ----------------------------------------------------------------------------


def _list(*, reported: str, pupils: int = 0, year: int = good.YEAR) -> bytes:
    def spoil(sheets: dict[str, good.Sheet]) -> None:
        for sheet in sheets.values():
            sheet.notes = [f"填报日期：{reported}"]
        sheets["教基3120"].rows[0][2] += pupils
        sheets["教基3120"].total = None

    return spoilt(spoil, year=year)


def test_same_file_other_name_other_file_same_name(desk: Desk) -> None:
    desk.put("teacher_register", "a.csv", teachers(), at=1)
    desk.put("teacher_register", "b.csv", teachers(), at=2)
    first = desk.take_in()
    assert (len(first.deliveries), first.duplicates) == (1, 1)
    desk.put("teacher_register", "a.csv", teachers({"主教学科": "语文"}), at=3)
    [second] = desk.take_in().deliveries
    assert desk.active() == [second]
    assert second.delivery_id != first.deliveries[0].delivery_id


def test_a_correction_wins_and_an_older_one_after_it_does_not(desk: Desk) -> None:
    for at, (reported, pupils) in enumerate([("2023年9月20日", 0), ("2023年10月20日", 1), ("2023年10月8日", 2)]):
        desk.put("school_census", f"{at}.xlsx", _list(reported=reported, pupils=pupils), at=at)
    report = desk.take_in()
    assert [row.status for row in report.deliveries] == ["accepted"] * 3
    assert desk.active() == [report.deliveries[1]]


def test_next_years_file_too_early_is_told_and_replaces_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDUPLAN_NOW", "2023-11-01T10:00:00+08:00")
    desk.put("school_census", "now.xlsx", _list(reported="2023年9月20日"), at=1)
    desk.put("school_census", "next.xlsx", _list(reported="2023年10月20日", year=2024), at=2)
    now, ahead = desk.take_in().deliveries
    assert desk.told(now) == []
    assert desk.told(ahead) == ["intake.period_ahead"]
    assert "2024-09-01" in desk.letter(ahead)
    assert {(row.period, row.delivery_id) for row in desk.active()} == {
        (2023, now.delivery_id),
        (2024, ahead.delivery_id),
    }


def test_a_file_for_the_wrong_district_is_refused(desk: Desk) -> None:
    wrong_title = good.write_list(good.list_sheets(area_zh="江北区").values())
    desk.put("school_census", "渝中区/title.xlsx", wrong_title, at=1)
    desk.put("teacher_register", "江北区/of-yuzhong.csv", teachers(), at=2)
    desk.put("teacher_register", "市教委/of-yuzhong.csv", teachers({"主教学科": "语文"}), at=3)
    title, folder, office = desk.take_in().deliveries
    assert (title.status, desk.told(title)[0]) == ("refused", "census.wrong_area")
    assert (folder.status, desk.told(folder)) == ("refused", ["intake.foreign_sender"])
    assert "渝中区" in desk.letter(folder)
    assert office.status == "accepted"
    assert [row for row in desk.active() if row.feed == "teacher_register"] == [office]
