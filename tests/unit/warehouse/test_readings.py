"""What a process remembers of a ledger is what the ledger says, whatever happens to the ledger meanwhile."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.support.rows import row
from warehouse import ledger as ledgers
from warehouse import readings
from warehouse.ledger import Ledger
from warehouse.records import DeliveryRow


def year(number: int, **changes: Any) -> DeliveryRow:
    return row(str(number), period=2020 + number, **changes)


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
    fetch = readings._between

    def noted(connection: sa.Connection, seq: int, last: int) -> list[readings.Known]:
        found.append(seq)
        return fetch(connection, seq, last)

    monkeypatch.setattr(readings, "_between", noted)
    return found


def test_what_was_read_is_not_read_again_and_what_came_is(ledger: Ledger, place: Path, read: list[int]) -> None:
    ledger.record_delivery(year(1), size=1)
    assert ledger.deliveries() == [year(1)]
    first_head = ledger.journal_head()[0]
    assert ledger.deliveries() == ledger.active_set() == [year(1)]
    assert read == [0]
    with closing(Ledger(f"sqlite:///{place}")) as another:
        another.record_delivery(year(2), size=1)
        another.record_delivery(year(1, contract_version="v2", rows_in=5, rows_accepted=5), size=1)
    again = year(1, contract_version="v2", rows_in=5, rows_accepted=5)
    assert ledger.deliveries() == [again, year(2)], "as last read, in order of arrival"
    assert ledger.active_set({"school_census": "v1"}) == [year(1), year(2)]
    assert ledger.unread({"school_census": "v2"}) == [year(2)]
    assert read == [0, first_head]


def test_entries_of_another_kind_bring_nothing_new(ledger: Ledger) -> None:
    ledger.record_delivery(year(1), size=1)
    before = ledger.deliveries()
    ledger.withdraw(before[0].delivery_id, reason="错报", person="张")
    assert ledger.deliveries() == before
    assert [found.status for found in ledger.active_set()] == ["withdrawn"]


def test_what_is_entered_between_two_looks_at_the_ledger_is_read_once(
    ledger: Ledger, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.record_delivery(year(1), size=1)
    fetch = readings._between

    def interrupted(connection: sa.Connection, seq: int, last: int) -> list[readings.Known]:
        # The head is known, the rows are not yet: a database without snapshots shows what comes in between.
        with closing(Ledger(f"sqlite:///{place}")) as another:
            another.record_delivery(year(2), size=1)
            with another.reading() as later:
                return fetch(later, seq, last)

    with monkeypatch.context() as patch:
        patch.setattr(readings, "_between", interrupted)
        assert ledger.deliveries() == [year(1)]
    assert ledger.deliveries() == [year(1), year(2)]


def test_a_list_that_somebody_looks_at_stays_as_it_was(ledger: Ledger) -> None:
    ledger.record_delivery(year(1), size=1)
    before = ledger._line()
    ledger.record_delivery(year(2), size=1)
    assert len(ledger._line().known) == 2
    assert list(before.newest.values()) == [year(1)]
    ledger.deliveries().clear()
    ledger.readings().clear()
    ledger.active_set().clear()
    assert len(ledger.deliveries()) == len(ledger.readings()) == len(ledger.active_set()) == 2


def test_what_counts_is_found_out_once_until_something_is_added(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    choose = ledgers.select_active

    def noted(deliveries: Iterable[DeliveryRow], withdrawn: Collection[str]) -> list[DeliveryRow]:
        asked.append(1)
        return choose(deliveries, withdrawn)

    monkeypatch.setattr(ledgers, "select_active", noted)
    ledger.record_delivery(year(1), size=1)
    ledger.record_delivery(year(2), size=1)
    assert ledger.active_set() == ledger.active_set() == [year(1), year(2)]
    assert ledger.active_set(without={year(2).delivery_id}) == [year(1)]
    assert len(asked) == 2
    # An entry of another kind changes nothing about the line; what it says is asked all the same.
    ledger.record_candidate("c1", "f")
    assert ledger.active_set() == [year(1), year(2)]
    assert len(asked) == 2
    ledger.withdraw(year(1).delivery_id, reason="错报", person="张")
    assert [found.status for found in ledger.active_set()] == ["withdrawn", "accepted"]
    ledger.record_delivery(year(3), size=1)
    assert [found.period for found in ledger.active_set()] == [2021, 2022, 2023]
    assert ledger.active_set({"school_census": "v2"}) == []
    assert len(asked) == 5


def test_deliveries_are_given_in_the_order_asked_and_strangers_left_out(ledger: Ledger) -> None:
    for number in (1, 2, 3):
        ledger.record_delivery(year(number), size=1)
    asked = [year(3).delivery_id, "nobody", year(1).delivery_id]
    assert ledger.deliveries_of(asked) == [year(3), year(1)]


@pytest.mark.parametrize("further", [0, 1, 5])
def test_a_ledger_put_back_is_read_anew_however_far_it_went_on(tmp_path: Path, place: Path, further: int) -> None:
    url = f"sqlite:///{place}"
    with closing(Ledger(url)) as ledger:
        ledger.record_delivery(year(1), size=1)
    shutil.copy(place, tmp_path / "backup.db")
    with closing(Ledger(url)) as ledger:
        ledger.record_delivery(year(2), size=1)
        assert len(ledger.deliveries()) == 2
    for left in tmp_path.glob("ledger.db*"):
        left.unlink()
    shutil.copy(tmp_path / "backup.db", place)
    with closing(Ledger(url)) as ledger:
        for number in range(further):
            ledger.record_delivery(year(3 + number), size=1)
        assert ledger.deliveries() == [year(1), *(year(3 + number) for number in range(further))]


def test_two_threads_see_the_same(ledger: Ledger) -> None:
    from concurrent.futures import ThreadPoolExecutor

    for number in range(20):
        ledger.record_delivery(year(number), size=1)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: ledger.deliveries(), range(16)))
    assert all(one == [year(number) for number in range(20)] for one in found)
