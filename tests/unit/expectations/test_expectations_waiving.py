"""The gate honours sound waivers and says why it does not honour the others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from expectations.catalogue import Catalogue, Rule, catalogue, rules
from expectations.gate import evaluate
from expectations.report import render_report
from expectations.waiving import check_request
from tests.unit.expectations import gate_candidate
from warehouse.candidate import Candidate
from warehouse.errors import Refused
from warehouse.verdict import Verdict
from warehouse.waivers import Waiver, parse

NAMES = "dim_area.name_present"


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    database = gate_candidate.build(tmp_path_factory.mktemp("waive") / "candidate.duckdb")
    with duckdb.connect(str(database)) as connection:
        connection.execute("update marts.dim_area set area_name_zh = null where area_code in ('G1', 'G2')")
        connection.execute("update marts.dim_area set source = '电话13800138000' where area_code = 'G3'")
    return database


@pytest.fixture(autouse=True)
def pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDUPLAN_NOW", "2025-09-30T12:00:00+08:00")


def _rule(rule_id: str) -> Rule:
    return next(rule for rule in rules() if rule.id == rule_id)


def _waiver(**changes: Any) -> Waiver:
    content = {
        "id": "wtest-one",
        "rule": NAMES,
        "scope": [{"area_code": "G1"}, {"area_code": "G2"}],
        "max_rows": 2,
        "reason": "名称待民政部门确认",
        "evidence": "会议纪要第3号",
        "requested_by": "张三",
        "approved_by": "李四",
        "issued": "2025-09-01",
        "expires": "2025-09-30",
    }
    return parse(content | changes, "测试")


def _judged(database: Path, *waivers: Waiver, rule_id: str = NAMES) -> tuple[Candidate, Verdict]:
    inputs = {"waivers": [waiver.content() for waiver in waivers], "code_digest": "c" * 64}
    candidate = Candidate("c0123456789abcdef", database.parent, database, "f" * 64, inputs)
    book = Catalogue.model_construct(rules=(_rule(rule_id),), conditions=catalogue().conditions)
    return candidate, evaluate(candidate, book)


def test_without_a_waiver_the_failure_stands(damaged: Path) -> None:
    assert not _judged(damaged)[1].passed


def test_sound_waiver_is_honoured_and_shown(damaged: Path) -> None:
    candidate, verdict = _judged(damaged, _waiver(), _waiver(id="wtest-unused", rule="dim_area.level_known"))
    assert verdict.passed
    (result,) = verdict.results
    assert (result.passed, result.waived_by) == (False, ("wtest-one",))
    assert [waiver.id for waiver in verdict.waivers] == ["wtest-one"]
    page = render_report(candidate, verdict).decode("utf-8")
    for text in ("已豁免", "wtest-one", "会议纪要第3号", "张三 / 李四", "area_code=G2"):
        assert text in page


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"expires": "2025-09-29"}, "到期"),
        ({"max_rows": 1}, "最多 1 行，实际 2 行"),
        ({"scope": [{"area_code": "G1"}]}, "不在有效豁免的范围内"),
    ],
)
def test_unfit_waiver_is_not_honoured_and_the_verdict_says_why(
    damaged: Path, changes: dict[str, Any], word: str
) -> None:
    candidate, verdict = _judged(damaged, _waiver(**changes))
    assert not verdict.passed
    assert verdict.waivers == ()
    assert any(word in reason for reason in verdict.reasons())
    assert word in render_report(candidate, verdict).decode("utf-8")


def test_personal_numbers_are_never_waived(damaged: Path) -> None:
    made = _waiver(rule="dim_area.no_person_number", scope=[{"area_code": "G3"}])
    _, verdict = _judged(damaged, made, rule_id="dim_area.no_person_number")
    assert not verdict.passed
    assert any("不得豁免" in reason for reason in verdict.reasons())


@pytest.mark.parametrize(
    "rule_id", ["balance.no_small_cells", "finance_mart.no_dominated_cells", "teacher_quality.suppressed_are_empty"]
)
def test_what_discloses_a_person_or_a_school_is_never_waived(rule_id: str) -> None:
    with pytest.raises(Refused, match="披露控制的规则不得豁免"):
        check_request(_waiver(rule=rule_id, scope=[{"area_code": "G3"}]), catalogue())


def test_rule_that_breaks_is_never_waived(damaged: Path, tmp_path: Path) -> None:
    database = Path(shutil.copyfile(damaged, tmp_path / "lost.duckdb"))
    with duckdb.connect(str(database)) as connection:
        connection.execute("alter table marts.dim_area drop column area_name_zh")
    _, verdict = _judged(database, _waiver())
    assert not verdict.passed
    assert "不能豁免" in str(verdict.results[0].waiver_problem)


def test_waiver_forged_into_a_candidate_is_refused(damaged: Path) -> None:
    content = json.loads(json.dumps(_waiver().content())) | {"approved_by": "张三"}
    candidate = Candidate("c0123456789abcdef", damaged.parent, damaged, "f" * 64, {"waivers": [content]})
    with pytest.raises(Refused, match="同一个人"):
        evaluate(candidate, Catalogue.model_construct(rules=(_rule(NAMES),), conditions={}))


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"rule": "dim_area.no_such_rule"}, "没有规则"),
        ({"rule": "dim_area.population_plausible"}, "不是严重规则"),
        ({"rule": "dim_area.no_person_number"}, "不得豁免"),
        ({"rule": "dim_area.not_empty"}, "不得豁免"),
        ({"scope": [{"period": "2022"}]}, "不以 period 命名"),
    ],
)
def test_request_that_could_never_apply_is_refused(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(Refused, match=word):
        check_request(_waiver(**changes), catalogue())
    check_request(_waiver(), catalogue())


def test_statuses_that_rest_on_waived_rows_are_marked_in_the_report(damaged: Path, tmp_path: Path) -> None:
    database = Path(shutil.copyfile(damaged, tmp_path / "negative.duckdb"))
    row = "indicator_id = 'he_postgraduate' and area_code = '500000' and period = 2023"
    with duckdb.connect(str(database)) as connection:
        connection.execute(f"update marts.fct_indicator_value set value = -1 where {row}")
    scope = [{"indicator_id": "he_postgraduate", "area_code": "500000", "period": "2023"}]
    made = _waiver(rule="fct_value.non_negative", scope=scope, max_rows=1)
    candidate, verdict = _judged(database, made, rule_id="fct_value.non_negative")
    assert verdict.passed
    page = render_report(candidate, verdict).decode("utf-8")
    section = page[page.index('id="waived"') : page.index('id="since"')]
    assert "box1.he_postgraduate" in section
    assert "⚑" in section
    assert section.count("<td>") == 1, "one value, judged by one target, and no other"
