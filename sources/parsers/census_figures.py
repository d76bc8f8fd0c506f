"""Figures of a form: the checks of whole columns, and their way into the record table.

What belongs here: rules about numbers (not a number, negative, not whole, sums, subsets) and the table of accepted
figures. What does not: where the numbers stood (`census_list`, `census_workbook`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sources.catalogue import Address, Check, Form
from sources.parsers import arrow
from sources.parsers.arrow import Array, Bools
from sources.parsers.grid import column_letter
from sources.parsers.numbers import cell_float
from sources.parsers.result import Reporter
from warehouse.records import RECORD_SCHEMAS

FIGURE_TABLE: Final = "school_census__figure"
# People and classes come whole; areas and money do not.
_WHOLE_UNITS: Final = {"人", "个"}
_TOLERANCE: Final = 1e-6

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def counts_whole(unit: str) -> bool:
    """True for units in which a fraction is an error."""
    return unit in _WHOLE_UNITS


def to_matrix(rows: Sequence[Sequence[Any]]) -> Floats:
    """Cells as floats: NaN for none, inf for what is not a number. Shape as given, at least one column."""
    flat = [cell if cell.__class__ is float else cell_float(cell) for row in rows for cell in row]
    matrix = np.array(flat, dtype=np.float64).reshape(len(rows), -1)
    # A float that no form can hold goes the same way as text.
    matrix[np.abs(matrix) >= 1e13] = np.inf
    return matrix


@dataclass(frozen=True)
class FigureColumn:
    """One column of a matrix: where it stands in the sheet (0-based) and which figure it is."""

    sheet_column: int
    label: str
    form: str
    line: int
    column: int
    measure: str | None
    whole: bool

    @property
    def letter(self) -> str:
        """The column letter people see."""
        return column_letter(self.sheet_column + 1)


@dataclass(frozen=True)
class Figures:
    """The figures of one list sheet: rows × columns, with the raw cells for messages."""

    member: str
    sheet: str
    row_numbers: Sequence[int]
    codes: Sequence[str]
    columns: Sequence[FigureColumn]
    raw: Sequence[Sequence[Any]]
    values: Floats
    factor: float = 1.0


def bad_cells(figures: Figures, reporter: Reporter) -> Bools:
    """Rows with a cell that is no number, negative or broken; each such cell is a finding."""
    values = figures.values
    whole = np.array([column.whole for column in figures.columns], dtype=np.bool_)
    # NaN compares False everywhere: blanks pass.
    no_number = np.isinf(values)
    negative = ~no_number & (values < 0)
    broken = ~no_number & ~negative & whole[None, :] & (values != np.floor(values)) & ~np.isnan(values)
    bad = np.zeros(len(values), dtype=np.bool_)
    for rule, cells in (
        ("census.not_a_number", no_number),
        ("census.negative", negative),
        ("census.not_whole", broken),
    ):
        if not cells.any():
            continue
        bad |= cells.any(axis=1)
        for row, at in np.argwhere(cells).tolist():
            column = figures.columns[at]
            reporter.add(
                rule,
                member=figures.member,
                sheet=figures.sheet,
                row=figures.row_numbers[row],
                column=column.label,
                cell=f"{column.letter}{figures.row_numbers[row]}",
                value=figures.raw[row][at],
            )
    return bad


def broken_checks(figures: Figures, forms: Iterable[Form], reporter: Reporter) -> Bools:
    """Rows that break a sum or subset check of their form; each is a finding. Blank cells count 0; a check that touches
    a cell already reported says nothing more."""
    bad = np.zeros(len(figures.values), dtype=np.bool_)
    amounts = np.where(np.isfinite(figures.values), figures.values, 0.0)
    for form in forms:
        places = {
            (column.line, column.column): at for at, column in enumerate(figures.columns) if column.form == form.form
        }
        for check in form.checks:
            bad |= _broken(figures, amounts, check, places, reporter)
    return bad


def _broken(
    figures: Figures, amounts: Floats, check: Check, places: Mapping[Address, int], reporter: Reporter
) -> Bools:
    nothing = np.zeros(len(amounts), dtype=np.bool_)
    if check.whole not in places or any(part not in places for part in check.parts):
        # A part that the sheet does not show cannot be added up.
        return nothing
    whole = amounts[:, places[check.whole]]
    parts = amounts[:, [places[part] for part in check.parts]]
    together = parts.sum(axis=1) if check.kind == "sum" else parts.max(axis=1)
    broken: Bools = np.abs(together - whole) > _TOLERANCE if check.kind == "sum" else together > whole + _TOLERANCE
    touched = figures.values[:, [places[address] for address in (check.whole, *check.parts)]]
    broken &= ~np.any(np.isinf(touched) | (touched < 0), axis=1)
    shown = places[check.whole] if check.kind == "sum" else places[check.parts[0]]
    for row in np.flatnonzero(broken).tolist():
        value, detail = (whole, together) if check.kind == "sum" else (together, whole)
        report_check(
            reporter,
            check,
            figures.columns[shown],
            member=figures.member,
            sheet=figures.sheet,
            row=figures.row_numbers[row],
            value=float(value[row]),
            detail=float(detail[row]),
        )
    return broken


def report_check(
    reporter: Reporter,
    check: Check,
    column: FigureColumn,
    *,
    member: str,
    sheet: str,
    row: int,
    value: float,
    detail: float,
    cell: str = "",
) -> None:
    """The finding of a broken check: for sums total and sum of parts, for subsets the part and the total."""
    reporter.add(
        "census.sum_mismatch" if check.kind == "sum" else "census.subset_exceeds",
        member=member,
        sheet=sheet,
        row=row,
        column=column.label,
        cell=cell or f"{column.letter}{row}",
        value=f"{value:g}" if value < 1e6 else f"{value:.0f}",
        detail=f"{detail:g}" if detail < 1e6 else f"{detail:.0f}",
    )


@dataclass(frozen=True)
class Constants:
    """What every figure of a delivery shares."""

    year: int
    area_code: str
    delivery_id: str


def list_table(sheets: Sequence[tuple[Figures, Bools]], constants: Constants) -> pa.Table:
    """The record table of all sheets' kept rows; cells without a number give no row.

    Sheets are laid end to end first, so that each record column is made in one step for the whole delivery.
    """
    if not sheets:
        return RECORD_SCHEMAS[FIGURE_TABLE].empty_table()
    places = [np.nonzero(keep[:, None] & np.isfinite(figures.values)) for figures, keep in sheets]
    values = np.concatenate([figures.values[at] for (figures, _), at in zip(sheets, places, strict=True)])
    rows = _laid_out([at[0] for at in places], [len(figures.row_numbers) for figures, _ in sheets])
    columns = _laid_out([at[1] for at in places], [len(figures.columns) for figures, _ in sheets])
    pages = np.repeat(np.arange(len(sheets)), [len(at[0]) for at in places])
    numbers = np.concatenate([np.asarray(figures.row_numbers, dtype=np.int32) for figures, _ in sheets])[rows]
    codes = [code for figures, _ in sheets for code in figures.codes]
    heads = [column for figures, _ in sheets for column in figures.columns]
    row_array = pa.array(numbers, pa.int32())
    letters = arrow.spread([head.letter for head in heads], columns)
    return _table(
        constants,
        len(values),
        {
            "school_code": arrow.spread(codes, rows),
            "form": arrow.spread([head.form for head in heads], columns),
            "line_no": pa.array(np.array([head.line for head in heads], dtype=np.int32)[columns]),
            "column_no": pa.array(np.array([head.column for head in heads], dtype=np.int32)[columns]),
            "measure": arrow.spread([head.measure for head in heads], columns),
            "value": decimals(values),
            "source_cell": arrow.joined([letters, row_array.cast(pa.string())], ""),
            "member": arrow.spread([figures.member for figures, _ in sheets], pages),
            "sheet": arrow.spread([figures.sheet for figures, _ in sheets], pages),
            "row_no": row_array,
        },
    )


def _laid_out(indices: Sequence[Ints], sizes: Sequence[int]) -> Ints:
    """Indices within each part as indices into all parts laid end to end."""
    starts = np.cumsum([0, *sizes[:-1]])
    result: Ints = np.concatenate([at + start for at, start in zip(indices, starts.tolist(), strict=True)])
    return result


def decimals(values: Floats) -> Array:
    """Floats as DECIMAL(18,4), rounded to four places."""
    return pa.array(np.round(values, 4), pa.float64()).cast(pa.decimal128(18, 4), safe=False)


def _table(constants: Constants, count: int, columns: dict[str, Array]) -> pa.Table:
    schema = RECORD_SCHEMAS[FIGURE_TABLE]
    shared = {
        "stat_year": arrow.repeat(constants.year, pa.int32(), count),
        "form_year": arrow.repeat(constants.year, pa.int32(), count),
        "area_code": arrow.repeat(constants.area_code, pa.string(), count),
        "delivery_id": arrow.repeat(constants.delivery_id, pa.string(), count),
    }
    everything = shared | columns
    return pa.table([everything[name] for name in schema.names], schema=schema)


# school_code, form, line, column, measure, value, source cell, member, sheet, row
FigureRow = tuple[str, str, int, int, str | None, float, str, str, str, int]


def rows_table(rows: Sequence[FigureRow], constants: Constants) -> pa.Table:
    """The record table of single figures, each in the order of `FigureRow`."""
    names = (
        "school_code",
        "form",
        "line_no",
        "column_no",
        "measure",
        "value",
        "source_cell",
        "member",
        "sheet",
        "row_no",
    )
    schema = RECORD_SCHEMAS[FIGURE_TABLE]
    values: list[Sequence[Any]] = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in names]
    columns: dict[str, Array] = {}
    for name, column in zip(names, values, strict=True):
        exact = name == "value"
        columns[name] = decimals(np.array(column)) if exact else pa.array(column, schema.field(name).type)
    return _table(constants, len(rows), columns)
