"""The catalogue: complete, strict, and of another version as soon as a threshold moves."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

from expectations import catalogue as room
from expectations.catalogue import HERE, RowCount, Rule, catalogue, read_catalogue, rules, rules_version
from warehouse.errors import Fault

MARTS = {
    "marts.dim_area",
    "marts.dim_school",
    "marts.dim_indicator",
    "marts.dim_target",
    "marts.fct_indicator_value",
    "marts.mart_plan_progress",
    "marts.mart_enrolment",
    "marts.mart_class_size",
    "marts.mart_data_coverage",
    "marts.mart_teacher_quality",
    "marts.mart_compulsory_balance",
    "marts.mart_preschool_inclusive",
    "marts.mart_education_finance",
    "marts.mart_standing_rules",
    "marts.mart_programme_targets",
    "marts.mart_plan_evaluation",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped rules that a trial may damage."""
    shutil.copytree(HERE / "rules", tmp_path / "rules")
    shutil.copyfile(HERE / "conditions.yaml", tmp_path / "conditions.yaml")
    return tmp_path


def _edit(folder: Path, file: str, old: str, new: str) -> None:
    path = folder / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_catalogue_is_large_and_covers_every_mart() -> None:
    assert len(rules()) >= 90
    assert {rule.relation for rule in rules()} >= MARTS
    assert set(Counter(rule.tier for rule in rules())) == {"syntax", "validity", "quality", "macro", "forensic"}
    assert {"critical", "warning", "info"} == {rule.severity for rule in rules()}


def test_every_mart_is_searched_for_personal_numbers_and_for_emptiness() -> None:
    searched = {rule.relation for rule in rules() if rule.check.kind == "text" and rule.severity == "critical"}
    counted = {rule.relation for rule in rules() if isinstance(rule.check, RowCount) and rule.severity == "critical"}
    assert searched >= MARTS
    assert counted == MARTS


def test_chinese_texts_are_chinese_and_titles_are_told_apart() -> None:
    for rule in rules():
        for text in (rule.title_zh, rule.fill(rule.meaning_zh), rule.when_it_matters_zh, rule.remedy_zh):
            assert any("一" <= char <= "鿿" for char in text), f"{rule.id}: {text}"
            assert "${" not in text
    repeated = [title for title, n in Counter(rule.title_zh for rule in rules()).items() if n > 1]
    assert repeated == []


def test_rules_about_whole_tables_have_no_standing_excuse() -> None:
    assert [rule.id for rule in rules() if rule.vacuous_zh and rule.scope is None and rule.source is None] == [
        "dim_school.urban_rural_known"
    ]


def test_every_condition_excuses_some_rule() -> None:
    assert set(catalogue().conditions) == {rule.empty_when for rule in rules() if rule.empty_when}


def test_version_is_that_of_the_content(folder: Path) -> None:
    assert read_catalogue(folder).version == rules_version()


def test_moved_threshold_is_another_version(folder: Path) -> None:
    _edit(folder, "rules/80_mart_data_coverage.yaml", "parameters: {limit: 0.2}", "parameters: {limit: 0.9}")
    assert read_catalogue(folder).version != rules_version()


def test_changed_condition_is_another_version(folder: Path) -> None:
    _edit(folder, "conditions.yaml", "feed = 'school_census'", "feed = 'school_censu'")
    assert read_catalogue(folder).version != rules_version()


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("rules/10_dim_area.yaml", "column: area_name_zh", "colum: area_name_zh"),
        ("rules/10_dim_area.yaml", "severity: critical", "severity: grave"),
        ("rules/10_dim_area.yaml", "id: dim_area.name_present", "id: dim_area.code_format"),
        ("rules/10_dim_area.yaml", "title_zh: 地区名称齐全", "title_zh: 地区名称齐全\n    title_zh: 又一个"),
        ("rules/10_dim_area.yaml", "areas <> 1", "areas <> 1; drop table marts.dim_area"),
        ("rules/10_dim_area.yaml", "areas <> 1", "areas <> :bound"),
        ("rules/10_dim_area.yaml", "{kind: row_count, low: 3}", "{kind: row_count, low: 0}"),
        ("rules/10_dim_area.yaml", "{kind: between, low: 100000, high: 3000000}", "{kind: between}"),
        ("rules/10_dim_area.yaml", "source: >-\n      select", "source: >-\n      with x as (select 1) select"),
        ("rules/10_dim_area.yaml", "rules:", "regeln:"),
        ("rules/10_dim_area.yaml", "defaults:", "\tdefaults:"),
        ("rules/20_dim_school.yaml", "empty_when: no_census", "empty_when: whenever"),
        ("rules/20_dim_school.yaml", "    empty_when: null\n    vacuous_zh", "    vacuous_zh"),
        ("rules/20_dim_school.yaml", "keys: [school_code, valid_from_year]", "keys: []"),
        ("rules/20_dim_school.yaml", "    column: school_name\n", ""),
        ("rules/80_mart_data_coverage.yaml", "${limit} * rows_in", "0.5 * rows_in"),
        ("conditions.yaml", "meaning_zh: 没有有效的学年初报表批次", ""),
    ],
)
def test_wrong_catalogue_is_refused(folder: Path, file: str, old: str, new: str) -> None:
    _edit(folder, file, old, new)
    with pytest.raises(Fault):
        read_catalogue(folder)


def test_same_check_under_two_names_is_refused(folder: Path) -> None:
    """GX would merge the two in silence."""
    path = folder / "rules" / "10_dim_area.yaml"
    text = path.read_text(encoding="utf-8")
    start = text.index("  - id: dim_area.name_present")
    end = text.index("  - id: dim_area.level_known")
    path.write_text(text + text[start:end].replace("name_present", "name_twice"), encoding="utf-8")
    with pytest.raises(Fault, match="identity"):
        read_catalogue(folder)


def test_catalogue_is_read_once() -> None:
    assert room.catalogue() is room.catalogue()


def test_every_rule_speaks_both_languages() -> None:
    for rule in rules():
        for text in (rule.title_en, rule.meaning_en, rule.when_it_matters_en, rule.remedy_en):
            assert re.search("[a-z]{2}", text), rule.id
            assert not re.search("[\u4e00-\u9fff]", text.replace("属性", "")), (rule.id, text)
        for text in (rule.title_zh, rule.meaning_zh, rule.when_it_matters_zh, rule.remedy_zh):
            assert re.search("[\u4e00-\u9fff]", text), rule.id
    assert len({rule.meaning_en for rule in rules()}) > 0.97 * len(rules())


def test_a_forensic_rule_never_stops_a_publication() -> None:
    forensic = [rule for rule in rules() if rule.tier == "forensic"]
    assert len(forensic) >= 8
    assert {rule.severity for rule in forensic} == {"warning", "info"}
    with pytest.raises(ValidationError, match="never stops a publication"):
        Rule.model_validate(forensic[0].model_dump() | {"severity": "critical"})
