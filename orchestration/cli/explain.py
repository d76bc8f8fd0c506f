"""`eduplan explain`: where one published figure comes from, read from the current release alone.

What belongs here: the queries on the release and how the answer is shown. What does not: computing anything anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import duckdb

from orchestration.cli.console import figure, out, print_json, table
from orchestration.cli.main import OK
from warehouse import duck
from warehouse.errors import UsageError
from warehouse.manifest import Release, current
from warehouse.marts_file import MARTS_FILE
from warehouse.paths import Home

CITY: Final = "500000"
_SHOWN: Final = 15
_METHOD_ZH: Final = {"computed": "由报送数据计算", "official": "采用官方公布数"}
_STATUS_ZH: Final = {"final": "完整", "partial": "部分区域未报", "preliminary": "初步"}

# DuckDB names a database after its file, hence marts.marts.
_VALUE: Final = """
    SELECT i.*, v.* EXCLUDE (indicator_id)
    FROM marts.marts.fct_indicator_value AS v
    INNER JOIN marts.marts.dim_indicator AS i ON i.indicator_id = v.indicator_id
    WHERE v.indicator_id = ? AND v.area_code = ? AND (? IS NULL OR v.period = ?) AND v.value IS NOT NULL
    ORDER BY v.period DESC
    LIMIT 1
"""
# Official figures come in one delivery for all years (period 0); the city is made from all areas, a group from its
# districts, the municipal schools report under the city's code.
_DELIVERIES: Final = """
    SELECT d.delivery_id, d.feed, d.area_code, d.period, d.part, d.file_name, d.sha256, d.status, d.rows_accepted,
           d.rows_quarantined
    FROM marts.audit.deliveries AS d
    WHERE d.active AND d.delivery_id IN (
            SELECT delivery_id FROM marts.audit.lineage WHERE mart = 'fct_indicator_value'
        )
        AND d.period IN (0, $period)
        AND (d.feed = 'official_figures') = ($method = 'official')
        AND (
            $method = 'official' OR $level = 'city' OR ($level = 'municipal' AND d.area_code = '500000')
            OR d.area_code IN (
                SELECT area_code FROM marts.marts.dim_area
                WHERE area_level = 'district' AND $area IN (area_code, group_code)
            )
        )
    ORDER BY d.feed, d.area_code, d.part
"""


@dataclass(frozen=True)
class Explanation:
    """A figure with its definition, and the deliveries it was made from."""

    release_id: str
    value: dict[str, Any]
    deliveries: list[dict[str, Any]]


def explain(indicator: str, area: str, year: int | None, *, as_json: bool) -> int:
    """Print where a figure comes from. Raises UsageError when the release holds no such figure."""
    release = current(Home.from_env())
    if release is None:
        raise UsageError("尚无发布，没有可说明的数。", "请先执行 eduplan run 或 eduplan demo。")
    found = find(release, indicator, area, year)
    if as_json:
        print_json({"release_id": found.release_id, **found.value, "deliveries": found.deliveries})
    else:
        _print(found)
    return OK


def find(release: Release, indicator: str, area: str, year: int | None) -> Explanation:
    """Look a figure up in a release; `area` is a code or a name. Raises UsageError saying what there is instead."""
    with duck.connect(release.path / MARTS_FILE, read_only=True) as connection:
        code = _area_code(connection, area)
        values = _dicts(connection, _VALUE, [indicator, code, year, year])
        if not values:
            raise UsageError(*_nothing(connection, indicator, code, year))
        value = values[0]
        names = {"period": value["period"], "method": value["method"], "level": value["area_level"], "area": code}
        return Explanation(release.release_id, value, _of_feeds(value, _dicts(connection, _DELIVERIES, names)))


def _of_feeds(value: dict[str, Any], deliveries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Only the feeds the indicator's definition names; all upstream ones where it names none that delivered."""
    named = [item for item in deliveries if item["feed"] in str(value.get("feeds", "")).split("|")]
    return named or deliveries


def _area_code(connection: duckdb.DuckDBPyConnection, area: str) -> str:
    query = (
        "SELECT DISTINCT area_code FROM marts.marts.dim_area"
        " WHERE area_code = ? OR area_name_zh = ? OR short_name_zh = ? ORDER BY area_code"
    )
    found = duck.rows(connection, query, [area, area, area])
    groups = duck.rows(
        connection,
        "SELECT DISTINCT group_code FROM marts.marts.dim_area WHERE group_code = ? OR group_name_zh = ?",
        [area] * 2,
    )
    codes = [str(row[0]) for row in (found or groups)]
    if not codes:
        raise UsageError(f"没有区域“{area}”。", "请填区划代码（如 500103）或名称（如 渝中区）；全市为 500000。")
    return codes[0]


def _nothing(connection: duckdb.DuckDBPyConnection, indicator: str, area: str, year: int | None) -> tuple[str, str]:
    known = duck.rows(
        connection, "SELECT indicator_id FROM marts.marts.dim_indicator ORDER BY headline_no, indicator_id"
    )
    names = [str(row[0]) for row in known]
    if indicator not in names:
        return f"没有指标“{indicator}”。", f"可选：{'、'.join(names)}。"
    query = (
        "SELECT DISTINCT period FROM marts.marts.fct_indicator_value"
        " WHERE indicator_id = ? AND area_code = ? AND value IS NOT NULL ORDER BY period"
    )
    years = "、".join(str(row[0]) for row in duck.rows(connection, query, [indicator, area])) or "无"
    when = f" {year} 年" if year else ""
    return f"指标 {indicator} 在区域 {area}{when} 没有数值。", f"该区域有数值的年度：{years}。"


def _dicts(
    connection: duckdb.DuckDBPyConnection, query: str, parameters: list[Any] | dict[str, Any]
) -> list[dict[str, Any]]:
    cursor = connection.execute(query, parameters)
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _print(found: Explanation) -> None:
    value = found.value
    decimals = value["decimals"] if value["decimals"] is not None else 2
    where = f"{value['name_zh']}（{value['indicator_id']}）区域 {value['area_code']}，{value['ref_period']}"
    out.print(where, style="bold", markup=False)
    lines = {
        "数值": f"{figure(value['value'], decimals)} {value['unit']}",
        "公式": value["formula_zh"],
        f"分子（{value['numerator_zh']}）": figure(value["numerator"], 0),
        f"分母（{value['denominator_zh']}）": figure(value["denominator"], 0),
        "方法": _METHOD_ZH.get(value["method"], value["method"]),
        "来源": value["source_zh"],
        "完整性": _coverage(value),
        "截至": value["as_of"],
        "说明": value["note"],
    }
    for label, text in lines.items():
        if text not in {None, ""}:
            out.print(f"  {label}：{text}", markup=False)
    columns = [("类别", "left"), ("区域", "left"), ("部分", "left"), ("文件", "left"), ("SHA-256", "left")]
    columns += [("接收行", "right"), ("隔离行", "right")]
    out.print(table(f"所依据的报送件（{len(found.deliveries)} 件）", columns, map(_cells, found.deliveries[:_SHOWN])))
    if len(found.deliveries) > _SHOWN:
        out.print(f"其余 {len(found.deliveries) - _SHOWN} 件用 --json 查看。")
    out.print(f"发布：{found.release_id}")


def _coverage(value: dict[str, Any]) -> str:
    state = _STATUS_ZH.get(value["publish_status"], value["publish_status"])
    if value["expected_units"] is None:
        return str(state)
    return f"{state}（应报 {value['expected_units']} 个单位，实报 {value['reported_units']} 个）"


def _cells(item: dict[str, Any]) -> tuple[object, ...]:
    place = (item["feed"], item["area_code"], item["part"] or None)
    return (*place, item["file_name"], item["sha256"][:12], item["rows_accepted"], item["rows_quarantined"])
