"""Metrics as a scraper reads them: parsed by Prometheus' own parser, over HTTP too."""

from __future__ import annotations

import urllib.request
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from orchestration import heartbeat
from orchestration.cli.metrics import serving
from orchestration.metrics import registry
from sources.connectors.arrival import Arrival
from tests.support.candidate_kit import REPORT, delivery, judged, make_candidate
from warehouse import alerts, backup_notes, outcomes
from warehouse.alerts import Alert
from warehouse.clock import now
from warehouse.errors import UsageError
from warehouse.ledger import Ledger
from warehouse.outcomes import Outcome
from warehouse.paths import Home
from warehouse.release import publish

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sources.intake.contract_versions", lambda: {"official_figures": "v1"})
    monkeypatch.setenv("EDUPLAN_NOW", "2025-09-30T10:00:00+08:00")
    monkeypatch.setenv("EDUPLAN_SETTLE_SECONDS", "0")


def parsed(text: str) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, f"{key} twice"
            found[key] = sample.value
    return found


def scraped(home: Home) -> Samples:
    return parsed(generate_latest(registry(home)).decode())


def value(found: Samples, name: str, **labels: Any) -> float:
    return found[f"eduplan_{name}", tuple(sorted(labels.items()))]


def test_the_facts_of_a_released_home_as_numbers(home: Home, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    candidate = make_candidate(home, ledger, 1.5)
    release = publish(home, ledger, candidate, judged(ledger, candidate), artefacts=REPORT)
    outcomes.record(ledger, Outcome("r1", now().isoformat(), "manual", outcomes.RELEASED, seconds=4.5))
    alerts.update(ledger, [Alert("gate_refused", "", "x"), Alert("feed_late", "a/1", "y")], now())
    assert alerts.claim(ledger, "mail", now())
    (home.inbox / "teacher_register").mkdir()
    (home.inbox / "teacher_register" / "a.csv").write_bytes(b"x")
    heartbeat.looked(home, "sftp_arrivals", "sftp", [Arrival("sftp", "office", "", "population", problem="away")])
    monkeypatch.setenv("EDUPLAN_NOW", "2025-09-30T10:01:40+08:00")
    found = scraped(home)
    assert value(found, "up") == 1
    assert value(found, "release_age_seconds") == 100
    assert value(found, "release_behind_seconds") == 0
    assert value(found, "release_info", release_id=release.release_id, data_version=release.manifest["data_version"])
    assert value(found, "deliveries_total", feed="official_figures", status="partly") == 1
    assert value(found, "quarantined_rows", feed="official_figures") == 1
    assert value(found, "waiting", kind="folder") == 1
    assert value(found, "waiting", kind="sftp") == 0
    assert value(found, "heartbeat_age_seconds", sensor="sftp_arrivals") == 100
    assert value(found, "source_away_seconds", source="sftp/office") == 100
    assert value(found, "alerts_open", kind="gate_refused", severity="critical") == 1
    assert value(found, "alerts_open", kind="run_failed", severity="critical") == 0
    assert value(found, "alerts_untold", end="mail") == 2
    assert value(found, "runs_total", outcome="released") == 1
    assert value(found, "last_run_success") == 1
    assert value(found, "last_run_duration_seconds") == 4.5
    assert value(found, "last_run_timestamp_seconds") == now().timestamp() - 100
    assert value(found, "running") == 0
    assert value(found, "late", feed="higher_education", period="2024") == 1
    assert ("eduplan_backup_failed", ()) not in found
    monkeypatch.setenv(backup_notes.VARIABLE, str(home.root.parent / "kept"))
    assert value(scraped(home), "backup_age_seconds") == 100
    backup_notes.note_good(home, home.root.parent / "kept")
    backup_notes.note_failed(home, home.root.parent / "kept", "磁盘已满。")
    found = scraped(home)
    assert (value(found, "backup_age_seconds"), value(found, "backup_failed")) == (0, 1)


def test_what_was_taken_in_since_makes_the_release_fall_behind(
    home: Home, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate = make_candidate(home, ledger, 1.5)
    publish(home, ledger, candidate, judged(ledger, candidate), artefacts=REPORT)
    delivery(home, ledger, "新的", period=7, received_at=now())
    monkeypatch.setenv("EDUPLAN_NOW", "2025-09-30T10:30:00+08:00")
    assert value(scraped(home), "release_behind_seconds") == 1800


def test_a_home_that_is_empty_and_a_ledger_that_is_away_are_numbers_too(home: Home) -> None:
    assert value(scraped(home), "up") == 1
    away = replace(home, ledger_setting="postgresql://nobody@127.0.0.1:1/none?connect_timeout=1")
    heartbeat.beat(away, "watch")
    found = scraped(away)
    assert value(found, "up") == 0
    assert value(found, "heartbeat_age_seconds", sensor="watch") == 0


def test_they_are_served_on_this_machine_and_a_taken_port_is_said(home: Home) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with serving(home, 0) as port:
        with opener.open(f"http://127.0.0.1:{port}/metrics") as answer:
            assert answer.headers["Content-Type"].startswith("text/plain")
            assert value(parsed(answer.read().decode()), "up") == 1
        with pytest.raises(UsageError, match=str(port)), serving(home, port):
            pytest.fail("two servers on one port")
