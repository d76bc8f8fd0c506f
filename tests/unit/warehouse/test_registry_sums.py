"""Wholes beside their parts: rounding passes and is left alone, a wrong number does not."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from warehouse import registry
from warehouse.errors import UsageError
from warehouse.registry_sums import load_sums, parts_make_the_whole
from warehouse.statement import Statement

PLAN = registry.of_plan(registry.load(), registry.DEFAULT_PLAN)
WHOLE, PRIMARY, JUNIOR = (
    "box1.compulsory.enrolment",
    "box1.compulsory.primary_enrolment",
    "box1.compulsory.junior_enrolment",
)


def changed(name: str, **fields: Any) -> list[Statement]:
    return [
        Statement.model_validate(statement.model_dump() | fields) if statement.id == name else statement
        for statement in PLAN
    ]


def test_rounding_passes_and_nothing_is_corrected() -> None:
    printed = {statement.id: statement.baseline_2020 for statement in PLAN}
    assert [printed[name] for name in (PRIMARY, JUNIOR, WHOLE)] == ["202.5", "115.0", "317.4"]
    assert Decimal("202.5") + Decimal("115.0") != Decimal("317.4")
    assert list(parts_make_the_whole(PLAN, load_sums())) == []
    assert registry.check(PLAN) == []
    assert {statement.id: statement.baseline_2020 for statement in registry.load()} == printed


def test_what_rounding_cannot_explain_is_a_problem() -> None:
    (problem,) = parts_make_the_whole(changed(WHOLE, baseline_2020="317.3"), load_sums())
    assert (problem.statement_id, problem.rule) == (WHOLE, "sum")
    assert "202.5 + 115.0 = 317.5，与合计 317.3 相差超过 0.1" in problem.message_zh
    target = changed(JUNIOR, value_low="119", value_high="119")
    assert [problem.statement_id for problem in parts_make_the_whole(target, load_sums())] == [WHOLE]
    assert (WHOLE, "sum") in {(problem.statement_id, problem.rule) for problem in registry.check(target)}


def test_a_missing_part_is_a_problem_and_a_plan_without_the_whole_is_not() -> None:
    left = [statement for statement in PLAN if statement.id != JUNIOR]
    assert [problem.statement_id for problem in parts_make_the_whole(left, load_sums())] == [WHOLE]
    assert list(parts_make_the_whole([], load_sums())) == []


def test_every_sum_names_statements_of_the_registry() -> None:
    known = {statement.id for statement in registry.load()}
    sums = load_sums()
    assert len(sums) == 2
    assert {name for one in sums for name in (one.whole, *one.parts)} <= known


def test_a_seed_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    bad = tmp_path / "plan_sum.csv"
    bad.write_text("whole_id,part_id,tolerance\na,b,much\n", encoding="utf-8")
    with pytest.raises(UsageError, match="无法读取"):
        load_sums(bad)
