"""How a home stands now, as one set of facts: what waits, runs, was refused and why, is held, is late, and the release.

What belongs here: gathering facts that other modules know, reading only. What does not: the comparison with the
calendar (`orchestration.timeliness`), the terminal (`orchestration.cli.look`).
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final

from orchestration import heartbeat
from orchestration.alerting.telling import entry
from orchestration.backup_state import backup_state
from orchestration.isolation import selection
from orchestration.steps import REFUSAL_FILE, RUN_LOCK, VERDICT_FILE, find_inputs
from orchestration.timeliness import late_feeds, release_age
from warehouse import alerts, outcomes
from warehouse.clock import now
from warehouse.lease import standing
from warehouse.ledger import Ledger
from warehouse.manifest import current
from warehouse.paths import Home
from warehouse.records import DeliveryRow
from warehouse.verdict import Verdict

_REFUSED: Final = "refused"
_SHOWN_FOR: Final = timedelta(days=14)


def situation(home: Home, ledger: Ledger) -> dict[str, Any]:
    """The facts under stable names, plain enough for JSON; texts are Chinese. Raises Fault, UsageError.

    `running`: who holds the home, or None. `gate`: why the gate refused what would be published now, or None.
    `publication`: why a passed candidate was not published. `alerts`: those open, as ends are told of them; `ends`: who
    could not be told. `heartbeat`: None where no daemon ever ran. `away`: sources that cannot be looked at. `backup`:
    None where no regular back-up was set up.
    `release`: age in seconds and since when something taken in waits to be published, or None before the first.
    """
    at = now()
    active = list(selection(home, ledger).active)
    age = release_age(current(home), active, at)
    return {
        "running": _running(ledger),
        "gate": _gate(home, ledger),
        "last_run": _last_run(ledger),
        "publication": _publication(ledger),
        "alerts": [entry(news) for news in alerts.standing(ledger)],
        "ends": [asdict(end) for end in alerts.ends(ledger)],
        "heartbeat": _heartbeat(home, at),
        "backup": _backup(home, ledger, at),
        "away": {source: asdict(why) for source, why in heartbeat.away(heartbeat.beats(home)).items()},
        "refused": [
            {"delivery_id": row.delivery_id, "feed": row.feed, "area_code": row.area_code, "period": row.period}
            for row in _refused(ledger, at)
        ],
        "held": [
            {"delivery_id": hold.delivery_id, "feed": hold.feed, "area_code": hold.area_code, "reason": hold.reason_zh}
            for hold in ledger.holds()
        ],
        "late": [
            {
                "feed": late.feed,
                "title_zh": late.title_zh,
                "period": late.period,
                "due": late.due.isoformat(),
                "expected": late.expected,
                "missing": len(late.missing),
            }
            for late in late_feeds(active, at)
        ],
        "release": None
        if age is None
        else {
            "release_id": age.release_id,
            "age_seconds": int(age.age.total_seconds()),
            "behind_since": age.behind_since.isoformat() if age.behind_since else None,
        },
    }


def _refused(ledger: Ledger, at: datetime) -> list[DeliveryRow]:
    """Deliveries that were refused and not taken back, newest first, until one for the same place came later and
    counts. One that could not be laid at a place is shown for some days: nothing ever answers it."""
    gone = {row.delivery_id for row in ledger.withdrawals() if row.withdrawn}
    standing: dict[tuple[object, ...], DeliveryRow] = {}
    for row in ledger.deliveries():
        # What has no place stands for itself.
        key = row.key if row.area_code else (row.delivery_id,)
        if row.status != _REFUSED:
            standing.pop(key, None)
        elif row.delivery_id not in gone and (row.area_code or at - row.received_at < _SHOWN_FOR):
            standing[key] = row
    return sorted(standing.values(), key=lambda row: (row.received_at, row.delivery_id), reverse=True)


def _last_run(ledger: Ledger) -> dict[str, Any] | None:
    last = outcomes.last(ledger)
    return None if last is None else asdict(last)


def _publication(ledger: Ledger) -> dict[str, Any] | None:
    """The refusal to publish changes nothing explains, until a run gets as far again."""
    decided = outcomes.last(ledger, outcomes.DECISIVE)
    if decided is None or decided.outcome != outcomes.PUBLICATION_REFUSED:
        return None
    return {"at": decided.at, "reason": decided.detail_zh}


def _heartbeat(home: Home, at: datetime) -> dict[str, Any] | None:
    """How old the daemon's last beat is, and the looks of each sensor; None when no daemon ever ran here."""
    beats = heartbeat.beats(home)
    watch = beats.get(heartbeat.WATCH_SENSOR)
    if watch is None:
        return None
    return {
        "at": watch.at,
        "age_seconds": int(watch.age(at).total_seconds()),
        "sensors": {
            name: int(beats[name].age(at).total_seconds()) if name in beats else None for name in heartbeat.expected()
        },
    }


def _backup(home: Home, ledger: Ledger, at: datetime) -> dict[str, Any] | None:
    known = backup_state(home, ledger)
    if known is None:
        return None
    age = int((at - known.since).total_seconds()) if known.good_at else None
    return {"at": known.good_at, "age_seconds": age, "failed_at": known.failed_at, "problem": known.problem_zh}


def _running(ledger: Ledger) -> dict[str, Any] | None:
    """Who holds the home by its lease."""
    lease = standing(ledger, RUN_LOCK)
    if lease is None or lease.is_free(now()):
        return None
    host = lease.owner.host.partition("/")[0]
    return {"host": host, "pid": lease.owner.pid, "since": lease.taken_at.isoformat()}


def _gate(home: Home, ledger: Ledger) -> dict[str, Any] | None:
    """The refusal of the candidate that belongs to the present inputs, by the gate or at publication (a waiver over, a
    change nobody explained, a person who shows); an older one no longer matters."""
    candidate_id = find_inputs(home, ledger).candidate_id
    folder = home.candidates / candidate_id
    if not (folder / VERDICT_FILE).is_file():
        return None
    verdict = Verdict.from_json((folder / VERDICT_FILE).read_bytes())
    if not verdict.passed:
        return {"candidate_id": candidate_id, "reasons": verdict.reasons()}
    refusal = folder / REFUSAL_FILE
    return {"candidate_id": candidate_id, "reasons": [refusal.read_text("utf-8")]} if refusal.is_file() else None
