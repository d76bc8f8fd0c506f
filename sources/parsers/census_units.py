"""Units of census sheets: what is printed above the table against what the form says.

What belongs here: the factor between the two, or the refusal. What does not: finding the printed unit (`census_title`).
"""

from __future__ import annotations

from sources.codelists import code_list
from sources.labels import plain
from sources.parsers.result import Reporter


def unit_factor(reporter: Reporter, sheet: str, printed: str, expected: str, *, member: str = "") -> float | None:
    """Factor that turns the sheet's figures into the form's unit: 1 when they agree or nothing is printed.

    None (with a refusal) when the printed unit cannot be converted. Forms with several units are taken as printed.
    """
    if not printed or not expected or plain(printed) == plain(expected) or "、" in expected:
        return 1.0
    units = code_list("unit")
    found, wanted = units.find(printed), units.find(expected)
    if found is None or wanted is None or units.extras[found]["base"] != units.extras[wanted]["base"]:
        reporter.add("census.unknown_unit", member=member, sheet=sheet, value=printed, detail=expected)
        return None
    factor = float(units.extras[found]["scale"]) / float(units.extras[wanted]["scale"])
    if factor != 1:
        reporter.add("census.unit_converted", member=member, sheet=sheet, value=printed, detail=expected)
    return factor
