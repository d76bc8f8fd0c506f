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
from expectations.sql import Asked, column_of

# No samples of cell values: failing keys are listed by the gate's own SQL, masked.
DIALECT_NAME: Final = "eduplan_gate"
RESULT_FORMAT: Final = {"result_format": "BASIC", "partial_unexpected_count": 0}


@dataclass(frozen=True)
class GxResult:
    """What GX said of one rule. `examined` and `unexpected` are values, None where there was an error; a row count is
    a single value."""

    rule_id: str
    success: bool
    severity: str | None
    examined: int | None
    unexpected: int | None
    error: str | None


@dataclass
class GxRun:
    """Results as they come in; `stop` interrupts the running queries of the `connections` in use and keeps the next
    suite from starting."""

    results: list[GxResult] = field(default_factory=list)
    worst: list[str] = field(default_factory=list)
    connections: list[duckdb.DuckDBPyConnection] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """Interrupt the run from another thread."""
        self.stopped.set()
        for connection in self.connections:
            with suppress(duckdb.ConnectionException):  # closed already: nothing left to interrupt
                connection.interrupt()


def run(connection: duckdb.DuckDBPyConnection, asked: Sequence[Asked], outcome: GxRun) -> None:
    """Validate the rules of `asked` over this very connection, in as few scans as may be, appending to `outcome`.

    Rules that are in no table of answers are left out (the gate reports them). Raises whatever GX raises outside a
    metric.
    """
    from expectations.dialect import lent

    context = _context()
    with lent(connection) as token:
        source = context.data_sources.add_sql(
            "candidate", connection_string=f"{DIALECT_NAME}:///{token}", create_temp_table=False
        )
        for number, (query, members) in enumerate(_suites(asked)):
            if outcome.stopped.is_set():
                return
            table = f"suite_{number:03d}"
            # GX runs the query of a suite several times; the answers of many tables are joined once.
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


def _suites(asked: Sequence[Asked]) -> list[tuple[str, list[Rule]]]:
    """Queries with the rules whose answers their columns hold.

    The answers of small tables stand side by side in a single query (NULL where the shorter ones end), a row count as
    one value; only the records, which are large, stand by themselves.
    """
    small: list[tuple[str, list[Rule]]] = []
    alone: list[tuple[str, list[Rule]]] = []
    for item in asked:
        counts = [rule for rule in item.rules if isinstance(rule.check, RowCount)]
        values = [rule for rule in item.rules if not isinstance(rule.check, RowCount)]
        small += [(f"select count({name}) as {name} from {item.table}", [r]) for r in counts for name in [column_of(r)]]
        if values:
            large = any(rule.source is None and rule.relation.startswith("records.") for rule in values)
            columns = ", ".join(column_of(rule) for rule in values)
            (alone if large else small).append((f"select {columns} from {item.table}", values))
    if not small:
        return alone
    parts = [f"({query}) as part_{number:03d}" for number, (query, _) in enumerate(small)]
    together = [rule for _, members in small for rule in members]
    return [*alone, (f"select * from {_side_by_side(parts)}", together)]


def _side_by_side(parts: Sequence[str]) -> str:
    """The parts joined row by row, in halves of halves: a chain of ninety joins takes DuckDB twenty times as long."""
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    return f"({_side_by_side(parts[:half])} positional join {_side_by_side(parts[half:])})"


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
    from expectations.tally import ExpectColumnToHold

    check = rule.check
    asked: dict[str, Any] = {
        "column": column_of(rule),
        "wanted": "true",
        "severity": rule.severity,
        "meta": {"rule_id": rule.id, "tier": rule.tier, "owner": rule.owner},
        "notes": f"{rule.title_zh}：{rule.fill(rule.meaning_zh)}",
    }
    if isinstance(check, InSet):
        asked |= {"wanted": "member", "value_set": list(check.values)}
    elif isinstance(check, Between | RowCount):
        asked |= {"wanted": "between", "low": check.low, "high": check.high}
    return ExpectColumnToHold(**asked)


def _read(result: Any) -> GxResult:
    config = result.expectation_config
    severity = config.severity
    content = result.result or {}
    examined, unexpected = content.get("element_count"), content.get("unexpected_count")
    return GxResult(
        rule_id=str((config.meta or {}).get("rule_id", "")),
        success=result.success is True,
        severity=None if severity is None else str(getattr(severity, "value", severity)),
        examined=None if examined is None else int(examined),
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
    import expectations.tally  # noqa: F401 - registers the expectation

    _context()
