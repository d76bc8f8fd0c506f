"""The last look at a release before anybody else sees it: no identity number, no telephone number, no name of a
register in any of its files.

What belongs here: reading every text of a release folder, whatever kind of file it stands in, and saying where one of
them names a person. What does not: refusing (`warehouse.release`), what a number looks like (`warehouse.masking`) and
what a name is (`warehouse.names`).

Typed numbers and dates are not searched: they hold no name, and an amount of eleven digits cannot be told from a
telephone number.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from warehouse import duck
from warehouse.errors import Fault
from warehouse.fingerprint import MARTS_SCHEMA
from warehouse.masking import shows_number
from warehouse.names import NameMarks, words_of

_TEXT: Final = ("VARCHAR", "VARCHAR[]")
# Persons who answer for a waiver or an acknowledgement are named on purpose, and may share a name with a teacher.
_ANSWERING: Final = frozenset({"requested_by", "approved_by", "acknowledged_by"})
# Not searched: keys and signatures hold no text, the marts are read as tables.
_OPAQUE: Final = {".pub"}
_TABLES: Final = {".duckdb", ".parquet", ".csv"}


# A place within a file, and the texts that stand there.
Texts = tuple[str, list[str]]


@dataclass(frozen=True)
class Exposure:
    """Where a person shows: file, place within it (table and column, or line), and what: a number or a name."""

    file: str
    place: str
    what_zh: str

    def line(self) -> str:
        """One Chinese phrase, without the number or name itself."""
        return f"{self.file}{'（' + self.place + '）' if self.place else ''}有{self.what_zh}"


@dataclass(frozen=True)
class Searched:
    """What was looked at before, for the same names by the same program, and has not changed: files by their paths,
    tables of schema `marts`, and the database of another release (None: of none), whose texts need no second look where
    they stand in the same column."""

    files: frozenset[str] = frozenset()
    tables: frozenset[str] = frozenset()
    database: Path | None = None


def exposures(folder: Path, names: NameMarks | None) -> list[Exposure]:
    """Every place of a release folder that shows a person, in the order of files; `names` None: numbers only. Raises
    Fault when a file cannot be read as what it is."""
    return shown(read_texts(folder, Searched()), names)


def is_table(path: Path) -> bool:
    """Whether a file holds tables: these are written before the documents about them."""
    return path.suffix in _TABLES


def read_texts(
    folder: Path, searched: Searched, wanted: Callable[[Path], bool] = lambda path: True
) -> list[tuple[str, str, list[str]]]:
    """(file, place, the texts there) of the `wanted` files of a release folder, in their order; what was `searched`
    before is passed over. Raises Fault when a file cannot be read as what it is."""
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    with duck.connect() as connection:
        return [
            (name, place, texts)
            for name, path in files.items()
            if name not in searched.files and wanted(path)
            for place, texts in _texts(connection, path, searched)
        ]


def shown(found: Collection[tuple[str, str, list[str]]], names: NameMarks | None) -> list[Exposure]:
    """Which of the texts that were read show a person, in the order of files."""
    # Nearly every text stands in several files: each is looked at once.
    every = set().union(*(texts for _, _, texts in found))
    telling = {
        "身份证号或电话号码": {text for text in every if shows_number(text)},
        "名册中的姓名": _with_names(every, names) if names is not None else set(),
    }
    told = {
        Exposure(file, place, what)
        for what, those in telling.items()
        if those
        for file, place, texts in found
        if not those.isdisjoint(texts)
    }
    return sorted(told, key=lambda item: (item.file, item.place, item.what_zh))


def _with_names(texts: Collection[str], names: NameMarks) -> set[str]:
    known = names.names_in(texts)
    # Seldom anything: then no text is looked at by itself.
    return {text for text in texts if words_of(text) & known} if known else set()


# -- texts ------------------------------------------------------------------------------------------------------------


def _texts(connection: duckdb.DuckDBPyConnection, path: Path, searched: Searched) -> Iterator[Texts]:
    """(place, the texts there) for every place of a file; a text that stands there often may be given once."""
    if path.suffix == ".duckdb":
        yield from _of_database(path, searched)
    elif path.suffix in {".parquet", ".csv"}:
        yield from _of_table(connection, path)
    elif path.suffix == ".json":
        yield from _of_json(path)
    elif path.suffix == ".html":
        yield from _of_page(path)
    elif path.suffix not in _OPAQUE:
        yield from _of_lines(path)
    yield "文件名", [path.name]


def _of_database(path: Path, searched: Searched) -> Iterator[Texts]:
    with duck.connect() as connection:
        duck.attach(connection, path, "written")
        if searched.database is not None:
            duck.attach(connection, searched.database, "before")
        before = _text_columns(connection, "before")
        for place, kind in sorted(_text_columns(connection, "written").items()):
            schema, table, column = place
            if column not in _ANSWERING and not (schema == MARTS_SCHEMA and table in searched.tables):
                relation = f"{duck.ident(schema)}.{duck.ident(table)}"
                known = f"before.{relation}" if before.get(place) == kind else None
                yield ".".join(place), _distinct(connection, f"written.{relation}", column, known)


def _text_columns(connection: duckdb.DuckDBPyConnection, database: str) -> dict[tuple[str, str, str], str]:
    """(schema, table, column) -> type, of every column of texts in the tables of a database; none where it is not
    attached."""
    query = (
        "SELECT c.schema_name, c.table_name, c.column_name, c.data_type FROM duckdb_columns() AS c"
        " INNER JOIN duckdb_tables() AS t USING (database_oid, schema_oid, table_oid)"
        f" WHERE c.data_type IN {_TEXT} AND c.database_name = ?"
    )
    found = duck.rows(connection, query, [database])
    return {(str(schema), str(table), str(column)): str(kind) for schema, table, column, kind in found}


def _of_table(connection: duckdb.DuckDBPyConnection, path: Path) -> Iterator[Texts]:
    typed = path.parent.parent / "parquet" / f"{path.stem}.parquet"
    # Which columns of a CSV are texts is asked of the Parquet beside it, which says so.
    described = duck.rows(connection, f"DESCRIBE SELECT * FROM read_parquet({duck.literal(str(typed))})")
    kinds = {str(column): str(kind) for column, kind, *_ in described}
    source = f"read_parquet({duck.literal(str(path))})" if path.suffix == ".parquet" else _csv(path, kinds)
    texts = [column for column, kind in kinds.items() if kind in _TEXT]
    chosen = ", ".join(duck.ident(column) for column in texts)
    connection.execute(f"CREATE OR REPLACE TEMPORARY TABLE told AS SELECT {chosen or 'NULL'} FROM {source}")
    for column in texts:
        yield column, _distinct(connection, "told", column)


def _csv(path: Path, columns: Iterable[str]) -> str:
    shape = ", ".join(f"{duck.literal(name)}: 'VARCHAR'" for name in columns)
    return (
        f"read_csv({duck.literal(str(path))}, auto_detect=false, header=true, delim=',', quote='\"', escape='\"',"
        f" columns={{{shape}}})"
    )


def _distinct(connection: duckdb.DuckDBPyConnection, relation: str, column: str, known: str | None = None) -> list[str]:
    """The texts of a column; without those of the same column of the relation `known`."""
    name = duck.ident(column)
    query = f"SELECT DISTINCT {name} FROM {relation} WHERE {name} IS NOT NULL"
    found = duck.rows(connection, query if known is None else f"{query} EXCEPT SELECT {name} FROM {known}")
    return [str(text) for (value,) in found for text in (value if isinstance(value, list) else [value])]


def _of_json(path: Path) -> Iterable[Texts]:
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise Fault(f"{path.name} 不是合格的 JSON，无法检查其中有没有个人信息。", "请重新运行。") from error
    found: dict[str, list[str]] = {}
    _of_value("", content, found)
    return found.items()


def _of_value(place: str, value: Any, found: dict[str, list[str]]) -> None:
    """Add the texts of a value, names of members among them, to those `found` at its place."""
    if isinstance(value, str):
        found.setdefault(place, []).append(value)
    elif isinstance(value, list):
        for item in value:
            _of_value(place, item, found)
    elif isinstance(value, dict) and "payloadType" in value:
        # A signed envelope: what was signed is text behind letters.
        _of_value(place, json.loads(base64.b64decode(value["payload"])), found)
    elif isinstance(value, dict):
        found.setdefault(place, []).extend(value)
        for name, item in value.items():
            if name not in _ANSWERING:
                _of_value(f"{place}.{name}" if place else name, item, found)


def _of_page(path: Path) -> Iterator[Texts]:
    """The lines of a page as they are, tags and comments too, with characters for their references: a name or number
    stands between the same edges there as on the screen."""
    for place, texts in _of_lines(path):
        yield place, [html.unescape(text) for text in texts]


def _of_lines(path: Path) -> Iterator[Texts]:
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        yield f"第 {number} 行", [line]
