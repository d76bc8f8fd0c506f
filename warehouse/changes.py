"""What changed between two releases, value by value, and what that makes of the data version.

What belongs here: comparing two marts files. What does not: showing the difference (`eduplan diff`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from warehouse.duck import attach, columns, ident, open_database, rows, tables
from warehouse.evidence import lineage_in, lineage_of, responsible
from warehouse.fingerprint import MARTS_SCHEMA

# The marts a reader quotes from, with the columns that identify a value in them.
COMPARED: Final[dict[str, tuple[str, ...]]] = {
    "fct_indicator_value": ("indicator_id", "area_code", "period"),
    "mart_plan_progress": ("target_id", "area_code", "year"),
}
FIRST_VERSION: Final = "1.0.0"

Row = dict[str, Any]
# table -> column -> type
Shapes = dict[str, dict[str, str]]
# The names under which the two sides are attached.
_OLD: Final = "before"
_NEW: Final = "opened"


def compare(old: Path | None, new: Path, lineage: pa.Table | None = None) -> dict[str, Any]:
    """The content of changes.json without the release ids: tables and columns added or removed, and for each compared
    mart the rows added and removed and every changed value (key, column, old, new), changed and removed ones with the
    `deliveries` responsible (empty: none changed; None: not known). `old` None: everything is new and only counted.
    `lineage` is the new side's value lineage where the caller has it already. Raises Fault when a file cannot be
    opened."""
    with open_database(new, name=_NEW) as connection:
        after = _shapes(connection, _NEW)
        if old is None:
            return {"schema": _schema_changes({}, {}), "counts": _all_new(connection, after), "tables": {}}
        # DuckDB attaches no file twice; one that is compared with itself differs in nothing.
        before_name = _NEW if old.samefile(new) else _OLD
        if before_name == _OLD:
            attach(connection, old, _OLD)
        before = _shapes(connection, before_name)
        sides = {
            name: _differing(connection, name, before.get(name), after.get(name), before_name)
            for name in sorted(COMPARED)
            if name in before or name in after
        }
    found = {name: _table_changes(name, *rows_of) for name, rows_of in sides.items()}
    _name_deliveries(found, {name: earlier for name, (earlier, _) in sides.items()}, old, new, lineage)
    counts = {name: {kind: len(items) for kind, items in change.items()} for name, change in found.items()}
    return {"schema": _schema_changes(before, after), "counts": counts, "tables": found}


def next_version(previous: str | None, changes: Mapping[str, Any]) -> str:
    """The data version: something removed -> major, something added or changed -> minor, else patch."""
    if previous is None:
        return FIRST_VERSION
    major, minor, patch = (int(part) for part in previous.split("."))
    counts = changes["counts"].values()
    schema = changes["schema"]
    if schema["removed"] or schema["retyped"] or any(count["removed"] for count in counts):
        return f"{major + 1}.0.0"
    if schema["added"] or any(count["added"] or count["changed"] for count in counts):
        return f"{major}.{minor + 1}.0"
    return f"{major}.{minor}.{patch + 1}"


def _shapes(connection: duckdb.DuckDBPyConnection, database: str) -> Shapes:
    shapes = columns(connection, MARTS_SCHEMA, database)
    return {name: dict(shapes[name]) for name in tables(connection, MARTS_SCHEMA, database)}


def _relation(database: str, table: str) -> str:
    return f"{database}.{MARTS_SCHEMA}.{ident(table)}"


def _all_new(connection: duckdb.DuckDBPyConnection, after: Shapes) -> dict[str, dict[str, int]]:
    counts = {}
    for name in sorted(set(COMPARED) & set(after)):
        [(count,)] = rows(connection, f"SELECT count(*) FROM {_relation(_NEW, name)}")
        counts[name] = {"added": count, "removed": 0, "changed": 0}
    return counts


def _differing(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    before: Mapping[str, str] | None,
    after: Mapping[str, str] | None,
    before_name: str,
) -> tuple[dict[tuple[Any, ...], Row], dict[tuple[Any, ...], Row]]:
    """The rows of both sides by key, at least those that are not the same on the other."""
    old, new = (f"SELECT * FROM {_relation(database, table)}" for database in (before_name, _NEW))
    if before == after and list(before or ()) == list(after or ()):
        # Nearly all rows are: they need not be fetched.
        old, new = f"{old} EXCEPT {new}", f"{new} EXCEPT {old}"
    return (
        {} if before is None else _keyed(connection, table, old),
        {} if after is None else _keyed(connection, table, new),
    )


def _keyed(connection: duckdb.DuckDBPyConnection, table: str, query: str) -> dict[tuple[Any, ...], Row]:
    cursor = connection.execute(query)
    names = [column[0] for column in cursor.description or ()]
    found = (dict(zip(names, values, strict=True)) for values in cursor.fetchall())
    return {tuple(row[name] for name in COMPARED[table]): row for row in found}


def _schema_changes(
    before: Mapping[str, Mapping[str, str]], after: Mapping[str, Mapping[str, str]]
) -> dict[str, list[str]]:
    old, new = _flat(before), _flat(after)
    return {
        "added": sorted(set(new) - set(old)),
        "removed": sorted(set(old) - set(new)),
        "retyped": sorted(
            f"{name}: {old[name]} -> {new[name]}" for name in set(old) & set(new) if old[name] != new[name]
        ),
    }


def _flat(columns: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    return {f"{table}.{name}": kind for table, found in columns.items() for name, kind in found.items()}


def _table_changes(
    table: str, before: Mapping[tuple[Any, ...], Row], after: Mapping[tuple[Any, ...], Row]
) -> dict[str, list[Row]]:
    names = COMPARED[table]
    changed = [
        {"key": dict(zip(names, key, strict=True)), "column": column, "old": before[key].get(column), "new": value}
        for key in _ordered(set(before) & set(after))
        for column, value in after[key].items()
        if before[key].get(column) != value
    ]
    return {
        "added": [after[key] for key in _ordered(set(after) - set(before))],
        "removed": [before[key] for key in _ordered(set(before) - set(after))],
        "changed": changed,
    }


def _name_deliveries(
    found: Mapping[str, dict[str, list[Row]]],
    before: Mapping[str, Mapping[tuple[Any, ...], Row]],
    old: Path,
    new: Path,
    lineage: pa.Table | None,
) -> None:
    """Put the deliveries responsible beside every changed and removed row."""
    asked = [
        (item, key)
        for table, change in found.items()
        for item, row in (
            *((item, before[table][tuple(item["key"].values())]) for item in change["changed"]),
            *((row, row) for row in change["removed"]),
        )
        for key in [_value_of(row)]
    ]
    if not asked:
        return
    values = {key for _, key in asked}
    earlier = lineage_of(old, values)
    present = lineage_of(new, values) if lineage is None else lineage_in(lineage, values)
    for item, key in asked:
        item["deliveries"] = None if earlier is None or present is None else responsible(earlier, present, key)


def _value_of(row: Row) -> tuple[str, str, int]:
    return (str(row.get("indicator_id")), str(row["area_code"]), int(row["period"] if "period" in row else row["year"]))


def _ordered(keys: set[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    # Numbers by value, texts by code point, an empty key last.
    return sorted(
        keys, key=lambda key: [(part is None, str(type(part)), part if part is not None else 0) for part in key]
    )
