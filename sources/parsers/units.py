"""Units of measured values: 人 and 万人, 元, 万元 and 亿元, brought to the base of the code list, exactly.

What belongs here: conversion in decimals. What does not: which unit a column is agreed in (the contract), and the
census sheets' printed units (`census_units`).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from sources.codelists import code_list


@dataclass(frozen=True)
class Unit:
    """A unit of the code list: value in `base` = value in `code` × `scale`."""

    code: str
    scale: Decimal
    base: str

    def to_base(self, value: Decimal) -> Decimal:
        """The value in the base unit, exactly."""
        return value * self.scale


def unit_of(text: str) -> Unit | None:
    """The unit a text names, in any known spelling; None when unknown."""
    units = code_list("unit")
    code = units.find(text) if text else None
    if code is None:
        return None
    return Unit(code, Decimal(units.extras[code]["scale"]), units.extras[code]["base"])


def convertible(text: str, agreed: str) -> Unit | None:
    """The unit `text` names, if it measures what `agreed` measures; None otherwise."""
    found, wanted = unit_of(text), unit_of(agreed)
    return found if found is not None and wanted is not None and found.base == wanted.base else None
