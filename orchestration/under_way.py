"""Which runs are under way on a home, and closing those whose process is gone.

What belongs here: asking the ledger's lease and Dagster's list of runs. What does not: the lease itself
(`warehouse.lease`) and the sensors that ask (`orchestration.sensors`, `orchestration.watching`).
"""

from __future__ import annotations

import time
from typing import Final

import dagster as dg

from orchestration import keys
from orchestration.resources import asked_by
from orchestration.steps import RUN_LOCK
from warehouse import outcomes
from warehouse.clock import now
from warehouse.lease import standing
from warehouse.ledger import Ledger
from warehouse.outcomes import Outcome

# A run has this long between its launch and taking the lease; importing takes seconds, a loaded machine many.
_START_SECONDS: Final = 120
_VANISHED: Final = "运行所在的进程已消失；下一次运行会从最后完整的状态继续。"

_UNDER_WAY: Final = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def under_way(instance: dg.DagsterInstance, ledger: Ledger) -> str:
    """Why no further run should be asked for now, in Chinese; '' when nobody works on this home.

    The ledger's lease says who works, a command line on another machine included. A run that was launched and has not
    taken it yet counts for two minutes, so that one which died on the way does not block the home for ever.
    """
    if reason := at_work(ledger):
        return reason
    if any(not _is_old(record) for record in _records(instance)):
        return "已发起的运行尚未开始，开始后会收取全部等待的报送件。"
    return ""


def at_work(ledger: Ledger) -> str:
    """Who works on this home now, in Chinese; '' when nobody does."""
    lease = standing(ledger, RUN_LOCK)
    if lease is None or lease.is_free(now()):
        return ""
    return f"另一次运行正在进行（进程号 {lease.owner.pid}），结束后会再次查看。"


def close_dead_runs(instance: dg.DagsterInstance, ledger: Ledger) -> list[str]:
    """Mark as failed what Dagster still shows as under way although nobody holds the home; returns the run ids."""
    if at_work(ledger):
        return []
    dead = [record.dagster_run for record in _records(instance) if _is_old(record)]
    for run in dead:
        instance.report_run_failed(run, _VANISHED)
        record_failure(ledger, run, _VANISHED)
    return [run.run_id for run in dead]


def _records(instance: dg.DagsterInstance) -> list[dg.RunRecord]:
    found = instance.get_run_records(dg.RunsFilter(job_name=keys.JOB, statuses=_UNDER_WAY), limit=50)
    return list(found)


def _is_old(record: dg.RunRecord) -> bool:
    # Both stamps are the machine's own time, whatever EDUPLAN_NOW pretends; so is the limit.
    return time.time() - record.update_timestamp.timestamp() > _START_SECONDS


def record_failure(ledger: Ledger, run: dg.DagsterRun, detail_zh: str) -> None:
    """Note that a run failed, unless it has its outcome already. Raises Fault."""
    outcomes.record(ledger, Outcome(run.run_id, now().isoformat(), asked_by(run), outcomes.FAILED, detail_zh))
