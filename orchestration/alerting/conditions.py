"""What needs a person now: facts of the home compared with the limits.

What belongs here: one function a kind. What does not: what the kinds are called (`kinds`), state (`warehouse.alerts`),
gathering facts that others know already. Details hold no file names, no persons and no values of rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestration import heartbeat, isolation
from orchestration.alerting import kinds
from orchestration.alerting.settings import Limits
from orchestration.backup_state import backup_state
from orchestration.timeliness import late_feeds, release_age
from sources import contract
from warehouse import outcomes
from warehouse.alerts import Alert
from warehouse.clock import to_the_minute
from warehouse.errors import EduplanError, Transient
from warehouse.ledger import Ledger
from warehouse.manifest import current
from warehouse.paths import Home
from warehouse.records import WITHDRAWN, DeliveryRow

_SHOWN = 5


@dataclass(frozen=True)
class Seen:
    """What needs a person, the kinds that could not be looked at (their alerts stay as they are), and why (Chinese)."""

    alerts: tuple[Alert, ...]
    unknown: frozenset[str] = frozenset()
    problems: tuple[str, ...] = ()


def observe(home: Home, ledger: Ledger, limits: Limits, at: datetime) -> Seen:
    """Everything that needs a person at `at`. Reads only. What cannot be looked at (damaged files, a broken
    configuration) keeps nobody from seeing the rest. Raises Transient when the ledger is away."""
    signs, unknown = _signs_of_life(home, limits, at)
    looks: list[tuple[set[str], Callable[[], list[Alert]]]] = [
        ({kinds.RUN_FAILED, kinds.GATE_REFUSED, kinds.PUBLICATION_REFUSED}, lambda: _runs(ledger)),
        ({kinds.DELIVERY_HELD}, lambda: _held(ledger)),
        (
            {kinds.QUARANTINE_HIGH, kinds.FEED_LATE, kinds.RELEASE_AGEING},
            lambda: _deliveries(home, ledger, limits, at),
        ),
        ({kinds.SOURCE_AWAY}, lambda: _away(home, limits, at)),
        ({kinds.BACKUP_FAILED, kinds.BACKUP_OLD}, lambda: _backup(home, ledger, limits, at)),
    ]
    found, problems = signs, []
    for concerned, look in looks:
        try:
            found += look()
        except Transient:
            raise
        except EduplanError as error:
            unknown |= concerned
            problems.append(str(error))
    return Seen(tuple(found), unknown, tuple(problems))


def _deliveries(home: Home, ledger: Ledger, limits: Limits, at: datetime) -> list[Alert]:
    active = list(isolation.selection(home, ledger).active)
    return [*_quarantined(active, limits), *_late(active, at), *_ageing(home, active, limits, at)]


def _runs(ledger: Ledger) -> list[Alert]:
    found = []
    last = outcomes.last(ledger, {*outcomes.DECISIVE, outcomes.FAILED})
    if last is not None and last.outcome == outcomes.FAILED:
        found.append(Alert(kinds.RUN_FAILED, "", f"{to_the_minute(last.at)} 的运行没有完成：{last.detail_zh}"))
    # A run that failed on its way says nothing about a refusal: that stands until a run gets as far again.
    decided = outcomes.last(ledger, outcomes.DECISIVE)
    refusals = {outcomes.GATE_REFUSED: kinds.GATE_REFUSED, outcomes.PUBLICATION_REFUSED: kinds.PUBLICATION_REFUSED}
    if decided is not None and decided.outcome in refusals:
        found.append(Alert(refusals[decided.outcome], "", decided.detail_zh))
    return found


def _held(ledger: Ledger) -> list[Alert]:
    return [
        Alert(
            kinds.DELIVERY_HELD,
            hold.delivery_id,
            f"{_title(hold.feed)} {hold.area_code} {hold.period}，回执编号 {hold.delivery_id}：{hold.rows} 行触发"
            f"严重规则 {hold.rules}。",
        )
        for hold in ledger.holds()
    ]


def _quarantined(active: Sequence[DeliveryRow], limits: Limits) -> list[Alert]:
    """One alert a feed and year, however many deliveries are bad: a hundred bad files are one message."""
    bad: defaultdict[tuple[str, int], list[DeliveryRow]] = defaultdict(list)
    for row in active:
        if row.status != WITHDRAWN and row.rows_quarantined * 100 > limits.quarantine_percent * row.rows_in:
            bad[row.feed, row.period].append(row)
    return [
        Alert(kinds.QUARANTINE_HIGH, f"{feed}/{period}", _quarantine_detail(feed, period, rows, limits))
        for (feed, period), rows in sorted(bad.items())
    ]


def _quarantine_detail(feed: str, period: int, rows: list[DeliveryRow], limits: Limits) -> str:
    named = "；".join(
        f"{row.area_code} {row.rows_quarantined}/{row.rows_in} 行，回执编号 {row.delivery_id}" for row in rows[:_SHOWN]
    )
    more = f"；其余 {len(rows) - _SHOWN} 件用 eduplan status 查看" if len(rows) > _SHOWN else ""
    head = f"{_title(feed)} {period}：{len(rows)} 件报送件的隔离行超过 {limits.quarantine_percent:g}%"
    return f"{head}（{named}{more}）。"


def _late(active: Sequence[DeliveryRow], at: datetime) -> list[Alert]:
    return [
        Alert(
            kinds.FEED_LATE,
            f"{late.feed}/{late.period}",
            f"{late.title_zh} {late.period}：截止 {late.due}，应报 {late.expected} 件，尚缺 {len(late.missing)} 件。",
        )
        for late in late_feeds(active, at)
    ]


def _ageing(home: Home, active: Sequence[DeliveryRow], limits: Limits, at: datetime) -> list[Alert]:
    age = release_age(current(home), active, at)
    if age is None:
        oldest = min((row.received_at for row in active if row.counts), default=None)
        if oldest is None or at - oldest <= timedelta(hours=limits.behind_hours):
            return []
        return [Alert(kinds.RELEASE_AGEING, "", f"{oldest:%Y-%m-%d %H:%M} 起收取了报送件，至今尚无发布。")]
    if age.is_ageing(timedelta(hours=limits.behind_hours), at):
        told = f"当前发布 {age.release_id}；{age.behind_since:%Y-%m-%d %H:%M} 起收取的报送件至今未进入发布。"
        return [Alert(kinds.RELEASE_AGEING, "", told)]
    if limits.release_days and age.age > timedelta(days=limits.release_days):
        told = f"当前发布 {age.release_id} 已 {age.age.days} 天，超过 {limits.release_days:g} 天。"
        return [Alert(kinds.RELEASE_AGEING, "", told)]
    return []


def _signs_of_life(home: Home, limits: Limits, at: datetime) -> tuple[list[Alert], frozenset[str]]:
    """Silence of the daemon, or of single sensors under one that is alive: never both. Nothing where none ever ran."""
    beats = heartbeat.beats(home)
    watch = beats.get(heartbeat.WATCH_SENSOR)
    if watch is None:
        return [], frozenset()
    if watch.age(at) > timedelta(seconds=limits.daemon_silent_seconds):
        told = f"守护进程最后一次心跳在 {to_the_minute(watch.at)}。"
        return [Alert(kinds.DAEMON_SILENT, "", told)], frozenset({kinds.SENSOR_SILENT})
    longest = timedelta(seconds=limits.sensor_silent_seconds)
    alive_for = at - datetime.fromisoformat(watch.since)
    silent = []
    for name in heartbeat.expected():
        one = beats.get(name)
        # After a start every sensor gets as long as it would get later.
        if alive_for > longest and (one is None or one.age(at) > longest):
            last = f"最后一次检查在 {to_the_minute(one.at)}" if one is not None else "从未检查"
            silent.append(Alert(kinds.SENSOR_SILENT, name, f"传感器 {name} {last}。"))
    return silent, frozenset()


def _away(home: Home, limits: Limits, at: datetime) -> list[Alert]:
    longest = timedelta(seconds=limits.away_seconds)
    return [
        Alert(kinds.SOURCE_AWAY, source, f"来源 {source} 自 {to_the_minute(why.since)} 起无法访问：{why.problem_zh}")
        for source, why in heartbeat.away(heartbeat.beats(home)).items()
        if at - datetime.fromisoformat(why.since) >= longest
    ]


def _backup(home: Home, ledger: Ledger, limits: Limits, at: datetime) -> list[Alert]:
    """Nothing where no regular back-up was set up, and nothing before there is anything to back up."""
    known = backup_state(home, ledger)
    if known is None:
        return []
    found = []
    if known.failed_at:
        told = f"{to_the_minute(known.failed_at)} 的备份没有成功：{known.problem_zh}"
        found.append(Alert(kinds.BACKUP_FAILED, "", told))
    if at - known.since > timedelta(hours=limits.backup_hours):
        last = f"最近一次完整备份在 {to_the_minute(known.good_at)}" if known.good_at else "尚无完整备份"
        found.append(Alert(kinds.BACKUP_OLD, "", f"{last}，超过 {limits.backup_hours:g} 小时的限度。"))
    return found


def _title(feed: str) -> str:
    return contract.load(feed).info.title_zh if feed in contract.feeds() else feed
