from __future__ import annotations

import dataclasses
import errno
import json
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from tests.support.candidate_kit import (
    REPORT,
    copied_home,
    fill_marts,
    judged,
    make_candidate,
    make_verdict,
    rule,
    the_candidate,
)
from warehouse import candidate as candidates
from warehouse.audit import write_audit
from warehouse.candidate import Candidate
from warehouse.errors import Fault, Refused, UsageError
from warehouse.files import sha256_file
from warehouse.fingerprint import fingerprint
from warehouse.ledger import Ledger
from warehouse.marts_file import copy_marts
from warehouse.paths import Home
from warehouse.release import current, publish, releases
from warehouse.signing import PUBLIC_KEY
from warehouse.verdict import Verdict
from warehouse.verify import verify


@pytest.fixture
def home(once_sealed: Home, tmp_path: Path) -> Home:
    return copied_home(once_sealed, tmp_path)


@pytest.fixture
def candidate(home: Home) -> Candidate:
    """A sealed candidate that says 1.5 throughout."""
    return the_candidate(home)


def test_a_release_is_complete_and_verifies(home: Home, ledger: Ledger) -> None:
    candidate = make_candidate(home, ledger, 1.5, note="=1+1")
    release = publish(home, ledger, candidate, judged(ledger, candidate), artefacts=REPORT)
    assert current(home) == release
    names = set(release.manifest["files"])
    assert {
        "marts.duckdb",
        "parquet/fct_indicator_value.parquet",
        "csv/mart_plan_progress.csv",
        "quality/index.html",
        "quality/verdict.json",
        "data_dictionary.json",
        "contracts/mart_plan_progress.odcs.yaml",
        "changes.json",
    } <= names
    assert release.manifest["data_version"] == "1.0.0"
    assert verify(home) == []
    assert verify(home, release.release_id) == []


def test_the_marts_file_carries_comments_audit_and_an_old_storage_version(once_released: Home) -> None:
    (release,) = releases(once_released)
    database = release.path / "marts.duckdb"
    assert fingerprint(database) == the_candidate(once_released).fingerprint
    with duckdb.connect(str(database), read_only=True) as connection:
        tags = connection.execute("SELECT tags FROM duckdb_databases() WHERE database_name = 'marts'").fetchall()
        assert "v1.0.0" in str(tags)
        comment = connection.execute(
            "SELECT DISTINCT comment FROM duckdb_columns() WHERE column_name = 'area_code' AND schema_name = 'marts'"
        ).fetchall()
        assert comment == [("区域'代码",)]
        found = connection.execute("SELECT message_zh FROM audit.quarantined_rows").fetchall()
        assert found == [("身份证号 ▇▇▇ 不应出现",)]
        assert connection.execute("SELECT rule_id FROM audit.check_results").fetchall() == [("r1",)]
        assert connection.execute("SELECT release_id FROM audit.releases").fetchall() == [(release.release_id,)]
        lineage = connection.execute("SELECT DISTINCT mart, record_table FROM audit.lineage ORDER BY 1").fetchall()
        assert lineage == [
            ("fct_indicator_value", "official_figures__figure"),
            ("mart_plan_progress", "official_figures__figure"),
        ]
        assert connection.execute("SELECT count(*) FROM audit.waivers").fetchall() == [(0,)]


def test_csv_guards_texts_and_leaves_negative_numbers_alone(home: Home, ledger: Ledger) -> None:
    candidate = make_candidate(home, ledger, -2.5, note="=cmd()")
    release = publish(home, ledger, candidate, judged(ledger, candidate), artefacts=REPORT)
    text = (release.path / "csv" / "fct_indicator_value.csv").read_bytes()
    assert text.startswith(b"\xef\xbb\xbfindicator_id,")
    assert b"-2.5,-25000.0000,'=cmd()" in text


def test_dictionary_and_contract_come_from_the_manifest(once_released: Home) -> None:
    (release,) = releases(once_released)
    tables = json.loads((release.path / "data_dictionary.json").read_bytes())["tables"]
    assert [table["name"] for table in tables] == ["fct_indicator_value", "mart_plan_progress"]
    assert tables[0]["key"] == ["indicator_id", "area_code", "period"]
    assert tables[0]["columns"][3] == {
        "name": "value",
        "type": "DOUBLE",
        "label_zh": "value",
        "unit": "人",
        "description": "value 的含义",
    }
    contract = yaml.safe_load((release.path / "contracts" / "fct_indicator_value.odcs.yaml").read_text("utf-8"))
    assert contract["kind"] == "DataContract"
    assert contract["schema"][0]["properties"][0]["primaryKeyPosition"] == 1


def test_the_second_release_names_the_first_and_lists_changes(twice_released: Home, tmp_path: Path) -> None:
    home = copied_home(twice_released, tmp_path)
    first, second = releases(home)
    assert second.manifest["previous"] == {"release_id": first.release_id, "manifest_sha256": first.manifest_sha256}
    assert second.manifest["data_version"] == "1.1.0"
    changes = json.loads((second.path / "changes.json").read_bytes())
    assert changes["counts"]["fct_indicator_value"] == {"added": 0, "removed": 0, "changed": 40}
    assert changes["tables"]["fct_indicator_value"]["changed"][0] == {
        "key": {"indicator_id": "pre_enrolment", "area_code": "5000", "period": 2023},
        "column": "value",
        "old": 1.5,
        "new": 1.75,
        "deliveries": None,
    }
    assert current(home) == second
    assert verify(home) == []


def test_publishing_again_changes_nothing(home: Home, ledger: Ledger, candidate: Candidate) -> None:
    verdict = judged(ledger, candidate)
    release = publish(home, ledger, candidate, verdict, artefacts=REPORT)
    assert publish(home, ledger, candidate, verdict, artefacts=REPORT) == release
    assert len(ledger.releases()) == 1


def test_ids_rise_even_when_the_clock_steps_back(home: Home, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDUPLAN_NOW", "2025-12-31T23:59:59+08:00")
    one = make_candidate(home, ledger, 1.0)
    first = publish(home, ledger, one, judged(ledger, one), artefacts=REPORT)
    monkeypatch.setenv("EDUPLAN_NOW", "2025-06-01T00:00:00+08:00")
    two = make_candidate(home, ledger, 2.0)
    second = publish(home, ledger, two, judged(ledger, two), artefacts=REPORT)
    third = publish(home, ledger, one, judged(ledger, one), artefacts=REPORT)
    assert [r.release_id[:20] for r in (first, second, third)] == [
        "20251231T235959+0800",
        "20260101T000000+0800",
        "20260101T000001+0800",
    ]
    assert third.manifest["fingerprint"] == first.manifest["fingerprint"]


def _refused(home: Home, ledger: Ledger, candidate: Candidate, verdict: Verdict, reason: str) -> None:
    before = home.current.readlink() if home.current.is_symlink() else None
    with pytest.raises(Refused, match=reason) as caught:
        publish(home, ledger, candidate, verdict, artefacts=REPORT)
    assert caught.value.exit_code == 1
    assert (home.current.readlink() if home.current.is_symlink() else None) == before


@pytest.mark.parametrize(
    ("results", "changes", "reason"),
    [
        ((rule(passed=False, rows_failed=3),), {}, "3 行不合格"),
        ((rule(severity="fatal"),), {}, "不在约定之内"),
        ((rule(tier="other"),), {}, "不在约定之内"),
        ((rule(error="除零"),), {}, "执行出错"),
        ((rule(severity="warning", error="除零"),), {}, "执行出错"),
        ((rule(rows_checked=0),), {}, "0 行数据"),
        ((rule(rows_checked=-1), rule(rule_id="r2")), {}, "行数为负"),
        ((rule(),), {"results": ()}, "没有执行任何规则"),
        ((rule(),), {"rules_expected": 2}, "应有 2 条"),
        ((rule(), rule()), {}, "结果重复"),
        ((rule(),), {"rules_version": ""}, "没有写明"),
    ],
)
def test_the_gate_fails_closed(
    home: Home,
    ledger: Ledger,
    candidate: Candidate,
    *,
    results: tuple[object, ...],
    changes: dict[str, object],
    reason: str,
) -> None:
    verdict = make_verdict(candidate, *results, **changes)  # type: ignore[arg-type]
    ledger.record_verdict(verdict)
    _refused(home, ledger, candidate, verdict, reason)


def test_a_warning_does_not_stop_a_release(home: Home, ledger: Ledger, candidate: Candidate) -> None:
    verdict = make_verdict(candidate, rule(), rule(rule_id="r2", severity="warning", passed=False, rows_failed=2))
    ledger.record_verdict(verdict)
    release = publish(home, ledger, candidate, verdict, artefacts=REPORT)
    assert release.manifest["verdict"]["failed"] == ["r2"]


def test_a_verdict_nobody_recorded_is_refused(home: Home, ledger: Ledger, candidate: Candidate) -> None:
    _refused(home, ledger, candidate, make_verdict(candidate), "没有对候选")


def test_a_verdict_for_another_candidate_is_refused(home: Home, ledger: Ledger) -> None:
    one, two = make_candidate(home, ledger, 1.0), make_candidate(home, ledger, 2.0)
    _refused(home, ledger, two, judged(ledger, one), "不是")


def test_a_verdict_for_another_fingerprint_is_refused(home: Home, ledger: Ledger, candidate: Candidate) -> None:
    verdict = make_verdict(candidate, fingerprint="0" * 64)
    ledger.record_verdict(verdict)
    _refused(home, ledger, candidate, verdict, "内容指纹")


def test_an_edited_verdict_is_refused(home: Home, ledger: Ledger, candidate: Candidate) -> None:
    failing = make_verdict(candidate, rule(passed=False, rows_failed=3))
    ledger.record_verdict(failing)
    whitewashed = dataclasses.replace(failing, results=(rule(),))
    _refused(home, ledger, candidate, whitewashed, "改动过或已过时")


def test_an_empty_suite_is_refused(home: Home, ledger: Ledger, candidate: Candidate) -> None:
    empty = dataclasses.replace(make_verdict(candidate), results=(), rules_expected=0)
    ledger.record_verdict(empty)
    _refused(home, ledger, candidate, empty, "没有执行任何规则")


@pytest.mark.parametrize("severity", ["critical", "warning", "info"])
def test_a_rule_that_raised_is_refused_whatever_its_severity(
    home: Home, ledger: Ledger, candidate: Candidate, severity: str
) -> None:
    broken = make_verdict(candidate, rule(), rule(rule_id="r2", severity=severity, passed=False, error="除以零"))
    ledger.record_verdict(broken)
    _refused(home, ledger, candidate, broken, "执行出错：除以零")


def test_an_edited_verdict_file_is_refused(home: Home, ledger: Ledger, candidate: Candidate) -> None:
    verdict = judged(ledger, candidate)
    (candidate.path / "verdict.json").write_bytes(verdict.to_json().replace(b"rules-1", b"rules-2"))
    _refused(home, ledger, candidate, verdict, "裁决文件被改动")


def test_an_edited_candidate_is_refused(home: Home, ledger: Ledger, candidate: Candidate) -> None:
    verdict = judged(ledger, candidate)
    with duckdb.connect(str(candidate.database)) as connection:
        connection.execute("UPDATE marts.fct_indicator_value SET value = 99 WHERE area_code = '5003'")
    _refused(home, ledger, candidate, verdict, "被改动")
    # Forging the seal as well does not help: the verdict still names the judged content.
    seal = candidate.path / candidates.SEAL_NAME
    forged = fingerprint(candidate.database)
    seal.write_text(seal.read_text("utf-8").replace(candidate.fingerprint, forged), "utf-8")
    _refused(home, ledger, candidates.load(home, candidate.candidate_id), verdict, "内容指纹")


def test_a_swapped_dbt_manifest_is_refused(home: Home, ledger: Ledger, candidate: Candidate) -> None:
    verdict = judged(ledger, candidate)
    path = candidate.path / "manifest.json"
    path.write_bytes(path.read_bytes().replace("含义".encode(), "歪曲".encode()))
    _refused(home, ledger, candidate, verdict, "manifest")


def test_a_forged_seal_does_not_get_an_altered_candidate_published(
    home: Home, ledger: Ledger, candidate: Candidate
) -> None:
    """Whoever alters a row and the hash of the file in the seal still meets the fingerprint of what would be read."""
    verdict = judged(ledger, candidate)
    with duckdb.connect(str(candidate.database)) as connection:
        connection.execute("UPDATE marts.fct_indicator_value SET value = 99 WHERE area_code = '5003'")
    seal = candidate.path / "candidate.json"
    told = json.loads(seal.read_bytes())
    seal.chmod(0o644)
    seal.write_text(json.dumps(told | {"database_sha256": sha256_file(candidate.database)}), encoding="utf-8")
    with pytest.raises(Fault, match="不一致"):
        publish(home, ledger, candidate, verdict, artefacts=REPORT)
    assert current(home) is None
    assert list(home.releases.iterdir()) == []


def test_other_bytes_that_say_the_same_are_the_same_candidate(home: Home, ledger: Ledger, candidate: Candidate) -> None:
    verdict = judged(ledger, candidate)
    before = sha256_file(candidate.database)
    with duckdb.connect(str(candidate.database)) as connection:
        connection.execute("CREATE SCHEMA another")
    assert sha256_file(candidate.database) != before
    assert publish(home, ledger, candidate, verdict, artefacts=REPORT).fingerprint == candidate.fingerprint


def test_a_copy_that_says_something_else_is_not_published(
    home: Home, ledger: Ledger, candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(source: Path, folder: Path, *more: Any) -> Any:
        found = copy_marts(source, folder, *more)
        with duckdb.connect(str(folder / "marts.duckdb")) as connection:
            connection.execute("UPDATE marts.marts.mart_plan_progress SET status = 'x' WHERE area_code = '5003'")
        return found

    monkeypatch.setattr("warehouse.release.copy_marts", spoilt)
    with pytest.raises(Fault, match="不一致"):
        publish(home, ledger, candidate, judged(ledger, candidate), artefacts=REPORT)
    assert current(home) is None
    assert list(home.releases.iterdir()) == []


def test_documents_are_written_beside_the_history(
    home: Home, ledger: Ledger, candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def patient(*args: Any, **more: Any) -> None:
        deadline = time.monotonic() + 20
        while not list(home.releases.glob(f".*/{PUBLIC_KEY}")):
            assert time.monotonic() < deadline, "the documents wait for the history"
            time.sleep(0.01)
        write_audit(*args, **more)

    monkeypatch.setattr("warehouse.release.write_audit", patient)
    publish(home, ledger, candidate, judged(ledger, candidate), artefacts=REPORT)
    assert verify(home) == []


@pytest.mark.parametrize("part", ["write_audit", "dictionary"])
def test_whichever_of_the_two_fails_is_raised_and_nothing_stays(
    home: Home, ledger: Ledger, candidate: Candidate, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, f"no space for {part}")

    monkeypatch.setattr(f"warehouse.release.{part}", full)
    with pytest.raises(OSError, match=part):
        publish(home, ledger, candidate, judged(ledger, candidate), artefacts=REPORT)
    assert current(home) is None
    assert list(home.releases.iterdir()) == []


def test_a_refusal_leaves_the_last_good_release(once_released: Home, tmp_path: Path) -> None:
    home = copied_home(once_released, tmp_path)
    first = current(home)
    assert first is not None
    ledger = Ledger(home.ledger_url)
    two = make_candidate(home, ledger, 2.0)
    _refused(home, ledger, two, make_verdict(two), "没有对候选")
    ledger.close()
    assert current(home) == first


@pytest.mark.parametrize(
    "name", ["../x.html", "/etc/x", "manifest.json", "csv/x.csv", "quality//x.html", "marts.duckdb"]
)
def test_artefacts_cannot_leave_the_folder_or_replace_its_files(
    home: Home, ledger: Ledger, candidate: Candidate, name: str
) -> None:
    with pytest.raises(UsageError, match="附件路径"):
        publish(home, ledger, candidate, judged(ledger, candidate), artefacts={**REPORT, name: b"x"})


def test_a_release_without_its_report_is_not_built(home: Home, ledger: Ledger, candidate: Candidate) -> None:
    with pytest.raises(UsageError, match="质量报告"):
        publish(home, ledger, candidate, judged(ledger, candidate), artefacts={})


def test_a_verdict_that_cannot_be_read_is_a_fault() -> None:
    with pytest.raises(Fault, match="裁决文件"):
        Verdict.from_json(b'{"candidate_id": "c"}')


def test_verdict_round_trip(once_sealed: Home) -> None:
    verdict = make_verdict(the_candidate(once_sealed), rule(failing_keys=("5001",)))
    assert Verdict.from_json(verdict.to_json()) == verdict


def test_the_same_build_twice_is_one_candidate_and_another_content_is_a_fault(
    home: Home, ledger: Ledger, candidate: Candidate
) -> None:
    assert make_candidate(home, ledger, 1.5) == candidate
    from tests.support.candidate_kit import FEEDS

    build = candidates.begin(home, ledger.active_set(), FEEDS)
    fill_marts(build.database, 7.0)
    with pytest.raises(Fault, match="两次构建的结果不同"):
        candidates.seal(home, build)
    assert not build.work_dir.exists()
