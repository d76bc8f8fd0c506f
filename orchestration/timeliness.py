"""What should be here by now and is not, and how old the release is: facts for checks, alerts and the status page.

What belongs here: comparing the feeds' calendar and the ledger with the clock. What does not: telling anybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sources import contract
from sources.codelists import areas
from sources.contract import FeedInfo
from warehouse.clock import SHANGHAI
from warehouse.errors import UsageError
from warehouse.manifest import Release
from warehouse.records import DeliveryRow


@dataclass(frozen=True)
class LateFeed:
    """One feed and period whose due day has passed without everything being here; `missing` holds (area, part)."""

    feed: str
    title_zh: str
    period: int
    due: date
    expected: int
    missing: tuple[tuple[str, str], ...]


def due_day(info: FeedInfo, period: int) -> date | None:
    """The last day to hand in `period`; None for a feed without a calendar.

    Statistics of year t (state of 1 September) are due on the first such day after 1 September of t, money of year t
    within the year after: accounts close first.
    """
    if not info.due or info.period_kind == "any":
        return None
    month, day = (int(part) for part in info.due.split("-"))
    if info.period_kind == "fiscal_year":
        return date(period + 1, month, day)
    return date(period if month >= 9 else period + 1, month, day)


def late_feeds(active: Iterable[DeliveryRow], at: datetime) -> list[LateFeed]:
    """Feed by feed and period by period what is overdue at `at`, oldest first. A delivery that was refused is missing.

    Periods are those from the contract's first year up to the newest one due.
    """
    here = {row.key for row in active if row.counts}
    today = at.astimezone(SHANGHAI).date()
    found = []
    for feed in contract.feeds():
        info = contract.load(feed).info
        for period in _due_periods(info, today):
            expected = _expected(info, period)
            missing = [one for one in expected if not _is_here(here, feed, info, period, one)]
            due = due_day(info, period)
            if missing and due is not None:
                found.append(LateFeed(feed, info.title_zh, period, due, len(expected), tuple(missing)))
    return sorted(found, key=lambda late: (late.due, late.feed))


def newest_due(info: FeedInfo, at: datetime) -> int | None:
    """The newest period that was due before this day; None for a feed without a calendar or before its first year."""
    periods = _due_periods(info, at.astimezone(SHANGHAI).date())
    return periods[-1] if periods else None


def _due_periods(info: FeedInfo, today: date) -> list[int]:
    periods = range(info.first_year, today.year + 1)
    return [period for period in periods if (due := due_day(info, period)) is not None and due < today]


def _expected(info: FeedInfo, period: int) -> list[tuple[str, str]]:
    """(area, part) that a period needs: every area that reports, or the city as a whole."""
    if not info.per_area:
        return [("", "")]
    on = date(period, 9, 1)
    reporting = [area for area in areas().by_code.values() if area.level in {"district", "municipal"}]
    codes = {area.parent_code if area.level == "municipal" else area.code for area in reporting if area.valid(on)}
    return [(code, part) for code in sorted(codes) for part in info.parts]


def _is_here(
    here: Set[tuple[str, str, int, str]], feed: str, info: FeedInfo, period: int, one: tuple[str, str]
) -> bool:
    area, part = one
    if info.per_area:
        return (feed, area, period, part) in here
    return any(key[0] == feed and key[2] == period for key in here)


@dataclass(frozen=True)
class ReleaseAge:
    """How old the current release is, and since when something that was taken in has waited to be published."""

    release_id: str
    published_at: datetime
    age: timedelta
    behind_since: datetime | None

    def is_ageing(self, longest: timedelta, at: datetime) -> bool:
        """True when something taken in has waited for publication longer than this."""
        return self.behind_since is not None and at - self.behind_since > longest


def release_age(standing: Release | None, active: Sequence[DeliveryRow], at: datetime) -> ReleaseAge | None:
    """The age of the current release at `at`; None when there is none. Raises UsageError for an unreadable manifest."""
    if standing is None:
        return None
    try:
        published = datetime.fromisoformat(str(standing.manifest["published_at"]))
    except (KeyError, ValueError) as error:
        raise UsageError(f"发布 {standing.release_id} 的清单没有发布时间。", "请执行 eduplan verify。") from error
    used = {item["delivery_id"] for item in standing.manifest["inputs"]["deliveries"]}
    waiting = [row.received_at for row in active if row.delivery_id not in used]
    return ReleaseAge(standing.release_id, published, at - published, min(waiting, default=None))
