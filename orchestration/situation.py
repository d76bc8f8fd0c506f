"""How a home stands now, as one set of facts: what waits, runs, was refused and why, is held, is late, and the release.

What belongs here: gathering facts that other modules know, reading only. What does not: the comparison with the
calendar (`orchestration.timeliness`), the terminal (`orchestration.cli.look`).
"""

from __future__ import annotations

from typing import Any, Final

from orchestration.isolation import selection
from orchestration.steps import REFUSAL_FILE, RUN_LOCK, VERDICT_FILE, find_inputs
from orchestration.timeliness import late_feeds, release_age
from warehouse.clock import now
from warehouse.lease import standing
from warehouse.ledger import Ledger
from warehouse.manifest import current
from warehouse.paths import Home
from warehouse.verdict import Verdict

_REFUSED: Final = "refused"


def situation(home: Home, ledger: Ledger) -> dict[str, Any]:
    """The facts under stable names, plain enough for JSON; texts are Chinese. Raises Fault, UsageError.

    `running`: who holds the home, or None. `gate`: why the gate refused what would be published now, or None.
    `release`: age in seconds and since when something taken in waits to be published, or None before the first.
    """
    at = now()
    active = list(selection(home, ledger).active)
    age = release_age(current(home), active, at)
    return {
        "running": _running(ledger),
        "gate": _gate(home, ledger),
        "refused": [
            {"delivery_id": row.delivery_id, "feed": row.feed, "area_code": row.area_code, "period": row.period}
            for row in active
            if row.status == _REFUSED
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
