"""Flat feeds: deliveries that are one table of rows, whatever carries them; the agreement of what names area and year.

What belongs here: strict models of a contract's `flat` property and the rules such a contract must have. What does not:
reading (`sources.parsers.flat`), and feeds whose layout is more than a table (`sources.catalogue`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

Carrier = Literal["json", "jsonl", "parquet", "csv"]
Kind = Literal["", "area", "year", "age_band", "statement"]

# What any flat delivery can break, whatever its columns are.
_ALWAYS: Final = (
    "unreadable",
    "no_rows",
    "missing_column",
    "duplicate_column",
    "unknown_header",
    "bad_row",
    "missing_required",
    "not_a_number",
    "negative",
    "duplicate_key",
)


class _Strict(BaseModel):
    """Unknown keys refused, never changed after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Place(_Strict):
    """What a delivery says of itself, read from a column (the majority of its rows) or fixed by the agreement."""

    column: str = ""
    fixed: str = ""


class PartOf(_Strict):
    """Which part a delivery is: the value of `column`, the fixed text, or (`digest_of`) a digest of that column.

    A digest makes every batch a part of its own; `with_table` appends the table's name.
    """

    column: str = ""
    fixed: str = ""
    digest_of: str = ""
    with_table: bool = False


class FlatCheck(_Strict):
    """A rule over one row. `sum`: the whole equals its parts (blank parts count 0) within `tolerance` of the agreed
    unit; `at_most`: no part is more than the whole."""

    rule: str
    kind: Literal["sum", "at_most"]
    whole: str
    parts: tuple[str, ...]
    tolerance: str = "0"


class FlatLayout(_Strict):
    """The `flat` property of a contract.

    head: key beside the rows of a JSON document -> column. unit_column: the column in which a row names its unit.
    printed_unit, printed_date: patterns (one group; year, month, day) for lines around a CSV table. notes: patterns of
    lines below it that are no data. totals: labels in `total_column` that mark a total row.
    """

    carriers: tuple[Carrier, ...]
    area: Place
    period: Place
    part: PartOf = PartOf()
    part_of_carrier: dict[Carrier, PartOf] = Field(default_factory=dict)
    head: dict[str, str] = Field(default_factory=dict)
    reported: str = ""
    unit_column: str = ""
    printed_unit: str = ""
    printed_date: str = ""
    notes: tuple[str, ...] = ()
    totals: tuple[str, ...] = ()
    total_column: str = ""
    checks: tuple[FlatCheck, ...] = ()

    def part_for(self, carrier: Carrier) -> PartOf:
        """How the part is found in a delivery of this carrier."""
        return self.part_of_carrier.get(carrier, self.part)


def needed_rules(layout: FlatLayout, features: Collection[str]) -> set[str]:
    """Names (behind the feed's prefix) of the rules that reading under this layout can report.

    `features` are what the columns ask for: code_list, code_pattern, date, area, age_band, statement, whole.
    """
    identity = {
        "area": bool(layout.area.column),
        "year": bool(layout.period.column),
        "part": any(part.column for part in (layout.part, *layout.part_of_carrier.values())),
    }
    named = {f"{verb}_{what}" for what, there in identity.items() if there for verb in ("unknown", "wrong")}
    by_feature = {
        "code_list": "unknown_code",
        "code_pattern": "bad_code",
        "date": "bad_date",
        "area": "bad_area",
        "age_band": "bad_age",
        "statement": "unknown_statement",
        "whole": "not_whole",
    }
    optional = {
        "unknown_unit": bool(layout.unit_column or layout.printed_unit),
        "unit_converted": bool(layout.unit_column or layout.printed_unit),
        "total_mismatch": bool(layout.totals),
    }
    return _union(
        _ALWAYS,
        named,
        (rule for feature, rule in by_feature.items() if feature in features),
        (rule for rule, there in optional.items() if there),
        (check.rule for check in layout.checks),
    )


def _union(*parts: Iterable[str]) -> set[str]:
    return {name for part in parts for name in part}
