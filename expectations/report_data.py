"""What the auditor's report shows, read from the candidate and the verdict: plain values, nothing rendered yet.

What belongs here: queries on the candidate (read-only) and the arrangement of results by tier. What does not: HTML
(`expectations.report`), judging, and any figure that is not in the candidate or the verdict.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import duckdb

from expectations.catalogue import Rule, rules
from expectations.guards import GuardCoverage, guard_coverage
from expectations.sql import describe
from warehouse import duck
from warehouse.verdict import TIERS, RuleResult, Verdict
from warehouse.waived import waived_values

# Longer lists are in verdict.json: the page must stay small enough to print.
KEYS_SHOWN: Final = 20
TIER_NAMES: Final = {
    "syntax": ("语法：格式与完整", "Syntax: format and completeness"),
    "validity": ("有效性：取值与范围", "Validity: values and ranges"),
    "quality": ("质量：行内与表内逻辑", "Quality: logic within a row or table"),
    "macro": ("宏观：跨表与跨年", "Macro: across tables and years"),
    "forensic": ("疑点：像是凑出来的数", "Forensic: figures that look made to pass"),
}


@dataclass(frozen=True)
class Table:
    """Rows of a section as dictionaries, or in `problem` why the section could not be read."""

    rows: tuple[dict[str, Any], ...] = ()
    problem: str | None = None


@dataclass(frozen=True)
class RuleView:
    """A result with what the catalogue says beyond it."""

    result: RuleResult
    title_en: str
    meaning_en: str
    when_it_matters_zh: str
    when_it_matters_en: str
    remedy_en: str
    owner: str
    state: str
    shown_keys: tuple[str, ...]


@dataclass(frozen=True)
class TierView:
    """The rules of one tier, failures first."""

    name_zh: str
    name_en: str
    rules: tuple[RuleView, ...]
    failed: int
    states: dict[str, int]


@dataclass(frozen=True)
class Coverage:
    """A matrix area x feed: each area's `cells` follow `feeds` and hold received, partly, wanted, lacking and state."""

    feeds: tuple[dict[str, str], ...] = ()
    areas: tuple[dict[str, Any], ...] = ()
    problem: str | None = None


@dataclass(frozen=True)
class Headlines:
    """The headline indicators: `years` are the columns, each row holds `values` in that order."""

    years: tuple[int, ...] = ()
    rows: tuple[dict[str, Any], ...] = ()
    problem: str | None = None


@dataclass(frozen=True)
class Content:
    """Everything the page shows about the data."""

    feeds: Table = field(default_factory=Table)
    headlines: Headlines = field(default_factory=Headlines)
    coverage: Coverage = field(default_factory=Coverage)
    deliveries: Table = field(default_factory=Table)
    suppressed: Table = field(default_factory=Table)
    waived: Table = field(default_factory=Table)
    tiers: tuple[TierView, ...] = ()
    guards: GuardCoverage = field(default_factory=lambda: GuardCoverage((), ()))


def gather(database: Path, verdict: Verdict) -> Content:
    """Read all sections. A section whose table is missing says so; Fault only when the database cannot be opened."""
    guards = guard_coverage(rules())
    with duck.connect(database, read_only=True) as connection:
        return Content(
            feeds=_table(connection, _FEEDS),
            headlines=_headlines(connection),
            coverage=_coverage(connection),
            deliveries=_table(connection, _DELIVERIES),
            suppressed=_suppressed(connection),
            waived=_waived(connection, verdict, guards),
            tiers=tiers(verdict, rules()),
            guards=guards,
        )


_FEEDS: Final = """
    SELECT f.feed, coalesce(f.title_zh, f.feed) AS title_zh, count(d.delivery_id) AS deliveries,
        count(*) FILTER (WHERE d.status = 'refused') AS refused,
        coalesce(sum(d.rows_in), 0) AS rows_in, coalesce(sum(d.rows_accepted), 0) AS rows_accepted,
        coalesce(sum(d.rows_quarantined), 0) AS rows_quarantined,
        min(nullif(d.period, 0)) AS first_period, max(nullif(d.period, 0)) AS last_period
    FROM records.feed AS f LEFT JOIN records.delivery AS d ON d.feed = f.feed
    GROUP BY f.feed, f.title_zh ORDER BY f.feed
"""
_DELIVERIES: Final = """
    SELECT feed, area_code, period, part, delivery_id, file_name, status, rows_in, rows_accepted, rows_quarantined,
        CAST(reported_on AS VARCHAR) AS reported_on, sha256
    FROM records.delivery ORDER BY feed, area_code, period, part, delivery_id
"""
_HEADLINE_ROWS: Final = """
    SELECT i.headline_no, i.indicator_id, i.name_zh, i.name_en, i.unit_zh, i.decimals, t.baseline,
        t.value_low AS target, t.operator, t.binding
    FROM marts.dim_indicator AS i
    LEFT JOIN marts.dim_target AS t ON t.indicator_id = i.indicator_id AND t.kind = 'headline_indicator'
    WHERE i.headline_no IS NOT NULL ORDER BY i.headline_no, t.target_id
"""
_HEADLINE_VALUES: Final = """
    SELECT indicator_id, period, value, publish_status, method FROM marts.fct_indicator_value
    WHERE area_level = 'city' AND period BETWEEN 2020 AND 2025
"""
_HEADLINE_STATUS: Final = """
    SELECT indicator_id, max_by(status_zh, year) AS status_zh, max(year) AS year FROM marts.mart_plan_progress
    WHERE area_code = '500000' AND value IS NOT NULL GROUP BY indicator_id
"""
_COVERAGE_CELLS: Final = """
    SELECT c.feed, c.area_code, count(*) FILTER (WHERE c.status = 'received') AS received,
        count(*) FILTER (WHERE c.status = 'partly') AS partly,
        count(*) FILTER (WHERE c.expected OR c.status <> 'missing') AS wanted,
        array_to_string(list_sort(list(DISTINCT c.period) FILTER (
            WHERE c.status IN ('missing', 'refused') AND c.expected)), '、') AS lacking
    FROM marts.mart_data_coverage AS c GROUP BY c.feed, c.area_code
"""
_AREA_NAMES: Final = """
    SELECT area_code, max_by(short_name_zh, coalesce(valid_from, DATE '1900-01-01')) AS name_zh
    FROM marts.dim_area GROUP BY area_code
"""


def _dicts(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[dict[str, Any], ...]:
    cursor = connection.execute(sql)
    names = [column[0] for column in cursor.description or ()]
    return tuple(dict(zip(names, row, strict=True)) for row in cursor.fetchall())


def _table(connection: duckdb.DuckDBPyConnection, sql: str) -> Table:
    try:
        return Table(rows=_dicts(connection, sql))
    except duckdb.Error as error:
        return Table(problem=describe(error))


def _suppressed(connection: duckdb.DuckDBPyConnection) -> Table:
    """Cells taken out of each mart for privacy, where there are any."""
    named = duck.rows(
        connection,
        "SELECT table_name FROM information_schema.columns WHERE table_schema = 'marts' AND column_name = 'suppressed'"
        " ORDER BY table_name",
    )
    counts = (
        f"SELECT {duck.literal(name)} AS mart, count(*) AS rows_with, sum(len(string_split(suppressed, ','))) AS cells"
        f" FROM marts.{duck.ident(name)} WHERE suppressed IS NOT NULL HAVING count(*) > 0"
        for (name,) in named
    )
    return _table(connection, " UNION ALL ".join(counts)) if named else Table()


def _waived(connection: duckdb.DuckDBPyConnection, verdict: Verdict, guards: GuardCoverage) -> Table:
    """Values and statuses that rest on waived rows."""
    try:
        found = waived_values(connection, verdict, {item.name: item.rules for item in guards.indicators})
    except duckdb.Error as error:
        return Table(problem=describe(error))
    return Table(rows=tuple(found))


def _spark(values: Sequence[dict[str, Any] | None], target: float | None) -> dict[str, Any] | None:
    """A line of the years' values and the height of the target, in a box of 100 x 24; None with fewer than two."""
    points = [(n, float(v["value"])) for n, v in enumerate(values) if v is not None and v["value"] is not None]
    if len(points) < 2:
        return None
    heights = [value for _, value in points] + ([float(target)] if target is not None else [])
    low, spread = min(heights), (max(heights) - min(heights)) or 1.0

    def up(value: float) -> str:
        return f"{21 - 18 * (value - low) / spread:.1f}"

    line = " ".join(f"{4 + n * 92 / (len(values) - 1):.1f},{up(value)}" for n, value in points)
    return {"line": line, "last": line.split(" ")[-1].split(","), "target": None if target is None else up(target)}


def _headlines(connection: duckdb.DuckDBPyConnection) -> Headlines:
    try:
        rows = _dicts(connection, _HEADLINE_ROWS)
        values = {(v["indicator_id"], v["period"]): v for v in _dicts(connection, _HEADLINE_VALUES)}
        states = {s["indicator_id"]: s for s in _dicts(connection, _HEADLINE_STATUS)}
    except duckdb.Error as error:
        return Headlines(problem=describe(error))
    years = tuple(range(2020, 2026))
    told = []
    for row in rows:
        series = [values.get((row["indicator_id"], year)) for year in years]
        spark = _spark(series, row["target"])
        told.append({**row, "values": series, "spark": spark, "state": states.get(row["indicator_id"])})
    return Headlines(years=years, rows=tuple(told))


def _coverage(connection: duckdb.DuckDBPyConnection) -> Coverage:
    try:
        cells = _dicts(connection, _COVERAGE_CELLS)
        names = {row["area_code"]: row["name_zh"] for row in _dicts(connection, _AREA_NAMES)}
        titles = {row["feed"]: row["title_zh"] for row in _dicts(connection, "SELECT feed, title_zh FROM records.feed")}
    except duckdb.Error as error:
        return Coverage(problem=describe(error))
    feeds = tuple(sorted({str(cell["feed"]) for cell in cells}))
    by_area: dict[str, dict[str, dict[str, Any]]] = {}
    for cell in cells:
        by_area.setdefault(str(cell["area_code"]), {})[str(cell["feed"])] = {**cell, "state": _cell_state(cell)}
    return Coverage(
        feeds=tuple({"feed": feed, "title_zh": titles.get(feed) or feed} for feed in feeds),
        areas=tuple(
            {"area_code": code, "name_zh": names.get(code) or code, "cells": [by_area[code].get(f) for f in feeds]}
            for code in sorted(by_area)
        ),
    )


def _cell_state(cell: dict[str, Any]) -> str:
    if cell["lacking"]:
        return "lacking"
    return "partly" if cell["partly"] else "complete"


def tiers(verdict: Verdict, catalogue: Sequence[Rule]) -> tuple[TierView, ...]:
    """Results by tier in the order a submitter walks them; unknown tiers come last, so that nothing is left out."""
    known = {rule.id: rule for rule in catalogue}
    names = [*TIERS, *sorted({result.tier for result in verdict.results} - set(TIERS))]
    views = []
    for tier in names:
        members = [_view(result, known.get(result.rule_id)) for result in verdict.results if result.tier == tier]
        if members:
            zh, en = TIER_NAMES.get(tier, (tier, tier))
            members.sort(key=lambda view: _ORDER.index(view.state))
            failed = sum(view.state not in ("passed", "excused") for view in members)
            states = Counter(view.state for view in members)
            views.append(TierView(zh, en, tuple(members), failed, {name: states[name] for name in _ORDER}))
    return tuple(views)


_ORDER: Final = ("error", "critical", "waived", "warning", "info", "unknown", "passed", "excused")


def _view(result: RuleResult, rule: Rule | None) -> RuleView:
    return RuleView(
        result=result,
        title_en=rule.title_en if rule else result.rule_id,
        meaning_en=rule.fill(rule.meaning_en) if rule else "",
        when_it_matters_zh=rule.when_it_matters_zh if rule else "",
        when_it_matters_en=rule.when_it_matters_en if rule else "",
        remedy_en=rule.remedy_en if rule else "",
        owner=rule.owner if rule else "",
        state=_state(result),
        shown_keys=result.failing_keys[:KEYS_SHOWN],
    )


def _state(result: RuleResult) -> str:
    if result.error is not None:
        return "error"
    if result.passed:
        return "passed" if result.rows_checked else "excused"
    if result.waived_by:
        return "waived"
    return result.severity if result.severity in _ORDER else "unknown"
