"""The content fingerprint of a database: what it says, however the rows lie in the file.

What belongs here: hashing one schema's tables. What does not: hashes of files (`warehouse.files`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import duckdb
import numpy as np

from warehouse.duck import columns, ident, literal, open_database, rows, tables
from warehouse.errors import Fault
from warehouse.files import canonical_json, sha256_bytes

MARTS_SCHEMA: Final = "marts"
# A row's hash as text.
_HASH: Final = "S64"


def fingerprint(database: Path, schema: str = MARTS_SCHEMA) -> str:
    """SHA-256 (64 hex digits) over table names, column names and types, and all rows as a multiset.

    Raises Fault when the file cannot be opened or the schema has no table: nothing must never have a fingerprint.
    """
    return fingerprint_of(table_digests(database, schema))


def table_digests(database: Path, schema: str = MARTS_SCHEMA) -> list[dict[str, object]]:
    """What a fingerprint is taken over: name, columns, number of rows and SHA-256 of the rows of each table, by name.

    Raises Fault as `fingerprint` does.
    """
    with open_database(database) as connection:
        digests = _digests(connection, schema)
    if not digests:
        raise Fault(f"{database.name} 的 {schema} 中没有任何表，无法计算内容指纹。")
    return digests


def fingerprint_of(digests: Sequence[Mapping[str, object]]) -> str:
    """The fingerprint of the tables with these digests."""
    return sha256_bytes(canonical_json(digests))


def table_fingerprints(database: Path, schema: str = MARTS_SCHEMA, *, but: Collection[str] = ()) -> dict[str, str]:
    """Table -> SHA-256 over its columns and rows: which tables two databases of different fingerprint differ in; `but`:
    tables that are not asked for.

    Raises Fault when the file cannot be opened.
    """
    with open_database(database) as connection:
        return table_hashes(_digests(connection, schema, but))


def table_hashes(digests: Iterable[Mapping[str, object]]) -> dict[str, str]:
    """Table -> SHA-256 over its digest."""
    return {str(digest["table"]): sha256_bytes(canonical_json(digest)) for digest in digests}


def _digests(connection: duckdb.DuckDBPyConnection, schema: str, but: Collection[str] = ()) -> list[dict[str, object]]:
    """As `table_digests`, of an open database without some tables; empty where no other is there."""
    names = [name for name in tables(connection, schema) if name not in but]
    if not names:
        return []
    shapes = columns(connection, schema)
    # One statement, so that small tables do not wait for each other.
    found = rows(connection, " UNION ALL ".join(_hashes(schema, name, shapes[name]) for name in names))
    hashed = {str(table): (int(count), str(text)) for table, count, text in found}
    return [
        {"table": name, "columns": [list(column) for column in shapes[name]], "rows": count, "sha256": _digest(text)}
        for name, (count, text) in sorted(hashed.items())
    ]


def _hashes(schema: str, table: str, shape: Sequence[tuple[str, str]]) -> str:
    """SQL: the table's name, how many rows it has, and their hashes one after the other."""
    cells = ", ".join(part for name, _ in shape for part in _cell(ident(name)))
    return (
        f"SELECT {literal(table)}, count(*), coalesce(string_agg(h, ''), '')"
        f" FROM (SELECT sha256(concat({cells})) AS h FROM {ident(schema)}.{ident(table)})"
    )


def _cell(name: str) -> tuple[str, ...]:
    """The parts of a cell's text: its length in front, NULL as '~', so that no two different rows share a text."""
    text = f"CAST({name} AS VARCHAR)"
    # `concat` passes over NULLs; one call for the whole row costs less than a chain of `||`.
    return f"coalesce(CAST(length({text}) AS VARCHAR), '~')", f"CASE WHEN {name} IS NOT NULL THEN ':' END", text


def _digest(hashes: str) -> str:
    # Sorting the row hashes and not the rows: independent of order and collation, and duplicates still count.
    ordered = np.sort(np.frombuffer(hashes.encode(), dtype=_HASH))
    return sha256_bytes(ordered.tobytes())
