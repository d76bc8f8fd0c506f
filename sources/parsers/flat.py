"""Flat deliveries: rows of one table to typed records, under what the feed's contract says of columns, units and keys.

What belongs here: identity of a delivery, and rules over rows, keys and totals. What does not: the carrier
(`carriers`), a single cell (`flat_cells`), and every fact about a feed (its contract).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from sources.codelists import code_list
from sources.contract import Contract, SourceColumn, load
from sources.flat import FlatCheck, FlatLayout, PartOf
from sources.labels import key, plain
from sources.parsers.carriers import RawTable, open_table, with_head
from sources.parsers.delimited import match_headers
from sources.parsers.flat_cells import CellError, Context, age_band, area_of, date_of, statement_of, value_of
from sources.parsers.grid import UnreadableError, column_letter
from sources.parsers.numbers import NotANumberError, code_text, decimal
from sources.parsers.result import Identity, ParseResult, Reporter, finish, refusal
from sources.parsers.units import unit_of
from sources.parsers.vectors import year_of
from warehouse.errors import Fault
from warehouse.files import canonical_json, sha256_bytes
from warehouse.records import RECORD_SCHEMAS

Record = dict[str, Any]


@dataclass
class _Reading:
    """A delivery while it is read: the chosen table, where its columns stand, and what has been said already."""

    reporter: Reporter
    layout: FlatLayout
    table: str
    raw: RawTable
    places: dict[str, int]
    printed_unit: str = ""
    converted: set[tuple[str, str]] = field(default_factory=set)

    @property
    def contract(self) -> Contract:
        """The feed's contract."""
        return self.reporter.contract

    @cached_property
    def record_table(self) -> str:
        """The record table the rows go into."""
        return f"{self.contract.feed}__{self.table}"

    @cached_property
    def columns(self) -> dict[str, SourceColumn]:
        """The table's columns by name."""
        return {column.name: column for column in self.contract.columns(self.table)}

    def text(self, row: list[str], name: str) -> str:
        """A row's text in a column; '' when the delivery lacks it."""
        at = self.places.get(name)
        return "" if at is None else row[at]

    def texts(self, name: str) -> list[str]:
        """All texts of a column that are not empty."""
        return [text for row in self.raw.rows if (text := self.text(row, name))]

    def report(self, rule: str, row: int | None = None, *, column: str = "", value: str = "", detail: str = "") -> bool:
        """Record a finding; True when its rule sets the row aside."""
        label = self.columns[column].info.header if column else None
        full = f"{self.contract.prefix}.{rule}"
        self.reporter.add(full, row=row, column=label, cell=self._cell(row, column), value=value, detail=detail)
        return self.contract.rules[full].severity == "quarantine"

    def _cell(self, row: int | None, column: str) -> str | None:
        """The cell as a spreadsheet shows it; only a CSV has such places."""
        at = self.places.get(column)
        return None if row is None or at is None or self.raw.carrier != "csv" else f"{column_letter(at + 1)}{row}"


def parse_flat(feed: str, snapshot: Path, *, delivery_id: str, out_dir: Path) -> ParseResult:
    """Parse a delivery of a flat feed. Raises Fault when the feed is not flat, OSError when the disk fails."""
    reporter = Reporter(load(feed))
    layout = reporter.contract.flat
    if layout is None:
        raise Fault(f"数据约定 {feed} 没有说明怎样读取（缺少 flat）。")
    reading = _opened(snapshot.read_bytes(), reporter, layout)
    if reading is None:
        return refusal(reporter)
    rows_in = len(reading.raw.rows) + len(reading.raw.bad)
    if rows_in == 0:
        reading.report("no_rows")
        return refusal(reporter)
    identity = _identity(reading)
    if identity is None:
        return refusal(reporter, rows_in=rows_in)
    for number, reason in reading.raw.bad:
        reading.report("bad_row", number, detail=reason)
    records = _without_repeated(reading, _records(reading, identity))
    # A delivery is of one table; an empty file for each of the others would be written, hashed and read for nothing.
    tables = {reading.record_table: _as_table(reading.record_table, records, delivery_id)}
    return finish(reporter, identity, rows_in=rows_in, rows_accepted=len(records), tables=tables, out_dir=out_dir)


def _opened(data: bytes, reporter: Reporter, layout: FlatLayout) -> _Reading | None:
    contract = reporter.contract
    try:
        raw = open_table(data, contract, layout)
        table = _table_of(contract, raw, layout)
        raw = with_head(raw, _head_columns(contract, table, layout, raw))
        places = match_headers(raw.labels, table, reporter)
    except UnreadableError as error:
        reporter.add(f"{contract.prefix}.unreadable", detail=error)
        return None
    if reporter.refused and raw.rows:
        return None
    reading = _Reading(reporter, layout, table, raw, places)
    reading.printed_unit = _printed(layout.printed_unit, raw)
    return _without_totals(reading)


def _table_of(contract: Contract, raw: RawTable, layout: FlatLayout) -> str:
    """The table of the contract whose headers the delivery has most of; the first one when several have as many."""
    labels = {key(label) for label in raw.labels} | {
        key(header) for name in raw.head for header in _headers(contract, layout.head.get(name, ""))
    }
    hits = {
        table: sum(any(key(header) in labels for header in column.headers) for column in columns)
        for table, columns in contract.tables.items()
    }
    return max(hits, key=lambda table: hits[table])


def _headers(contract: Contract, name: str) -> Iterable[str]:
    return (header for columns in contract.tables.values() for c in columns if c.name == name for header in c.headers)


def _head_columns(contract: Contract, table: str, layout: FlatLayout, raw: RawTable) -> dict[str, str]:
    """What a document says once for all its rows, for the columns that its rows lack."""
    known = {key(label) for label in raw.labels}
    found: dict[str, str] = {}
    for column in contract.columns(table):
        for name, target in layout.head.items():
            lacking = not known & {key(header) for header in column.headers}
            if target == column.name and lacking and raw.head.get(name):
                found[column.info.header] = raw.head[name]
    return found


def _printed(pattern: str, raw: RawTable) -> str:
    matches = (re.search(pattern, plain(text)) for text in raw.around) if pattern else ()
    return next((match[1] for match in matches if match), "")


# -- identity ---------------------------------------------------------------------------------------------------------


def _identity(reading: _Reading) -> Identity | None:
    """Whose, for when and which part; None (with refusals) when the content does not say."""
    layout = reading.layout
    period = _period(reading)
    if period is None:
        return None
    area = layout.area.fixed or _area(reading, period)
    if area is None:
        return None
    part = _part(reading, layout.part_for(reading.raw.carrier))
    return None if part is None else Identity(area, period, part, _reported(reading))


def _stated(reading: _Reading, name: str) -> str:
    """What the head says of a column, or most of the rows do."""
    for place, target in reading.layout.head.items():
        if target == name and reading.raw.head.get(place):
            return reading.raw.head[place]
    counts: dict[str, int] = {}
    for text in reading.texts(name):
        counts[text] = counts.get(text, 0) + 1
    # Ties go to the one that comes first.
    return max(counts, key=lambda text: counts[text]) if counts else ""


def _period(reading: _Reading) -> int | None:
    place = reading.layout.period
    if not place.column:
        return int(place.fixed or 0)
    stated = _stated(reading, place.column)
    year = year_of(plain(stated))
    if year is None:
        reading.report("unknown_year", value=stated)
    return year


def _area(reading: _Reading, year: int) -> str | None:
    stated = _stated(reading, reading.layout.area.column)
    try:
        return area_of(stated, year)
    except CellError:
        reading.report("unknown_area", value=stated)
        return None


def _part(reading: _Reading, part: PartOf) -> str | None:
    if part.digest_of:
        texts = sorted(set(reading.texts(part.digest_of)))
        return "b" + sha256_bytes("\n".join(texts).encode())[:12]
    if not part.column:
        return part.fixed
    stated = _stated(reading, part.column)
    code = _part_code(reading.columns[part.column], stated)
    if code is None:
        reading.report("unknown_part", value=stated)
        return None
    return f"{code}-{reading.table}" if part.with_table else code


def _part_code(column: SourceColumn, text: str) -> str | None:
    """The part a text means, by the code list or the pattern of its column; None when it means none."""
    if column.info.code_list:
        return code_list(column.info.code_list).find(text)
    bare = code_text(text)
    return bare if bare and re.fullmatch(column.info.code_pattern or ".+", bare) else None


def _reported(reading: _Reading) -> date | None:
    """The latest day of the agreed column, or the one printed around the table."""
    found: list[date] = []
    for text in set(reading.texts(reading.layout.reported)):
        try:
            found.append(date_of(text))
        except CellError:
            continue
    pattern = reading.layout.printed_date
    for match in (re.search(pattern, plain(text)) for text in reading.raw.around) if pattern else ():
        if match:
            found.append(date_of("-".join(match.groups())))
    return max(found, default=None)


# -- rows -------------------------------------------------------------------------------------------------------------


def _records(reading: _Reading, identity: Identity) -> list[Record]:
    found: list[Record] = []
    for number, row in zip(reading.raw.numbers, reading.raw.rows, strict=True):
        record = _record(reading, row, number, identity)
        if record is not None:
            found.append(record)
    return found


def _record(reading: _Reading, row: list[str], number: int, identity: Identity) -> Record | None:
    """A row's record; None when a finding sets it aside. Every cell is looked at, so that all findings are told."""
    record: Record = {"row_no": number}
    year = _year_for_areas(reading, row, identity)
    unit = reading.text(row, reading.layout.unit_column)
    good = True
    for column in reading.columns.values():
        text = reading.text(row, column.name) or column.info.default
        try:
            record |= _cell(reading, column, text, Context(year, _unit(reading, column, unit)))
        except CellError as error:
            good &= not reading.report(error.rule, number, column=column.name, value=text, detail=error.detail)
    if good:
        good = _belongs(reading, record, row, number, identity)
    for check in reading.layout.checks if good else ():
        good &= _holds(reading, check, record, number)
    if not good:
        return None
    _blank_out(reading, record)
    record["original"] = _original(reading, row, unit)
    return record


def _year_for_areas(reading: _Reading, row: list[str], identity: Identity) -> int:
    """Areas are those of the delivery's year; without one, of the year of the row's own date."""
    if identity.period:
        return identity.period
    try:
        return date_of(reading.text(row, reading.layout.reported)).year
    except CellError:
        return identity.reported_on.year if identity.reported_on else 0


def _unit(reading: _Reading, column: SourceColumn, row_unit: str) -> str:
    """What the delivery says of a column's unit: in its header, in the row, above the table, in this order."""
    if not column.info.unit:
        return ""
    at = reading.places.get(column.name)
    header = reading.raw.units.get(plain(reading.raw.labels[at]), "") if at is not None else ""
    if header or column.info.own_unit:
        return header
    return row_unit or reading.printed_unit


def _cell(reading: _Reading, column: SourceColumn, text: str, context: Context) -> Record:
    """The record values of one cell. Raises CellError."""
    name = column.name
    if name == reading.layout.unit_column:
        return {}
    if not text:
        if column.required:
            raise CellError("missing_required")
        return _empty(reading, column)
    if column.info.kind == "age_band":
        first, last = age_band(text)
        return {f"{name}_from": first, f"{name}_to": last}
    if column.info.kind == "statement":
        statement, project = statement_of(text, column.info.code_pattern)
        return {"statement_id": statement, "project_code": project}
    value = value_of(column, text, RECORD_SCHEMAS[reading.record_table].field(name).type, context)
    _note_conversion(reading, column, context.unit)
    return {name: value}


def _empty(reading: _Reading, column: SourceColumn) -> Record:
    schema = RECORD_SCHEMAS[reading.record_table]
    if column.name not in schema.names:
        return {}
    field_ = schema.field(column.name)
    return {column.name: None if field_.nullable else ""}


def _note_conversion(reading: _Reading, column: SourceColumn, unit: str) -> None:
    """Say once for each column that its figures came in another unit than agreed."""
    if not unit or unit == column.info.unit:
        return
    known = unit_of(unit)
    agreed = unit_of(column.info.unit)
    if known is None or agreed is None or known == agreed or (column.name, known.code) in reading.converted:
        return
    reading.converted.add((column.name, known.code))
    reading.report("unit_converted", column=column.name, value=known.code, detail=agreed.code)


def _belongs(reading: _Reading, record: Record, row: list[str], number: int, identity: Identity) -> bool:
    """True when a row is of the delivery's area, year and part."""
    layout = reading.layout
    part = layout.part_for(reading.raw.carrier).column
    wrong: list[tuple[str, str]] = []
    if layout.area.column and record.get(layout.area.column) != identity.area_code and not layout.area.fixed:
        wrong.append(("wrong_area", layout.area.column))
    if layout.period.column and record.get(layout.period.column) != identity.period:
        wrong.append(("wrong_year", layout.period.column))
    if part and identity.part.split("-")[0] != record.get(part):
        wrong.append(("wrong_part", part))
    set_aside = [reading.report(rule, number, column=column, value=reading.text(row, column)) for rule, column in wrong]
    return not any(set_aside)


def _holds(reading: _Reading, check: FlatCheck, record: Record, number: int) -> bool:
    """True when a check over one row holds, has nothing to compare, or only gives notice."""
    whole = record.get(check.whole)
    parts = [record.get(name) for name in check.parts]
    if check.whole not in reading.columns or whole is None or all(part is None for part in parts):
        return True
    if check.kind == "sum":
        given = sum((part for part in parts if part is not None), Decimal(0))
        good = abs(Decimal(whole) - given) <= Decimal(check.tolerance) * _scale(reading, check.whole)
    else:
        given = max(part for part in parts if part is not None)
        good = given <= whole
    return good or not reading.report(check.rule, number, column=check.whole, value=str(whole), detail=str(given))


def _scale(reading: _Reading, name: str) -> Decimal:
    agreed = unit_of(reading.columns[name].info.unit)
    return agreed.scale if agreed else Decimal(1)


def _blank_out(reading: _Reading, record: Record) -> None:
    """Values that some rows must not keep (the name of an object that is a person)."""
    schema = RECORD_SCHEMAS[reading.record_table]
    for column in reading.columns.values():
        name, _, code = column.info.blank_when.partition("=")
        if name and record.get(name) == code:
            record[column.name] = None if schema.field(column.name).nullable else ""


def _original(reading: _Reading, row: list[str], unit: str) -> str:
    """The measured cells as they were written, with their unit, as canonical JSON; '' when there are none."""
    found: dict[str, str] = {}
    for column in reading.columns.values():
        text = reading.text(row, column.name)
        if column.info.unit and text:
            found[column.name] = f"{text} {_unit(reading, column, unit) or column.info.unit}"
    return canonical_json(found).decode("utf-8") if found else ""


# -- keys and totals --------------------------------------------------------------------------------------------------


def _without_repeated(reading: _Reading, records: list[Record]) -> list[Record]:
    """Records without those that repeat an earlier one in all key columns; these are reported."""
    names = [column.name for column in reading.columns.values() if column.key_position is not None]
    first: dict[tuple[Any, ...], int] = {}
    kept: list[Record] = []
    for record in records:
        found = tuple(record[field_] for name in names for field_ in _fields(reading.columns[name]))
        if found in first:
            reading.report("duplicate_key", record["row_no"], detail=str(first[found]))
        else:
            first[found] = record["row_no"]
            kept.append(record)
    return kept


def _fields(column: SourceColumn) -> tuple[str, ...]:
    if column.info.kind == "age_band":
        return (f"{column.name}_from", f"{column.name}_to")
    return ("statement_id", "project_code") if column.info.kind == "statement" else (column.name,)


def _without_totals(reading: _Reading) -> _Reading:
    """Take total rows out and compare each with the sum of the other rows, as they were written."""
    labels = {plain(label) for label in reading.layout.totals}
    name = reading.layout.total_column
    rows = list(zip(reading.raw.numbers, reading.raw.rows, strict=True))
    totals = [(number, row) for number, row in rows if name and plain(reading.text(row, name)) in labels]
    if not totals:
        return reading
    others = [(number, row) for number, row in rows if (number, row) not in totals]
    reading.raw.numbers[:] = [number for number, _ in others]
    reading.raw.rows[:] = [row for _, row in others]
    for number, row in totals:
        _compare(reading, number, row)
    return reading


def _compare(reading: _Reading, number: int, total: list[str]) -> None:
    for column in reading.columns.values():
        # Averages (pay has its own unit) do not add up.
        if not column.info.unit or column.info.own_unit:
            continue
        stated = _number(reading.text(total, column.name))
        if stated is None:
            continue
        given = sum((_number(reading.text(row, column.name)) or Decimal(0) for row in reading.raw.rows), Decimal(0))
        if stated != given:
            reading.report("total_mismatch", number, column=column.name, value=str(stated), detail=str(given))


def _number(text: str) -> Decimal | None:
    try:
        return decimal(text)
    except NotANumberError:
        return None


def _as_table(name: str, records: list[Record], delivery_id: str) -> pa.Table:
    schema = RECORD_SCHEMAS[name]
    if not records:
        return schema.empty_table()
    lineage: Mapping[str, Any] = {"delivery_id": delivery_id, "member": "", "sheet": ""}
    return pa.Table.from_pylist([{**lineage, **record} for record in records], schema=schema)
