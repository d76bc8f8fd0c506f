"""`eduplan evaluate`: an evaluation of a plan, read from the current release alone, binding targets first.

What belongs here: the query on the release and how the answer is shown. What does not: judging anything
(`mart_plan_evaluation`).
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

import duckdb
from rich.markup import escape

from orchestration.cli.console import cell, figure, out, print_json, table
from orchestration.cli.main import OK
from warehouse import duck
from warehouse.errors import UsageError
from warehouse.manifest import current
from warehouse.marts_file import MARTS_FILE
from warehouse.paths import Home

# How people write the kinds, and how the marts do.
KINDS: Final = {"annual": "annual", "mid-term": "mid_term", "final": "final"}

# DuckDB names a database after its file, hence marts.marts.
_ROWS: Final = """
    SELECT * FROM marts.marts.mart_plan_evaluation
    WHERE plan_id = ? AND evaluation_kind = ? AND (? IS NULL OR year = ?)
    ORDER BY year DESC, row_no
"""
_YEARS: Final = """
    SELECT DISTINCT year FROM marts.marts.mart_plan_evaluation WHERE plan_id = ? AND evaluation_kind = ? ORDER BY year
"""
_PLANS: Final = "SELECT DISTINCT plan_id FROM marts.marts.mart_plan_evaluation ORDER BY plan_id"


def evaluate(kind: str, year: int | None, plan: str, *, as_json: bool) -> int:
    """Print one evaluation. Raises UsageError for an unknown kind, plan or year, naming what there is."""
    if kind not in KINDS:
        raise UsageError(f"没有“{kind}”这种评估。", f"可用：{'、'.join(KINDS)}。")
    release = current(Home.from_env())
    if release is None:
        raise UsageError("尚无发布，没有可评估的数。", "请先执行 eduplan run 或 eduplan demo。")
    with duck.connect(release.path / MARTS_FILE, read_only=True) as connection:
        rows = _rows(connection, kind, year, plan)
    if as_json:
        print_json(_document(release.release_id, rows))
    else:
        _print(rows)
    return OK


def _rows(connection: duckdb.DuckDBPyConnection, kind: str, year: int | None, plan: str) -> list[dict[str, Any]]:
    """The rows of one evaluation in reading order; without a year the newest."""
    found = connection.execute(_ROWS, [plan, KINDS[kind], year, year])
    names = [column[0] for column in found.description or []]
    rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    if rows:
        return [row for row in rows if row["year"] == rows[0]["year"]]
    plans = [name for (name,) in connection.execute(_PLANS).fetchall()]
    if plan not in plans:
        raise UsageError(f"发布中没有规划“{plan}”。", f"已有的规划：{'、'.join(plans) or '（空）'}。")
    years = [str(number) for (number,) in connection.execute(_YEARS, [plan, KINDS[kind]]).fetchall()]
    raise UsageError(f"规划没有 {year} 年的 {kind} 评估。", f"可用的年度：{'、'.join(years) or '（无）'}。")


def _document(release_id: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    first = rows[0]
    shown = ("status", "status_zh", "target_count", "note")
    listed = ("target_id", "indicator_zh", "status", "status_zh", "value", "target", "value_year", "note", "suppressed")
    return {
        "release_id": release_id,
        **{name: first[name] for name in ("plan_id", "area_code", "evaluation_kind", "evaluation_kind_zh", "year")},
        "overall": {name: first[name] for name in shown},
        "binding": [{name: row[name] for name in listed} for row in rows if row["row_kind"] == "target"],
        "counts": {
            group: [{name: row[name] for name in shown} for row in counted] for group, counted in _counts(rows).items()
        },
    }


def _counts(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Rows of counts by group, both in reading order."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["row_kind"] == "count":
            groups[row["group_zh"]].append(row)
    return dict(groups)


def _print(rows: list[dict[str, Any]]) -> None:
    first = rows[0]
    out.print(f"[bold]{escape(first['plan_id'])} {first['year']} 年 {first['evaluation_kind_zh']}[/]")
    out.print(f"总体结论：[bold]{first['status_zh']}[/]（{first['note']}）")
    columns = [
        ("约束性指标", "left"),
        ("状态", "code"),
        ("值", "right"),
        ("目标", "right"),
        ("数据年度", "right"),
        ("备注", "left"),
    ]
    binding = [row for row in rows if row["row_kind"] == "target"]
    lines = [
        (
            row["indicator_zh"],
            row["status_zh"],
            cell(row, "value"),
            figure(row["target"]),
            row["value_year"],
            row["note"],
        )
        for row in binding
    ]
    out.print(table("约束性指标逐项", columns, lines))
    counted = [
        (group, row["status_zh"], row["target_count"], row["note"])
        for group, found in _counts(rows).items()
        for row in found
    ]
    out.print(table("按状态计数", [("分组", "left"), ("状态", "code"), ("条数", "right"), ("备注", "left")], counted))
