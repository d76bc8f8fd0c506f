"""Holds and the second judgement, without dbt: what is held, what is taken back, and who is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from orchestration import isolation, steps
from orchestration.report import RunRecord
from orchestration.steps import Workbench
from tests.support.candidate_kit import delivery, make_candidate, make_verdict, rule
from warehouse.candidate import Candidate, code_digest
from warehouse.holds import Hold, Selection, lapsed, without
from warehouse.lease import Fence, held
from warehouse.ledger import Ledger
from warehouse.paths import Home
from warehouse.verdict import Verdict


def hold(row: Any, context: str = "c") -> Hold:
    return Hold(row.delivery_id, row.feed, row.area_code, row.period, row.part, "c0", "r1", 1, context)


def test_a_hold_is_journaled_once_and_lifted_once(home: Home, ledger: Ledger) -> None:
    found = hold(delivery(home, ledger, "one"))
    ledger.record_hold(found)
    ledger.record_hold(found)
    assert ledger.holds() == [found]
    ledger.lift_hold(found, "更正件已到")
    ledger.lift_hold(found, "更正件已到")
    assert ledger.holds() == []
    assert [entry.kind for entry in ledger.journal_entries()].count("hold") == 2
    assert ledger.findings() == []


def test_the_predecessor_counts_while_a_delivery_is_held(home: Home, ledger: Ledger) -> None:
    first = delivery(home, ledger, "one")
    second = delivery(home, ledger, "two")
    assert [row.delivery_id for row in ledger.active_set()] == [second.delivery_id]
    fallback = ledger.active_set(without={second.delivery_id})
    chosen = without(ledger.active_set(), fallback, [hold(second)])
    assert [row.delivery_id for row in chosen.active] == [first.delivery_id]
    assert chosen.held_contents()[0]["replaced_by"] == first.delivery_id


def test_without_a_predecessor_a_refused_delivery_does_not_stand_in(home: Home, ledger: Ledger) -> None:
    delivery(home, ledger, "bad", status="refused", rows_accepted=0, rows_quarantined=2)
    good = delivery(home, ledger, "good")
    chosen = without(ledger.active_set(), ledger.active_set(without={good.delivery_id}), [hold(good)])
    assert chosen.active == ()
    assert chosen.held_contents()[0]["replaced_by"] is None


def test_a_newer_delivery_or_a_changed_context_ends_a_hold(home: Home, ledger: Ledger) -> None:
    row = delivery(home, ledger, "one")
    assert lapsed([hold(row)], ledger.active_set(), "c") == []
    assert [found for found, _ in lapsed([hold(row)], ledger.active_set(), "other")] == [hold(row)]
    delivery(home, ledger, "newer")
    assert [found for found, _ in lapsed([hold(row)], ledger.active_set(), "c")] == [hold(row)]


def test_held_deliveries_are_part_of_what_a_candidate_is(home: Home, ledger: Ledger) -> None:
    from warehouse.candidate import candidate_id

    row = delivery(home, ledger, "one")
    chosen = (Selection((row,)), Selection((row,), (hold(row),)))
    ids = {candidate_id(s.active, code_digest="x", held=s.held_contents()) for s in chosen}
    assert len(ids) == 2


class Trial:
    """A bench on which the gate's answers are given in order and nothing is really built."""

    def __init__(self, home: Home, ledger: Ledger, fence: Fence, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bench = Workbench(home, ledger, fence, code_digest(), RunRecord())
        delivery(home, ledger, "predecessor")
        self.candidate = make_candidate(home, ledger, 1.0)
        self.bad = ledger.active_set({"official_figures": "v1"})[0]
        self.answers: list[bool] = []
        self.builds = 0
        monkeypatch.setattr("sources.intake.contract_versions", lambda: {"official_figures": "v1"})
        monkeypatch.setattr(steps, "latest_candidate", lambda bench: self.candidate)
        monkeypatch.setattr(steps, "seal", lambda bench: self.candidate)
        monkeypatch.setattr(steps, "judge", self.judge)

    def judge(self, bench: Workbench) -> Verdict:
        passed = self.answers.pop(0)
        failing = rule(passed=passed, rows_failed=0 if passed else 1, failing_keys=() if passed else ("k=1",))
        bench.record.verdict = make_verdict(self.candidate, failing)
        return bench.record.verdict

    def build_again(self, bench: Workbench) -> None:
        self.builds += 1

    def run(self, *answers: bool) -> Verdict:
        self.answers = list(answers)
        return steps.judge_with_isolation(self.bench, self.build_again)


@pytest.fixture
def trial(home: Home, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trial]:
    with held(home, ledger, steps.RUN_LOCK) as fence:
        yield Trial(home, ledger, fence, monkeypatch)


def blame(monkeypatch: pytest.MonkeyPatch, *ids: str) -> None:
    from expectations.attribution import Attribution

    found = Attribution({name: {"r1": 1} for name in ids}, ())
    answer: Callable[[object, Verdict], Attribution] = lambda database, verdict: found  # noqa: E731 - one word for it
    monkeypatch.setattr("expectations.attribution.attribute", answer)


def test_a_failure_of_one_delivery_is_judged_once_more_without_it(
    trial: Trial, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    blame(monkeypatch, trial.bad.delivery_id)
    assert trial.run(False, True).passed
    assert trial.builds == 1
    assert [found.delivery_id for found in ledger.holds()] == [trial.bad.delivery_id]
    notices = list((trial.bench.home.receipts / "official_figures").glob("*.held.json"))
    assert [path.name for path in notices] == [f"{trial.bad.delivery_id}.held.json"]


def test_what_belongs_to_no_delivery_refuses_and_holds_nobody(
    trial: Trial, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    blame(monkeypatch)
    assert not trial.run(False).passed
    assert (trial.builds, ledger.holds()) == (0, [])


def test_a_hold_that_did_not_help_is_taken_back(trial: Trial, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    blame(monkeypatch, trial.bad.delivery_id)
    assert not trial.run(False, False).passed
    assert (trial.builds, ledger.holds()) == (1, [])
    told = [entry.payload for entry in ledger.journal_entries() if entry.kind == "hold"]
    assert len(told) == 2
    assert isolation.DID_NOT_HELP_ZH in told[1]


def test_a_build_that_breaks_leaves_nobody_held(trial: Trial, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    blame(monkeypatch, trial.bad.delivery_id)

    def broken(bench: Workbench) -> None:
        raise OSError("disk full")

    trial.answers = [False]
    with pytest.raises(OSError, match="disk full"):
        steps.judge_with_isolation(trial.bench, broken)
    assert ledger.holds() == []


def test_the_candidate_used_here_is_real(trial: Trial) -> None:
    assert isinstance(trial.candidate, Candidate)


def test_the_report_of_one_verdict_is_made_once(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    import expectations

    made: list[str] = []

    def counted(candidate: Candidate, verdict: Verdict, context: object) -> bytes:
        made.append(verdict.digest())
        return f"{len(made)}".encode()

    monkeypatch.setattr(expectations, "render_report", counted)
    verdict = make_verdict(trial.candidate)
    pages = [steps.auditors_report(trial.bench, trial.candidate, verdict) for _ in range(2)]
    assert pages == [b"1", b"1"]
    later = make_verdict(trial.candidate, judged_at="2025-09-30T11:00:00+08:00")
    assert steps.auditors_report(trial.bench, trial.candidate, later) == b"2"
    assert made == [verdict.digest(), later.digest()]
