"""String columns in Arrow, made from word lists and codes.

Belongs here: the few Arrow calls the sample's writers share, typed in one place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

TextArray: TypeAlias = "pa.Array[Any]"


def take(words: Sequence[str], codes: npt.NDArray[Any]) -> TextArray:
    """``words`` by position: one string for each code."""
    found: TextArray = pa.array(list(words), pa.string()).take(_positions(codes))
    return found


def repeat(word: str, count: int) -> TextArray:
    """The same string ``count`` times."""
    return take([word], np.zeros(count, dtype=np.int64))


def text(values: Sequence[str] | npt.NDArray[np.object_]) -> TextArray:
    """Strings as an Arrow column."""
    found: TextArray = pa.array(values, pa.string())
    return found


def digits(values: npt.NDArray[np.int64]) -> TextArray:
    """Whole numbers as their decimal text."""
    found: TextArray = pa.array(values, pa.int64()).cast(pa.string())
    return found


def integers(values: npt.NDArray[np.int64]) -> TextArray:
    """Whole numbers as an Arrow column."""
    found: TextArray = pa.array(values, pa.int64())
    return found


def join(columns: Sequence[TextArray], separator: str) -> TextArray:
    """Columns put together row by row; null where any part is null."""
    arguments: list[Any] = [*columns, separator]
    found: TextArray = pc.binary_join_element_wise(*arguments)
    return found


def objects(column: TextArray) -> npt.NDArray[np.object_]:
    """A writable numpy copy of a string column."""
    return np.array(column.to_pylist(), dtype=object)


def _positions(codes: npt.NDArray[Any]) -> Any:
    return pa.array(np.asarray(codes, dtype=np.int64), pa.int64())
