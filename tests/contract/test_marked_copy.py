"""The marked copy of a delivery: bad cells coloured and commented where they stood, and nobody to be found in it."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from orchestration.cli.check import check
from sources import marked
from sources.findings import Finding
from sources.marked import MARKS, write_marked
from sources.marked_pages import HIDDEN
from tests.support import flat_deliveries as flat
from tests.support import good_deliveries as good
from tests.support.desk import Desk, read, teachers
from warehouse.errors import UsageError
from warehouse.records import DeliveryRow

RED, YELLOW = "FFFFC7CE", "FFFFEB9C"


def taken_in(desk: Desk, feed: str, name: str, data: bytes) -> DeliveryRow:
    desk.put(feed, name, data)
    (row,) = desk.take_in().deliveries
    return row


def copy_of(desk: Desk, row: DeliveryRow) -> openpyxl.Workbook:
    path = desk.home.receipts / row.feed / f"{row.delivery_id}.xlsx"
    assert desk.receipt(row)["marked_copy"] == path.name
    assert path.name in desk.letter(row)
    return openpyxl.load_workbook(path)


def comments(page: Any) -> dict[str, str]:
    return {cell.coordinate: cell.comment.text for line in page.iter_rows() for cell in line if cell.comment}


def colours(page: Any) -> dict[str, str]:
    return {
        cell.coordinate: cell.fill.fgColor.rgb
        for line in page.iter_rows()
        for cell in line
        if cell.fill.fill_type == "solid"
    }


def everything(data: bytes) -> str:
    """All text of all parts of a package."""
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        return "\n".join(package.read(name).decode("utf-8", errors="replace") for name in package.namelist())


def findings_of(desk: Desk, row: DeliveryRow) -> list[dict[str, Any]]:
    return [found for found in desk.receipt(row)["findings"] if found["row_no"] is not None]


def test_a_register_is_marked_where_its_findings_are_and_shows_no_person(desk: Desk) -> None:
    data = teachers({"学校标识码": "21500000", "身份证号": good.IDS[0][:17] + "9", "手机号": "13812345678"})
    row = taken_in(desk, "teacher_register", "a.csv", data)
    page = copy_of(desk, row)["报送件"]
    found = findings_of(desk, row)
    assert {entry["rule_id"] for entry in found} == {"teacher.bad_school_code", "teacher.bad_id_checksum"}
    assert set(comments(page)) == set(colours(page)) == {entry["cell"] for entry in found}
    for entry in found:
        assert entry["message_zh"] in comments(page)[entry["cell"]]
        assert entry["remedy_zh"] in comments(page)[entry["cell"]]
        assert page[f"{entry['cell'].rstrip('0123456789')}1"].value == entry["column_name"]
    assert set(colours(page).values()) == {RED}
    heads = {cell.value: cell.column_letter for cell in page[1]}
    assert [page[f"{heads['身份证号']}{number}"].value for number in (2, 3, 4)] == [HIDDEN] * 3
    assert [page[f"{heads['姓名']}{number}"].value for number in (2, 3, 4)] == [HIDDEN] * 3
    assert page[f"{heads['学校标识码']}2"].value == "21500000"
    text = everything((desk.home.receipts / row.feed / f"{row.delivery_id}.xlsx").read_bytes())
    secrets = {row[name] for row in good.teacher_rows() for name in ("姓名", "身份证号")} | {"13812345678"}
    assert [secret for secret in sorted(secrets) if secret in text] == []


def test_a_list_keeps_its_sheets_addresses_and_figures(desk: Desk) -> None:
    sheets = good.list_sheets()
    sheets["教基3112"].rows[0][3] = "约三百"
    sheets["教基1001"].notes.append("单位负责人：张三丰　填表人：李四光　联系电话：13812345678")
    row = taken_in(desk, "school_census", "l.xlsx", good.write_list(sheets.values()))
    book = copy_of(desk, row)
    (entry,) = [found for found in findings_of(desk, row) if found["rule_id"] == "census.not_a_number"]
    page = book["教基3112"]
    assert page[entry["cell"]].value == "约三百"
    assert entry["message_zh"] in comments(page)[entry["cell"]]
    assert colours(page)[entry["cell"]] == RED
    original = openpyxl.load_workbook(io.BytesIO(good.write_list(sheets.values())))["教基3112"]
    for line in original.iter_rows():
        for cell in line:
            if cell.value is not None:
                assert str(page[cell.coordinate].value) == str(cell.value)
    assert "教基1001" not in book.sheetnames, "no finding stands there"


def test_lines_that_name_persons_are_blacked_out_in_sheets_that_are_copied(desk: Desk) -> None:
    sheets = good.list_sheets()
    sheets["教基1001"].rows[0][0] = "215"
    sheets["教基1001"].notes.append("单位负责人：张三丰　填表人：李四光　联系电话：13812345678")
    row = taken_in(desk, "school_census", "l.xlsx", good.write_list(sheets.values()))
    book = copy_of(desk, row)
    texts = [cell.value for line in book["教基1001"].iter_rows() for cell in line if cell.value]
    assert f"单位负责人：{HIDDEN}" in texts
    text = everything((desk.home.receipts / row.feed / f"{row.delivery_id}.xlsx").read_bytes())
    assert not [secret for secret in ("张三丰", "李四光", "13812345678") if secret in text]


def test_a_zip_shows_the_workbooks_with_findings_and_of_profiles_only_what_is_taken_in(desk: Desk) -> None:
    members = good.good_zip()
    name = sorted(members)[0]
    pages = good.school_pages(good.SCHOOLS[0])
    bad = [[("999999" if cell == good.SCHOOLS[0][0] else cell) for cell in line] for line in pages[0].rows]
    pages[0].rows[:] = [[*line, "校长张三丰"] for line in bad]
    members[name] = good.write_pages(pages)
    row = taken_in(desk, "school_census", "z.zip", good.write_zip(members))
    book = copy_of(desk, row)
    found = [entry for entry in findings_of(desk, row) if entry["rule_id"] == "census.bad_school_code"]
    assert [entry["member"] for entry in found] == [name]
    (page,) = [book[title] for title in book.sheetnames if title.endswith("教基1001")]
    assert page[found[0]["cell"]].value == "999999"
    assert found[0]["cell"] in comments(page)
    assert "张三丰" not in everything((desk.home.receipts / row.feed / f"{row.delivery_id}.xlsx").read_bytes())
    cover = [cell.value for line in book["回执说明"].iter_rows() for cell in line]
    assert name in cover


def test_items_of_a_document_become_rows_below_their_labels(desk: Desk) -> None:
    row = taken_in(desk, "population", "p.json", flat.population({"residents": -5})())
    page = copy_of(desk, row)["报送件"]
    heads = {cell.value: cell.column_letter for cell in page[1]}
    assert list(comments(page)) == [f"{heads['residents']}2"]
    assert page[f"{heads['residents']}2"].value == "-5"


def test_a_notice_is_yellow_and_a_clean_delivery_has_no_copy(desk: Desk) -> None:
    row = taken_in(desk, "teacher_register", "n.csv", teachers({"主教学科": "语文", "骨干教师": "宇宙级"}))
    assert row.status == "accepted"
    assert set(colours(copy_of(desk, row)["报送件"]).values()) == {YELLOW}
    clean = taken_in(desk, "teacher_register", "c.csv", teachers())
    assert desk.receipt(clean)["marked_copy"] is None
    assert not (desk.home.receipts / clean.feed / f"{clean.delivery_id}.xlsx").exists()
    assert "标注副本" not in desk.letter(clean)


def large_register(bad: int) -> bytes:
    base = good.teacher_rows()[0]
    births = [f"1985{n // 500 + 1:02d}{n % 28 + 1:02d}{(2 * n + 1) % 1000:03d}" for n in range(3000)]
    people = [base | {"身份证号": good.with_check_digit(f"500103{birth}")} for birth in births]
    people[bad - 2]["学校标识码"] = "21500000"
    return good.table_csv(list(good.TEACHER_HEADERS), people)


def test_of_a_large_table_the_head_and_the_rows_with_findings_are_copied_at_their_places(desk: Desk) -> None:
    row = taken_in(desk, "teacher_register", "big.csv", large_register(2500))
    (entry,) = findings_of(desk, row)
    page = copy_of(desk, row)["报送件"]
    assert page[entry["cell"]].value == "21500000"
    assert entry["cell"].endswith("2500")
    assert [line[0].row for line in page.iter_rows() if any(cell.value for cell in line)] == [1, 2500]
    assert page.sheet_format.zeroHeight
    assert desk.receipt(row)["marked_copy_whole"] is False
    assert "只列出表头和有问题的行" in desk.letter(row)


def test_cells_like_formulas_are_copied_as_text(tmp_path: Path) -> None:
    data = teachers({"主教学科": "=HYPERLINK(1)", "学校标识码": "+1", "骨干教师": "@SUM(A1)"})
    result = read("teacher_register", data, tmp_path / "r")
    copy = write_marked("teacher_register", tmp_path / "r" / "delivery", result.findings, tmp_path / "m.xlsx")
    assert copy is not None
    assert "<f>" not in everything(copy.path.read_bytes())
    page = openpyxl.load_workbook(copy.path)["报送件"]
    assert {"=HYPERLINK(1)", "+1", "@SUM(A1)"} <= {cell.value for cell in page[2]}
    assert {cell.data_type for cell in page[2] if cell.value} == {"s"}


def test_the_same_delivery_gives_the_same_bytes(tmp_path: Path) -> None:
    result = read("teacher_register", teachers({"学校标识码": "1"}), tmp_path / "r")
    targets = [tmp_path / name for name in ("a.xlsx", "b.xlsx")]
    for target in targets:
        assert write_marked("teacher_register", tmp_path / "r" / "delivery", result.findings, target) is not None
    assert targets[0].read_bytes() == targets[1].read_bytes()


def test_a_copy_too_large_for_memory_says_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = read("teacher_register", large_register(2500), tmp_path / "r")

    def written(name: str) -> tuple[dict[str, Any], dict[str, str], dict[str, str]]:
        target = tmp_path / name
        assert write_marked("teacher_register", tmp_path / "r" / "delivery", result.findings, target) is not None
        page = openpyxl.load_workbook(target)["报送件"]
        return {cell.coordinate: cell.value for row in page for cell in row}, comments(page), colours(page)

    at_once = written("a.xlsx")
    monkeypatch.setattr(marked, "_AT_ONCE", 0)
    assert written("b.xlsx") == at_once
    assert len(at_once[1]) == 1


def test_marks_have_an_end_and_the_copy_says_so(tmp_path: Path) -> None:
    path = tmp_path / "delivery"
    path.write_bytes(teachers())
    many = [
        Finding("", "", 2, "学校标识码", f"A{2 + n % 3}", "teacher.bad_school_code", "quarantine", "坏。", "改。", None)
        for n in range(MARKS + 1)
    ]
    copy = write_marked("teacher_register", path, many, tmp_path / "m.xlsx")
    assert copy is not None
    assert not copy.whole
    page = openpyxl.load_workbook(copy.path)["报送件"]
    assert max(map(len, comments(page).values())) < 1_000


def test_what_cannot_be_shown_as_a_table_has_findings_and_no_copy(tmp_path: Path) -> None:
    path = tmp_path / "delivery"
    path.write_bytes(b"PK\x03\x04 broken")
    found = [Finding("", "S", 2, None, "A2", "census.not_a_number", "quarantine", "坏。", "改。", None)]
    assert write_marked("school_census", path, found, tmp_path / "m.xlsx") is None
    assert not (tmp_path / "m.xlsx").exists()


def test_a_rehearsal_writes_the_copy_where_it_is_told_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, target = tmp_path / "in" / "a.csv", tmp_path / "out.xlsx"
    file.parent.mkdir()
    file.write_bytes(teachers({"学校标识码": "21500000"}))
    assert check(file, "teacher_register", as_json=True, marked=target) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["marked_copy"] == str(target)
    assert set(comments(openpyxl.load_workbook(target)["报送件"])) == {told["findings"][0]["cell"]}
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.csv", "in", "out.xlsx"]


def test_a_rehearsal_never_overwrites_the_file_itself(tmp_path: Path) -> None:
    file = tmp_path / "a.xlsx"
    file.write_bytes(b"x")
    for target in (file, tmp_path / "out.txt", tmp_path / "none" / "out.xlsx"):
        with pytest.raises(UsageError, match="标注副本"):
            check(file, "teacher_register", as_json=True, marked=target)
    assert file.read_bytes() == b"x"


def test_every_finding_of_a_cell_names_it(tmp_path: Path) -> None:
    """A column without a cell would send people searching."""
    sheets = good.list_sheets()
    sheets["教基1001"].rows[0][2:4] = ["宇宙学校", "999"]
    sheets["教基3112"].rows[0][3] = "-3"
    listed = read("school_census", good.write_list(sheets.values()), tmp_path / "l")
    register = read("teacher_register", teachers({"区域": "北京市", "最高学历": "神童"}), tmp_path / "t")
    money = [dict(row) for row in good.finance_rows()]
    money[0] |= {"学校类别代码": "999", "金额1": "许多"}
    finance = read("education_finance", good.table_csv(good.FINANCE_HEADERS, money, "utf-8"), tmp_path / "f")
    for result in (listed, register, finance):
        placed = [found for found in result.findings if found.row_no is not None and found.column_name]
        assert placed
        assert [found for found in placed if not re.fullmatch(rf"[A-Z]+{found.row_no}", found.cell or "")] == []
