"""A bad delivery among thirty-eight districts: it is held and named, and everybody else is published."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest

from expectations.attribution import Attribution, attribute
from expectations.catalogue import Catalogue, catalogue
from expectations.gate import evaluate
from tests.support.command import eduplan
from tests.support.lists import edited, list_of, more_pupils, telephone_in_name
from warehouse.candidate import Candidate
from warehouse.verdict import Verdict

RULE = "dim_school.no_person_number"
BAD = {"丰都县": "500230", "渝中区": "500103"}


def hand_in(home: Path, area: str, name: str) -> None:
    """A new list of the district's schools for 2024 with a telephone number in a school's name."""
    source = list_of(home / "inbox", area, 2024)
    edited(source, home / "inbox" / "school_census" / name, telephone_in_name)


def held_in(home: Path) -> dict[str, dict[str, Any]]:
    manifest = json.loads((home / "current" / "manifest.json").read_bytes())
    return {item["area_code"]: item for item in manifest["inputs"]["held"]}


def marts(home: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(home / "current" / "marts.duckdb"), read_only=True) as connection:
        return connection.execute(query).fetchall()


def check_released_without(home: Path, before: Mapping[str, str], summary: Mapping[str, Any], areas: set[str]) -> None:
    assert summary["outcome"] == "released"
    held = held_in(home)
    assert set(held) == areas
    assert {(item["rules"], item["feed"], item["period"]) for item in held.values()} == {(RULE, "school_census", 2024)}
    # The predecessor counts again, and says so.
    assert {area: item["replaced_by"] for area, item in held.items()} == {area: before[area] for area in areas}
    found = marts(
        home,
        "SELECT delivery_id, active, held, held_zh FROM marts.audit.deliveries WHERE held ORDER BY delivery_id",
    )
    assert [(row[0], row[1], row[2]) for row in found] == sorted(
        (item["delivery_id"], False, True) for item in held.values()
    )
    assert all(RULE in row[3] for row in found)
    noted = marts(
        home, "SELECT area_code, delivery_id FROM marts.marts.mart_data_coverage WHERE note LIKE '%暂缓采用，沿用本件%'"
    )
    assert dict(noted) == {area: before[area] for area in areas}
    report = (home / "current" / "quality" / "index.html").read_text(encoding="utf-8")
    assert "规则、程度和阈值与上一次发布完全相同" in report
    assert (home / "current" / "quality" / "rules.json").is_file()
    for item in held.values():
        assert f"报送件 {item['delivery_id']}" in report
        notice = json.loads((home / "receipts" / "school_census" / f"{item['delivery_id']}.held.json").read_bytes())
        assert [rule["rule_id"] for rule in notice["rules"]] == [RULE]


@pytest.fixture
def planted(released: Path, tmp_path: Path) -> Callable[[str], tuple[Verdict, Attribution]]:
    """Damages a copy of the released candidate, judges it by three rules, and asks whose deliveries failed."""
    manifest = json.loads((released / "current" / "manifest.json").read_bytes())
    sealed = released / "candidates" / manifest["candidate_id"] / "candidate.duckdb"
    database = Path(shutil.copyfile(sealed, tmp_path / "planted.duckdb"))
    asked = {RULE, "dim_area.name_present", "fct_value.finite"}
    book = Catalogue.model_construct(
        rules=tuple(rule for rule in catalogue().rules if rule.id in asked), conditions=catalogue().conditions
    )

    def plant(statements: str) -> tuple[Verdict, Attribution]:
        with duckdb.connect(str(database)) as connection:
            connection.execute(statements)
        verdict = evaluate(Candidate("c0", tmp_path, database, "f" * 64, {}), book)
        return verdict, attribute(database, verdict)

    return plant


def telephone(area: str) -> str:
    return (
        "UPDATE marts.dim_school SET school_name = '小学13800138000' WHERE school_code ="
        f" (SELECT min(school_code) FROM marts.dim_school WHERE area_code = '{area}' AND valid_to_year IS NULL);"
    )


NO_NAME = "UPDATE marts.dim_area SET area_name_zh = NULL WHERE area_level = 'city';"


@pytest.mark.parametrize("areas", [("500230",), ("500230", "500103")])
def test_bad_districts_and_no_others_are_found(
    released: Path, planted: Callable[[str], tuple[Verdict, Attribution]], areas: tuple[str, ...]
) -> None:
    verdict, found = planted("".join(telephone(area) for area in areas))
    assert not verdict.passed
    ids = ", ".join(f"'{name}'" for name in found.deliveries)
    blamed = marts(released, f"SELECT area_code FROM marts.audit.deliveries WHERE delivery_id IN ({ids}) AND active")
    assert {area for (area,) in blamed} == set(areas)
    assert found.unattributed == ()
    districts = marts(
        released, "SELECT count(DISTINCT area_code) FROM marts.audit.deliveries WHERE feed = 'school_census' AND active"
    )
    assert districts[0][0] >= 38


def test_a_fault_of_the_city_is_nobodys_and_refuses_saying_why(
    planted: Callable[[str], tuple[Verdict, Attribution]],
) -> None:
    verdict, found = planted(NO_NAME)
    assert (found.deliveries, found.unattributed) == ({}, ("dim_area.name_present",))
    (reason,) = verdict.reasons()
    assert "dim_area.name_present" in reason
    assert "在 area 种子文件中补上名称" in reason


def test_a_bad_district_beside_a_fault_of_the_city_is_told_apart(
    planted: Callable[[str], tuple[Verdict, Attribution]],
) -> None:
    _, found = planted(telephone("500230") + NO_NAME)
    assert len(found.deliveries) == 1
    assert found.unattributed == ("dim_area.name_present",)


def test_the_sample_city_asks_no_forensic_question(released: Path) -> None:
    verdict = json.loads((released / "current" / "quality" / "verdict.json").read_bytes())
    forensic = {item["rule_id"]: item for item in verdict["results"] if item["tier"] == "forensic"}
    assert len(forensic) >= 8
    assert [name for name, item in forensic.items() if not item["passed"]] == []
    assert sum(item["rows_checked"] > 0 for item in forensic.values()) >= 7


@pytest.mark.skipif(os.environ.get("EDUPLAN_SOAK") != "1", reason="long: two builds; above stands its short form")
def test_two_bad_districts_are_held_and_thirty_six_published(home: Path) -> None:
    before = dict(
        marts(
            home,
            "SELECT area_code, delivery_id FROM marts.audit.deliveries"
            " WHERE active AND feed = 'school_census' AND period = 2024",
        )
    )
    for area in BAD:
        hand_in(home, area, f"{area}更正.xlsx")
    summary = json.loads(eduplan(home, "run", "--json", EDUPLAN_SETTLE_SECONDS="0").stdout)
    check_released_without(home, before, summary, set(BAD.values()))
    # Nothing new: nothing is tried again, and the holds stand.
    again = json.loads(eduplan(home, "run", "--json", EDUPLAN_SETTLE_SECONDS="0").stdout)
    assert (again["outcome"], again["candidate_id"]) == ("unchanged", summary["candidate_id"])
    assert json.loads(eduplan(home, "verify", "--json").stdout)["findings"] == []


@pytest.mark.skipif(os.environ.get("EDUPLAN_SOAK") != "1", reason="long: five builds; make soak")
def test_one_bad_district_without_a_predecessor_then_its_correction(home: Path) -> None:
    hand_in(home, "丰都县", "丰都县更正.xlsx")
    eduplan(home, "run", "--json", EDUPLAN_SETTLE_SECONDS="0")
    held = held_in(home)
    assert set(held) == {"500230"}
    source = list_of(home / "inbox", "丰都县", 2024)
    edited(source, home / "inbox" / "school_census" / "丰都县再更正.xlsx", more_pupils(3))
    eduplan(home, "run", "--json", EDUPLAN_SETTLE_SECONDS="0")
    assert held_in(home) == {}
    lifted = marts(home, "SELECT count(*) FROM marts.audit.deliveries WHERE held")
    assert lifted == [(0,)]
