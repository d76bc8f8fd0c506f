"""What is missing is said, never a smaller number; and a district's own plan is measured beside the city's.

One build serves both: the teacher register, a district's census of a year and a year of the fiscal accounts are left
out, and the project holds a second plan, of a district whose census is still all there.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.support.command import eduplan
from tests.support.homes import copied
from tests.support.rebuilt import marts_of
from warehouse.paths import project_root
from warehouse.records import DeliveryRow

CITY, SILENT, PLANNING = "500000", "500101", "500103"
SILENT_GROUP = "G2"
PLAN = "yz-145-education"
DISTRICT_TEXT = """渝中区教育事业发展“十四五”规划

一、发展目标

到2025年，公办幼儿园在园幼儿占比达到60%，小学大班额比例降到0。

二、教师

义务教育专任教师中本科以上学历的比例达到90%以上。
"""
TARGETS = [
    ("yz.public_share", "pre_public_share", "一", "公办幼儿园在园幼儿占比达到60%", "=", "60", "", "school_census"),
    ("yz.large_class", "primary_large_class_share", "一", "小学大班额比例降到0", "=", "0", "", "school_census"),
    (
        "yz.bachelor",
        "teacher_bachelor_share",
        "二",
        "义务教育专任教师中本科以上学历的比例达到90%以上",
        ">=",
        "90",
        "at_least",
        "teacher_register",
    ),
]
BASELINES = {"yz.public_share": "40", "yz.large_class": "9", "yz.bachelor": "80"}
Rows = list[dict[str, Any]]
Key = tuple[str, str, int]


@dataclass(frozen=True)
class Marts:
    """Reading of marts by name."""

    connection: duckdb.DuckDBPyConnection
    schema: str

    def rows(self, name: str, where: str = "true") -> Rows:
        """Rows of a mart as dictionaries."""
        found = self.connection.execute(f"SELECT * FROM {self.schema}.{name} WHERE {where}")
        names = [column[0] for column in found.description or []]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def facts(self) -> dict[Key, dict[str, Any]]:
        """Indicator values by key."""
        return {(row["indicator_id"], row["area_code"], row["period"]): row for row in self.rows("fct_indicator_value")}


def is_delivered(row: DeliveryRow) -> bool:
    """All but: the teacher register altogether, one district's census of 2024, the fiscal accounts of 2024."""
    return not (
        row.feed == "teacher_register"
        or (row.feed == "school_census" and row.area_code == SILENT and row.period == 2024)
        or (row.feed == "fiscal_accounts" and row.period == 2024)
    )


def append(path: Path, rows: list[dict[str, str]]) -> None:
    """Add rows to a seed, in its own columns."""
    with path.open(encoding="utf-8", newline="") as stream:
        header = next(csv.reader(stream))
    with path.open("a", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, header, restval="", lineterminator="\n")
        writer.writerows(rows)


@pytest.fixture(scope="module")
def two_plans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project directory whose registry holds the city's plan and a district's."""
    root = tmp_path_factory.mktemp("two_plans")
    ignored = shutil.ignore_patterns("target", "logs")
    shutil.copytree(project_root() / "dbt_project", root / "dbt_project", ignore=ignored)
    seeds = root / "dbt_project" / "seeds"
    years = {"baseline_year": "2020", "first_year": "2021", "final_year": "2025", "mid_term_year": "2023"}
    append(
        seeds / "plan.csv",
        [{"plan_id": PLAN, "plan_name_zh": "渝中区规划", "city_area_code": PLANNING, **years}],
    )
    common = {"plan_id": PLAN, "kind": "text_target", "topic_zh": "区规划", "unit_zh": "%", "scope": "渝中区"}
    common |= {"school_level": "学前|小学|初中", "measure_type": "ratio"}
    append(
        seeds / "plan_registry.csv",
        [
            common
            | {
                "id": target,
                "section": section,
                "indicator_zh": indicator,
                "quote_zh": quote,
                "operator": operator,
                "value_low": value,
                "qualifier": qualifier,
                "data_source": feed,
                "value_high": value if operator == "=" else "",
                "baseline_2020": BASELINES[target],
            }
            for target, indicator, section, quote, operator, value, qualifier, feed in TARGETS
        ],
    )
    append(seeds / "target_indicator.csv", [{"target_id": row[0], "indicator_id": row[1]} for row in TARGETS])
    return root


@pytest.fixture(scope="module")
def reduced(released: Path, two_plans: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Marts]:
    """The marts of what was still delivered."""
    home = tmp_path_factory.mktemp("reduced") / "home"
    copied(released, home)
    with marts_of(home, two_plans / "dbt_project", is_delivered) as connection:
        yield Marts(connection, "marts")


@pytest.fixture(scope="module")
def full(released: Path) -> Iterator[Marts]:
    """The marts as released, with every delivery."""
    with duckdb.connect(str(released / "current" / "marts.duckdb"), read_only=True) as connection:
        yield Marts(connection, "marts.marts")


def differing(full: Marts, reduced: Marts) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Pairs of computed values that are not the same with less delivered."""
    fewer = reduced.facts()
    return [
        (row, fewer[key])
        for key, row in full.facts().items()
        # What the release hides is not there to compare: these marts were built without that step.
        if row["method"] == "computed"
        and row["suppressed"] is None
        and key in fewer
        and fewer[key]["value"] != row["value"]
    ]


def test_a_value_that_changed_says_how_much_of_it_was_reported(full: Marts, reduced: Marts) -> None:
    pairs = differing(full, reduced)
    assert {now["area_code"] for _, now in pairs} >= {CITY, SILENT_GROUP}
    silent = [
        now
        for _, now in pairs
        if now["method"] != "official"
        and not (now["publish_status"] == "partial" and now["reported_units"] < now["expected_units"] and now["note"])
    ]
    assert silent == []
    # A published figure that stands in is the city's, and its note tells what the records gave.
    assert all("未采用" in now["note"] for _, now in pairs if now["method"] == "official")


def test_a_missing_district_is_named_and_has_no_value_of_its_own(reduced: Marts) -> None:
    facts = reduced.facts()
    for area in (CITY, SILENT_GROUP):
        found = facts["primary_enrolment", area, 2024]
        assert found["publish_status"] == "partial"
        assert found["reported_units"] == found["expected_units"] - 1
        assert "万州" in found["note"]
    assert ("primary_enrolment", SILENT, 2024) not in facts
    assert facts["primary_enrolment", SILENT, 2023]["publish_status"] == "final"
    assert facts["primary_enrolment", CITY, 2023]["publish_status"] == "final"
    assert facts["primary_enrolment", "G1", 2024]["publish_status"] == "final"


def test_a_missing_feed_or_year_leaves_no_number(full: Marts, reduced: Marts) -> None:
    before, after = full.facts(), reduced.facts()
    resting = {"fulltime_teachers", "teacher_bachelor_share", "mid_senior_title_share", "primary_pupil_teacher_ratio"}
    assert resting <= {key[0] for key, row in before.items() if row["method"] == "computed"}
    assert [key for key, row in after.items() if key[0] in resting and row["method"] == "computed"] == []
    fiscal = [key for key in before if key[0] == "budget_education_share" and key[2] == 2024]
    assert fiscal
    assert not set(fiscal) & set(after)


def test_coverage_lists_what_is_missing(reduced: Marts) -> None:
    missing = {
        (row["feed"], row["area_code"], row["period"], row["part"])
        for row in reduced.rows("mart_data_coverage", "expected AND status = 'missing' AND period IN (2023, 2024)")
    }
    assert ("school_census", SILENT, 2024, "") in missing
    assert ("school_census", SILENT, 2023, "") not in missing
    assert len([key for key in missing if key[0] == "teacher_register"]) == 39 * 2 * 2
    assert {key[2] for key in missing if key[0] == "fiscal_accounts"} == {2024}


def test_targets_on_what_is_missing_cannot_be_assessed(full: Marts, reduced: Marts) -> None:
    facts = reduced.facts()
    progress = reduced.rows("mart_plan_progress", "plan_id = 'cq-145-education' AND indicator_id IS NOT NULL")
    complete = {key for key, row in facts.items() if row["publish_status"] != "partial"}
    judged = [
        (row["target_id"], row["year"])
        for row in progress
        if row["status"] != "cannot_assess" and (row["indicator_id"], row["area_code"], row["year"]) not in complete
    ]
    unfounded = [row for row in progress if row["status"] == "cannot_assess" and not (row["reason"] and row["note"])]
    before = {(row["target_id"], row["year"]): row["status"] for row in full.rows("mart_plan_progress")}
    lost = [
        row
        for row in progress
        if row["status"] == "cannot_assess" and before[row["target_id"], row["year"]] != "cannot_assess"
    ]
    assert judged == []
    assert unfounded == []
    assert {row["year"] for row in lost} >= {2024}


def test_a_second_plan_has_progress_of_its_own(full: Marts, reduced: Marts) -> None:
    own = reduced.rows("mart_plan_progress", f"plan_id = '{PLAN}'")
    assert {(row["target_id"], row["year"]) for row in own} == {
        (row[0], year) for row in TARGETS for year in range(2021, 2026)
    }
    assert {row["area_code"] for row in own} == {PLANNING}
    facts = full.facts()
    measured = {(row["target_id"], row["year"]): row for row in own if row["year"] in (2023, 2024)}
    for target, indicator, *_ in TARGETS[:2]:
        for year in (2023, 2024):
            assert measured[target, year]["value"] == facts[indicator, PLANNING, year]["value"]
            assert measured[target, year]["reason"] is None
            assert measured[target, year]["status"] != "cannot_assess"
            assert measured[target, year]["baseline"] == float(BASELINES[target])
    assert {measured["yz.bachelor", year]["reason"] for year in (2023, 2024)} == {"no_data"}
    of_the_city = reduced.rows("mart_plan_progress", "plan_id = 'cq-145-education'")
    assert len(of_the_city) == len(full.rows("mart_plan_progress"))


def test_a_second_plan_is_verified_against_its_own_text(two_plans: Path, tmp_path: Path) -> None:
    text = tmp_path / "district.txt"
    text.write_text(DISTRICT_TEXT, encoding="utf-8")
    command = ["plan", "verify", "--plan", PLAN, "--text", str(text)]
    project = {"EDUPLAN_PROJECT": str(two_plans)}
    assert "3 条" in eduplan(tmp_path, *command, **project).stdout
    text.write_text(DISTRICT_TEXT.replace("60%", "61%"), encoding="utf-8")
    told = json.loads(eduplan(tmp_path, *command, "--json", expect=1, **project).stdout)
    assert {problem["statement_id"] for problem in told["problems"]} == {"yz.public_share"}
