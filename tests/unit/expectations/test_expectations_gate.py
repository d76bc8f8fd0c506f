"""The gate fails closed: whatever goes wrong, the verdict does not pass and says why."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

import expectations
from expectations import gx_runner
from expectations.catalogue import Catalogue, Rule, catalogue, rules
from expectations.gate import VERDICT_FILE, Runner, evaluate, judge
from expectations.gx_runner import GxResult, GxRun
from expectations.sql import Asked, column_of
from tests.unit.expectations import gate_candidate
from warehouse.candidate import Candidate
from warehouse.ledger import Ledger
from warehouse.paths import Home
from warehouse.verdict import RuleResult, Verdict

Tamper = Callable[[GxRun], None]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gate_candidate.build(tmp_path_factory.mktemp("gate") / "candidate.duckdb")


def _candidate(database: Path) -> Candidate:
    return Candidate("c0123456789abcdef", database.parent, database, "f" * 64, {})


def _rule(rule_id: str, **changes: Any) -> Rule:
    return next(rule for rule in rules() if rule.id == rule_id).model_copy(update=changes)


def _catalogue(*members: Rule) -> Catalogue:
    """A catalogue without the checks that the shipped one went through: what if somebody slipped past them?"""
    return Catalogue.model_construct(rules=members, conditions=catalogue().conditions)


def _judged(model: Path, *members: Rule, **options: Any) -> tuple[Verdict, list[RuleResult]]:
    verdict = evaluate(_candidate(model), _catalogue(*members), **options)
    return verdict, list(verdict.results)


def _tampered(change: Tamper) -> Runner:
    """Great Expectations itself, whose results are changed before the gate sees them."""

    def run(connection: duckdb.DuckDBPyConnection, asked: Sequence[Asked], outcome: GxRun) -> None:
        gx_runner.run(connection, asked, outcome)
        change(outcome)

    return run


FINITE = "fct_value.finite"
NAMES = "dim_area.name_present"


def test_no_rules_do_not_pass(model: Path) -> None:
    verdict, results = _judged(model)
    assert results == []
    assert not verdict.passed
    assert "没有执行任何规则。" in verdict.reasons()


def test_rule_without_rows_does_not_pass(model: Path) -> None:
    verdict, (result,) = _judged(model, _rule(FINITE, scope="period = 1800"))
    assert result.error == "没有可检查的数据行"
    assert not verdict.passed


def test_warning_without_rows_does_not_pass_either(model: Path) -> None:
    idle = _rule(FINITE, id="fct_value.idle", scope="period = 1800", severity="warning")
    verdict, _ = _judged(model, _rule(NAMES), idle)
    assert not verdict.passed


def test_nothing_to_examine_is_right_only_under_the_named_condition(model: Path, tmp_path: Path) -> None:
    money = _rule("finance.money_non_negative")
    database = Path(shutil.copyfile(model, tmp_path / "no_money.duckdb"))
    with duckdb.connect(str(database)) as connection:
        connection.execute("delete from records.education_finance__line")
    _, (lost,) = _judged(database, money)
    assert lost.error == "没有可检查的数据行"

    with duckdb.connect(str(database)) as connection:
        connection.execute("delete from records.delivery where feed = 'education_finance'")
    _, (absent,) = _judged(database, money)
    assert absent.passed
    assert absent.observed == "不适用：没有有效的教育经费批次"


@pytest.mark.parametrize(
    "damage",
    [
        {"source": "select * from marts.there_is_no_such_table"},
        {"scope": "no_such_column > 1"},
        {"scope": "cast(indicator_id as integer) > 1"},
        {"scope": "error('boom')"},
    ],
)
def test_rule_that_breaks_does_not_pass_and_spares_the_others(model: Path, damage: dict[str, str]) -> None:
    broken = _rule(FINITE, id="fct_value.broken", **damage)
    verdict, (result, sound) = _judged(model, broken, _rule(FINITE))
    assert result.error is not None
    assert not result.passed
    assert sound.passed
    assert not verdict.passed


def test_missing_table_does_not_pass(model: Path, tmp_path: Path) -> None:
    database = Path(shutil.copyfile(model, tmp_path / "gap.duckdb"))
    with duckdb.connect(str(database)) as connection:
        connection.execute("drop table marts.mart_class_size")
    verdict, (row_count, text) = _judged(database, _rule("class_size.not_empty"), _rule("class_size.no_person_number"))
    assert row_count.error is not None
    assert text.error == "marts.mart_class_size 不存在或没有文本列"
    assert not verdict.passed


def test_rules_that_gx_takes_for_the_same_each_get_their_result(model: Path) -> None:
    """`ExpectationSuite.add_expectation` would keep one of the two and say nothing."""
    verdict, results = _judged(model, _rule("dim_area.not_empty"), _rule("dim_area.not_empty", id="dim_area.again"))
    assert [result.error for result in results] == [None, None]
    assert verdict.passed


def test_merged_rules_are_noticed(model: Path) -> None:
    def merge(outcome: GxRun) -> None:
        del outcome.results[1]

    members = _rule("dim_area.not_empty"), _rule("dim_area.not_empty", id="dim_area.again")
    verdict, results = _judged(model, *members, runner=_tampered(merge))
    assert "实际返回 0 个" in str(results[1].error)
    assert not verdict.passed


def test_unknown_severity_does_not_pass(model: Path) -> None:
    verdict, (result,) = _judged(model, _rule(NAMES, severity="grave"))
    assert not result.passed
    assert any("grave" in reason for reason in verdict.reasons())


def test_database_that_cannot_be_opened_does_not_pass(tmp_path: Path) -> None:
    (tmp_path / "not_a_database.duckdb").write_bytes(b"nonsense" * 1000)
    verdict, (result,) = _judged(tmp_path / "not_a_database.duckdb", _rule(NAMES))
    assert "质量检查中断" in str(result.error)
    assert not verdict.passed


# A hash cannot be reasoned away by an optimiser, as a comparison of ranges could.
ENDLESS = "select a.i as one from range(1000000000) as a(i), range(1000000000) as b(j) where hash(a.i, b.j) = 0"


def test_gate_that_takes_too_long_is_stopped(model: Path) -> None:
    endless = _rule(NAMES, id="dim_area.endless", source=ENDLESS, column="one")
    verdict, results = _judged(model, endless, _rule(NAMES), timeout_seconds=0.3)
    assert all("已中止" in str(result.error) for result in results)
    assert not verdict.passed


def test_endless_query_inside_gx_is_stopped(model: Path) -> None:
    def run(connection: duckdb.DuckDBPyConnection, asked: Sequence[Asked], outcome: GxRun) -> None:
        column = column_of(asked[0].rules[0])
        connection.execute(f"create temporary view slow as select one < 0 as {column} from ({ENDLESS})")
        gx_runner.run(connection, [Asked("slow", asked[0].rules)], outcome)

    verdict, (result,) = _judged(model, _rule(FINITE), runner=run, timeout_seconds=1.0)
    assert "已中止" in str(result.error)
    assert not verdict.passed


def _flip(outcome: GxRun) -> None:
    outcome.results[0] = replace(outcome.results[0], success=not outcome.results[0].success)


def _miscount(outcome: GxRun) -> None:
    outcome.results[0] = replace(outcome.results[0], unexpected=3)


def _overlook(outcome: GxRun) -> None:
    outcome.results[0] = replace(outcome.results[0], examined=1)


def _soften(outcome: GxRun) -> None:
    outcome.results[0] = replace(outcome.results[0], severity="warning")


def _repeat(outcome: GxRun) -> None:
    outcome.results.append(outcome.results[0])


def _exaggerate(outcome: GxRun) -> None:
    outcome.worst.append("critical")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda outcome: outcome.results.clear(), "实际返回 0 个"),
        (_repeat, "实际返回 2 个"),
        (_flip, "不一致"),
        (_miscount, "不合格 3 行"),
        (_overlook, "GX 检查 1 行"),
        (_soften, "严重程度 warning"),
        (_exaggerate, "最高严重程度"),
    ],
)
def test_disagreement_between_gx_and_the_gate_does_not_pass(model: Path, change: Tamper, reason: str) -> None:
    verdict, (result,) = _judged(model, _rule(NAMES), runner=_tampered(change))
    assert reason in str(result.error)
    assert not verdict.passed


def test_result_of_an_unknown_rule_does_not_pass(model: Path) -> None:
    def stranger(outcome: GxRun) -> None:
        outcome.results.append(
            GxResult("nobody.knows", success=True, severity="info", examined=1, unexpected=0, error=None)
        )

    verdict, results = _judged(model, _rule(NAMES), runner=_tampered(stranger))
    assert [result.rule_id for result in results] == [NAMES, "nobody.knows"]
    assert not verdict.passed


def test_failed_warning_is_shown_and_does_not_refuse(model: Path, tmp_path: Path) -> None:
    database = Path(shutil.copyfile(model, tmp_path / "small.duckdb"))
    with duckdb.connect(str(database)) as connection:
        connection.execute("update marts.dim_area set population_2020 = 58 where area_code = '500103'")
    verdict, (result,) = _judged(database, _rule("dim_area.population_plausible"))
    assert not result.passed
    assert result.failing_keys == ("area_code=500103（实际：58）",)
    assert verdict.passed


def test_every_failing_key_is_listed_beyond_the_cap_of_gx(model: Path) -> None:
    verdict, (result,) = _judged(model, _rule(FINITE, check=_rule(NAMES).check, column="note"))
    assert result.rows_failed == len(result.failing_keys) == len(set(result.failing_keys)) > 200
    assert list(result.failing_keys) == sorted(result.failing_keys)
    assert not verdict.passed


def test_failing_keys_are_masked(model: Path, tmp_path: Path) -> None:
    database = Path(shutil.copyfile(model, tmp_path / "phone.duckdb"))
    with duckdb.connect(str(database)) as connection:
        connection.execute("update marts.dim_area set area_level = '电话13800138000' where area_code = 'G1'")
    verdict, (result,) = _judged(database, _rule("dim_area.level_known"))
    assert result.failing_keys == ("area_code=G1（实际：电话〔已遮盖〕）",)
    assert b"13800138000" not in verdict.to_json()


def test_judge_writes_the_verdict_and_records_its_digest(model: Path, tmp_path: Path) -> None:
    home = Home(tmp_path / "home").ensure()
    folder = home.candidates / "c0123456789abcdef"
    folder.mkdir()
    database = Path(shutil.copyfile(model, folder / "candidate.duckdb"))
    before = database.read_bytes()
    ledger = Ledger(home.ledger_url)

    verdict = judge(home, ledger, Candidate(folder.name, folder, database, "f" * 64, {}))

    assert verdict.passed
    assert verdict.rules_version == expectations.rules_version()
    written = (folder / VERDICT_FILE).read_bytes()
    assert Verdict.from_json(written) == verdict
    assert ledger.verdict_digest(folder.name) == verdict.digest() == Verdict.from_json(written).digest()
    assert database.read_bytes() == before, "judging must not touch the candidate"
    with duckdb.connect(str(database)) as connection:  # refused while a read-only connection is left open
        connection.execute("checkpoint")


def test_importing_the_room_does_not_import_gx() -> None:
    code = "import expectations, sys; expectations.rules(); sys.exit('great_expectations' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
