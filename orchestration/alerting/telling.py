"""One round: see what needs a person, enter what changed into the ledger, tell every end what it does not know yet.

What belongs here: the order of these steps, the words of a message, and what happens while the ledger itself is away.
What does not: what is worth an alert (`conditions`), sending (`ends`), state (`warehouse.alerts`).

A round may be made by anybody at any time: the daemon's sensor `watch` every half minute, `eduplan run` at its end,
`eduplan status --check`. Two at once do not tell anything twice: an end's news are claimed in the ledger.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from orchestration.alerting import kinds
from orchestration.alerting.conditions import observe
from orchestration.alerting.ends import Message, Sender, ping, senders
from orchestration.alerting.settings import load
from warehouse import alerts
from warehouse.alerts import OPENED, Alert, News
from warehouse.clock import now, to_the_minute
from warehouse.errors import EduplanError, Fault, Transient
from warehouse.files import canonical_json, pretty_json, sha256_bytes, write_atomic
from warehouse.ledger import Ledger
from warehouse.paths import Home

# One message names so many alerts in words; all of them stand in its entries.
_SHOWN: Final = 20


@dataclass
class Round:
    """What a round did: what changed, how many news each end was told, and what went wrong with whom (Chinese)."""

    changed: list[News] = field(default_factory=list)
    told: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def tell(home: Home) -> Round:
    """One round. A ledger that is away is an alert of its own and no error. Raises UsageError for bad settings, Fault
    for damage that a round cannot pass over."""
    settings = load(home)
    at = now()
    done = Round()
    outlets = senders(home, settings)
    try:
        with closing(Ledger(home.ledger_url)) as ledger:
            _enter_absence(home, ledger, at)
            seen = observe(home, ledger, settings.limits, at)
            done.problems += seen.problems
            done.changed = alerts.update(ledger, seen.alerts, at, unknown=seen.unknown)
            for outlet in outlets:
                _tell_end(ledger, outlet, at, done)
    except Transient as error:
        done.problems.append(str(error))
        _ledger_is_away(home, outlets, timedelta(seconds=settings.limits.away_seconds), at, done)
    try:
        ping(settings)
    except EduplanError as error:
        done.problems.append(str(error))
    return done


def _tell_end(ledger: Ledger, outlet: Sender, at: datetime, done: Round) -> None:
    news = alerts.claim(ledger, outlet.name, at)
    if not news:
        return
    try:
        outlet.send(compose(news))
    except EduplanError as error:
        alerts.not_told(ledger, outlet.name, str(error), at)
        done.problems.append(str(error))
    else:
        alerts.told(ledger, outlet.name, news, at)
        done.told[outlet.name] = len(news)


# -- words ------------------------------------------------------------------------------------------------------------


def entry(news: News) -> dict[str, Any]:
    """One alert for machines, with what to do and where its page is."""
    kind = kinds.KINDS[news.kind]
    return {
        "id": news.id,
        "at": news.at,
        "action": news.action,
        "kind": news.kind,
        "subject": news.subject,
        "severity": "critical" if kind.critical else "warning",
        "title_zh": kind.title_zh,
        "detail_zh": news.detail_zh,
        "remedy_zh": kind.remedy_zh if news.action == OPENED else "已恢复，无需处理。",
        "runbook": kinds.runbook(news.kind),
    }


def compose(news: Sequence[News]) -> Message:
    """All news for an end as one message: a hundred late feeds are one e-mail. What opened stands first."""
    ordered = sorted(news, key=lambda one: (one.action != OPENED, not kinds.KINDS[one.kind].critical, one.seq))
    entries = tuple(entry(one) for one in ordered)
    opened = sum(one.action == OPENED for one in news)
    first = entries[0]
    mark = "告警" if opened else "恢复"
    more = f"等 {len(entries)} 条" if len(entries) > 1 else ""
    lines = [_line(one) for one in entries[:_SHOWN]]
    if len(entries) > _SHOWN:
        lines.append(f"其余 {len(entries) - _SHOWN} 条请执行 eduplan alerts 查看。")
    identity = sha256_bytes(canonical_json([one["id"] for one in entries]))[:16]
    return Message(identity, f"【eduplan {mark}】{first['title_zh']}{more}", "\n\n".join(lines), entries)


def _line(one: dict[str, Any]) -> str:
    at = to_the_minute(one["at"])
    if one["action"] != OPENED:
        return f"✓ 已恢复：{one['title_zh']}（{at}）\n{one['detail_zh']}"
    page = f"处置手册：{one['runbook']}"
    return f"✗ {one['title_zh']}（{at}）\n{one['detail_zh']}\n怎么办：{one['remedy_zh']}\n{page}"


# -- while the ledger is away -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Absence:
    """The ledger's absence as a file keeps it: since when, and which ends know of it."""

    since: str
    told: tuple[str, ...] = ()


def _absence_file(home: Home) -> Path:
    return home.root / "alerts" / "ledger_away.json"


def _read_absence(home: Home) -> Absence | None:
    try:
        content = json.loads(_absence_file(home).read_bytes())
        datetime.fromisoformat(content["since"])
        return Absence(content["since"], tuple(content["told"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _ledger_is_away(home: Home, outlets: Sequence[Sender], longest: timedelta, at: datetime, done: Round) -> None:
    """Without a ledger nothing can be entered: the ends are told directly, each once, and a file remembers which."""
    absence = _read_absence(home) or Absence(at.isoformat())
    told = set(absence.told)
    if at - datetime.fromisoformat(absence.since) >= longest:
        message = compose([_absence_news(absence)])
        for outlet in outlets:
            if outlet.name in told:
                continue
            try:
                outlet.send(message)
            except EduplanError as error:
                done.problems.append(str(error))
            else:
                told.add(outlet.name)
                done.told[outlet.name] = 1
    content = {"since": absence.since, "told": sorted(told)}
    try:
        write_atomic(_absence_file(home), pretty_json(content))
    except OSError as error:
        raise Fault(f"告警状态写不进：{error.strerror}。", "请检查磁盘空间与权限。") from error


def _absence_news(absence: Absence) -> News:
    alert = _absence_alert(absence)
    return News(0, alert.kind, alert.subject, OPENED, alert.detail_zh, absence.since)


def _absence_alert(absence: Absence) -> Alert:
    return Alert(
        kinds.LEDGER_AWAY,
        "",
        f"台账数据库自 {absence.since[:16].replace('T', ' ')} 起无法访问；期间不收取、不发布，不丢失。",
    )


def _enter_absence(home: Home, ledger: Ledger, at: datetime) -> None:
    """The ledger is back: enter its absence, if anybody was told of it, so that they are told of its end."""
    absence = _read_absence(home)
    if absence is None:
        return
    if absence.told:
        since = datetime.fromisoformat(absence.since)
        alerts.record_past(ledger, _absence_alert(absence), since, at, absence.told)
    _absence_file(home).unlink(missing_ok=True)
