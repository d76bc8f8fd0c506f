"""Numbers as people type them: full-width digits, thousands separators, stray blanks, marks for "none".

What belongs here: one cell to one number (or none, or refusal). What does not: units (they stand in the contract) and
what a bad number does to its row.
"""

from __future__ import annotations

import math
import re
import unicodedata
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Final

from sources.labels import plain

# Nothing an education office counts, measures or pays comes near; 1e300 and friends are typing errors or attacks.
LIMIT: Final = 10**13
# Marks for "cannot occur" and "none" (the forms use `*` and `-`).
_NONE: Final = {"", "*", "-", "--", "—", "——", "–", "...", "......", "/", "\\", "无", "null", "none"}
_NUMBER: Final = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+|\d{1,3}(?:,\d{3})+(?:\.\d+)?)%?")

BLANK: Final = math.nan
BAD: Final = math.inf


class NotANumberError(ValueError):
    """The cell holds something that is not a finite number within the limit."""


@lru_cache(maxsize=65536)
def decimal(text: str, *, percent: bool = False) -> Decimal | None:
    """The exact number in a text; None for blanks and none-marks. Raises NotANumberError.

    `percent` allows a trailing percent sign, which is dropped: `93.5%` -> 93.5.
    """
    bare = plain(text)
    if bare.lower() in _NONE:
        return None
    if not text.isascii() and any(unicodedata.category(character) == "No" for character in text):
        # Superscripts, circled and vulgar fractions: NFKC would read 10⁵ as 105.
        raise NotANumberError(text[:40])
    if not bare.isascii() or not _NUMBER.fullmatch(bare) or (bare.endswith("%") and not percent):
        raise NotANumberError(text[:40])
    try:
        value = Decimal(bare.replace(",", "").removesuffix("%"))
    except InvalidOperation as error:
        raise NotANumberError(text[:40]) from error
    if abs(value) >= LIMIT:
        raise NotANumberError(text[:40])
    # 0 and -0 are one number.
    return value if value else abs(value)


def cell_decimal(value: object, *, percent: bool = False) -> Decimal | None:
    """The exact number in a spreadsheet cell; None when there is none. Raises NotANumberError (dates, booleans too)."""
    if value is None:
        return None
    if isinstance(value, str):
        return decimal(value, percent=percent)
    if not _is_number(value):
        raise NotANumberError(str(value)[:40])
    number = Decimal(str(value))
    if not number.is_finite() or abs(number) >= LIMIT:
        raise NotANumberError(str(value)[:40])
    return number or Decimal(0)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def cell_float(value: object) -> float:
    """For whole columns: the number as float, BLANK (NaN) when there is none, BAD (inf) when it is not one."""
    try:
        number = cell_decimal(value)
    except NotANumberError:
        return BAD
    return BLANK if number is None else float(number)


@lru_cache(maxsize=65536)
def text_float(text: str) -> float:
    """`cell_float` of a text, remembered: forms repeat few figures very often."""
    return cell_float(text)


def code_text(value: object) -> str:
    """A code as text: Excel turns codes into floats (`2150000001.0`), people add blanks and full-width digits."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return plain(str(value)) if value is not None else ""
