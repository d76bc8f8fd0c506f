"""Education finance: a canonical CSV of one area and year to lines of the finance forms.

What belongs here: the rules of a finance line. What does not: reading the database (`sources.connectors.sql`). Amounts
are decimals from text to record; they never pass through a float.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sources.codelists import areas, code_list
from sources.contract import SourceColumn, load
from sources.parsers import arrow
from sources.parsers.amounts import plain_amounts
from sources.parsers.arrow import Array, Bools
from sources.parsers.census_profile import SCHOOL_CODE
from sources.parsers.delimited import Columns, open_csv, report_ragged, without_blank_rows
from sources.parsers.grid import UnreadableError
from sources.parsers.numbers import NotANumberError, code_text, decimal
from sources.parsers.result import Identity, ParseResult, Reporter, finish, record_table, refusal
from sources.parsers.vectors import Labels, all_differ, labels, report_repeated, report_rows, year_of
from warehouse.clock import SHANGHAI

TABLE: Final = "education_finance__line"
_YUAN: Final = pa.decimal128(18, 2)
_CENT: Final = Decimal("0.01")
_PLAIN_AMOUNT: Final = r"^-?[0-9]{1,12}(\.[0-9]{1,2})?$"
_AMOUNTS: Final = tuple(f"amount_{number}" for number in range(1, 9))
_MAX_LINE: Final = 9999


@dataclass
class _Lines:
    """A delivery while it is read."""

    reporter: Reporter
    columns: Columns
    by_name: dict[str, SourceColumn]
    values: dict[str, Labels]
    bad: Bools

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self.columns.row_numbers)

    def mark(self, rule: str, rows: Bools, column: str, texts: Labels | None = None) -> None:
        """Record a finding for each marked row and set the rows aside."""
        if rows.any():
            report_rows(
                self.reporter,
                rule,
                rows,
                row_numbers=self.columns.row_numbers,
                column=self.by_name[column],
                texts=texts or self.values.get(column),
                place=self.columns.places.get(column),
            )
            self.bad |= rows

    def mark_unknown(self, rule: str, column: str, known: Callable[[str], bool]) -> None:
        """Set aside rows whose text is filled and not known."""
        self.mark(rule, self.values[column].where(lambda text: bool(text) and not known(text)), column)


def parse_finance(snapshot: Path, *, delivery_id: str, out_dir: Path) -> ParseResult:
    """Parse a finance snapshot; area and year come from its rows."""
    reporter = Reporter(load("education_finance"))
    try:
        columns = open_csv(snapshot.read_bytes(), "line", reporter)
    except UnreadableError as error:
        reporter.add("finance.unreadable", detail=error)
        return refusal(reporter)
    if columns is None:
        return refusal(reporter)
    lines = _lines(reporter, without_blank_rows(columns))
    rows_in = lines.count + len(columns.ragged)
    if rows_in == 0:
        reporter.add("finance.no_rows")
        return refusal(reporter)
    identity = _identity(lines)
    if identity is None:
        return refusal(reporter, rows_in=rows_in)
    report_ragged(columns, "finance.ragged_row", reporter)
    table = _records(lines, identity, delivery_id)
    return finish(
        reporter, identity, rows_in=rows_in, rows_accepted=table.num_rows, tables={TABLE: table}, out_dir=out_dir
    )


def _lines(reporter: Reporter, columns: Columns) -> _Lines:
    by_name = {column.name: column for column in reporter.contract.columns("line")}
    texts = {name: labels(array, columns.encoding) for name, array in columns.arrays.items() if name not in _AMOUNTS}
    return _Lines(reporter, columns, by_name, texts, np.zeros(len(columns.row_numbers), dtype=np.bool_))


def _identity(lines: _Lines) -> Identity | None:
    years, places = lines.values["fiscal_year"], lines.values["area_code"]
    year = year_of(years.majority())
    if year is None:
        lines.reporter.add("finance.unknown_year", value=years.majority())
        return None
    area = _reporting(places.majority(), year)
    if area is None:
        lines.reporter.add("finance.unknown_area", value=places.majority())
        return None
    lines.mark_unknown("finance.wrong_year", "fiscal_year", lambda text: year_of(text) == year)
    lines.mark_unknown("finance.wrong_area", "area_code", lambda text: _reporting(text, year) == area)
    return Identity(area, year, "", _reported_on(lines))


def _reporting(text: str, year: int) -> str | None:
    known = areas()
    found = known.find(text, year) if text else None
    return known.reporting(found) if found else None


def _reported_on(lines: _Lines) -> date | None:
    stamps = [stamp for text in lines.values["updated_at"].values if (stamp := timestamp(text)) is not None]
    return max(stamps).date() if stamps else None


def timestamp(text: str) -> datetime | None:
    """ISO date and time as Shanghai wall time without zone; None when it is none."""
    try:
        stamp = datetime.fromisoformat(text)
    except ValueError:
        return None
    return stamp.astimezone(SHANGHAI).replace(tzinfo=None) if stamp.tzinfo else stamp


def _records(lines: _Lines, identity: Identity, delivery_id: str) -> pa.Table:
    _check(lines)
    amounts = {name: _amount(lines, name) for name in _AMOUNTS}
    values = lines.values
    keys = {name: values[name].mapped(read) for name, read in _KEY.items()}
    if not all_differ([values[name].numbered(read) for name, read in _KEY.items()], ~lines.bad):
        report_repeated(
            lines.reporter, "finance.duplicate_key", list(keys.values()), lines.bad, lines.columns.row_numbers
        )
    stamps = pa.array([timestamp(text) for text in values["updated_at"].values], pa.timestamp("us"))
    by_row: dict[str, Array] = {
        "unit_code": keys["unit_code"],
        "unit_name": values["unit_name"].mapped(str),
        "school_code": _text(lines, "school_code"),
        "school_kind_code": values["school_kind_code"].mapped(code_list("school_kind_finance").find),
        "form": keys["form"],
        "line_no": keys["line_no"].cast(pa.int32()),
        "item": values["item"].mapped(str),
        "updated_at": arrow.take(stamps, values["updated_at"].codes),
        "row_no": pa.array(lines.columns.row_numbers, pa.int32()),
        **amounts,
    }
    constant = {
        "fiscal_year": identity.period,
        "area_code": identity.area_code,
        "delivery_id": delivery_id,
        "member": "",
        "sheet": "",
    }
    return record_table(TABLE, by_row, constant, keep=~lines.bad)


def _check(lines: _Lines) -> None:
    for column in lines.by_name.values():
        if column.required and column.name in lines.values:
            lines.mark("finance.missing_required", lines.values[column.name].blank, column.name)
    forms, kinds = code_list("finance_form"), code_list("school_kind_finance")
    lines.mark_unknown("finance.unknown_form", "form", lambda text: forms.find(text) is not None)
    lines.mark_unknown("finance.unknown_code", "school_kind_code", lambda text: kinds.find(text) is not None)
    lines.mark_unknown("finance.bad_line", "line_no", lambda text: _line_text(text) is not None)
    lines.mark_unknown("finance.bad_timestamp", "updated_at", lambda text: timestamp(text) is not None)
    if "school_code" in lines.values:
        lines.mark_unknown(
            "finance.bad_school_code", "school_code", lambda text: bool(SCHOOL_CODE.fullmatch(code_text(text)))
        )


def _line_text(text: str) -> str | None:
    bare = code_text(text)
    good = bare.isascii() and bare.isdigit() and 0 < int(bare) <= _MAX_LINE
    return str(int(bare)) if good else None


def _form_code(text: str) -> str | None:
    return code_list("finance_form").find(text)


# What no two lines of a delivery may share, and what of its text counts.
_KEY: Final[dict[str, Callable[[str], str | None]]] = {
    "unit_code": code_text,
    "form": _form_code,
    "line_no": _line_text,
}


def _text(lines: _Lines, name: str) -> Array:
    found = lines.values.get(name)
    return arrow.repeat("", pa.string(), lines.count) if found is None else found.mapped(code_text)


# -- money ------------------------------------------------------------------------------------------------------------


def _amount(lines: _Lines, name: str) -> Array:
    """A money column as DECIMAL(18,2); blank is null. Text that is no plain number takes the careful way."""
    raw = lines.columns.arrays.get(name)
    if raw is None:
        return pa.nulls(lines.count, _YUAN)
    if (amounts := plain_amounts(raw, _YUAN)) is not None:
        return amounts
    plain = arrow.matches(raw, _PLAIN_AMOUNT)
    amounts = arrow.text_where(raw, plain).cast(_YUAN)
    rest = np.flatnonzero(~plain & (arrow.lengths(raw) > 0))
    return amounts if not len(rest) else _careful_amounts(lines, name, amounts, rest)


def _careful_amounts(lines: _Lines, name: str, amounts: Array, rest: npt.NDArray[np.int64]) -> Array:
    """Fill in the odd ones (`１，２３４`, `12.345`, ` 5 `) one by one; what is no number is a finding."""
    texts = labels(lines.columns.arrays[name], lines.columns.encoding)
    values = amounts.to_pylist()
    bad = np.zeros(lines.count, dtype=np.bool_)
    for row in rest.tolist():
        try:
            values[row] = _yuan(texts.values[texts.codes[row]])
        except NotANumberError:
            bad[row] = True
    lines.mark("finance.not_a_number", bad, name, texts)
    return pa.array(values, _YUAN)


def _yuan(text: str) -> Decimal | None:
    value = decimal(text)
    return None if value is None else value.quantize(_CENT, rounding=ROUND_HALF_UP)
