"""A school's own workbook: it lies over its district's delivery for this school, and no school counts twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal

import pytest

from orchestration.cli.withdraw import withdraw
from sources import contract
from tests.support import good_deliveries as good
from tests.support.desk import Desk
from warehouse import candidate
from warehouse.duck import connect
from warehouse.holds import Hold, Selection, without
from warehouse.ledger import Ledger
from warehouse.paths import Home
from warehouse.records import DeliveryRow

CENSUS = "school_census"
SCHOOL = good.SCHOOLS[1]
CODE = SCHOOL[0]
OWN = f"school:{CODE}"
PUPILS = 120
Schools = Sequence[Sequence[str]]


def bundle(day: int | None, schools: Schools = good.SCHOOLS) -> bytes:
    sheets = good.list_sheets(schools)
    for sheet in sheets.values():
        sheet.notes = [f"填报日期：2023年9月{day}日"] if day else []
    return good.write_list(sheets.values())


def workbook(day: int | None, school: Sequence[str] = SCHOOL, *, factor: int = 2) -> bytes:
    """The school's workbook with every figure `factor` times that of the district's list."""
    pages = good.school_pages(school)
    pages[0].rows[1] = [f"填报日期：2023年9月{day}日" if day else ""]
    for page in pages[1:]:
        page.rows[4:] = [
            [*row[:2], *(str(int(cell) * factor) if str(cell).isdecimal() else cell for cell in row[2:])]
            for row in page.rows[4:]
        ]
    return good.write_pages(pages)


def taken(desk: Desk, name: str, data: bytes, *, at: int = 0) -> DeliveryRow:
    desk.put(CENSUS, name, data, at=at)
    (row,) = desk.take_in().deliveries
    return row


def pupils(desk: Desk, selection: Selection | None = None) -> dict[str, list[Decimal]]:
    """Pupils of primary schools (form 3112) as every model reads them, by school."""
    chosen = selection or desk.active()
    build = candidate.begin(desk.home, chosen, contract.feed_table())
    query = (
        "SELECT school_code, list(value) FROM records.school_census__figure"
        " WHERE form = '3112' AND line_no = 1 AND measure = 'enrolment' GROUP BY ALL ORDER BY ALL"
    )
    with connect(build.database) as connection:
        found = dict(connection.execute(query).fetchall())
        (schools, distinct) = connection.execute(
            "SELECT count(*), count(DISTINCT school_code) FROM records.school_census__school"
        ).fetchall()[0]
    candidate.abandon(build)
    assert schools == distinct
    return found


def test_it_replaces_its_school_and_no_other(desk: Desk) -> None:
    whole = taken(desk, "list.xlsx", bundle(20))
    before = pupils(desk)
    own = taken(desk, "own.xlsx", workbook(25), at=1)
    assert (own.status, own.part, own.area_code, own.period) == ("accepted", OWN, good.AREA, good.YEAR)
    assert desk.active() == [whole, own]
    assert pupils(desk) == {**before, CODE: [PUPILS]}
    assert before[CODE] == [60]
    assert desk.told(own) == ["intake.school_replaces"]


def test_zipped_alone_it_is_the_same_and_no_district(desk: Desk) -> None:
    whole = taken(desk, "list.xlsx", bundle(20))
    own = taken(desk, "own.zip", good.write_zip({"乙小学.xlsx": workbook(25)}), at=1)
    assert own.part == OWN
    assert desk.active() == [whole, own]


@pytest.mark.parametrize(("first", "then"), [(25, 20), (None, None), (25, None), (None, 20), (20, 20)])
def test_a_later_delivery_of_the_district_wins_unless_its_date_is_older(
    desk: Desk, first: int | None, then: int | None
) -> None:
    """The workbook arrives first and bears the first date."""
    own = taken(desk, "own.xlsx", workbook(first))
    whole = taken(desk, "list.xlsx", bundle(then), at=1)
    older = first == 25 and then == 20
    assert desk.active() == ([whole, own] if older else [whole])
    assert pupils(desk)[CODE] == [PUPILS if older else 60]
    assert desk.told(whole) == (["intake.schools_stand"] if older else [])


def test_an_older_workbook_that_arrives_late_replaces_nothing_and_is_told(desk: Desk) -> None:
    whole = taken(desk, "list.xlsx", bundle(25))
    own = taken(desk, "own.xlsx", workbook(20), at=1)
    assert own.status == "accepted"
    assert desk.active() == [whole]
    assert pupils(desk)[CODE] == [60]
    assert desk.told(own) == ["intake.school_older"]


def test_its_own_correction_supersedes_it(desk: Desk) -> None:
    whole = taken(desk, "list.xlsx", bundle(20))
    taken(desk, "own.xlsx", workbook(25), at=1)
    corrected = taken(desk, "own2.xlsx", workbook(26, factor=3), at=2)
    taken(desk, "own3.xlsx", workbook(24, factor=4), at=3)
    assert desk.active() == [whole, corrected]
    assert pupils(desk)[CODE] == [180]


def test_without_a_district_it_counts_alone_and_the_district_stays_missing(desk: Desk) -> None:
    own = taken(desk, "own.xlsx", workbook(25))
    assert desk.active() == [own]
    assert pupils(desk) == {CODE: [PUPILS]}
    assert desk.told(own) == ["intake.school_alone"]
    whole = taken(desk, "list.xlsx", bundle(26), at=1)
    assert desk.active() == [whole]


def test_a_school_that_its_district_left_out_is_told_and_counts(desk: Desk) -> None:
    rest = [school for school in good.SCHOOLS if school[0] != CODE]
    whole = taken(desk, "list.xlsx", bundle(20, rest))
    own = taken(desk, "own.xlsx", workbook(25), at=1)
    assert desk.active() == [whole, own]
    assert pupils(desk)[CODE] == [PUPILS]
    assert desk.told(own) == ["intake.school_unlisted"]


def test_withdrawn_or_held_the_districts_rows_count_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EDUPLAN_HOME", str(desk.home.root))
    whole = taken(desk, "list.xlsx", bundle(20))
    own = taken(desk, "own.xlsx", workbook(25), at=1)
    hold = Hold(own.delivery_id, CENSUS, own.area_code, own.period, own.part, "c0", "some.rule", 1, "")
    fallback = desk.ledger.active_set(without={own.delivery_id})
    held = without(desk.active(), fallback, [hold])
    assert pupils(desk, held)[CODE] == [60]
    assert held.replaced_by(hold) is None, "nothing of its own kind stands in"
    withdraw(own.delivery_id, reason="误报", by="张科长", undo=False, as_json=True)
    assert json.loads(capsys.readouterr().out)["active"] == whole.delivery_id
    assert desk.active() == [whole]
    assert pupils(desk)[CODE] == [60]
    withdraw(own.delivery_id, reason="核实无误", by="李处长", undo=True, as_json=True)
    assert desk.active() == [whole, own]


def test_when_the_district_is_withdrawn_its_predecessor_stands_below_the_workbook(desk: Desk) -> None:
    first = taken(desk, "list.xlsx", bundle(20))
    own = taken(desk, "own.xlsx", workbook(22), at=1)
    second = taken(desk, "list2.xlsx", bundle(25), at=2)
    assert desk.active() == [second]
    desk.ledger.withdraw(second.delivery_id, reason="误报", person="张科长")
    assert desk.active() == [first, own]


def test_a_refused_workbook_changes_nothing(desk: Desk) -> None:
    whole = taken(desk, "list.xlsx", bundle(20))
    pages = [page for page in good.school_pages(SCHOOL) if page.name != "教基3112"]
    own = taken(desk, "own.xlsx", good.write_pages(pages), at=1)
    assert own.status == "refused"
    assert desk.active() == [whole]


def test_the_candidate_is_another_one_and_the_same_in_any_order(
    desk: Desk, tmp_path_factory: pytest.TempPathFactory
) -> None:
    taken(desk, "list.xlsx", bundle(20))
    before = candidate.candidate_id(desk.active(), code_digest="c")
    taken(desk, "own.xlsx", workbook(25), at=1)
    after = candidate.candidate_id(desk.active(), code_digest="c")
    home = Home(tmp_path_factory.mktemp("other")).ensure()
    other = Desk(home, Ledger(home.ledger_url))
    taken(other, "own.xlsx", workbook(25))
    taken(other, "list.xlsx", bundle(20), at=1)
    assert before != after == candidate.candidate_id(other.active(), code_digest="c")
    assert pupils(other) == pupils(desk)
    other.ledger.close()
