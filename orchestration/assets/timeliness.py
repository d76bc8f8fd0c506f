"""Asset checks on time: is every feed here that was due, and does the release hold what was taken in?

What belongs here: the checks as Dagster shows them. What does not: the comparison (`orchestration.timeliness`).
"""

# No postponed annotations here: Dagster reads the parameters' types.
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Final

import dagster as dg

from orchestration import keys
from orchestration.resources import HomeResource
from orchestration.timeliness import LateFeed, late_feeds, release_age
from sources import contract
from sources.intake import contract_versions
from warehouse.clock import now
from warehouse.ledger import Ledger
from warehouse.manifest import current
from warehouse.paths import Home
from warehouse.records import DeliveryRow

ON_TIME: Final = "on_time"
UP_TO_DATE: Final = "up_to_date"
# What was taken in longer ago than this should have been published.
LONGEST_WAIT: Final = timedelta(hours=6)
_SHOWN: Final = 20


def build_timeliness_checks() -> dg.AssetChecksDefinition:
    """One check a feed with a calendar, and one on the release. They read only; nothing waits for them."""
    feeds = [feed for feed in contract.feeds() if contract.load(feed).info.due]
    specs = [
        dg.AssetCheckSpec(
            ON_TIME,
            asset=keys.records_key(feed),
            description=f"{contract.load(feed).info.title_zh}：应报的是否都已按期收到。Is all here that was due?",
        )
        for feed in feeds
    ]
    specs.append(
        dg.AssetCheckSpec(
            UP_TO_DATE,
            asset=keys.RELEASE,
            description="已收取的报送件是否都已进入当前发布。Does the release hold what was taken in?",
        )
    )

    @dg.multi_asset_check(name="timeliness", specs=specs, can_subset=True)
    def timeliness(context: dg.AssetCheckExecutionContext, home: HomeResource) -> Iterator[dg.AssetCheckResult]:
        wanted = {check.asset_key for check in context.selected_asset_check_keys}
        place = home.home().ensure()
        with closing(Ledger(place.ledger_url)) as ledger:
            active = ledger.active_set(contract_versions())
        late = late_feeds(active, now())
        for feed in feeds:
            if keys.records_key(feed) in wanted:
                yield _on_time(feed, [one for one in late if one.feed == feed])
        if keys.RELEASE in wanted:
            yield _up_to_date(place, active)

    return timeliness


def _on_time(feed: str, late: list[LateFeed]) -> dg.AssetCheckResult:
    missing = sum(len(one.missing) for one in late)
    return dg.AssetCheckResult(
        asset_key=keys.records_key(feed),
        check_name=ON_TIME,
        passed=not late,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"逾期未报 {missing} 件，涉及 {len(late)} 个年度" if late else "应报的都已收到",
        metadata={
            f"late/{one.period}": f"截止 {one.due}，应报 {one.expected}，缺 {len(one.missing)}："
            + "、".join(" ".join(part for part in place if part) for place in one.missing[:_SHOWN])
            for one in late
        },
    )


def _up_to_date(home: Home, active: list[DeliveryRow]) -> dg.AssetCheckResult:
    at = now()
    age = release_age(current(home), active, at)
    good = not active if age is None else not age.is_ageing(LONGEST_WAIT, at)
    told = "尚无发布" if age is None else f"当前发布 {age.release_id}，已 {age.age.days} 天"
    if age is not None and age.behind_since is not None:
        told += f"；{age.behind_since:%Y-%m-%d %H:%M} 起收取的报送件尚未发布"
    return dg.AssetCheckResult(
        asset_key=keys.RELEASE,
        check_name=UP_TO_DATE,
        passed=good,
        severity=dg.AssetCheckSeverity.WARN,
        description=told,
    )
