"""Small good deliveries of every feed, built in memory from the contracts; tests spoil them one rule at a time."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import xlsxwriter

from sources.catalogue import Catalogue, Form, SheetLayout
from sources.contract import load

YEAR = 2023
AREA = "500103"
# A workbook carries the second it was written in: without a fixed one, equal tables would be different deliveries.
WRITTEN = datetime(2023, 9, 20)  # noqa: DTZ001 - the writer wants it without a zone

# code, name, type, organiser, urban/rural
SCHOOLS = (
    ("1150000001", "甲幼儿园", "111", "999", "111"),
    ("2150000001", "乙小学", "211", "811", "111"),
    ("3150000001", "丙九年制学校", "312", "811", "112"),
    ("3450000001", "丁中学", "341", "811", "121"),
    ("3650000001", "戊职业高中", "365", "811", "121"),
    ("5150000001", "己特教学校", "514", "811", "220"),
)


def catalogue() -> Catalogue:
    return load("school_census").catalogue


def good_value(form: Form, address: tuple[int, int]) -> int:
    """60 for totals, an equal share for parts of a sum, 7 for everything else: every check of the catalogue holds."""
    for check in form.checks:
        if address == check.whole:
            return 60
    for check in form.checks:
        if check.kind == "sum" and address in check.parts:
            return 60 // len(check.parts)
    return 7


@dataclass
class Sheet:
    """A list sheet before writing; `paths` are header paths, `rows` school rows, `above`/`below` free rows."""

    name: str
    title: str
    unit: str
    paths: list[tuple[str, ...]]
    rows: list[list[Any]]
    total: list[Any] | None = None
    notes: list[str] = field(default_factory=lambda: ["注：据实填报。填报日期：2023年9月20日"])
    index_row: bool = True
    merged: bool = True


def profile_row(school: Sequence[str], area: str = AREA) -> list[Any]:
    code, name, kind, organiser, urban = school
    kindergarten = kind == "111"
    values = {
        "school_code": code,
        "school_name": name,
        "school_type_code": kind,
        "organiser_code": organiser,
        "urban_rural_code": urban,
        "address_code": f"{area}001001",
        "authority_code": f"{area}000000",
        "kindergarten_grade": "一级" if kindergarten else "",
        "inclusive_private": "是" if kindergarten and organiser == "999" else "",
        "group_schooling": "否",
        "district_schooling": "是",
        "ethnic_school": "否",
    }
    return [values.get(entry.field, "") for entry in catalogue().profile.fields]


def list_sheets(
    schools: Sequence[Sequence[str]] = SCHOOLS, *, year: int = YEAR, area: str = AREA, area_zh: str = "渝中区"
) -> dict[str, Sheet]:
    """A complete collated list as sheets by name."""
    known = catalogue()
    title = "重庆市" + known.list_layout.title.format(area=area_zh, year=year, next_year=year + 1)
    profile = known.profile
    name = profile.sheet_of(year).name
    sheets = {
        name: Sheet(
            name,
            title,
            profile.unit,
            [entry.listed for entry in profile.fields],
            [profile_row(school, area) for school in schools],
        )
    }
    for layout in known.layouts(year).values():
        sheets[layout.name] = _figure_sheet(layout, title, schools)
    return sheets


def _figure_sheet(layout: SheetLayout, title: str, schools: Sequence[Sequence[str]]) -> Sheet:
    rows: list[list[Any]] = []
    forms = {block.form.form: block.form for block in layout.blocks}
    for school in schools:
        mine = {number for number, form in forms.items() if school[2] in form.required_for}
        if mine:
            figures = [
                good_value(forms[column.form], (column.line, column.column)) if column.form in mine else ""
                for column in layout.list_columns
            ]
            rows.append([school[0], school[1], *figures])
    stubs = list(catalogue().list_layout.stub_headers.values())
    paths = [(label,) for label in stubs] + [column.path for column in layout.list_columns]
    total = ["总计", "", *(sum(v for v in column if v != "") for column in list(zip(*rows, strict=True))[2:])]
    return Sheet(layout.name, title, layout.unit, paths, rows, total)


def write_list(sheets: Iterable[Sheet]) -> bytes:
    """The list as .xlsx: merged title, unit row, two merged header rows, index row, 总计, rows, notes."""
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"in_memory": True}) as book:
        book.set_properties({"created": WRITTEN})
        for sheet in sheets:
            page = book.add_worksheet(sheet.name)
            width = len(sheet.paths)
            if sheet.merged:
                page.merge_range(0, 0, 0, width - 1, sheet.title)
            else:
                page.write(0, 0, sheet.title)
            page.write(1, 0, f"{sheet.name}    单位：{sheet.unit}" if sheet.unit else sheet.name)
            _write_header(page, sheet)
            row = 4
            if sheet.index_row:
                marks = ["甲", "乙", *(str(n) for n in range(1, width - 1))]
                page.write_row(4, 0, marks)
                row = 5
            for values in ([sheet.total] if sheet.total else []) + sheet.rows:
                for column, value in enumerate(values):
                    if value != "":
                        page.write(row, column, value)
                row += 1
            for note in sheet.notes:
                page.write(row, 0, note)
                row += 1
    return buffer.getvalue()


def _write_header(page: Any, sheet: Sheet) -> None:
    column = 0
    while column < len(sheet.paths):
        path = sheet.paths[column]
        if len(path) == 1:
            if sheet.merged:
                page.merge_range(2, column, 3, column, path[0])
            else:
                page.write(2, column, path[0])
            column += 1
            continue
        last = column
        while last + 1 < len(sheet.paths) and len(sheet.paths[last + 1]) == 2 and sheet.paths[last + 1][0] == path[0]:
            last += 1
        if sheet.merged and last > column:
            page.merge_range(2, column, 2, last, path[0])
        else:
            page.write(2, column, path[0])
        for at in range(column, last + 1):
            page.write(3, at, sheet.paths[at][1])
        column = last + 1


# -- school workbooks (form year from 2021) ---------------------------------------------------------------------------


@dataclass
class Page:
    """A sheet of a school workbook: rows of cells as they stand."""

    name: str
    rows: list[list[Any]]


def school_pages(school: Sequence[str], *, year: int = YEAR, area: str = AREA) -> list[Page]:
    """A school's workbook in the forms from 2021: vertical profile, figures by line and column."""
    known = catalogue()
    head = [[f"学校（机构）基本情况（{year}/{year + 1}学年初）"], [""], ["指标名称", "代码", "内容"], ["甲", "乙", "1"]]
    values = profile_row(school, area)
    lines = [
        [entry.label, f"{entry.line:02d}", value] for entry, value in zip(known.profile.fields, values, strict=True)
    ]
    pages = [Page(known.profile.sheet_of(year).name, head + lines)]
    for layout in known.layouts(year).values():
        if any(school[2] in block.form.required_for for block in layout.blocks):
            pages.append(_form_page(layout))
    return pages


def _form_page(layout: SheetLayout) -> Page:
    width = max(column.number for block in layout.blocks for column in block.form.columns)
    rows: list[list[Any]] = [[layout.title], [f"{layout.name}  单位：{layout.unit}"], ["指标名称", "代码"]]
    rows.append(["甲", "乙", *(str(number) for number in range(1, width + 1))])
    for block in layout.blocks:
        for line in block.form.lines:
            if line.number in block.lines:
                cells = [
                    str(good_value(block.form, (line.number, number))) if number in block.form.column_by_no else "*"
                    for number in range(1, width + 1)
                ]
                rows.append([line.label, str(line.number + block.sheet.line_offset), *cells])
    return Page(layout.name, rows)


def write_pages(pages: Iterable[Page]) -> bytes:
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"in_memory": True}) as book:
        book.set_properties({"created": WRITTEN})
        for page in pages:
            sheet = book.add_worksheet(page.name)
            for row, cells in enumerate(page.rows):
                for column, value in enumerate(cells):
                    if value != "":
                        sheet.write(row, column, value)
    return buffer.getvalue()


def write_zip(members: dict[str, bytes]) -> bytes:
    """A zip whose names are GB18030 bytes without the UTF-8 flag, as district offices make them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(_Gb18030Info(name), data)
    return buffer.getvalue()


class _Gb18030Info(zipfile.ZipInfo):
    def _encodeFilenameFlags(self) -> tuple[bytes, int]:
        return self.filename.encode("gb18030"), 0


def good_zip() -> dict[str, bytes]:
    return {f"渝中区/{school[1]}.xlsx": write_pages(school_pages(school)) for school in SCHOOLS[:2]}


# -- tables -----------------------------------------------------------------------------------------------------------

# Valid by GB 11643; synthetic (the sequence numbers are those of no living person known to the project).
IDS = ("500103198501150016", "500103199003070029", "500103197812250032")


def with_check_digit(seventeen: str) -> str:
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    rest = sum(int(digit) * weight for digit, weight in zip(seventeen, weights, strict=True)) % 11
    return seventeen + "10X98765432"[rest]


TEACHER_HEADERS = [
    *("校名", "学校类型", "统一社会信用代码", "姓名", "身份证号", "性别", "民族", "最高学历", "入编时间", "最高职称"),
    *("现聘职称", "任教学段", "主教学科", "教师资格学段", "骨干教师", "手机号", "常住地址", "区域", "统计年度"),
    *(
        "学校标识码",
        "岗位类别",
        "是否双师型",
        "是否专业课教师",
        "身份证件类型",
        "是否音体美专任教师",
        "2023年9月在岗状态",
    ),
]


def teacher_rows() -> list[dict[str, str]]:
    base = {
        "校名": "乙小学",
        "姓名": "某某",
        "性别": "男",
        "民族": "汉族",
        "最高学历": "大学本科毕业",
        "入编时间": "2010-09-01",
        "最高职称": "一级教师",
        "现聘职称": "一级教师",
        "任教学段": "小学",
        "主教学科": "数学",
        "教师资格学段": "小学",
        "骨干教师": "区级骨干、校级骨干",
        "手机号": "13900000000",
        "常住地址": "某街某号",
        "区域": "渝中区",
        "统计年度": "2023",
        "学校标识码": "2150000001",
        "岗位类别": "专任教师",
        "是否双师型": "否",
        "是否专业课教师": "否",
        "身份证件类型": "居民身份证",
        "是否音体美专任教师": "否",
        "2023年9月在岗状态": "在岗",
    }
    numbers = [with_check_digit(number[:17]) for number in IDS]
    return [base | {"身份证号": number, "性别": "男" if int(number[16]) % 2 else "女"} for number in numbers]


def table_csv(headers: Sequence[str], rows: Iterable[dict[str, Any]], encoding: str = "gb18030") -> bytes:
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, headers, restval="", extrasaction="ignore", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode(encoding)


def table_xlsx(headers: Sequence[str], rows: Iterable[dict[str, Any]]) -> bytes:
    return write_pages([Page("Sheet1", [list(headers), *([row.get(name, "") for name in headers] for row in rows)])])


FINANCE_HEADERS = (
    ["年度", "单位代码", "单位名称", "学校标识码", "地区代码", "学校类别代码", "表号", "行次", "项目"]
    + [f"金额{number}" for number in range(1, 9)]
    + ["updated_at"]
)


def finance_rows() -> list[dict[str, Any]]:
    base = {
        "年度": "2023",
        "单位代码": "U001",
        "单位名称": "乙小学",
        "学校标识码": "2150000001",
        "地区代码": "500103",
        "学校类别代码": "61",
        "项目": "合计",
        "updated_at": "2024-07-22 09:30:00",
    }
    return [
        base | {"表号": "jz_1", "行次": "1", "金额1": "1000", "金额2": "1090"},
        base | {"表号": "jz_3", "行次": "1", "金额1": "12345678.90", "金额3": "9000000.00"},
        base | {"表号": "jz_3", "行次": "2", "金额1": "5000000", "项目": "工资福利支出"},
    ]


OFFICIAL_HEADERS = [
    *("indicator_id", "indicator_zh", "level_zh", "area_code", "stat_year", "ref_period", "value", "unit_zh"),
    *("unit_original", "source", "confidence", "note"),
]


def official_rows() -> list[dict[str, Any]]:
    base = {
        "indicator_id": "pre_enrolment",
        "indicator_zh": "在园幼儿数",
        "level_zh": "学前",
        "area_code": "500000",
        "stat_year": "2020",
        "ref_period": "2020",
        "value": "100.8",
        "unit_zh": "万人",
        "source": "plan",
        "confidence": "high",
    }
    return [base, base | {"stat_year": "2021", "ref_period": "2021", "value": "101.2"}]


Spoil = Callable[[Any], None]
