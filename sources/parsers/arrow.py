"""The few Arrow operations parsers use, with one type for "an array of whatever".

What belongs here: thin names over `pyarrow.compute`. What does not: anything that knows a feed. (The type stubs
describe kernels for each element type apart; parsers handle columns whose type the contract decides.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    Array = pa.Array[Any]
else:
    Array = pa.Array
Bools = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.integer[Any]]


def take(array: Array, at: Indices) -> Array:
    """Elements at positions."""
    result: Array = pc.call_function("take", [array, pa.array(at.astype(np.int64))])
    return result


def spread(values: Sequence[str | None], at: Indices) -> Array:
    """A string array of values[at]."""
    return take(pa.array(values, pa.string()), at)


def repeat(value: object, kind: pa.DataType, count: int) -> Array:
    """`count` times the same value."""
    return take(pa.array([value], kind), np.zeros(count, dtype=np.int64))


def lengths(array: Array) -> npt.NDArray[np.int64]:
    """Bytes of each element of a string or binary array; 0 for null."""
    found: Array = pc.call_function("binary_length", [array])
    result: npt.NDArray[np.int64] = np.nan_to_num(np.asarray(found.to_numpy(zero_copy_only=False))).astype(np.int64)
    return result


def rows_of_bytes(array: Array, width: int) -> npt.NDArray[np.uint8] | None:
    """A binary array without nulls whose elements all have `width` bytes, as a matrix; None for any other."""
    if array.null_count or not (lengths(array) == width).all():
        return None
    fixed: Array = array.cast(pa.binary(width))
    [_, data] = fixed.buffers()
    if data is None:
        return None
    everything = np.frombuffer(memoryview(data), dtype=np.uint8)
    return everything[fixed.offset * width :][: len(fixed) * width].reshape(-1, width)


def matches(array: Array, pattern: str) -> Bools:
    """Which elements of a string or binary array a regular expression (RE2) finds."""
    options = pc.MatchSubstringOptions(pattern)
    found: Array = pc.call_function("match_substring_regex", [array], options)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.bool_)


def text_where(array: Array, valid: Bools) -> Array:
    """A binary array as text, null where `valid` is False (there it may be no UTF-8)."""
    kept = choose(valid, array, pa.nulls(len(array), pa.binary()))
    return kept.cast(pa.string())


def encode(array: Array) -> tuple[list[Any], npt.NDArray[np.int32]]:
    """Distinct values in order of appearance, and for each element which one it is. The array has no nulls."""
    encoded: Any = pc.call_function("dictionary_encode", [array])
    return encoded.dictionary.to_pylist(), np.asarray(encoded.indices.to_numpy(zero_copy_only=False), dtype=np.int32)


def joined(arrays: Sequence[Array], separator: str) -> Array:
    """Element-wise concatenation of string arrays."""
    result: Array = pc.call_function("binary_join_element_wise", [*arrays, pa.scalar(separator)])
    return result


def first_of(*arrays: Array) -> Array:
    """Element-wise the first that is not null."""
    result: Array = pc.call_function("coalesce", list(arrays))
    return result


def differs(left: Array, right: Array) -> Bools:
    """Element-wise left != right where both are known."""
    found: Array = pc.call_function("not_equal", [left, right])
    return np.asarray(found.fill_null(False).to_numpy(zero_copy_only=False), dtype=np.bool_)


def choose(condition: Bools, yes: Array, no: Array) -> Array:
    """Element-wise yes or no."""
    result: Array = pc.call_function("if_else", [pa.array(condition), yes, no])
    return result


def as_bools(codes: Array) -> Array:
    """'true' / 'false' / null as booleans."""
    result: Array = pc.call_function("equal", [codes, pa.scalar("true")])
    return result


def one_chunk(column: pa.ChunkedArray[Any]) -> Array:
    """A column as one array."""
    chunks: list[Array] = list(column.chunks)
    if len(chunks) == 1:
        return chunks[0]
    empty: Array = pa.array([], column.type)
    return pa.concat_arrays(chunks) if chunks else empty
