"""Numbers as people type them."""

from __future__ import annotations

import math
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.parsers.numbers import LIMIT, NotANumberError, cell_decimal, cell_float, code_text, decimal

FULL_WIDTH = str.maketrans("0123456789.,-", "０１２３４５６７８９．，－")
NOISE = ["", " ", "\u3000", "\xa0", "\u200b", "\ufeff", "\t"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("１２３", "123"),
        ("1,234", "1234"),
        ("1，234，567．50", "1234567.50"),
        (" 12 ", "12"),
        ("\u200b7\xa0", "7"),
        ("-0", "0"),
        (".5", "0.5"),
        ("3.", "3"),
        ("+8", "8"),
    ],
)
def test_spellings(text: str, value: str) -> None:
    assert decimal(text) == Decimal(value)
    assert str(decimal(text)) != "-0"


@pytest.mark.parametrize("text", ["", " ", "*", "-", "—", "——", "…", "/", "无", "\u3000"])
def test_marks_for_none(text: str) -> None:
    assert decimal(text) is None
    assert math.isnan(cell_float(text))


@pytest.mark.parametrize(
    "text",
    [
        "约三百",
        "1,23",
        "12,34,567",
        "1e300",
        "5.00103E+17",
        "nan",
        "inf",
        "-Infinity",
        "0x10",
        "1 2 3a",
        "93.5%",
        "１0⁵",
        "9" * 40,
    ],
)
def test_no_numbers(text: str) -> None:
    with pytest.raises(NotANumberError):
        decimal(text)
    assert math.isinf(cell_float(text))


def test_percent_only_where_allowed() -> None:
    assert decimal("93.5%", percent=True) == Decimal("93.5")
    assert decimal("９３．５％", percent=True) == Decimal("93.5")


@pytest.mark.parametrize("cell", [True, date(2023, 9, 1), float("nan"), float("inf"), 1e300, -1e13])
def test_cells_that_are_no_numbers(cell: Any) -> None:
    with pytest.raises(NotANumberError):
        cell_decimal(cell)
    assert math.isinf(cell_float(cell))


@given(st.decimals(min_value=-(10**11), max_value=10**11, places=2), st.sampled_from(NOISE), st.sampled_from(NOISE))
def test_any_number_survives_width_separators_and_noise(value: Decimal, before: str, after: str) -> None:
    for text in (str(value), f"{value:,}", f"{value:,}".translate(FULL_WIDTH)):
        assert decimal(before + text + after) == value


@given(st.text(max_size=20))
def test_any_text_is_a_finite_number_none_or_refused(text: str) -> None:
    try:
        value = decimal(text)
    except NotANumberError:
        return
    assert value is None or (value.is_finite() and abs(value) < LIMIT)


@pytest.mark.parametrize(
    ("cell", "text"),
    [(2150000001.0, "2150000001"), (" ２１５ ", "215"), (None, ""), (5.00103e17, "5.00103e+17"), (3, "3")],
)
def test_codes(cell: Any, text: str) -> None:
    assert code_text(cell) == text
