"""Clearing away under the retention policy: the home's state, notes of operation in its ledger, Dagster's history.

What belongs here: who must be left alone, in which order, and the history of runs. What does not: which files go
(`warehouse.retention`) and when (`orchestration.schedules`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from orchestration.steps import find_inputs
from warehouse import alerts, outcomes, retention
from warehouse.clock import now
from warehouse.ledger import Ledger
from warehouse.paths import Home
from warehouse.pruned import OUTCOMES, RUNS, TOLD, Pruned
from warehouse.retention_policy import Policy, policy_of

if TYPE_CHECKING:
    from dagster import DagsterInstance, RunRecord

KIND_ZH: Final = {
    "release": "发布的数据",
    "candidate": "候选",
    "records": "记录文件",
    "original": "原件",
    "runs": "运行历史",
    "outcomes": "运行结果",
    "told": "告警送达标记",
}


@dataclass(frozen=True)
class Pruning:
    """What was cleared away, or (`dry_run`) what would be."""

    dry_run: bool
    entries: tuple[Pruned, ...]


def prune(
    home: Home, instance: DagsterInstance | None, *, person: str, dry_run: bool = False, wait: float = 0.0
) -> Pruning:
    """Apply the home's policy. `instance` None leaves Dagster's history alone; `wait`: seconds to wait for a run.

    Raises Refused when a run, a publication or a back-up is under way for longer than that, UsageError for a policy
    that cannot be read, Fault, OSError.
    """
    policy = policy_of(home)
    with closing(Ledger(home.ledger_url)) as ledger:
        if dry_run:
            going = retention.doomed(home, ledger, policy, _wanted(home, ledger))
            at = now().isoformat(timespec="seconds")
            told = [Pruned(item.kind, item.name, item.rule, person, at, *item.size()) for item in going]
            told += [_notes_entry(notes, notes.count(ledger), person) for notes in _notes(policy)]
            old = _old_runs(instance, policy) if instance is not None else []
            told += _runs_entry(old, policy, person)
            return Pruning(dry_run=True, entries=tuple(item for item in told if item.files))
        with retention.alone(home, ledger, wait=wait) as fences:
            going = retention.doomed(home, ledger, policy, _wanted(home, ledger))
            gone = retention.clear(home, ledger, going, person=person, fences=fences)
        gone += [entry for notes in _notes(policy) for entry in _clear_notes(ledger, notes, person)]
        runs = _clear_runs(instance, ledger, policy, person) if instance is not None else []
    return Pruning(dry_run=False, entries=(*gone, *runs))


def _wanted(home: Home, ledger: Ledger) -> set[str]:
    """The candidate a run would publish now: when the gate refused it, its verdict keeps it from being built again."""
    return {find_inputs(home, ledger).candidate_id}


# -- notes of operation in the ledger ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Notes:
    """Rows of the ledger that are no evidence and in no journal: what they are, by which rule (Chinese) they go, how
    many would go, and the clearing itself."""

    kind: str
    rule: str
    count: Callable[[Ledger], int]
    clear: Callable[[Ledger], int]


def _notes(policy: Policy) -> list[_Notes]:
    runs, told = policy.outcomes, policy.told
    old_run, old_mark = (now() - timedelta(days=rule.keep_days) for rule in (runs, told))
    return [
        _Notes(
            OUTCOMES,
            f"保留最近 {runs.keep_last} 次、{runs.keep_days} 天以内及每种最后一次的运行结果",
            lambda ledger: outcomes.count_old(ledger, runs.keep_last, old_run),
            lambda ledger: outcomes.clear_old(ledger, runs.keep_last, old_run),
        ),
        _Notes(
            TOLD,
            f"保留 {told.keep_days} 天以内的告警送达标记",
            lambda ledger: alerts.count_old_marks(ledger, old_mark),
            lambda ledger: alerts.clear_old_marks(ledger, old_mark),
        ),
    ]


def _notes_entry(notes: _Notes, number: int, person: str) -> Pruned:
    at = now().isoformat(timespec="seconds")
    return Pruned(notes.kind, at, notes.rule, person, at, number, 0)


def _clear_notes(ledger: Ledger, notes: _Notes, person: str) -> list[Pruned]:
    entry = _notes_entry(notes, notes.count(ledger), person)
    if not entry.files:
        return []
    ledger.record_pruned([entry])
    notes.clear(ledger)
    return [entry]


# -- Dagster's history ------------------------------------------------------------------------------------------------


def _old_runs(instance: DagsterInstance, policy: Policy) -> list[RunRecord]:
    """Ended runs beyond the newest ones and older than the policy keeps, newest first."""
    from dagster import DagsterRunStatus, RunsFilter

    ended = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]
    before = now() - timedelta(days=policy.runs.keep_days)
    found = instance.get_run_records(RunsFilter(statuses=ended))
    return [record for record in found[policy.runs.keep_last :] if record.create_timestamp < before]


def _runs_entry(old: list[RunRecord], policy: Policy, person: str) -> list[Pruned]:
    if not old:
        return []
    at = now().isoformat(timespec="seconds")
    rule = f"保留最近 {policy.runs.keep_last} 次、{policy.runs.keep_days} 天以内的运行"
    return [Pruned(RUNS, at, rule, person, at, len(old), 0)]


def _clear_runs(instance: DagsterInstance, ledger: Ledger, policy: Policy, person: str) -> list[Pruned]:
    old = _old_runs(instance, policy)
    entries = _runs_entry(old, policy, person)
    if entries:
        ledger.record_pruned(entries)
    for record in old:
        run_id = record.dagster_run.run_id
        # What steps printed is kept apart from the run and would outlive it.
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        instance.delete_run(run_id)
    return entries
