"""Which published figures rest on a waiver: those that a waived row speaks of.

What belongs here: reading a waived row's key against figures, and the table of them. What does not: waivers themselves
(`warehouse.waivers`) and which rule guards what (`expectations.guards`).
"""

from __future__ import annotations

from collections.abc import Collection

from warehouse.waivers import read_key

_YEARS = ("period", "year", "stat_year", "fiscal_year")


def concerns(failing_key: str, indicator_id: str, areas: Collection[str], period: int) -> bool:
    """Whether a failing row, as the gate names it, speaks of a figure of `areas` (an area and its parts) and `period`.

    A row speaks of everything its key leaves open; a key that can be read in two ways speaks of everything.
    """
    named = read_key(failing_key)
    if named is None:
        return True
    if named.get("indicator_id", indicator_id) != indicator_id:
        return False
    years = {named[name] for name in _YEARS if name in named}
    return ("area_code" not in named or named["area_code"] in areas) and (not years or str(period) in years)
