"""The whole ledger as text and back: the same on SQLite and PostgreSQL, so that one can become the other.

What belongs here: writing every table down in one consistent look, and loading it into an empty ledger. What does not:
where the text is kept (`warehouse.backup`) and whether the chain in it holds (`Ledger.findings`, `warehouse.verify`).
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import sqlalchemy as sa

from warehouse import ledger_tables as t
from warehouse.errors import Refused
from warehouse.files import canonical_json
from warehouse.ledger import Ledger, ReleaseRow

_BATCH: Final = 500


@dataclass
class Told:
    """What an exported ledger speaks of: head of its journal, snapshots, releases in order, files of readings (path ->
    hash, the last one told) and the files of each delivery's last reading."""

    head: tuple[int, str] = (0, "")
    snapshots: list[str] = field(default_factory=list)
    releases: list[ReleaseRow] = field(default_factory=list)
    record_files: dict[str, str] = field(default_factory=dict)
    last_readings: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)


def _tables() -> list[sa.Table]:
    """Every table, parents first, but for the leases, which speak of processes of a moment."""
    return [table for table in t.metadata.sorted_tables if table is not t.lease]


def export(ledger: Ledger) -> tuple[bytes, Told]:
    """Every row as a line of JSON, compressed, and what it speaks of. Raises Fault."""
    sink = io.BytesIO()
    told, last = Told(), dict[str, tuple[str, dict[str, str]]]()
    # No time in it: the same ledger is the same bytes.
    with gzip.GzipFile(fileobj=sink, mode="wb", mtime=0) as packed, ledger.reading() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        for table in _tables():
            for row in _rows(connection, table):
                packed.write(canonical_json([table.name, row]) + b"\n")
                _note(told, last, table, row)
    told.last_readings = {(delivery, version): files for delivery, (version, files) in last.items()}
    return sink.getvalue(), told


def _rows(connection: sa.Connection, table: sa.Table) -> Iterator[dict[str, Any]]:
    order = [table.c.journal_seq] if "journal_seq" in table.c else list(table.primary_key.columns)
    for row in connection.execute(sa.select(table).order_by(*order)).mappings():
        yield dict(row)


def _note(told: Told, last: dict[str, tuple[str, dict[str, str]]], table: sa.Table, row: dict[str, Any]) -> None:
    if table is t.journal:
        told.head = (row["seq"], row["hash"])
    elif table is t.snapshot:
        told.snapshots.append(row["sha256"])
    elif table is t.release:
        told.releases.append(ReleaseRow(**{name: row[name] for name in ReleaseRow.__dataclass_fields__}))
    elif table is t.record_file:
        files = dict(json.loads(row["files"]))
        told.record_files |= files
        last[row["delivery_id"]] = (row["contract_version"], files)


def load(ledger: Ledger, data: bytes) -> None:
    """Fill an empty ledger, all or nothing. Raises Refused when it is not empty, Fault when the database says no."""
    known = {table.name: table for table in _tables()}
    with ledger.writing() as connection:
        if any(connection.execute(sa.select(table).limit(1)).first() for table in known.values()):
            raise Refused("台账不是空的，没有恢复。", "请指明一个空的状态目录或空的数据库。")
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as lines:
            rest = (json.loads(line) for line in lines)
            while batch := list(islice(rest, _BATCH)):
                for name, table in known.items():
                    rows = [row for told, row in batch if told == name]
                    if rows:
                        connection.execute(table.insert(), rows)
