"""`eduplan status`, `status --check` and `alerts` as a person and a timer see them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from rich.cells import cell_len

from orchestration import heartbeat
from orchestration.cli import alerts as alerts_command
from orchestration.cli import status as status_command
from orchestration.instance import dagster_home
from tests.support.candidate_kit import REPORT, delivery, judged, make_candidate
from warehouse import alerts, backup_notes, outcomes
from warehouse.alerts import Alert
from warehouse.clock import now
from warehouse.errors import Refused
from warehouse.ledger import Ledger
from warehouse.outcomes import Outcome
from warehouse.paths import Home
from warehouse.release import publish


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sources.intake.contract_versions", lambda: {"official_figures": "v1"})
    monkeypatch.setenv("EDUPLAN_NOW", "2025-09-30T10:00:00+08:00")


def shown(capsys: pytest.CaptureFixture[str], *, check: bool = False) -> tuple[int, str]:
    code = (status_command.check if check else status_command.status)(as_json=False)
    return code, capsys.readouterr().out


def as_json(capsys: pytest.CaptureFixture[str], *, check: bool = False) -> Any:
    (status_command.check if check else status_command.status)(as_json=True)
    return json.loads(capsys.readouterr().out)


def test_one_screen_says_how_everything_stands(
    home: Home, ledger: Ledger, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate = make_candidate(home, ledger, 1.5)
    release = publish(home, ledger, candidate, judged(ledger, candidate), artefacts=REPORT)
    delivery(home, ledger, "未读出", status="refused", rows_accepted=0, rows_quarantined=2, period=9, received_at=now())
    told = "拒绝发布：1 个数的变化超过 1%，而其依据的报送件没有变化。"
    outcomes.record(
        ledger, Outcome("r1", now().isoformat(), "folder_arrivals", outcomes.PUBLICATION_REFUSED, told, seconds=12)
    )
    for name in heartbeat.expected():
        heartbeat.beat(home, name)
    alerts.update(
        ledger, [Alert("publication_refused", "", told), *(Alert("feed_late", f"x/{n}", "缺") for n in range(9))], now()
    )
    alerts.claim(ledger, "mail", now())
    alerts.not_told(ledger, "mail", "告警端 mail 无法送达（ConnectionRefusedError）。", now())
    monkeypatch.setenv("EDUPLAN_NOW", "2025-09-30T11:05:00+08:00")
    code, text = shown(capsys)
    assert code == 0
    for line in (
        f"当前发布：{release.release_id}（1 小时 5 分前）",
        "上次运行：2025-09-30 10:00 重大变化无人确认，未发布（由 folder_arrivals 发起，用时 12 秒）",
        "正在运行：无",
        "守护进程：心跳在 1 小时 5 分前",
        "告警：10 条未解除，其中严重 1 条",
        "  ✗ 重大变化无报送件可解释，拒绝发布（1 条，手册 docs/runbook/publication_refused.md）",
        "    其余 6 条用 eduplan alerts 查看。",
        f"    2025-09-30 10:00 {told}",
        "告警端 mail：10 条未送达（告警端 mail 无法送达（ConnectionRefusedError）。），2025-09-30 10:00 后重试",
        "高等教育 higher_education",
    ):
        assert line in text
    table = [line for line in text.splitlines() if line.startswith(("│", "┃", "┏"))]
    assert table
    assert max(cell_len(line) for line in table) <= 100
    assert len(text.splitlines()) <= 50
    facts = as_json(capsys)
    assert facts["publication"]["reason"] == told
    assert facts["last_run"]["outcome"] == "publication_refused"
    assert facts["heartbeat"]["age_seconds"] == 3900
    assert len(facts["alerts"]) == 10
    assert facts["refused"]
    assert facts["release"]["age_seconds"] == 3900
    assert (facts["backup"], facts["settings_lacking"]) == (None, {})
    assert "备份" not in text


def test_what_was_refused_stands_there_until_it_is_answered(
    home: Home, ledger: Ledger, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken correction leaves its predecessor in force, and a broken file may name no place: both are to be seen."""
    refused = {"status": "refused", "rows_in": 0, "rows_accepted": 0, "rows_quarantined": 0, "received_at": now()}
    delivery(home, ledger, "先前", area_code="500101", period=2024)
    broken = delivery(home, ledger, "更正", area_code="500101", period=2024, **refused)
    nowhere = delivery(home, ledger, "读不出", area_code="", **refused)
    text = shown(capsys)[1]
    assert (
        f"退回：official_figures 500101 2024，原因与改法见回执 receipts/official_figures/{broken.delivery_id}.md"
        in text
    )
    assert (
        f"退回：official_figures （区域未能识别），原因与改法见回执 receipts/official_figures/{nowhere.delivery_id}"
        in text
    )
    assert {feed["feed"]: feed["refused"] for feed in as_json(capsys)["feeds"]}["official_figures"] == 2
    delivery(home, ledger, "再更正", area_code="500101", period=2024)
    assert [row["delivery_id"] for row in as_json(capsys)["refused"]] == [nowhere.delivery_id]
    monkeypatch.setenv("EDUPLAN_NOW", "2025-10-30T10:00:00+08:00")
    assert as_json(capsys)["refused"] == []


def test_the_backup_and_settings_that_lack_something_stand_there_too(
    home: Home, ledger: Ledger, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = home.root.parent / "kept"
    monkeypatch.setenv(backup_notes.VARIABLE, str(kept))
    make_candidate(home, ledger, 1.5)
    assert "备份：尚无完整的一次" in shown(capsys)[1]
    backup_notes.note_good(home, kept)
    monkeypatch.setenv("EDUPLAN_NOW", "2025-09-30T11:05:00+08:00")
    backup_notes.note_failed(home, kept, "磁盘已满。")
    settings = dagster_home(home) / "dagster.yaml"
    settings.write_text(settings.read_text().partition("run_launcher:")[0])
    text = shown(capsys)[1]
    assert "备份：最近一次完整的在 1 小时 5 分前；2025-09-30 11:05 的没有成功" in text
    assert "缺少本版本的默认设置 run_launcher、" in text
    assert "  class: WarmRunLauncher" in text
    facts = as_json(capsys)
    assert (facts["backup"]["age_seconds"], facts["backup"]["problem"]) == (3900, "磁盘已满。")
    assert "run_launcher" in facts["settings_lacking"]


def test_a_check_is_1_for_what_is_grave_and_0_for_what_is_late(
    home: Home, ledger: Ledger, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, text = shown(capsys, check=True)
    assert (code, "报送逾期" in text, "没有需要立即处理的事项" in text) == (0, True, True)
    heartbeat.beat(home, heartbeat.WATCH_SENSOR)
    monkeypatch.setenv("EDUPLAN_NOW", "2025-09-30T10:06:00+08:00")
    code, text = shown(capsys, check=True)
    assert (code, "守护进程无声" in text) == (1, True)
    # The check itself told of it: who would, when the daemon is dead?
    told = (home.root / "alerts" / "alerts.jsonl").read_text(encoding="utf-8")
    assert told.count('"kind": "daemon_silent"') == 1
    assert as_json(capsys, check=True)["ok"] is False
    heartbeat.beat(home, heartbeat.WATCH_SENSOR)
    assert as_json(capsys, check=True)["ok"] is True


def test_a_check_is_1_when_the_ledger_is_away_or_an_alert_cannot_be_delivered(
    home: Home, ledger: Ledger, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (home.root / "alerts").write_text("a file where a folder should be")
    assert as_json(capsys, check=True)["ends_failing"] == ["file"]
    (home.root / "alerts").unlink()
    # An end that was taken out of the settings while it was down is nobody's worry any more.
    alerts.not_told(ledger, "former", "告警端 former 无法送达。", now())
    monkeypatch.setenv("EDUPLAN_NOW", "2025-09-30T10:06:00+08:00")
    assert as_json(capsys, check=True)["ok"] is True
    monkeypatch.setenv("EDUPLAN_LEDGER_URL", "postgresql://nobody:geheim@127.0.0.1:1/none?connect_timeout=1")
    told = as_json(capsys, check=True)
    assert told["ok"] is False
    assert "台账数据库" in told["problems"][0]
    assert "geheim" not in str(told)


def test_open_alerts_and_ends_are_listed_and_ends_can_be_tried(
    home: Home, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    assert alerts_command.alerts(as_json=False) == 0
    assert "没有未解除的告警" in capsys.readouterr().out
    alerts.update(ledger, [Alert("gate_refused", "", "候选 c1")], now())
    assert alerts_command.alerts(as_json=False) == 0
    assert "[严重] 质量检查拒绝发布" in capsys.readouterr().out
    mail = "kind: smtp, name: mail, host: 127.0.0.1, port: 1, security: none, sender: a@b.cn, recipients: [a@b.cn]"
    (home.root / "alerts.yaml").write_text(f"ends: [{{{mail}}}]")
    before = ledger.journal_head()
    assert alerts_command.trial(as_json=True) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["file"] == {"ok": True, "problem": ""}
    assert "mail 无法送达" in told["mail"]["problem"]
    assert ledger.journal_head() == before


def test_without_a_home_there_is_nothing_to_look_at(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDUPLAN_HOME", str(replace(home, root=home.root / "none").root))
    for command in (status_command.status, status_command.check, alerts_command.alerts, alerts_command.trial):
        with pytest.raises(Refused, match="还不存在"):
            command(as_json=False)
