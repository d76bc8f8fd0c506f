"""Formulas in a sheet are found wherever they stand, though rows without the letter f are not searched for them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.parsers.package import _FORMULA_MARKS, UnreadableError, _guard_xml, _has_formulas

PIECES = st.sampled_from(
    [
        *(b"sheetData", b"sheetData>", b"<sheetData>", b"</sheetData>", b"<f>", b"<f ", b":f/", b"<f", b":f", b"f"),
        *(b"<", b">", b" ", b"/", b":", b"<v>1</v>", b'<c r="A1">', b"left", b"s"),
    ]
)


@given(st.lists(PIECES, max_size=12))
def test_formulas_are_found_anywhere(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    assert _has_formulas(data) == any(mark in data for mark in _FORMULA_MARKS)


@pytest.mark.parametrize("before", [b"", b"<!-- -->", b"!"])
@pytest.mark.parametrize("mark", [b"<!DOCTYPE x>", b"<!ENTITY x>"])
def test_a_dtd_is_refused_whatever_stands_before_it(before: bytes, mark: bytes) -> None:
    _guard_xml(b"<a>" + before)
    with pytest.raises(UnreadableError, match="DTD"):
        _guard_xml(b"<a>" + before + mark)
