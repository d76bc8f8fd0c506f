"""Reads every value below a home - tables, pages, logs, ledger rows - and looks for persons in them."""

from __future__ import annotations

import re
import sqlite3
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
from python_calamine import CalamineWorkbook

from warehouse import duck

LEFT_OUT = ("archive", "inbox")


def values_below(home: Path) -> Iterator[tuple[str, str]]:
    """(where, text) for everything readable below `home` except what was handed in; values, not compressed bytes."""
    for path in sorted(p for p in home.rglob("*") if p.is_file() and not p.is_symlink()):
        if path.relative_to(home).parts[0] not in LEFT_OUT:
            for text in _values(path):
                yield str(path.relative_to(home)), text


def _values(path: Path) -> Iterator[str]:
    with path.open("rb") as stream:
        head = stream.read(16)
    if head.startswith(b"PAR1"):
        yield from _arrow_texts(pq.read_table(path).columns)
    elif head.startswith(b"SQLite format 3"):
        yield from _sqlite_texts(path)
    elif path.suffix == ".duckdb":
        yield from _duckdb_texts(path)
    elif head.startswith(b"PK"):
        yield from _workbook_texts(path)
    else:
        yield path.read_bytes().decode("utf8", errors="replace")
    yield path.name


def _arrow_texts(columns: Iterable[object]) -> Iterator[str]:
    for column in columns:
        for value in column.unique().to_pylist():  # type: ignore[attr-defined]
            if isinstance(value, str):
                yield value


def _sqlite_texts(path: Path) -> Iterator[str]:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        names = [row[0] for row in connection.execute("select name from sqlite_master where type = 'table'")]
        for name in names:
            for row in connection.execute(f'select * from "{name}"'):
                yield from (_as_text(value) for value in row if isinstance(value, str | bytes))


def _as_text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf8", errors="replace")


def _duckdb_texts(path: Path) -> Iterator[str]:
    with duck.connect(path, read_only=True) as connection:
        relations = connection.execute(
            "select table_catalog, table_schema, table_name, list(column_name) from information_schema.columns"
            " where data_type like 'VARCHAR%' group by all order by all"
        ).fetchall()
        for catalogue, schema, table, columns in relations:
            # One pass for all its columns: many relations are views, and what they cost is making their rows.
            distinct = ", ".join(f'list(distinct "{column}")' for column in columns)
            row = connection.execute(f'select {distinct} from "{catalogue}"."{schema}"."{table}"').fetchone()
            for values in row or ():
                yield from _flat(values or [])


def _flat(value: object) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _flat(item)
    elif value is not None:
        yield str(value)


def _workbook_texts(path: Path) -> Iterator[str]:
    with zipfile.ZipFile(path) as archive:
        if "xl/workbook.xml" not in archive.namelist():
            yield from archive.namelist()
            return
    book = CalamineWorkbook.from_path(str(path))
    for name in book.sheet_names:
        for row in book.get_sheet_by_name(name).to_python():
            yield from (cell for cell in row if isinstance(cell, str))


def _stretches(wanted: set[str], length: int) -> re.Pattern[str]:
    """Stretches of at least that many characters that stand in any of the strings."""
    characters = "".join(re.escape(character) for character in sorted(set().union(*wanted)))
    return re.compile(f"[{characters}]{{{length},}}")


class Persons:
    """Finds any of many persons' strings in a text: by sliding windows of their lengths, over those stretches of the
    text alone that consist of characters which strings of that length consist of."""

    def __init__(self, wanted: Iterable[str]) -> None:
        self._wanted = {text for text in wanted if text}
        self._stretches = [
            (length, _stretches({text for text in self._wanted if len(text) == length}, length))
            for length in sorted({len(text) for text in self._wanted})
        ]
        # The same value stands in many tables.
        self._seen: dict[str, set[str]] = {}

    def found_in(self, text: str) -> set[str]:
        """Those of the wanted strings that stand in `text`."""
        if text in self._wanted:
            return {text}
        if text not in self._seen:
            self._seen[text] = {
                window
                for length, stretches in self._stretches
                for stretch in stretches.findall(text)
                for window in {stretch[i : i + length] for i in range(len(stretch) - length + 1)}
                if window in self._wanted
            }
        return self._seen[text]

    def __len__(self) -> int:
        return len(self._wanted)
