from __future__ import annotations

import dataclasses
import itertools
import sqlite3
from datetime import date
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.candidate_kit import delivery, judged, make_candidate
from tests.support.rows import NOON, row
from warehouse.entering import ArrivalEvent, Reading
from warehouse.errors import Fault
from warehouse.journal import check_chain, next_entry
from warehouse.ledger import Ledger, select_active
from warehouse.paths import Home
from warehouse.records import DeliveryRow


def event(**changes: Any) -> ArrivalEvent:
    fields: dict[str, Any] = {
        "connector": "folder", "source": "school_census/a.xlsx", "version": "1:1", "feed": "school_census",
        "sha256": "a" * 64, "delivery_id": "da", "outcome": "accepted", "submitter": "", "at": NOON,
    }  # fmt: skip
    return ArrivalEvent(**{**fields, **changes})


def ids(rows: list[DeliveryRow]) -> list[str]:
    return [item.delivery_id for item in rows]


def test_what_is_recorded_is_read_back(ledger: Ledger) -> None:
    one = row("a", reported_on=date(2023, 9, 20), tables={"school_census__school": "records/x.parquet"})
    ledger.record_delivery(one, size=10, event=event())
    assert ledger.deliveries() == [one]
    assert ledger.events() == [event()]
    assert ledger.readings() == {("da", "v1")}
    assert ledger.seen("folder") == {("school_census/a.xlsx", "1:1")}
    assert ledger.seen("sql") == set()


def test_the_same_delivery_and_event_twice_are_one(ledger: Ledger) -> None:
    for _ in range(2):
        ledger.record_delivery(row("a"), size=10, event=event())
        ledger.record_event(event(outcome="duplicate"))
    assert len(ledger.deliveries()) == len(ledger.events()) == 1
    assert [entry.kind for entry in ledger.journal_entries()] == ["event", "snapshot", "delivery", "records"]
    assert ledger.events()[0].outcome == "accepted"


def test_rows_that_do_not_add_up_are_refused_by_type_and_database(home: Home, ledger: Ledger) -> None:
    with pytest.raises(Fault, match="行数对不上"):
        row("a", rows_in=4)
    ledger.record_delivery(row("a"), size=1)
    with sqlite3.connect(home.root / "ledger.db") as raw, pytest.raises(sqlite3.IntegrityError):
        raw.execute("UPDATE delivery SET rows_in = 99")


def test_a_correction_supersedes_and_the_old_one_stays(ledger: Ledger) -> None:
    for name in ("a", "b"):
        ledger.record_delivery(row(name), size=1)
    assert ids(ledger.active_set({"school_census": "v1"})) == ["db"]
    assert ids(ledger.deliveries()) == ["da", "db"]


def test_a_refused_correction_does_not_displace(ledger: Ledger) -> None:
    refusal = {"status": "refused", "rows_accepted": 0, "rows_quarantined": 3}
    ledger.record_delivery(row("a"), size=1)
    ledger.record_delivery(row("b", **refusal), size=1)
    ledger.record_delivery(row("c", area_code="500105", **refusal), size=1)
    ledger.record_delivery(row("e", area_code="", **refusal), size=1)
    assert [(item.delivery_id, item.status) for item in ledger.active_set()] == [("da", "accepted"), ("dc", "refused")]


def test_read_again_under_a_new_contract_it_keeps_its_place(ledger: Ledger) -> None:
    for name in ("a", "b"):
        ledger.record_delivery(row(name), size=1)
    assert ids(ledger.unread({"school_census": "v2"})) == ["da", "db"]
    for name in ("b", "a"):
        ledger.record_delivery(row(name, contract_version="v2"), size=1)
    assert ids(ledger.active_set({"school_census": "v2"})) == ["db"]
    assert ids(ledger.active_set({"school_census": "v1"})) == ["db"]
    assert ledger.active_set({"school_census": "v3"}) == []
    assert ledger.unread({"school_census": "v2"}) == []


@given(st.data())
def test_a_batch_leaves_what_its_entries_leave_one_by_one(data: st.DataObject) -> None:
    names, versions = st.sampled_from("abc"), st.sampled_from(["v1", "v2"])
    readings = st.builds(
        lambda name, version, arrival: Reading(
            row(name, contract_version=version), 7, arrival, {f"records/{name}.parquet": version}
        ),
        names,
        versions,
        st.none() | names.map(lambda name: event(version=name)),
    )
    entries = data.draw(st.lists(readings | names.map(lambda name: event(version=name, outcome="duplicate"))))
    cut = data.draw(st.integers(0, len(entries)))
    with TemporaryDirectory() as folder:
        together, one_by_one = (Ledger(f"sqlite:///{folder}/{name}.db") for name in ("together", "one"))
        for batch in (entries[:cut], entries[cut:]):
            together.record_all(batch)
        for entry in entries:
            one_by_one.record_all([entry])
        told = [[(one.seq, one.kind, one.payload) for one in each.journal_entries()] for each in (together, one_by_one)]
        assert told[0] == told[1]
        assert together.findings() == one_by_one.findings() == []
        assert together.deliveries() == one_by_one.deliveries()
        together.close()
        one_by_one.close()


def test_an_older_correction_arriving_late_does_not_win() -> None:
    newer, older = row("a", reported_on=date(2023, 10, 1)), row("b", reported_on=date(2023, 9, 1))
    undated = row("c")
    assert ids(select_active([newer, older])) == ["da"]
    assert ids(select_active([older, newer])) == ["da"]
    assert ids(select_active([newer, undated])) == ["dc"]
    # The undated one stood in for 1 October; what is older than that does not come back through it.
    assert ids(select_active([newer, undated, older])) == ["dc"]


@given(st.lists(st.one_of(st.none(), st.dates(date(2023, 1, 1), date(2023, 1, 5))), min_size=1, max_size=6))
def test_the_winner_is_never_older_than_a_dated_loser(dates: list[date | None]) -> None:
    rows = [row(str(number), reported_on=day) for number, day in enumerate(dates)]
    [winner] = select_active(rows)
    known = [item.reported_on for item in rows if item.reported_on]
    if winner.reported_on is not None:
        assert winner.reported_on == max(known)
    else:
        after = rows[rows.index(winner) + 1 :]
        before = [item.reported_on for item in rows[: rows.index(winner)] if item.reported_on]
        assert all(item.reported_on < max(before) for item in after if item.reported_on)


def test_a_verdict_digest_is_the_last_one_recorded(home: Home, ledger: Ledger) -> None:
    candidate = make_candidate(home, ledger, 1.0)
    assert ledger.verdict_digest(candidate.candidate_id) is None
    first = judged(ledger, candidate)
    ledger.record_verdict(first)
    second = dataclasses.replace(first, judged_at="2025-10-01T00:00:00+08:00")
    ledger.record_verdict(second)
    assert ledger.verdict_digest(candidate.candidate_id) == second.digest()
    assert [entry.kind for entry in ledger.journal_entries()].count("verdict") == 2


def test_one_candidate_cannot_have_two_contents(ledger: Ledger) -> None:
    ledger.record_candidate("c1", "a" * 64)
    ledger.record_candidate("c1", "a" * 64)
    with pytest.raises(Fault, match="另一内容指纹"):
        ledger.record_candidate("c1", "b" * 64)


def _tampered(home: Home, ledger: Ledger, *statements: str) -> list[str]:
    for name in ("a", "b", "c"):
        delivery(home, ledger, name, period=ord(name))
    assert ledger.findings() == []
    with sqlite3.connect(home.root / "ledger.db") as raw:
        # Whoever tampers drops the triggers first.
        raw.execute("DROP TRIGGER journal_no_update")
        raw.execute("DROP TRIGGER journal_no_delete")
        for statement in statements:
            raw.execute(statement)
    return ledger.findings()


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("UPDATE journal SET payload = replace(payload, 'partly', 'accepted') WHERE seq = 2", "内容被改动"),
        ("UPDATE journal SET at = '2020' WHERE seq = 1", "内容被改动"),
        ("DELETE FROM journal WHERE seq = 2", "被删除或调换"),
        ("UPDATE journal SET seq = 99 WHERE seq = 2", "被删除或调换"),
        ("DELETE FROM journal WHERE seq = 3", "不在日志里"),
        ("DELETE FROM delivery WHERE period = 97", "台账缺少"),
        ("UPDATE delivery SET area_code = '500199' WHERE period = 97", "不一致"),
        ("UPDATE delivery SET arrival = 50 WHERE period = 97", "不一致"),
    ],
)
def test_tampering_is_found(home: Home, ledger: Ledger, statement: str, finding: str) -> None:
    assert any(finding in line for line in _tampered(home, ledger, statement))


def test_the_journal_refuses_honest_mistakes(home: Home, ledger: Ledger) -> None:
    delivery(home, ledger, "a")
    for statement in ("UPDATE journal SET kind = 'x'", "DELETE FROM journal"):
        with sqlite3.connect(home.root / "ledger.db") as raw, pytest.raises(sqlite3.IntegrityError, match="append"):
            raw.execute(statement)


@given(st.lists(st.tuples(st.text(max_size=5), st.integers()), min_size=2, max_size=6), st.data())
def test_any_change_of_any_entry_breaks_the_chain(payloads: list[tuple[str, int]], data: st.DataObject) -> None:
    entries = []
    for kind, payload in payloads:
        last = (entries[-1].seq, entries[-1].hash) if entries else None
        entries.append(next_entry(last, at="t", kind=kind, payload=payload))
    assert check_chain(entries) == []
    place = data.draw(st.integers(0, len(entries) - 1))
    entries[place] = dataclasses.replace(entries[place], payload=entries[place].payload + " ")
    assert check_chain(entries) != []


def test_orders_of_equal_arrivals_do_not_change_the_active_set() -> None:
    rows = [row(str(n), area_code=f"50010{n}") for n in range(4)]
    results = {tuple(ids(select_active(order))) for order in itertools.permutations(rows)}
    assert len(results) == 1
