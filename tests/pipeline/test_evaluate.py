"""`eduplan evaluate` on a published release: the binding targets decide, and each target of the progress counts."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import duckdb

from tests.support.command import eduplan

YEAR = 2024


def test_an_evaluation_counts_every_target_and_lets_the_binding_ones_decide(released: Path) -> None:
    told = json.loads(eduplan(released, "evaluate", "--kind", "annual", "--year", str(YEAR), "--json").stdout)
    with duckdb.connect(str(released / "current" / "marts.duckdb"), read_only=True) as connection:
        judged = connection.execute(
            "SELECT t.binding, p.status FROM mart_plan_progress AS p INNER JOIN dim_target AS t USING (target_id)"
            " WHERE p.year = ? AND p.area_code = '500000' AND t.duplicate_of IS NULL",
            [YEAR],
        ).fetchall()
    binding = Counter(status for kind, status in judged if kind == "约束性")
    assert Counter(item["status"] for item in told["binding"]) == binding
    assert sum(binding.values()) == 2
    counted = {
        group: Counter({row["status"]: row["target_count"] for row in rows}) for group, rows in told["counts"].items()
    }
    assert counted["约束性"] == binding
    assert counted["预期性"] == Counter(status for kind, status in judged if kind == "预期性")
    # No other target, however good, lifts the whole above its binding ones.
    assert told["overall"]["target_count"] == 2


def test_people_read_the_binding_targets_first(released: Path) -> None:
    page = eduplan(released, "evaluate", "--kind", "final").stdout
    assert page.index("约束性指标逐项") < page.index("按状态计数")
    assert "总结评估" in page


def test_an_unknown_kind_is_wrong_usage(released: Path) -> None:
    eduplan(released, "evaluate", "--kind", "weekly", expect=2)
