from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa

from tests.support.candidate_kit import REPORT, delivery, judged, make_candidate
from warehouse.errors import Fault
from warehouse.ledger import Ledger
from warehouse.ledger_tables import with_driver
from warehouse.paths import Home
from warehouse.release import publish
from warehouse.verify import verify


@pytest.fixture
def home(tmp_path, postgres_url) -> Home:  # type: ignore[no-untyped-def]
    return Home(tmp_path / "home", ledger_setting=postgres_url).ensure()


@pytest.fixture
def ledger(home: Home) -> Ledger:
    return Ledger(home.ledger_url)


def test_a_release_is_recorded_and_verified_on_postgresql(home: Home, ledger: Ledger) -> None:
    candidate = make_candidate(home, ledger, 1.5)
    release = publish(home, ledger, candidate, judged(ledger, candidate), artefacts=REPORT)
    assert [row.release_id for row in ledger.releases()] == [release.release_id]
    assert verify(home) == []
    assert not (home.root / "ledger.db").exists()


def test_the_journal_refuses_changes(home: Home, ledger: Ledger) -> None:
    delivery(home, ledger, "one")
    engine = sa.create_engine(with_driver(home.ledger_url))
    for statement in ("UPDATE journal SET kind = 'x'", "DELETE FROM journal", "TRUNCATE journal"):
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), engine.begin() as connection:
            connection.exec_driver_sql(statement)
    engine.dispose()


def test_an_edited_delivery_is_found(home: Home, ledger: Ledger) -> None:
    delivery(home, ledger, "one")
    engine = sa.create_engine(with_driver(home.ledger_url))
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE delivery SET status = 'accepted'")
    engine.dispose()
    assert any("改动" in finding for finding in ledger.findings())


def test_many_writers_make_one_chain(home: Home, ledger: Ledger) -> None:
    def write(start: int) -> None:
        own = Ledger(home.ledger_url)
        for number in range(start, start + 10):
            delivery(home, own, f"text {number}", period=number)
        own.close()

    writers = [threading.Thread(target=write, args=(start,)) for start in (100, 200, 300)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(ledger.deliveries()) == 30
    assert ledger.findings() == []


def test_an_unreachable_ledger_is_a_fault_without_the_password() -> None:
    with pytest.raises(Fault) as caught:
        Ledger("postgresql://someone:geheim@127.0.0.1:1/none")
    assert "geheim" not in str(caught.value)
