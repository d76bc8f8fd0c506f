"""What is known before there is a candidate: what each rule reads, and what each record view holds.

What belongs here: finding that out from deliveries and code alone, so that it may be done while the marts are still
being built (`orchestration.steps.know_ahead`). What does not: the marts, what earlier checks found, and what follows
from both (`expectations.carrying`).

A record file is known by its bytes, as they are while dbt reads them too: as good as reading them seconds later.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import duckdb

from expectations import sql as rule_sql
from expectations.catalogue import Rule
from warehouse import candidate as candidates
from warehouse import duck
from warehouse.files import canonical_json, sha256_bytes, sha256_file
from warehouse.records import RECORD_SCHEMAS, DeliveryRow

if TYPE_CHECKING:
    from warehouse.paths import Home

Cell = tuple[str, int]

_CALL: Final = re.compile(r"\b([a-z_]\w*)\s*\(")
# Read without brackets, these say when and by whom a query is run; a quoted name before a bracket may be anything.
_MOMENT: Final = re.compile(r"\b(current_\w+|local(?:time|timestamp)|session_user)\b|\"\s*\(")
_TABLE: Final = re.compile(r"((?:marts|records)\.\w+)(?: AS \w+)?")
_HARMLESS: Final = {"range", "generate_series", "unnest"}


@dataclass(frozen=True)
class RecordTable:
    """A record view by area and year: a digest of all that a part of it says."""

    parts: Mapping[Cell, str]

    def digest(self) -> str:
        """The same of the whole view."""
        return sha256_bytes(canonical_json(sorted(self.parts.items())))


@dataclass(frozen=True)
class Known:
    """What these `rules` read (id -> tables), and of the record views among it what they are (name -> text) and what
    they hold (name -> content) when they read these `deliveries`."""

    rules: tuple[Rule, ...]
    deliveries: tuple[DeliveryRow, ...]
    reads: Mapping[str, frozenset[str]]
    views: Mapping[str, str]
    records: Mapping[str, RecordTable]

    def is_of(self, rules: Sequence[Rule], deliveries: Iterable[DeliveryRow]) -> bool:
        """Whether this is what `know` would find out about these."""
        return (self.rules, self.deliveries) == (tuple(rules), _taken_in(deliveries))


def know(home: Home, database: Path, deliveries: Iterable[DeliveryRow], rules: Sequence[Rule]) -> Known:
    """Find it out; `database` is where the candidate is or is being built, which is not opened. Raises Fault, OSError,
    duckdb.Error."""
    rows, reads = _taken_in(deliveries), tables_read(rules)
    names = sorted(
        {table.removeprefix("records.") for found in reads.values() for table in found} & set(RECORD_SCHEMAS)
    )
    with closing(duck.connect(copy_of=database)) as connection:
        create_views(connection, home, names, rows)
        views = views_of(connection)
    return Known(tuple(rules), rows, reads, views, {name: _record_table(home, name, rows) for name in names})


def _taken_in(deliveries: Iterable[DeliveryRow]) -> tuple[DeliveryRow, ...]:
    """Those with records, in one order."""
    return tuple(sorted((row for row in deliveries if row.counts), key=lambda row: row.delivery_id))


def _record_table(home: Home, name: str, rows: Sequence[DeliveryRow]) -> RecordTable:
    content: dict[Cell, list[tuple[str, str, str]]] = {}
    cell_of = {row.delivery_id: (row.area_code, row.period) for row in rows}
    for row in rows:
        if name in row.tables:
            held = ("file", row.delivery_id, sha256_file(home.root / row.tables[name]))
            content.setdefault(cell_of[row.delivery_id], []).append(held)
    for delivery_id, school in candidates.laid_over(name, rows):
        content[cell_of[delivery_id]].append(("laid over", delivery_id, school))
    return RecordTable({cell: sha256_bytes(canonical_json(sorted(parts))) for cell, parts in content.items()})


# -- record views ------------------------------------------------------------------------------------------------------


def create_views(
    connection: duckdb.DuckDBPyConnection, home: Home, names: Iterable[str], rows: Sequence[DeliveryRow]
) -> None:
    """Make schema `records` with these views of these deliveries in the database in use, which has none. Raises Fault,
    duckdb.Error."""
    connection.execute("CREATE SCHEMA records")
    for name in names:
        candidates.create_record_view(connection, home, name, rows)


def views_of(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Record views of the database in use -> what they are."""
    found = duck.rows(
        connection,
        "SELECT view_name, sql FROM duckdb_views()"
        " WHERE database_name = current_database() AND schema_name = 'records'",
    )
    return {str(name): str(sql) for name, sql in found}


# -- rules -------------------------------------------------------------------------------------------------------------


def tables_read(rules: Sequence[Rule]) -> dict[str, frozenset[str]]:
    """Rule id -> the tables whose content its answer follows from; empty when it follows from more than tables of the
    marts and the records. Of the rules it was asked last it is remembered: a process asks about one catalogue."""
    if _remembered and _remembered[0][0] is rules:
        return _remembered[0][1]
    with duckdb.connect() as parser:
        found = {rule.id: _tables_read(parser, rule) for rule in rules}
    if isinstance(rules, tuple):
        # The very object, held here, and none that could change.
        _remembered[:] = [(rules, found)]
    return found


_remembered: Final[list[tuple[Sequence[Rule], dict[str, frozenset[str]]]]] = []


def _tables_read(parser: duckdb.DuckDBPyConnection, rule: Rule) -> frozenset[str]:
    try:
        # Which text columns a table has decides what it is asked, and not what is read: one name stands for all.
        sql = rule_sql.compose(rule, {rule.relation: ("text",)})
        observed = rule.fill(rule.observed) if rule.observed else "NULL"
        query = f"SELECT {observed} FROM {sql.relation} AS examined WHERE {sql.scope} AND {sql.fails}"
        words = query.lower()
        if _MOMENT.search(words) or _unsteady().intersection(_CALL.findall(words)):
            return frozenset()
        tables = [_TABLE.fullmatch(name) for name in parser.get_table_names(query, qualified=True)]
    except (LookupError, duckdb.Error):
        # Whoever asks this rule will be told what is wrong with it.
        return frozenset()
    return frozenset(found[1] for found in tables if found) if all(tables) else frozenset()


@cache
def _unsteady() -> frozenset[str]:
    """Functions whose answer does not follow from their arguments alone, or that read something by themselves."""
    with duckdb.connect() as connection:
        found = duck.rows(
            connection,
            "SELECT function_name FROM duckdb_functions()"
            " WHERE function_type NOT IN ('scalar', 'aggregate') OR stability <> 'CONSISTENT'",
        )
    return frozenset(str(name).lower() for (name,) in found) - _HARMLESS
