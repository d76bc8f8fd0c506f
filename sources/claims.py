"""Who may hand in what: a sender against the area in a file, two senders of one key, a period that has not come.

What belongs here: what can only be judged beside other deliveries, sender or day of receipt. What does not: what
a file says of itself (`sources.parsers`) and which delivery counts in the end (`warehouse.ledger`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime
from typing import Final, Literal

from sources.codelists import CITY, areas
from sources.findings import Finding, mask
from sources.reading import Outcome
from warehouse.clock import SHANGHAI
from warehouse.records import DeliveryRow

FOREIGN_SENDER: Final = "intake.foreign_sender"
RIVAL_SENDERS: Final = "intake.rival_senders"
PERIOD_AHEAD: Final = "intake.period_ahead"

PeriodKind = Literal["stat_year", "fiscal_year", "any"]
_Key = tuple[str, str, int, str]


class Claims:
    """What the ledger knows of senders when an intake begins, and what the intake adds to it."""

    def __init__(self, deliveries: Iterable[DeliveryRow]) -> None:
        self._senders: dict[_Key, dict[str, str]] = {}
        for row in deliveries:
            self.add(row)

    def add(self, row: DeliveryRow) -> None:
        """Remember who handed in a delivery that was taken in."""
        if row.counts and row.submitter:
            self._senders.setdefault(row.key, {})[row.delivery_id] = row.submitter

    def judge(
        self,
        outcome: Outcome,
        *,
        feed: str,
        delivery_id: str,
        submitter: str,
        received_at: datetime,
        period_kind: PeriodKind,
    ) -> Outcome:
        """The outcome with what sender, rivals and calendar add to it; a foreign sender's delivery is refused."""
        if outcome.status == "refused":
            return outcome
        foreign = _foreign(outcome, submitter)
        if foreign is not None:
            # Nobody's key: a forged sender must not even show up as the other office's refused delivery.
            return replace(
                outcome,
                status="refused",
                area_code="",
                rows_accepted=0,
                rows_quarantined=outcome.rows_in,
                tables={},
                findings=(*outcome.findings, foreign),
            )
        key = (feed, outcome.area_code, outcome.period, outcome.part)
        notices = (
            _ahead(outcome.period, received_at, period_kind),
            _rivals(self._senders.get(key, {}), delivery_id, submitter),
        )
        found = tuple(notice for notice in notices if notice is not None)
        return replace(outcome, findings=(*outcome.findings, *found)) if found else outcome


def _foreign(outcome: Outcome, submitter: str) -> Finding | None:
    """A folder named after a district holds that district's files; other folders may hold any."""
    known = areas()
    # Folders outlive years: a name is looked up as of the delivery's year, or of today's areas for period 0.
    year = outcome.period or date.max.year
    sender = next((area for part in submitter.split("/") if (area := known.find(part, year))), None)
    home = known.reporting(sender) if sender else None
    if home is None or home in {CITY, outcome.area_code}:
        return None
    return _finding(
        FOREIGN_SENDER,
        "refusal",
        f"报送目录属于{known.name(home)}，而文件内容是{known.name(outcome.area_code)}的数据，本件未计入统计。",
        "请确认是否放错了目录或报错了区县；如代报，请由市教委目录报送。",
    )


def _rivals(senders: dict[str, str], delivery_id: str, submitter: str) -> Finding | None:
    others = sorted({other for known, other in senders.items() if known != delivery_id and other != submitter})
    if not others or not submitter:
        return None
    shown = "、".join(mask(other) for other in others)
    return _finding(
        RIVAL_SENDERS,
        "notice",
        f"同一区县同一年度的这份报表，“{shown}”也报送过；以填报日期较新（未写日期的以后到）的一件为准。",
        "请两家核对由谁报送；不应由本单位报送的，请联系系统维护人员撤回。",
    )


def _ahead(period: int, received_at: datetime, kind: PeriodKind) -> Finding | None:
    if kind == "any" or period == 0:
        return None
    begins = date(period, 9 if kind == "stat_year" else 1, 1)
    if received_at.astimezone(SHANGHAI).date() >= begins:
        return None
    return _finding(
        PERIOD_AHEAD,
        "notice",
        f"本件的统计时点（{begins.isoformat()}）晚于收到日期，已按 {period} 年度登记，不影响其他年度。",
        "请核对标题或“年度”列中的年份；年份有误请更正后重报。",
    )


def _finding(rule_id: str, severity: str, message_zh: str, remedy_zh: str) -> Finding:
    return Finding(
        member="",
        sheet="",
        row_no=None,
        column_name=None,
        cell=None,
        rule_id=rule_id,
        severity=severity,
        message_zh=message_zh,
        remedy_zh=remedy_zh,
        masked_value=None,
    )
