"""Alerts in the ledger: what was opened and resolved, and who has been told.

What belongs here: the state of alerts and of the ends that are told of them. What does not: what is worth an alert
(`orchestration.alerting.conditions`) and sending (`orchestration.alerting.ends`).

An alert is known by (kind, subject). It is opened once, however often it is seen again, and resolved once. Each end is
told of both, in order; one that cannot be reached is told later. Openings and ends of alerts stand in the journal;
who was told does not, for that is operation and no evidence.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from warehouse import ledger_tables as t
from warehouse.files import canonical_json, sha256_bytes
from warehouse.ledger import journaled
from warehouse.masking import mask_personal

if TYPE_CHECKING:
    from warehouse.ledger import Ledger

OPENED: Final = "opened"
RESOLVED: Final = "resolved"
# How long one who took an end's news may take to deliver them; then somebody else may try.
_CLAIM: Final = timedelta(minutes=2)
_FIRST_PAUSE: Final = timedelta(seconds=30)
_LONGEST_PAUSE: Final = timedelta(hours=1)
_LONGEST_DETAIL: Final = 1000


@dataclass(frozen=True)
class Alert:
    """Something that needs a person: its kind, what it is about (no file names, no persons), and the particulars."""

    kind: str
    subject: str
    detail_zh: str

    @property
    def key(self) -> tuple[str, str]:
        """What makes it the same alert as one seen before."""
        return self.kind, self.subject


@dataclass(frozen=True)
class News:
    """An alert that was opened or resolved: number in the journal, what happened and when (ISO instant)."""

    seq: int
    kind: str
    subject: str
    action: str
    detail_zh: str
    at: str

    @property
    def id(self) -> str:
        """A name by which a receiver recognises the same news told twice."""
        return sha256_bytes(canonical_json([self.seq, self.kind, self.subject, self.action, self.at]))[:16]


@dataclass(frozen=True)
class EndState:
    """How an end stands: how many news it has not been told, how often telling failed in a row, and why (Chinese)."""

    name: str
    untold: int
    attempts: int
    next_at: str
    error_zh: str


def update(ledger: Ledger, seen: Iterable[Alert], at: datetime, *, unknown: Collection[str] = ()) -> list[News]:
    """Open what is seen and not open, resolve what is open and not seen; returns what that changed, in order.

    Alerts of a kind in `unknown` could not be looked at now: they stay as they are. Raises Fault.
    """
    wanted = {alert.key: alert for alert in seen if alert.kind not in unknown}
    with ledger.writing() as connection:
        standing = {alert.key: alert for alert in _standing(connection)}
        found = [_append(connection, alert, OPENED, at) for key, alert in sorted(wanted.items()) if key not in standing]
        over = [alert for key, alert in sorted(standing.items()) if key not in wanted and alert.kind not in unknown]
        return found + [_append(connection, alert, RESOLVED, at) for alert in over]


def record_past(ledger: Ledger, alert: Alert, opened_at: datetime, at: datetime, told: Collection[str]) -> bool:
    """Enter an alert that was open while the ledger was away and is over now; the ends in `told` know of its opening.
    False when it was entered already. Raises Fault."""
    with ledger.writing() as connection:
        columns = t.alert.c
        known = sa.select(columns.journal_seq).where(
            columns.kind == alert.kind, columns.action == OPENED, columns.at == opened_at.isoformat()
        )
        if connection.execute(known).first() is not None:
            return False
        opened = _append(connection, alert, OPENED, opened_at)
        for name in sorted(told):
            _register(connection, name, at)
            _mark(connection, name, [opened.seq], at)
        _append(connection, alert, RESOLVED, at)
        return True


def standing(ledger: Ledger) -> list[News]:
    """The alerts that are open now, the oldest first. Raises Fault."""
    with ledger.reading() as connection:
        return [News(**_news(row)) for row in _open_rows(connection)]


def claim(ledger: Ledger, end: str, at: datetime) -> list[News]:
    """What this end has not been told, in order, for the caller alone to deliver within two minutes.

    Empty when there is nothing, when somebody else is at it, or while a pause after a failure lasts. An end that is
    new is told of what is open, not of what is long over. Raises Fault.
    """
    with ledger.writing() as connection:
        state = _register(connection, end, at)
        if _must_wait(state["next_at"], at):
            return []
        found = _untold(connection, end)
        if found:
            _set_end(connection, end, attempts=state["attempts"], next_at=(at + _CLAIM).isoformat())
        return found


def told(ledger: Ledger, end: str, news: Iterable[News], at: datetime) -> None:
    """The end has been told of these. Raises Fault."""
    with ledger.writing() as connection:
        _mark(connection, end, [one.seq for one in news], at)
        _set_end(connection, end, attempts=0, next_at="")


def not_told(ledger: Ledger, end: str, error_zh: str, at: datetime) -> None:
    """The end could not be told: try again in 30 s, 1 min, 2 min … one hour. Raises Fault."""
    with ledger.writing() as connection:
        attempts = int(_register(connection, end, at)["attempts"]) + 1
        # The exponent is bounded: an end that is away for a year must not overflow.
        doublings: int = 2 ** min(attempts - 1, 10)
        pause = min(_FIRST_PAUSE * doublings, _LONGEST_PAUSE)
        text = mask_personal(error_zh)[:_LONGEST_DETAIL]
        _set_end(connection, end, attempts=attempts, next_at=(at + pause).isoformat(), error_zh=text)


def ends(ledger: Ledger) -> list[EndState]:
    """Every end that was ever told or tried, by name. Raises Fault."""
    with ledger.reading() as connection:
        rows = connection.execute(sa.select(t.alert_end).order_by(t.alert_end.c.end_name)).mappings().all()
        return [
            EndState(
                row["end_name"],
                len(_untold(connection, row["end_name"])),
                row["attempts"],
                row["next_at"],
                row["error_zh"],
            )
            for row in rows
        ]


def count_old_marks(ledger: Ledger, before: datetime) -> int:
    """How many marks `clear_old_marks` would clear away. Raises Fault."""
    with ledger.reading() as connection:
        return sum(len(marks) for _, marks in _old_marks(connection, before).values())


def clear_old_marks(ledger: Ledger, before: datetime) -> int:
    """Clear away the marks of ends on news from before `before`, up to the first that an end has not been told: it
    counts as told of everything up to there. The alerts themselves stay. Returns how many marks went. Raises Fault."""
    with ledger.writing() as connection:
        found = _old_marks(connection, before)
        for end, (until, _) in found.items():
            connection.execute(t.alert_told_until.delete().where(t.alert_told_until.c.end_name == end))
            connection.execute(t.alert_told_until.insert().values(end_name=end, alert_seq=until))
            mine = t.alert_told.c.end_name == end
            connection.execute(t.alert_told.delete().where(mine, t.alert_told.c.alert_seq <= until))
        return sum(len(marks) for _, marks in found.values())


def _old_marks(connection: sa.Connection, before: datetime) -> dict[str, tuple[int, list[int]]]:
    """End -> up to which alert all news are old and told, and the marks that say so; ends without such are left out."""
    found: dict[str, tuple[int, list[int]]] = {}
    rows = _rows(connection)
    for end in connection.execute(sa.select(t.alert_end.c.end_name)).scalars().all():
        untold = {news.seq for news in _untold(connection, end)}
        until = 0
        for row in rows:
            if row["journal_seq"] in untold or datetime.fromisoformat(row["at"]) >= before:
                break
            until = row["journal_seq"]
        seq = t.alert_told.c.alert_seq
        marks = connection.execute(sa.select(seq).where(t.alert_told.c.end_name == end, seq <= until)).scalars().all()
        if marks:
            found[end] = (until, list(marks))
    return found


def _append(connection: sa.Connection, alert: Alert, action: str, at: datetime) -> News:
    values = {
        "kind": alert.kind,
        "subject": alert.subject,
        "action": action,
        # The last belt: nothing that looks like a person's number leaves the house.
        "detail_zh": mask_personal(alert.detail_zh)[:_LONGEST_DETAIL],
        "at": at.isoformat(),
    }
    seq = journaled(connection, "alert", values)
    connection.execute(t.alert.insert().values(**values, journal_seq=seq))
    return News(seq=seq, **values)


def _rows(connection: sa.Connection) -> list[sa.RowMapping]:
    return list(connection.execute(sa.select(t.alert).order_by(t.alert.c.journal_seq)).mappings())


def _open_rows(connection: sa.Connection) -> list[sa.RowMapping]:
    found: dict[tuple[str, str], sa.RowMapping] = {}
    for row in _rows(connection):
        found.pop((row["kind"], row["subject"]), None)
        if row["action"] == OPENED:
            found[row["kind"], row["subject"]] = row
    return list(found.values())


def _standing(connection: sa.Connection) -> list[Alert]:
    return [Alert(row["kind"], row["subject"], row["detail_zh"]) for row in _open_rows(connection)]


def _news(row: sa.RowMapping) -> dict[str, Any]:
    names = ("kind", "subject", "action", "detail_zh", "at")
    return {"seq": row["journal_seq"], **{name: row[name] for name in names}}


def _register(connection: sa.Connection, end: str, at: datetime) -> dict[str, Any]:
    """The end's row; a new end counts as told of everything but what is open now."""
    query = sa.select(t.alert_end).where(t.alert_end.c.end_name == end)
    row = connection.execute(query).mappings().first()
    if row is not None:
        return dict(row)
    values = {"end_name": end, "attempts": 0, "next_at": "", "error_zh": ""}
    connection.execute(t.alert_end.insert().values(**values))
    still_open = {row["journal_seq"] for row in _open_rows(connection)}
    over = {row["journal_seq"] for row in _rows(connection)} - still_open
    _mark(connection, end, sorted(over), at)
    return values


def _mark(connection: sa.Connection, end: str, seqs: Collection[int], at: datetime) -> None:
    known = set(connection.execute(sa.select(t.alert_told.c.alert_seq).where(t.alert_told.c.end_name == end)).scalars())
    rows = [{"end_name": end, "alert_seq": seq, "at": at.isoformat()} for seq in seqs if seq not in known]
    if rows:
        connection.execute(t.alert_told.insert(), rows)


def _untold(connection: sa.Connection, end: str) -> list[News]:
    known = sa.select(t.alert_told.c.alert_seq).where(t.alert_told.c.end_name == end)
    until = sa.select(t.alert_told_until.c.alert_seq).where(t.alert_told_until.c.end_name == end).scalar_subquery()
    seq = t.alert.c.journal_seq
    query = sa.select(t.alert).where(seq.not_in(known), seq > sa.func.coalesce(until, 0)).order_by(seq)
    return [News(**_news(row)) for row in connection.execute(query).mappings()]


def _set_end(connection: sa.Connection, end: str, *, attempts: int, next_at: str, error_zh: str | None = None) -> None:
    values: dict[str, Any] = {"attempts": attempts, "next_at": next_at}
    if error_zh is not None or attempts == 0:
        values["error_zh"] = error_zh or ""
    connection.execute(t.alert_end.update().where(t.alert_end.c.end_name == end).values(**values))


def _must_wait(next_at: str, at: datetime) -> bool:
    """Whether a pause or somebody's claim lasts. A clock that stepped back cannot make it longer than the longest."""
    return bool(next_at) and at < datetime.fromisoformat(next_at) <= at + _LONGEST_PAUSE
