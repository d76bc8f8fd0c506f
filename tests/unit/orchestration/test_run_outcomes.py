"""How a run ended, as its record concludes and as the command line enters it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestration.cli import main
from orchestration.cli.run import make_round
from orchestration.report import RunRecord
from tests.support.candidate_kit import make_candidate, make_verdict, rule
from warehouse import outcomes
from warehouse.errors import Fault
from warehouse.ledger import Ledger
from warehouse.lock import exclusive
from warehouse.materiality import Unexplained
from warehouse.paths import Home


def failing(record: RunRecord, station: str, error: BaseException) -> None:
    with pytest.raises(type(error)), record.station(station):
        raise error


@pytest.mark.parametrize(
    ("error", "outcome", "detail"),
    [
        (Unexplained("拒绝发布：1 个数的变化超过 1%。"), outcomes.PUBLICATION_REFUSED, "变化超过 1%"),
        (Fault("磁盘已满。", "请腾出空间。"), outcomes.FAILED, "磁盘已满。 请腾出空间。"),
        (OSError(28, "/home/张三 13812345678"), outcomes.FAILED, "程序出错（OSError），详情见日志。"),
        (KeyboardInterrupt(), outcomes.CANCELLED, ""),
    ],
)
def test_what_ended_a_station_says_how_the_run_ended(error: BaseException, outcome: str, detail: str) -> None:
    record = RunRecord()
    failing(record, "publish", error)
    found = record.conclude("r1", "manual")
    assert found.outcome == outcome
    assert detail in found.detail_zh
    assert "1381" not in found.detail_zh
    assert "publish" in record.seconds


def test_a_refusal_of_the_gate_names_rules_and_no_keys(home: Home, ledger: Ledger) -> None:
    record = RunRecord()
    record.verdict = make_verdict(
        make_candidate(home, ledger, 1.0), rule(passed=False, rows_failed=3, failing_keys=("school=张三小学",))
    )
    found = record.conclude("r1", "manual")
    assert found.outcome == outcomes.GATE_REFUSED
    assert "3 行" in found.detail_zh
    assert "张三" not in found.detail_zh


def test_what_failed_once_and_went_well_afterwards_went_well(home: Home, ledger: Ledger) -> None:
    record = RunRecord()
    failing(record, "intake", Fault("台账被锁定。"))
    record.verdict = make_verdict(make_candidate(home, ledger, 1.0), rule(passed=False, rows_failed=1))
    assert record.conclude("r1", "manual").outcome == outcomes.GATE_REFUSED


def test_nothing_at_all_is_a_failure() -> None:
    found = RunRecord().conclude("r1", "manual")
    assert (found.outcome, bool(found.detail_zh)) == (outcomes.FAILED, True)


@pytest.fixture
def told(home: Home) -> Callable[[], list[str]]:
    def kinds() -> list[str]:
        text = (home.root / "alerts" / "alerts.jsonl").read_text(encoding="utf-8")
        return [found["kind"] for found in map(json.loads, text.splitlines()) if found["kind"] != "feed_late"]

    return kinds


def test_a_run_that_fails_before_it_begins_is_entered_and_told(
    home: Home, ledger: Ledger, told: Callable[[], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setenv("EDUPLAN_PROJECT", str(tmp_path))
        assert main(["run"]) == 2
    found = outcomes.last(ledger)
    assert found is not None
    assert found.outcome == outcomes.FAILED
    assert "dbt_project" in found.detail_zh
    assert told() == ["run_failed"]
    with exclusive(home, "run"):
        assert main(["run"]) == 1
    assert outcomes.counts(ledger)[outcomes.FAILED] == 1, "one that another did not let begin is no failure"
    assert told() == ["run_failed"]


def test_bad_settings_of_alerts_are_said_and_stop_no_command_but_the_check(
    home: Home, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    (home.root / "alerts.yaml").write_text("strange: 1", encoding="utf-8")
    make_round(home)
    assert "告警：告警配置文件" in capsys.readouterr().err
    assert main(["status", "--check"]) == 2
