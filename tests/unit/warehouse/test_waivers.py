"""A waiver excuses exactly the rows it names, for as long as it says, and only with two people behind it."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.support.candidate_kit import FEEDS, MARTS, REPORT, dbt_manifest, delivery, fill_marts, make_verdict, rule
from warehouse import candidate as candidates
from warehouse.candidate import Candidate
from warehouse.clock import SHANGHAI
from warehouse.errors import Refused
from warehouse.ledger import Ledger
from warehouse.paths import Home
from warehouse.release import publish
from warehouse.verdict import Verdict
from warehouse.verify import verify
from warehouse.waivers import Waiver, assess, make_id, parse, read_waivers, write_waiver

NOON = datetime(2025, 9, 30, 12, tzinfo=SHANGHAI)
KEYS = ("area_code=5001 period=2023（实际：7）", "area_code=50012 period=2023（实际：8）")


def content(**changes: Any) -> dict[str, Any]:
    fields = {
        "rule": "r1.x",
        "scope": [{"area_code": "5001", "period": "2023"}, {"area_code": "50012"}],
        "max_rows": 2,
        "reason": "校区合并，原报表重复计列",
        "evidence": "渝教函〔2025〕1号",
        "requested_by": "张三",
        "approved_by": "李四",
        "issued": "2025-09-01",
        "expires": "2025-09-30",
    } | changes
    return {"id": make_id(fields), **fields}


def waiver(**changes: Any) -> Waiver:
    return parse(content(**changes), "测试")


def test_covered_rows_are_excused() -> None:
    made = waiver()
    assert assess("r1.x", KEYS, [made], NOON) == ((made.id,), None)
    assert assess("r1.x", KEYS[:1], [made], NOON) == ((made.id,), None)


def test_two_waivers_may_share_the_rows() -> None:
    first, second = waiver(scope=[{"area_code": "5001"}], max_rows=1), waiver(scope=[{"area_code": "50012"}])
    assert assess("r1.x", KEYS, [first, second], NOON) == ((first.id, second.id), None)


@pytest.mark.parametrize(
    ("changes", "at", "word"),
    [
        ({"expires": "2025-09-29"}, NOON, "到期"),
        ({}, datetime(2025, 10, 1, 0, 0, 0, tzinfo=SHANGHAI), "到期"),
        ({"issued": "2025-09-30", "expires": "2025-10-05"}, datetime(2025, 9, 29, tzinfo=SHANGHAI), "才生效"),
        ({"max_rows": 1}, NOON, "最多 1 行，实际 2 行"),
        ({"scope": [{"area_code": "5001"}]}, NOON, "1 行不在有效豁免的范围内"),
        ({"scope": [{"area_code": "50010"}]}, NOON, "不在有效豁免的范围内"),
    ],
)
def test_expired_exceeded_or_elsewhere_excuses_nothing(changes: dict[str, Any], at: datetime, word: str) -> None:
    names, problem = assess("r1.x", KEYS, [waiver(**changes)], at)
    assert names == ()
    assert word in str(problem)


def test_last_day_counts_to_its_end_in_shanghai() -> None:
    last = datetime(2025, 9, 30, 23, 59, 59, tzinfo=SHANGHAI)
    assert assess("r1.x", KEYS, [waiver()], last)[1] is None


def test_waiver_of_another_rule_says_nothing() -> None:
    assert assess("r2.x", KEYS, [waiver()], NOON) == ((), None)


def test_failure_without_named_rows_is_never_excused() -> None:
    names, problem = assess("r1.x", (), [waiver()], NOON)
    assert (names, bool(problem)) == ((), True)


@pytest.mark.parametrize(
    "forged",
    [
        "area_code=500199 area_code=5001 period=2023",
        "area_code=500199 x area_code=5001 period=2023",
        "area_code=5001 period=2023（实际：1）（实际：2）",
        "area_code",
        "",
    ],
)
def test_row_name_that_can_be_read_in_two_ways_is_in_no_scope(forged: str) -> None:
    assert not waiver().covers(forged)


@given(st.text(max_size=30))
def test_only_exactly_named_rows_are_in_scope(value: str) -> None:
    made = waiver(scope=[{"area_code": "5001"}])
    assert made.covers(f"area_code={value}") == (
        value.split("（实际：", maxsplit=1)[0] == "5001" and value.count("（实际：") <= 1
    )


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"approved_by": "张三"}, "同一个人"),
        ({"approved_by": " 张 三 "}, "同一个人"),
        ({"requested_by": "Zhang San", "approved_by": "ｚｈａｎｇ ＳＡＮ"}, "同一个人"),
        ({"scope": []}, "范围过宽"),
        ({"scope": [{}]}, "范围过宽"),
        ({"scope": [{"area_code": "*"}]}, "scope"),
        ({"expires": "2025-08-01"}, "早于签发日"),
        ({"expires": "2027-09-30"}, "范围过宽"),
        ({"max_rows": 0}, "max_rows"),
        ({"max_rows": "2"}, "max_rows"),
        ({"reason": " "}, "reason"),
        ({"evidence": ""}, "evidence"),
        ({"forever": True}, "forever"),
    ],
)
def test_unsound_waiver_is_refused_in_chinese(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(Refused, match="不合规") as caught:
        waiver(**changes)
    assert word in str(caught.value)


def test_files_come_back_as_written_and_are_never_overwritten(home: Home) -> None:
    first, second = waiver(), waiver(max_rows=1)
    for made in (first, second):
        write_waiver(home, made)
    assert list(read_waivers(home)) == sorted((first, second), key=lambda made: made.id)
    with pytest.raises(Refused, match="已经存在"):
        write_waiver(home, first)


@pytest.mark.parametrize("text", ["- a list", "id: [", "id: w123456\n"])
def test_unreadable_file_is_refused_by_name(home: Home, text: str) -> None:
    (home.waivers / "bad.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(Refused, match=r"bad\.yaml"):
        read_waivers(home)


def test_file_under_another_name_is_refused(home: Home) -> None:
    (home.waivers / "other.yaml").write_text(yaml.safe_dump(content()), encoding="utf-8")
    with pytest.raises(Refused, match="编号"):
        read_waivers(home)


# -- verdict and publication ------------------------------------------------------------------------------------------


def candidate_with(home: Home, ledger: Ledger, *waivers: Waiver) -> Candidate:
    delivery(home, ledger, "waived")
    build = candidates.begin(home, ledger.active_set({"official_figures": "v1"}), FEEDS, waivers)
    fill_marts(build.database, 1.0)
    progress = [*MARTS["mart_plan_progress"], ("indicator_id", "VARCHAR"), ("status_zh", "VARCHAR")]
    area = [(name, "VARCHAR") for name in ("area_code", "area_level", "parent_code", "group_code")]
    with duckdb.connect(str(build.database)) as connection:
        connection.execute(
            "CREATE TABLE marts.dim_area AS SELECT DISTINCT area_code, 'district' AS area_level,"
            " '500000' AS parent_code, CAST(NULL AS VARCHAR) AS group_code FROM marts.fct_indicator_value;"
            "ALTER TABLE marts.mart_plan_progress ADD COLUMN indicator_id VARCHAR DEFAULT 'pre_enrolment';"
            "ALTER TABLE marts.mart_plan_progress ADD COLUMN status_zh VARCHAR DEFAULT '推进中'"
        )
    (build.work_dir / "manifest.json").write_bytes(dbt_manifest({"dim_area": area, "mart_plan_progress": progress}))
    return candidates.seal(home, build)


def waived_verdict(candidate: Candidate, made: Waiver, **changes: Any) -> Verdict:
    failed = rule(rule_id="r1.x", passed=False, rows_failed=2, failing_keys=KEYS, waived_by=(made.id,))
    return make_verdict(candidate, failed, **{"waivers": (made,), **changes})


def recorded(ledger: Ledger, candidate: Candidate, verdict: Verdict) -> Verdict:
    ledger.record_verdict(verdict)
    (candidate.path / "verdict.json").write_bytes(verdict.to_json())
    return verdict


@pytest.fixture(autouse=True)
def at_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDUPLAN_NOW", NOON.isoformat())


def test_waivers_are_part_of_the_candidates_identity(home: Home, ledger: Ledger) -> None:
    delivery(home, ledger, "one")
    active = ledger.active_set()
    plain = candidates.candidate_id(active, code_digest="c")
    first, second = waiver(), waiver(max_rows=1)
    both = candidates.candidate_id(active, code_digest="c", waivers=[first, second])
    assert len({plain, both, candidates.candidate_id(active, code_digest="c", waivers=[first])}) == 3
    assert both == candidates.candidate_id(active, code_digest="c", waivers=[second, first])


def test_verdict_with_waivers_survives_its_file_and_changes_with_them(home: Home, ledger: Ledger) -> None:
    made = waiver()
    verdict = waived_verdict(candidate_with(home, ledger, made), made)
    assert verdict.passed
    assert Verdict.from_json(verdict.to_json()) == verdict
    assert verdict.digest() != dataclasses.replace(verdict, waivers=()).digest()


def test_claim_without_a_waiver_behind_it_does_not_pass(home: Home, ledger: Ledger) -> None:
    made = waiver()
    verdict = waived_verdict(candidate_with(home, ledger, made), made)
    narrow = waiver(scope=[{"area_code": "5001"}])
    (failed,) = verdict.results
    for broken in (
        dataclasses.replace(verdict, waivers=()),
        dataclasses.replace(verdict, waivers=(narrow,)),
        dataclasses.replace(verdict, judged_at="2026-01-01T00:00:00+08:00"),
        dataclasses.replace(verdict, judged_at="someday"),
        dataclasses.replace(verdict, results=(dataclasses.replace(failed, rows_failed=3),)),
        dataclasses.replace(verdict, results=(dataclasses.replace(failed, waived_by=("wother",)),)),
        dataclasses.replace(verdict, results=(dataclasses.replace(failed, error="boom"),)),
    ):
        assert not broken.passed


def test_waived_release_shows_its_waivers_in_manifest_and_audit(home: Home, ledger: Ledger) -> None:
    made = waiver(reason="校区合并")
    candidate = candidate_with(home, ledger, made)
    verdict = recorded(ledger, candidate, waived_verdict(candidate, made))
    guards = {"pre_enrolment": ("r1.x",)}
    release = publish(home, ledger, candidate, verdict, artefacts=REPORT, guards=guards)
    (use,) = release.manifest["waivers"]
    assert (use["id"], use["approved_by"], use["rows"]) == (made.id, "李四", list(KEYS))
    assert use["reason"] == "校区合并"
    with duckdb.connect(str(release.path / "marts.duckdb"), read_only=True) as connection:
        shown = connection.execute(
            "SELECT waiver_id, rule_id, requested_by, approved_by, valid_to, max_rows, rows_waived FROM audit.waivers"
        ).fetchall()
        assert shown == [(made.id, "r1.x", "张三", "李四", made.expires, 2, 2)]
        assert connection.execute("SELECT waived_by FROM audit.check_results").fetchall() == [(made.id,)]
        resting = connection.execute(
            "SELECT area_code, period, target_id, status_zh FROM audit.waived_values"
        ).fetchall()
        assert resting == [("5001", 2023, "t1", "推进中"), ("50012", 2023, "t1", "推进中")]
    assert verify(home) == []


@pytest.mark.parametrize("word", ["reason", "evidence"])
def test_a_waiver_that_would_publish_a_persons_number_is_none(word: str) -> None:
    with pytest.raises(Refused, match="电话号码"):
        waiver(**{word: "联系人电话13800138000，校区合并"})


def test_waiver_that_expires_before_publication_refuses_it(
    home: Home, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = waiver()
    candidate = candidate_with(home, ledger, made)
    verdict = recorded(ledger, candidate, waived_verdict(candidate, made))
    monkeypatch.setenv("EDUPLAN_NOW", "2025-10-01T00:00:01+08:00")
    with pytest.raises(Refused, match="到期"):
        publish(home, ledger, candidate, verdict, artefacts=REPORT)


def test_waiver_the_candidate_was_not_made_with_refuses_publication(home: Home, ledger: Ledger) -> None:
    candidate = candidate_with(home, ledger)
    verdict = recorded(ledger, candidate, waived_verdict(candidate, waiver()))
    with pytest.raises(Refused, match="不属于候选"):
        publish(home, ledger, candidate, verdict, artefacts=REPORT)


def test_home_without_the_folder_has_no_waivers(tmp_path: Path) -> None:
    assert read_waivers(Home(tmp_path / "none")) == ()
