"""Who may hand in what: a sender against the area in a file, two senders of one key, a period that has not come, a
single school's workbook beside its district's delivery.

What belongs here: what can only be judged beside other deliveries, sender or day of receipt. What does not: what
a file says of itself (`sources.parsers`) and which delivery counts in the end (`warehouse.ledger`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Final, Literal

import pyarrow.parquet as pq

from sources.codelists import CITY, areas
from sources.findings import Finding, mask
from sources.reading import Outcome
from warehouse.clock import SHANGHAI
from warehouse.ledger import select_active
from warehouse.records import DeliveryRow

FOREIGN_SENDER: Final = "intake.foreign_sender"
RIVAL_SENDERS: Final = "intake.rival_senders"
PERIOD_AHEAD: Final = "intake.period_ahead"
SCHOOL_ALONE: Final = "intake.school_alone"
SCHOOL_UNLISTED: Final = "intake.school_unlisted"
SCHOOL_OLDER: Final = "intake.school_older"
SCHOOL_REPLACES: Final = "intake.school_replaces"
SCHOOLS_STAND: Final = "intake.schools_stand"
# The record table that names the schools of a district's delivery.
_SCHOOL_TABLE: Final = "school_census__school"
_SHOWN: Final = 20

PeriodKind = Literal["stat_year", "fiscal_year", "any"]
_Key = tuple[str, str, int, str]


@dataclass(frozen=True)
class Sent:
    """A delivery from outside: its feed and id, who sent it and when it was received."""

    feed: str
    delivery_id: str
    submitter: str
    received_at: datetime


class Claims:
    """What the ledger knows when an intake begins, and what the intake adds to it. `root`: where the paths of record
    tables begin; `withdrawn`: deliveries that were taken back."""

    def __init__(
        self, deliveries: Iterable[DeliveryRow], *, root: Path = Path(), withdrawn: Collection[str] = ()
    ) -> None:
        self._root, self._withdrawn = root, frozenset(withdrawn)
        self._senders: dict[_Key, dict[str, str]] = {}
        self._beside: dict[tuple[str, str, int], dict[str, DeliveryRow]] = {}
        for row in deliveries:
            self.add(row)

    def add(self, row: DeliveryRow) -> None:
        """Remember a delivery that was taken in, and who handed it in."""
        if not row.counts:
            return
        self._beside.setdefault((row.feed, row.area_code, row.period), {})[row.delivery_id] = row
        if row.submitter:
            self._senders.setdefault(row.key, {})[row.delivery_id] = row.submitter

    def judge(self, outcome: Outcome, sent: Sent, period_kind: PeriodKind) -> Outcome:
        """The outcome with what sender, rivals, calendar and the district's or its schools' other deliveries add to it;
        a foreign sender's delivery is refused."""
        if outcome.status == "refused":
            return outcome
        foreign = _foreign(outcome, sent.submitter)
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
        key = (sent.feed, outcome.area_code, outcome.period, outcome.part)
        notices = (
            _ahead(outcome.period, sent.received_at, period_kind),
            _rivals(self._senders.get(key, {}), sent.delivery_id, sent.submitter),
            *self._schools(outcome, sent),
        )
        found = tuple(notice for notice in notices if notice is not None)
        return replace(outcome, findings=(*outcome.findings, *found)) if found else outcome

    def _schools(self, outcome: Outcome, sent: Sent) -> Iterator[Finding]:
        """How a single school's delivery and its district's stand to each other."""
        known = self._beside.get((sent.feed, outcome.area_code, outcome.period), {})
        row = _as_row(outcome, sent)
        standing = select_active({**known, sent.delivery_id: row}.values(), self._withdrawn)
        if row.school_code is not None:
            district = next((other for other in standing if other.key == row.lies_over), None)
            yield from self._single(row, district, stands=row in standing)
            return
        over = [other.school_code for other in standing if other.lies_over == row.key and row in standing]
        if over:
            shown = "、".join(str(code) for code in over[:_SHOWN]) + ("等" if len(over) > _SHOWN else "")
            yield _finding(
                SCHOOLS_STAND,
                "notice",
                f"本件中有 {len(over)} 所学校另有较新的单校报表（{shown}），这些学校以单校报表为准。",
                "如应以本件为准，请写明较新的填报日期后整体重报，或请系统维护人员撤回单校报表。",
            )

    def _single(self, row: DeliveryRow, district: DeliveryRow | None, *, stands: bool) -> Iterator[Finding]:
        if district is None:
            yield _finding(
                SCHOOL_ALONE,
                "notice",
                f"这是一所学校（{row.school_code}）的报表，本区县本年度尚无成套报送；先计入这一所，区县仍按应报未报列示。",
                "请区县汇总报送全部学校（.zip 或一览表）；成套报送到达后，以填报日期较新的一件为准。",
            )
        elif not stands:
            yield _finding(
                SCHOOL_OLDER,
                "notice",
                f"本区县的成套报送（{district.delivery_id}）比这所学校（{row.school_code}）的报表新，以成套报送为准，本件暂不采用。",
                "如应以本件为准，请写明较新的填报日期后重报。",
            )
        elif row.school_code not in self._school_codes(district):
            yield _finding(
                SCHOOL_UNLISTED,
                "notice",
                f"本区县的成套报送（{district.delivery_id}）中没有这所学校（{row.school_code}），已作为新增学校计入。",
                "请核对学校标识码和属地；学校属于本区县的，请在成套报送中补上。",
            )
        else:
            yield _finding(
                SCHOOL_REPLACES,
                "notice",
                f"已用本件替换本区县成套报送（{district.delivery_id}）中这所学校（{row.school_code}）的全部数据，其他学校不变。",
                "无需处理；以后的成套报送填报日期不早于本件时，以成套报送为准。",
            )

    def _school_codes(self, district: DeliveryRow) -> set[str]:
        path = self._root / district.tables[_SCHOOL_TABLE]
        return {str(code) for code in pq.read_table(path, columns=["school_code"])["school_code"].to_pylist()}


def _as_row(outcome: Outcome, sent: Sent) -> DeliveryRow:
    """The delivery as it will stand beside others, without its bytes and tables."""
    return DeliveryRow(
        delivery_id=sent.delivery_id,
        feed=sent.feed,
        area_code=outcome.area_code,
        period=outcome.period,
        part=outcome.part,
        sha256="",
        file_name="",
        submitter=sent.submitter,
        reported_on=outcome.reported_on,
        received_at=sent.received_at,
        status=outcome.status,
        rows_in=outcome.rows_in,
        rows_accepted=outcome.rows_accepted,
        rows_quarantined=outcome.rows_quarantined,
        contract_version="",
    )


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
