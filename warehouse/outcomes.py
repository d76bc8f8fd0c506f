"""How runs ended: one row a run, so that a person, an alert and a metric say the same of the last one.

What belongs here: recording, reading and clearing away outcomes. What does not: deciding what an outcome was
(`orchestration.report`), and telling anybody (`orchestration.alerting`). Operation, not evidence: no journal entry is
made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime
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
    """Outcome -> number of runs that ever ended so, those cleared away included, every outcome named. Raises Fault."""
    with ledger.reading() as connection:
        found = _cleared(connection)
        for name, number in connection.execute(_COUNTED).tuples():
            found[name] += number
    return {name: int(found[name]) for name in OUTCOMES}


_COUNTED: Final = sa.select(t.run_outcome.c.outcome, sa.func.count()).group_by(t.run_outcome.c.outcome)


def _cleared(connection: sa.Connection) -> Counter[str]:
    rows = connection.execute(sa.select(t.run_outcome_cleared.c.outcome, t.run_outcome_cleared.c.runs)).tuples()
    return Counter({name: int(number) for name, number in rows})


def count_old(ledger: Ledger, keep_last: int, before: datetime) -> int:
    """How many outcomes `clear_old` would clear away. Raises Fault."""
    with ledger.reading() as connection:
        return len(_old(connection, keep_last, before))


def clear_old(ledger: Ledger, keep_last: int, before: datetime) -> int:
    """Clear away outcomes beyond the newest `keep_last` that are older than `before`; they still count. The last one of
    every kind stays, however old: alerts and the status page speak of it. Returns how many went. Raises Fault."""
    with ledger.writing() as connection:
        old = _old(connection, keep_last, before)
        cleared = _cleared(connection)
        for name, number in Counter(old.values()).items():
            known = t.run_outcome_cleared.c.outcome == name
            connection.execute(t.run_outcome_cleared.delete().where(known))
            connection.execute(t.run_outcome_cleared.insert().values(outcome=name, runs=cleared[name] + number))
        one = t.run_outcome.delete().where(t.run_outcome.c.number == sa.bindparam("gone"))
        if old:
            connection.execute(one, [{"gone": number} for number in old])
        return len(old)


def _old(connection: sa.Connection, keep_last: int, before: datetime) -> dict[int, str]:
    """Number -> outcome of those that may go."""
    columns = t.run_outcome.c
    rows = connection.execute(sa.select(columns.number, columns.outcome, columns.at).order_by(columns.number.desc()))
    found, seen = dict[int, str](), set[str]()
    for place, (number, outcome, at) in enumerate(rows.tuples()):
        if outcome in seen and place >= keep_last and datetime.fromisoformat(at) < before:
            found[number] = outcome
        seen.add(outcome)
    return found
