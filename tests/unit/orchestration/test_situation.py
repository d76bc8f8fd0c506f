"""What the status page says of a home: who works on it, what was refused and why, and what waits to be published."""

from __future__ import annotations

import dataclasses
import json
import os

import pytest

from orchestration import situation
from orchestration.steps import RUN_LOCK, VERDICT_FILE, find_inputs, refusal_kept
from tests.support.candidate_kit import delivery, make_candidate, make_verdict, rule
from warehouse.errors import Refused
from warehouse.lease import held
from warehouse.ledger import Ledger
from warehouse.paths import Home


@pytest.fixture(autouse=True)
def _versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sources.intake.contract_versions", lambda: {"official_figures": "v1"})


def test_an_empty_home_has_no_release_and_nothing_runs(home: Home, ledger: Ledger) -> None:
    found = situation.situation(home, ledger)
    assert (found["running"], found["gate"], found["release"], found["held"]) == (None, None, None, [])
    json.dumps(found)


def test_who_holds_the_home_is_named_only_while_it_does(home: Home, ledger: Ledger) -> None:
    with held(home, ledger, RUN_LOCK):
        running = situation.situation(home, ledger)["running"]
        assert running is not None
        assert running["pid"] == os.getpid()
    assert situation.situation(home, ledger)["running"] is None


def test_a_refusal_of_what_would_be_published_now_is_told_with_its_reasons(home: Home, ledger: Ledger) -> None:
    delivery(home, ledger, "one")
    candidate = make_candidate(home, ledger, 1.0)
    verdict = make_verdict(candidate, rule(passed=False, rows_failed=1, failing_keys=("k=1",)))
    folder = home.candidates / find_inputs(home, ledger).candidate_id
    folder.mkdir(exist_ok=True)
    (folder / VERDICT_FILE).write_bytes(verdict.to_json())
    found = situation.situation(home, ledger)["gate"]
    assert found == {"candidate_id": folder.name, "reasons": verdict.reasons()}
    assert found["reasons"]


def test_a_refusal_at_publication_is_told_as_the_gates_is(home: Home, ledger: Ledger) -> None:
    """The gate passed it, and then nobody put a name to a change: status says so until it is published."""
    delivery(home, ledger, "one")
    candidate = make_candidate(home, ledger, 1.0)
    folder = home.candidates / find_inputs(home, ledger).candidate_id
    folder.mkdir(exist_ok=True)
    (folder / VERDICT_FILE).write_bytes(make_verdict(candidate).to_json())
    assert situation.situation(home, ledger)["gate"] is None
    here = dataclasses.replace(candidate, path=folder)
    with pytest.raises(Refused), refusal_kept(here):
        raise Refused("拒绝发布：3 个数的变化超过 1%。", "请确认。")
    found = situation.situation(home, ledger)["gate"]
    assert found == {"candidate_id": folder.name, "reasons": ["拒绝发布：3 个数的变化超过 1%。 请确认。"]}
    with refusal_kept(here):
        pass
    assert situation.situation(home, ledger)["gate"] is None
