"""Every rule of every contract has a delivery that obeys it and one that breaks it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sources import contract
from sources.parsers import ParseResult, parse
from tests.support import good_deliveries as good
from tests.support.flat_deliveries import FLAT_BAD, FLAT_GOOD

Build = Callable[[], bytes]
KEY = b"k" * 32


def run(feed: str, data: bytes, tmp_path: Path) -> ParseResult:
    path = tmp_path / "delivery"
    path.write_bytes(data)
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    return parse(feed, path, file_name="x", delivery_id="d0", key=KEY, out_dir=out)


def census_list(spoil: Callable[[dict[str, good.Sheet]], None] | None = None, **options: Any) -> Build:
    def build() -> bytes:
        sheets = good.list_sheets(**options)
        if spoil is not None:
            spoil(sheets)
        return good.write_list(sheets.values())

    return build


def cell(sheet: str, row: int, column: int, value: Any) -> Build:
    """The list with one cell changed (row and column 0-based within the school rows)."""

    def spoil(sheets: dict[str, good.Sheet]) -> None:
        sheets[sheet].rows[row][column] = value

    return census_list(spoil)


def census_zip(spoil: Callable[[dict[str, bytes]], None] | None = None) -> Build:
    def build() -> bytes:
        members = good.good_zip()
        if spoil is not None:
            spoil(members)
        return good.write_zip(members)

    return build


def zip_page(name: str, change: Callable[[good.Page], None], school: int = 1) -> Build:
    """The zip with one page of one school's workbook changed."""

    def spoil(members: dict[str, bytes]) -> None:
        pages = good.school_pages(good.SCHOOLS[school])
        change(next(page for page in pages if page.name == name))
        members[f"渝中区/{good.SCHOOLS[school][1]}.xlsx"] = good.write_pages(pages)

    return census_zip(spoil)


def at(row: int, column: int, value: Any) -> Callable[[good.Page], None]:
    def change(page: good.Page) -> None:
        page.rows[row][column] = value

    return change


def append(*cells: Any) -> Callable[[good.Page], None]:
    return lambda page: page.rows.append(list(cells))


def sheet_change(name: str, **changes: Any) -> Build:
    def spoil(sheets: dict[str, good.Sheet]) -> None:
        for key, value in changes.items():
            setattr(sheets[name], key, value)

    return census_list(spoil)


def drop(name: str) -> Build:
    return census_list(lambda sheets: sheets.pop(name))  # type: ignore[arg-type, return-value]


def rename_header(name: str, column: int, path: tuple[str, ...]) -> Build:
    def spoil(sheets: dict[str, good.Sheet]) -> None:
        sheets[name].paths[column] = path

    return census_list(spoil)


def extra_column(sheets: dict[str, good.Sheet]) -> None:
    sheet = sheets["教基2105"]
    sheet.paths.append(("自编栏目",))
    sheet.rows = [[*row, 1] for row in sheet.rows]
    sheet.total = None


def add_sheet(sheets: dict[str, good.Sheet]) -> None:
    sheets["自编表"] = good.Sheet("自编表", "自编", "", [("a",), ("b",), ("c",)], [])


def duplicate_row(sheets: dict[str, good.Sheet]) -> None:
    sheets["教基2105"].rows.append(list(sheets["教基2105"].rows[0]))


def foreign_school(sheets: dict[str, good.Sheet]) -> None:
    fields = [entry.field for entry in good.catalogue().profile.fields]
    sheets["教基1001"].rows[0][fields.index("authority_code")] = "500105000000"


def escape(members: dict[str, bytes]) -> None:
    members["../outside.xlsx"] = next(iter(members.values()))


def drop_page(members: dict[str, bytes]) -> None:
    pages = [page for page in good.school_pages(good.SCHOOLS[1]) if page.name != "教基3112"]
    members["渝中区/乙小学.xlsx"] = good.write_pages(pages)


def no_rows(sheets: dict[str, good.Sheet]) -> None:
    for sheet in sheets.values():
        sheet.rows, sheet.total = [], None


PROFILE = [entry.field for entry in good.catalogue().profile.fields]

CENSUS_BAD: dict[str, Build] = {
    "census.unreadable": lambda: b"PK\x03\x04 not a zip",
    "census.unsafe_archive": census_zip(escape),
    "census.unknown_title": census_list(
        lambda sheets: [setattr(sheet, "title", "一览表") for sheet in sheets.values()]
    ),  # type: ignore[arg-type, return-value]
    "census.unknown_area": census_list(area_zh="某某区"),
    "census.title_conflict": sheet_change("教基2105", title="重庆市渝中区2022/2023学年初教育事业统计一览表"),
    "census.wrong_area": census_list(area_zh="江北区"),
    "census.missing_sheet": drop("教基3112"),
    "census.missing_column": rename_header("教基3112", 2, ("面目全非",)),
    "census.no_rows": census_list(no_rows),
    "census.unknown_unit": sheet_change("教基3112", unit="千克"),
    "census.unit_converted": sheet_change("教基3112", unit="万人"),
    "census.unknown_sheet": census_list(add_sheet),
    "census.unknown_member": census_zip(lambda members: members.update({"说明.txt": "说明".encode()})),
    "census.unknown_header": census_list(extra_column),
    "census.explanation": census_zip(
        lambda members: members.update(
            {
                "渝中区/乙小学.xlsx": good.write_pages(
                    [
                        *good.school_pages(good.SCHOOLS[1]),
                        good.Page("教基1102续表1", [["数据核查结果说明及建议"], ["本校当年扩班，招生增加属实。"]]),
                    ]
                )
            }
        )
    ),
    "census.total_mismatch": sheet_change("教基2105", total=["总计", "", 61, 15, 15, 15, 15]),
    "census.school_without_figures": sheet_change("教基3112", rows=[], total=None),
    "census.unknown_line": zip_page("教基3112", append("其他", "", "5")),
    "census.duplicate_line": zip_page("教基3112", append("#女", "2", "1")),
    "census.total_line_quarantined": zip_page("教基3112", at(4, 2, "很多")),
    "census.missing_school_code": cell("教基1001", 0, 0, ""),
    "census.bad_school_code": cell("教基1001", 0, 0, "115000001"),
    "census.missing_school_name": cell("教基1001", 0, 1, ""),
    "census.duplicate_school": census_list(duplicate_row),
    "census.unknown_school_type": cell("教基1001", 0, PROFILE.index("school_type_code"), "777"),
    "census.unknown_code": cell("教基1001", 0, PROFILE.index("organiser_code"), "个人"),
    "census.wrong_area_row": census_list(foreign_school),
    "census.school_profile_missing": cell("教基2105", 0, 0, "1150000009"),
    "census.not_a_number": cell("教基2105", 0, 2, "约六十"),
    "census.negative": cell("教基2105", 0, 3, -15),
    "census.not_whole": cell("教基2105", 0, 3, 15.5),
    "census.sum_mismatch": cell("教基2105", 0, 3, 16),
    "census.subset_exceeds": cell("教基3120", 0, 5, 61),
}


def teachers(change: dict[str, str] | None = None, **options: Any) -> Build:
    """The register with the first row changed."""

    def build() -> bytes:
        rows = good.teacher_rows()
        rows[0] |= change or {}
        return good.table_csv(options.get("headers", good.TEACHER_HEADERS), rows)

    return build


def all_teachers(change: dict[str, str]) -> Build:
    return lambda: good.table_csv(good.TEACHER_HEADERS, [row | change for row in good.teacher_rows()])


def _ragged(data: bytes) -> bytes:
    lines = data.split(b"\r\n")
    lines[2] += b",extra"
    return b"\r\n".join(lines)


HEADERS = good.TEACHER_HEADERS
TEACHER_BAD: dict[str, Build] = {
    "teacher.unreadable": lambda: b"",
    "teacher.no_rows": lambda: good.table_csv(HEADERS, []),
    "teacher.missing_column": teachers(headers=[name for name in HEADERS if name != "统计年度"]),
    "teacher.duplicate_column": teachers(headers=[*HEADERS, "学校代码"]),
    "teacher.unknown_area": all_teachers({"区域": "某某区"}),
    "teacher.unknown_year": all_teachers({"统计年度": "去年"}),
    "teacher.unknown_header": teachers(headers=[*HEADERS, "自编列"]),
    "teacher.ragged_row": lambda: _ragged(good.table_csv(HEADERS, good.teacher_rows())),
    "teacher.missing_required": teachers({"任教学段": ""}),
    "teacher.wrong_area": teachers({"区域": "江北区"}),
    "teacher.wrong_year": teachers({"统计年度": "2022"}),
    "teacher.bad_school_code": teachers({"学校标识码": "215000001"}),
    "teacher.bad_id_format": teachers({"身份证号": "5.00103E+17"}),
    "teacher.bad_id_date": teachers({"身份证号": good.with_check_digit("50010319900230001")}),
    "teacher.bad_id_checksum": teachers({"身份证号": "500103199003070010"}),
    "teacher.age_out_of_range": teachers({"身份证号": good.with_check_digit("50010319200307001")}),
    "teacher.unknown_code": teachers({"最高学历": "自学成才"}),
    "teacher.unknown_label": teachers({"最高职称": "大师"}),
    "teacher.old_id_number": teachers({"身份证号": good.IDS[0][:6] + good.IDS[0][8:17]}),
    "teacher.sex_conflict": teachers({"性别": "女"}),
    "teacher.not_in_post": teachers({"2023年9月在岗状态": "退休"}),
    "teacher.duplicate_teacher": lambda: good.table_csv(HEADERS, [*good.teacher_rows(), good.teacher_rows()[0]]),
}


def finance(change: dict[str, str] | None = None, **options: Any) -> Build:
    def build() -> bytes:
        rows = good.finance_rows()
        rows[0] |= change or {}
        return good.table_csv(options.get("headers", good.FINANCE_HEADERS), rows, "utf-8")

    return build


def all_finance(change: dict[str, str]) -> Build:
    return lambda: good.table_csv(good.FINANCE_HEADERS, [row | change for row in good.finance_rows()], "utf-8")


FINANCE_BAD: dict[str, Build] = {
    "finance.unreadable": lambda: b"",
    "finance.no_rows": lambda: good.table_csv(good.FINANCE_HEADERS, [], "utf-8"),
    "finance.missing_column": finance(headers=[name for name in good.FINANCE_HEADERS if name != "行次"]),
    "finance.duplicate_column": finance(headers=[*good.FINANCE_HEADERS, "dwdm"]),
    "finance.unknown_area": all_finance({"地区代码": "110101"}),
    "finance.unknown_year": all_finance({"年度": "上年"}),
    "finance.unknown_header": finance(headers=[*good.FINANCE_HEADERS, "金额9"]),
    "finance.ragged_row": lambda: _ragged(good.table_csv(good.FINANCE_HEADERS, good.finance_rows(), "utf-8")),
    "finance.missing_required": finance({"单位代码": ""}),
    "finance.wrong_area": finance({"地区代码": "500105"}),
    "finance.wrong_year": finance({"年度": "2022"}),
    "finance.unknown_form": finance({"表号": "jz_9"}),
    "finance.bad_line": finance({"行次": "第一"}),
    "finance.unknown_code": finance({"学校类别代码": "999"}),
    "finance.bad_school_code": finance({"学校标识码": "abc"}),
    "finance.not_a_number": finance({"金额1": "一千"}),
    "finance.bad_timestamp": finance({"updated_at": "昨天"}),
    "finance.duplicate_key": lambda: good.table_csv(
        good.FINANCE_HEADERS, [*good.finance_rows(), good.finance_rows()[0]], "utf-8"
    ),
}


def official(change: dict[str, str] | None = None, **options: Any) -> Build:
    def build() -> bytes:
        rows = good.official_rows()
        rows[0] = rows[0] | (change or {})
        return good.table_csv(options.get("headers", good.OFFICIAL_HEADERS), rows, "utf-8")

    return build


OFFICIAL_BAD: dict[str, Build] = {
    "official.unreadable": lambda: b"",
    "official.no_rows": lambda: good.table_csv(good.OFFICIAL_HEADERS, [], "utf-8"),
    "official.missing_column": official(headers=[name for name in good.OFFICIAL_HEADERS if name != "value"]),
    "official.duplicate_column": official(headers=[*good.OFFICIAL_HEADERS, "数值"]),
    "official.unknown_header": official(headers=[*good.OFFICIAL_HEADERS, "remark"]),
    "official.ragged_row": lambda: _ragged(good.table_csv(good.OFFICIAL_HEADERS, good.official_rows(), "utf-8")),
    "official.missing_required": official({"source": ""}),
    "official.not_finite": official({"value": "inf"}),
    "official.unknown_unit": official({"unit_zh": "千克"}),
    "official.fraction_or_percent": official({"value": "0.935", "unit_zh": "%"}),
    "official.unknown_area": official({"area_code": "999999"}),
    "official.bad_year": official({"stat_year": "十四五"}),
    "official.duplicate_figure": lambda: good.table_csv(
        good.OFFICIAL_HEADERS, [*good.official_rows(), good.official_rows()[0]], "utf-8"
    ),
}

GOOD: dict[str, list[Build]] = {
    "school_census": [census_list(), census_zip()],
    "teacher_register": [teachers(), lambda: good.table_xlsx(HEADERS, good.teacher_rows())],
    "education_finance": [finance()],
    "official_figures": [official()],
    **FLAT_GOOD,
}
BAD: dict[str, dict[str, Build]] = {
    "school_census": CENSUS_BAD,
    "teacher_register": TEACHER_BAD,
    "education_finance": FINANCE_BAD,
    "official_figures": OFFICIAL_BAD,
    **FLAT_BAD,
}
CASES = [(feed, rule) for feed in contract.feeds() for rule in contract.load(feed).rules]


def test_every_rule_has_a_failing_delivery_and_no_other_has() -> None:
    for feed in contract.feeds():
        assert set(BAD[feed]) == set(contract.load(feed).rules)


@pytest.mark.parametrize("feed", sorted(GOOD))
def test_good_deliveries_break_no_rule(feed: str, tmp_path: Path) -> None:
    for build in GOOD[feed]:
        result = run(feed, build(), tmp_path)
        assert result.findings == []
        assert not result.refused
        assert result.rows_in == result.rows_accepted > 0


@pytest.mark.parametrize(("feed", "rule"), CASES)
def test_rule_catches_its_breach(feed: str, rule: str, tmp_path: Path) -> None:
    result = run(feed, BAD[feed][rule](), tmp_path)
    found = [finding for finding in result.findings if finding.rule_id == rule]
    assert found, [finding.rule_id for finding in result.findings]
    severity = contract.load(feed).rules[rule].severity
    assert {finding.severity for finding in found} == {severity}
    assert all(finding.message_zh and finding.remedy_zh and "{" not in finding.message_zh for finding in found)
    assert result.rows_in == result.rows_accepted + result.rows_quarantined
    if severity == "refusal":
        assert result.refused
        assert result.rows_accepted == 0
        assert result.tables == {}
    elif severity == "quarantine":
        assert not result.refused
        assert result.rows_quarantined >= 1
    elif rule not in {"census.unit_converted"}:
        assert not result.refused
        assert result.rows_quarantined == 0


def test_a_lying_member_size_is_refused(tmp_path: Path) -> None:
    data = bytearray(good.write_zip(good.good_zip()))
    with zipfile.ZipFile(io.BytesIO(bytes(data))) as archive:
        info = archive.infolist()[0]
    real = info.file_size.to_bytes(4, "little")
    lie = (info.file_size - 100).to_bytes(4, "little")
    result = run("school_census", bytes(data).replace(real, lie), tmp_path)
    assert result.refused


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_damaged_or_cut_archive_is_refused(share: float, tmp_path: Path) -> None:
    data = bytearray(good.write_zip(good.good_zip()))
    place = int(len(data) * share)
    assert run("school_census", bytes(data[:place]), tmp_path).refused
    data[place : place + 40] = b"\xff" * 40
    result = run("school_census", bytes(data), tmp_path)
    assert result.refused or result.findings == []


@pytest.mark.parametrize("name", ["/etc/x.xlsx", "..\\x.xlsx", "C:\\x.xlsx", "a/../../x.xlsx"])
def test_paths_that_lead_out_are_refused(name: str, tmp_path: Path) -> None:
    result = run("school_census", good.write_zip({name: b"PK\x03\x04"}), tmp_path)
    assert [finding.rule_id for finding in result.findings if finding.severity == "refusal"] == [
        "census.unsafe_archive"
    ]


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    result = run("school_census", good.write_zip({"甲.xlsx": b"PK\x03\x04" + b"\0" * (80 << 20)}), tmp_path)
    assert [finding.rule_id for finding in result.findings if finding.severity == "refusal"] == [
        "census.unsafe_archive"
    ]
