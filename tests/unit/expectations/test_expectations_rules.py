"""Every publication rule passes on the model candidate and fails on the one damage written for it, in both engines."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from expectations import sql
from expectations.catalogue import Catalogue, Rule, catalogue, rules
from expectations.gate import Evidence, conclude, evaluate, examine
from expectations.gx_runner import GxRun
from expectations.self_test import faults, pick
from tests.unit.expectations import gate_candidate
from tests.unit.expectations.gate_mutations import ALSO
from warehouse.candidate import Candidate
from warehouse.verdict import Verdict

BY_ID = {rule.id: rule for rule in rules()}
MUTATIONS, EMPTIED = faults().faults, faults().emptied


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gate_candidate.build(tmp_path_factory.mktemp("gate") / "candidate.duckdb")


@pytest.fixture(scope="module")
def good_verdict(model: Path) -> Verdict:
    return evaluate(_candidate(model), catalogue())


def _candidate(database: Path) -> Candidate:
    return Candidate("c0123456789abcdef", database.parent, database, "f" * 64, {})


@pytest.fixture(scope="module")
def bench(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to a copy; every trial damages it inside a transaction that is rolled back."""
    copy = shutil.copyfile(model, tmp_path_factory.mktemp("bench") / "candidate.duckdb")
    with duckdb.connect(str(copy)) as connection:
        yield connection


@pytest.fixture(scope="module")
def picked(bench: duckdb.DuckDBPyConnection) -> dict[str, str]:
    return pick(bench, faults())


@pytest.fixture(scope="module")
def texts(bench: duckdb.DuckDBPyConnection) -> sql.TextColumns:
    """No damage changes a column."""
    return sql.text_columns(bench)


@pytest.fixture
def damage(bench: duckdb.DuckDBPyConnection) -> Iterator[Callable[[str], None]]:
    def apply(statement: str) -> None:
        hit = bench.execute(statement).fetchall()
        assert hit != [(0,)], "the damage hit no row"

    bench.execute("begin")
    yield apply
    bench.execute("rollback")


def _touched(texts: sql.TextColumns, statement: str) -> list[Rule]:
    """Rules whose SQL mentions the damaged table; the others cannot change."""
    table = re.search(r"(?:marts|records)\.\w+", statement)
    assert table is not None
    return [rule for rule in rules() if table.group(0) in sql.compose(rule, texts).relation]


def _failing(connection: duckdb.DuckDBPyConnection, texts: sql.TextColumns, asked: list[Rule]) -> set[str]:
    counts = sql.ask(connection, asked, texts).counts
    return {rule_id for rule_id, count in counts.items() if count.failed or count.error}


def _judged(connection: duckdb.DuckDBPyConnection, rule_id: str) -> Verdict:
    """The verdict of one rule, both engines asked."""
    only = Catalogue(rules=(BY_ID[rule_id],), conditions=catalogue().conditions)
    evidence = Evidence()
    examine(connection, only, evidence, GxRun())
    return conclude(_candidate(Path("unused.duckdb")), only, evidence)


def test_every_rule_has_a_damage_that_it_alone_is_for() -> None:
    assert set(MUTATIONS) | set(EMPTIED) == set(BY_ID)
    assert not set(MUTATIONS) & set(EMPTIED)
    assert set(ALSO) <= set(MUTATIONS)


def test_model_candidate_passes_every_rule(good_verdict: Verdict) -> None:
    assert good_verdict.reasons() == []
    assert [result.rule_id for result in good_verdict.results if not result.passed] == []
    assert len(good_verdict.results) == good_verdict.rules_expected == len(BY_ID)


def test_nearly_every_rule_examines_rows_of_the_model(good_verdict: Verdict) -> None:
    """A rule that examines nothing here proves nothing by passing; the only one is about gaps the model has not."""
    assert [r.rule_id for r in good_verdict.results if r.rows_checked == 0] == ["coverage.missing_has_note"]


@pytest.mark.parametrize("rule_id", sorted(MUTATIONS))
def test_damage_fails_the_rule_and_only_what_it_must(
    bench: duckdb.DuckDBPyConnection,
    texts: sql.TextColumns,
    damage: Callable[[str], None],
    picked: dict[str, str],
    rule_id: str,
) -> None:
    statement = faults().statement(rule_id, picked)
    assert statement is not None
    damage(statement)

    assert _failing(bench, texts, _touched(texts, statement)) == {rule_id} | ALSO.get(rule_id, set())

    (result,) = _judged(bench, rule_id).results
    assert result.error is None, "Great Expectations and the gate's own count must agree"
    assert not result.passed
    assert len(result.failing_keys) == result.rows_failed > 0
    assert all("=" in key for key in result.failing_keys)


@pytest.mark.parametrize("rule_id", sorted(EMPTIED))
def test_emptied_table_does_not_pass(
    bench: duckdb.DuckDBPyConnection, damage: Callable[[str], None], rule_id: str
) -> None:
    damage(EMPTIED[rule_id])
    verdict = _judged(bench, rule_id)
    assert not verdict.results[0].passed
    assert not verdict.passed
