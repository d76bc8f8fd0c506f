"""What changed between two releases, value by value, and what that makes of the data version.

What belongs here: comparing two marts files. What does not: showing the difference (`eduplan diff`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from warehouse.duck import columns, ident, open_database, rows, tables
from warehouse.evidence import Lineage, lineage_in, lineage_of, responsible
from warehouse.fingerprint import MARTS_SCHEMA

# The marts a reader quotes from, with the columns that identify a value in them.
COMPARED: Final[dict[str, tuple[str, ...]]] = {
    "fct_indicator_value": ("indicator_id", "area_code", "period"),
    "mart_plan_progress": ("target_id", "area_code", "year"),
}
FIRST_VERSION: Final = "1.0.0"

Row = dict[str, Any]


@dataclass(frozen=True)
class _Side:
    columns: dict[str, dict[str, str]]
    content: dict[str, dict[tuple[Any, ...], Row]]


def compare(old: Path | None, new: Path, lineage: pa.Table | None = None) -> dict[str, Any]:
    """The content of changes.json without the release ids: tables and columns added or removed, and for each compared
    mart the rows added and removed and every changed value (key, column, old, new), changed and removed ones with the
    `deliveries` responsible (empty: none changed; None: not known). `old` None: everything is new and only counted.
    `lineage` is the new side's value lineage where the caller has it already. Raises Fault when a file cannot be
    opened."""
    after = _read(new)
    if old is None:
        counts = {
            name: {"added": len(after.content[name]), "removed": 0, "changed": 0} for name in sorted(after.content)
        }
        return {"schema": _schema_changes({}, {}), "counts": counts, "tables": {}}
    before = _read(old)
    names = sorted(set(before.content) | set(after.content))
    found = {name: _table_changes(name, before.content.get(name, {}), after.content.get(name, {})) for name in names}
    present = lineage_of(new) if lineage is None else lineage_in(lineage)
    _name_deliveries(found, before, lineage_of(old), present)
    counts = {name: {kind: len(items) for kind, items in change.items()} for name, change in found.items()}
    return {"schema": _schema_changes(before.columns, after.columns), "counts": counts, "tables": found}


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


def _read(database: Path) -> _Side:
    with open_database(database) as connection:
        described = {name: dict(columns(connection, MARTS_SCHEMA, name)) for name in tables(connection, MARTS_SCHEMA)}
        content = {name: _content(connection, name, described[name]) for name in COMPARED if name in described}
    return _Side(described, content)


def _content(
    connection: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, str]
) -> dict[tuple[Any, ...], Row]:
    names = list(columns)
    chosen = ", ".join(ident(name) for name in names)
    found = rows(connection, f"SELECT {chosen} FROM {MARTS_SCHEMA}.{ident(table)}")
    keyed = {}
    for values in found:
        row = dict(zip(names, values, strict=True))
        keyed[tuple(row[name] for name in COMPARED[table])] = row
    return keyed


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
    found: Mapping[str, dict[str, list[Row]]], before: _Side, old: Lineage | None, new: Lineage | None
) -> None:
    """Put the deliveries responsible beside every changed and removed row."""
    for table, change in found.items():
        content = before.content.get(table, {})
        for item in change["changed"]:
            row = content[tuple(item["key"].values())]
            item["deliveries"] = _responsible(row, old, new)
        for row in change["removed"]:
            row["deliveries"] = _responsible(row, old, new)


def _responsible(row: Row, old: Lineage | None, new: Lineage | None) -> list[str] | None:
    if old is None or new is None:
        return None
    key = (str(row.get("indicator_id")), str(row["area_code"]), int(row["period"] if "period" in row else row["year"]))
    return responsible(old, new, key)


def _ordered(keys: set[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    # Numbers by value, texts by code point, an empty key last.
    return sorted(
        keys, key=lambda key: [(part is None, str(type(part)), part if part is not None else 0) for part in key]
    )
