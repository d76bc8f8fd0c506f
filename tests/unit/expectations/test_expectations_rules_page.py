"""The committed rule page is current and complete, and guard coverage is what the rules really examine."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from expectations import sql
from expectations.catalogue import Catalogue, catalogue, rules
from expectations.guards import FACT_TABLE, admits, guard_coverage, subjects
from expectations.rules_page import render_rules_page
from tests.unit.expectations import gate_candidate
from warehouse.paths import package_root

PAGE = package_root() / "docs" / "rules.md"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gate_candidate.build(tmp_path_factory.mktemp("guards") / "candidate.duckdb")


def test_committed_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == render_rules_page(catalogue()), "run: eduplan gate rules --write"


def test_page_holds_everything_said_of_every_rule() -> None:
    page = render_rules_page(catalogue()).replace("\\", "")
    for rule in rules():
        told = (rule.id, rule.title_zh, rule.title_en, rule.fill(rule.meaning_zh), rule.when_it_matters_zh)
        for text in (*told, rule.remedy_zh, rule.owner):
            assert text in page, f"{rule.id}: {text}"
        for name, value in rule.parameters.items():
            assert f"`{name} = {value:.12g}`" in page


def test_what_a_rule_really_examines_is_what_guard_coverage_says(model: Path) -> None:
    """Measured on a candidate: indicators among the rows in scope, for every rule whose rows name their indicator."""
    names = frozenset(subject.indicator_id for subject in subjects())
    measured = 0
    with duckdb.connect(str(model), read_only=True) as connection:
        texts = sql.text_columns(connection)
        for rule in rules():
            if "indicator_id" not in rule.keys or rule.relation != FACT_TABLE:
                continue
            composed = sql.compose(rule, texts)
            query = f"select distinct indicator_id from {composed.relation} as examined where {composed.scope}"
            found = {row[0] for row in connection.execute(query).fetchall()}
            told = {subject.indicator_id for subject in subjects() if admits(rule, subject, names)}
            assert found <= told, f"{rule.id}: {found - told}"
            measured += bool(found)
    assert measured > 20


def test_rule_that_names_indicators_guards_those_and_no_others() -> None:
    guarded = {item.name: item.rules for item in guard_coverage(rules()).indicators}
    plausible = {name for name, ids in guarded.items() if "fct_value.pupil_teacher_ratio_plausible" in ids}
    assert plausible == {f"{stage}_pupil_teacher_ratio" for stage in ("primary", "junior", "senior")}
    assert "fct_value.compulsory_is_sum" in guarded["junior_enrolment"]
    assert "fct_value.compulsory_is_sum" not in guarded["senior_enrolment"]
    assert "fct_value.official_has_note" not in guarded["pre_enrolment"]


def test_format_checks_guard_no_amount() -> None:
    for item in guard_coverage(rules()).indicators:
        assert not {"fct_value.not_empty", "fct_value.ref_period_present", "fct_value.method_known"} & set(item.rules)


def test_what_nobody_guards_is_named() -> None:
    rates = {"fct_value.official_rate_plausible", "fct_value.city_share_jump"}
    kept = tuple(r for r in rules() if r.relation != "marts.mart_class_size" and r.id not in rates)
    poorer = Catalogue.model_construct(rules=kept, conditions=catalogue().conditions)
    coverage = guard_coverage(poorer.rules)
    assert {"mart_class_size", "vet_progression_share"} <= set(coverage.unguarded)
    assert guard_coverage(()).unguarded == tuple(item.name for item in (*coverage.indicators, *coverage.marts))
    assert "`mart_class_size`" in render_rules_page(poorer).split("Unguarded：")[1].splitlines()[0]
