"""The files readers open: marts.duckdb in an old storage version, and the same marts as Parquet and CSV.

What belongs here: copying judged tables unchanged and exporting them safely. What does not: deciding whether they may
be published (`warehouse.release`) and their documentation (`warehouse.dictionary`).
"""

from __future__ import annotations

import codecs
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import duckdb

from warehouse.disclosure_grid import MARKS
from warehouse.disclosure_policy import policy
from warehouse.duck import connect, ident, literal, rows, tables
from warehouse.errors import Fault
from warehouse.fingerprint import MARTS_SCHEMA, fingerprint

MARTS_FILE: Final = "marts.duckdb"
# The oldest format that carries everything used here: drivers from DuckDB 1.0 on can read it.
STORAGE_VERSION: Final = "v1.0.0"
# A cell that begins so is a formula to a spreadsheet.
_DANGEROUS: Final = r"^[=+\-@\t\r]"

MartColumns = dict[str, list[tuple[str, str]]]


def copy_marts(
    source: Path, folder: Path, expected: str, add: Callable[[duckdb.DuckDBPyConnection, str], None] | None = None
) -> MartColumns:
    """Write `marts.duckdb`, parquet/ and csv/ into `folder` from the candidate's database; `add` may create further
    schemas in the new database (it gets the connection and the attached name).

    Returns mart -> [(column, type)]. Raises Fault when the copy's fingerprint is not the `expected` one.
    """
    target = folder / MARTS_FILE
    with connect() as connection:
        connection.execute(f"ATTACH {literal(str(source))} AS judged (READ_ONLY)")
        connection.execute(f"ATTACH {literal(str(target))} AS published (STORAGE_VERSION {literal(STORAGE_VERSION)})")
        connection.execute(f"CREATE SCHEMA published.{MARTS_SCHEMA}")
        names = tables(connection, MARTS_SCHEMA, "judged")
        for name in names:
            _copy_table(connection, name)
            _export(connection, name, folder)
        if add is not None:
            add(connection, "published")
        columns = {name: [(column, kind) for column, kind in _columns(connection, name)] for name in names}
        connection.execute("DETACH published")
        _add_short_names(connection, target, names)
    if fingerprint(target) != expected:
        raise Fault("发布文件与通过检查的候选内容不一致，未发布。", "请检查磁盘后重试。")
    return columns


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


def _copy_table(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    table = f"{MARTS_SCHEMA}.{ident(name)}"
    # Sorted, so that equal content gives equal files and neighbouring rows compress well.
    connection.execute(f"CREATE TABLE published.{table} AS SELECT * FROM judged.{table} ORDER BY ALL")
    where = "WHERE database_name = 'judged' AND schema_name = ? AND table_name = ? AND comment IS NOT NULL"
    for (comment,) in rows(connection, f"SELECT comment FROM duckdb_tables() {where}", [MARTS_SCHEMA, name]):
        connection.execute(f"COMMENT ON TABLE published.{table} IS {literal(comment)}")
    found = rows(connection, f"SELECT column_name, comment FROM duckdb_columns() {where}", [MARTS_SCHEMA, name])
    for column, comment in found:
        connection.execute(f"COMMENT ON COLUMN published.{table}.{ident(column)} IS {literal(comment)}")


def _export(connection: duckdb.DuckDBPyConnection, name: str, folder: Path) -> None:
    for kind in ("parquet", "csv"):
        (folder / kind).mkdir(exist_ok=True)
    table = f"published.{MARTS_SCHEMA}.{ident(name)}"
    parquet = literal(str(folder / "parquet" / f"{name}.parquet"))
    connection.execute(f"COPY {table} TO {parquet} (FORMAT parquet, COMPRESSION zstd)")
    plain = folder / "csv" / f".{name}.plain"
    columns = _columns(connection, name)
    marked = any(column == MARKS for column, _ in columns)
    chosen = ", ".join(_guarded(column, kind, marked=marked) for column, kind in columns)
    connection.execute(f"COPY (SELECT {chosen} FROM {table}) TO {literal(str(plain))} (FORMAT csv, HEADER)")
    _with_bom(plain, folder / "csv" / f"{name}.csv")


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


def _columns(connection: duckdb.DuckDBPyConnection, name: str) -> list[tuple[str, str]]:
    found = rows(
        connection,
        "SELECT column_name, data_type FROM duckdb_columns()"
        " WHERE database_name = 'judged' AND schema_name = ? AND table_name = ? ORDER BY column_index",
        [MARTS_SCHEMA, name],
    )
    return [(str(column), str(kind)) for column, kind in found]
