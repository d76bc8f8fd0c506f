"""A delivery taken back: recorded with reason and name, its predecessor counts again, and nothing is deleted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestration.cli import withdraw as command
from orchestration.cli.withdraw import withdraw
from sources.intake import INTAKE_LOCK
from tests.support import good_deliveries as good
from tests.support.desk import Desk
from warehouse.errors import Refused, UsageError
from warehouse.lock import exclusive
from warehouse.records import DeliveryRow


def a_list(day: int) -> bytes:
    sheets = good.list_sheets()
    for sheet in sheets.values():
        sheet.notes = [f"填报日期：2023年9月{day}日"]
    return good.write_list(sheets.values())


@pytest.fixture
def two(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> tuple[DeliveryRow, DeliveryRow]:
    """A delivery and its correction."""
    monkeypatch.setenv("EDUPLAN_HOME", str(desk.home.root))
    found = []
    for at, day in enumerate((20, 25)):
        desk.put("school_census", f"{day}.xlsx", a_list(day), at=at)
        found += desk.take_in().deliveries
    first, second = found
    assert desk.active() == [second]
    return first, second


def test_the_predecessor_counts_again_and_the_reason_is_kept(
    desk: Desk, two: tuple[DeliveryRow, DeliveryRow], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = two
    assert withdraw(second.delivery_id, reason="误报", by="张科长", undo=False, as_json=True) == 0
    assert json.loads(capsys.readouterr().out) == {
        "delivery_id": second.delivery_id, "withdrawn": True, "changed": True, "active": first.delivery_id,
    }  # fmt: skip
    assert desk.active() == [first]
    (kept,) = desk.ledger.withdrawals()
    assert (kept.delivery_id, kept.reason, kept.person, kept.withdrawn) == (second.delivery_id, "误报", "张科长", True)
    assert [entry.kind for entry in desk.ledger.journal_entries()].count("withdrawal") == 1
    letter = desk.home.receipts / "school_census" / f"{second.delivery_id}.withdrawal.md"
    assert all(text in letter.read_text("utf-8") for text in ("已撤回", "误报", "张科长", first.delivery_id))
    assert all((desk.home.root / path).is_file() for path in second.tables.values()), "records stay"


def test_the_same_decision_twice_is_recorded_once_and_can_be_undone(
    desk: Desk, two: tuple[DeliveryRow, DeliveryRow]
) -> None:
    _, second = two
    for _ in range(2):
        withdraw(second.delivery_id, reason="误报", by="张科长", undo=False, as_json=True)
    withdraw(second.delivery_id, reason="核实无误", by="李处长", undo=True, as_json=True)
    assert desk.active() == [second]
    assert [entry.kind for entry in desk.ledger.journal_entries()].count("withdrawal") == 2
    assert [(row.withdrawn, row.person) for row in desk.ledger.withdrawals()] == [(False, "李处长")]
    assert desk.ledger.findings() == []


def test_with_nothing_before_it_the_key_shows_as_withdrawn_and_has_no_records(
    desk: Desk, two: tuple[DeliveryRow, DeliveryRow]
) -> None:
    first, second = two
    for row in two:
        withdraw(row.delivery_id, reason="误报", by="张科长", undo=False, as_json=True)
    (standing,) = desk.active()
    assert (standing.delivery_id, standing.status, standing.tables) == (second.delivery_id, "withdrawn", {})
    assert (standing.rows_in, standing.rows_accepted) == (second.rows_in, 0)
    desk.put("school_census", "again.xlsx", a_list(20), at=9)
    assert desk.take_in().deliveries == []
    assert [row.status for row in desk.active()] == ["withdrawn"], f"{first.delivery_id}: same bytes, same decision"


def test_a_withdrawal_survives_a_new_contract(desk: Desk, two: tuple[DeliveryRow, DeliveryRow]) -> None:
    first, second = two
    desk.ledger.withdraw(second.delivery_id, reason="误报", person="张科长")
    assert desk.ledger.active_set() == [first]


def test_a_ledger_whose_withdrawal_was_edited_is_found(desk: Desk, two: tuple[DeliveryRow, DeliveryRow]) -> None:
    import sqlite3

    _, second = two
    desk.ledger.withdraw(second.delivery_id, reason="误报", person="张科长")
    with sqlite3.connect(desk.home.root / "ledger.db") as raw:
        raw.execute("UPDATE withdrawal SET person = '他人'")
    assert any("withdrawal" in line for line in desk.ledger.findings())


@pytest.mark.parametrize(("reason", "by"), [("", "张"), ("误报", " ")])
def test_no_withdrawal_without_reason_and_name(reason: str, by: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="理由"):
        withdraw("d0", reason=reason, by=by, undo=False, as_json=True)


def test_an_unknown_delivery_is_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDUPLAN_HOME", str(desk.home.root))
    with pytest.raises(Refused, match="没有报送件"):
        withdraw("d0123", reason="误报", by="张", undo=False, as_json=True)


def test_while_an_intake_is_under_way_nothing_is_recorded_and_no_letter_written(
    desk: Desk, two: tuple[DeliveryRow, DeliveryRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The intake sweeps half-written files of receipts: the letter must not be among them."""
    _, second = two
    monkeypatch.setattr(command, "_WAIT", 0.0)
    with exclusive(desk.home, INTAKE_LOCK), pytest.raises(Refused, match="intake"):
        withdraw(second.delivery_id, reason="误报", by="张科长", undo=False, as_json=True)
    assert desk.ledger.withdrawals() == []
    assert desk.active() == [second]
    assert not list(desk.home.receipts.rglob("*.withdrawal.md"))
