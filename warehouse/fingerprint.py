"""The content fingerprint of a database: what it says, however the rows lie in the file.

What belongs here: hashing one schema's tables. What does not: hashes of files (`warehouse.files`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import duckdb

from warehouse.duck import ident, open_database, rows, tables
from warehouse.errors import Fault
from warehouse.files import canonical_json, sha256_bytes

MARTS_SCHEMA: Final = "marts"


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
        names = tables(connection, schema)
        if not names:
            raise Fault(f"{database.name} 的 {schema} 中没有任何表，无法计算内容指纹。")
        return [_table_digest(connection, schema, name) for name in names]


def fingerprint_of(digests: Sequence[Mapping[str, object]]) -> str:
    """The fingerprint of the tables with these digests."""
    return sha256_bytes(canonical_json(digests))


def table_fingerprints(database: Path, schema: str = MARTS_SCHEMA) -> dict[str, str]:
    """Table -> SHA-256 over its columns and rows: which tables two databases of different fingerprint differ in.

    Raises Fault when the file cannot be opened.
    """
    with open_database(database) as connection:
        return table_hashes([_table_digest(connection, schema, name) for name in tables(connection, schema)])


def table_hashes(digests: Iterable[Mapping[str, object]]) -> dict[str, str]:
    """Table -> SHA-256 over its digest."""
    return {str(digest["table"]): sha256_bytes(canonical_json(digest)) for digest in digests}


def _table_digest(connection: duckdb.DuckDBPyConnection, schema: str, table: str) -> dict[str, object]:
    columns = rows(
        connection,
        "SELECT column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = ? AND table_name = ? ORDER BY ordinal_position",
        [schema, table],
    )
    # Each cell with its length in front, NULL as '~': no two different rows share a text.
    cells = " || ".join(
        f"coalesce(length(CAST({ident(name)} AS VARCHAR)) || ':' || CAST({ident(name)} AS VARCHAR), '~')"
        for name, _ in columns
    )
    # Sorting the row hashes and not the rows: independent of order and collation, and duplicates still count.
    [(count, digest)] = rows(
        connection,
        f"SELECT count(*), sha256(coalesce(string_agg(h, '' ORDER BY h), ''))"
        f" FROM (SELECT sha256({cells}) AS h FROM {ident(schema)}.{ident(table)})",
    )
    return {"table": table, "columns": [list(column) for column in columns], "rows": count, "sha256": digest}
