"""Which published figures rest on a waiver: those that a waived row speaks of.

What belongs here: reading a waived row's key against figures, and the table of them. What does not: waivers themselves
(`warehouse.waivers`) and which rule guards what (`expectations.guards`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import duckdb

from warehouse import duck
from warehouse.verdict import Verdict
from warehouse.waivers import read_key

# Indicator -> ids of the rules that guard it (`expectations.guards` derives them).
Guards = Mapping[str, Collection[str]]
FACTS: Final = "marts.fct_indicator_value"
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


def waived_values(connection: duckdb.DuckDBPyConnection, verdict: Verdict, guards: Guards) -> list[dict[str, Any]]:
    """Every published value, and the status of every target it is judged by, that rests on a waived row.

    One item a value, target (None: no target has that value) and waiver, sorted: waiver_id, rule_id, indicator_id,
    area_code, period, target_id, status_zh, failing_key (the first that speaks of the value). Raises duckdb.Error.
    """
    rows = _waived_rows(verdict)
    if not rows:
        return []
    parts = _parts(connection)
    marts = {result.rule_id: result.mart for result in verdict.results}
    found = []
    for indicator, area, period, target, status in duck.rows(connection, _VALUES):
        named: set[str] = set()
        for waiver, rule, key in rows:
            guarding = rule in guards.get(indicator, ()) or marts.get(rule) == FACTS
            if waiver in named or not guarding or not concerns(key, indicator, parts.get(area, {area}), period):
                continue
            named.add(waiver)
            found.append(
                {
                    "waiver_id": waiver,
                    "rule_id": rule,
                    "indicator_id": indicator,
                    "area_code": area,
                    "period": period,
                    "target_id": target,
                    "status_zh": status,
                    "failing_key": key,
                }
            )
    return found


_VALUES: Final = """
    SELECT v.indicator_id, v.area_code, v.period, p.target_id, p.status_zh FROM marts.fct_indicator_value AS v
    LEFT JOIN marts.mart_plan_progress AS p
        ON p.indicator_id = v.indicator_id AND p.area_code = v.area_code AND p.year = v.period
    ORDER BY v.indicator_id, v.area_code, v.period, p.target_id
"""


def _waived_rows(verdict: Verdict) -> list[tuple[str, str, str]]:
    """(waiver, rule, failing key) of every row that a waiver excuses."""
    return [
        (waiver.id, result.rule_id, key)
        for result in verdict.results
        for waiver in verdict.waivers
        if waiver.id in result.waived_by and waiver.rule == result.rule_id
        for key in result.failing_keys
        if waiver.covers(key)
    ]


def _parts(connection: duckdb.DuckDBPyConnection) -> dict[str, set[str]]:
    """Area -> itself and the areas it is the sum of."""
    query = (
        "SELECT whole.area_code, part.area_code FROM marts.dim_area AS whole JOIN marts.dim_area AS part"
        " ON part.area_code = whole.area_code OR part.group_code = whole.area_code"
        " OR (part.parent_code = whole.area_code AND part.area_level IN ('district', 'municipal'))"
    )
    found: dict[str, set[str]] = {}
    for whole, part in duck.rows(connection, query):
        found.setdefault(str(whole), set()).add(str(part))
    return found
