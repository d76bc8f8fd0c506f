"""The calendar: the daily full comparison, the daily look at who is late, and the day after each feed is due.

What belongs here: when. What does not: what is due (contracts) and what a run does.
"""

from __future__ import annotations

from datetime import date, timedelta

import dagster as dg

from orchestration import keys
from sources import contract
from sources.contract import FeedInfo

ZONE = "Asia/Shanghai"
# Any leap year: only month and day of what follows a due day are wanted.
_SOME_YEAR = 2024


def build_schedules() -> list[dg.ScheduleDefinition]:
    """All schedules, switched on, in the time of the city."""
    return [
        _schedule(
            keys.FULL_COMPARISON,
            keys.JOB,
            "30 2 * * *",
            "每天一次完整比对：重新查看所有来源，逐组重读数据库，收取事件遗漏的报送件；没有变化则不构建。\n\n"
            "Once a day everything is looked at as if nothing had been announced, and databases are read whole."
            " Catches what events missed.",
        ),
        _schedule(
            "timeliness_daily",
            keys.TIMELINESS_JOB,
            "0 8 * * *",
            "每天检查各类报送是否逾期、发布是否滞后。\n\nWho is late, and is the release behind?",
        ),
        _schedule(
            "retention_weekly",
            keys.RETENTION_JOB,
            "30 4 * * 0",
            "每周日按留存规则清理一次，并记入台账；有运行时等待其结束。\n\n"
            "Once a week, what the retention policy no longer keeps is cleared away and entered in the ledger.",
        ),
        *(_deadline(feed) for feed in contract.feeds() if contract.load(feed).info.due),
    ]


def _deadline(feed: str) -> dg.ScheduleDefinition:
    info: FeedInfo = contract.load(feed).info
    month, day = (int(part) for part in info.due.split("-"))
    after = date(_SOME_YEAR, month, day) + timedelta(days=1)
    return _schedule(
        f"{feed}_due",
        keys.JOB,
        f"0 7 {after.day} {after.month} *",
        f"{info.title_zh}截止（{month} 月 {day} 日）的次日早晨汇总发布，覆盖情况表列出尚缺的区县。\n\n"
        f"The morning after `{feed}` is due: what came is published, what is missing stands in the coverage mart.",
    )


def _schedule(name: str, job: str, cron: str, description: str) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name=name,
        job_name=job,
        cron_schedule=cron,
        execution_timezone=ZONE,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=description,
        tags={keys.SCHEDULE_TAG: name},
    )
