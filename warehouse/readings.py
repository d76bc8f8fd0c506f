"""What a ledger holds of deliveries, read from it once a process.

What belongs here: remembering rows that are never changed and the orders they are asked for in, and knowing when they
are not those of this ledger. What does not: what counts among them (`warehouse.ledger`).

Readings are only ever added, each with an entry of the journal. The journal is a chain: as long as its entry of then
has the hash of then, everything up to there is what it was, and only what came after is read. A ledger that was put
back from a back-up, or another one at the same address, has another hash there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
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


@dataclass(frozen=True, eq=False)
class Line:
    """Every reading up to some entry of the journal, in its order, and what follows from them: found out once, for a
    run asks a dozen times and most deliveries of a home are old ones. Nothing here is to be changed."""

    known: Sequence[Known] = ()

    @cached_property
    def in_line(self) -> Sequence[DeliveryRow]:
        """All readings in order of arrival; those of one delivery in the order they were read."""
        return [known.row for known in sorted(self.known, key=lambda known: known.arrival)]

    @cached_property
    def newest(self) -> Mapping[str, DeliveryRow]:
        """Delivery id -> the delivery as last read, in order of arrival."""
        return {row.delivery_id: row for row in self.in_line}

    @cached_property
    def done(self) -> frozenset[tuple[str, str]]:
        """(delivery id, contract version) of every reading."""
        return frozenset((known.row.delivery_id, known.row.contract_version) for known in self.known)


@dataclass
class Readings:
    """Every reading of the deliveries of one ledger."""

    _seq: int = 0
    _hash: str = ""
    _line: Line = field(default_factory=Line)
    _lock: Lock = field(default_factory=Lock)

    def all(self, connection: sa.Connection) -> Line:
        """All there are now, `connection` being in a transaction of its ledger."""
        with self._lock:
            if self._hash != _hash_at(connection, self._seq):
                self._seq, self._hash, self._line = 0, "", Line()
            last = connection.execute(sa.select(sa.func.max(t.journal.c.seq))).scalar() or 0
            if last > self._seq:
                found = _between(connection, self._seq, last)
                if found:
                    # A line of its own: others still look at the one before.
                    self._line = Line([*self._line.known, *found])
                self._seq, self._hash = last, _hash_at(connection, last)
            return self._line


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
