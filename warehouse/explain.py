"""One published figure with everything that speaks for it, read from a release and the candidate it was copied from.

What belongs here: finding the figure, its rows, deliveries, checks and waivers, in the release asked for or the one
that was current at an instant. What does not: computing anything but the sum of the rows named, and how it is shown.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final

import duckdb

from warehouse import duck, evidence
from warehouse.clock import SHANGHAI
from warehouse.disclosure_policy import is_taken_out, policy
from warehouse.errors import UsageError
from warehouse.evidence import RowRange, dicts
from warehouse.manifest import Release, current, read_release, releases
from warehouse.paths import Home
from warehouse.pruned import marts_of
from warehouse.waived import concerns

_VALUE: Final = """
    SELECT i.*, v.* EXCLUDE (indicator_id)
    FROM marts.fct_indicator_value AS v
    INNER JOIN marts.dim_indicator AS i ON i.indicator_id = v.indicator_id
    WHERE v.indicator_id = ? AND v.area_code = ? AND (? IS NULL OR v.period = ?) AND v.value IS NOT NULL
    ORDER BY v.period DESC
    LIMIT 1
"""
_FACT: Final = "SELECT * FROM marts.fct_indicator_value WHERE indicator_id = ? AND area_code = ? AND period = ?"
_PROGRESS: Final = (
    "SELECT * FROM marts.mart_plan_progress WHERE indicator_id = ? AND area_code = ? AND year = ? ORDER BY target_id"
)
_DELIVERIES: Final = """
    SELECT d.delivery_id, d.feed, d.area_code, d.period, d.part, d.file_name, d.sha256, d.submitter, d.received_at,
        d.reported_on, d.status, d.rows_in, d.rows_accepted, d.rows_quarantined
    FROM audit.deliveries AS d
    WHERE d.delivery_id IN (
        SELECT delivery_id FROM audit.value_lineage WHERE indicator_id = ? AND area_code = ? AND period = ?
    )
    ORDER BY d.feed, d.area_code, d.part, d.delivery_id
"""
_CHECKS: Final = """
    SELECT rule_id, tier, severity, mart, title_zh, passed, rows_checked, rows_failed, observed, waived_by
    FROM audit.check_results ORDER BY rule_id
"""
_WAIVERS: Final = """
    SELECT waiver_id, rule_id, reason_zh, evidence, requested_by, approved_by, valid_from, valid_to, rows
    FROM audit.waivers ORDER BY waiver_id
"""
_PRUNED: Final = "该发布的候选版本已不在，追不到行；执行 eduplan rebuild {} 可从存档重建。"
_OLD: Final = "该发布由较早的程序生成，没有逐行的来源；执行 eduplan rebuild {} 可从存档重建。"


@dataclass(frozen=True)
class Question:
    """Which figure: `area` is a code or a name, `year` None the newest with a value."""

    indicator: str
    area: str
    year: int | None


@dataclass(frozen=True)
class Explanation:
    """A figure and what speaks for it. `value` joins the indicator's definition and the figure; `rows` is None where
    they cannot be named, and `rows_note` then says why. `agrees`: the named rows give the published parts."""

    release: Release
    value: dict[str, Any]
    mart_rows: dict[str, list[dict[str, Any]]]
    deliveries: list[dict[str, Any]]
    rows: list[RowRange] | None
    rows_note: str
    recomputed: dict[str, Any]
    checks: list[dict[str, Any]]
    waivers: list[dict[str, Any]]

    def content(self) -> dict[str, Any]:
        """As plain values for a machine: the definition and figure at the top level, the rest beside them."""
        return {
            "release_id": self.release.release_id,
            "data_version": self.release.manifest["data_version"],
            "published_at": self.release.manifest["published_at"],
            **self.value,
            "mart_rows": self.mart_rows,
            "deliveries": self.deliveries,
            "rows": None if self.rows is None else [asdict(item) for item in self.rows],
            "rows_note": self.rows_note,
            "recomputed": self.recomputed,
            "checks": self.checks,
            "waivers": self.waivers,
            "rests_on_waiver": bool(self.waivers),
        }


# -- which release ----------------------------------------------------------------------------------------------------


def choose_release(home: Home, *, release_id: str | None = None, as_of: str | None = None) -> Release:
    """The release asked for, the one that was current at `as_of` (a date: its last instant; or an ISO instant with
    offset), or the present one. Raises UsageError when there is none."""
    if release_id is not None and as_of is not None:
        raise UsageError("--release 与 --as-of 只能给一个。", "要看某一发布用 --release，要看某一时点用 --as-of。")
    if release_id is not None:
        if not release_id or not (home.releases / release_id).is_dir():
            raise UsageError(f"没有发布 {release_id}。", "请用 eduplan releases 查看现有发布。")
        return read_release(home.releases / release_id)
    if as_of is not None:
        return _current_at(home, read_instant(as_of))
    standing = current(home)
    if standing is None:
        raise UsageError("尚无发布，没有可说明的数。", "请先执行 eduplan run 或 eduplan demo。")
    return standing


def read_instant(text: str) -> datetime:
    """A date as its last instant in Asia/Shanghai, or an ISO instant with offset. Raises UsageError."""
    try:
        if len(text) == len("2023-12-31"):
            return datetime.combine(date.fromisoformat(text), time.max, SHANGHAI)
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"时点写法不对：{text!r}。", "请写成 2023-12-31 或 2023-12-31T17:00:00+08:00。") from error
    if instant.tzinfo is None:
        raise UsageError(f"时点缺少时区：{text!r}。", "请写成 2023-12-31T17:00:00+08:00 的样子，或只写日期。")
    return instant


def _current_at(home: Home, instant: datetime) -> Release:
    made = [item for item in releases(home) if datetime.fromisoformat(item.manifest["published_at"]) <= instant]
    if not made:
        raise UsageError(
            f"{instant.isoformat(timespec='seconds')} 时尚无发布。", "请用 eduplan releases 查看发布时间。"
        )
    return made[-1]


# -- the figure -------------------------------------------------------------------------------------------------------


def explain(home: Home, release: Release, asked: Question, guards: Mapping[str, Collection[str]]) -> Explanation:
    """Look a figure up. `guards` maps an indicator to the ids of the rules that guard it. Raises UsageError saying what
    there is instead, Refused when the release's data was cleared away, Fault."""
    with duck.open_database(marts_of(home, release)) as connection:
        code = _area_code(connection, asked.area)
        values = dicts(connection.execute(_VALUE, [asked.indicator, code, asked.year, asked.year]))
        if not values:
            raise UsageError(*_nothing(connection, asked.indicator, code, asked.year))
        key = [asked.indicator, code, values[0]["period"]]
        mart_rows = {
            "fct_indicator_value": dicts(connection.execute(_FACT, key)),
            "mart_plan_progress": dicts(connection.execute(_PROGRESS, key)),
        }
        checks = _checks(connection, guards.get(asked.indicator, ()))
        waivers = _waivers(connection, key, {item["rule_id"] for item in checks})
        deliveries = _deliveries(connection, key)
    ranges, note = _rows(home, release, key)
    recomputed = _recomputed(values[0], ranges)
    return Explanation(release, values[0], mart_rows, deliveries, ranges, note, recomputed, checks, waivers)


def _rows(home: Home, release: Release, key: list[Any]) -> tuple[list[RowRange] | None, str]:
    database = evidence.candidate_database(home, release)
    if database is None:
        return None, _PRUNED.format(release.release_id)
    with evidence.opened(database) as connection:
        if not evidence.has_evidence(connection):
            return None, _OLD.format(release.release_id)
        return evidence.row_ranges(connection, *key), ""


def _recomputed(value: Mapping[str, Any], ranges: list[RowRange] | None) -> dict[str, Any]:
    """Sums of the named rows and whether they are what was published; a part nobody adds to is zero."""
    if ranges is None:
        return {"numerator": None, "denominator": None, "agrees": None}
    parts = evidence.recompute(ranges)
    if value["method"] != "computed":
        told = parts.get("value")
        return {"numerator": told, "denominator": None, "agrees": told is not None and float(told) == value["value"]}
    named = {
        role: None if value[role] is None else parts.get(role, Decimal(0)) for role in ("numerator", "denominator")
    }
    agrees = all(found is None or round(found, 4) == value[role] for role, found in named.items())
    return {**named, "agrees": agrees}


def _deliveries(connection: duckdb.DuckDBPyConnection, key: list[Any]) -> list[dict[str, Any]]:
    if evidence.VALUE_LINEAGE not in duck.tables(connection, "audit"):
        return []
    return dicts(connection.execute(_DELIVERIES, key))


def _checks(connection: duckdb.DuckDBPyConnection, guards: Collection[str]) -> list[dict[str, Any]]:
    """The rules that guard the indicator, and those on every row of the table it stands in."""
    found = dicts(connection.execute(_CHECKS))
    return [
        {**item, "guards_amount": item["rule_id"] in guards}
        for item in found
        if item["rule_id"] in guards or item["mart"] == "marts.fct_indicator_value"
    ]


def _waivers(connection: duckdb.DuckDBPyConnection, key: list[Any], rules: set[str]) -> list[dict[str, Any]]:
    """Waivers whose rows speak of the figure: of its indicator, its year, and its area or a part of it."""
    indicator, area, period = key
    parts = _parts_of(connection, area)
    found = []
    for item in dicts(connection.execute(_WAIVERS)):
        rows = [
            row
            for row in json.loads(item["rows"])
            if item["rule_id"] in rules and concerns(row, indicator, parts, period)
        ]
        if rows:
            found.append({**item, "rows": rows})
    return found


def _parts_of(connection: duckdb.DuckDBPyConnection, area: str) -> set[str]:
    query = (
        "SELECT area_code FROM marts.dim_area WHERE area_code = ? OR group_code = ?"
        " OR (parent_code = ? AND area_level IN ('district', 'municipal'))"
    )
    return {area} | {str(row[0]) for row in duck.rows(connection, query, [area] * 3)}


def _area_code(connection: duckdb.DuckDBPyConnection, area: str) -> str:
    query = (
        "SELECT DISTINCT area_code FROM marts.dim_area"
        " WHERE area_code = ? OR area_name_zh = ? OR short_name_zh = ? ORDER BY area_code"
    )
    found = duck.rows(connection, query, [area, area, area])
    groups = "SELECT DISTINCT group_code FROM marts.dim_area WHERE group_code = ? OR group_name_zh = ?"
    codes = [str(row[0]) for row in (found or duck.rows(connection, groups, [area] * 2))]
    if not codes:
        raise UsageError(f"没有区域“{area}”。", "请填区划代码（如 500103）或名称（如 渝中区）；全市为 500000。")
    return codes[0]


def _nothing(connection: duckdb.DuckDBPyConnection, indicator: str, area: str, year: int | None) -> tuple[str, str]:
    known = duck.rows(connection, "SELECT indicator_id FROM marts.dim_indicator ORDER BY headline_no, indicator_id")
    names = [str(row[0]) for row in known]
    if indicator not in names:
        return f"没有指标“{indicator}”。", f"可选：{'、'.join(names)}。"
    taken_out = dicts(connection.execute(_FACT, [indicator, area, year]))
    if taken_out and is_taken_out(taken_out[0], "value"):
        return (
            f"指标 {indicator} 在区域 {area} {year} 年的数值已隐去（{policy().symbol}）："
            "公布它会透露个人情况或一所学校的账。",
            "请看上一级区域的数；隐去的规则见 docs/evidence.md。",
        )
    query = (
        "SELECT DISTINCT period FROM marts.fct_indicator_value"
        " WHERE indicator_id = ? AND area_code = ? AND value IS NOT NULL ORDER BY period"
    )
    years = "、".join(str(row[0]) for row in duck.rows(connection, query, [indicator, area])) or "无"
    when = f" {year} 年" if year else ""
    return f"指标 {indicator} 在区域 {area}{when} 没有数值。", f"该区域有数值的年度：{years}。"
