"""Readings and arrivals entered into the ledger by the batch: what is known is asked once, each table is written once.

What belongs here: the journal entries of a batch, in their order, and the rows that go with them. What does not: the
transaction, and everything else the ledger is told (`warehouse.ledger`).

The journal comes out as if each had been entered by itself: of a reading its arrival, its snapshot, its delivery and
its files, each unless it is there already.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from warehouse import ledger_tables as t
from warehouse.files import canonical_json, sha256_bytes
from warehouse.journal import next_entry
from warehouse.records import DeliveryRow

# Keys asked for in one statement: databases bound how many values one may bring.
_ASKED: Final = 500

_PLACE: Final = t.delivery.c.arrival

# Last entry of the journal: its number and hash; None of an empty one.
Last = tuple[int, str] | None


@dataclass(frozen=True)
class ArrivalEvent:
    """One arrival and its one terminal outcome: accepted, partly, refused or duplicate; or vanished, when what arrived
    once is gone at its source.

    (connector, source, version) names the arrival: a file's path with size and mtime, or a group of rows with its
    watermark.
    """

    connector: str
    source: str
    version: str
    feed: str
    sha256: str
    delivery_id: str
    outcome: str
    submitter: str
    at: datetime

    @property
    def key(self) -> str:
        """Identity of the arrival, whatever became of it."""
        return sha256_bytes(canonical_json([self.connector, self.source, self.version]))


@dataclass(frozen=True)
class Reading:
    """A delivery as it was read, for the ledger: size of the snapshot in bytes, the arrival that brought it, and what
    the reading left (path below the home -> SHA-256)."""

    row: DeliveryRow
    size: int
    event: ArrivalEvent | None
    files: Mapping[str, str]


def enter(
    connection: sa.Connection, entries: Sequence[Reading | ArrivalEvent], last: Last, instant: Callable[[], str]
) -> Last:
    """Enter what is new among these behind the journal's `last` entry, in a writing transaction of `connection`, and
    return what is the last one then. `instant` tells the time of an entry."""
    batch = _Batch(_known_among(connection, entries), last, instant)
    for entry in entries:
        batch.add(entry)
    # A delivery points to its snapshot: that comes first.
    for table in (t.journal, t.event, t.snapshot, t.delivery, t.record_file):
        if rows := batch.rows.get(table.name):
            _write(connection, table, rows)
    return batch.last


def _write(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    connection.execute(table.insert(), rows)


@dataclass
class _Known:
    """What a ledger holds of a batch: keys of arrivals, hashes of snapshots, readings, each delivery's place in line;
    and the last place that is taken."""

    events: set[str]
    snapshots: set[str]
    readings: set[tuple[str, str]]
    places: dict[str, int]
    last_place: int


@dataclass
class _Batch:
    """Rows to insert, a list for each table, made one entry after the other."""

    known: _Known
    last: Last
    instant: Callable[[], str]
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def add(self, entry: Reading | ArrivalEvent) -> None:
        """One arrival, or a reading with the arrival that brought it."""
        if isinstance(entry, ArrivalEvent):
            self._event(entry)
            return
        if entry.event is not None:
            self._event(entry.event)
        key = (entry.row.delivery_id, entry.row.contract_version)
        if key not in self.known.readings:
            self.known.readings.add(key)
            self._snapshot(entry.row, entry.size)
            self._delivery(entry.row)
            self._files(entry.row, entry.files)

    def _event(self, event: ArrivalEvent) -> None:
        key = event.key
        if key not in self.known.events:
            self.known.events.add(key)
            values = {**asdict(event), "at": event.at.isoformat(), "event_key": key}
            self._append("event", values)
            self._insert(t.event, values)

    def _snapshot(self, row: DeliveryRow, size: int) -> None:
        if row.sha256 not in self.known.snapshots:
            self.known.snapshots.add(row.sha256)
            values = {"sha256": row.sha256, "size": size, "first_seen": row.received_at.isoformat()}
            self._append("snapshot", values)
            self._insert(t.snapshot, values)

    def _delivery(self, row: DeliveryRow) -> None:
        payload = {**_delivery_payload(row), "arrival": self._place(row.delivery_id)}
        seq = self._append("delivery", payload)
        self._insert(t.delivery, {**payload, "tables": _text(row.tables), "journal_seq": seq})

    def _place(self, delivery_id: str) -> int:
        # Read again under a new contract, a delivery keeps the place in line that it had.
        if delivery_id not in self.known.places:
            self.known.last_place += 1
            self.known.places[delivery_id] = self.known.last_place
        return self.known.places[delivery_id]

    def _files(self, row: DeliveryRow, files: Mapping[str, str]) -> None:
        values = {"delivery_id": row.delivery_id, "contract_version": row.contract_version}
        seq = self._append("records", {**values, "files": dict(files)})
        self._insert(t.record_file, {**values, "files": _text(files), "journal_seq": seq})

    def _append(self, kind: str, payload: object) -> int:
        entry = next_entry(self.last, at=self.instant(), kind=kind, payload=payload)
        self._insert(t.journal, asdict(entry))
        self.last = (entry.seq, entry.hash)
        return entry.seq

    def _insert(self, table: sa.Table, values: dict[str, Any]) -> None:
        self.rows.setdefault(table.name, []).append(values)


def _delivery_payload(row: DeliveryRow) -> dict[str, Any]:
    return {
        **asdict(row),
        "reported_on": row.reported_on.isoformat() if row.reported_on else None,
        "received_at": row.received_at.isoformat(),
    }


def _text(value: Mapping[str, str]) -> str:
    return canonical_json(value).decode("utf-8")


# -- what is there already --------------------------------------------------------------------------------------------


def _known_among(connection: sa.Connection, entries: Sequence[Reading | ArrivalEvent]) -> _Known:
    readings = [entry for entry in entries if isinstance(entry, Reading)]
    arrivals = [entry.event if isinstance(entry, Reading) else entry for entry in entries]
    deliveries = {entry.row.delivery_id for entry in readings}
    found = list(_where(connection, t.delivery.c.delivery_id, deliveries, t.delivery.c.contract_version, _PLACE))
    return _Known(
        events={key for (key,) in _where(connection, t.event.c.event_key, {one.key for one in arrivals if one})},
        snapshots={key for (key,) in _where(connection, t.snapshot.c.sha256, {one.row.sha256 for one in readings})},
        readings={(delivery_id, version) for delivery_id, version, _ in found},
        # Every reading of a delivery has its place.
        places={delivery_id: place for delivery_id, _, place in found},
        last_place=int(connection.execute(sa.select(sa.func.max(_PLACE))).scalar_one() or 0),
    )


def _where(
    connection: sa.Connection, key: sa.Column[Any], wanted: Collection[str], *further: sa.Column[Any]
) -> Iterable[tuple[Any, ...]]:
    """Key and further columns of the rows that have one of the keys."""
    in_order = sorted(wanted)
    for first in range(0, len(in_order), _ASKED):
        query = sa.select(key, *further).where(key.in_(in_order[first : first + _ASKED]))
        yield from connection.execute(query).tuples()
