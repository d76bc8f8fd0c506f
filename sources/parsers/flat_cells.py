"""One cell of a flat delivery to one value of its record: codes, areas, dates, age bands, measured values.

What belongs here: meaning of a single text under its column's agreement; `CellError` names the rule it breaks. What
does not: rules over rows and deliveries (`sources.parsers.flat`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Any, Final

import pyarrow as pa

from sources.codelists import areas, code_list, statements
from sources.contract import SourceColumn
from sources.labels import plain
from sources.parsers.numbers import LIMIT, NotANumberError, code_text, decimal
from sources.parsers.units import convertible
from sources.parsers.vectors import year_of

_DATE: Final = re.compile(r"(\d{4})(?:-|/|\.|年)(\d{1,2})(?:-|/|\.|月)(\d{1,2})日?(?:T.*)?")
_BARE_DATE: Final = re.compile(r"(\d{4})(\d{2})(\d{2})")
_AGE: Final = re.compile(r"(\d{1,3})(?:-(\d{1,3})|(\+|岁?及?以上))?岁?")
_MAX_AGE: Final = 120
_LARGEST_INT: Final = 2**31 - 1


class CellError(ValueError):
    """A cell that breaks a rule of its contract; `rule` is the name behind the feed's prefix."""

    def __init__(self, rule: str, detail: str = "") -> None:
        super().__init__(detail)
        self.rule, self.detail = rule, detail


@dataclass(frozen=True)
class Context:
    """What a cell's meaning depends on: the year in which areas are looked up, and the unit of its column."""

    year: int
    unit: str = ""


def value_of(column: SourceColumn, text: str, kind: pa.DataType, context: Context) -> Any:
    """The record value of a text that is not empty. Raises CellError."""
    if column.logical_type == "date":
        return date_of(text)
    if column.info.kind == "area":
        return area_of(text, context.year)
    if column.info.kind == "year":
        return _year(text)
    if column.info.code_list:
        return _code(column.info.code_list, text)
    if column.logical_type in {"number", "integer"}:
        return measure(text, kind, column.info.unit, context.unit)
    return _text(column, text)


def date_of(text: str) -> date:
    """A day as `2021-05-20`, `2021/5/20`, `2021年5月20日` or `20210520`. Raises CellError."""
    bare = plain(text)
    match = _DATE.fullmatch(bare) or _BARE_DATE.fullmatch(bare)
    try:
        return date(*(int(part) for part in match.groups())) if match else date.fromisoformat(bare)
    except ValueError:
        raise CellError("bad_date") from None


def area_of(text: str, year: int) -> str:
    """The code of the reporting area a name or code means in a year. Raises CellError."""
    known = areas()
    found = known.find(text, year)
    reporting = known.reporting(found) if found else None
    if reporting is None:
        raise CellError("bad_area")
    return reporting


def age_band(text: str) -> tuple[int, int | None]:
    """First and last age of `3`, `3岁`, `25-29`, `65+`, `65岁及以上`; no last age for open bands. Raises CellError."""
    match = _AGE.fullmatch(plain(text).replace("~", "-").replace("—", "-"))
    if match is None:
        raise CellError("bad_age")
    first = int(match[1])
    last = None if match[3] else int(match[2] or first)
    if first > _MAX_AGE or (last is not None and not first <= last <= _MAX_AGE):
        raise CellError("bad_age")
    return first, last


def statement_of(text: str, pattern: str) -> tuple[str | None, str | None]:
    """(statement id of the plan registry, project code): one of them, the other None. Raises CellError."""
    bare = code_text(text)
    if bare in statements():
        return bare, None
    if re.fullmatch(pattern, bare):
        return None, bare
    raise CellError("unknown_statement")


@lru_cache(maxsize=4096)
def measure(text: str, kind: pa.DataType, agreed: str, unit: str) -> int | Decimal | None:
    """A measured value in the base of its unit, or a plain number where none is agreed; None for none-marks.

    `unit` is what the delivery says ('' for what is agreed). Raises CellError.
    """
    try:
        value = decimal(text)
    except NotANumberError:
        raise CellError("not_a_number") from None
    if value is None:
        return None
    if agreed:
        known = convertible(unit or agreed, agreed)
        if known is None:
            raise CellError("unknown_unit", unit)
        value = known.to_base(value)
    if value < 0:
        raise CellError("negative")
    return _fitted(value, kind)


def _fitted(value: Decimal, kind: pa.DataType) -> int | Decimal:
    if pa.types.is_decimal(kind):
        if value >= LIMIT:
            raise CellError("not_a_number")
        return value.quantize(Decimal(1).scaleb(-kind.scale), rounding=ROUND_HALF_UP)
    if value > _LARGEST_INT:
        raise CellError("not_a_number")
    if value != value.to_integral_value():
        raise CellError("not_whole")
    return int(value)


def _year(text: str) -> int:
    year = year_of(plain(text))
    if year is None:
        raise CellError("wrong_year")
    return year


def _code(name: str, text: str) -> str:
    found = code_list(name).find(text)
    if found is None:
        raise CellError("unknown_code")
    return found


def _text(column: SourceColumn, text: str) -> str:
    if not column.info.code_pattern:
        return text
    bare = code_text(text)
    if not re.fullmatch(column.info.code_pattern, bare):
        raise CellError("bad_code")
    return bare
