"""Plain amounts told by counts and places: the same cells as by the expression, the same values as one by one."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.parsers.amounts import plain_amounts
from sources.parsers.vectors import Labels, all_differ

YUAN: Final = pa.decimal128(18, 2)
PLAIN: Final = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,2})?", re.ASCII)
ODD: Final = (
    *("１，２３４", "1,234", "1e3", "+5", " 5 ", "12.345", "5.", ".5", "-.5", "-", ".", "--1", "1-2", "5-", "-5-"),
    *("1..5", "123..5", "12..", "1.2.3", "12.3.45", "1.23.4", "1.234.56", "-1..5", "１２", "9" * 13, "-" + "9" * 13),
)
GOOD: Final = ("0", "-0", "5", "-5.1", "12.34", "00012.10", "9" * 12, "-" + "9" * 12 + ".99")
cells = st.one_of(
    st.from_regex(PLAIN, fullmatch=True),
    st.text(alphabet="0123456789.-", max_size=8),
    st.text(alphabet="01.-+e ,，５", max_size=5),
    st.just(""),
)


def column(texts: list[str]) -> pa.Array:
    return pa.array([text.encode() for text in texts], pa.binary())


def expected(texts: list[str]) -> list[Decimal | None] | None:
    if any(text and not PLAIN.fullmatch(text) for text in texts):
        return None
    return [Decimal(text).quantize(Decimal("0.01")) if text else None for text in texts]


def check(texts: list[str], begin: int = 0, end: int | None = None) -> None:
    found = plain_amounts(column(texts)[begin:end], YUAN)
    if found is not None:
        found.validate(full=True)
    assert (None if found is None else found.to_pylist()) == expected(texts[begin:end])


@given(st.lists(cells, max_size=12))
def test_any_column(texts: list[str]) -> None:
    check(texts)


@given(st.lists(st.one_of(st.from_regex(PLAIN, fullmatch=True), st.just("")), max_size=30))
def test_any_plain_column(texts: list[str]) -> None:
    assert expected(texts) is not None
    check(texts)


@given(st.lists(cells, min_size=1, max_size=12), st.data())
def test_any_part_of_a_column(texts: list[str], data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, len(texts)))
    check(texts, begin, data.draw(st.integers(begin, len(texts))))


@pytest.mark.parametrize("text", [*ODD, *GOOD])
@pytest.mark.parametrize("others", [(), GOOD, ("", "1.5", ""), ("1..5", "-1", "2")])
def test_one_cell_among_others(text: str, others: tuple[str, ...]) -> None:
    check([text, *others])
    check([*others, text])


def test_a_column_of_blanks_is_null_throughout() -> None:
    for count in (0, 3):
        assert plain_amounts(column([""] * count), YUAN).equals(pa.nulls(count, YUAN))


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.booleans()), max_size=12))
def test_rows_differ_when_no_two_of_them_are_alike(rows: list[tuple[int, int, bool]]) -> None:
    keys = [np.array([row[at] for row in rows], dtype=np.int64) for at in (0, 1)]
    kept = [row[:2] for row in rows if row[2]]
    assert all_differ(keys, np.array([row[2] for row in rows], dtype=np.bool_)) == (len(set(kept)) == len(kept))


def test_keys_with_more_values_than_can_be_told_apart_are_left_to_the_long_way() -> None:
    large = np.array([0, 2**31], dtype=np.int64)
    assert not all_differ([large, large], np.ones(2, dtype=np.bool_))


def test_rows_are_numbered_by_what_their_text_means() -> None:
    texts = Labels(["a", "A", "", "b"], np.array([0, 1, 2, 3, 0], dtype=np.int32))
    numbers = texts.numbered(lambda text: text.lower() or None)
    assert numbers.tolist() == [0, 0, 1, 2, 0]
