"""What is known ahead is what the gate would find out itself, and is used only of the same deliveries and rules."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path

import pytest

from expectations import carrying, known
from expectations.catalogue import Catalogue, Rule
from expectations.known import Known
from tests.support.carrying_kit import AREAS, EACH, FIGURES, YEARS, Bench, make_book, rule_of
from warehouse.candidate import Candidate
from warehouse.errors import Fault
from warehouse.files import sha256_file
from warehouse.paths import Home
from warehouse.records import DeliveryRow


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The deliveries the gate looked at itself, each time it did."""
    found: list[list[str]] = []
    know = known.know

    def noted(home: Home, database: Path, deliveries: Iterable[DeliveryRow], rules: Sequence[Rule]) -> Known:
        rows = list(deliveries)
        found.append([row.delivery_id for row in rows])
        return know(home, database, rows, rules)

    monkeypatch.setattr(carrying, "know", noted)
    return found


def ahead(bench: Bench, candidate: Candidate, book: Catalogue | None = None) -> Future[Known]:
    done: Future[Known] = Future()
    # In the order in which the ledger does not give them.
    deliveries = reversed(bench.deliveries(candidate))
    done.set_result(known.know(bench.home, candidate.database, deliveries, (book or make_book()).rules))
    return done


def test_the_verdict_is_the_same_and_nothing_is_looked_at_twice(
    bench: Bench, made: Path, tmp_path: Path, looked: list[list[str]]
) -> None:
    alone = Bench(Path(shutil.copytree(made, tmp_path / "alone")))
    expected = [alone.judge(number) for number in (0, 1)]
    assert expected[1].carried
    assert len(looked) == 2
    looked.clear()
    verdicts = [bench.judge(number, known=ahead(bench, bench.pair[number])) for number in (0, 1)]
    assert looked == []
    assert [verdict.to_json() for verdict in verdicts] == [verdict.to_json() for verdict in expected]
    memos = [home.root / "gate" / "memo" for home in (bench.home, alone.home)]
    assert sha256_file(memos[0]) == sha256_file(memos[1])
    alone.ledger.close()


@pytest.mark.parametrize("way", ["other deliveries", "other rules", "failed"])
def test_what_is_of_something_else_or_failed_is_found_out_by_the_gate(
    bench: Bench, looked: list[list[str]], way: str
) -> None:
    first, second = bench.pair
    other = make_book(rule_of("fct_value.finite"))
    begun: Future[Known] = Future()
    if way == "failed":
        begun.set_exception(Fault("缺少记录文件。"))
    else:
        begun = ahead(bench, first if way == "other deliveries" else second, other if way == "other rules" else None)
    bench.judge(0)
    looked.clear()
    verdict = bench.judge(1, known=begun)
    assert [sorted(ids) for ids in looked] == [sorted(row.delivery_id for row in bench.deliveries(second))]
    rows = len(AREAS) * len(YEARS) * EACH
    assert verdict.results[0].rows_carried == rows - EACH


def test_only_views_that_rules_read_are_looked_at(bench: Bench) -> None:
    candidate = bench.pair[0]
    found = known.know(bench.home, candidate.database, bench.deliveries(candidate), make_book().rules)
    assert set(found.views) == set(found.records) == {FIGURES}
    assert set(found.records[FIGURES].parts) == {(area, year) for area in AREAS for year in YEARS}
    of_marts = known.know(bench.home, candidate.database, bench.deliveries(candidate), [rule_of("fct_value.finite")])
    assert of_marts.views == of_marts.records == {}
