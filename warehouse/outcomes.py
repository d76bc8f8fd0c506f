"""How runs ended: one row a run, so that a person, an alert and a metric say the same of the last one.

What belongs here: recording and reading outcomes. What does not: deciding what an outcome was (`orchestration.report`),
and telling anybody (`orchestration.alerting`). Operation, not evidence: no journal entry is made.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from warehouse import ledger_tables as t

if TYPE_CHECKING:
    from warehouse.ledger import Ledger

RELEASED: Final = "released"
UNCHANGED: Final = "unchanged"
GATE_REFUSED: Final = "gate_refused"
PUBLICATION_REFUSED: Final = "publication_refused"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"
# Those that say something of what would be published now; a run that failed or was cancelled did not get that far.
DECISIVE: Final = (RELEASED, UNCHANGED, GATE_REFUSED, PUBLICATION_REFUSED)
OUTCOMES: Final = (*DECISIVE, FAILED, CANCELLED)


@dataclass(frozen=True)
class Outcome:
    """How one run ended. `at` is an ISO instant, `seconds` how long its stations took, `asked_by` a sensor's or
    schedule's name or `manual`; `detail_zh` holds no personal data."""

    run_id: str
    at: str
    asked_by: str
    outcome: str
    detail_zh: str = ""
    release_id: str = ""
    seconds: float = 0.0


def record(ledger: Ledger, outcome: Outcome) -> bool:
    """Record how a run ended; False when that run has its outcome already. Raises Fault."""
    with ledger.writing() as connection:
        known = sa.select(t.run_outcome.c.number).where(t.run_outcome.c.run_id == outcome.run_id)
        if connection.execute(known).first() is not None:
            return False
        last = connection.execute(sa.select(sa.func.max(t.run_outcome.c.number))).scalar_one() or 0
        connection.execute(t.run_outcome.insert().values(**asdict(outcome), number=int(last) + 1))
        return True


def last(ledger: Ledger, among: Collection[str] = OUTCOMES) -> Outcome | None:
    """The last run that ended in one of these ways, or None. Raises Fault."""
    columns = t.run_outcome.c
    query = sa.select(t.run_outcome).where(columns.outcome.in_(sorted(among))).order_by(columns.number.desc()).limit(1)
    with ledger.reading() as connection:
        row = connection.execute(query).mappings().first()
    return None if row is None else Outcome(**{name: row[name] for name in Outcome.__dataclass_fields__})


def counts(ledger: Ledger) -> dict[str, int]:
    """Outcome -> number of runs that ended so, every outcome named. Raises Fault."""
    column = t.run_outcome.c.outcome
    with ledger.reading() as connection:
        found = dict(connection.execute(sa.select(column, sa.func.count()).group_by(column)).tuples().all())
    return {name: int(found.get(name, 0)) for name in OUTCOMES}
