"""Rounds of alerts on a real home: what is noticed, that it is told once each way, and what happens when an end or the
ledger is down."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestration import heartbeat
from orchestration.alerting import kinds
from orchestration.alerting.telling import Round, compose, tell
from orchestration.cli import backup as backup_command
from sources.connectors.arrival import Arrival
from tests.support.candidate_kit import delivery
from tests.support.mailbox import Hook, hook_server
from warehouse import alerts, backup_notes, outcomes
from warehouse import backup as backups
from warehouse.alerts import News
from warehouse.archive import snapshot_path
from warehouse.clock import now, parse_instant
from warehouse.errors import UsageError
from warehouse.holds import Hold
from warehouse.ledger import Ledger
from warehouse.outcomes import Outcome
from warehouse.paths import Home, project_root

START = parse_instant("2025-09-30T03:00:00+08:00")
Told = list[tuple[str, str, str]]


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """The hour is known; late feeds of the calendar are left to their own test."""
    monkeypatch.setattr("sources.intake.contract_versions", lambda: {"official_figures": "v1"})
    monkeypatch.setattr("orchestration.isolation.contract_versions", lambda: {"official_figures": "v1"}, raising=False)
    at(monkeypatch, 0)
    if "late_feeds" not in request.node.name:
        monkeypatch.setattr("orchestration.alerting.conditions.late_feeds", lambda _active, _at: [])


def at(monkeypatch: pytest.MonkeyPatch, minutes: float) -> None:
    monkeypatch.setenv("EDUPLAN_NOW", (START + timedelta(minutes=minutes)).isoformat())


def told(home: Home) -> Told:
    """(kind, subject, action) of everything the file end was told."""
    path = home.root / "alerts" / "alerts.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []
    return [(line["kind"], line["subject"], line["action"]) for line in lines]


def ended(ledger: Ledger, number: int, outcome: str, detail: str = "") -> None:
    outcomes.record(ledger, Outcome(f"r{number}", now().isoformat(), "manual", outcome, detail))


def both(kind: str, subject: str = "") -> Told:
    return [(kind, subject, "opened"), (kind, subject, "resolved")]


def test_a_run_that_failed_is_told_until_one_ends_well(home: Home, ledger: Ledger) -> None:
    ended(ledger, 1, outcomes.FAILED, "磁盘已满")
    for _again in range(3):
        tell(home)
    ended(ledger, 2, outcomes.FAILED, "磁盘仍满")
    ended(ledger, 3, outcomes.CANCELLED)
    tell(home)
    assert told(home) == both(kinds.RUN_FAILED)[:1]
    ended(ledger, 4, outcomes.UNCHANGED)
    tell(home)
    assert told(home) == both(kinds.RUN_FAILED)


@pytest.mark.parametrize("kind", [kinds.GATE_REFUSED, kinds.PUBLICATION_REFUSED])
def test_a_refusal_stands_although_a_later_run_failed_on_its_way(home: Home, ledger: Ledger, kind: str) -> None:
    ended(ledger, 1, kind, "候选 c1，2 条严重规则未通过")
    tell(home)
    ended(ledger, 2, outcomes.FAILED)
    tell(home)
    assert told(home) == [(kind, "", "opened"), (kinds.RUN_FAILED, "", "opened")]
    ended(ledger, 3, outcomes.RELEASED)
    tell(home)
    assert sorted(told(home)) == sorted(both(kind) + both(kinds.RUN_FAILED))


def test_quarantine_above_the_limit_is_one_alert_a_feed_and_year(home: Home, ledger: Ledger) -> None:
    for number in range(4):
        delivery(home, ledger, f"坏 {number}", area_code=f"50010{number}", period=2024, received_at=START)
    good = {"rows_in": 100, "rows_accepted": 95, "rows_quarantined": 5}
    delivery(home, ledger, "刚好", area_code="500107", period=2023, received_at=START, **good)
    tell(home)
    [line] = (home.root / "alerts" / "alerts.jsonl").read_text(encoding="utf-8").splitlines()
    assert told(home) == [(kinds.QUARANTINE_HIGH, "official_figures/2024", "opened")]
    assert "4 件报送件的隔离行超过 5%" in line
    assert "数字.csv" not in line
    (home.root / "alerts.yaml").write_text("limits: {quarantine_percent: 60}", encoding="utf-8")
    tell(home)
    assert told(home) == both(kinds.QUARANTINE_HIGH, "official_figures/2024")


def test_what_was_taken_in_and_never_published_is_told_after_hours(
    home: Home, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = {"status": "accepted", "rows_in": 1, "rows_accepted": 1, "rows_quarantined": 0}
    delivery(home, ledger, "数字", received_at=START, **good)
    at(monkeypatch, 359)
    tell(home)
    assert told(home) == []
    at(monkeypatch, 361)
    tell(home)
    assert told(home) == both(kinds.RELEASE_AGEING)[:1]
    ledger.withdraw(ledger.deliveries()[0].delivery_id, reason="误报", person="某人")
    tell(home)
    assert told(home) == both(kinds.RELEASE_AGEING)


def test_a_delivery_that_is_held_is_told_by_its_receipt(home: Home, ledger: Ledger) -> None:
    row = delivery(home, ledger, "数字", received_at=START, rows_in=100, rows_accepted=99)
    hold = Hold(row.delivery_id, row.feed, row.area_code, row.period, row.part, "c1", "gate.sum", 3, "x")
    ledger.record_hold(hold)
    assert kinds.DELIVERY_HELD in {news.kind for news in tell(home).changed}


def test_late_feeds_are_one_message_and_resolved_one_by_one(home: Home, ledger: Ledger) -> None:
    found = tell(home)
    late = [news for news in found.changed if news.kind == kinds.FEED_LATE]
    assert len(late) > 10
    message = compose(late)
    assert f"等 {len(late)} 条" in message.subject_zh
    assert len(message.entries) == len(late)
    assert f"其余 {len(late) - 20} 条" in message.text_zh or len(late) <= 20
    assert tell(home).changed == []


# -- signs of life ----------------------------------------------------------------------------------------------------


def beat_all(home: Home, *without: str) -> None:
    for name in heartbeat.expected():
        if name not in without:
            heartbeat.beat(home, name)


def test_a_sensor_that_is_silent_under_a_living_daemon_and_a_daemon_that_is_silent(
    home: Home, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(home)
    assert told(home) == [], "where no daemon ever ran none is missing"
    beat_all(home, "s3_arrivals")
    tell(home)
    at(monkeypatch, 4)
    beat_all(home, "s3_arrivals", "sftp_arrivals")
    tell(home)
    assert told(home) == []
    at(monkeypatch, 6)
    beat_all(home, "s3_arrivals", "sftp_arrivals")
    tell(home)
    silent = [(kinds.SENSOR_SILENT, name, "opened") for name in ("s3_arrivals", "sftp_arrivals")]
    assert told(home) == silent
    at(monkeypatch, 12)
    tell(home)
    # Nobody can say whether single sensors would look if the daemon were there.
    assert told(home)[2:] == both(kinds.DAEMON_SILENT)[:1]
    at(monkeypatch, 13)
    beat_all(home)
    tell(home)
    over = [(kinds.SENSOR_SILENT, name, "resolved") for name in ("s3_arrivals", "sftp_arrivals")]
    assert sorted(told(home)[3:]) == sorted([(kinds.DAEMON_SILENT, "", "resolved"), *over])


def arrival(kind: str, source: str, problem: str = "", version: str = "") -> Arrival:
    return Arrival(kind, source, version, "population", problem=problem)


def test_a_source_that_is_away_is_told_after_a_minute_and_when_it_is_back(
    home: Home, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = arrival("sftp", "office", "连接被拒绝。")
    heartbeat.looked(home, "sftp_arrivals", "sftp", [away, arrival("sftp", "office/坏.csv", "读不出", "v1")])
    tell(home)
    assert told(home) == [], "a blink is no absence"
    at(monkeypatch, 0.5)
    heartbeat.looked(home, "sftp_arrivals", "sftp", [away])
    at(monkeypatch, 1)
    # A run that looked at all sources says the same; the absence is no younger for that.
    heartbeat.looked_all(home, [away, Arrival("folder", "stray", "", "", problem="不属于任何报送类别")])
    for _again in range(3):
        tell(home)
    assert told(home) == both(kinds.SOURCE_AWAY, "sftp/office")[:1]
    at(monkeypatch, 2)
    heartbeat.looked(home, "sftp_arrivals", "sftp", [arrival("sftp", "office/新.csv", version="v2")])
    tell(home)
    assert told(home) == both(kinds.SOURCE_AWAY, "sftp/office")
    beat = heartbeat.read_one(home, "sftp_arrivals")
    assert beat is not None
    assert beat.waiting == 1


def test_signs_of_life_that_cannot_be_read_or_written_stop_nothing(home: Home) -> None:
    heartbeat.beat(home, "watch")
    (home.root / "heartbeat" / "watch.json").write_text('{"at": 7}')
    assert heartbeat.beats(home) == {}
    heartbeat.beat(home, "watch")
    assert set(heartbeat.beats(home)) == {"watch"}
    nowhere = Home(home.root / "ledger.db")
    heartbeat.beat(nowhere, "watch")


# -- the back-up ------------------------------------------------------------------------------------------------------


def test_a_backup_that_failed_and_one_that_is_old_are_told_once_each_way(
    home: Home, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept"
    good = {"status": "accepted", "rows_in": 1, "rows_accepted": 1, "rows_quarantined": 0}
    row = delivery(home, ledger, "数字", received_at=START, **good)
    monkeypatch.setattr("orchestration.alerting.conditions.release_age", lambda *_: None)
    (home.root / "alerts.yaml").write_text("limits: {behind_hours: 9999, backup_hours: 24}")
    at(monkeypatch, 60 * 99)
    tell(home)
    assert told(home) == [], "nobody set a back-up up"
    monkeypatch.setenv(backup_notes.VARIABLE, str(kept))
    for _again in range(2):
        tell(home)
    assert told(home) == both(kinds.BACKUP_OLD)[:1]
    backups.make(home, kept)
    tell(home)
    assert told(home) == both(kinds.BACKUP_OLD), "what lies there counts, noted or not"
    original = snapshot_path(home, row.sha256)
    original.rename(tmp_path / "away")
    assert backup_command.backup(kept, keys=None, as_json=True) == 1
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        backup_command.backup(tmp_path / "file", keys=None, as_json=True)
    with pytest.raises(UsageError):
        backup_command.backup(home.root / "inside", keys=None, as_json=True)
    for _again in range(2):
        tell(home)
    assert told(home)[2:] == both(kinds.BACKUP_FAILED)[:1]
    [line] = [line for line in standing_details(ledger) if "备份" in line]
    assert "备份不完整，缺 1 处" in line
    assert row.sha256 not in line
    at(monkeypatch, 60 * 124)
    tell(home)
    assert told(home)[3:] == both(kinds.BACKUP_OLD)[:1]
    (tmp_path / "away").rename(original)
    assert backup_command.backup(kept, keys=None, as_json=True) == 0
    tell(home)
    assert sorted(told(home)[4:]) == sorted([both(kinds.BACKUP_FAILED)[1], both(kinds.BACKUP_OLD)[1]])


def standing_details(ledger: Ledger) -> list[str]:
    return [news.detail_zh for news in alerts.standing(ledger)]


# -- ends that are down, a ledger that is away ------------------------------------------------------------------------


@pytest.fixture
def hook(home: Home, tmp_path: Path) -> Iterator[Hook]:
    with hook_server() as found:
        (tmp_path / "url").write_text(f"http://127.0.0.1:{found.port}/")
        content = {"ends": [{"kind": "webhook", "name": "duty", "url": {"file": str(tmp_path / "url")}}]}
        (home.root / "alerts.yaml").write_text(yaml.safe_dump(content))
        yield found


def heard(hook: Hook) -> list[tuple[str, str]]:
    return [(one["kind"], one["action"]) for _, _, document in hook.posted for one in document["alerts"]]


def test_an_end_that_is_down_loses_nothing_and_hears_nothing_twice(
    home: Home, ledger: Ledger, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook.answers[:] = [(503, b"")] * 3
    ended(ledger, 1, outcomes.FAILED)
    problems = tell(home).problems
    assert problems == ["告警端 duty 拒收（HTTP 503）。"]
    assert told(home) == both(kinds.RUN_FAILED)[:1], "the file does not wait for the other end"
    ended(ledger, 2, outcomes.RELEASED)
    at(monkeypatch, 1)
    assert tell(home).problems
    at(monkeypatch, 1.5)
    assert tell(home).problems == [], "too early to try again"
    at(monkeypatch, 3)
    assert tell(home).problems
    assert hook.posted == []
    for minutes in (7, 8, 30):
        at(monkeypatch, minutes)
        tell(home)
    assert heard(hook) == [(kinds.RUN_FAILED, "opened"), (kinds.RUN_FAILED, "resolved")]
    [_, duty] = sorted(alerts.ends(ledger), key=lambda end: end.name == "duty")
    assert (duty.untold, duty.attempts) == (0, 0)


def test_a_ledger_that_is_away_is_told_once_each_way(
    home: Home, ledger: Ledger, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = replace(home, ledger_setting="postgresql://nobody:geheim@127.0.0.1:1/none?connect_timeout=1")

    def round_without(minutes: float) -> Round:
        at(monkeypatch, minutes)
        return tell(away)

    tell(home)
    first = round_without(1)
    assert "geheim" not in str(first.problems)
    assert hook.posted == []
    hook.answers[:] = [(500, b"")]
    round_without(3)
    assert heard(hook) == []
    for minutes in (4, 5, 6):
        round_without(minutes)
    assert heard(hook) == [(kinds.LEDGER_AWAY, "opened")]
    assert told(home) == both(kinds.LEDGER_AWAY)[:1]
    at(monkeypatch, 7)
    tell(home)
    tell(home)
    assert heard(hook) == [(kinds.LEDGER_AWAY, "opened"), (kinds.LEDGER_AWAY, "resolved")]
    assert told(home) == both(kinds.LEDGER_AWAY)
    assert ledger.findings() == []


def test_a_ledger_that_was_away_for_a_blink_is_nothing(
    home: Home, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(replace(home, ledger_setting="postgresql://nobody@127.0.0.1:1/none?connect_timeout=1"))
    at(monkeypatch, 0.5)
    tell(home)
    at(monkeypatch, 9)
    tell(home)
    assert told(home) == []


# -- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_every_kind_says_what_to_do_and_has_a_page_that_names_commands(kind: str) -> None:
    message = compose([News(1, kind, "x", "opened", "详情。", START.isoformat())])
    assert kinds.KINDS[kind].remedy_zh in message.text_zh
    page = project_root() / kinds.runbook(kind)
    text = page.read_text(encoding="utf-8")
    assert kinds.KINDS[kind].title_zh in text
    assert "eduplan " in text
    assert text.count("\n## ") >= 3


def entries(*found: tuple[str, str]) -> list[Any]:
    return [News(n, kind, "", action, "", START.isoformat()) for n, (kind, action) in enumerate(found, 1)]


def test_the_gravest_stands_first_and_good_news_last() -> None:
    message = compose(
        entries((kinds.RUN_FAILED, "resolved"), (kinds.FEED_LATE, "opened"), (kinds.GATE_REFUSED, "opened"))
    )
    assert [one["kind"] for one in message.entries] == [kinds.GATE_REFUSED, kinds.FEED_LATE, kinds.RUN_FAILED]
    assert message.subject_zh == "【eduplan 告警】质量检查拒绝发布等 3 条"
    assert compose(entries((kinds.RUN_FAILED, "resolved"))).subject_zh == "【eduplan 恢复】运行失败"
