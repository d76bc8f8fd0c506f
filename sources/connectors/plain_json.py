"""JSON from elsewhere, read so that writing it again loses nothing.

What belongs here: strict reading of one JSON text. What does not: its meaning.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any


def loads(data: bytes) -> Any:
    """The value of a UTF-8 JSON text. Raises ValueError: not JSON, not UTF-8, a key that stands twice, NaN or infinity,
    nested too deeply, or a number that a binary float would change."""
    try:
        return json.loads(
            data.decode("utf-8"), parse_float=_exact, parse_constant=_refused, object_pairs_hook=_unambiguous
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _exact(text: str) -> float:
    number = float(text)
    if Decimal(repr(number)) != Decimal(text):
        raise ValueError("a number with more digits than survive")
    return number


def _refused(text: str) -> Any:
    raise ValueError(f"not a number: {text}")


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found
