"""How the analyst counts rows that break a rule, and how texts are searched: once for each distinct text of a column.

Belongs here: what all checks share. What does not: the rules (`analyst_checks.py`, `analyst_checks_marts.py`).
"""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

Count = list[int]
Counts = dict[str, Count]
Mask = Any  # a column of True and False

# Identity numbers of 18 and of 15 characters and mobile numbers; among hexadecimal digits none is one.
DAY = r"(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
PERSON_NUMBER = re.compile(
    rf"(?<![0-9a-fA-F])(?:[1-9][0-9]{{5}}(?:19|20)[0-9]{{2}}{DAY}[0-9]{{3}}[0-9Xx]"
    rf"|[1-9][0-9]{{5}}[0-9]{{2}}{DAY}[0-9]{{3}}"
    r"|1[3-9][0-9][- ]?[0-9]{4}[- ]?[0-9]{4})(?![0-9a-fA-F])"
)
CONTROL_CHARACTER = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060\ufeff]")
STRAY_BLANK = re.compile("^$|^[ \t\u3000\u00a0]|[ \t\u3000\u00a0]$")
NARROW = str.maketrans("０１２３４５６７８９Ｘｘ", "0123456789Xx")


def counted(rows: Any, fails: Mask, scope: Mask = None) -> Count:
    """How many rows are in scope, and how many of these fail."""
    if scope is None:
        return [len(rows), int(fails.sum())]
    return [int(scope.sum()), int((scope & fails).sum())]


def not_null(frame: pd.DataFrame, column: str, scope: Mask = None) -> Count:
    """A column is filled."""
    return counted(frame, frame[column].isna(), scope)


def in_set(frame: pd.DataFrame, column: str, values: list[str]) -> Count:
    """A column, where filled, holds one of these."""
    return counted(frame, ~frame[column].isin(values), frame[column].notna())


def between(frame: pd.DataFrame, column: str, low: float | None, high: float | None, scope: Mask = True) -> Count:
    """A column, where filled, lies between the bounds."""
    outside = pd.Series(False, index=frame.index)
    if low is not None:
        outside |= frame[column] < low
    if high is not None:
        outside |= frame[column] > high
    return counted(frame, outside, frame[column].notna() & scope)


def at_least(frame: pd.DataFrame, rows: int) -> Count:
    """The table has that many rows."""
    return [len(frame), int(len(frame) < rows)]


def text_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns that may hold texts."""
    return frame.select_dtypes(include=["object", "str"])


def holding(frame: pd.DataFrame, pattern: re.Pattern[str]) -> Mask:
    """Rows with a text in which the pattern is found."""
    found = pd.Series(False, index=frame.index)
    for name in frame:
        texts = [text for text in frame[name].unique() if isinstance(text, str)]
        bad = [text for text in texts if pattern.search(text.translate(NARROW))]
        if bad:
            found |= frame[name].isin(bad)
    return found


def none_holding(frame: pd.DataFrame, pattern: re.Pattern[str] = PERSON_NUMBER) -> Count:
    """No text of the table has that in it."""
    return counted(frame, holding(text_columns(frame), pattern))


def different(left: Any, right: Any) -> Mask:
    """Where two columns differ; missing is the same as missing."""
    return (left != right) & ~(left.isna() & right.isna())
