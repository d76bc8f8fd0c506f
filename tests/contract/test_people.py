"""One person is one key: at two schools, in both files, under an old number and the one issued in its place."""

from __future__ import annotations

from typing import Any

import pyarrow.parquet as pq
import pytest

from sources import pseudonym
from tests.support import good_deliveries as good
from tests.support.desk import Desk
from warehouse.records import DeliveryRow

REGISTER, TABLE = "teacher_register", "teacher_register__teacher"
NUMBER = good.with_check_digit(good.IDS[0][:17])
OLD = NUMBER[:6] + NUMBER[8:17]


def records(desk: Desk, *rows: DeliveryRow) -> list[dict[str, Any]]:
    return [record for row in rows for record in pq.read_table(desk.home.root / row.tables[TABLE]).to_pylist()]


def test_a_person_at_two_schools_in_both_files_and_under_the_old_number_has_one_key(desk: Desk) -> None:
    first = good.teacher_rows()[0]
    elsewhere = first | {"学校标识码": "2150000002", "校名": "别的小学", "身份证号": OLD}
    desk.put(REGISTER, "在编.csv", good.table_csv(good.TEACHER_HEADERS, [first, elsewhere]))
    contract = [name for name in good.TEACHER_HEADERS if name not in {"入编时间", "现聘职称"}]
    desk.put(REGISTER, "编外.xlsx", good.table_xlsx([*contract, "教师身份"], [first | {"教师身份": "聘用"}]), at=1)
    established, contracted = sorted(desk.take_in().deliveries, key=lambda row: row.part, reverse=True)
    assert (established.part, contracted.part) == ("established", "contract")
    assert (established.status, contracted.status) == ("accepted", "accepted")
    found = records(desk, established, contracted)
    assert [(record["school_code"], record["post_kind"]) for record in found] == [
        ("2150000001", "established"),
        ("2150000002", "established"),
        ("2150000001", "contract"),
    ]
    assert len({record["person_key"] for record in found}) == 1
    assert desk.told(established) == ["teacher.old_id_number"]
    assert OLD not in desk.letter(established)
    assert NUMBER not in desk.letter(established)


def test_the_old_and_the_new_number_at_one_school_are_one_row_and_a_repetition(desk: Desk) -> None:
    first = good.teacher_rows()[0]
    desk.put(REGISTER, "在编.csv", good.table_csv(good.TEACHER_HEADERS, [first, first | {"身份证号": OLD}]))
    (row,) = desk.take_in().deliveries
    assert (row.rows_accepted, row.rows_quarantined) == (1, 1)
    assert set(desk.told(row)) == {"teacher.duplicate_teacher", "teacher.old_id_number"}


@pytest.mark.parametrize("number", [NUMBER[:15], "0" * 15, "50010385133201" + "1"])
def test_fifteen_digits_without_a_date_of_birth_are_no_old_number(number: str, desk: Desk) -> None:
    """18 digits of which a spreadsheet kept 15 have the century where the year was."""
    rows = good.teacher_rows()
    rows[0] |= {"身份证号": number}
    desk.put(REGISTER, "在编.csv", good.table_csv(good.TEACHER_HEADERS, rows))
    (row,) = desk.take_in().deliveries
    assert (row.rows_accepted, row.rows_quarantined) == (2, 1)
    assert desk.told(row) == ["teacher.bad_id_format"]
    assert pseudonym.normalise_id(number) == number
