"""The submitted tables once more, as far as they may be shown: which cells of a delivery go into its marked copy.

What belongs here: finding the rows again and deciding cell by cell what is fit to be seen. What does not: colours and
comments (`sources.marked`). What the contract does not take in is not shown, and what it calls personal never is:
unknown columns are unknown for good reasons.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sources.catalogue import Catalogue
from sources.contract import Contract
from sources.findings import Finding
from sources.labels import form_name, key, plain
from sources.parsers.carriers import open_table
from sources.parsers.census_headers import find_header, match_columns, match_profile, paths_by_column, stub_labels
from sources.parsers.census_workbook import read_school
from sources.parsers.census_zip import member_name
from sources.parsers.delimited import open_text, to_utf8
from sources.parsers.grid import TOP_ROWS, Grid, Workbook, is_workbook, kind, open_workbook
from sources.parsers.numbers import code_text
from sources.parsers.result import Reporter
from warehouse.masking import mask_personal

HIDDEN: Final = "（不予显示）"
# Above this many cells only heads and rows with findings are copied.
WHOLE_CELLS: Final = 12_000
_MEMBERS: Final = 30
_LONGEST: Final = 200
_PERSON: Final = re.compile(
    r"(?:负责人|填表人|审核人|联系人|经办人|制表人|校长|园长|电话|手机|邮箱|信箱)[^：:]{0,8}[：:]"
)
_STUB_WORDS: Final = frozenset({"名称", "代码", "甲", "乙", "编号", "内容", "项目", "单位", "指标名称"})

Shown = str | float
# (0-based row, 0-based column) -> may this cell be seen?
Visible = Callable[[int, int], bool]


@dataclass(frozen=True)
class _Sight:
    """What may be seen of a table: cell by cell, and how many rows stand above its data (where that is known)."""

    visible: Visible
    head: int = TOP_ROWS


@dataclass(frozen=True)
class Page:
    """One submitted table: 1-based row -> its cells fit to be shown, from the first column on. `whole` is False when
    only the head and the rows with findings are there. `offset`: by how much rows are numbered higher than in the
    delivery; `columns`: heading -> 0-based column, where findings name no cell."""

    member: str
    sheet: str
    rows: Mapping[int, Sequence[Shown]]
    whole: bool
    offset: int = 0
    columns: Mapping[str, int] = field(default_factory=dict)


def pages(contract: Contract, snapshot: Path, findings: Sequence[Finding]) -> Iterator[Page]:
    """The tables that have findings with a row or a cell, in the order of the file. Raises UnreadableError, csv.Error.

    Of a zip's workbooks the first thirty that have findings are copied.
    """
    with snapshot.open("rb") as handle:
        head = handle.read(8)
    if kind(head) == "zip" and not is_workbook(snapshot):
        yield from _members(contract, snapshot, findings)
    elif kind(head) in {"zip", "ole"}:
        yield from _book(contract, open_workbook(snapshot), "", findings)
    elif contract.flat is not None and not _is_csv(contract, snapshot):
        yield _objects(contract, snapshot, _rows_of(findings, "", ""))
    else:
        yield _text(contract, snapshot.read_bytes(), _rows_of(findings, "", ""))


def shown(value: Any) -> Shown:
    """A cell of the delivery without identity and telephone numbers, and short; numbers stay numbers."""
    text = code_text(value) if isinstance(value, float | int) else str(value if value is not None else "")
    masked = mask_personal(text)
    if isinstance(value, float | int) and not isinstance(value, bool) and masked == text and abs(value) < 1e10:
        return float(value)
    return masked if len(masked) <= _LONGEST else f"{masked[:_LONGEST]}…"


def _rows_of(findings: Iterable[Finding], member: str, sheet: str) -> set[int]:
    return {
        found.row_no
        for found in findings
        if found.row_no is not None and found.member == mask_personal(member) and found.sheet == sheet
    }


def _page(member: str, sheet: str, rows: Sequence[Sequence[Any]], wanted: Collection[int], sight: _Sight) -> Page:
    """Lay out a table; a row that speaks of a person shows nothing but that it does."""
    whole = sum(map(len, rows)) <= WHOLE_CELLS
    numbers = range(1, len(rows) + 1)
    chosen = numbers if whole else [number for number in numbers if number <= sight.head or number in wanted]
    found = {number: _cells(rows[number - 1], number - 1, sight.visible) for number in chosen}
    return Page(member, sheet, found, whole)


def _cells(row: Sequence[Any], at: int, visible: Visible) -> list[Shown]:
    if any(isinstance(cell, str) and _PERSON.search(cell) for cell in row):
        return [_label_only(cell) for cell in row]
    return [_cell(cell, allowed=visible(at, column)) for column, cell in enumerate(row)]


def _cell(value: Any, *, allowed: bool) -> Shown:
    return shown(value) if allowed or value in {"", None} else HIDDEN


def _label_only(value: Any) -> Shown:
    """Of a line such as `填表人：…　联系电话：…` the words before the first colon."""
    label, colon, _ = str("" if value is None else value).replace(":", "：").partition("：")
    if not label:
        return ""
    return f"{label}：{HIDDEN}" if colon and len(label) <= 12 and not any(map(str.isdigit, label)) else HIDDEN


# -- workbooks --------------------------------------------------------------------------------------------------------


def _members(contract: Contract, snapshot: Path, findings: Sequence[Finding]) -> Iterator[Page]:
    concerned = {found.member for found in findings if found.row_no is not None}
    with zipfile.ZipFile(snapshot) as archive:
        named = sorted((member_name(info), info) for info in archive.infolist() if not info.is_dir())
        chosen = [(name, info) for name, info in named if mask_personal(name) in concerned][:_MEMBERS]
        for name, info in chosen:
            yield from _book(contract, Workbook(archive.read(info)), name, findings)


def _book(contract: Contract, book: Workbook, member: str, findings: Sequence[Finding]) -> Iterator[Page]:
    """The workbook's sheets that have findings."""
    taken: frozenset[tuple[int, int]] | None = None
    for name in book.sheet_names:
        wanted = _rows_of(findings, member, name)
        if not wanted:
            continue
        grid = book.grid(name)
        if "forms" not in contract.extras:
            sight = _by_headers(contract, grid.rows)
        elif (listed := _of_list(contract.catalogue, name, grid)) is not None:
            sight = listed
        elif form_name(name) in {sheet.name for sheet in contract.catalogue.profile.sheets}:
            taken = _profile_cells(contract, book, member) if taken is None else taken
            sight = _Sight(_of_profile(contract.catalogue, grid, taken))
        else:
            sight = _Sight(_anything)
        yield _page(member, name, grid.rows, wanted, sight)


def _anything(_row: int, _column: int) -> bool:
    """Forms of figures hold no person; lines below them that name one are caught as such."""
    return True


def _of_list(catalogue: Catalogue, name: str, grid: Grid) -> _Sight | None:
    """A collated list shows its heads and the columns that are taken in; None when the sheet is no list."""
    header, form = find_header(grid, stub_labels(catalogue)), form_name(name)
    if header is None or header.name_column is None or form is None:
        return None
    paths = paths_by_column(grid, header)
    columns = {header.code_column, header.name_column}
    profiles = {sheet.name for sheet in catalogue.profile.sheets}
    if form in profiles:
        fields, _ = match_profile(paths, catalogue)
        columns |= {column for field, column in fields.items() if not field.startswith("address_zh")}
    else:
        years = (year for year in (2020, 2021) if form in catalogue.layouts(year))
        columns |= {at for year in years for at in match_columns(paths, header.index, form, year).columns}
    return _Sight(lambda row, column: row < header.first_row or column in columns, header.first_row)


def _profile_cells(contract: Contract, book: Workbook, member: str) -> frozenset[tuple[int, int]]:
    """0-based cells of a school's profile that are taken in."""
    school = read_school(book, Reporter(contract, member))
    return frozenset(place(cell) for cell in school.where.cells.values())


def _of_profile(catalogue: Catalogue, grid: Grid, taken: Collection[tuple[int, int]]) -> Visible:
    labels = {key(text) for entry in catalogue.profile.fields for text in (entry.grid, entry.label, *entry.listed)}
    labels |= _STUB_WORDS

    def visible(row: int, column: int) -> bool:
        text = grid.text(row, column)
        return (row, column) in taken or key(text) in labels or (text.isdecimal() and len(text) <= 2)

    return visible


def place(cell: str) -> tuple[int, int]:
    """'C5' -> (4, 2)."""
    letters = cell.rstrip("0123456789")
    column = 0
    for letter in letters:
        column = column * 26 + ord(letter) - ord("A") + 1
    return int(cell[len(letters) :]) - 1, column - 1


# -- tables of text ---------------------------------------------------------------------------------------------------


def _is_csv(contract: Contract, snapshot: Path) -> bool:
    layout = contract.flat
    return layout is not None and open_table(snapshot.read_bytes(), contract, layout).carrier == "csv"


def _objects(contract: Contract, snapshot: Path, wanted: Collection[int]) -> Page:
    """JSON and Parquet have items and no rows: labels stand in the first row, item n in row n + 1."""
    assert contract.flat is not None  # noqa: S101 - the caller asked
    table = open_table(snapshot.read_bytes(), contract, contract.flat)
    visible = _by_headers(contract, [table.labels]).visible
    whole = len(table.rows) * len(table.labels) <= WHOLE_CELLS
    rows = {1: _cells(table.labels, 0, visible)}
    for number, cells in zip(table.numbers, table.rows, strict=True):
        if whole or number in wanted:
            rows[number + 1] = _cells(cells, number, visible)
    headings = {
        column.info.header: at
        for at, label in enumerate(table.labels)
        for columns in contract.tables.values()
        for column in columns
        if key(label) in {key(header) for header in column.headers}
    }
    return Page("", "", rows, whole, offset=1, columns=headings)


def _text(contract: Contract, data: bytes, wanted: Collection[int]) -> Page:
    source = open_text(data)
    if len(data) > _LARGE_TEXT and b'"' not in source.data:
        # No cell spans lines: only the lines to be shown need be cut.
        lines = source.data.split(b"\n")
        chosen = [n for n in range(len(lines)) if n < TOP_ROWS or n + 1 in wanted]
        decoded = {n: lines[n].decode(source.encoding, errors="replace").rstrip("\r") for n in chosen}
        cut = {n: next(csv.reader([text]), []) for n, text in decoded.items()}
        sight = _by_headers(contract, [cut.get(n, []) for n in range(TOP_ROWS)])
        shown_ = {n: row for n, row in cut.items() if n < sight.head or n + 1 in wanted}
        return Page("", "", {n + 1: _cells(row, n, sight.visible) for n, row in shown_.items()}, whole=False)
    text = to_utf8(source).data.decode("utf-8")
    rows = list(csv.reader(io.StringIO(text, newline="")))
    return _page("", "", rows, wanted, _by_headers(contract, rows))


_LARGE_TEXT: Final = 1 << 18


def _by_headers(contract: Contract, rows: Sequence[Sequence[Any]]) -> _Sight:
    """Down to the heading everything; below it the columns that are taken in as they stand."""
    columns = [column for table in contract.tables.values() for column in table]
    known = {key(label) for column in columns for label in column.headers}
    open_ = {
        key(label)
        for column in columns
        if column.info.personal == "none" and not column.info.blank_when
        for label in column.headers
    }
    patterns = [column.info.pattern for column in columns if column.info.pattern and column.info.personal == "none"]
    top = [[_bare(cell) for cell in row] for row in rows[:TOP_ROWS]]
    hits = [sum(label in known for label in row) for row in top]
    at = hits.index(max(hits)) if hits and max(hits) > 1 else len(rows)
    labels = top[at] if at < len(top) else []
    allowed = {n for n, label in enumerate(labels) if label in open_ or _fits(label, patterns)}
    return _Sight(lambda row, column: row <= at or column in allowed, min(at + 1, TOP_ROWS))


def _bare(cell: Any) -> str:
    """A heading without the unit in its brackets."""
    return key(re.sub(r"\([^()]{1,4}\)$", "", plain(code_text(cell))))


def _fits(label: str, patterns: Iterable[str]) -> bool:
    return any(re.fullmatch(pattern, label) for pattern in patterns)
