"""What carries a flat delivery: a JSON document, JSON Lines, Parquet or CSV, taken apart into labels and rows of text.

What belongs here: formats, and the limits a hostile file runs into. What does not: what a column means
(`sources.parsers.flat`). Content decides the carrier, never a name.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from sources.contract import Contract
from sources.flat import Carrier, FlatLayout
from sources.labels import key, plain
from sources.parsers.delimited import open_text, to_utf8
from sources.parsers.grid import UnreadableError
from sources.parsers.units import unit_of

_PARQUET: Final = b"PAR1"
_ENVELOPE: Final = {"message_id", "sequence", "subject"}
_HEADER_LINES: Final = 20
_MAX_ROWS: Final = 2_000_000
_MAX_COLUMNS: Final = 2_000
_MAX_UNPACKED: Final = 1 << 30
_UNIT_SUFFIX: Final = re.compile(r"(.+)\(([^()]{1,4})\)")
_EDGES: Final = " \t\u3000\xa0\u200b\ufeff\r\n"
_NAMES_ZH: Final[dict[Carrier, str]] = {
    "json": "JSON 文档",
    "jsonl": "JSON Lines",
    "parquet": "Parquet",
    "csv": "CSV",
}


@dataclass(frozen=True)
class RawTable:
    """A delivery taken apart. `rows` are cells as trimmed text ('' for none) under `labels`; `numbers` their 1-based
    rows (item, line or record); `bad` rows that are none, with the reason; `units` label -> unit in its brackets;
    `around` the texts of a CSV's lines above and below the table."""

    carrier: Carrier
    labels: tuple[str, ...]
    rows: list[list[str]]
    numbers: list[int]
    bad: list[tuple[int, str]] = field(default_factory=list)
    head: dict[str, str] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    around: tuple[str, ...] = ()


def open_table(data: bytes, contract: Contract, layout: FlatLayout) -> RawTable:
    """Take a delivery apart. Raises UnreadableError when it is none of the agreed carriers or broken as a whole."""
    if not data.strip():
        raise UnreadableError("文件为空")
    carrier = _carrier(data, layout.carriers)
    if carrier == "parquet":
        return _parquet(data)
    text = to_utf8(open_text(data)).data.decode("utf-8")
    if carrier == "json":
        return _document(text)
    return _json_lines(text) if carrier == "jsonl" else _csv(text, contract, layout)


def _carrier(data: bytes, agreed: Collection[Carrier]) -> Carrier:
    found: tuple[Carrier, ...] = ("csv",)
    if data.startswith(_PARQUET):
        found = ("parquet",)
    elif data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in {b"{", b"["}:
        found = ("json", "jsonl")
    for carrier in found:
        if carrier in agreed:
            return carrier
    names = "、".join(_NAMES_ZH[carrier] for carrier in agreed)
    raise UnreadableError(f"内容不是约定的格式（{names}）")


def cell_text(value: object) -> str:
    """A cell as text: numbers exactly, dates by ISO, nothing as ''. Raises ValueError for lists and objects."""
    if isinstance(value, str):
        shown = value if value.isprintable() else "".join(one if one.isprintable() else " " for one in value)
        return shown.strip(_EDGES)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, int | float | Decimal):
        return str(value)
    raise ValueError("单元格里不是单个的值")


# -- JSON -------------------------------------------------------------------------------------------------------------


def _loads(text: str) -> Any:
    """Strict JSON with exact numbers. Raises ValueError."""
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_refused, object_pairs_hook=_unambiguous)
    except RecursionError:
        raise ValueError("嵌套过深") from None


def _refused(text: str) -> Any:
    raise ValueError(f"{text} 不是数")


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("同一个键出现两次")
    return found


def _document(text: str) -> RawTable:
    try:
        document = _loads(text)
    except ValueError as error:
        raise UnreadableError("JSON 不完整或有语法错误") from error
    if not isinstance(document, dict) or not isinstance(document.get("items"), list):
        raise UnreadableError("JSON 文档中没有 items 列表")
    try:
        head = {name: cell_text(value) for name, value in document.items() if name != "items"}
    except ValueError as error:
        raise UnreadableError("JSON 文档的说明项不是单个的值") from error
    return _from_objects("json", enumerate(document["items"], start=1), _object, head)


def _json_lines(text: str) -> RawTable:
    lines = ((number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip(_EDGES))
    return _from_objects("jsonl", lines, _line, {})


def _object(item: Any) -> dict[str, str]:
    if not isinstance(item, dict):
        raise ValueError("不是一个对象")  # noqa: TRY004 - one kind of error for callers
    return {name: cell_text(value) for name, value in item.items()}


def _line(line: str) -> dict[str, str]:
    """The object in a line; a message out of a stream stands in its envelope."""
    try:
        item = _loads(line)
    except json.JSONDecodeError:
        raise ValueError("不是 JSON") from None
    if isinstance(item, dict) and set(item) >= _ENVELOPE:
        return _object(item.get("data")) | {name: cell_text(item[name]) for name in sorted(_ENVELOPE)}
    return _object(item)


def _from_objects(
    carrier: Carrier, items: Iterable[tuple[int, Any]], read: Callable[[Any], dict[str, str]], head: dict[str, str]
) -> RawTable:
    found: list[tuple[int, dict[str, str]]] = []
    bad: list[tuple[int, str]] = []
    for number, item in items:
        try:
            found.append((number, read(item)))
        except ValueError as error:
            bad.append((number, str(error)))
    labels = tuple(dict.fromkeys(name for _, item in found for name in item))
    _limit(len(found), len(labels))
    rows = [[item.get(label, "") for label in labels] for _, item in found]
    return RawTable(carrier, labels, rows, [number for number, _ in found], bad, head)


# -- Parquet ----------------------------------------------------------------------------------------------------------


def _parquet(data: bytes) -> RawTable:
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        _limit(file.metadata.num_rows, file.metadata.num_columns)
        groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
        if sum(group.total_byte_size for group in groups) > _MAX_UNPACKED:
            raise UnreadableError("展开后超过大小上限")
        table = file.read(use_threads=False)
        columns: dict[str, list[Any]] = {}
        for name, column in zip(table.column_names, table.columns, strict=True):
            # Of two columns with one name the first.
            columns.setdefault(name, column.to_pylist())
    except (pa.ArrowException, OSError) as error:
        raise UnreadableError("Parquet 文件损坏或不完整") from error
    labels = tuple(columns)
    objects = [dict(zip(labels, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    return _from_objects("parquet", enumerate(objects, start=1), _object, {})


def _limit(rows: int, columns: int) -> None:
    if rows > _MAX_ROWS:
        raise UnreadableError(f"行数 {rows} 超过上限")
    if columns > _MAX_COLUMNS:
        raise UnreadableError(f"列数 {columns} 超过上限")


# -- CSV --------------------------------------------------------------------------------------------------------------


def _csv(text: str, contract: Contract, layout: FlatLayout) -> RawTable:
    try:
        records = [
            [cell_text(cell) for cell in record] for record in csv.reader(io.StringIO(text, newline=""), strict=True)
        ]
    except csv.Error as error:
        raise UnreadableError("CSV 结构损坏（引号不成对或单元格过长）") from error
    at = _header_at(records, contract)
    if at is None:
        raise UnreadableError("找不到表头行")
    labels, units = _split_units(_without_tail(records[at]))
    _limit(len(records), len(labels))
    above = [" ".join(filter(None, record)) for record in records[:at]]
    below: list[str] = []
    table = RawTable("csv", labels, [], [], [], {}, units)
    for number, record in enumerate(records[at + 1 :], start=at + 2):
        cells = _without_tail(record)
        if cells and _is_note(cells, layout):
            below.append(" ".join(filter(None, cells)))
        elif cells:
            _add(table, number, cells)
    return RawTable("csv", labels, table.rows, table.numbers, table.bad, {}, units, tuple(filter(None, above + below)))


def _add(table: RawTable, number: int, cells: list[str]) -> None:
    missing = len(table.labels) - len(cells)
    if missing < 0:
        table.bad.append((number, f"应为 {len(table.labels)} 列，实为 {len(cells)} 列"))
        return
    table.rows.append(cells + [""] * missing)
    table.numbers.append(number)


def _header_at(records: Sequence[Sequence[str]], contract: Contract) -> int | None:
    """The one of the first records that names most of the wanted columns of a table (at least two)."""
    known = {key(label) for table in contract.tables.values() for column in table for label in column.headers}
    hits = [
        sum(key(label) in known for label in _split_units(record)[0]) if record else 0
        for record in records[:_HEADER_LINES]
    ]
    best = max(hits, default=0)
    return hits.index(best) if best > 1 else None


def _split_units(labels: Sequence[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Labels without the unit some carry in brackets, and that unit by label."""
    bare: list[str] = []
    units: dict[str, str] = {}
    for label in labels:
        match = _UNIT_SUFFIX.fullmatch(plain(label))
        if match and unit_of(match[2]) is None:
            match = None
        bare.append(match[1] if match else label)
        if match:
            units[match[1]] = match[2]
    return tuple(bare), units


def _without_tail(cells: Sequence[str]) -> list[str]:
    """Cells without empty ones at the end (a trailing comma, padding)."""
    kept = list(cells)
    while kept and not kept[-1]:
        kept.pop()
    return kept


def _is_note(cells: Sequence[str], layout: FlatLayout) -> bool:
    first = plain(cells[0])
    return any(re.match(pattern, first) for pattern in layout.notes)


def with_head(table: RawTable, head: Mapping[str, str]) -> RawTable:
    """The table with further columns that hold one value throughout (label -> value)."""
    fresh = {label: value for label, value in head.items() if label not in table.labels}
    rows = [[*row, *fresh.values()] for row in table.rows]
    return RawTable(
        table.carrier,
        (*table.labels, *fresh),
        rows,
        table.numbers,
        table.bad,
        table.head,
        table.units,
        table.around,
    )
