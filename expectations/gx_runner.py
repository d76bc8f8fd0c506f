"""Great Expectations on one candidate: SQL push-down, read-only, ephemeral, no Data Docs; the only door to GX.

What belongs here: turning rules into expectations and reading results back by rule id. What does not: deciding what the
results mean (`expectations.gate`): `success` of a suite is the wrong signal, and is never looked at.
GX takes seconds to import, so it is imported inside the functions that need it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import duckdb

from expectations.catalogue import Between, InSet, RowCount, Rule
from expectations.privacy import mask
from expectations.sql import RuleSql

# No samples of cell values: failing keys are listed by the gate's own SQL, masked.
DIALECT_NAME: Final = "eduplan_gate"
RESULT_FORMAT: Final = {"result_format": "BASIC", "partial_unexpected_count": 0}


@dataclass(frozen=True)
class GxResult:
    """What GX said of one rule. `examined` and `unexpected` are None where GX counts none (row counts, errors)."""

    rule_id: str
    success: bool
    severity: str | None
    examined: int | None
    unexpected: int | None
    error: str | None


@dataclass
class GxRun:
    """Results as they come in; `stop` interrupts the running query and keeps the next suite from starting."""

    results: list[GxResult] = field(default_factory=list)
    worst: list[str] = field(default_factory=list)
    connection: duckdb.DuckDBPyConnection | None = None
    stopped: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """Interrupt the run from another thread."""
        self.stopped.set()
        if self.connection is not None:
            with suppress(duckdb.ConnectionException):  # closed already: nothing left to interrupt
                self.connection.interrupt()


def run(
    connection: duckdb.DuckDBPyConnection, rules: Sequence[Rule], sqls: Mapping[str, RuleSql], outcome: GxRun
) -> None:
    """Validate `rules` over this very connection, in as few scans as may be, appending to `outcome`.

    Rules without an entry in `sqls` are left out (the gate reports them). Raises whatever GX raises outside a metric.
    """
    from expectations.dialect import lent

    context = _context()
    with lent(connection) as token:
        source = context.data_sources.add_sql(
            "candidate", connection_string=f"{DIALECT_NAME}:///{token}", create_temp_table=False
        )
        for number, (query, members) in enumerate(_suites(rules, sqls)):
            if outcome.stopped.is_set():
                return
            table = f"asked_{number:03d}"
            connection.execute(f"create or replace temporary table {table} as {query}")
            _validate(source, table, members, outcome)


def _context() -> Any:
    import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )
    from sqlalchemy.dialects import registry

    registry.register(DIALECT_NAME, "expectations.dialect", "GateDialect")
    return gx.get_context(
        mode="ephemeral",
        project_config=DataContextConfig(
            store_backend_defaults=InMemoryStoreBackendDefaults(),
            analytics_enabled=False,
            progress_bars=ProgressBarsConfig(globally=False),
        ),
    )


def _suites(rules: Sequence[Rule], sqls: Mapping[str, RuleSql]) -> list[tuple[str, list[Rule]]]:
    """Queries with the rules asked of their rows.

    Every rule but a row count is asked of a column made for it and named after it: true or false, or the value, for
    rows in scope, NULL for the others. GX spends far longer on a suite than DuckDB on a scan, and asks some things of
    every column anew: so the columns are computed once into a temporary table, and the small tables stand side by side
    in a single one (NULL where the shorter ones end); only the records, which are large, stand by themselves.
    """
    small: dict[str, list[Rule]] = {}
    alone: dict[str, list[Rule]] = {}
    for rule in rules:
        if rule.id in sqls:
            by_itself = isinstance(rule.check, RowCount) or (
                rule.source is None and rule.relation.startswith("records.")
            )
            (alone if by_itself else small).setdefault(sqls[rule.id].relation, []).append(rule)
    suites = [(_made_columns(relation, members, sqls), members) for relation, members in alone.items()]
    if small:
        parts = [f"({_made_columns(relation, members, sqls)})" for relation, members in small.items()]
        named = [f"{part} as part_{number:03d}" for number, part in enumerate(parts)]
        together = [rule for members in small.values() for rule in members]
        suites.append((f"select * from {' positional join '.join(named)}", together))
    return suites


def _made_columns(relation: str, members: Sequence[Rule], sqls: Mapping[str, RuleSql]) -> str:
    return f"select {', '.join(_made_column(rule, sqls[rule.id]) for rule in members)} from {relation} as examined"


def _made_column(rule: Rule, sql: RuleSql) -> str:
    name = _column_name(rule)
    if isinstance(rule.check, RowCount):
        return f"1 as {name}"
    if isinstance(rule.check, InSet | Between):
        return f'case when {sql.scope} then "{rule.column}" end as {name}'
    return f"case when {sql.scope} then not coalesce({sql.fails}, false) end as {name}"


def _column_name(rule: Rule) -> str:
    return rule.id.replace(".", "__")


def _validate(source: Any, table: str, members: Sequence[Rule], outcome: GxRun) -> None:
    import great_expectations as gx

    asset = source.add_query_asset(name=table, query=f"select * from {table}")
    batch = asset.add_batch_definition_whole_table(table).get_batch()
    # The constructor takes the list as it is; `add_expectation` merges look-alikes in silence, and compares all pairs.
    suite = gx.ExpectationSuite(name=table, expectations=[_expectation(rule) for rule in members])
    validation = batch.validate(suite, result_format=RESULT_FORMAT)
    outcome.results.extend(_read(result) for result in validation.results)
    worst = validation.get_max_severity_failure()
    if worst is not None:
        outcome.worst.append(str(worst.value))


def _expectation(rule: Rule) -> Any:
    import great_expectations as gx

    gxe: Any = gx.expectations
    common: dict[str, Any] = {
        "severity": rule.severity,
        "meta": {"rule_id": rule.id, "tier": rule.tier, "owner": rule.owner},
        "notes": f"{rule.title_zh}：{rule.fill(rule.meaning_zh)}",
    }
    check, column = rule.check, _column_name(rule)
    if isinstance(check, RowCount):
        return gxe.ExpectTableRowCountToBeBetween(min_value=check.low, max_value=check.high, **common)
    if isinstance(check, InSet):
        return gxe.ExpectColumnValuesToBeInSet(column=column, value_set=list(check.values), **common)
    if isinstance(check, Between):
        return gxe.ExpectColumnValuesToBeBetween(column=column, min_value=check.low, max_value=check.high, **common)
    return gxe.ExpectColumnValuesToBeInSet(column=column, value_set=[True], **common)


def _read(result: Any) -> GxResult:
    config = result.expectation_config
    severity = config.severity
    content = result.result or {}
    examined, unexpected = content.get("element_count"), content.get("unexpected_count")
    return GxResult(
        rule_id=str((config.meta or {}).get("rule_id", "")),
        success=result.success is True,
        severity=None if severity is None else str(getattr(severity, "value", severity)),
        examined=None if examined is None else int(examined) - int(content.get("missing_count") or 0),
        unexpected=None if unexpected is None else int(unexpected),
        error=_error(result.exception_info or {}),
    )


def _error(info: Mapping[str, Any]) -> str | None:
    """GX keeps one exception or several under the ids of metrics; the first line of the first is enough."""
    nested = [value for value in info.values() if isinstance(value, Mapping)]
    for candidate in [info, *nested]:
        if candidate.get("raised_exception"):
            lines = str(candidate.get("exception_message") or "unknown error").strip().splitlines()
            return mask(lines[0] if lines else "unknown error")
    return None


def warm() -> None:
    """Import GX now, so that a long-lived process pays for it once, before the first candidate waits."""
    _context()
