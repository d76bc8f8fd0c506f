"""The files readers open: marts.duckdb in an old storage version, and the same marts as Parquet and CSV.

What belongs here: copying judged tables unchanged and exporting them safely. What does not: deciding whether they may
be published (`warehouse.release`) and their documentation (`warehouse.dictionary`).
"""

from __future__ import annotations

import codecs
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from warehouse.disclosure_grid import MARKS
from warehouse.disclosure_policy import policy
from warehouse.duck import attach, columns, connect, ident, literal, open_database, rows, tables
from warehouse.errors import Fault
from warehouse.fingerprint import MARTS_SCHEMA, table_fingerprints
from warehouse.unchanged import NOTHING, Unchanged

MARTS_FILE: Final = "marts.duckdb"
# The oldest format that carries everything used here: drivers from DuckDB 1.0 on can read it.
STORAGE_VERSION: Final = "v1.0.0"
_EXPORTED: Final = ("parquet", "csv")
# A cell that begins so is a formula to a spreadsheet.
_DANGEROUS: Final = r"^[=+\-@\t\r]"
# Equal values of these types are one value. Of others they need not be: the fingerprint tells 0.0 from -0.0.
_EXACT: Final = ("VARCHAR", "INTEGER", "BIGINT", "BOOLEAN", "DATE", "DECIMAL")

MartColumns = dict[str, list[tuple[str, str]]]


@dataclass(frozen=True)
class Copied:
    """The marts as published: mart -> [(column, type)], and the files that were linked and not written."""

    columns: MartColumns
    linked: frozenset[str]


def copy_marts(source: Path, folder: Path, same: Unchanged = NOTHING) -> Copied:
    """Write `marts.duckdb`, parquet/ and csv/ into `folder` from the candidate's database. Files of tables that are the
    `same` in the standing release are linked. What came of it is nothing until `prove_copy` has passed.
    """
    target = folder / MARTS_FILE
    for kind in _EXPORTED:
        (folder / kind).mkdir(exist_ok=True)
    with connect() as connection:
        attach(connection, source, "judged")
        standing = same.whole(MARTS_FILE) if same.tables else None
        if standing is not None:
            attach(connection, standing, "standing")
        connection.execute(f"ATTACH {literal(str(target))} AS published (STORAGE_VERSION {literal(STORAGE_VERSION)})")
        # One transaction: the disk is waited for once, not once for every comment.
        connection.execute("BEGIN")
        connection.execute(f"CREATE SCHEMA published.{MARTS_SCHEMA}")
        names = tables(connection, MARTS_SCHEMA, "judged")
        shapes = columns(connection, MARTS_SCHEMA, "judged")
        linked: set[str] = set()
        for name in names:
            _copy_table(connection, name, in_order=standing is not None and name in same.tables)
            linked |= _export(connection, name, shapes[name], folder, same)
        _copy_comments(connection)
        connection.execute("COMMIT")
        connection.execute("DETACH published")
        _add_short_names(connection, target, names)
    return Copied({name: shapes[name] for name in names}, frozenset(linked))


def add_to(folder: Path, add: Callable[[duckdb.DuckDBPyConnection, str], None]) -> None:
    """Let `add` create further schemas in the folder's `marts.duckdb`, all of it or nothing; it gets the connection and
    the attached name."""
    with connect() as connection:
        connection.execute(f"ATTACH {literal(str(folder / MARTS_FILE))} AS published")
        # One transaction: the disk is waited for once.
        connection.execute("BEGIN")
        add(connection, "published")
        connection.execute("COMMIT")
        connection.execute("DETACH published")


def prove_copy(folder: Path, expected: Mapping[str, str], same: Unchanged = NOTHING) -> None:
    """Raise Fault unless the marts in a folder say, one by one, what is `expected` (table -> SHA-256).

    A table that is the `same` says so by having the very rows it has in the standing release's file, which was proven
    when it was published (decision 34); each other one, and one that has other rows, by a digest of its rows.
    """
    database = folder / MARTS_FILE
    alike = _alike(database, same) & expected.keys()
    if {name: expected[name] for name in alike} | table_fingerprints(database, but=alike) != expected:
        raise Fault("发布文件与通过检查的候选内容不一致，未发布。", "请检查磁盘后重试。")


def _alike(database: Path, same: Unchanged) -> frozenset[str]:
    """Of the tables that are the `same`, those that are in the standing release's file as they are here, row by row;
    none where that file is not what it was."""
    standing = same.whole(MARTS_FILE) if same.tables else None
    if standing is None:
        return frozenset()
    with open_database(database, name="written") as connection:
        attach(connection, standing, "standing")
        shapes, before = (columns(connection, MARTS_SCHEMA, name) for name in ("written", "standing"))
        found = frozenset(
            name
            for name in sorted(same.tables & shapes.keys())
            if shapes[name] == before.get(name) and _has_the_rows(connection, name, shapes[name])
        )
    # What was compared with must be what was proven, and not what was put in its place meanwhile.
    return found if same.whole(MARTS_FILE) is not None else frozenset()


def _has_the_rows(connection: duckdb.DuckDBPyConnection, name: str, shape: Sequence[tuple[str, str]]) -> bool:
    """Whether a table has in both files the same rows in the same order: whoever copies a table keeps that."""
    table = f"{MARTS_SCHEMA}.{ident(name)}"
    cells = " AND ".join(
        f"{_compared('w', column, kind)} IS NOT DISTINCT FROM {_compared('s', column, kind)}" for column, kind in shape
    )
    # Counted as well: the shorter of two tables is filled up with NULLs.
    query = (
        f"SELECT (SELECT count(*) FROM written.{table}) = (SELECT count(*) FROM standing.{table})"
        f" AND coalesce(bool_and({cells}), true) FROM written.{table} AS w POSITIONAL JOIN standing.{table} AS s"
    )
    return rows(connection, query) == [(True,)]


def _compared(side: str, column: str, kind: str) -> str:
    cell = f"{side}.{ident(column)}"
    return cell if kind.startswith(_EXACT) else f"CAST({cell} AS VARCHAR)"


def _add_short_names(connection: duckdb.DuckDBPyConnection, target: Path, names: list[str]) -> None:
    """A view of each mart in the default schema, so that a reader of marts.duckdb may write `FROM mart_enrolment`.

    DuckDB names a database after its file, so `marts.mart_enrolment` could mean catalogue or schema `marts` and is
    refused as ambiguous; without these views only `marts.marts.mart_enrolment` would do.
    """
    connection.execute(f"ATTACH {literal(str(target))} AS {MARTS_SCHEMA}")
    for name in names:
        mart = ident(name)
        connection.execute(
            f"CREATE VIEW {MARTS_SCHEMA}.main.{mart} AS SELECT * FROM {MARTS_SCHEMA}.{MARTS_SCHEMA}.{mart}"
        )
    connection.execute(f"DETACH {MARTS_SCHEMA}")


def _copy_table(connection: duckdb.DuckDBPyConnection, name: str, *, in_order: bool) -> None:
    """`in_order`: the standing release has the same rows, sorted already; `prove_copy` proves that they are."""
    table = f"{MARTS_SCHEMA}.{ident(name)}"
    # Sorted, so that equal content gives equal files and neighbouring rows compress well.
    source = f"standing.{table}" if in_order else f"judged.{table} ORDER BY ALL"
    connection.execute(f"CREATE TABLE published.{table} AS SELECT * FROM {source}")


def _copy_comments(connection: duckdb.DuckDBPyConnection) -> None:
    where = "WHERE database_name = 'judged' AND schema_name = ? AND comment IS NOT NULL ORDER BY ALL"
    found = [
        (f"TABLE published.{MARTS_SCHEMA}.{ident(name)}", comment)
        for name, comment in rows(
            connection, f"SELECT table_name, comment FROM duckdb_tables() {where}", [MARTS_SCHEMA]
        )
    ]
    query = f"SELECT table_name, column_name, comment FROM duckdb_columns() {where}"
    found += [
        (f"COLUMN published.{MARTS_SCHEMA}.{ident(name)}.{ident(column)}", comment)
        for name, column, comment in rows(connection, query, [MARTS_SCHEMA])
    ]
    if found:
        connection.execute("; ".join(f"COMMENT ON {what} IS {literal(comment)}" for what, comment in found))


def _export(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    shape: Sequence[tuple[str, str]],
    folder: Path,
    same: Unchanged,
) -> set[str]:
    """Write or link the files of a mart; returns those that were linked."""
    files = {kind: f"{kind}/{name}.{kind}" for kind in _EXPORTED}
    linked = {file for file in files.values() if name in same.tables and same.link(file, folder / file)}
    table = f"published.{MARTS_SCHEMA}.{ident(name)}"
    if files["parquet"] not in linked:
        parquet = literal(str(folder / files["parquet"]))
        connection.execute(f"COPY {table} TO {parquet} (FORMAT parquet, COMPRESSION zstd)")
    if files["csv"] not in linked:
        plain = folder / "csv" / f".{name}.plain"
        marked = any(column == MARKS for column, _ in shape)
        chosen = ", ".join(_guarded(column, kind, marked=marked) for column, kind in shape)
        connection.execute(f"COPY (SELECT {chosen} FROM {table}) TO {literal(str(plain))} (FORMAT csv, HEADER)")
        _with_bom(plain, folder / files["csv"])
    return linked


def _with_bom(plain: Path, target: Path) -> None:
    """Excel takes UTF-8 for GBK without a byte order mark; every CSV reader in use skips it."""
    with plain.open("rb") as source, target.open("wb") as handle:
        handle.write(codecs.BOM_UTF8)
        shutil.copyfileobj(source, handle)
    plain.unlink()


def _guarded(column: str, kind: str, *, marked: bool) -> str:
    name = ident(column)
    if kind != "VARCHAR":
        # Numbers keep their sign: only texts can be taken for formulas by mistake.
        if not marked:
            return name
        taken_out = f"list_contains(string_split({ident(MARKS)}, ','), {literal(column)})"
        symbol = literal(policy().symbol)
        # A blank would read as "no value": what was taken out says so.
        return f"CASE WHEN {taken_out} THEN {symbol} ELSE CAST({name} AS VARCHAR) END AS {name}"
    return f"CASE WHEN regexp_matches({name}, {literal(_DANGEROUS)}) THEN '''' || {name} ELSE {name} END AS {name}"
