"""The sensors that ask for no run: one makes the round of alerts and beats the heart, one notes runs that failed.

What belongs here: their definitions. What does not: what is worth an alert and who is told (`orchestration.alerting`),
and the sensors that ask for runs (`orchestration.sensors`).
"""

# No postponed annotations here: Dagster reads the parameters' types.
from contextlib import closing, suppress
from typing import Final

import dagster as dg

from orchestration import heartbeat, keys
from orchestration.alerting.telling import Round, tell
from orchestration.resources import HomeResource
from orchestration.under_way import close_dead_runs, record_failure
from warehouse.errors import Refused, Transient
from warehouse.ledger import Ledger

_ROUND_SECONDS: Final = 30
_FAILURES: Final = "run_failures"


def build_watchers(home: HomeResource) -> list[dg.SensorDefinition]:
    """Both, switched on."""
    return [_watch(home), _run_failures(home)]


def _watch(home: HomeResource) -> dg.SensorDefinition:
    @dg.sensor(
        name=heartbeat.WATCH_SENSOR,
        minimum_interval_seconds=_ROUND_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "心跳与告警：每半分钟记一次心跳，查看有无需要人处理的事项，并告知各告警端（各一次）；把进程已消失的运行记为失败。\n\n"
            "Beats the heart, makes the round of alerts, closes runs whose process is gone; asks for no run."
        ),
    )
    def watch(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        place = home.home()
        if not place.root.is_dir():
            return dg.SkipReason(f"状态目录 {place.root} 尚不存在。")
        heartbeat.beat(place, heartbeat.WATCH_SENSOR)
        # A ledger that is away is told by the round itself.
        with suppress(Transient), closing(Ledger(place.ledger_url)) as ledger:
            close_dead_runs(context.instance, ledger)
        done = tell(place)
        for problem in done.problems:
            context.log.warning(problem)
        return dg.SkipReason(summary(done))

    return watch


def summary(done: Round) -> str:
    """A round in one line."""
    opened = sum(news.action == "opened" for news in done.changed)
    told = "、".join(f"{name} {count} 条" for name, count in done.told.items())
    line = f"新告警 {opened} 条，解除 {len(done.changed) - opened} 条；送达：{told or '无'}。"
    return line + (f" 未送达或出错 {len(done.problems)} 处：{done.problems[0]}" if done.problems else "")


def _run_failures(home: HomeResource) -> dg.SensorDefinition:
    @dg.run_failure_sensor(
        name=_FAILURES,
        minimum_interval_seconds=_ROUND_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "运行失败时记入台账，由告警告知；运行自己已记过的不重复。\n\n"
            "Notes failed runs in the ledger, also those whose process could not do it any more."
        ),
    )
    def run_failures(context: dg.RunFailureSensorContext) -> None:
        place = home.home()
        run = context.dagster_run
        # Other jobs (rereading, timeliness) say nothing of what is published; their failures stand in Dagster.
        if run.job_name != keys.JOB or not place.root.is_dir() or _was_refused(context.failure_event):
            return
        with closing(Ledger(place.ledger_url)) as ledger:
            record_failure(ledger, run, "运行失败，原因见 Dagster 页面与日志。")

    return run_failures


def _was_refused(failure: dg.DagsterEvent) -> bool:
    """Whether the run never began because somebody said no, as to one of two at once: that is no failure, and a refusal
    later on the way has been noted by the run itself."""
    error = failure.job_failure_data.error
    while error is not None:
        if error.cls_name == Refused.__name__:
            return True
        error = error.cause
    return False
