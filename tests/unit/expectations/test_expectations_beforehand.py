"""What is asked beforehand is what would be asked later; where it is not, or broke, it is asked again."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import Future
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from expectations import beforehand, gate
from expectations import sql as rule_sql
from expectations.beforehand import Beforehand, all_of
from expectations.catalogue import Catalogue
from expectations.gate import Evidence
from expectations.known import Known, know
from expectations.sql import Answers, Count
from tests.support.carrying_kit import (
    ACROSS,
    AREAS,
    BY_AREA,
    BY_DELIVERY,
    NOON,
    YEARS,
    Bench,
    deliver,
    make_book,
    rule_of,
)
from warehouse.candidate import Candidate
from warehouse.clock import SHANGHAI
from warehouse.verdict import Verdict

ENDLESS = "SELECT count(*) FROM range(1000000000000) AS a (n) WHERE n % 7 = 8"
ON_RECORDS = {BY_DELIVERY, BY_AREA, ACROSS}
AT_NOON = datetime.fromisoformat(NOON)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The rules the gate counted itself."""
    found: list[str] = []
    count = gate._count

    def noted(connection: duckdb.DuckDBPyConnection, asked: Any, *others: Any) -> None:
        found.extend(rule.id for rule in asked)
        count(connection, asked, *others)

    monkeypatch.setattr(gate, "_count", noted)
    return found


def begun(bench: Bench, candidate: Candidate, book: Catalogue | None = None) -> Beforehand:
    return Beforehand(bench.home, candidate.database, bench.deliveries(candidate), all_of(book or make_book()))


def told(verdict: Verdict) -> list[Any]:
    """What was found, whoever found it and when."""
    return [(result.rule_id, result.passed, result.rows_checked, result.failing_keys) for result in verdict.results]


@pytest.mark.parametrize("number", [0, 1])
def test_the_verdict_is_the_same_and_records_are_not_asked_twice(
    bench: Bench, made: Path, tmp_path: Path, counted: list[str], number: int
) -> None:
    alone = Bench(Path(shutil.copytree(made, tmp_path / "alone")))
    expected = alone.judge(number)
    assert set(counted) >= ON_RECORDS
    counted.clear()
    with closing(begun(bench, bench.pair[number])) as before:
        verdict = bench.judge(number, before=before)
    assert verdict.to_json() == expected.to_json()
    assert verdict.passed == (number == 0)
    assert not ON_RECORDS & set(counted)
    assert counted
    # What is kept for the next check is the same too.
    other = 1 - number
    assert bench.judge(other).to_json() == alone.judge(other).to_json()
    assert bench.told == alone.told == []
    alone.ledger.close()


def test_other_records_than_the_candidates_count_for_nothing(bench: Bench, counted: list[str]) -> None:
    with closing(begun(bench, bench.pair[0])) as before:
        verdict = bench.judge(1, before=before)
    assert set(counted) >= ON_RECORDS
    assert told(verdict) == told(bench.judge(1))


def test_other_rules_than_the_gates_count_for_nothing(bench: Bench, counted: list[str]) -> None:
    laxer = make_book(rule_of(BY_DELIVERY, severity="warning"))
    with closing(begun(bench, bench.pair[1], laxer)) as before:
        verdict = bench.judge(1, before=before)
    assert set(counted) >= ON_RECORDS
    assert not verdict.passed


def test_where_much_is_carried_over_the_gate_asks_for_itself(bench: Bench, counted: list[str]) -> None:
    first = bench.judge(0)
    counted.clear()
    with closing(begun(bench, bench.pair[1])) as before:
        verdict = bench.judge(1, before=before)
    assert set(counted) >= ON_RECORDS
    figures = {result.rule_id: result for result in verdict.results}[BY_DELIVERY]
    assert figures.carried_from == (first.candidate_id,)
    assert figures.rows_failed == 1


def written(bench: Bench, instant: datetime) -> None:
    """Have what was found be written down then: the disk knows nothing of the clock of this trial."""
    os.utime(bench.home.root / "gate" / "memo", (instant.timestamp(), instant.timestamp()))


def the_rest(bench: Bench, candidate: Candidate) -> Beforehand | None:
    deliveries = bench.deliveries(candidate)
    known: Future[Known] = Future()
    known.set_result(know(bench.home, candidate.database, deliveries, make_book().rules))
    return beforehand.begin_with_the_rest(
        bench.home,
        bench.ledger,
        candidate.database,
        deliveries,
        code_digest=candidate.inputs["code_digest"],
        known=known,
        rules=make_book(),
    )


def test_what_is_left_to_ask_of_the_records_as_a_whole_is_asked_beforehand(
    bench: Bench, made: Path, tmp_path: Path, counted: list[str]
) -> None:
    alone = Bench(Path(shutil.copytree(made, tmp_path / "alone")))
    for one in (bench, alone):
        one.judge(0)
        written(one, AT_NOON)
    expected = alone.judge(1)
    counted.clear()
    before = the_rest(bench, bench.pair[1])
    assert before is not None
    with closing(before):
        verdict = bench.judge(1, before=before)
    assert verdict.to_json() == expected.to_json()
    # What stands apart is asked of the corrected records alone, when the candidate is there.
    assert set(counted) & ON_RECORDS == {BY_DELIVERY, BY_AREA}
    assert {result.rule_id: result.carried_from for result in verdict.results}[ACROSS] == ()
    assert bench.judge(0).to_json() == alone.judge(0).to_json()
    assert bench.told == alone.told == []
    alone.ledger.close()


def test_of_the_same_records_nothing_is_left_to_ask(bench: Bench, counted: list[str]) -> None:
    bench.judge(0)
    written(bench, AT_NOON)
    counted.clear()
    before = the_rest(bench, bench.pair[0])
    assert before is not None
    with closing(before):
        found = before.told()
        assert found is not None
        assert not found.answers.counts
        bench.judge(0, before=before)
    assert not set(counted) & ON_RECORDS


def test_a_rule_that_finds_something_elsewhere_has_everything_asked_once_more_and_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.judge(0)
    written(bench, AT_NOON)
    before = the_rest(bench, bench.pair[1])
    assert before is not None
    monkeypatch.setattr(Evidence, "is_astray", lambda self, rule: True)
    with closing(before):
        verdict = bench.judge(1, before=before)
    monkeypatch.undo()
    monkeypatch.setenv("EDUPLAN_GATE_CARRY", "0")
    assert told(verdict) == told(bench.judge(1))
    assert {result.error for result in verdict.results} == {None}


@pytest.mark.parametrize("way", ["answer", "error", "files"])
def test_what_broke_is_asked_again(bench: Bench, counted: list[str], monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    ask = rule_sql.ask

    def spoilt(connection: duckdb.DuckDBPyConnection, asked: Any, texts: Any, answers: Answers) -> Answers:
        if way == "error":
            raise duckdb.OutOfMemoryException("no room")
        ask(connection, asked, texts, answers)
        return answers if way == "files" else broken(answers)

    def broken(answers: Answers) -> Answers:
        answers.counts[BY_DELIVERY] = Count(0, 0, "OutOfMemoryException: no room")
        return answers

    with monkeypatch.context() as patch:
        patch.setattr(beforehand.rule_sql, "ask", spoilt)
        if way == "files":
            patch.setattr(beforehand, "_prepare", lambda *_: (_ for _ in ()).throw(duckdb.IOException("gone")))
        before = begun(bench, bench.pair[1])
        assert before.told() is None
    with closing(before):
        verdict = bench.judge(1, before=before)
    assert set(counted) >= ON_RECORDS
    assert {result.rule_id: result.error for result in verdict.results} == dict.fromkeys(
        (result.rule_id for result in verdict.results), None
    )
    assert {result.rule_id: result.rows_failed for result in verdict.results}[BY_DELIVERY] == 1


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first relation asked beforehand never comes to an end by itself."""

    def endless(connection: duckdb.DuckDBPyConnection, *_: Any) -> None:
        connection.execute(ENDLESS).fetchall()

    monkeypatch.setattr(beforehand.rule_sql, "ask", endless)


@pytest.mark.usefixtures("hanging")
def test_what_nobody_asks_for_any_more_is_interrupted(bench: Bench) -> None:
    before = begun(bench, bench.pair[0])
    before.close()
    assert before.told() is None
    with pytest.raises(duckdb.ConnectionException):
        before.connection.execute("SELECT 1")


def test_the_time_limit_holds_for_it_too(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(connection: duckdb.DuckDBPyConnection, *_: Any) -> None:
        connection.execute(ENDLESS).fetchall()

    with monkeypatch.context() as patch:
        patch.setattr(Beforehand, "_ask", lambda self: endless(self.connection))
        before = begun(bench, bench.pair[0])
        with closing(before):
            evidence = gate.gather(
                bench.pair[0].database,
                make_book(),
                timeout_seconds=0.5,
                runner=lambda *_: None,
                before=before,
            )
    assert "超过 0.5 秒" in str(evidence.whole_run_error)


def test_it_has_half_of_the_memory_that_is_allowed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDUPLAN_MEMORY", "400MB")
    with closing(begun(bench, bench.pair[0])) as before:
        query = "SELECT parse_formatted_bytes(current_setting('memory_limit'))"
        [(bound,)] = before.connection.cursor().execute(query).fetchall()
        assert 199_000_000 <= bound <= 200_000_000
        assert before.told() is not None


def test_nothing_is_begun_where_something_was_found_today(bench: Bench) -> None:
    deliveries = bench.ledger.deliveries()
    first = beforehand.begin(bench.home, bench.pair[0].database, deliveries)
    assert first is not None
    first.close()
    bench.judge(0)
    written(bench, AT_NOON)
    assert beforehand.begin(bench.home, bench.pair[0].database, deliveries) is None
    written(bench, datetime(2025, 9, 29, 23, 59, tzinfo=SHANGHAI))
    assert the_rest(bench, bench.pair[0]) is None
    again = beforehand.begin(bench.home, bench.pair[0].database, deliveries)
    assert again is not None
    again.close()


def test_a_missing_record_file_is_told_by_the_gate_and_not_before(bench: Bench) -> None:
    gone = deliver(bench.home, bench.ledger, AREAS[0], YEARS[0] + 7, [1])
    (bench.home.root / next(iter(gone.tables.values()))).unlink()
    before = Beforehand(bench.home, bench.pair[0].database, [gone], all_of(make_book()))
    with closing(before):
        assert before.told() is None
        assert told(bench.judge(0, before=before)) == told(bench.judge(0))
