"""Coverage of the plan: each statement has one method, the counts add up, and the page is the same every time."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from warehouse import plan_coverage, registry
from warehouse.errors import UsageError
from warehouse.paths import project_root
from warehouse.plan_coverage import KINDS, METHODS, Answers, coverage, render

PLAN = registry.of_plan(registry.load(), registry.DEFAULT_PLAN)
NOTHING = Answers(frozenset(), frozenset(), frozenset())
FOUND = Answers(
    computed=frozenset({"box1.preschool.enrolment", "box1.preschool.public_share"}),
    official=frozenset({"box1.compulsory.retention", "box1.preschool.enrolment"}),
    counted=frozenset({"box4.1.city_vet_schools"}),
)


def methods() -> dict[str, str]:
    return {statement.id: how for statement, how in coverage(PLAN, FOUND).rows}


def test_each_method_is_given_for_its_reason() -> None:
    how = methods()
    assert how["box1.preschool.enrolment"] == "computed"  # computed wins over official
    assert how["box1.compulsory.retention"] == "official"
    assert how["box4.1.city_vet_schools"] == "counted_from_register"
    assert how["box3.3.large_class"] == "pending"
    assert how["y2035.modernisation"] == "no_source"


def test_a_repeated_statement_follows_the_one_it_repeats() -> None:
    how = methods()
    assert how["box3.1.public_share"] == "computed"
    assert how["base.quality.compulsory_retention"] == "official"


def test_counts_add_up_by_kind_and_method() -> None:
    table = coverage(PLAN, FOUND)
    assert table.count() == len(PLAN) == 234
    assert sum(table.count(kind, method) for kind in KINDS for method in METHODS) == 234
    assert table.measurable == sum(1 for s in PLAN if s.data_source) >= 150
    assert table.counted_once == 234 - sum(1 for s in PLAN if s.duplicate_of)
    assert table.count("headline_indicator", "no_source") == 0


def test_nothing_computed_means_all_pending() -> None:
    table = coverage(PLAN, NOTHING)
    assert table.count(method="computed") == table.count(method="counted_from_register") == 0
    assert table.count(method="pending") == table.measurable


def test_contradictions_are_refused() -> None:
    with pytest.raises(UsageError, match=r"没有这些条目：box0\.x"):
        coverage(PLAN, replace(NOTHING, counted=frozenset({"box0.x"})))
    with pytest.raises(UsageError, match=r"没有数据源：y2035\.modernisation"):
        coverage(PLAN, replace(NOTHING, official=frozenset({"y2035.modernisation"})))


def test_page_is_deterministic_and_lists_what_is_missing() -> None:
    page = render(coverage(PLAN, FOUND))
    assert page == render(coverage(PLAN, replace(FOUND)))
    table = coverage(PLAN, FOUND)
    line = next(line for line in page.splitlines() if line.startswith("| 合计"))
    assert [int(cell) for cell in line.strip("| ").split(" | ")[1:]] == [
        *(table.count(method=method) for method in METHODS),
        234,
    ]
    for statement in table.without_source():
        assert f"| `{statement.id}` |" in page
        assert statement.missing_record_zh in page
    assert page.endswith("|\n")


def test_cells_cannot_break_the_table() -> None:
    odd = PLAN[0].model_copy(update={"data_source": (), "missing_record_zh": "甲|乙\t丙", "duplicate_of": ""})
    page = render(coverage([odd], NOTHING))
    assert "甲\\|乙 丙" in page
    assert "无。" in page


def test_labels_cover_every_kind_and_method() -> None:
    assert set(plan_coverage.KIND_ZH) == set(KINDS)
    assert set(plan_coverage.METHOD_ZH) == set(METHODS)


def test_page_does_not_depend_on_hash_order() -> None:
    code = (
        "from warehouse import registry; from warehouse.plan_coverage import Answers, coverage, render;"
        f"print(render(coverage(registry.load(), {FOUND!r})))"
    )
    pages = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8", "PYTHONPATH": str(project_root())},
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(pages) == 1


def test_answers_are_what_the_seeds_link() -> None:
    found = plan_coverage.answers()
    assert "box1.preschool.enrolment" in found.computed
    assert "rule.fund.per_student_budget_not_fall" in found.computed
    assert "box7.3.double_qualified" in found.computed
    assert "rule.special.disability_hold" not in found.computed
    assert "box8.1.smart_campus" in found.counted
    assert len(found.counted) == 91
    assert "box1.compulsory.retention" in found.official
    assert not found.computed & found.official


def test_a_link_to_an_unknown_indicator_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = tmp_path / plan_coverage.SEEDS
    shutil.copytree(project_root() / plan_coverage.SEEDS, seeds)
    with (seeds / "target_indicator.csv").open("a", encoding="utf-8") as handle:
        handle.write("box3.3.curriculum_bases,no_such_indicator\n")
    monkeypatch.setenv("EDUPLAN_PROJECT", str(tmp_path))
    with pytest.raises(UsageError, match="no_such_indicator"):
        plan_coverage.answers()
    (seeds / "target_indicator.csv").unlink()
    with pytest.raises(UsageError, match="无法读取"):
        plan_coverage.answers()


def test_the_committed_page_is_current() -> None:
    found = plan_coverage.answers()
    page = (project_root() / "docs" / "plan-coverage.md").read_text(encoding="utf-8")
    assert page == render(coverage(PLAN, found))
