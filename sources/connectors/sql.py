"""The finance database: rows per area and year, read when their watermark moved, as canonical CSV.

What belongs here: the watermark query and the streaming snapshot. What does not: the meaning of a line (the contract
and the parser know it). The address may hold a password: it appears in no message and no log.
"""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import time
from collections import deque
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from itertools import chain, groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from sources.connectors.arrival import Arrival
from sources.utf8 import is_utf8
from sources.workers import new_pool, worker_count
from warehouse.archive import Snapshot, store_stream
from warehouse.clock import SHANGHAI
from warehouse.errors import Fault
from warehouse.files import canonical_json, write_atomic
from warehouse.ledger_tables import with_driver
from warehouse.paths import Home

CONNECTOR: Final = "sql"
FEED: Final = "education_finance"
TABLE: Final = "education_finance_line"
AREA, YEAR, STAMP, FIRST_AMOUNT = "地区代码", "年度", "updated_at", "金额1"
# The version of a group of which nothing is left.
GONE: Final = "vanished"
COLUMNS: Final = (
    YEAR,
    "单位代码",
    "单位名称",
    "学校标识码",
    AREA,
    "学校类别代码",
    "表号",
    "行次",
    "项目",
    *(f"金额{n}" for n in range(1, 9)),
    STAMP,
)
_SORT: Final = ("单位代码", "表号", "行次")
# Rows asked for and written together: 1.9 µs of processor a row where SQLite writes the line, 4.1 by csv.writer; a
# quarter as many take the same, ten times as many 2.5 and 4.6.
_BATCH: Final = 2_000
# A file system's clock may stand still for a moment: what was written just now may be written again unseen.
_STILL_SECONDS: Final = 2.0
_GROUP_OF: Final = itemgetter(COLUMNS.index(AREA), COLUMNS.index(YEAR))

# Stands where SQLite is not to write a line itself: JSON has a backslash only where it escapes.
_REFUSED: Final = b"\\"
# Neither a view nor a virtual table, and no generated column: their values can be JSON already, which `json_array`
# takes in as it is. In any other encoding the bytes of a text are not UTF-8.
_PLAIN_TABLE: Final = sa.text(
    "SELECT count(*) FROM sqlite_master, pragma_encoding WHERE type = 'table' AND rootpage > 0 AND encoding = 'UTF-8'"
    " AND name = :table COLLATE NOCASE AND NOT EXISTS (SELECT 1 FROM pragma_table_xinfo(:table) WHERE hidden <> 0)"
)

Row = Sequence[Any]
# A group and a piece of its canonical CSV.
Chunk = tuple[Any, bytes]


def list_arrivals(
    url: str, seen: Collection[tuple[str, str]], *, compare: bool = False, memory: Path | None = None
) -> list[Arrival]:
    """Groups (area, year) whose watermark is not in `seen`, sorted by name. One aggregate query, and none where
    `memory` (a file) tells what it gave and the database's file is the same as then. Raises Fault.

    The watermark is the newest stamp, the number of rows and the sum of the first amount: rows deleted move it too. An
    edit in place that leaves all of these as they were is found with `compare`: then groups that were seen come back as
    well, to be fetched and compared by content. A group in `seen` that is no longer there comes
    back as `vanished`. Rows that name no area or no year belong to no group; they are one arrival with a problem.
    """
    found = [_arrival(*group) for group in _groups(url, None if compare else memory)]
    fresh = [arrival for arrival in found if (arrival.source, arrival.version) not in seen]
    again = [arrival for arrival in found if compare and (arrival.source, arrival.version) in seen]
    gone = _vanished({arrival.source for arrival in found}, seen)
    listed = [*fresh, *(replace(arrival, compare=True) for arrival in again), *gone]
    return sorted(listed, key=lambda arrival: arrival.source)


# Area, year, watermark, rows.
Group = tuple[Any, Any, str, int]


# What was begun before it is asked for: address and memory -> the groups.
_begun: Final[dict[tuple[str, Path | None], Future[list[Group]]]] = {}


@contextmanager
def looking_ahead(url: str, memory: Path | None) -> Iterator[None]:
    """Begin what the next `list_arrivals` of this address and memory inside the block asks first, beside other work:
    the database is gone through whole, without Python. Raises nothing; what goes wrong is raised there."""
    with ThreadPoolExecutor(1, thread_name_prefix="eduplan-look") as pool:
        _begun[url, memory] = pool.submit(_looked_at, url, memory)
        try:
            yield
        finally:
            _begun.pop((url, memory), None)


def _groups(url: str, memory: Path | None) -> list[Group]:
    """Every group with its watermark, of now or of when `looking_ahead` began."""
    begun = _begun.pop((url, memory), None)
    return _looked_at(url, memory) if begun is None else begun.result()


def _looked_at(url: str, memory: Path | None) -> list[Group]:
    """The database is not asked while its file is as it was at the last asking."""
    state = _file_state(url) if memory is not None else None
    if memory is not None and state is not None and (known := _remembered(memory, state)) is not None:
        return known
    found = _asked(url)
    if memory is not None and state is not None:
        write_atomic(memory, canonical_json({"state": state, "groups": found}))
    return found


def _asked(url: str) -> list[Group]:
    area: sa.ColumnElement[Any] = sa.column(AREA)
    year: sa.ColumnElement[Any] = sa.column(YEAR)
    marks: tuple[sa.ColumnElement[Any], ...] = (
        sa.func.max(sa.column(STAMP)),
        sa.func.count(),
        sa.func.sum(sa.column(FIRST_AMOUNT)),
    )
    query = sa.select(area, year, *marks).select_from(sa.table(TABLE)).group_by(area, year)
    with _connected(url) as connection:
        _check_columns(connection)
        return [(row[0], row[1], "|".join(str(mark) for mark in row[2:]), row[3]) for row in connection.execute(query)]


def _file_state(url: str) -> list[Any] | None:
    """Path, size and time of an embedded database's file and of the logs beside it; None for a server, for a file that
    is not there, and for one written a moment ago, whose time could stand still over a further write."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return None
    found: list[Any] = []
    for path in (Path(parsed.database), Path(f"{parsed.database}-wal"), Path(f"{parsed.database}-journal")):
        try:
            status = path.stat()
        except FileNotFoundError:
            found.append([str(path), None])
            continue
        if time.time() - status.st_mtime < _STILL_SECONDS:
            return None
        found.append([str(path), status.st_size, status.st_mtime_ns, status.st_ino])
    return found if len(found[0]) > 2 else None


def _remembered(memory: Path, state: list[Any]) -> list[Group] | None:
    try:
        told = json.loads(memory.read_bytes())
        return (
            [(area, year, mark, rows) for area, year, mark, rows in told["groups"]] if told["state"] == state else None
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        # Damaged, it is as good as none.
        return None


def _vanished(present: Collection[str], seen: Collection[tuple[str, str]]) -> list[Arrival]:
    """Groups taken in earlier whose rows are all gone: never a silent loss, and never a silent removal either."""
    once = {source for source, _ in seen if source.startswith(f"{TABLE}/")}
    return [
        Arrival(
            CONNECTOR,
            source,
            GONE,
            FEED,
            vanished=True,
            problem=(
                f"财务数据库中 {source.removeprefix(TABLE + '/')}（地区/年度）的数据已全部删除；原先收取的仍然有效。"
                "如属误删请财务部门恢复；如确应撤回，请执行 eduplan withdraw。"
            ),
        )
        for source in sorted(once - set(present))
    ]


def _arrival(area: Any, year: Any, version: str, rows: int) -> Arrival:
    source = f"{TABLE}/{area}/{year}"
    if area is None or year is None:
        problem = f"财务数据库中有 {rows} 行没有地区代码或年度，未收取；请财务部门补全后自动重收。"
        return Arrival(CONNECTOR, source, version, FEED, problem=problem)
    return Arrival(CONNECTOR, source, version, FEED, file_name=f"{TABLE}_{area}_{year}.csv", group=(area, year))


def fetch(
    home: Home, url: str, arrivals: Collection[Arrival], *, workers: int | None = None
) -> Iterator[tuple[Arrival, Snapshot]]:
    """Snapshot the groups of these arrivals, in the order of area and year, in constant memory.

    Bytes are canonical: the columns of COLUMNS, UTF-8, LF, sorted by unit, form and line in binary order. A group that
    vanished since it was listed yields nothing. Several areas are read beside each other, `workers` at a time (default:
    EDUPLAN_WORKERS), in processes that hold the credentials and never open a delivery. Raises Fault, OSError.
    """
    by_area = _by_area(arrivals)
    processes = min(workers or worker_count(), len(by_area))
    if processes <= 1:
        for share in by_area:
            yield from _fetch_area(home, url, share)
        return
    waiting: deque[Future[list[tuple[Arrival, Snapshot]]]] = deque()
    with new_pool(processes) as pool:
        for share in by_area:
            waiting.append(pool.submit(_fetch_area, home, url, share))
            if len(waiting) > processes * 2:
                yield from _done(waiting)
        while waiting:
            yield from _done(waiting)


def _done(waiting: deque[Future[list[tuple[Arrival, Snapshot]]]]) -> list[tuple[Arrival, Snapshot]]:
    """The oldest share. Raises what its reading raised; Fault when its process was killed."""
    try:
        return waiting.popleft().result()
    except BrokenProcessPool:
        raise Fault(
            "读取财务数据库的进程被终止（可能内存不足）。", "请确认内存充足后重新运行；已收取的部分不会重收。"
        ) from None


def _by_area(arrivals: Iterable[Arrival]) -> list[list[Arrival]]:
    shares: dict[Any, list[Arrival]] = {}
    for arrival in arrivals:
        if arrival.group is not None:
            shares.setdefault(arrival.group[0], []).append(arrival)
    return [shares[area] for area in sorted(shares, key=str)]


def _fetch_area(home: Home, url: str, arrivals: Sequence[Arrival]) -> list[tuple[Arrival, Snapshot]]:
    """The groups of one area in one sorted pass; an index that begins with the area makes it a short one."""
    wanted = {arrival.group: arrival for arrival in arrivals}
    with _connected(url) as connection:
        chunks = _chunks(connection, [group for group in wanted if group])
        return [
            (wanted[group], store_stream(home, chain([_csv([COLUMNS])], (piece for _, piece in pieces))))
            for group, pieces in groupby(chunks, key=itemgetter(0))
        ]


def _chunks(connection: sa.Connection, groups: Sequence[tuple[Any, Any]]) -> Iterator[Chunk]:
    """The lines of groups that share their area. SQLite writes them itself up to the first batch that csv.writer might
    write otherwise; what is odd in one year mostly is in the next, so the rest of the area is left to csv.writer."""
    text_columns = _check_columns(connection)
    query = _rows_query(text_columns, groups, connection.dialect.name)
    taken: int | None = 0
    if connection.dialect.name == "sqlite":
        taken = yield from _by_database(connection, query, groups[0][0], text_columns)
    if taken is not None:
        yield from _by_writer(connection, query, taken)


def _by_writer(connection: sa.Connection, query: sa.Select[Any], taken: int) -> Iterator[Chunk]:
    """All batches but the first `taken`."""
    streaming = connection.execution_options(stream_results=True, yield_per=_BATCH)
    batches = islice(streaming.execute(query).partitions(_BATCH), taken, None)
    return ((group, _csv(rows)) for group, rows in _by_group(map(_plain_stamps, batches)))


def _by_database(
    connection: sa.Connection, query: sa.Select[Any], area: Any, text_columns: Collection[str]
) -> Generator[Chunk, None, int | None]:
    """Returns how many batches were good when it met one that was not; None when all were."""
    # Whoever goes on after this must see the same rows.
    connection.exec_driver_sql("BEGIN")
    texts = sum(name in text_columns for name in COLUMNS)
    for taken, batch in enumerate(_json_batches(connection, query.with_only_columns(_json_line(text_columns)))):
        pieces = [(year, _plain_csv(lines, texts)) for year, lines in _by_year(batch)]
        if any(piece is None for _, piece in pieces):
            return taken
        yield from (((area, json.loads(year)), piece) for year, piece in pieces if piece is not None)
    return None


def _json_line(text_columns: Collection[str]) -> sa.ColumnElement[Any]:
    """A row as one JSON array: one call, where `||` takes two operations a column and twice the time, and texts, whole
    numbers and blobs (an error) stay apart. As a blob, so that a batch is decoded at once and not line by line."""
    empty: sa.ColumnElement[Any] = sa.literal_column("''")
    columns: dict[str, sa.ColumnElement[Any]] = {name: sa.column(name) for name in COLUMNS}
    values = [sa.func.ifnull(column, empty) if name in text_columns else column for name, column in columns.items()]
    whole = [
        sa.func.typeof(column) == sa.literal_column("'integer'")
        for name, column in columns.items()
        if name not in text_columns
    ]
    line = sa.cast(sa.func.json_array(*values), sa.LargeBinary)
    return sa.case((sa.and_(sa.true(), *whole), line), else_=sa.literal_column(f"x'{_REFUSED.hex()}'"))


def _json_batches(connection: sa.Connection, query: sa.Select[Any]) -> Iterator[list[bytes]]:
    """The rows are taken from the driver's cursor: SQLAlchemy's own rows add an eighth to the time of all this.
    Whatever SQLite cannot do (JSON of a blob, JSON at all) ends in a refusal; the other way fails then too or does not.
    """
    try:
        if not connection.execute(_PLAIN_TABLE, {"table": TABLE}).scalar():
            yield [_REFUSED]
            return
        with connection.execute(query) as result:
            while result.cursor is not None and (rows := result.cursor.fetchmany(_BATCH)):
                yield [line for (line,) in rows]
    except (DBAPIError, sqlite3.Error):
        yield [_REFUSED]


def _by_year(lines: Sequence[bytes]) -> Iterator[tuple[bytes, Sequence[bytes]]]:
    """A sorted batch of one area, cut where a year ends. The year stands first, as JSON, behind a bracket."""
    first = _first_value(lines[0])
    if first == _first_value(lines[-1]):
        yield first, lines
    else:
        yield from ((year, list(group)) for year, group in groupby(lines, key=_first_value))


def _first_value(line: bytes) -> bytes:
    return line.partition(b",")[0][1:]


def _plain_csv(lines: Sequence[bytes], texts: int) -> bytes | None:
    """JSON arrays as lines of CSV; None where csv.writer might write something else.

    Nothing is escaped, so no value holds a quote, a line break or a NUL. There are no more commas than separators, and
    two quotes for every text column, so no value holds a comma and no number (a real is written otherwise by Python)
    stands in a text column. Nothing but these quotes and the brackets around the lines is dropped. It is UTF-8.
    """
    joined = b"\n".join((*lines, b""))
    quotes = _count(joined, b'"')
    plain = joined.translate(None, b'"[]')
    sound = (
        b"\\" not in joined
        and _count(joined, b",") == len(lines) * (len(COLUMNS) - 1)
        and quotes == len(lines) * texts * 2
        and len(joined) - len(plain) == quotes + len(lines) * 2
    )
    return plain if sound and is_utf8(plain) else None


def _count(text: bytes, byte: bytes) -> int:
    """How often a byte stands there: what `text.count(byte)` says, in a fifth of its time where there are many."""
    return int(np.count_nonzero(np.frombuffer(text, dtype=np.uint8) == byte[0]))


def _rows_query(text_columns: Collection[str], groups: Sequence[tuple[Any, Any]], dialect: str) -> sa.Select[Any]:
    """The lines of groups that share their area."""
    query = sa.select(*(sa.column(name) for name in COLUMNS)).select_from(sa.table(TABLE))
    rest = [name for name in COLUMNS if name not in (AREA, YEAR, *_SORT)]
    order = [_binary(name, text_columns, dialect) for name in (AREA, YEAR, *_SORT, *rest)]
    area, years = groups[0][0], [year for _, year in groups]
    return query.where(sa.column(AREA) == area, sa.column(YEAR).in_(years)).order_by(*order)


def _binary(name: str, text_columns: Collection[str], dialect: str) -> sa.ColumnElement[Any]:
    """Sort by code point on every engine: PostgreSQL follows its locale unless told otherwise."""
    column: sa.ColumnElement[Any] = sa.column(name)
    return sa.collate(column, "C") if dialect == "postgresql" and name in text_columns else column


def _by_group(batches: Iterable[Sequence[Row]]) -> Iterator[tuple[Any, Sequence[Row]]]:
    """Sorted batches, cut where a group ends. Most lie within one: their rows are not looked at one by one."""
    for batch in batches:
        group = _GROUP_OF(batch[0])
        if group == _GROUP_OF(batch[-1]):
            yield group, batch
        else:
            yield from ((each, list(rows)) for each, rows in groupby(batch, key=_GROUP_OF))


def _plain_stamps(batch: Sequence[Row]) -> Sequence[Row]:
    """Time stamps with a zone become Shanghai wall time, as the contract has them; others pass unchanged."""
    last = batch[0][-1]
    if not (isinstance(last, datetime) and last.tzinfo is not None):
        return batch
    return [(*row[:-1], row[-1].astimezone(SHANGHAI).replace(tzinfo=None)) for row in batch]


def _csv(rows: Iterable[Row]) -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue().encode("utf-8")


def _check_columns(connection: sa.Connection) -> set[str]:
    """Names of the text columns. Raises Fault when the table or a column is missing."""
    inspector = sa.inspect(connection)
    if not inspector.has_table(TABLE):
        raise Fault(f"财务数据库中没有表 {TABLE}。", "请财务部门确认数据库地址与权限。")
    columns = {column["name"]: column["type"] for column in inspector.get_columns(TABLE)}
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        raise Fault(
            f"财务数据库的表 {TABLE} 缺少列：{'、'.join(missing)}。", "请财务部门恢复这些列，或先修订数据契约。"
        )
    return {name for name, kind in columns.items() if isinstance(kind, sa.types.String)}


@contextmanager
def _connected(url: str) -> Iterator[sa.Connection]:
    engine = _open(url)
    try:
        with engine.connect() as connection:
            yield connection
    except DBAPIError as error:
        kind = type(error.orig).__name__
        # The driver's text may name host and user; the kind of error is enough here.
        raise Fault(f"财务数据库读取失败（{kind}）。", "请检查网络、数据库服务与账号权限；恢复后会自动重收。") from None
    finally:
        engine.dispose()


def _open(url: str) -> sa.Engine:
    try:
        address = with_driver(url)
        if address.get_backend_name() == "sqlite":
            address = _read_only(address)
        return sa.create_engine(address, hide_parameters=True)
    except (ArgumentError, NoSuchModuleError):
        raise Fault("财务数据库地址写法不对。", "请检查环境变量 EDUPLAN_FINANCE_URL（SQLAlchemy URL）。") from None


def _read_only(address: URL) -> URL:
    """The same file, never created and never written."""
    path = Path(address.database or "").absolute()
    if not path.is_file():
        raise Fault(f"财务数据库文件不存在：{path}", "请检查环境变量 EDUPLAN_FINANCE_URL。")
    return address.set(database=f"file:{quote(str(path))}", query={"mode": "ro", "uri": "true"})
