"""The embedded finance database of the sample: one SQLite file with the table ``education_finance_line``.

Belongs here: creating the table and filling it. Amounts are text with two decimals, because SQLite would turn a decimal
type into a float.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pyarrow as pa

from sources.sample.finance import AMOUNTS, TABLE_COLUMNS

TABLE = "education_finance_line"
# Rows lie in the order they are asked for: area, year, unit, form, line.
_CREATE = f"""
CREATE TABLE {TABLE} (
  年度 INTEGER NOT NULL, 单位代码 TEXT NOT NULL, 单位名称 TEXT, 学校标识码 TEXT, 地区代码 TEXT NOT NULL,
  学校类别代码 TEXT, 表号 TEXT NOT NULL, 行次 INTEGER NOT NULL, 项目 TEXT,
  {", ".join(f"金额{number} TEXT" for number in range(1, AMOUNTS + 1))},
  updated_at TEXT NOT NULL,
  PRIMARY KEY (地区代码, 年度, 单位代码, 表号, 行次)
) WITHOUT ROWID
"""
_INSERT = f"INSERT INTO {TABLE} VALUES ({', '.join('?' * len(TABLE_COLUMNS))})"
_NOTE = "CREATE TABLE 说明 (内容 TEXT NOT NULL)"
_NOTE_TEXT = "合成样例数据，由 eduplan 生成，不是任何单位的真实资料。Synthetic sample data."


class FinanceDatabase:
    """An open database that takes Arrow tables in ``TABLE_COLUMNS`` order."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, table: pa.Table) -> None:
        """Append the lines of one district and year."""
        for batch in table.to_batches(max_chunksize=50_000):
            columns = [column.to_pylist() for column in batch.columns]
            self._connection.executemany(_INSERT, zip(*columns, strict=True))
        self._connection.commit()


@contextmanager
def finance_database(path: Path) -> Iterator[FinanceDatabase]:
    """Create the database at ``path`` (an older file is replaced) and close it at the end."""
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        # Nobody reads the file before it is finished, and a broken run starts over: no journal is needed.
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "page_size=16384"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute(_CREATE)
        connection.execute(_NOTE)
        connection.execute("INSERT INTO 说明 VALUES (?)", (_NOTE_TEXT,))
        yield FinanceDatabase(connection)
        connection.commit()
