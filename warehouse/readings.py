"""What a ledger holds of deliveries, read from it once a process.

What belongs here: remembering rows that are never changed, and knowing when they are not those of this ledger. What
does not: what counts among them (`warehouse.ledger`).

Readings are only ever added, each with an entry of the journal. The journal is a chain: as long as its entry of then
has the hash of then, everything up to there is what it was, and only what came after is read. A ledger that was put
back from a back-up, or another one at the same address, has another hash there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from threading import Lock
from typing import Final

import sqlalchemy as sa

from warehouse import ledger_tables as t
from warehouse.records import DeliveryRow

_NAMES: Final = tuple(DeliveryRow.__dataclass_fields__)


@dataclass(frozen=True)
class Known:
    """One reading: the delivery's place in line, and what was read."""

    arrival: int
    row: DeliveryRow


@dataclass
class Readings:
    """Every reading of the deliveries of one ledger, in the order of the journal."""

    _seq: int = 0
    _hash: str = ""
    _known: list[Known] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def all(self, connection: sa.Connection) -> Sequence[Known]:
        """All there are now, `connection` being in a transaction of its ledger."""
        with self._lock:
            if self._hash != _hash_at(connection, self._seq):
                self._seq, self._hash, self._known = 0, "", []
            last = connection.execute(sa.select(sa.func.max(t.journal.c.seq))).scalar() or 0
            if last > self._seq:
                # A list of its own: others still look at the one before.
                self._known = [*self._known, *_between(connection, self._seq, last)]
                self._seq, self._hash = last, _hash_at(connection, last)
            return self._known


def _hash_at(connection: sa.Connection, seq: int) -> str:
    found = connection.execute(sa.select(t.journal.c.hash).where(t.journal.c.seq == seq)).scalar()
    return str(found or "")


def _between(connection: sa.Connection, seq: int, last: int) -> list[Known]:
    """Those entered after `seq` up to `last`: what is entered meanwhile is the next one's to read."""
    columns = t.delivery.c
    query = sa.select(columns.arrival, *(columns[name] for name in _NAMES))
    query = query.where(columns.journal_seq > seq, columns.journal_seq <= last).order_by(columns.journal_seq)
    found = connection.execute(query).tuples()
    return [Known(arrival, _row(dict(zip(_NAMES, values, strict=True)))) for arrival, *values in found]


def _row(told: dict[str, str]) -> DeliveryRow:
    values = {
        **told,
        "reported_on": date.fromisoformat(told["reported_on"]) if told["reported_on"] else None,
        "received_at": datetime.fromisoformat(told["received_at"]),
        "tables": json.loads(told["tables"]),
    }
    return DeliveryRow(**values)


_by_address: Final[dict[str, Readings]] = {}


def readings_of(url: str) -> Readings:
    """What this process knows of the ledger at an address."""
    return _by_address.setdefault(url, Readings())
