"""What a process remembers of a ledger is what the ledger says, whatever happens to the ledger meanwhile."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from warehouse import readings
from warehouse.clock import SHANGHAI
from warehouse.ledger import Ledger
from warehouse.records import DeliveryRow


def row(number: int, **changes: Any) -> DeliveryRow:
    made = DeliveryRow(
        delivery_id=f"d{number:016x}",
        feed="school_census",
        area_code="500103",
        period=2020 + number,
        part="",
        sha256=f"{number:064x}",
        file_name=f"{number}.xlsx",
        submitter="",
        reported_on=None,
        received_at=datetime(2025, 9, 30, tzinfo=SHANGHAI),
        status="accepted",
        rows_in=1,
        rows_accepted=1,
        rows_quarantined=0,
        contract_version="1.0.0",
    )
    return replace(made, **changes)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(place: Path) -> Iterator[Ledger]:
    with closing(Ledger(f"sqlite:///{place}")) as made:
        yield made


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """From which entry of the journal on readings were fetched, each time that happened."""
    found: list[int] = []
    fetch = readings._since

    def noted(connection: sa.Connection, seq: int) -> list[readings.Known]:
        found.append(seq)
        return fetch(connection, seq)

    monkeypatch.setattr(readings, "_since", noted)
    return found


def test_what_was_read_is_not_read_again_and_what_came_is(ledger: Ledger, place: Path, read: list[int]) -> None:
    ledger.record_delivery(row(1), size=1)
    assert ledger.deliveries() == [row(1)]
    first_head = ledger.journal_head()[0]
    assert ledger.deliveries() == ledger.active_set() == [row(1)]
    assert read == [0]
    with closing(Ledger(f"sqlite:///{place}")) as another:
        another.record_delivery(row(2), size=1)
        another.record_delivery(row(1, contract_version="2.0.0", rows_in=5, rows_accepted=5), size=1)
    again = row(1, contract_version="2.0.0", rows_in=5, rows_accepted=5)
    assert ledger.deliveries() == [again, row(2)], "as last read, in order of arrival"
    assert ledger.active_set({"school_census": "1.0.0"}) == [row(1), row(2)]
    assert ledger.unread({"school_census": "2.0.0"}) == [row(2)]
    assert read == [0, first_head]


def test_entries_of_another_kind_bring_nothing_new(ledger: Ledger) -> None:
    ledger.record_delivery(row(1), size=1)
    before = ledger.deliveries()
    ledger.withdraw(before[0].delivery_id, reason="错报", person="张")
    assert ledger.deliveries() == before
    assert [found.status for found in ledger.active_set()] == ["withdrawn"]


def test_a_list_that_somebody_looks_at_stays_as_it_was(ledger: Ledger) -> None:
    ledger.record_delivery(row(1), size=1)
    before = ledger._known()
    ledger.record_delivery(row(2), size=1)
    assert len(ledger._known()) == 2
    assert len(before) == 1


@pytest.mark.parametrize("further", [0, 1, 5])
def test_a_ledger_put_back_is_read_anew_however_far_it_went_on(tmp_path: Path, place: Path, further: int) -> None:
    url = f"sqlite:///{place}"
    with closing(Ledger(url)) as ledger:
        ledger.record_delivery(row(1), size=1)
    shutil.copy(place, tmp_path / "backup.db")
    with closing(Ledger(url)) as ledger:
        ledger.record_delivery(row(2), size=1)
        assert len(ledger.deliveries()) == 2
    for left in tmp_path.glob("ledger.db*"):
        left.unlink()
    shutil.copy(tmp_path / "backup.db", place)
    with closing(Ledger(url)) as ledger:
        for number in range(further):
            ledger.record_delivery(row(3 + number), size=1)
        assert ledger.deliveries() == [row(1), *(row(3 + number) for number in range(further))]


def test_two_threads_see_the_same(ledger: Ledger) -> None:
    from concurrent.futures import ThreadPoolExecutor

    for number in range(20):
        ledger.record_delivery(row(number), size=1)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: ledger.deliveries(), range(16)))
    assert all(one == [row(number) for number in range(20)] for one in found)
