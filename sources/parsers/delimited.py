"""Delimited text (CSV) as columns of raw bytes: encoding found, header found, only wanted columns taken out.

What belongs here: encodings, header matching by a contract's columns, ragged rows. What does not: what a value means.

GB18030 never uses a comma, quote or line break as part of a longer character, so rows are cut before decoding, and only
what is taken in is ever decoded.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pacsv

from sources.contract import Contract, SourceColumn
from sources.labels import key, plain
from sources.parsers import arrow
from sources.parsers.arrow import Array
from sources.parsers.grid import NameColumns, UnreadableError, names_apart
from sources.parsers.numbers import code_text
from sources.parsers.result import Reporter
from sources.utf8 import is_utf8

Ints = npt.NDArray[np.int32]
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_UTF8_BOM: Final = b"\xef\xbb\xbf"
_HEADER_LINES: Final = 20
_MAX_COLUMNS: Final = 2_000


@dataclass(frozen=True)
class Source:
    """A file's content whose rows can be cut, and how its cells decode ('utf-8' or 'gb18030')."""

    data: bytes
    encoding: str


@dataclass
class Columns:
    """Wanted columns as binary arrays of equal length; `row_numbers` are 1-based rows of the file.

    `ragged` holds (row number, cells found) of rows that do not fit the header, `places` the 0-based position of each
    wanted column in the file.
    """

    arrays: dict[str, Array]
    row_numbers: Ints
    encoding: str
    ragged: list[tuple[int, int]] = field(default_factory=list)
    labels: tuple[str, ...] = ()
    places: dict[str, int] = field(default_factory=dict)


def open_text(data: bytes) -> Source:
    """Find the encoding: UTF-8 with or without BOM, UTF-16 with BOM, else GB18030. Raises UnreadableError."""
    if data.startswith(_UTF16):
        try:
            return Source(data.decode("utf-16").encode(), "utf-8")
        except UnicodeDecodeError as error:
            raise UnreadableError("UTF-16 编码损坏或文件不完整") from error
    if b"\x00" in data[:4096]:
        raise UnreadableError("不是文本文件")
    bare = data.removeprefix(_UTF8_BOM)
    return Source(bare, "utf-8" if is_utf8(bare) else "gb18030")


def open_csv(data: bytes, table: str, reporter: Reporter, *, names_of: Path | None = None) -> Columns | None:
    """Open a CSV and take the wanted columns out; None when the delivery is refused. Raises UnreadableError.

    With `names_of` (the file) the columns of names are taken out in the same pass, where somebody may ask for them, and
    kept apart (`names_apart`): they are not among the columns returned.
    """
    if not data[:4096].strip() and not data.strip():
        raise UnreadableError("文件为空")
    source = open_text(data)
    header = find_header_line(source, reporter.contract, table)
    if header is None:
        raise UnreadableError("找不到表头行")
    wanted = match_headers(header.labels, table, reporter)
    if reporter.refused:
        return None
    apart = names_apart()
    if names_of is None or apart is None:
        return read_columns(source, header, wanted)
    columns, apart[names_of] = _with_names(source, header, wanted, name_places(header, reporter.contract))
    return columns


def name_places(header: HeaderLine, contract: Contract) -> dict[str, int]:
    """Where the columns of names stand: 0-based positions under names no wanted column has."""
    named = {key(label) for label in contract.unread.names}
    return {f"name {at}": at for at, label in enumerate(header.labels) if key(label) in named}


def _with_names(
    source: Source, header: HeaderLine, wanted: dict[str, int], names: dict[str, int]
) -> tuple[Columns, NameColumns]:
    both = read_columns(source, header, wanted | names)
    found = NameColumns([both.arrays[name] for name in names], both.encoding)
    return replace(both, arrays={name: both.arrays[name] for name in wanted}, places=wanted), found


def without_blank_rows(columns: Columns) -> Columns:
    """Rows in which every wanted column is empty are no rows (blank lines, padding below a table)."""
    filled = np.sum([arrow.lengths(array) for array in columns.arrays.values()], axis=0) > 0
    if filled.all():
        return columns
    mask = pa.array(filled)
    arrays = {name: array.filter(mask) for name, array in columns.arrays.items()}
    return replace(columns, arrays=arrays, row_numbers=columns.row_numbers[filled])


def report_ragged(columns: Columns, rule: str, reporter: Reporter, *, sheet: str = "") -> None:
    """One finding for each row whose number of cells differs from the header's."""
    for number, found in columns.ragged:
        detail = f"应为 {len(columns.labels)} 列，实为 {found} 列"
        reporter.add(rule, sheet=sheet, row=number, detail=detail)


def to_utf8(source: Source) -> Source:
    """The same rows in UTF-8. Raises UnreadableError when bytes are in no known encoding (mixed files)."""
    if source.encoding == "utf-8":
        return source
    try:
        return Source(source.data.decode(source.encoding).encode(), "utf-8")
    except UnicodeDecodeError as error:
        line = source.data.count(b"\n", 0, error.start) + 1
        raise UnreadableError(f"第 {line} 行有无法识别的字符，可能混用了多种编码") from error


@dataclass(frozen=True)
class HeaderLine:
    """The header of a file: 0-based line and the labels in order."""

    line: int
    labels: tuple[str, ...]


def find_header_line(source: Source, contract: Contract, table: str) -> HeaderLine | None:
    """The one of the first lines that names most of the wanted columns (at least two); None when there is none."""
    wanted = {key(label) for column in contract.columns(table) for label in column.headers}
    best: tuple[int, HeaderLine] | None = None
    start = 0
    for number in range(_HEADER_LINES):
        end = source.data.find(b"\n", start)
        line = source.data[start : end if end >= 0 else len(source.data)]
        labels = _cells(line, source.encoding)
        hits = sum(key(label) in wanted for label in labels)
        if hits > 1 and (best is None or hits > best[0]):
            best = (hits, HeaderLine(number, labels))
        if end < 0:
            break
        start = end + 1
    return best[1] if best else None


def _cells(line: bytes, encoding: str) -> tuple[str, ...]:
    text = line.decode(encoding, errors="replace").rstrip("\r")
    try:
        return tuple(next(csv.reader(io.StringIO(text)), ()))
    except csv.Error:
        return ()


def match_headers(labels: Sequence[str], table: str, reporter: Reporter) -> dict[str, int]:
    """Column name -> 0-based position for the wanted columns; reports missing, doubled and unknown headers."""
    contract = reporter.contract
    if len(labels) > _MAX_COLUMNS:
        raise UnreadableError(f"列数 {len(labels)} 超过上限")
    found: dict[str, int] = {}
    used: set[int] = set()
    for column in contract.columns(table):
        places = [at for at, label in enumerate(labels) if at not in used and _is(column, label)]
        if len(places) > 1:
            detail = "、".join(labels[at] for at in places)
            reporter.add(f"{contract.prefix}.duplicate_column", column=column.info.header, detail=detail)
        if places:
            found[column.name] = places[0]
            used |= set(places)
        elif column.required:
            reporter.add(f"{contract.prefix}.missing_column", column=column.info.header)
    for at, label in enumerate(labels):
        if at not in used and plain(label) and not _known_unread(contract, label):
            reporter.add(f"{contract.prefix}.unknown_header", column=label)
    return found


def _is(column: SourceColumn, label: str) -> bool:
    if key(label) in {key(known) for known in column.headers}:
        return True
    return bool(column.info.pattern) and re.fullmatch(column.info.pattern, plain(label)) is not None


def _known_unread(contract: Contract, label: str) -> bool:
    unread = contract.unread
    if key(label) in {key(known) for known in (*unread.personal, *unread.unused)}:
        return True
    patterns = (*unread.personal_patterns, *unread.unused_patterns)
    return any(re.fullmatch(pattern, plain(label)) for pattern in patterns)


def read_columns(source: Source, header: HeaderLine, wanted: dict[str, int]) -> Columns:
    """Take the wanted columns out of the file, undecoded. Raises UnreadableError."""
    try:
        return _read(source, header, wanted, ragged=None)
    except pa.ArrowInvalid:
        pass
    # A row of another width: Arrow shows such rows as UTF-8 only, so the whole file is decoded to find them all.
    try:
        return _read(to_utf8(source), header, wanted, ragged=[])
    except pa.ArrowInvalid as error:
        raise UnreadableError("CSV 结构损坏（引号不成对或行过长）") from error


def _read(
    source: Source, header: HeaderLine, wanted: dict[str, int], *, ragged: list[tuple[int, int]] | None
) -> Columns:
    names = [f"c{number}" for number in range(len(header.labels))]
    # Without a quote in the file no cell is quoted; Arrow needs a tenth less then.
    quoted = b'"' in source.data

    def note(row: pacsv.InvalidRow) -> Literal["skip", "error"]:
        assert ragged is not None  # noqa: S101 - the handler is only installed with a list
        ragged.append((row.number or 0, row.actual_columns))
        return "skip"

    table = pacsv.read_csv(
        io.BytesIO(source.data),
        read_options=pacsv.ReadOptions(
            use_threads=False,
            column_names=names,
            skip_rows=header.line + 1,
            block_size=min(len(source.data) + 1, (1 << 31) - 1),
        ),
        parse_options=pacsv.ParseOptions(
            quote_char='"' if quoted else False,
            newlines_in_values=quoted,
            ignore_empty_lines=False,
            invalid_row_handler=note if ragged is not None else None,
        ),
        convert_options=pacsv.ConvertOptions(
            include_columns=[names[at] for at in dict.fromkeys(wanted.values())],
            column_types=dict.fromkeys(names, pa.binary()),
            strings_can_be_null=False,
            check_utf8=False,
        ),
    )
    arrays = {name: arrow.one_chunk(table.column(names[at])) for name, at in wanted.items()}
    numbers = _row_numbers(table.num_rows, header.line + 1, ragged or [])
    return Columns(arrays, numbers, source.encoding, ragged or [], header.labels, wanted)


def _row_numbers(count: int, skipped: int, ragged: Iterable[tuple[int, int]]) -> Ints:
    """1-based numbers of the kept rows: the ragged ones keep their place."""
    gone = {number for number, _ in ragged}
    everything = np.arange(skipped + 1, skipped + count + len(gone) + 1, dtype=np.int32)
    if not gone:
        return everything
    return everything[~np.isin(everything, np.fromiter(gone, dtype=np.int32))]


def _texts(cells: Sequence[Any]) -> Array:
    """Cells of a sheet as the bytes of their texts. Most columns hold nothing else, so Arrow is asked first."""
    try:
        texts: Array = pa.array(cells, pa.string())
        odd = texts.null_count > 0
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        odd = True
    if odd:
        texts = pa.array([cell if cell.__class__ is str else code_text(cell) for cell in cells], pa.string())
    result: Array = texts.cast(pa.binary())
    return result


def columns_from_rows(
    rows: Sequence[Sequence[Any]], labels: tuple[str, ...], first_row: int, wanted: dict[str, int]
) -> Columns:
    """The same from spreadsheet rows; `first_row` is the 1-based number of rows[0]."""
    arrays = {name: _texts([row[at] for row in rows]) for name, at in wanted.items()}
    numbers = np.arange(first_row, first_row + len(rows), dtype=np.int32)
    return Columns(arrays, numbers, "utf-8", [], labels, wanted)
