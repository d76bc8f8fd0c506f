"""Whole columns of amounts that are written plainly, told and converted at once.

What belongs here: `plain_amounts`. What does not: amounts written in any other way (`sources.parsers.finance` goes
through those with an expression and `sources.parsers.numbers`).

Nearly every column holds plain amounts only. What they look like is told from counts and places of few characters,
which is many times cheaper than an expression on every cell.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sources.parsers.arrow import Array

_Bytes = npt.NDArray[np.uint8]
_Places = npt.NDArray[np.int32]
_MINUS, _POINT = ord("-"), ord(".")
_MAX_WHOLE: Final = 12
_PLAIN: Final = np.isin(np.arange(256), np.frombuffer(b"0123456789.-", dtype=np.uint8))


def plain_amounts(column: Array, kind: pa.Decimal128Type[Any, Any]) -> Array | None:
    """A binary column without nulls as decimals, blank as null; None when a filled cell is anything but an optional
    minus, 1 to 12 digits and, behind a point, one or two further ones."""
    nothing: Array = pa.nulls(len(column), kind)
    _, places, content = column.buffers()
    if places is None or content is None:
        return nothing
    ends = np.frombuffer(memoryview(places), dtype=np.int32)[column.offset : column.offset + len(column) + 1]
    begin, end = ends[:-1], ends[1:]
    filled = end > begin
    if not filled.any():
        return nothing
    if not _all_plain(np.frombuffer(memoryview(content), dtype=np.uint8), begin[filled], end[filled]):
        return None
    valid = None if filled.all() else pa.py_buffer(np.packbits(filled, bitorder="little").tobytes())
    # The same bytes seen as text: they are digits, points and minuses.
    text: Array = pa.Array.from_buffers(pa.string(), len(column), [valid, places.slice(4 * column.offset), content])
    return text.cast(kind)


def _all_plain(content: _Bytes, begin: _Places, end: _Places) -> bool:
    """Whether all cells (none is empty) are plain amounts. They stand one behind the other."""
    used = content[begin[0] : end[-1]]
    if not _PLAIN[used].all():
        return False
    negative = content[begin] == _MINUS
    length = end - begin - negative
    # A point with digits before it and one behind it, or two. Every other point makes the counts differ.
    one = (content[np.maximum(end - 2, begin)] == _POINT) & (length > 2)
    two = (content[np.maximum(end - 3, begin)] == _POINT) & (length > 3) & ~one
    whole = length - 2 * one - 3 * two
    return (
        _count(used, _MINUS) == np.count_nonzero(negative)
        and _count(used, _POINT) == np.count_nonzero(one) + np.count_nonzero(two)
        and bool(((whole >= 1) & (whole <= _MAX_WHOLE)).all())
    )


def _count(content: _Bytes, character: int) -> int:
    return int(np.count_nonzero(content == character))
