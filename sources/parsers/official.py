"""Published official figures: the project's own CSV to records.

What belongs here: the rules of such a figure. What does not: the figures (`sources/official/official_figures.csv`).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from sources.codelists import CITY, areas, code_list
from sources.contract import SourceColumn, load
from sources.labels import plain
from sources.parsers import arrow
from sources.parsers.arrow import Array, Bools
from sources.parsers.delimited import Columns, open_csv, report_ragged, without_blank_rows
from sources.parsers.grid import UnreadableError
from sources.parsers.numbers import NotANumberError, decimal
from sources.parsers.result import Identity, ParseResult, Reporter, finish, record_table, refusal
from sources.parsers.vectors import Labels, labels, report_repeated, report_rows, year_of

TABLE: Final = "official_figures__figure"
NATION: Final = "000000"
_PERCENT: Final = "%"
_PLACES: Final = Decimal("0.0001")
_KEY: Final = ("indicator_zh", "level_zh", "area_code", "ref_period", "source")


@dataclass
class _Figures:
    """The file while it is read."""

    reporter: Reporter
    columns: Columns
    by_name: dict[str, SourceColumn]
    values: dict[str, Labels]
    bad: Bools

    def mark(self, rule: str, rows: Bools, column: str) -> None:
        """Record a finding for each marked row and set the rows aside."""
        if rows.any():
            report_rows(
                self.reporter,
                rule,
                rows,
                row_numbers=self.columns.row_numbers,
                column=self.by_name[column],
                texts=self.values[column],
                place=self.columns.places.get(column),
            )
            self.bad |= rows

    def text(self, name: str) -> Array:
        """A column's texts; '' throughout when the file lacks it."""
        found = self.values.get(name)
        if found is None:
            return arrow.repeat("", pa.string(), len(self.bad))
        return found.mapped(str)


def parse_official(snapshot: Path, *, delivery_id: str, out_dir: Path) -> ParseResult:
    """Parse the file of published figures: area 500000, period 0 (all)."""
    reporter = Reporter(load("official_figures"))
    identity = Identity(CITY, 0, "", None)
    try:
        columns = open_csv(snapshot.read_bytes(), "figure", reporter)
    except UnreadableError as error:
        reporter.add("official.unreadable", detail=error)
        return refusal(reporter, identity)
    if columns is None:
        return refusal(reporter, identity)
    columns = without_blank_rows(columns)
    rows_in = len(columns.row_numbers) + len(columns.ragged)
    if rows_in == 0:
        reporter.add("official.no_rows")
        return refusal(reporter, identity)
    report_ragged(columns, "official.ragged_row", reporter)
    figures = _Figures(
        reporter=reporter,
        columns=columns,
        by_name={column.name: column for column in reporter.contract.columns("figure")},
        values={name: labels(array, columns.encoding) for name, array in columns.arrays.items()},
        bad=np.zeros(len(columns.row_numbers), dtype=np.bool_),
    )
    table = _records(figures, delivery_id)
    return finish(
        reporter, identity, rows_in=rows_in, rows_accepted=table.num_rows, tables={TABLE: table}, out_dir=out_dir
    )


def _records(figures: _Figures, delivery_id: str) -> pa.Table:
    _check(figures)
    values = figures.values
    numbers = pa.array([_number(text) for text in values["value"].values], pa.decimal128(18, 4))
    years = figures.values.get("stat_year")
    year_array = (
        pa.nulls(len(figures.bad), pa.int32())
        if years is None
        else arrow.take(pa.array([year_of(text) for text in years.values], pa.int32()), years.codes)
    )
    ids = values.get("indicator_id")
    no_ids = pa.nulls(len(figures.bad), pa.string())
    by_row: dict[str, Array] = {
        "indicator_id": no_ids if ids is None else ids.mapped(lambda text: text or None),
        "stat_year": year_array,
        "value": arrow.take(numbers, values["value"].codes),
        "unit_zh": values["unit_zh"].mapped(code_list("unit").find),
        "row_no": pa.array(figures.columns.row_numbers, pa.int32()),
    }
    for name in ("indicator_zh", "level_zh", "area_code", "ref_period", "source", "confidence", "note"):
        by_row[name] = figures.text(name)
    constant = {"delivery_id": delivery_id, "member": "", "sheet": ""}
    return record_table(TABLE, by_row, constant, keep=~figures.bad)


def _check(figures: _Figures) -> None:
    values = figures.values
    for column in figures.by_name.values():
        if column.required:
            figures.mark("official.missing_required", values[column.name].blank, column.name)
    units, known = code_list("unit"), areas()
    not_finite = values["value"].where(lambda text: bool(text) and _number(text) is None)
    figures.mark("official.not_finite", not_finite, "value")
    unknown_unit = values["unit_zh"].where(lambda text: bool(text) and units.find(text) is None)
    figures.mark("official.unknown_unit", unknown_unit, "unit_zh")
    percent = values["unit_zh"].where(lambda text: units.find(text) == _PERCENT)
    figures.mark("official.fraction_or_percent", percent & values["value"].where(_is_bare_fraction), "value")
    unknown_area = values["area_code"].where(lambda text: bool(text) and text != NATION and text not in known.by_code)
    figures.mark("official.unknown_area", unknown_area, "area_code")
    if "stat_year" in values:
        bad_year = values["stat_year"].where(lambda text: bool(text) and year_of(text) is None)
        figures.mark("official.bad_year", bad_year, "stat_year")
    keys = [figures.text(name) for name in _KEY]
    report_repeated(figures.reporter, "official.duplicate_figure", keys, figures.bad, figures.columns.row_numbers)


def _is_bare_fraction(text: str) -> bool:
    number = _number(text)
    return number is not None and 0 < abs(number) < 1 and not plain(text).endswith("%")


def _number(text: str) -> Decimal | None:
    try:
        value = decimal(text, percent=True)
    except NotANumberError:
        return None
    return None if value is None else value.quantize(_PLACES, rounding=ROUND_HALF_UP)
