"""A rule as SQL: which rows it examines, which of them fail, and the gate's own count of both.

What belongs here: composing SQL from the catalogue's own text and running it on a read-only connection. What does not:
Great Expectations (`expectations.gx_runner`) and judging (`expectations.gate`), which compares the two counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from types import MappingProxyType
from typing import Any, Final

import duckdb

from expectations.catalogue import Between, InSet, NotNull, RowCount, Rows, Rule, Text
from expectations.privacy import forbidden_sql, mask
from warehouse import duck

TextColumns = Mapping[str, tuple[str, ...]]
Tables = Mapping[str, str]
NO_TABLES: Final[Tables] = MappingProxyType({})


@dataclass(frozen=True)
class RuleSql:
    """`relation`: what follows FROM, in brackets; `scope` and `fails`: predicates over its rows."""

    relation: str
    scope: str
    fails: str


@dataclass(frozen=True)
class Count:
    """Rows a rule examined and rows that fail; `error` says why there is no count."""

    checked: int
    failed: int
    error: str | None = None


def text_columns(connection: duckdb.DuckDBPyConnection) -> TextColumns:
    """Text columns by `schema.table`, in column order."""
    found = duck.rows(
        connection,
        "SELECT table_schema || '.' || table_name, column_name FROM information_schema.columns"
        " WHERE data_type = 'VARCHAR' ORDER BY table_schema, table_name, ordinal_position",
    )
    return {
        relation: tuple(column for _, column in columns)
        for relation, columns in groupby(found, key=lambda row: str(row[0]))
    }


def materialise(connection: duckdb.DuckDBPyConnection, rules: Sequence[Rule]) -> Tables:
    """Compute each rule's own `source` once, into a temporary table of this connection; the candidate stays untouched.

    A source that breaks is left out: counting it then reports the error under every rule that uses it.
    """
    tables: dict[str, str] = {}
    for source in dict.fromkeys(rule.fill(rule.source) for rule in rules if rule.source):
        name = f"examined_{len(tables):03d}"
        with suppress(duckdb.Error):
            connection.execute(f"CREATE OR REPLACE TEMPORARY TABLE {name} AS {source}")
            tables[source] = name
    return tables


def compose(rule: Rule, texts: TextColumns, tables: Tables = NO_TABLES) -> RuleSql:
    """The SQL of a rule, on the temporary table of its source where there is one.

    Raises LookupError when a text rule's table holds no text column.
    """
    relation = rule.fill(rule.source) if rule.source else f"SELECT * FROM {rule.relation}"
    if relation in tables:
        relation = f"SELECT * FROM {tables[relation]}"
    scope = f"({rule.fill(rule.scope)})" if rule.scope else "(true)"
    column = duck.ident(rule.column) if rule.column else ""
    check = rule.check
    if isinstance(check, InSet | Between):
        # An all-null column has nothing to compare: those rows are not examined, so they cannot make a rule look run.
        scope = f"{scope} and {column} is not null"
    return RuleSql(relation=f"({relation})", scope=scope, fails=f"({_fails(rule, column, texts)})")


def _fails(rule: Rule, column: str, texts: TextColumns) -> str:
    check = rule.check
    match check:
        case NotNull():
            return f"{column} is null"
        case InSet():
            return f"{column} not in ({', '.join(duck.literal(value) for value in check.values)})"
        case Between():
            low = [f"{column} < {check.low!r}"] if check.low is not None else []
            high = [f"{column} > {check.high!r}"] if check.high is not None else []
            return " or ".join([*low, *high])
        case Rows():
            return rule.fill(check.fails)
        case Text():
            columns = texts.get(rule.relation, ())
            if not columns:
                raise LookupError(f"{rule.relation} 不存在或没有文本列")
            return " or ".join(forbidden_sql(duck.ident(name), check.forbids) for name in columns)
        case RowCount():
            return "false"


def count_all(
    connection: duckdb.DuckDBPyConnection, rules: Sequence[Rule], texts: TextColumns, tables: Tables = NO_TABLES
) -> dict[str, Count]:
    """Examined and failing rows for every rule: one scan a relation, and rule by rule where that scan breaks."""
    composed: dict[str, list[tuple[Rule, RuleSql]]] = {}
    counts: dict[str, Count] = {}
    for rule in rules:
        try:
            sql = compose(rule, texts, tables)
        except LookupError as error:
            counts[rule.id] = Count(0, 0, str(error.args[0]))
            continue
        composed.setdefault(sql.relation, []).append((rule, sql))
    for relation, group in composed.items():
        counts.update(_count_group(connection, relation, group))
    return counts


def _count_group(
    connection: duckdb.DuckDBPyConnection, relation: str, group: list[tuple[Rule, RuleSql]]
) -> dict[str, Count]:
    measures = ", ".join(
        f"count(*) filter (where {sql.scope}), count(*) filter (where {sql.scope} and {sql.fails})" for _, sql in group
    )
    try:
        numbers = duck.rows(connection, f"SELECT {measures} FROM {relation} AS examined")[0]
    except duckdb.Error as error:
        if len(group) > 1:
            halves = (_count_group(connection, relation, [item]) for item in group)
            return {rule_id: count for half in halves for rule_id, count in half.items()}
        return {group[0][0].id: Count(0, 0, describe(error))}
    return {
        rule.id: _row_count(rule.check, checked) if isinstance(rule.check, RowCount) else Count(checked, failed)
        for (rule, _), checked, failed in zip(group, numbers[::2], numbers[1::2], strict=True)
    }


def _row_count(check: RowCount, checked: int) -> Count:
    enough = checked >= check.low and (check.high is None or checked <= check.high)
    return Count(checked, 0 if enough else 1)


def failing_keys(connection: duckdb.DuckDBPyConnection, rule: Rule, sql: RuleSql) -> tuple[str, ...]:
    """Every failing row, as `key=value ...（实际：observed）`, sorted, masked. Raises duckdb.Error."""
    if isinstance(rule.check, RowCount):
        return (rule.relation,)
    observed = rule.fill(rule.observed) if rule.observed else (duck.ident(rule.column) if rule.column else "NULL")
    keys = ", ".join(f"CAST({duck.ident(key)} AS VARCHAR)" for key in rule.keys)
    query = (
        f"SELECT {keys}, CAST({observed} AS VARCHAR) FROM {sql.relation} AS examined WHERE {sql.scope} AND {sql.fails}"
    )
    return tuple(sorted(_named(rule.keys, row) for row in duck.rows(connection, query)))


def _named(keys: Sequence[str], row: tuple[Any, ...]) -> str:
    parts = " ".join(f"{key}={'空' if value is None else value}" for key, value in zip(keys, row[:-1], strict=True))
    return mask(parts if row[-1] is None else f"{parts}（实际：{row[-1]}）")


def holds(connection: duckdb.DuckDBPyConnection, condition: str) -> bool:
    """Whether a condition of the catalogue is true for this candidate. Raises duckdb.Error."""
    return duck.rows(connection, f"SELECT coalesce(({condition}), false)")[0][0] is True


def describe(error: duckdb.Error) -> str:
    """The first line of a database error: later lines quote SQL, and casts quote cell values, so numbers are masked."""
    return f"{type(error).__name__}: {mask(str(error).splitlines()[0])}"
