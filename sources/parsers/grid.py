"""A worksheet as a grid of cells with the coordinates people see, and its header found.

What belongs here: opening workbooks (python-calamine), merged cells, header and index rows, shifted grids. What does
not: the meaning of a header or a figure.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Final

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, PasswordError

from sources.labels import plain
from sources.parsers.arrow import Array
from sources.parsers.numbers import code_text
from sources.parsers.package import BROKEN_ZIP, MAX_COLUMNS, OLE_MAGIC, ZIP_MAGIC, UnreadableError, guard_whole, inspect

__all__ = [
    "Cell",
    "Grid",
    "IndexRow",
    "NameColumns",
    "UnreadableError",
    "Workbook",
    "column_letter",
    "is_workbook",
    "kind",
    "names_apart",
    "open_workbook",
    "opened_once",
]

# Header, title and index rows stand near the top, whatever was inserted above them.
TOP_ROWS: Final = 30
MAX_CELLS: Final = 20_000_000
# What stands in a cell whose formula no program has calculated: text, so that no figure passes for blank.
NOT_CALCULATED: Final = "（公式没有计算结果）"

Cell = Any


def kind(head: bytes) -> str:
    """What the first bytes say: 'zip' (also .xlsx), 'ole' (old .xls, or an encrypted workbook), 'text' or 'empty'."""
    if not head:
        return "empty"
    if head.startswith(ZIP_MAGIC):
        return "zip"
    return "ole" if head.startswith(OLE_MAGIC) else "text"


@lru_cache(maxsize=4096)
def column_letter(number: int) -> str:
    """1 -> A, 27 -> AA."""
    letters = ""
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


@dataclass(frozen=True)
class IndexRow:
    """The row `甲 乙 1 2 3 …`: its 0-based row, the two stub columns, figure number -> 0-based column, and the column
    headed 单位 where there is one."""

    row: int
    stub: int
    line: int
    figures: dict[int, int]
    unit: int | None = None


@lru_cache(maxsize=4096)
def _index_columns(cells: tuple[str, ...]) -> tuple[int, int, dict[int, int], int | None] | None:
    """Stub, line, figures and unit column of an index row; None when it is none. Sheets of a form share theirs."""
    filled = [(column, text) for column, cell in enumerate(cells) if (text := plain(cell))]
    start = next((n for n, (_, text) in enumerate(filled) if text == "甲"), None)
    if start is None or len(filled) < start + 2 or filled[start + 1][1] != "乙":
        return None
    figures = {int(text): column for column, text in filled[start + 2 :] if text.isdecimal()}
    unit = next((column for column, text in filled if text == "单位"), None)
    return filled[start][0], filled[start + 1][0], figures, unit


@dataclass(frozen=True)
class Grid:
    """Cells of a sheet, 0-based from A1; `merged` holds ((top, left), (bottom, right)), inclusive."""

    name: str
    rows: list[list[Cell]]
    merged: tuple[tuple[tuple[int, int], tuple[int, int]], ...]

    @cached_property
    def width(self) -> int:
        """Number of columns."""
        return len(self.rows[0]) if self.rows else 0

    def text(self, row: int, column: int) -> str:
        """A cell as text without blanks; '' outside the grid."""
        if row >= len(self.rows) or column >= self.width:
            return ""
        value = self.rows[row][column]
        return "" if value == "" else code_text(value)

    @cached_property
    def shifted(self) -> bool:
        """True when an extra first row of letters A B C … and a first column of row numbers were added by an export."""
        if not self.rows or self.width < 2:
            return False
        letters = [self.text(0, column) for column in range(self.width)]
        return letters == [column_letter(number) for number in range(1, self.width + 1)] and self.text(1, 0) == "1"

    @cached_property
    def index_row(self) -> IndexRow | None:
        """The index row among the top rows, or None."""
        for row in range(min(TOP_ROWS, len(self.rows))):
            found = self._index_row(row)
            if found is not None:
                return found
        return None

    def _index_row(self, row: int) -> IndexRow | None:
        if "甲" not in "".join([value for value in self.rows[row] if value.__class__ is str]):
            return None
        cells = tuple([value if value.__class__ is str else code_text(value) for value in self.rows[row]])
        found = _index_columns(cells)
        return None if found is None else IndexRow(row, *found)

    def merged_text(self, row: int, column: int) -> str:
        """A header cell's text as a person sees it: a merged cell shows its text everywhere."""
        top, left = self._anchor.get((row, column), (row, column))
        return self.text(top, left)

    @cached_property
    def _anchor(self) -> dict[tuple[int, int], tuple[int, int]]:
        return {
            (row, column): (top, left)
            for (top, left), (bottom, right) in self.merged
            if top < TOP_ROWS
            for row in range(top, min(bottom, TOP_ROWS) + 1)
            for column in range(left, min(right, self.width) + 1)
        }

    def merged_bottom(self, row: int, column: int) -> int:
        """Last row of the merged cell at that place (the row itself when it is not merged)."""
        for (top, left), (bottom, right) in self.merged:
            if top <= row <= bottom and left <= column <= right:
                return bottom
        return row

    def header_path(self, rows: range, column: int) -> tuple[str, ...]:
        """Labels above a column from top to bottom. A blank upper label takes the one to its left (lost merges)."""
        labels = [self.merged_text(row, column) for row in rows]
        for depth, label in enumerate(labels[:-1]):
            if not label and any(labels[depth + 1 :]):
                labels[depth] = self._left_label(rows[depth], column)
        return tuple(label for label in labels if label)

    def _left_label(self, row: int, column: int) -> str:
        for left in range(column - 1, -1, -1):
            label = self.merged_text(row, left)
            if label:
                return label
        return ""

    def top_texts(self, limit: int) -> Iterator[tuple[int, int, str]]:
        """(row, column, text without blanks) of filled cells in the first `limit` rows."""
        for row in range(min(limit, len(self.rows))):
            for column, value in enumerate(self.rows[row]):
                if value.__class__ is str and value and (text := plain(value)):
                    yield row, column, text


class Workbook:
    """An open workbook. Raises UnreadableError for everything that is not one."""

    def __init__(self, source: Path | bytes) -> None:
        self._grids: dict[str, Grid] = {}
        handle = io.BytesIO(source if isinstance(source, bytes) else source.read_bytes())
        try:
            inspected = inspect(handle)
            self._uncalculated = inspected.uncalculated
            self._book = CalamineWorkbook.from_filelike(inspected.readable)
        except PasswordError as error:
            raise UnreadableError("文件有密码保护") from error
        except CalamineError as error:
            raise UnreadableError("文件已损坏或不是 Excel 工作簿") from error

    @property
    def sheet_names(self) -> list[str]:
        """Names as they stand in the file, trailing blanks included."""
        return list(self._book.sheet_names)

    def grid(self, name: str) -> Grid:
        """One sheet as a grid from A1, read once. Raises UnreadableError."""
        if name not in self._grids:
            self._grids[name] = self._read(name)
        return self._grids[name]

    def _read(self, name: str) -> Grid:
        try:
            sheet = self._book.get_sheet_by_name(name)
            _guard_size(sheet)
            rows = sheet.to_python(skip_empty_area=False)
            merged = tuple(sheet.merged_cell_ranges or ())
        except CalamineError as error:
            raise UnreadableError(f"工作表“{name}”已损坏") from error
        return Grid(name, _with_marks(rows, self._uncalculated.get(name, ())), merged)


@dataclass(frozen=True)
class NameColumns:
    """Columns of names as raw bytes, and how they decode. Only `sources.known_names` asks for them."""

    arrays: list[Array] = field(repr=False)
    encoding: str


@dataclass(frozen=True)
class _Opened:
    """What is shared within `opened_once`: workbooks, and the columns of names that one pass over a text took out
    beside those of the parser, which never sees them."""

    workbooks: dict[Path, Workbook] = field(default_factory=dict, repr=False)
    names: dict[Path, NameColumns] = field(default_factory=dict, repr=False)


_open: ContextVar[_Opened | None] = ContextVar("opened", default=None)


@contextmanager
def opened_once() -> Iterator[None]:
    """Within the block a workbook is opened and its sheets are read once, whoever asks `open_workbook` for it, and a
    text is gone through once for records and names. The file must stay as it is meanwhile."""
    token = _open.set(_Opened())
    try:
        yield
    finally:
        _open.reset(token)


def open_workbook(source: Path) -> Workbook:
    """The workbook, its grids shared with everybody who asked within `opened_once`. Raises UnreadableError."""
    opened = _open.get()
    if opened is None:
        return Workbook(source)
    if source not in opened.workbooks:
        opened.workbooks[source] = Workbook(source)
    return opened.workbooks[source]


def names_apart() -> dict[Path, NameColumns] | None:
    """Where the columns of names of texts are kept for `sources.known_names`; None outside `opened_once`."""
    opened = _open.get()
    return None if opened is None else opened.names


def _with_marks(rows: list[list[Cell]], places: Iterable[tuple[int, int]]) -> list[list[Cell]]:
    """The rows with a text in every cell whose formula has no result; without it such cells would pass for blank."""
    marks = sorted(places)
    if not marks:
        return rows
    width = max(len(rows[0]) if rows else 0, 1 + max(column for _, column in marks))
    height = max(len(rows), 1 + marks[-1][0])
    wide = [[*row, *([""] * (width - len(row)))] for row in rows]
    wide += [[""] * width for _ in range(height - len(rows))]
    for row, column in marks:
        wide[row][column] = NOT_CALCULATED
    return wide


def _guard_size(sheet: CalamineSheet) -> None:
    """Rows are laid out from A1, so that what counts is where the last cell stands."""
    height, width = (place + 1 for place in sheet.end) if sheet.end else (0, 0)
    if width > MAX_COLUMNS or width * height > MAX_CELLS:
        raise UnreadableError(f"工作表“{sheet.name}”过大（{height}行×{width}列）")


def is_workbook(source: Path) -> bool:
    """True when a zip is an Office package and not an archive of files. Raises UnreadableError."""
    try:
        with zipfile.ZipFile(source) as package:
            guard_whole(package)
            return "[Content_Types].xml" in package.namelist()
    except BROKEN_ZIP as error:
        raise UnreadableError("压缩包已损坏或不完整") from error
