"""How it stands with a home's regular back-up, for the alert, the status page and the metrics alike.

What belongs here: the one look at it. What does not: limits and words (`orchestration.alerting`), the note itself
(`warehouse.backup_notes`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from warehouse import backup_notes
from warehouse.ledger import Ledger
from warehouse.paths import Home


@dataclass(frozen=True)
class BackupState:
    """`good_at` and `failed_at`: ISO instants or '' (see `Noted`); `since`: the last whole back-up, or since when there
    has been something to back up."""

    good_at: str
    failed_at: str
    problem_zh: str
    since: datetime


def backup_state(home: Home, ledger: Ledger) -> BackupState | None:
    """None where no regular back-up was set up (EDUPLAN_BACKUP_DIR), and before the ledger holds anything. Raises
    Fault."""
    dest = backup_notes.target()
    began = ledger.began_at() if dest is not None else None
    if dest is None or began is None:
        return None
    known = backup_notes.noted(home, dest)
    since = datetime.fromisoformat(known.good_at or began)
    return BackupState(known.good_at, known.failed_at, known.problem_zh, since)
