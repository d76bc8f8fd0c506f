"""The teacher register: encodings, untidy files, and nothing of a person but a keyed hash."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sources.parsers import ParseResult, parse, teacher
from sources.parsers.delimited import columns_from_rows
from sources.parsers.numbers import code_text
from sources.pseudonym import pseudonym
from tests.support import good_deliveries as good

KEY = b"k" * 32
HEADERS = good.TEACHER_HEADERS
TABLE = "teacher_register__teacher"
PERSONAL = ("13900000000", "某街某号", "某某", "500103198501150016")


def read(data: bytes, tmp_path: Path) -> tuple[ParseResult, pa.Table]:
    path = tmp_path / "delivery"
    path.write_bytes(data)
    result = parse("teacher_register", path, file_name="x", delivery_id="d0", key=KEY, out_dir=tmp_path)
    return result, pq.read_table(result.tables[TABLE])


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in row.items() if name not in {"sheet", "row_no"}} for row in table.to_pylist()
    ]


@pytest.mark.parametrize("encoding", ["gb18030", "gbk", "utf-8", "utf-8-sig", "utf-16"])
def test_encodings_say_the_same(encoding: str, tmp_path: Path) -> None:
    _, reference = read(good.table_csv(HEADERS, good.teacher_rows()), tmp_path)
    result, table = read(good.table_csv(HEADERS, good.teacher_rows(), encoding), tmp_path)
    assert result.findings == []
    assert rows_of(table) == rows_of(reference)


def test_four_byte_characters(tmp_path: Path) -> None:
    rows = good.teacher_rows()
    rows[0] |= {"主教学科": "𠮷语", "姓名": "㐀𠀀"}
    result, table = read(good.table_csv(HEADERS, rows), tmp_path)
    assert result.findings == []
    assert table.column("subject").to_pylist()[0] == "𠮷语"


def test_record(tmp_path: Path) -> None:
    result, table = read(good.table_csv(HEADERS, good.teacher_rows()), tmp_path)
    assert (result.area_code, result.period, result.part) == ("500103", 2023, "established")
    number = good.teacher_rows()[0]["身份证号"]
    assert table.to_pylist()[0] == {
        "stat_year": 2023,
        "area_code": "500103",
        "school_code": "2150000001",
        "person_key": pseudonym(KEY, number),
        "post_kind": "established",
        "post_category": "full_time_teacher",
        "sex": "male",
        "age": 38,
        "id_valid": True,
        "education": "bachelor",
        "title": "intermediate",
        "teaching_stage": "primary",
        "certificate_stage": "primary",
        "subject": "数学",
        "backbone_level": "district",
        "dual_qualified": False,
        "professional_course": False,
        "pe_music_art": False,
        "delivery_id": "d0",
        "member": "",
        "sheet": "",
        "row_no": 2,
    }


def test_workbook_of_contract_staff(tmp_path: Path) -> None:
    headers = [name for name in HEADERS if name not in {"入编时间", "现聘职称"}]
    result, table = read(good.table_xlsx(headers, good.teacher_rows()), tmp_path)
    assert result.part == "contract"
    assert result.findings == []
    assert set(table.column("post_kind").to_pylist()) == {"contract"}
    assert table.column("row_no").to_pylist() == [2, 3, 4]


def test_nothing_personal_is_written(tmp_path: Path) -> None:
    rows = good.teacher_rows()
    rows[1] |= {"身份证号": "500103199003070010"}
    rows[2] |= {"最高职称": rows[2]["身份证号"]}
    path = tmp_path / "in" / "delivery"
    path.parent.mkdir()
    path.write_bytes(good.table_csv(HEADERS, rows))
    out = tmp_path / "out"
    out.mkdir()
    result = parse("teacher_register", path, file_name="x", delivery_id="d0", key=KEY, out_dir=out)
    everything = str(pq.read_table(result.tables[TABLE]).to_pylist()) + str(result.findings)
    for row in rows:
        for name in ("姓名", "手机号", "常住地址", "身份证号"):
            assert row[name] not in everything
    assert result.rows_quarantined == 1


def test_ragged_and_blank_lines_keep_row_numbers(tmp_path: Path) -> None:
    lines = good.table_csv(HEADERS, good.teacher_rows()).split(b"\r\n")
    broken = [lines[0], lines[1], b"", lines[2] + b",extra", b"," * (len(HEADERS) - 1), lines[3], b""]
    result, table = read(b"\r\n".join(broken), tmp_path)
    assert table.column("row_no").to_pylist() == [2, 6]
    assert [(entry.rule_id, entry.row_no) for entry in result.findings] == [("teacher.ragged_row", 4)]
    assert (result.rows_in, result.rows_accepted, result.rows_quarantined) == (3, 2, 1)


def test_preamble_reordered_columns_and_year_bearing_headers(tmp_path: Path) -> None:
    headers = [*(name for name in reversed(HEADERS) if name != "2023年9月在岗状态"), "2024年9月在岗状态"]
    rows = [row | {"2024年9月在岗状态": "在岗"} for row in good.teacher_rows()]
    data = "渝中区教师信息\r\n导出时间：2023-10-08\r\n".encode("gb18030") + good.table_csv(headers, rows)
    result, table = read(data, tmp_path)
    assert result.findings == []
    assert table.column("row_no").to_pylist() == [4, 5, 6]


def test_other_documents_are_not_checked_by_gb_11643(tmp_path: Path) -> None:
    rows = good.teacher_rows()
    rows[0] |= {"身份证件类型": "护照", "身份证号": "E12345678", "性别": "女"}
    result, table = read(good.table_csv(HEADERS, rows), tmp_path)
    assert result.findings == []
    row = table.to_pylist()[0]
    assert (row["id_valid"], row["age"], row["sex"]) == (False, None, "female")
    assert row["person_key"] == pseudonym(KEY, "E12345678")


def test_lower_case_check_and_blanks_are_one_person(tmp_path: Path) -> None:
    number = next(
        text for order in range(100) if (text := good.with_check_digit(f"50010319850115{order:03d}")).endswith("X")
    )
    rows = good.teacher_rows()
    rows[0] |= {"身份证号": f" {number.lower()}\u3000", "性别": "男" if int(number[16]) % 2 else "女"}
    result, table = read(good.table_csv(HEADERS, rows), tmp_path)
    assert result.findings == []
    assert table.column("person_key").to_pylist()[0] == pseudonym(KEY, number)


def test_numbers_in_their_one_spelling_are_taken_as_they_are() -> None:
    numbers = [good.with_check_digit(f"50010319850115{order:03d}").encode() for order in range(100)]
    assert {number[-1:] for number in numbers} == {*(b"%d" % digit for digit in range(10)), b"X"}
    # A slice: what lies before it in memory is not its own.
    raw = pa.array([b"before", *numbers], pa.binary())[1:]
    plain, usual = teacher._plain_numbers(raw), teacher._normalised(raw, "gb18030")
    assert plain is not None
    assert [np.asarray(part).tolist() for part in plain] == [np.asarray(part).tolist() for part in usual]
    assert plain[1] == numbers


@pytest.mark.parametrize(
    "other", [b"", b"50010319850115001x", b" 0010319850115001X", b"500103850115001", b"E12345678", None]
)
def test_other_numbers_are_looked_at_one_by_one(other: bytes | None) -> None:
    good_one = good.with_check_digit("50010319850115001").encode()
    assert teacher._plain_numbers(pa.array([good_one, other], pa.binary())) is None


def test_one_person_at_two_schools_is_two_rows(tmp_path: Path) -> None:
    rows = good.teacher_rows()
    rows.append(rows[0] | {"学校标识码": "3150000001"})
    result, table = read(good.table_csv(HEADERS, rows), tmp_path)
    assert result.findings == []
    assert table.num_rows == 4


def test_functional_area_rows_belong_to_their_district(tmp_path: Path) -> None:
    rows = [row | {"区域": "綦江区"} for row in good.teacher_rows()]
    rows[0]["区域"] = "万盛经开区"
    result, _ = read(good.table_csv(HEADERS, rows), tmp_path)
    assert result.area_code == "500110"
    assert result.findings == []


def test_mixed_encodings_are_refused_only_where_a_row_must_be_understood(tmp_path: Path) -> None:
    data = good.table_csv(HEADERS, good.teacher_rows()) + "多一列,\ud83d".encode("utf-8", "surrogatepass") + b"\r\n"
    path = tmp_path / "delivery"
    path.write_bytes(data)
    result = parse("teacher_register", path, file_name="x", delivery_id="d0", key=KEY, out_dir=tmp_path)
    assert result.refused
    assert result.findings[0].rule_id == "teacher.unreadable"


@pytest.mark.parametrize("odd", ["", 3.0, 2.5, 7, True, None, date(2024, 9, 1), "１２ "])
def test_cells_of_a_sheet_become_texts_whatever_stands_among_them(odd: object) -> None:
    rows = [["a", odd], ["b", "乙"], ["c", ""]]
    columns = columns_from_rows(rows, ("x", "y"), 2, {"x": 0, "y": 1})
    written = odd if isinstance(odd, str) else code_text(odd)
    assert columns.arrays["x"].to_pylist() == [b"a", b"b", b"c"]
    assert columns.arrays["y"].to_pylist() == [written.encode(), "乙".encode(), b""]
    assert columns.row_numbers.tolist() == [2, 3, 4]
