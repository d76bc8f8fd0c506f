"""Whole columns at once: labels to codes, blanks, school codes, majorities, without a step for each row.

What belongs here: vectorised looking-up and its findings. What does not: which column follows which list (the
contract).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from sources.contract import SourceColumn
from sources.parsers import arrow
from sources.parsers.arrow import Array, Bools
from sources.parsers.grid import column_letter
from sources.parsers.result import Reporter

_YEAR: Final = re.compile(r"((?:19|20)\d{2})(?:\.0)?(?:年|学年|年度)?")
_MOST_NUMBERS: Final = 2**62
_EDGES: Final = " \t\u3000\xa0\u200b\ufeff\r\n"


@dataclass(frozen=True)
class Labels:
    """A column by its distinct values: `values[codes[i]]` is the trimmed text of row i."""

    values: list[str]
    codes: npt.NDArray[np.int32]

    def texts(self, rows: Sequence[int]) -> list[str]:
        """Texts of some rows."""
        return [self.values[self.codes[row]] for row in rows]

    def mapped(self, function: Callable[[str], str | None]) -> Array:
        """A string array with the function applied to each distinct value."""
        return arrow.spread([function(value) for value in self.values], self.codes)

    def where(self, function: Callable[[str], bool]) -> Bools:
        """Rows whose text satisfies the function."""
        hits = np.array([function(value) for value in self.values], dtype=np.bool_)
        return hits[self.codes] if len(hits) else np.zeros(len(self.codes), dtype=np.bool_)

    def numbered(self, function: Callable[[str], str | None]) -> npt.NDArray[np.int64]:
        """A number for each row, from 0 and the same wherever the function gives the same."""
        numbers: dict[str | None, int] = {}
        by_value = [numbers.setdefault(function(value), len(numbers)) for value in self.values]
        return np.array(by_value, dtype=np.int64)[self.codes]

    @property
    def blank(self) -> Bools:
        """Rows without text."""
        return self.where(lambda value: not value)

    def majority(self) -> str:
        """The most frequent text that is not blank ('' when there is none); ties go to the one that comes first."""
        counts = np.bincount(self.codes, minlength=len(self.values))
        ranked = [(int(count), -at) for at, count in enumerate(counts) if self.values[at]]
        return self.values[-max(ranked)[1]] if ranked else ""


def labels(array: Array, encoding: str) -> Labels:
    """Distinct values of a binary column, decoded; bytes that do not decode become replacement characters."""
    distinct, codes = arrow.encode(array)
    return Labels([value.decode(encoding, errors="replace").strip(_EDGES) for value in distinct], codes)


def report_rows(
    reporter: Reporter,
    rule: str,
    rows: Bools,
    *,
    row_numbers: npt.NDArray[np.int32],
    column: SourceColumn,
    texts: Labels | None,
    place: int | None,
    sheet: str = "",
) -> None:
    """One finding for each marked row; `place` is the column's 0-based position in the file (None: it has none)."""
    letter = None if place is None else column_letter(place + 1)
    for row in np.flatnonzero(rows).tolist():
        value = "" if texts is None else texts.values[texts.codes[row]]
        number = int(row_numbers[row])
        cell = f"{letter}{number}" if letter else None
        reporter.add(rule, sheet=sheet, row=number, column=column.info.header, cell=cell, value=value)


def all_differ(keys: Sequence[npt.NDArray[np.int64]], rows: Bools) -> bool:
    """True when no two of these rows have the same numbers in all keys; False also where there are too many to tell."""
    sizes = [int(numbers.max(initial=0)) + 1 for numbers in keys]
    if math.prod(sizes) > _MOST_NUMBERS:
        return False
    combined = np.zeros(np.count_nonzero(rows), dtype=np.int64)
    for numbers, size in zip(keys, sizes, strict=True):
        combined = combined * size + numbers[rows]
    # A delivery in order needs no sorting.
    return _ascending(combined) or _ascending(np.sort(combined))


def _ascending(numbers: npt.NDArray[np.int64]) -> bool:
    return bool((numbers[1:] > numbers[:-1]).all())


def report_repeated(
    reporter: Reporter,
    rule: str,
    keys: Sequence[Array],
    bad: Bools,
    row_numbers: npt.NDArray[np.int32],
    *,
    sheet: str = "",
) -> None:
    """Find rows (of those not bad) that repeat an earlier one in all keys; report them and mark them bad in place."""
    good = np.flatnonzero(~bad)
    distinct, codes = arrow.encode(arrow.take(arrow.joined(keys, "|"), good))
    if len(distinct) == len(good):
        return
    _, first = np.unique(codes, return_index=True)
    first_of = dict(zip(codes[first].tolist(), first.tolist(), strict=True))
    repeated = np.setdiff1d(np.arange(len(good)), first)
    for at in repeated.tolist():
        earlier = int(row_numbers[good[first_of[int(codes[at])]]])
        reporter.add(rule, sheet=sheet, row=int(row_numbers[good[at]]), detail=earlier)
    bad[good[repeated]] = True


def year_of(text: str) -> int | None:
    """A four-digit year out of `2023`, `2023年`, `2023.0`; None when there is none."""
    match = _YEAR.fullmatch(text)
    return int(match[1]) if match else None
