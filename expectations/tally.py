"""The gate's one expectation for Great Expectations: every value examined in a column is as it should be.

What belongs here: the expectation, and the metric that counts examined and failing values in a single aggregate, which
GX bundles with those of all other rules into one scan. What does not: which columns there are (`expectations.sql`) and
how a suite is run (`expectations.gx_runner`). Importing this module loads GX, so it is imported inside functions.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import sqlalchemy as sa
from great_expectations.execution_engine.sqlalchemy_execution_engine import SqlAlchemyExecutionEngine
from great_expectations.expectations.expectation import ColumnAggregateExpectation
from great_expectations.expectations.metrics.column_aggregate_metric_provider import (
    ColumnAggregateMetricProvider,
    column_aggregate_partial,
)

METRIC: Final = "gate.tally"


class Tally(ColumnAggregateMetricProvider):
    """[values examined, values failing] of a column; NULL is not examined."""

    metric_name = METRIC
    value_keys = ("wanted", "value_set", "low", "high")

    @column_aggregate_partial(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(cls, column: Any, **arguments: Any) -> Any:  # noqa: N805 - GX binds the class
        return sa.func.list_value(sa.func.count(column), sa.func.count(sa.case((_fails(column, arguments), 1))))


def _fails(column: Any, arguments: dict[str, Any]) -> Any:
    if arguments["wanted"] == "true":
        return column == sa.false()
    if arguments["wanted"] == "member":
        return column.notin_(arguments["value_set"])
    low, high = arguments["low"], arguments["high"]
    return sa.or_(
        *([column < low] if low is not None else []),
        *([column > high] if high is not None else []),
    )


class ExpectColumnToHold(ColumnAggregateExpectation):
    """No value examined fails. `wanted`: the value is true, one of `value_set`, or from `low` to `high`, both allowed.

    The map expectations of GX ask the same, for three times the processor time: they resolve five metrics a rule.
    """

    wanted: Literal["true", "member", "between"]
    value_set: list[str] | None = None
    low: float | None = None
    high: float | None = None

    metric_dependencies = (METRIC,)
    success_keys = ("wanted", "value_set", "low", "high")

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: Any = None,
    ) -> dict[str, Any]:
        examined, failing = metrics[METRIC]
        return {"success": failing == 0, "result": {"element_count": examined, "unexpected_count": failing}}
